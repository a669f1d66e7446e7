//! How long trials should take, by those that were measured.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::Trial;
use crate::store::TrialState;

/// The time that each trial still needs, where one of the same data, network, batch and precision has ended; zero for one that needs none.
///
/// Measured is the time of a whole trial by its steps, evaluations included, on whatever machine and beside whatever else it ran.
pub(crate) fn forecast(trials: &[Trial], states: &[TrialState]) -> Vec<Option<Duration>> {
    let mut measured: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (trial, state) in trials.iter().zip(states) {
        if let TrialState::Done { steps, seconds, .. } = state
            && *steps > 0
        {
            measured.entry(cost(trial)).or_default().push(seconds / *steps as f64);
        }
    }
    measured.values_mut().for_each(|seconds| seconds.sort_by(f64::total_cmp));
    let left = |(trial, state): (&Trial, &TrialState)| {
        let steps = trial.config.train.steps;
        let left = match state {
            TrialState::Done { .. } | TrialState::Failed { for_good: true, .. } => return Some(Duration::ZERO),
            TrialState::PartDone(step) => steps.saturating_sub(*step),
            TrialState::Running(said) => steps.saturating_sub(said.step),
            TrialState::Failed { .. } | TrialState::ToDo => steps,
        };
        let seconds = measured.get(&cost(trial))?;
        Duration::try_from_secs_f64(seconds[seconds.len() / 2] * left as f64).ok()
    };
    trials.iter().zip(states).map(left).collect()
}

/// What a step's time depends on.
fn cost(trial: &Trial) -> String {
    let config = &trial.config;
    let train = &config.train;
    json!([config.dataset, config.network, train.batch, train.precision, train.optimizer, train.evaluate_every]).to_string()
}
