//! Optimisers whose state can be read, saved and restored.
//!
//! The updates are those of `torch.optim` (SGD, Adam, AdamW), term by term. A parameter's learning rate is the step's times its `lr_factor`; weight decay touches only
//! parameters with `decay`; a parameter without a gradient is left alone.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::PluginSpec;
use stn_core::parameters::{self, Fault};
use stn_ops::{AdamUpdate, Gradient, SgdUpdate};
use toml::Value;

use crate::{Error, Gradients, Parameter, Result};

const KINDS: [&str; 3] = ["sgd", "adam", "adamw"];

/// An optimiser, as written in a file: `"sgd"` or `{ kind = "sgd", momentum = 0.9 }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum OptimizerSpec {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam (Kingma & Ba, 2015), weight decay as an L2 term of the loss.
    Adam(Adam),
    /// Adam with decoupled weight decay (Loshchilov & Hutter, 2019).
    AdamW(AdamW),
}

/// The parameters of stochastic gradient descent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sgd {
    /// How much of the last step is kept, from 0 to below 1.
    pub momentum: f64,
    /// Nesterov's momentum: looks one step ahead.
    pub nesterov: bool,
    /// The factor of the L2 term, added to the gradient.
    pub weight_decay: f64,
}

/// The parameters of Adam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Adam {
    /// How slowly the mean of the gradient moves, from 0 to below 1.
    pub beta1: f64,
    /// How slowly the mean of its square moves, from 0 to below 1.
    pub beta2: f64,
    /// Added to the divisor.
    pub epsilon: f64,
    /// The factor of the L2 term, added to the gradient.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// The parameters of AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AdamW {
    /// How slowly the mean of the gradient moves, from 0 to below 1.
    pub beta1: f64,
    /// How slowly the mean of its square moves, from 0 to below 1.
    pub beta2: f64,
    /// Added to the divisor.
    pub epsilon: f64,
    /// The share of a weight that each step takes away, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl Default for OptimizerSpec {
    fn default() -> Self {
        Self::Sgd(Sgd::default())
    }
}

impl OptimizerSpec {
    /// Reads a name, or a table with a `kind`.
    ///
    /// # Errors
    ///
    /// Every mistake, at its path from the value.
    pub fn from_value(value: &Value) -> std::result::Result<Self, Vec<Fault>> {
        let PluginSpec { kind, parameters: table } = PluginSpec::from_value(value).map_err(|fault| vec![fault])?;
        let spec = match kind.as_str() {
            "sgd" => Self::Sgd(parameters::decode(&table)?),
            "adam" => Self::Adam(parameters::decode(&table)?),
            "adamw" => Self::AdamW(parameters::decode(&table)?),
            other => {
                let path: &[&str] = if value.is_table() { &["kind"] } else { &[] };
                return Err(vec![Fault::unknown(path.iter().copied(), "optimizer", other, &KINDS)]);
            }
        };
        let faults = spec.out_of_range();
        if faults.is_empty() { Ok(spec) } else { Err(faults) }
    }

    fn out_of_range(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut check = |key: &str, value: f64, fits: bool, what: &str| {
            if !fits {
                faults.push(Fault::at([key], format!("expected {what}, found {value}")));
            }
        };
        let share = |x: f64| (0.0..1.0).contains(&x);
        let decay = match self {
            Self::Sgd(Sgd { momentum, nesterov, weight_decay }) => {
                check("momentum", *momentum, share(*momentum), "a number from 0 to below 1");
                check("nesterov", *momentum, !nesterov || *momentum > 0.0, "a momentum above 0 beside it");
                *weight_decay
            }
            Self::Adam(Adam { beta1, beta2, epsilon, weight_decay }) | Self::AdamW(AdamW { beta1, beta2, epsilon, weight_decay }) => {
                check("beta1", *beta1, share(*beta1), "a number from 0 to below 1");
                check("beta2", *beta2, share(*beta2), "a number from 0 to below 1");
                check("epsilon", *epsilon, *epsilon > 0.0 && epsilon.is_finite(), "a number above 0");
                *weight_decay
            }
        };
        check("weight_decay", decay, decay >= 0.0 && decay.is_finite(), "a number of 0 or more");
        faults
    }

    /// The names of the tensors kept for a parameter.
    pub fn kept(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(Sgd { momentum: 0.0, .. }) => &[],
            Self::Sgd(_) => &["momentum"],
            Self::Adam(_) | Self::AdamW(_) => &["first_moment", "second_moment"],
        }
    }
}

/// An optimiser at work on a network's parameters.
#[derive(Debug)]
pub struct Optimizer {
    spec: OptimizerSpec,
    slots: Vec<Slot>,
    steps: i64,
    /// The learning rate of the step that was begun last.
    lr: f64,
}

/// A parameter and what is kept for it, in the order of [`OptimizerSpec::kept`].
#[derive(Debug)]
struct Slot {
    parameter: Parameter,
    kept: Vec<Tensor>,
}

impl Optimizer {
    /// An optimiser that has made no step: everything it keeps is zero.
    ///
    /// # Errors
    ///
    /// Where the device cannot hold the state.
    pub fn new(spec: &OptimizerSpec, parameters: &[Parameter]) -> Result<Self> {
        let zeros = |parameter: &Parameter| spec.kept().iter().map(|_| parameter.var.as_tensor().zeros_like()).collect::<candle_core::Result<Vec<_>>>();
        let slots = parameters.iter().map(|parameter| Ok(Slot { kept: zeros(parameter)?, parameter: parameter.clone() }));
        Ok(Self { spec: spec.clone(), slots: slots.collect::<Result<_>>()?, steps: 0, lr: 0.0 })
    }

    /// The number of steps made.
    pub fn steps(&self) -> u64 {
        self.steps.unsigned_abs()
    }

    /// Moves every parameter that has a gradient, at learning rate `lr`.
    ///
    /// # Errors
    ///
    /// Where a gradient does not fit its parameter.
    pub fn step(&mut self, gradients: &Gradients, lr: f64) -> Result<()> {
        self.begin(lr);
        gradients.iter().try_for_each(|(parameter, gradient)| self.update(parameter, &gradient.clone().into()))
    }

    /// Begins a step at learning rate `lr`, whose updates come one by one: see [`update`](Self::update).
    pub fn begin(&mut self, lr: f64) {
        self.steps += 1;
        self.lr = lr;
    }

    /// Moves a parameter along its gradient, in place, within the step that [`begin`](Self::begin) began.
    ///
    /// # Errors
    ///
    /// Where there is no such parameter or the gradient does not fit it.
    pub fn update(&self, parameter: usize, gradient: &Gradient) -> Result<()> {
        let slot = self.slots.get(parameter);
        let slot = slot.ok_or_else(|| Error::Invalid(format!("the optimizer has {} parameters, no number {parameter}", self.slots.len())))?;
        slot.step(&self.spec, gradient, self.lr * slot.parameter.lr_factor, self.steps)
    }

    /// Everything kept, by name: `step` (one 64-bit integer), and below `momentum/`, `first_moment/` and `second_moment/` a tensor for each parameter.
    ///
    /// # Errors
    ///
    /// Where a tensor cannot be made.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::from([("step".to_owned(), Tensor::new(&[self.steps], &Device::Cpu)?)]);
        for slot in &self.slots {
            for (kind, tensor) in self.spec.kept().iter().zip(&slot.kept) {
                // A copy: the next step changes the original in place.
                state.insert(format!("{kind}/{}", slot.parameter.name), tensor.copy()?);
            }
        }
        Ok(state)
    }

    /// Goes on from a saved state. Nothing changes where it does not fit.
    ///
    /// # Errors
    ///
    /// Where a tensor is missing, unknown, or of another shape.
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let steps = state.get("step").ok_or_else(|| Error::Saved("the optimizer's state holds no `step`".into()))?;
        let steps = steps.flatten_all()?.to_vec1::<i64>()?.first().copied().unwrap_or(0);
        let mut loaded = Vec::with_capacity(self.slots.len());
        let mut known = 1;
        for slot in &self.slots {
            let names = self.spec.kept().iter().map(|kind| format!("{kind}/{}", slot.parameter.name));
            let tensors = names.map(|name| crate::network::saved_tensor(state, &name, slot.parameter.var.as_tensor())).collect::<Result<Vec<_>>>()?;
            known += tensors.len();
            loaded.push(tensors);
        }
        if state.len() != known {
            return Err(Error::Saved(format!(
                "the optimizer's state holds {} tensors, {known} are needed: it belongs to another optimizer or network",
                state.len()
            )));
        }
        for (slot, kept) in self.slots.iter_mut().zip(loaded) {
            slot.kept = kept;
        }
        self.steps = steps;
        Ok(())
    }
}

impl Slot {
    /// Moves the parameter in place, and what is kept for it.
    fn step(&self, spec: &OptimizerSpec, gradient: &Gradient, lr: f64, step: i64) -> Result<()> {
        let weight = self.parameter.var.as_tensor();
        let decay = |factor: f64| if self.parameter.decay { factor } else { 0.0 };
        match (spec, self.kept.as_slice()) {
            (OptimizerSpec::Sgd(Sgd { momentum, nesterov, weight_decay }), kept) => {
                let update = SgdUpdate { lr, momentum: *momentum, nesterov: *nesterov, decay: decay(*weight_decay) };
                update.apply(weight, gradient, kept.first())?;
            }
            (OptimizerSpec::Adam(Adam { beta1, beta2, epsilon, weight_decay }), [mean, square]) => {
                let update = AdamUpdate { lr, betas: (*beta1, *beta2), epsilon: *epsilon, l2: decay(*weight_decay), decay: 0.0, step };
                update.apply(weight, gradient, [mean, square])?;
            }
            (OptimizerSpec::AdamW(AdamW { beta1, beta2, epsilon, weight_decay }), [mean, square]) => {
                let update = AdamUpdate { lr, betas: (*beta1, *beta2), epsilon: *epsilon, l2: 0.0, decay: decay(*weight_decay), step };
                update.apply(weight, gradient, [mean, square])?;
            }
            (OptimizerSpec::Adam(_) | OptimizerSpec::AdamW(_), _) => return Err(Error::Saved("Adam keeps two moments for each parameter".into())),
        }
        Ok(())
    }
}
