//! Stops trials that are worse than others.
//!
//! ```text
//! OUT/EXPERIMENT/pruning/RULE/DATA/STEP/ID.json   a trial's value after so many steps, and what was decided
//! ```
//!
//! A decision rests on what was there when the trial came so far, and is kept: a trial that is run again decides nothing anew. Another rule has a folder of its own.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::spec::sections::{PruneRule, PruneSection};
use crate::store::{TrialState, files, metrics};
use crate::{Error, Experiment, Monitor, Result, Trial};

/// A trial's value and what was decided on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Judged {
    value: f64,
    /// Why the trial is stopped, where it is.
    stops: Option<String>,
}

/// The rule of an experiment at work.
#[derive(Debug, Clone)]
pub(crate) struct Pruner {
    rule: PruneSection,
    folder: PathBuf,
}

impl Pruner {
    /// The rule of an experiment, in its folder; `None` where it stops no trial early.
    pub fn new(experiment: &Experiment, dir: &Path) -> Option<Self> {
        let rule = experiment.prune()?.clone();
        let name = short_hash(&serde_json::to_string(&rule).unwrap_or_default());
        Some(Self { rule, folder: dir.join("pruning").join(name) })
    }

    /// Shows the values of a trial that was done before, on data of this SHA-256, to those that come.
    pub fn learn(&self, trial: &Trial, sha256: &str, path: &Path) -> Result<()> {
        let split = if self.rule.metric == Monitor::TestError { metrics::TEST } else { metrics::TRAIN };
        for row in metrics::read(path)?.into_iter().filter(|row| row.split == split && self.decides_after(row.step)) {
            let value = if self.rule.metric == Monitor::TestError { row.error } else { row.loss };
            let path = self.path(trial, sha256, row.step);
            if !path.exists() {
                self.keep(&path, &Judged { value, stops: None })?;
            }
        }
        Ok(())
    }

    /// Whether a trial was stopped by this very rule before, on data of this SHA-256.
    pub fn has_stopped(&self, trial: &Trial, sha256: &str, reason: &str) -> bool {
        let steps = std::fs::read_dir(self.of_data(trial, sha256)).into_iter().flatten().flatten();
        steps.filter_map(|step| read(&step.path().join(format!("{}.json", trial.id)))).any(|judged| judged.stops.as_deref() == Some(reason))
    }

    /// Takes a trial's value after a step, on data of this SHA-256; why it is to be stopped, where it is.
    pub fn judge(&self, trial: &Trial, sha256: &str, step: u64, metric: Monitor, value: f64) -> Result<Option<String>> {
        if metric != self.rule.metric || !self.decides_after(step) {
            return Ok(None);
        }
        let path = self.path(trial, sha256, step);
        if let Some(before) = read(&path) {
            return Ok(before.stops);
        }
        let mut others = self.others(trial, sha256, step);
        others.sort_by(f64::total_cmp);
        let stops = match self.rule.kind {
            PruneRule::Median => median_stops(value, &others, self.rule.min_trials),
            PruneRule::Asha => halving_stops(value, &others, self.rule.reduction),
        };
        let stops = stops.map(|why| format!("{} {} after {step} steps, {why}", self.metric(), short(value)));
        tracing::info!(step, value, others = others.len(), "{}", stops.as_deref().unwrap_or("goes on"));
        self.keep(&path, &Judged { value, stops: stops.clone() })?;
        Ok(stops)
    }

    fn metric(&self) -> &'static str {
        if self.rule.metric == Monitor::TestError { "test error" } else { "training loss" }
    }

    fn decides_after(&self, step: u64) -> bool {
        let PruneSection { kind, min_steps, reduction, .. } = self.rule;
        match kind {
            PruneRule::Median => step >= min_steps,
            PruneRule::Asha => {
                std::iter::successors(Some(min_steps), |rung| rung.checked_mul(reduction)).take_while(|rung| *rung <= step).any(|rung| rung == step)
            }
        }
    }

    /// The values of the other trials on the same data after as many steps.
    fn others(&self, trial: &Trial, sha256: &str, step: u64) -> Vec<f64> {
        let entries = std::fs::read_dir(self.of_data(trial, sha256).join(step.to_string())).into_iter().flatten().flatten().map(|entry| entry.path());
        let others =
            entries.filter(|path| path.extension().is_some_and(|ending| ending == "json") && path.file_stem().is_none_or(|id| id != trial.id.as_str()));
        others.filter_map(|path| read(&path)).map(|judged| judged.value).collect()
    }

    /// The values on the same data: the same settings, and the same content, as files may change under one name.
    fn of_data(&self, trial: &Trial, sha256: &str) -> PathBuf {
        let settings = serde_json::to_string(&trial.config.dataset).unwrap_or_default();
        self.folder.join(short_hash(&format!("{settings} {sha256}")))
    }

    fn path(&self, trial: &Trial, sha256: &str, step: u64) -> PathBuf {
        self.of_data(trial, sha256).join(step.to_string()).join(format!("{}.json", trial.id))
    }

    fn keep(&self, path: &Path, judged: &Judged) -> Result<()> {
        files::create_folder(path.parent().unwrap_or(&self.folder))?;
        files::write_bytes(path, &serde_json::to_vec(judged).map_err(|error| Error::Other(error.to_string()))?)
    }
}

/// Whether a trial that was stopped early stays so in this experiment.
pub(crate) fn stays_pruned(pruner: Option<&Pruner>, trial: &Trial, state: &TrialState) -> bool {
    matches!(state, TrialState::Pruned { reason, data_sha256 } if pruner.is_some_and(|pruner| pruner.has_stopped(trial, data_sha256, reason)))
}

fn read(path: &Path) -> Option<Judged> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn short_hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().chars().take(8).collect()
}

/// A number with four digits behind the point at most.
fn short(number: f64) -> String {
    let digits = format!("{number:.4}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Why the median rule stops a value; `others` are sorted, the smallest first.
fn median_stops(value: f64, others: &[f64], least: u64) -> Option<String> {
    let middle = others.len() / 2;
    let upper = *others.get(middle)?;
    let median = if others.len().is_multiple_of(2) { (others[middle - 1] + upper) / 2.0 } else { upper };
    (others.len() as u64 >= least && value > median).then(|| format!("above the median {} of {} others", short(median), others.len()))
}

/// Why successive halving stops a value; `others` are sorted, the smallest first.
fn halving_stops(value: f64, others: &[f64], reduction: u64) -> Option<String> {
    let better = others.iter().filter(|other| **other < value).count();
    let all = others.len() as u64 + 1;
    let places = all.div_ceil(reduction).max(1);
    (better as u64 >= places).then(|| format!("place {} of {all} so far, of which {places} go on", better + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_rule_waits_for_others_and_stops_what_is_worse() {
        assert_eq!(median_stops(9.0, &[1.0, 2.0], 3), None);
        assert_eq!(median_stops(2.0, &[1.0, 2.0, 3.0], 3), None);
        assert_eq!(median_stops(2.1, &[1.0, 2.0, 3.0], 3), Some("above the median 2 of 3 others".into()));
        assert_eq!(median_stops(2.6, &[1.0, 2.0, 3.0, 4.0], 1), Some("above the median 2.5 of 4 others".into()));
        assert_eq!(median_stops(f64::INFINITY, &[], 1), None);
    }

    #[test]
    fn halving_lets_the_first_and_the_best_in_so_many_go_on() {
        assert_eq!(halving_stops(9.0, &[], 3), None);
        assert_eq!(halving_stops(9.0, &[1.0], 3), Some("place 2 of 2 so far, of which 1 go on".into()));
        assert_eq!(halving_stops(0.5, &[1.0, 2.0], 3), None);
        assert_eq!(halving_stops(1.5, &[1.0, 2.0, 3.0], 3), None);
        assert!(halving_stops(2.5, &[1.0, 2.0, 3.0], 3).is_some());
    }
}
