//! softmax

use candle_core::{Result, Tensor, bail};

/// stub
pub fn softmax(_x: &Tensor) -> Result<Tensor> {
    bail!("softmax is being written")
}
