//! Warping a batch: draw a theta for each image, then one call of the fused sampler.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use stn_core::{Boundary, PluginSpec, Registry, TargetGrid, Transformation};
use stn_ops::Sampler;

use super::{Draw, Frame};
use crate::Result;

/// A distortion that is a transformation with a random theta.
pub(crate) trait DrawTheta: Debug + Send + Sync {
    /// The transformation that theta belongs to.
    fn transformation(&self) -> PluginSpec;

    /// A theta that maps the canvas to the image.
    fn draw(&self, random: &mut ChaCha8Rng, frame: Frame) -> Vec<f64>;
}

/// A [`DrawTheta`] with all that does not change from batch to batch.
#[derive(Debug)]
pub(crate) struct Warper {
    draw: Box<dyn DrawTheta>,
    frame: Frame,
    transformation: Arc<dyn Transformation>,
    /// K x P.
    basis: Tensor,
    target: TargetGrid,
    sampler: Sampler,
}

impl Warper {
    pub(crate) fn new(draw: Box<dyn DrawTheta>, frame: Frame, registry: &Registry) -> Result<Self> {
        let transformation = registry.transformation(&draw.transformation())?;
        let target = TargetGrid::new(frame.canvas, false)?;
        let basis = transformation.basis(&target.points(DType::F32, &Device::Cpu)?.unsqueeze(0)?)?.squeeze(0)?.contiguous()?;
        let sampler = Sampler { kernel: registry.kernel(&PluginSpec::named("bilinear"))?, boundary: Boundary::Zeros, align_corners: false };
        Ok(Self { draw, frame, transformation, basis, target, sampler })
    }

    /// Warps N x C x H x W to N x C x canvas.
    pub(crate) fn apply(&self, input: &Tensor, draws: Vec<Draw>) -> Result<Tensor> {
        let count = draws.len();
        let theta: Vec<f32> = draws.into_iter().flat_map(|mut draw| self.draw.draw(&mut draw.random, self.frame)).map(|value| value as f32).collect();
        let theta = Tensor::from_vec(theta, (count, self.transformation.theta_len()), &Device::Cpu)?;
        let matrix = self.transformation.matrix(&theta)?;
        Ok(stn_ops::sample_structured(input, &matrix, &self.basis, &self.target, &self.sampler)?)
    }
}
