//! Decodes and plans the points of a sweep.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use stn_core::{Fault, Registry, parameters};
use stn_data::DatasetSpec;
use stn_nn::{Ending, NetworkSpec, Plan};
use toml::{Table, Value};

use super::diagnostics::Diagnostic;
use super::document::Document;
use super::findings::Finding;
use super::resolve::{Resolved, locate};
use super::sweep::Assignment;
use super::train::{TrainSection, TrainSpec};
use super::trial::TrialConfig;
use crate::store::weights::{self, Found};

/// A point of the sweep, decoded and planned; the seed is still to be given.
#[derive(Debug, Clone)]
pub(crate) struct Configured {
    pub label: String,
    pub plan: Option<Arc<Plan>>,
    pub config: TrialConfig,
}

/// What came of a point.
pub(crate) struct Planned {
    /// The model's name, empty where it is unknown.
    pub model: String,
    pub outcome: Result<Configured, Vec<Finding>>,
}

type Read<T> = Result<T, Vec<Fault>>;

/// Reads each different section once, however many points share it.
pub(crate) struct Planner<'a> {
    registry: &'a Registry,
    document: &'a Document,
    datasets: BTreeMap<String, Read<DatasetSpec>>,
    networks: BTreeMap<String, Read<NetworkSpec>>,
    /// What each file of weights holds, or why it cannot be read.
    weights: BTreeMap<PathBuf, Result<Found, String>>,
    training: BTreeMap<String, Read<TrainSpec>>,
    plans: BTreeMap<(String, Vec<usize>, Ending), Read<Arc<Plan>>>,
    used: Vec<String>,
}

impl<'a> Planner<'a> {
    pub fn new(registry: &'a Registry, document: &'a Document) -> Self {
        let (datasets, networks, weights, training, plans) = Default::default();
        Self { registry, document, datasets, networks, weights, training, plans, used: Vec::new() }
    }

    /// Decodes and plans a point.
    pub fn point(&mut self, point: &[&Assignment]) -> Planned {
        let resolved = match Resolved::new(self.document, point) {
            Ok(resolved) => resolved,
            Err(faults) => {
                let finding = |fault: &Fault| Finding { diagnostic: self.shown(fault), in_sweep: true, in_draw: false, in_model: false };
                return Planned { model: String::new(), outcome: Err(faults.iter().map(finding).collect()) };
            }
        };
        let model = resolved.model.clone();
        if !self.used.contains(&model) {
            self.used.push(model.clone());
        }
        let mut faults = Vec::new();
        let outcome = self.configure(&resolved, &mut faults).ok_or_else(|| {
            let finding = |fault: &Fault| Finding {
                diagnostic: Diagnostic::from_fault(&with_whole_bounds(fault, &resolved), resolved.place(self.document, fault).clone()),
                in_sweep: resolved.in_sweep(fault),
                in_draw: resolved.in_draw(fault),
                in_model: resolved.in_model(fault),
            };
            faults.iter().map(finding).collect()
        });
        Planned { model, outcome }
    }

    /// The point; `None` and faults where something in it is wrong.
    fn configure(&mut self, resolved: &Resolved, faults: &mut Vec<Fault>) -> Option<Configured> {
        // A data set that is missing altogether was reported where the top level was read.
        let dataset = if resolved.dataset.is_empty() && !self.document.table.contains_key("dataset") {
            None
        } else {
            collect(self.dataset(&resolved.dataset), &["dataset"], faults)
        };
        let train = collect(self.train(&resolved.train), &["train"], faults);
        let below = ["models", resolved.model.as_str()];
        let network = collect(self.network(&resolved.network), &below, faults);
        let shape = dataset.as_ref().and_then(DatasetSpec::shape_hint);
        let plan = match (&network, shape) {
            (Some(network), Some((shape, outputs))) => {
                let ending = train.as_ref().map_or(Ending::Classes(outputs), |train| train.objective.ending(outputs));
                collect(self.plan(&resolved.network, network, shape, ending), &below, faults)
            }
            _ => None,
        };
        if let (Some(train), Some(plan)) = (&train, &plan) {
            faults.extend(train.objective.misfit(plan).or_else(|| plan.misfit_of_batch(train.batch)).map(|fault| fault.below(below)));
        }
        let misfits = train.as_ref().map(|train| train.objective.misfits(self.registry)).unwrap_or_default();
        faults.extend(misfits.into_iter().map(|fault| fault.below(["train"])));
        let config = TrialConfig { dataset: dataset?, network: network?, train: train?, seed: 0 };
        faults.is_empty().then(|| Configured { label: resolved.label.clone(), plan, config })
    }

    /// The mistakes in what no point has read: models that are not used and, where no point could be resolved at all, the data set and training as they stand.
    pub fn what_no_point_reads(&mut self) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        let document = self.document;
        for (name, model) in document.table.get("models").and_then(Value::as_table).into_iter().flatten() {
            if let (Value::Table(model), false) = (model, self.used.contains(name)) {
                let mut network = model.clone();
                network.remove("label");
                if let Some(Value::Table(own)) = network.remove("train") {
                    collect(parameters::decode::<TrainSection>(&own), &["models", name, "train"], &mut faults);
                }
                collect(self.network(&network), &["models", name], &mut faults);
            }
        }
        if self.used.is_empty() {
            let section = |name: &str| document.table.get(name).and_then(Value::as_table).cloned();
            section("dataset").map(|table| collect(self.dataset(&table), &["dataset"], &mut faults));
            section("train").map(|table| collect(self.train(&table), &["train"], &mut faults));
        }
        faults.iter().map(|fault| self.shown(fault)).collect()
    }

    fn shown(&self, fault: &Fault) -> Diagnostic {
        Diagnostic::from_fault(fault, locate(self.document, &[], fault).clone())
    }

    fn dataset(&mut self, table: &Table) -> Read<DatasetSpec> {
        self.datasets.entry(key(table)).or_insert_with(|| DatasetSpec::from_value(&Value::Table(table.clone()))).clone()
    }

    fn network(&mut self, table: &Table) -> Read<NetworkSpec> {
        let Self { networks, weights, .. } = self;
        let read = || {
            let mut network = NetworkSpec::from_value(&Value::Table(table.clone()))?;
            if let Some(file) = network.weights().map(|weights| weights.file.clone()) {
                let found = weights.entry(file).or_insert_with_key(|file| weights::look(file)).clone();
                let (hash, shapes) = found.map_err(|message| {
                    let help =
                        "a run leaves such a file in its results as trials/ID/weights.safetensors; its path is from the folder in which the command is given";
                    vec![Fault::at(["weights"], message).help(help)]
                })?;
                network.weights_found(hash, shapes);
            }
            Ok(network)
        };
        networks.entry(key(table)).or_insert_with(read).clone()
    }

    fn train(&mut self, table: &Table) -> Read<TrainSpec> {
        self.training.entry(key(table)).or_insert_with(|| TrainSpec::from_table(table)).clone()
    }

    fn plan(&mut self, table: &Table, network: &NetworkSpec, shape: Vec<usize>, ending: Ending) -> Read<Arc<Plan>> {
        let planned = || Plan::new(network, shape.clone(), ending.clone(), self.registry).map(Arc::new);
        self.plans.entry((key(table), shape.clone(), ending.clone())).or_insert_with(planned).clone()
    }
}

/// With a word on whole bounds, where a number drawn should have been a whole one.
fn with_whole_bounds(fault: &Fault, resolved: &Resolved<'_>) -> Fault {
    let whole = fault.help.is_none() && fault.message.starts_with("invalid type: floating point") && !fault.message.contains("expected f");
    if whole && resolved.in_draw(fault) { fault.clone().help("for whole numbers write whole bounds, such as [8, 64]") } else { fault.clone() }
}

fn key(table: &Table) -> String {
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
