//! Batch normalisation on a graphics card: `batch_norm.cu`.

use candle_core::{DType, Result};

use super::Planes;
use crate::cuda::{Address, Argument, Card, Launch, Program};

fn program(dtype: DType) -> Result<Program> {
    Program::new("batch_norm", dtype, &[include_str!("../batch_norm.cu")], &["moments", "lead", "batch_norm", "batch_norm_sums", "batch_norm_gradient"])
}

impl Planes {
    fn count(self) -> usize {
        self.samples * self.channels * self.plane
    }

    /// A launch that is given some length, the channels and their plane.
    fn with(self, launch: Launch, length: usize) -> Launch {
        launch.with_length(length).with(self.channels as i32).with_length(self.plane)
    }
}

/// Fills mean and variance of every channel, in f64.
pub(super) fn moments(card: &impl Card, dtype: DType, x: Address, [mean, variance]: [Address; 2], planes: Planes) -> Result<()> {
    let launch = Launch::blocks("moments", planes.channels as u32).with(x).with(mean).with(variance);
    card.launch(&program(dtype)?.for_count(planes.count()), &planes.with(launch, planes.samples))
}

/// Moves a running moment of every channel towards new ones, in f64: the share of it that is kept, and that of the new.
pub(super) fn lead(card: &impl Card, dtype: DType, running: Address, new: Address, channels: usize, [kept, share]: [f64; 2]) -> Result<()> {
    let launch = Launch::each("lead", channels).with(running).with(new).with_length(channels);
    card.launch(&program(dtype)?, &launch.with(Argument::Double(kept)).with(Argument::Double(share)))
}

/// From `x`, weight and bias, with the means and the inverse roots of the variances, in f64.
pub(super) fn forward(card: &impl Card, dtype: DType, from: [Address; 3], rows: [Address; 2], y: Address, planes: Planes, floor: f64) -> Result<()> {
    let launch = from.into_iter().chain(rows).fold(Launch::each("batch_norm", planes.count()), Launch::with).with(y);
    card.launch(&program(dtype)?.for_count(planes.count()), &planes.with(launch, planes.count()).with_real(dtype, floor))
}

/// From `x`, the output, the gradient to it and the weight, to the gradients: to `x` where that is wanted, to weight and bias.
pub(super) fn backward(
    card: &impl Card,
    dtype: DType,
    [x, y, upstream, weight]: [Address; 4],
    rows: [Address; 2],
    (to_x, to_rows): (Option<Address>, [Address; 2]),
    planes: Planes,
    (through, floor): (f64, f64),
) -> Result<()> {
    let sums = card.room(2 * planes.channels * size_of::<f64>())?;
    let launch = [x, y, upstream].into_iter().chain(rows).chain([sums]).chain(to_rows);
    let launch = launch.fold(Launch::blocks("batch_norm_sums", planes.channels as u32), Launch::with);
    card.launch(&program(dtype)?.for_count(planes.count()), &planes.with(launch, planes.samples).with_real(dtype, floor))?;
    let Some(to_x) = to_x else { return Ok(()) };
    let launch = [x, y, upstream, weight].into_iter().chain(rows).chain([sums, to_x]).fold(Launch::each("batch_norm_gradient", planes.count()), Launch::with);
    card.launch(&program(dtype)?.for_count(planes.count()), &planes.with(launch, planes.count()).with(Argument::Double(through)).with_real(dtype, floor))
}
