//! A training step without candle's tape: layers that belong together in one pass, and a backward pass of their own.
//!
//! [`forward`] takes a layer list a [`Step`] at a time and keeps what [`backward`] needs. Both are written for the layers that cost time; any other layer runs on a tape of
//! its own ([`Record::Taped`]), so that every network can be compiled. Results agree with [`Network::forward`](super::Network::forward), layer by layer on candle's tape, to
//! rounding.

mod backward;
mod forward;
mod step;
mod transformers;

use candle_core::{Tensor, Var};
use stn_ops::{BatchNorm, ConvBlock, ConvBlockOutput, LinearBlock, Moments, Pool2d, Projection, VolumeAxis};

use super::{Layer, Network, Normalisation, Warp};
use crate::{Error, Gradient, Result};
pub(super) use forward::infer;
use transformers::{Localised, Warped};

/// A forward pass in training mode with what its backward pass needs.
#[derive(Debug)]
pub struct Recorded<'a> {
    network: &'a Network,
    records: Vec<Record<'a>>,
    logits: Tensor,
    warps: Vec<Warp>,
}

/// What one step kept. `tracked` says whether its input's gradient is wanted: whether anything before it learns.
#[derive(Debug)]
enum Record<'a> {
    /// Convolution, rectification, pooling.
    ConvBlock {
        weight: &'a Var,
        bias: &'a Var,
        block: ConvBlock,
        input: Tensor,
        outcome: ConvBlockOutput,
        tracked: bool,
    },
    /// Fully connected, rectification.
    LinearBlock {
        weight: &'a Var,
        bias: &'a Var,
        block: LinearBlock,
        input: Tensor,
        output: Tensor,
        joined: Joined,
        tracked: bool,
    },
    /// A volume seen along an axis.
    Project {
        axis: VolumeAxis,
        projection: Projection,
        input: Tensor,
        output: Tensor,
        tracked: bool,
    },
    /// The same factors fall on the gradient, drawn again from the same stream.
    Dropout {
        layer: &'a Layer,
        rate: f32,
        channels: bool,
        seed: u64,
        step: u64,
    },
    /// Batch normalisation, rectification.
    BatchNorm {
        norm: &'a Normalisation,
        block: BatchNorm,
        moments: Moments,
        input: Tensor,
        output: Tensor,
        tracked: bool,
    },
    /// Pooling; of the mean the output is not kept.
    MaxPool {
        pool: &'a Pool2d,
        input: Tensor,
        output: Tensor,
    },
    AvgPool {
        pool: &'a Pool2d,
        input: Tensor,
    },
    /// Layer lists side by side, and the channels that each gives.
    Branches {
        lists: Vec<Vec<Record<'a>>>,
        channels: Vec<usize>,
    },
    /// Spatial transformers side by side, each with the list that its output went through, where there is one.
    Transformers {
        localisers: Vec<Vec<Localised<'a>>>,
        warps: Vec<Warped<'a>>,
        each: Vec<Vec<Record<'a>>>,
        input: Tensor,
        feed_theta: bool,
        tracked: bool,
    },
    /// Any other layer, on candle's tape from `input` to `output`.
    Taped {
        input: Option<Var>,
        output: Tensor,
    },
}

/// The input of a fully connected layer: images of `shape`, flattened, and behind them thetas of these lengths.
#[derive(Debug)]
struct Joined {
    shape: Vec<usize>,
    thetas: Vec<usize>,
}

impl<'a> Recorded<'a> {
    /// A forward pass over checked images.
    pub(super) fn new(network: &'a Network, images: &Tensor, seed: u64, step: u64) -> Result<Self> {
        let (records, logits, warps) = forward::record(&network.layers, images, seed, step)?;
        Ok(Self { network, records, logits, warps })
    }

    /// What the softmax of the loss takes, `N x classes`. It has no part in any tape.
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }

    /// A loss, computed from the logits on candle's tape, and the gradient that it gives the logits.
    ///
    /// # Errors
    ///
    /// Where the loss fails or does not depend on the logits.
    pub fn loss(&self, loss: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>) -> Result<(Tensor, Tensor)> {
        let logits = Var::from_tensor(&self.logits)?;
        let value = loss(&logits)?;
        match value.backward()?.remove(&logits) {
            Some(gradient) => Ok((value.detach(), gradient)),
            None => Err(Error::Invalid("the loss does not depend on the logits".into())),
        }
    }

    /// What each spatial transformer did, in the order of computation, without images.
    pub fn warps(&self) -> &[Warp] {
        &self.warps
    }

    /// Goes back from the gradient to the logits: gives `found(i, gradient)` the gradient to parameter `i` of [`Network::parameters`] as soon as nothing needs the parameter any
    /// more, so that it may be moved at once and the gradient dropped.
    ///
    /// A parameter that the logits do not depend on is left out.
    ///
    /// # Errors
    ///
    /// Where an operation or `found` fails.
    pub fn backward(self, gradient: &Tensor, mut found: impl FnMut(usize, Gradient) -> Result<()>) -> Result<()> {
        let index = &self.network.index;
        let mut found = |var: &Var, gradient: Gradient| index.get(&var.id()).map_or(Ok(()), |&i| found(i, gradient));
        backward::list(self.records, gradient.clone(), &mut None, &self.network.parameters, &mut Vec::new(), &mut found)
    }
}
