//! The trials of a sweep, each once.

use std::collections::BTreeMap;

use stn_core::Fault;
use toml::Value;

use super::planner::Configured;
use super::sweep::Assignment;
use super::trial::{Trial, TrialConfig};

/// The trials so far, and where each id is among them.
#[derive(Debug, Default)]
pub(crate) struct TrialList {
    pub trials: Vec<Trial>,
    by_id: BTreeMap<String, usize>,
    /// The model that stands in tables for a label at a seed and the other swept values.
    by_row: BTreeMap<(String, u64, BTreeMap<String, String>), String>,
}

impl TrialList {
    /// Adds a trial for each seed of a point. A point that differs only in keys of other models, or stands in two blocks, is the same trial again and is left out;
    /// two models that are the same network are a fault, and so are two that a table could not tell apart.
    pub fn add(&mut self, configured: Configured, model: String, point: &[&Assignment], seeds: &[u64]) -> Option<Fault> {
        let differs = differs(point);
        for &seed in seeds {
            let config = TrialConfig { seed, ..configured.config.clone() };
            let id = config.id();
            match self.by_id.get(&id).and_then(|i| self.trials.get(*i)) {
                Some(twin) if twin.model != model => {
                    let message = format!("the models `{}` and `{model}` are the same network, trained in the same way", twin.model);
                    return Some(Fault::at(["models", model.as_str()], message).help("change one of them, or take it out"));
                }
                Some(_) => {}
                None => {
                    let others = differs.iter().filter(|(key, _)| *key != "model").map(|(key, value)| (key.clone(), value.clone())).collect();
                    let twin = self.by_row.entry((configured.label.clone(), seed, others)).or_insert_with(|| model.clone());
                    if *twin != model {
                        let message =
                            format!("the models `{twin}` and `{model}` have one label, `{}`, and nothing else tells their trials apart", configured.label);
                        return Some(Fault::at(["models", model.as_str(), "label"], message).help("give one of them another label"));
                    }
                    self.by_id.insert(id.clone(), self.trials.len());
                    let (label, model, differs) = (configured.label.clone(), model.clone(), differs.clone());
                    self.trials.push(Trial { id, label, model, seed, differs, plan: configured.plan.clone(), config });
                }
            }
        }
        None
    }
}

/// The keys and values of a point of the sweep, as text.
pub(crate) fn differs(point: &[&Assignment]) -> BTreeMap<String, String> {
    point.iter().map(|assignment| (assignment.key.name.clone(), value_in_words(&assignment.value))).collect()
}

/// A point of the sweep: `model = cnn, train.lr = 0.1`.
pub(crate) fn in_words(point: &[&Assignment]) -> String {
    point.iter().map(|assignment| format!("{} = {}", assignment.key.name, value_in_words(&assignment.value))).collect::<Vec<_>>().join(", ")
}

fn value_in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}
