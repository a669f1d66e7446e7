//! What the page's script reads: trials, curves, configurations and pictures as one JSON object.

use super::curves::{self, rounded};
use super::facts::{COLUMNS, Facts};
use crate::query::{Measurement, Store, Trial};
use crate::summary::Summary;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The whole of it.
pub fn json(summary: &Summary, store: &Store, measurements: &[Measurement], facts: &Facts) -> Value {
    let (curves, thinned) = curves::json(measurements, store.trials.len());
    let (keys, trials) = trials(summary, store, facts);
    json!({
        "series": summary.series.iter().map(|series| &series.label).collect::<Vec<_>>(),
        "distortions": summary.distortions,
        "keys": keys,
        "trials": trials,
        "unfinished": store.unfinished,
        "curves": curves,
        "thinned": thinned,
        "configurations": configurations(&facts.configs),
        "facts": environment(facts),
    })
}

/// The keys that trials are told apart by, and the trials in the order of the tables.
fn trials(summary: &Summary, store: &Store, facts: &Facts) -> (Vec<String>, Vec<Value>) {
    let keys: BTreeSet<&str> = store.trials.iter().flat_map(|trial| &trial.swept).map(|(key, _)| key.as_str()).collect();
    let wall = COLUMNS.iter().position(|(name, _)| *name == "wall_seconds");
    let places: BTreeMap<(&str, &str), usize> = summary.series.iter().enumerate().map(|(i, s)| ((s.model.as_str(), s.variant.as_str()), i)).collect();
    let series = |trial: &Trial| places.get(&(trial.label.as_str(), trial.variant.as_str())).copied();
    let trial = |(i, trial): (usize, &Trial)| {
        let seconds = wall.and_then(|wall| facts.texts.get(i)?[wall].as_ref()?.parse::<f64>().ok());
        let values: Vec<Option<&str>> = keys.iter().map(|key| trial.swept.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())).collect();
        json!({
            "id": trial.id,
            "model": trial.label,
            "series": series(trial),
            "distortion": trial.distortion,
            "values": values,
            "seed": trial.seed,
            "error": rounded(trial.test_error),
            "parameters": trial.parameters,
            "steps": trial.steps,
            "ms": rounded(trial.step_ms),
            "seconds": seconds.map(rounded),
            "status": trial.status,
        })
    };
    (keys.iter().map(|key| key.to_string()).collect(), store.trials.iter().enumerate().map(trial).collect())
}

/// The parts of the configurations (data set, network, training ...), each once, and which of them every trial has.
fn configurations(configs: &[Option<String>]) -> Value {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut parts: Vec<Value> = Vec::new();
    let mut part = |key: &str, value: &Value| {
        let part = json!({ key: value });
        *known.entry(part.to_string()).or_insert_with(|| {
            parts.push(part);
            parts.len() - 1
        })
    };
    let parsed = configs.iter().map(|config| serde_json::from_str::<Map<String, Value>>(config.as_deref()?).ok());
    let trials: Vec<Option<Vec<usize>>> = parsed.map(|config| config.map(|config| config.iter().map(|(key, value)| part(key, value)).collect())).collect();
    json!({ "parts": parts, "trials": trials })
}

/// The texts of the facts, each once, and which of them every trial has.
fn environment(facts: &Facts) -> Value {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut texts: Vec<&str> = Vec::new();
    let mut trials: Vec<Vec<Option<usize>>> = Vec::new();
    for of_trial in &facts.texts {
        let mut row = Vec::new();
        for text in of_trial {
            row.push(text.as_deref().map(|text| {
                *known.entry(text).or_insert_with(|| {
                    texts.push(text);
                    texts.len() - 1
                })
            }));
        }
        trials.push(row);
    }
    json!({ "names": COLUMNS.map(|(name, _)| name), "texts": texts, "trials": trials })
}
