//! cross-entropy

use candle_core::{Result, Tensor, bail};

/// stub
pub fn cross_entropy(_logits: &Tensor, _labels: &Tensor) -> Result<Tensor> {
    bail!("cross_entropy is being written")
}
