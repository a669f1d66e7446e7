//! What one spatial transformer did to a batch.

use std::sync::Arc;

use candle_core::Tensor;
use stn_core::{TargetGrid, Transformation};

use crate::Result;

/// What one spatial transformer did to a batch. No tensor here takes part in gradients.
#[derive(Debug, Clone)]
pub struct Warp {
    /// The transformer's name: `st1`, or `parallel_st1.2` for the second of several.
    pub layer: String,
    /// In a sequence, how many times the transformer had been applied, from 1; theta is that of their composed warps. 1 for a transformer that is applied once.
    pub step: usize,
    /// `N x theta_len`.
    pub theta: Tensor,
    /// The name of each number of theta.
    pub theta_names: Vec<String>,
    /// What went in, `N x C x H x W`; recorded by [`Mode::Evaluate`](crate::Mode::Evaluate) only.
    pub input: Option<Tensor>,
    /// What came out, `N x C x` target (in a sequence before the last step: what the next step's localisation network saw); recorded by [`Mode::Evaluate`](crate::Mode::Evaluate) only.
    pub output: Option<Tensor>,
    pub(super) transformation: Arc<dyn Transformation>,
    pub(super) target: TargetGrid,
}

impl Warp {
    /// The sampling grid, computed now: `N x H x W x 2` or `N x D x H x W x 3`, the place in the input of every output pixel.
    ///
    /// # Errors
    ///
    /// Where the device cannot hold it.
    pub fn grid(&self) -> Result<Tensor> {
        Ok(self.transformation.grid(&self.theta, &self.target)?.detach())
    }

    /// The output's grid of pixels.
    pub fn target(&self) -> &TargetGrid {
        &self.target
    }
}
