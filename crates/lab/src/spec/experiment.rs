//! An experiment: the file, read, checked and expanded.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use stn_core::{Fault, Registry, parameters};
use toml::{Table, Value};

use crate::executor::forecast;
use crate::store::{Store, TrialState};

use super::diagnostics::{Diagnostic, Diagnostics};
use super::document::{Aim, Document, Source};
use super::findings::Findings;
use super::overrides;
use super::planner::Planner;
use super::resolve::{Resolved, locate};
use super::sections::{ModelSection, PruneSection, RunSection, SlurmSection, TopLevel, WithoutCuda};
use super::slurm;
use super::sweep::{self, Block, Mistake};
use super::trial::Trial;
use super::trial_list::{TrialList, differs, in_words};

/// An experiment file with its arguments: every trial decoded, and planned where the data's shape is known beforehand.
#[derive(Debug, Clone)]
pub struct Experiment {
    name: String,
    description: String,
    run: RunSection,
    prune: Option<PruneSection>,
    slurm: SlurmSection,
    trials: Vec<Trial>,
    document: Document,
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
        let slurm = reading.slurm(&top.slurm.0);
        let blocks = reading.sweep();
        let trials = reading.trials(&blocks, registry);
        let diagnostics = reading.diagnostics;
        if !diagnostics.is_empty() {
            return Err(Diagnostics::new(document.sources, diagnostics));
        }
        let as_run = if overrides.is_empty() { text.to_owned() } else { with_arguments(&document, overrides) };
        Ok(Self {
            name: top.name.unwrap_or_default(),
            description: top.description.unwrap_or_default(),
            run: top.run,
            prune: top.prune,
            slurm,
            trials,
            document,
            as_run,
        })
    }

    /// How far every trial is in a folder of results, in order.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be listed.
    pub fn states(&self, out: &Path) -> crate::Result<Vec<TrialState>> {
        Store::new(out, self).states(&self.trials)
    }

    /// How far every trial is in a folder of results, in order, and the time that it still needs, by those of any experiment that were measured there; `None` where none like it was.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be read.
    pub fn forecast(&self, out: &Path) -> crate::Result<(Vec<TrialState>, Vec<Option<Duration>>)> {
        let (states, measured) = Store::new(out, self).states_and_measured(&self.trials)?;
        let times = forecast(&self.trials, &states, &measured);
        Ok((states, times))
    }

    /// The name, which is also the results folder's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is about.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// How many times a trial that fails is tried again within a run.
    pub fn retries(&self) -> u64 {
        self.run.retries
    }

    /// By which rule trials are stopped early, where they are.
    pub(crate) fn prune(&self) -> Option<&PruneSection> {
        self.prune.as_ref()
    }

    /// What becomes of a trial on a graphics card whose sampling kernel has no code for one.
    pub(crate) fn without_cuda(&self) -> WithoutCuda {
        self.run.without_cuda
    }

    /// How often a trial makes a checkpoint.
    pub fn checkpoint_every(&self) -> Duration {
        Duration::try_from_secs_f64(self.run.checkpoint_seconds).unwrap_or(Duration::MAX)
    }

    /// How a Slurm cluster is asked to run the trials.
    pub(crate) fn slurm(&self) -> &SlurmSection {
        &self.slurm
    }

    /// Every trial, in the order of the file: the first swept key varies slowest, the seed fastest.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The whole file with the arguments laid over it, for a reader of a section that is none of the lab's, such as `[report]`.
    pub fn table(&self) -> &Table {
        &self.document.table
    }

    /// What such a reader found wrong, with its lines.
    pub fn diagnose(&self, faults: &[Fault]) -> Diagnostics {
        let placed = faults.iter().map(|fault| Diagnostic::from_fault(fault, locate(&self.document, &[], fault).clone()));
        Diagnostics::new(self.document.sources.clone(), placed.collect())
    }

    /// What is wrong with the networks of these trials, the faults' paths being those of the model's table; told once where several trials share it.
    pub(crate) fn diagnose_networks(&self, misfits: &[(&Trial, Vec<Fault>)]) -> Diagnostics {
        let blocks = sweep::read(&self.document.table).unwrap_or_default();
        let mut points = BTreeMap::new();
        for point in blocks.iter().flat_map(Block::points) {
            points.entry(differs(&point)).or_insert(point);
        }
        let mut placed = Vec::new();
        for (trial, faults) in misfits {
            let resolved = points.get(&trial.differs).and_then(|point| Resolved::new(&self.document, point).ok());
            for fault in faults {
                let fault = fault.clone().below(["models", trial.model.as_str()]);
                let place = match &resolved {
                    Some(resolved) => resolved.place(&self.document, &fault),
                    None => locate(&self.document, &[], &fault),
                };
                placed.push(Diagnostic::from_fault(&fault, place.clone()));
            }
        }
        Diagnostics::new(self.document.sources.clone(), placed)
    }

    /// The file with the arguments laid over it, as TOML.
    pub fn as_run(&self) -> &str {
        &self.as_run
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostics {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut siblings: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".toml"))
        .collect();
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
            let own: Table =
                model.iter().filter(|(key, _)| ["label", "train"].contains(&key.as_str())).map(|(key, value)| (key.clone(), value.clone())).collect();
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
        if !(top.run.checkpoint_seconds.is_finite() && top.run.checkpoint_seconds >= 0.0) {
            let message = format!("{} is no number of seconds", top.run.checkpoint_seconds);
            self.fault(&Fault::at(["run", "checkpoint_seconds"], message).help("write for example checkpoint_seconds = 30"));
        }
        if let Some(prune) = &top.prune {
            for (key, value, least) in [("min_steps", prune.min_steps, 1), ("min_trials", prune.min_trials, 1), ("reduction", prune.reduction, 2)] {
                if value < least {
                    self.fault(&Fault::at(["prune", key], format!("{value} is too small: the least is {least}")));
                }
            }
        }
        top
    }

    /// The `[slurm]` table; where it cannot be read, the defaults.
    fn slurm(&mut self, table: &Table) -> SlurmSection {
        slurm::read(table).unwrap_or_else(|faults| {
            self.faults(faults, &["slurm"]);
            SlurmSection::default()
        })
    }

    /// The sweep's blocks; where it cannot be read, none.
    fn sweep(&mut self) -> Vec<Block> {
        sweep::read(&self.document.table).unwrap_or_else(|mistakes| {
            for Mistake { fault, also } in mistakes {
                let key = |path: &[String]| self.document.place(path, Aim::Key).clone();
                match also {
                    Some((path, word)) => self.diagnostics.push(Diagnostic::from_fault(&fault, key(&fault.path)).also(key(&path), word)),
                    None => self.fault(&fault),
                }
            }
            Vec::new()
        })
    }

    /// Decodes and plans every point of the sweep; what is wrong in several is told once.
    fn trials(&mut self, blocks: &[Block], registry: &Registry) -> Vec<Trial> {
        let mut planner = Planner::new(registry, self.document);
        let mut findings = Findings::default();
        let mut list = TrialList::default();
        for (point, seeds) in blocks.iter().flat_map(|block| block.points().map(move |point| (point, &block.seeds))) {
            let planned = planner.point(&point);
            findings.point(&planned.model);
            match planned.outcome {
                Ok(configured) => {
                    if let Some(fault) = list.add(configured, planned.model, &point, seeds) {
                        self.fault(&fault);
                    }
                }
                Err(found) => found.into_iter().for_each(|finding| findings.add(finding, &planned.model, || in_words(&point))),
            }
        }
        self.diagnostics.extend(findings.told());
        self.diagnostics.extend(planner.what_no_point_reads());
        list.trials
    }
}
