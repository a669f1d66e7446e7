//! What the kernels of both poolings are given: `window.cuh`.

use candle_core::Result;

use super::{Card, Launch, Program};
use crate::window::Axis;

/// Has a kernel of a pooling run: behind what it is given come the planes, samples times channels, and the sizes of both axes.
pub(crate) fn launch(card: &impl Card, program: Program, launch: Launch, planes: [usize; 2], [vertical, horizontal]: [Axis; 2]) -> Result<()> {
    let planes = planes.iter().product::<usize>();
    let launch = vertical.sizes().into_iter().chain(horizontal.sizes()).fold(launch.with_length(planes), Launch::with);
    let count = planes * (vertical.input * horizontal.input).max(vertical.output * horizontal.output);
    card.launch(&program.for_count(count), &launch)
}
