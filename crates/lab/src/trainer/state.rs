//! Everything that a training step changes: what a checkpoint has to hold.

use candle_core::{DType, Device, Tensor};
use stn_data::Batch;
use stn_nn::{Gradients, Network, Optimizer, Plan};

use super::Timing;
use super::evaluation::scalar;
use super::guard::Guard;
use super::objective::{Judge, Seen, Verdict};
use super::recordings::Recordings;
use crate::store::{metrics, weights};
use crate::{EarlyStop, Monitor, Result, TrainSpec};

/// The state of training between two steps.
pub(crate) struct TrainingState {
    /// Steps done; the next batch, its distortions and its dropout follow from this number and the seed.
    pub step: u64,
    pub network: Network,
    pub optimizer: Optimizer,
    /// The learning rate of the latest step.
    pub lr: f64,
    /// What was measured so far.
    pub rows: Vec<metrics::Row>,
    /// What the transformers did so far.
    pub recordings: Recordings,
    /// What was measured since the latest row of training.
    pub interval: Interval,
    pub guard: Guard,
    /// Watches for the early stop, where there is one.
    pub stopper: Option<Stopper>,
    /// Whether training has ended before its last step.
    pub stopped: bool,
    /// Whether the evaluation after the latest step is still to be made.
    pub evaluation_due: bool,
    pub timing: Timing,
    device: Device,
}

/// Sums over the steps since the latest row.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Interval {
    pub steps: u64,
    pub loss: f64,
    pub images: u64,
    pub wrong: u64,
}

impl TrainingState {
    /// Before the first step.
    pub fn new(plan: &Plan, train: &TrainSpec, seed: u64, device: &Device) -> Result<Self> {
        let network = Network::new(plan, seed, train.precision.dtype(), device)?;
        if let Some(spec) = plan.weights() {
            weights::start(&network, spec)?;
        }
        let optimizer = Optimizer::new(&train.optimizer, network.parameters())?;
        Ok(Self {
            step: 0,
            network,
            optimizer,
            lr: train.lr,
            rows: Vec::new(),
            recordings: Recordings::new()?,
            interval: Interval::default(),
            guard: Guard::default(),
            stopper: train.early_stop.as_ref().map(Stopper::new),
            stopped: false,
            evaluation_due: false,
            timing: Timing::default(),
            device: device.clone(),
        })
    }

    /// A batch's images on the device.
    pub fn placed(&self, batch: &Batch, dtype: DType) -> Result<Tensor> {
        Ok(batch.images.to_device(&self.device)?.to_dtype(dtype)?)
    }

    /// One step: forward, loss, backward, clip, update. Gives the loss.
    pub fn train_step(&mut self, batch: &Batch, train: &TrainSpec, seed: u64, judge: &Judge) -> Result<f64> {
        let images = self.placed(batch, train.precision.dtype())?;
        let recorded = self.network.record(&images, seed, self.step)?;
        let seen = Seen { batch, images: &images, warps: recorded.warps(), key: (seed, "random pieces", self.step) };
        let (loss, gradient) = recorded.loss(|output| judge.loss(output, &seen).map_err(candle_core::Error::wrap))?;
        let value = scalar(&loss)?;
        self.guard.check(self.step + 1, value, recorded.warps(), &self.network)?;
        let verdicts = judge.verdicts(recorded.logits(), &seen)?;
        self.lr = train.lr * train.schedule.factor(self.step, train.steps);
        match train.clip {
            Some(norm) => {
                let mut gradients = Gradients::default();
                recorded.backward(&gradient, |parameter, gradient| gradients.set(parameter, &gradient))?;
                gradients.clip(norm)?;
                self.optimizer.step(&gradients, self.lr)?;
            }
            None => {
                self.optimizer.begin(self.lr);
                recorded.backward(&gradient, |parameter, gradient| self.optimizer.update(parameter, &gradient))?;
            }
        }
        self.step += 1;
        self.interval.add(value, &verdicts);
        Ok(value)
    }

    /// Ends the interval with a row, and gives its mean loss; nothing where no step was made since the last row.
    pub fn log_interval(&mut self) -> Option<f64> {
        let Interval { steps, loss, images, wrong } = std::mem::take(&mut self.interval);
        if steps == 0 {
            return None;
        }
        let (loss, error) = (loss / steps as f64, 100.0 * wrong as f64 / images.max(1) as f64);
        self.rows.push(metrics::Row { step: self.step, split: metrics::TRAIN, loss, error, lr: self.lr });
        tracing::info!(step = self.step, loss, error, lr = self.lr, "train");
        Some(loss)
    }
}

impl Interval {
    fn add(&mut self, loss: f64, verdicts: &[Verdict]) {
        self.steps += 1;
        self.loss += loss;
        self.images += verdicts.len() as u64;
        self.wrong += verdicts.iter().filter(|verdict| verdict.wrong).count() as u64;
    }
}

/// Watches for values that get no better.
pub(crate) struct Stopper {
    rule: EarlyStop,
    best: f64,
    worse: u64,
}

impl Stopper {
    pub fn new(rule: &EarlyStop) -> Self {
        Self { rule: rule.clone(), best: f64::INFINITY, worse: 0 }
    }

    pub fn monitor(&self) -> Monitor {
        self.rule.monitor
    }

    pub fn patience(&self) -> u64 {
        self.rule.patience
    }

    /// The best value so far, and how many after it were no better.
    pub fn held(&self) -> (f64, u64) {
        (self.best, self.worse)
    }

    /// Goes on from what was held.
    pub fn hold(&mut self, best: f64, worse: u64) {
        (self.best, self.worse) = (best, worse);
    }

    /// Takes the next value; whether it is time to stop.
    pub fn stops(&mut self, value: f64) -> bool {
        if value < self.best - self.rule.least_gain {
            (self.best, self.worse) = (value, 0);
        } else {
            self.worse += 1;
        }
        self.worse >= self.rule.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_values_in_a_row_that_are_no_better() {
        let mut stopper = Stopper::new(&EarlyStop { patience: 2, least_gain: 0.1, ..EarlyStop::default() });
        let stops: Vec<bool> = [1.0, 0.95, 0.5, 0.45, 0.45].into_iter().map(|value| stopper.stops(value)).collect();
        assert_eq!(stops, [false, false, false, false, true]);
    }
}
