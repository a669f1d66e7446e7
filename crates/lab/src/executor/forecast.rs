//! How long trials should take, by those that were measured.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Trial;
use crate::store::{Measured, TrialState};

/// The time that each trial still needs, where one of the same data, network, batch, precision and optimiser was measured; zero for one that needs none.
///
/// Measured is the time of a whole trial by its steps, evaluations included, on whatever machine and beside whatever else it ran.
pub(crate) fn forecast(trials: &[Trial], states: &[TrialState], measured: &[Measured]) -> Vec<Option<Duration>> {
    let mut seconds_a_step: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for measured in measured.iter().filter(|measured| measured.steps > 0) {
        if let Some(cost) = cost(&measured.config) {
            seconds_a_step.entry(cost).or_default().push(measured.seconds / measured.steps as f64);
        }
    }
    seconds_a_step.values_mut().for_each(|seconds| seconds.sort_by(f64::total_cmp));
    let left = |(trial, state): (&Trial, &TrialState)| {
        let steps = trial.config.train.steps;
        let left = match state {
            TrialState::Done { .. } | TrialState::Pruned { .. } | TrialState::Failed { for_good: true, .. } => return Some(Duration::ZERO),
            TrialState::PartDone(step) => steps.saturating_sub(*step),
            TrialState::Running(said) => steps.saturating_sub(said.step),
            TrialState::Failed { .. } | TrialState::ToDo => steps,
        };
        let seconds = seconds_a_step.get(&cost(&trial.config.canonical())?)?;
        Duration::try_from_secs_f64(seconds[seconds.len() / 2] * left as f64).ok()
    };
    trials.iter().zip(states).map(left).collect()
}

/// What a step's time depends on, of a canonical configuration; `None` where it is none.
fn cost(config: &str) -> Option<String> {
    let config: Value = serde_json::from_str(config).ok()?;
    let train = |key: &str| config["train"][key].clone();
    let of = json!([config["dataset"], config["network"], train("batch"), train("precision"), train("optimizer"), train("evaluate_every")]);
    Some(of.to_string())
}
