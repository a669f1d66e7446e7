//! An experiment: the file, read, checked and expanded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use stn_core::{Fault, Registry, parameters};
use stn_data::DatasetSpec;
use stn_nn::{NetworkSpec, Plan};
use toml::{Table, Value};

use super::diagnostics::{Diagnostic, Diagnostics};
use super::document::{Document, Source};
use super::overrides;
use super::resolve::{Resolved, locate};
use super::sections::{ModelSection, TopLevel};
use super::sweep::{self, Assignment, Block};
use super::train::TrainSpec;
use super::trial::{Trial, TrialConfig};

/// An experiment file with its arguments: every trial decoded, and planned where the data's shape is known beforehand.
#[derive(Debug, Clone)]
pub struct Experiment {
    name: String,
    description: String,
    trials: Vec<Trial>,
    report: Table,
    as_run: String,
}

impl Experiment {
    /// Reads a file and lays `key=value` arguments over it.
    ///
    /// # Errors
    ///
    /// Every mistake in the file and the arguments.
    pub fn load(path: &Path, overrides: &[String], registry: &Registry) -> Result<Self, Diagnostics> {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        Self::parse(&text, &path.display().to_string(), stem, overrides, registry)
    }

    /// Reads a text; `path` is what diagnostics call it, `stem` the name of an experiment that does not say its own.
    ///
    /// # Errors
    ///
    /// Every mistake in the text and the arguments.
    pub fn parse(text: &str, path: &str, stem: &str, overrides: &[String], registry: &Registry) -> Result<Self, Diagnostics> {
        let mut document = Document::parse(Source { name: path.into(), text: text.into() })?;
        let mut reading = Reading { diagnostics: overrides::apply(&mut document, overrides), document: &document };
        let top = reading.top_level(stem);
        let blocks = reading.sweep();
        let trials = reading.trials(&blocks, registry);
        let diagnostics = reading.diagnostics;
        if !diagnostics.is_empty() {
            return Err(Diagnostics::new(document.sources, diagnostics));
        }
        let as_run = if overrides.is_empty() { text.to_owned() } else { with_arguments(&document, overrides) };
        Ok(Self { name: top.name.unwrap_or_default(), description: top.description.unwrap_or_default(), trials, report: top.report.0, as_run })
    }

    /// The name, which is also the results folder's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is about.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Every trial, in the order of the file: the first swept key varies slowest, the seed fastest.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The `[report]` table as written.
    pub fn report(&self) -> &Table {
        &self.report
    }

    /// The file with the arguments laid over it, as TOML.
    pub fn as_run(&self) -> &str {
        &self.as_run
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostics {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut siblings: Vec<String> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.ends_with(".toml")).collect();
    siblings.sort();
    let near = parameters::nearest(&name, siblings.iter().map(String::as_str));
    let help = near.filter(|_| error.kind() == std::io::ErrorKind::NotFound).map(|near| format!("did you mean `{}`?", folder.join(near).display()));
    Diagnostics::without_place(format!("cannot read {}: {error}", path.display()), help)
}

fn with_arguments(document: &Document, arguments: &[String]) -> String {
    let listed: Vec<String> = arguments.iter().map(|argument| format!("#   {}\n", argument.replace('\n', " "))).collect();
    let body = toml::to_string_pretty(&document.table).unwrap_or_default();
    format!("# The experiment file with these arguments laid over it:\n{}\n{body}", listed.concat())
}

/// The file while it is read: what was found wrong so far.
struct Reading<'a> {
    document: &'a Document,
    diagnostics: Vec<Diagnostic>,
}

impl Reading<'_> {
    fn fault(&mut self, fault: &Fault) {
        let place = locate(self.document, &[], fault).clone();
        self.diagnostics.push(Diagnostic::from_fault(fault, place));
    }

    fn faults(&mut self, faults: Vec<Fault>, below: &[&str]) {
        for fault in faults {
            self.fault(&fault.below(below.iter().copied()));
        }
    }

    /// The top level and what every model says about itself; its name is filled in.
    fn top_level(&mut self, stem: &str) -> TopLevel {
        let mut top: TopLevel = match parameters::decode(&self.document.table) {
            Ok(top) => top,
            Err(faults) => {
                self.faults(faults, &[]);
                TopLevel::default()
            }
        };
        let document = self.document;
        if !document.table.contains_key("dataset") {
            self.fault(&Fault::at(["dataset"], "missing the table `[dataset]`").help("add [dataset] with kind = \"mnist\""));
        }
        for (name, model) in document.table.get("models").and_then(Value::as_table).into_iter().flatten() {
            let Value::Table(model) = model else { continue };
            let own: Table = model.iter().filter(|(key, _)| ["label", "train"].contains(&key.as_str())).map(|(key, value)| (key.clone(), value.clone())).collect();
            if let Err(faults) = parameters::decode::<ModelSection>(&own) {
                self.faults(faults, &["models", name]);
            }
        }
        let usable = |name: &str| !name.is_empty() && name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let given = top.name.take();
        let name = given.clone().unwrap_or_else(|| stem.to_owned());
        if !usable(&name) {
            let message = format!("`{name}` cannot name an experiment: use letters, digits, - and _");
            let help = if given.is_some() { None } else { Some("the name is the file's; add name = \"...\" at the top, or rename the file".to_owned()) };
            self.fault(&Fault { path: vec!["name".into()], message, help });
        }
        top.name = Some(name);
        top
    }

    /// The sweep's blocks; where it cannot be read, none.
    fn sweep(&mut self) -> Vec<Block> {
        sweep::read(&self.document.table).unwrap_or_else(|faults| {
            self.faults(faults, &[]);
            Vec::new()
        })
    }

    /// Decodes and plans every point of the sweep; what is wrong in several is told once.
    fn trials(&mut self, blocks: &[Block], registry: &Registry) -> Vec<Trial> {
        let points: Vec<_> = blocks.iter().flat_map(|block| block.points().into_iter().map(move |point| (point, &block.seeds))).collect();
        let mut planner = Planner::new(registry);
        let mut found: Vec<Found> = Vec::new();
        let mut trials: Vec<Trial> = Vec::new();
        for (point, seeds) in &points {
            match planner.point(self.document, point) {
                Ok(configured) => self.add(&mut trials, configured, point, seeds),
                Err(diagnostics) => {
                    for diagnostic in diagnostics {
                        match found.iter_mut().find(|seen| seen.diagnostic == diagnostic) {
                            Some(seen) => seen.points += 1,
                            None => found.push(Found { diagnostic, first: in_words(point), points: 1 }),
                        }
                    }
                }
            }
        }
        if let Err(diagnostics) = planner.unused_models(self.document) {
            let new = diagnostics.into_iter().filter(|diagnostic| !found.iter().any(|seen| seen.diagnostic == *diagnostic));
            self.diagnostics.extend(new.collect::<Vec<_>>());
        }
        let total = points.len();
        self.diagnostics.extend(found.into_iter().map(|found| found.diagnostic.note(remark(&found.first, found.points, total))));
        trials
    }

    /// One trial a seed. A point that differs only in keys of other models is the same trial again and is left out.
    fn add(&mut self, trials: &mut Vec<Trial>, configured: Configured, point: &[&Assignment], seeds: &[u64]) {
        let differs: BTreeMap<String, String> = point.iter().map(|assignment| (assignment.name.clone(), value_in_words(&assignment.value))).collect();
        for &seed in seeds {
            let config = TrialConfig { seed, ..configured.config.clone() };
            let id = config.id();
            match trials.iter().find(|trial| trial.id == id) {
                Some(twin) if twin.model != configured.model => {
                    let message = format!("the models `{}` and `{}` are trained in the same way and are the same network", twin.model, configured.model);
                    let fault = Fault::at(["models", configured.model.as_str()], message).help("change one of them, or take it out");
                    self.fault(&fault);
                    return;
                }
                Some(_) => {}
                None => {
                    let (label, model, differs) = (configured.label.clone(), configured.model.clone(), differs.clone());
                    trials.push(Trial { id, label, model, seed, differs, plan: configured.plan.clone(), config });
                }
            }
        }
    }
}

/// A mistake in some points of the sweep.
struct Found {
    diagnostic: Diagnostic,
    first: String,
    points: usize,
}

fn in_words(point: &[&Assignment]) -> String {
    point.iter().map(|assignment| format!("{} = {}", assignment.name, value_in_words(&assignment.value))).collect::<Vec<_>>().join(", ")
}

fn remark(first: &str, points: usize, total: usize) -> Option<String> {
    match points {
        _ if points == total => None,
        1 => Some(format!("in the trials with {first}")),
        _ => Some(format!("in {points} of {total} points of the sweep, first with {first}")),
    }
}

fn value_in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A point of the sweep, decoded and planned.
struct Configured {
    model: String,
    label: String,
    plan: Option<Arc<Plan>>,
    config: TrialConfig,
}

type Read<T> = Result<T, Vec<Fault>>;

/// Decodes and plans; each section of a sweep is often the same, and is read once.
struct Planner<'a> {
    registry: &'a Registry,
    datasets: BTreeMap<String, Read<DatasetSpec>>,
    networks: BTreeMap<String, Read<NetworkSpec>>,
    training: BTreeMap<String, Read<TrainSpec>>,
    plans: BTreeMap<(String, [usize; 3], usize), Read<Arc<Plan>>>,
    planned: Vec<String>,
}

impl<'a> Planner<'a> {
    fn new(registry: &'a Registry) -> Self {
        Self { registry, datasets: BTreeMap::new(), networks: BTreeMap::new(), training: BTreeMap::new(), plans: BTreeMap::new(), planned: Vec::new() }
    }

    fn point(&mut self, document: &Document, point: &[&Assignment]) -> Result<Configured, Vec<Diagnostic>> {
        let shown = |resolved: &Resolved, faults: &[Fault]| faults.iter().map(|fault| Diagnostic::from_fault(fault, resolved.place(document, fault).clone())).collect::<Vec<_>>();
        let resolved = Resolved::new(document, point)
            .map_err(|faults| faults.iter().map(|fault| Diagnostic::from_fault(fault, locate(document, &[], fault).clone())).collect::<Vec<_>>())?;
        let mut faults = Vec::new();
        let given = document.table.contains_key("dataset");
        let dataset = collect(self.dataset(&resolved.dataset), &["dataset"], &mut faults).filter(|_| given);
        let train = collect(self.train(&resolved.train), &["train"], &mut faults);
        let below = ["models", resolved.model.as_str()];
        let network = collect(self.network(&resolved.network), &below, &mut faults);
        self.planned.push(resolved.model.clone());
        let shape = dataset.as_ref().and_then(DatasetSpec::shape_hint);
        let plan = match (&network, shape) {
            (Some(network), Some((shape, classes))) => collect(self.plan(&resolved.network, network, shape, classes), &below, &mut faults),
            _ => None,
        };
        match (dataset, train, network) {
            (Some(dataset), Some(train), Some(network)) if faults.is_empty() => Ok(Configured {
                config: TrialConfig { dataset, network, train, seed: 0 },
                model: resolved.model,
                label: resolved.label,
                plan,
            }),
            _ if !given => Err(shown(&resolved, &faults.into_iter().filter(|fault| fault.path.first().is_none_or(|first| first != "dataset")).collect::<Vec<_>>())),
            _ => Err(shown(&resolved, &faults)),
        }
    }

    /// Reads the models that no trial uses, so that their mistakes are shown as well.
    fn unused_models(&mut self, document: &Document) -> Result<(), Vec<Diagnostic>> {
        let mut faults = Vec::new();
        for (name, model) in document.table.get("models").and_then(Value::as_table).into_iter().flatten() {
            if let (Value::Table(model), false) = (model, self.planned.contains(name)) {
                let mut network = model.clone();
                network.remove("label");
                network.remove("train");
                collect(self.network(&network), &["models", name], &mut faults);
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.iter().map(|fault| Diagnostic::from_fault(fault, locate(document, &[], fault).clone())).collect()) }
    }

    fn dataset(&mut self, table: &Table) -> Read<DatasetSpec> {
        self.datasets.entry(key(table)).or_insert_with(|| DatasetSpec::from_value(&Value::Table(table.clone()))).clone()
    }

    fn network(&mut self, table: &Table) -> Read<NetworkSpec> {
        self.networks.entry(key(table)).or_insert_with(|| NetworkSpec::from_value(&Value::Table(table.clone()))).clone()
    }

    fn train(&mut self, table: &Table) -> Read<TrainSpec> {
        self.training.entry(key(table)).or_insert_with(|| TrainSpec::from_table(table)).clone()
    }

    fn plan(&mut self, table: &Table, network: &NetworkSpec, shape: [usize; 3], classes: usize) -> Read<Arc<Plan>> {
        self.plans.entry((key(table), shape, classes)).or_insert_with(|| Plan::new(network, shape, classes, self.registry).map(Arc::new)).clone()
    }
}

fn key(table: &impl Serialize) -> String {
    serde_json::to_string(table).unwrap_or_default()
}

fn collect<T>(read: Read<T>, below: &[&str], faults: &mut Vec<Fault>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(found) => {
            faults.extend(found.into_iter().map(|fault| fault.below(below.iter().copied())));
            None
        }
    }
}
