//! What a run tells while it runs.

use crate::Trial;

/// Hears what a run does, for example to draw a progress bar. Called from the threads that train, so answer quickly; where several trials run at once, from several threads.
pub trait Observer: Send + Sync {
    /// Trial number `index` (from 0) of the experiment starts; it has `steps` steps.
    fn trial_started(&self, trial: &Trial, index: usize, steps: u64) {
        let _ = (trial, index, steps);
    }

    /// The trial goes on after `step` steps, 0 where it begins.
    fn trial_resumed(&self, trial: &Trial, step: u64) {
        let _ = (trial, step);
    }

    /// `step` of `steps` steps are done; the last one's training loss.
    fn step(&self, trial: &Trial, step: u64, steps: u64, loss: f64) {
        let _ = (trial, step, steps, loss);
    }

    /// The network was evaluated on the test part after `step` steps: its test error in percent.
    fn evaluated(&self, trial: &Trial, step: u64, error: f64) {
        let _ = (trial, step, error);
    }

    /// Trial number `index` has failed for this reason, and is tried again.
    fn trial_retried(&self, trial: &Trial, index: usize, reason: &str) {
        let _ = (trial, index, reason);
    }

    /// Somebody else works at trial number `index`: `by`, in words. It comes last.
    fn trial_held(&self, trial: &Trial, index: usize, by: &str) {
        let _ = (trial, index, by);
    }

    /// Nothing is left to begin but so many trials that others work at: the run waits for them.
    fn waiting(&self, trials: usize) {
        let _ = trials;
    }

    /// Trial number `index` has ended, or was found done: what came of it, in words.
    fn trial_finished(&self, trial: &Trial, index: usize, outcome: &str) {
        let _ = (trial, index, outcome);
    }
}

/// An observer that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
