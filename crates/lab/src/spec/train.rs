//! The `[train]` section.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::{Fault, parameters};
use stn_nn::{OptimizerSpec, ScheduleSpec};
use toml::{Table, Value};

use super::objective::ObjectiveSpec;
use super::sections::{Choice, Section};

/// The most steps a trial may have; more is a slip of the keyboard.
const MOST_STEPS: u64 = 10_000_000_000;
/// The largest batch.
const MOST_IMAGES: usize = 1 << 20;

/// The number a network computes in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 64 bits.
    F64,
    /// 32 bits, of which convolutions on graphics cards multiply the first ten of the fraction (TensorFloat-32), as PyTorch's do by default: faster on cards with tensor cores, and
    /// some 1e-3 off. The processor computes as with `f32`.
    Tf32,
}

impl Precision {
    /// As candle names it.
    pub fn dtype(self) -> candle_core::DType {
        match self {
            Self::F32 | Self::Tf32 => candle_core::DType::F32,
            Self::F64 => candle_core::DType::F64,
        }
    }
}

/// What early stopping watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// The mean training loss of each log interval.
    #[default]
    TrainLoss,
    /// The test error of each evaluation. No part is held out for validation, so the reported test error is then chosen on the test set, and a little too good.
    TestError,
}

/// `early_stop`: when to stop before the last step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EarlyStop {
    /// Stop after this many values in a row that are no better than the best, at least 1.
    pub patience: u64,
    /// What is watched: `train_loss` (each log interval) or `test_error` (each evaluation; then the test error reported is a little too good).
    pub monitor: Monitor,
    /// How much less than the best counts as better.
    pub least_gain: f64,
}

impl Default for EarlyStop {
    fn default() -> Self {
        Self { patience: 10, monitor: Monitor::TrainLoss, least_gain: 0.0 }
    }
}

/// The `[train]` section as declared.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct TrainSection {
    /// Training steps, one batch each.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// The learning rate, before the schedule's factor and a layer's `lr_factor`.
    pub lr: f64,
    /// What the network is trained for: `classify`, or a table with a `kind` and its parameters.
    pub objective: Choice,
    /// The optimiser: a name, or a table with a `kind` and its parameters.
    pub optimizer: Choice,
    /// The learning-rate schedule: a name, or a table with a `kind` and its parameters.
    pub schedule: Choice,
    /// The largest norm of all gradients together; larger ones are scaled down to it. Not clipped where not given.
    pub clip: Option<f64>,
    /// Evaluate on the test part every so many steps; 0 for only at the end.
    pub evaluate_every: u64,
    /// When to stop before the last step: a table with `patience`, `monitor` and `least_gain`. Not stopped where not given.
    pub early_stop: Option<Section>,
    /// Write the mean training loss and error every so many steps.
    pub log_every: u64,
    /// The number the network computes in.
    pub precision: Precision,
}

impl Default for TrainSection {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 256,
            lr: 0.01,
            objective: Choice(Value::String("classify".into())),
            optimizer: Choice(Value::String("sgd".into())),
            schedule: Choice(Value::String("constant".into())),
            clip: None,
            evaluate_every: 0,
            early_stop: None,
            log_every: 100,
            precision: Precision::F32,
        }
    }
}

/// How to train: the `[train]` section, read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainSpec {
    /// Training steps, one batch each; at least 1.
    pub steps: u64,
    /// Images a step, at least 1.
    pub batch: usize,
    /// The learning rate, above 0.
    pub lr: f64,
    /// What the network is trained for.
    #[serde(skip_serializing_if = "ObjectiveSpec::is_default")]
    pub objective: ObjectiveSpec,
    /// The optimiser.
    pub optimizer: OptimizerSpec,
    /// The learning-rate schedule.
    pub schedule: ScheduleSpec,
    /// The largest norm of all gradients together.
    pub clip: Option<f64>,
    /// Evaluate every so many steps; 0 for only at the end.
    pub evaluate_every: u64,
    /// When to stop before the last step.
    pub early_stop: Option<EarlyStop>,
    /// Write metrics every so many steps, at least 1.
    pub log_every: u64,
    /// The number the network computes in.
    pub precision: Precision,
}

impl TrainSpec {
    /// Reads the `[train]` table.
    ///
    /// # Errors
    ///
    /// Every fault, with its path in the table.
    pub fn from_table(table: &Table) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let section = match parameters::decode::<TrainSection>(table) {
            Ok(section) => section,
            Err(found) => {
                // What can be read is checked as well, so that every mistake is shown at once.
                let wrong: Vec<_> = found.iter().filter_map(|fault| fault.path.first().cloned()).collect();
                faults.extend(found);
                let rest: Table = table.iter().filter(|(key, _)| !wrong.contains(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
                parameters::decode::<TrainSection>(&rest).unwrap_or_default()
            }
        };
        faults.extend(section.out_of_range());
        let objective = keep(ObjectiveSpec::from_value(&section.objective.0), "objective", &mut faults);
        let optimizer = keep(OptimizerSpec::from_value(&section.optimizer.0), "optimizer", &mut faults);
        let schedule = keep(ScheduleSpec::from_value(&section.schedule.0), "schedule", &mut faults);
        let early_stop = section.early_stop.as_ref().and_then(|table| keep(parameters::decode::<EarlyStop>(&table.0), "early_stop", &mut faults));
        if early_stop.as_ref().is_some_and(|stop| stop.patience == 0) {
            faults.push(Fault::at(["early_stop", "patience"], "must be at least 1"));
        }
        if early_stop.as_ref().is_some_and(|stop| stop.monitor == Monitor::TestError) && section.evaluate_every == 0 {
            faults.push(
                Fault::at(["early_stop", "monitor"], "`test_error` is known only where `evaluate_every` is given")
                    .help("set evaluate_every, for example to 500"),
            );
        }
        if objective.as_ref().is_some_and(|objective| !objective.is_default()) && section.batch < 2 {
            faults.push(Fault::at(["batch"], "must be at least 2, so that there are images to compare"));
        }
        match (objective, optimizer, schedule) {
            (Some(objective), Some(optimizer), Some(schedule)) if faults.is_empty() => Ok(Self {
                steps: section.steps,
                batch: section.batch,
                lr: section.lr,
                objective,
                optimizer,
                schedule,
                clip: section.clip,
                evaluate_every: section.evaluate_every,
                early_stop,
                log_every: section.log_every,
                precision: section.precision,
            }),
            _ => Err(faults),
        }
    }
}

impl TrainSection {
    fn out_of_range(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut check = |right: bool, key: &str, message: String| {
            if !right {
                faults.push(Fault::at([key], message));
            }
        };
        check((1..=MOST_STEPS).contains(&self.steps), "steps", format!("must be from 1 to {MOST_STEPS}, not {}", self.steps));
        check((1..=MOST_IMAGES).contains(&self.batch), "batch", format!("must be from 1 to {MOST_IMAGES}, not {}", self.batch));
        check(self.lr > 0.0 && self.lr.is_finite(), "lr", format!("must be a finite number above 0, not {}", self.lr));
        check(self.clip.is_none_or(|norm| norm > 0.0 && norm.is_finite()), "clip", "must be a finite number above 0; leave it out to clip nothing".into());
        check((1..=MOST_STEPS).contains(&self.log_every), "log_every", format!("must be from 1 to {MOST_STEPS}, not {}", self.log_every));
        check(self.evaluate_every <= MOST_STEPS, "evaluate_every", format!("must be from 0 to {MOST_STEPS}, not {}", self.evaluate_every));
        faults
    }
}

fn keep<T>(read: Result<T, Vec<Fault>>, key: &str, faults: &mut Vec<Fault>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(found) => {
            faults.extend(found.into_iter().map(|fault| fault.below([key])));
            None
        }
    }
}
