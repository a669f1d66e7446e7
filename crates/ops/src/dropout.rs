//! dropout

use candle_core::{Result, Tensor, bail};
use rand_chacha::ChaCha8Rng;

/// stub
pub fn dropout(_x: &Tensor, _rate: f32, _channels: bool, _rng: ChaCha8Rng) -> Result<Tensor> {
    bail!("dropout is being written")
}
