//! relu

use candle_core::{Result, Tensor, bail};

/// stub
pub fn relu(_x: &Tensor) -> Result<Tensor> {
    bail!("relu is being written")
}
