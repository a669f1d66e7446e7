//! One trial: training steps, evaluations, and what they measured.

mod colocalisation;
mod evaluation;
mod guard;
mod heads;
mod keeper;
mod objective;
mod recordings;
mod saved;
mod shown;
mod state;
mod timing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::Device;
use polars::prelude::DataFrame;
use stn_data::{Batch, Dataset, Loader};
use stn_nn::Plan;

use crate::executor::pruning::Pruner;
use crate::store::confusion::Confusion;
use crate::store::{metrics, worst};
use crate::{Error, Monitor, Observer, Result, Trial};
use evaluation::look;
pub(crate) use evaluation::{Evaluated, Evaluation, Moment, evaluate};
pub(crate) use keeper::Keeper;
use objective::Judge;
pub(crate) use objective::Objective;
use state::TrainingState;
pub(crate) use timing::Timing;

/// What a trial works with.
pub(crate) struct Trainer<'a> {
    pub trial: &'a Trial,
    pub plan: &'a Plan,
    pub dataset: &'a Arc<Dataset>,
    pub objective: &'a Objective,
    pub observer: &'a dyn Observer,
    /// Stops trials that are worse than others.
    pub pruner: Option<&'a Pruner>,
    pub stop: Stop<'a>,
    pub device: &'a Device,
    /// Threads that prepare batches.
    pub workers: usize,
}

/// What ends a trial from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop<'a> {
    /// Set where the run is to stop.
    pub cancel: &'a AtomicBool,
    /// Set where the trial is somebody else's by now.
    pub lost: &'a AtomicBool,
}

impl Stop<'_> {
    /// An error where the trial is to end now.
    pub fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) || self.lost.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
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
    pub confusion: Confusion,
    pub warps: DataFrame,
    pub thetas: DataFrame,
    pub worst: DataFrame,
}

impl Trainer<'_> {
    /// Trains to the last step, from the first or from where a checkpoint was made; `measured` holds what was measured even where training fails. A run that is stopped leaves a
    /// checkpoint.
    pub fn train(&self, keeper: &mut Keeper<'_>, measured: &mut Measured) -> Result<Trained> {
        let (train, seed) = (&self.trial.config.train, self.trial.seed);
        let judge = Judge::new(self.objective, seed, train.precision, self.device, self.workers, self.stop)?;
        let mut state = TrainingState::new(self.plan, train, seed, self.device)?;
        if let Some(saved) = keeper.saved()? {
            match state.load(&saved) {
                Ok(()) => tracing::info!(step = state.step, "goes on from a checkpoint"),
                Err(error) => {
                    tracing::warn!("starts anew: {error}");
                    keeper.forget()?;
                    state = TrainingState::new(self.plan, train, seed, self.device)?;
                }
            }
        }
        let begun_at = state.step;
        self.observer.trial_resumed(self.trial, begun_at);
        let mut outcome = self.steps(&mut state, &judge, keeper);
        // Either can be gone on with: a stopped trial by the same command, a pruned one by an experiment that prunes in another way or not at all.
        if matches!(outcome, Err(Error::Cancelled | Error::Pruned(_))) && state.step > 0 {
            // The loss of a checkpoint is the loss of what was trained since the one before, and worth a word.
            if let Err(error) = keeper.save(&state) {
                outcome = Err(Error::Other(format!("stopped, and the last checkpoint could not be written: {error}")));
            }
        }
        measured.steps = state.step;
        measured.rows = std::mem::take(&mut state.rows);
        measured.timing = std::mem::take(&mut state.timing);
        let Evaluated { evaluation, confusion, shown, worst } = outcome?;
        let (warps, thetas) = state.recordings.finish(&shown)?;
        let worst = worst::frame(recordings::bounded(worst))?;
        Ok(Trained { network: state.network, evaluation, confusion, warps, thetas, worst })
    }

    fn steps(&self, state: &mut TrainingState, judge: &Judge, keeper: &mut Keeper<'_>) -> Result<Evaluated> {
        let train = &self.trial.config.train;
        // A checkpoint before the first step has seen them.
        if state.step == 0 && state.recordings.are_empty() {
            let shown = look(state, self.dataset, train, self.trial.seed, judge, self.stop)?;
            state.recordings.add(&shown, train.evaluate_every > 0)?;
        }
        let mut loader = Loader::new(Arc::clone(self.dataset), train.batch, self.trial.seed, state.step, self.workers);
        while !state.stopped && (state.step < train.steps || state.evaluation_due) {
            self.stop.check()?;
            keeper.save_where_due(state)?;
            if state.evaluation_due {
                let Evaluated { evaluation: Evaluation { error, .. }, shown, .. } = self.evaluate(state, judge, Moment::OnTheWay)?;
                state.recordings.add(&shown, recordings::keeps_images(state.step, train))?;
                state.evaluation_due = false;
                self.watch(state, Monitor::TestError, error)?;
                continue;
            }
            self.step(state, judge, &mut loader)?;
        }
        drop(loader);
        state.log_interval();
        // Where an evaluation led to the early stop, the final one takes its row's place.
        state.rows.retain(|row| row.split == metrics::TRAIN || row.step != state.step);
        self.evaluate(state, judge, Moment::End)
    }

    /// One step and what is due after it, but for the evaluation.
    fn step(&self, state: &mut TrainingState, judge: &Judge, loader: &mut Loader) -> Result<()> {
        let train = &self.trial.config.train;
        let begun = Instant::now();
        let batch: Batch = loader.next()?;
        let waited = begun.elapsed();
        let loss = state.train_step(&batch, train, self.trial.seed, judge)?;
        state.timing.step(waited, begun.elapsed());
        self.observer.step(self.trial, state.step, train.steps, loss);
        state.evaluation_due = train.evaluate_every > 0 && state.step.is_multiple_of(train.evaluate_every) && state.step < train.steps;
        if state.step.is_multiple_of(train.log_every) || state.step == train.steps {
            let logged = state.log_interval();
            if let Some(loss) = logged {
                self.watch(state, Monitor::TrainLoss, loss)?;
            }
        }
        Ok(())
    }

    /// Shows a value to the early stop and to the pruner, where they watch such.
    fn watch(&self, state: &mut TrainingState, monitor: Monitor, value: f64) -> Result<()> {
        if let Some(stopper) = state.stopper.as_mut().filter(|stopper| stopper.monitor() == monitor)
            && stopper.stops(value)
        {
            tracing::info!(step = state.step, "stopped early: no better value for {} in a row", stopper.patience());
            state.stopped = true;
        }
        // A trial at its end has nothing to save by being stopped.
        let ends = state.stopped || state.step == self.trial.config.train.steps;
        let data = &self.dataset.provenance().sha256;
        match self.pruner.filter(|_| !ends).map_or(Ok(None), |pruner| pruner.judge(self.trial, data, state.step, monitor, value))? {
            Some(reason) => Err(Error::Pruned(reason)),
            None => Ok(()),
        }
    }

    fn evaluate(&self, state: &mut TrainingState, judge: &Judge, moment: Moment) -> Result<Evaluated> {
        let evaluated = evaluate(state, self.dataset, &self.trial.config.train, self.trial.seed, judge, self.stop, moment)?;
        let evaluation = evaluated.evaluation;
        state.rows.push(metrics::Row { step: state.step, split: metrics::TEST, loss: evaluation.loss, error: evaluation.error, lr: state.lr });
        tracing::info!(step = state.step, loss = evaluation.loss, error = evaluation.error, "test");
        self.observer.evaluated(self.trial, state.step, evaluation.error);
        Ok(evaluated)
    }
}
