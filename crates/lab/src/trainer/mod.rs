//! One trial: training steps, evaluations, and what they measured.

mod evaluation;
mod guard;
mod state;
mod timing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::Device;
use stn_data::{Dataset, Loader};
use stn_nn::Plan;

use crate::store::{metrics, warps};
use crate::{Error, Monitor, Observer, Result, Trial};
pub(crate) use evaluation::{Evaluation, evaluate};
use state::{Stopper, TrainingState};
pub(crate) use timing::Timing;

/// What a trial works with.
pub(crate) struct Trainer<'a> {
    pub trial: &'a Trial,
    pub plan: &'a Plan,
    pub dataset: &'a Arc<Dataset>,
    pub observer: &'a dyn Observer,
    pub cancel: &'a AtomicBool,
    pub device: &'a Device,
    /// Threads that prepare batches.
    pub workers: usize,
}

/// What a trial measured, whether it ended well or not.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub steps: u64,
    pub rows: Vec<metrics::Row>,
    pub timing: Timing,
}

/// A trial that ended well.
pub(crate) struct Trained {
    pub network: stn_nn::Network,
    pub evaluation: Evaluation,
    pub warps: Vec<warps::Row>,
}

impl Trainer<'_> {
    /// Trains from the first step to the last; `measured` holds what was measured even where training fails.
    pub fn train(&self, measured: &mut Measured) -> Result<Trained> {
        let mut state = TrainingState::new(self.plan, self.trial, self.device)?;
        let outcome = self.steps(&mut state);
        measured.steps = state.step;
        measured.rows = std::mem::take(&mut state.rows);
        measured.timing = std::mem::take(&mut state.timing);
        let (evaluation, warps) = outcome?;
        Ok(Trained { network: state.network, evaluation, warps })
    }

    fn steps(&self, state: &mut TrainingState) -> Result<(Evaluation, Vec<warps::Row>)> {
        let train = &self.trial.config.train;
        let mut loader = Loader::new(Arc::clone(self.dataset), train.batch, self.trial.seed, state.step, self.workers);
        while state.step < train.steps {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let begun = Instant::now();
            let batch = loader.next()?;
            let waited = begun.elapsed();
            let loss = state.train_step(&batch, self.trial)?;
            state.timing.step(waited, begun.elapsed());
            self.observer.step(self.trial, state.step, train.steps, loss);
            let (mut logged, mut evaluated) = (None, None);
            if state.step.is_multiple_of(train.log_every) || state.step == train.steps {
                logged = state.log_interval();
            }
            if train.evaluate_every > 0 && state.step.is_multiple_of(train.evaluate_every) && state.step < train.steps {
                evaluated = Some(self.evaluate(state, &mut None)?.error);
            }
            let watched = match state.stopper.as_ref().map(Stopper::monitor) {
                Some(Monitor::TrainLoss) => logged,
                Some(Monitor::TestError) => evaluated,
                None => None,
            };
            if let (Some(stopper), Some(value)) = (state.stopper.as_mut(), watched)
                && stopper.stops(value)
            {
                tracing::info!(step = state.step, "stopped early: no better value for {} in a row", stopper.patience());
                break;
            }
        }
        state.log_interval();
        // Where an evaluation led to the early stop, the final one takes its row's place.
        state.rows.retain(|row| row.split == "train" || row.step != state.step);
        let mut warps = Some(Vec::new());
        let evaluation = self.evaluate(state, &mut warps)?;
        Ok((evaluation, warps.unwrap_or_default()))
    }

    fn evaluate(&self, state: &mut TrainingState, warps: &mut Option<Vec<warps::Row>>) -> Result<Evaluation> {
        let evaluation = evaluate(state, self.dataset, &self.trial.config.train, self.cancel, warps)?;
        state.rows.push(metrics::Row { step: state.step, split: "test", loss: evaluation.loss, error: evaluation.error, lr: state.lr });
        tracing::info!(step = state.step, loss = evaluation.loss, error = evaluation.error, "test");
        self.observer.evaluated(self.trial, state.step, evaluation.error);
        Ok(evaluation)
    }
}
