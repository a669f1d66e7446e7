//! A network with weights.

mod build;
mod compiled;
mod forward;
mod warp;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, TensorId, Var};
use stn_core::{TargetGrid, Transformation};
use stn_ops::{Moments, Pool2d, Projection, Sampler, VolumeAxis, Window2d};

use crate::{Error, Plan, Result, WeightsSpec};

pub use compiled::Recorded;
pub use warp::Warp;

/// A tensor that training moves.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name, as saved: `conv1.weight`.
    pub name: String,
    /// Its value.
    pub var: Var,
    /// The factor on the learning rate: 1, or in a localisation network what its transformer says.
    pub lr_factor: f64,
    /// Whether weight decay touches it: weights, not biases (a decayed theta bias would leave the identity).
    pub decay: bool,
}

/// A tensor that training keeps without moving it along a gradient: a running moment of batch normalisation.
#[derive(Debug, Clone)]
pub struct Buffer {
    /// Its name, as saved: `batch_norm1.running_mean`.
    pub name: String,
    /// Its value.
    pub var: Var,
}

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No dropout, running moments in batch normalisation, no gradients to weights; warps are recorded with their images.
    Evaluate,
    /// Dropout drawn for this seed and step; the batch's moments in batch normalisation, after which the running ones are moved; gradients; warps are recorded without images.
    Train {
        /// The trial's seed.
        seed: u64,
        /// The training step.
        step: u64,
    },
}

/// What a forward pass gives.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `N x classes`: what the softmax of the loss takes.
    pub logits: Tensor,
    /// What each spatial transformer did, in the order of computation.
    pub warps: Vec<Warp>,
}

/// A network: a plan with weights.
#[derive(Debug)]
pub struct Network {
    input: Vec<usize>,
    layers: Vec<Layer>,
    parameters: Vec<Parameter>,
    buffers: Vec<Buffer>,
    /// The place of every parameter in `parameters`.
    index: HashMap<TensorId, usize>,
}

/// A layer with its weights.
#[derive(Debug)]
struct Layer {
    name: String,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Conv { weight: Var, bias: Var, window: Window2d },
    MaxPool(Pool2d),
    AvgPool(Pool2d),
    Project { axis: VolumeAxis, projection: Projection },
    Linear { weight: Var, bias: Var, takes_theta: bool },
    Relu,
    BatchNorm(Normalisation),
    Branches(Vec<Vec<Layer>>),
    Dropout { rate: f32, channels: bool },
    Softmax,
    Nothing,
    Transformers { localisers: Vec<Vec<Layer>>, transformers: Vec<Transformer>, feed_theta: bool, each: Vec<Vec<Layer>> },
}

/// Batch normalisation of one layer.
#[derive(Debug)]
struct Normalisation {
    weight: Var,
    bias: Var,
    /// The running mean and variance.
    mean: Var,
    variance: Var,
    /// How far the running moments go towards a batch's.
    momentum: f64,
    epsilon: f64,
}

impl Normalisation {
    /// The moments to normalise a batch by: its own in training, towards which the running ones are moved; those in evaluation.
    fn moments(&self, x: &Tensor, mode: Mode) -> Result<Moments> {
        match mode {
            Mode::Evaluate => Ok(Moments::given(&self.mean, &self.variance)?),
            Mode::Train { .. } => {
                let moments = Moments::of(&x.detach())?;
                moments.lead(self.momentum, &self.mean, &self.variance)?;
                Ok(moments)
            }
        }
    }
}

/// Grid generator and sampler of one spatial transformer.
#[derive(Debug)]
struct Transformer {
    name: String,
    transformation: Arc<dyn Transformation>,
    sampler: Sampler,
    output: Target,
    /// Where it is applied more than once.
    sequence: Option<Sequence>,
    /// The middle of the bounds of each number of theta and half of their distance, `1 x theta_len` each.
    bounds: Option<[Tensor; 2]>,
    /// The standard deviation of the noise on each number of theta in training, `1 x theta_len`.
    noise: Option<Tensor>,
}

/// The pixels that a transformer fills.
#[derive(Debug, Clone)]
struct Target {
    grid: TargetGrid,
    /// B at the grid, `K x P`; `None` for a transformation without structured form.
    basis: Option<Tensor>,
}

/// A transformer applied again and again: in each step its localisation network sees the input through the warp so far and predicts an increment, which is composed with it.
#[derive(Debug)]
struct Sequence {
    steps: usize,
    /// The warp before the first step, `1 x theta_len`.
    start: Tensor,
    /// Whether that is the identity: the first step then sees the input itself.
    direct: bool,
    view: Target,
}

impl Network {
    /// A network whose weights are drawn for `seed`.
    ///
    /// # Errors
    ///
    /// Where the device cannot hold it, or a plugin fails.
    pub fn new(plan: &Plan, seed: u64, dtype: DType, device: &Device) -> Result<Self> {
        let (layers, parameters, buffers) = build::build(plan, seed, dtype, device)?;
        let index = parameters.iter().enumerate().map(|(i, parameter)| (parameter.var.id(), i)).collect();
        Ok(Self { input: plan.input.clone(), layers, parameters, buffers, index })
    }

    /// The logits for `N x C x H x W` images (or `N x C x D x H x W` volumes), and what the spatial transformers did; layer by layer, on candle's tape in training.
    ///
    /// # Errors
    ///
    /// Where the images have another shape than planned, or an operation fails; the message names the layer.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Outcome> {
        self.check(images)?;
        forward::forward(&self.layers, images, mode)
    }

    /// The same as [`forward`](Self::forward) in [`Mode::Evaluate`], to rounding, with layers that belong together done in one pass.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward).
    pub fn infer(&self, images: &Tensor) -> Result<Outcome> {
        self.check(images)?;
        compiled::infer(&self.layers, images)
    }

    /// The same as [`forward`](Self::forward) in [`Mode::Train`], to rounding, with layers that belong together done in one pass and without candle's tape:
    /// [`Recorded::backward`] goes back. This is how a network is trained fast; the two ways are tested against each other.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward).
    pub fn record(&self, images: &Tensor, seed: u64, step: u64) -> Result<Recorded<'_>> {
        self.check(images)?;
        Recorded::new(self, images, seed, step)
    }

    /// What every ReLU of the list itself gives for the images (those inside localisation networks, branches and `each` are left out), and what the last layer gives. Gradients go
    /// through to images that are on candle's tape, and not to weights: by its
    /// activations a network that was trained on one thing can judge another.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward).
    pub fn activations(&self, images: &Tensor) -> Result<(Vec<Tensor>, Tensor)> {
        self.check(images)?;
        forward::activations(&self.layers, images)
    }

    fn check(&self, images: &Tensor) -> Result<()> {
        if images.dims().first().is_none_or(|n| *n == 0) || images.dims().get(1..) != Some(self.input.as_slice()) {
            return Err(Error::Input { expected: crate::plan::shape(&self.input), found: crate::plan::shape(images.dims()) });
        }
        Ok(())
    }

    /// Every parameter, in the order of construction: that of the layers, a localisation network before what follows its transformer.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// What training keeps beside the parameters, in the order of construction.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// The value of every parameter and buffer by name: what is saved.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.saved().map(|(name, var)| (name.to_owned(), var.as_detached_tensor())).collect()
    }

    /// Everything that is saved.
    fn saved(&self) -> impl Iterator<Item = (&str, &Var)> {
        let parameters = self.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.var));
        parameters.chain(self.buffers.iter().map(|buffer| (buffer.name.as_str(), &buffer.var)))
    }

    /// Takes what a file of weights holds for this network, by the rules of `spec`. Nothing changes where something does not fit.
    ///
    /// # Errors
    ///
    /// Where a tensor is unknown here or of another shape.
    pub fn start_from(&self, spec: &WeightsSpec, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let here: BTreeMap<&str, &Var> = self.saved().collect();
        let mut taken = Vec::new();
        for (name, tensor) in tensors {
            for target in spec.targets(name) {
                let Some(var) = here.get(target.as_str()) else {
                    return Err(Error::Saved(format!("{} holds `{target}`, which this network has not", spec.file.display())));
                };
                let found = BTreeMap::from([(target.clone(), tensor.clone())]);
                taken.push((*var, saved_tensor(&found, &target, var)?));
            }
        }
        taken.into_iter().try_for_each(|(var, value)| Ok(var.set(&value)?))
    }

    /// Takes saved values. Nothing changes where they do not fit.
    ///
    /// # Errors
    ///
    /// Where a tensor is missing, unknown, or of another shape.
    pub fn load(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let known: BTreeSet<&str> = self.saved().map(|(name, _)| name).collect();
        if let Some(unknown) = tensors.keys().find(|name| !known.contains(name.as_str())) {
            return Err(Error::Saved(format!("the saved weights hold `{unknown}`, which this network has not: they belong to another network")));
        }
        let values = self.saved().map(|(name, var)| saved_tensor(tensors, name, var)).collect::<Result<Vec<_>>>()?;
        for ((_, var), value) in self.saved().zip(values) {
            var.set(&value)?;
        }
        Ok(())
    }
}

/// A network is one of candle's modules, for programs that hold several: the logits, evaluated.
impl candle_nn::Module for Network {
    fn forward(&self, images: &Tensor) -> candle_core::Result<Tensor> {
        Self::forward(self, images, Mode::Evaluate).map(|outcome| outcome.logits).map_err(candle_core::Error::wrap)
    }
}

/// A saved tensor of the shape, type and device of `like`, with storage of its own.
pub(crate) fn saved_tensor(tensors: &BTreeMap<String, Tensor>, name: &str, like: &Tensor) -> Result<Tensor> {
    let Some(tensor) = tensors.get(name) else {
        return Err(Error::Saved(format!("`{name}` is missing from what was saved: it belongs to another network or optimizer")));
    };
    if tensor.shape() != like.shape() {
        return Err(Error::Saved(format!("`{name}` is {} here and {} in what was saved", crate::plan::shape(like.dims()), crate::plan::shape(tensor.dims()))));
    }
    Ok(tensor.to_dtype(like.dtype())?.to_device(like.device())?.copy()?)
}
