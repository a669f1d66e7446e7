//! The loops over samples, tiles, channels and taps.
//!
//! Every number written is one task's own, and every sum has one order, so that results are the same to the bit at any number of threads.

use std::ops::Range;
use std::slice::from_mut;

use candle_core::{Result, Shape, bail};
use rayon::prelude::*;
use stn_core::Real;

use super::Sampler;
use super::arithmetic::Lanes;
use super::structured::Structured;
use super::taps::{Axis, Tap, Taps};
use super::warp::{BLOCK, Coordinates, Grid, Rows, TILE, block_of, tiles, zeros};

/// What is sampled, by sizes.
pub(super) struct Call<'a> {
    pub sampler: &'a Sampler,
    pub samples: usize,
    pub channels: usize,
    /// The axes of the source: x, y (, z).
    pub source: Vec<Axis>,
    /// P, the pixels of the target.
    pub pixels: usize,
}

/// Runs a loop over a tile's taps with their number known to the compiler, where it is a usual one.
macro_rules! unrolled {
    ($taps:expr, $loop:ident($($argument:expr),*)) => {
        match ($taps.support, $taps.depth) {
            (1, 1) => $loop::<_, 1, 1>($taps, $($argument),*),
            (2, 1) => $loop::<_, 2, 1>($taps, $($argument),*),
            (2, 2) => $loop::<_, 2, 2>($taps, $($argument),*),
            (4, 1) => $loop::<_, 4, 1>($taps, $($argument),*),
            (4, 4) => $loop::<_, 4, 4>($taps, $($argument),*),
            _ => $loop::<_, 0, 0>($taps, $($argument),*),
        }
    };
}

/// Equation 3: the output, `N x C x P`, of an input `N x C x source`.
pub(super) fn sample<T: Real>(call: &Call<'_>, input: &[T], coordinates: &impl Coordinates<T>) -> Vec<T> {
    let mut output = vec![T::zero(); call.samples * call.channels * call.pixels];
    let blocks = call.pixels.div_ceil(BLOCK);
    let mut tasks: Vec<Vec<&mut [T]>> = (0..call.samples * blocks).map(|_| Vec::with_capacity(call.channels)).collect();
    for (plane, values) in output.chunks_mut(call.pixels.max(1)).enumerate() {
        for (block, values) in values.chunks_mut(BLOCK).enumerate() {
            tasks[plane / call.channels * blocks + block].push(values);
        }
    }
    tasks.into_par_iter().enumerate().for_each_init(
        || (zeros(), call.taps()),
        |(rows, taps), (task, mut planes)| {
            let (n, block) = (task / blocks, block_of(task % blocks, call.pixels));
            for pixels in tiles(&block, TILE) {
                coordinates.fill(n..n + 1, pixels.clone(), from_mut(rows));
                taps.place(rows, pixels.len(), false);
                for (c, values) in planes.iter_mut().enumerate() {
                    let values = &mut values[pixels.start - block.start..pixels.end - block.start];
                    unrolled!(taps, read(call.plane(input, n, c), values));
                }
            }
        },
    );
    output
}

/// Equation 6: the gradient to the input, `N x C x source`, from the gradient to the output. Each task owns some channels of a sample.
pub(super) fn input_gradient<T: Real>(call: &Call<'_>, upstream: &[T], coordinates: &impl Coordinates<T>) -> Vec<T> {
    let length = call.plane_len();
    let mut gradient = vec![T::zero(); call.samples * call.channels * length];
    if gradient.is_empty() {
        return gradient;
    }
    let tasks_a_sample = (4 * rayon::current_num_threads()).div_ceil(call.samples);
    let channels = call.channels.div_ceil(tasks_a_sample);
    gradient.par_chunks_mut(call.channels * length).enumerate().for_each(|(n, sample)| {
        sample.par_chunks_mut(channels * length).enumerate().for_each_init(
            || (zeros(), call.taps()),
            |(rows, taps), (group, planes)| {
                for pixels in tiles(&(0..call.pixels), TILE) {
                    coordinates.fill(n..n + 1, pixels.clone(), from_mut(rows));
                    taps.place(rows, pixels.len(), false);
                    for (c, plane) in planes.chunks_exact_mut(length).enumerate() {
                        unrolled!(taps, scatter(call.tile(upstream, n, group * channels + c, &pixels), plane));
                    }
                }
            },
        );
    });
    gradient
}

/// Equation 7: the gradient to the normalised coordinates of one tile, summed over the channels.
pub(super) fn coordinate_gradient<T: Real>(
    call: &Call<'_>,
    (input, upstream): (&[T], &[T]),
    taps: &mut Taps<'_, T>,
    (n, pixels): (usize, Range<usize>),
    coordinates: &Rows<T>,
    gradient: &mut Rows<T>,
) {
    taps.place(coordinates, pixels.len(), true);
    *gradient = zeros();
    for c in 0..call.channels {
        unrolled!(taps, slopes(call.plane(input, n, c), call.tile(upstream, n, c, &pixels), gradient));
    }
    for (row, jacobian) in gradient.iter_mut().zip(&taps.jacobian) {
        row.iter_mut().zip(jacobian).for_each(|(value, &factor)| *value *= factor);
    }
}

/// The coordinates of every target pixel as an explicit grid, `N x P x dims`.
pub(super) fn grid<T: Lanes>(warp: &Structured<'_, T>) -> Vec<T> {
    let mut grid = vec![T::zero(); warp.samples * warp.pixels * warp.dims];
    grid.par_chunks_mut((warp.pixels * warp.dims).max(1)).enumerate().for_each(|(n, sample)| {
        let mut rows = zeros();
        for (pixels, points) in tiles(&(0..warp.pixels), TILE).zip(sample.chunks_mut(TILE * warp.dims)) {
            warp.fill(n..n + 1, pixels, from_mut(&mut rows));
            Grid::put(&rows, warp.dims, points);
        }
    });
    grid
}

/// Equation 7: the gradient to an explicit grid, `N x P x dims`.
pub(super) fn grid_gradient<T: Real>(call: &Call<'_>, input: &[T], upstream: &[T], grid: &Grid<'_, T>) -> Vec<T> {
    let mut gradient = vec![T::zero(); grid.values.len()];
    gradient.par_chunks_mut((call.pixels * grid.dims).max(1)).enumerate().for_each(|(n, sample)| {
        sample.par_chunks_mut(BLOCK * grid.dims).enumerate().for_each_init(
            || (zeros(), zeros(), call.taps()),
            |(rows, slopes, taps), (block, values)| {
                let tiles = tiles(&block_of(block, call.pixels), TILE);
                for (pixels, points) in tiles.zip(values.chunks_mut(TILE * grid.dims)) {
                    grid.fill(n..n + 1, pixels.clone(), from_mut(rows));
                    coordinate_gradient(call, (input, upstream), taps, (n, pixels), rows, slopes);
                    Grid::put(slopes, grid.dims, points);
                }
            },
        );
    });
    gradient
}

impl<'a> Call<'a> {
    /// The sizes of a call, from the shape of its input and the target's size.
    pub(super) fn new(sampler: &'a Sampler, input: &[usize], target: &[usize]) -> Result<Self> {
        let [samples, channels, size @ ..] = input else { bail!("the sampler takes an input of N x C x H x W or N x C x D x H x W, not {input:?}") };
        let source = (0..size.len()).rev().map(|axis| Axis { size: size[axis], stride: size[axis + 1..].iter().product() }).collect();
        Ok(Self { sampler, samples: *samples, channels: *channels, source, pixels: target.iter().product() })
    }

    pub(super) fn output_shape(&self, target: &[usize]) -> Shape {
        [&[self.samples, self.channels], target].concat().into()
    }

    /// Room for a task's taps.
    pub(super) fn taps<T: Real>(&self) -> Taps<'_, T> {
        Taps::new(self.sampler, &self.source)
    }

    /// The pixels of the source.
    pub(super) fn plane_len(&self) -> usize {
        self.source.iter().map(|axis| axis.size).product()
    }

    /// One channel of one sample of the input.
    fn plane<'t, T>(&self, input: &'t [T], n: usize, c: usize) -> &'t [T] {
        let length = self.plane_len();
        &input[(n * self.channels + c) * length..][..length]
    }

    /// A tile of one channel of one sample of the output.
    fn tile<'t, T>(&self, output: &'t [T], n: usize, c: usize, pixels: &Range<usize>) -> &'t [T] {
        &output[(n * self.channels + c) * self.pixels..][pixels.clone()]
    }
}

/// Equation 3 for the pixels of a tile. A tap outside lies beyond the source and reads zero.
fn read<T: Real, const S: usize, const Z: usize>(taps: &Taps<'_, T>, source: &[T], values: &mut [T]) {
    for (value, [x, y, z]) in values.iter_mut().zip(taps.iter::<S, Z>()) {
        *value = sum(z, |z| sum(y, |y| sum(x, |x| source.get(z.offset + y.offset + x.offset).copied().unwrap_or_default())));
    }
}

/// The sum of `value(tap)`, weighted.
#[inline(always)]
fn sum<T: Real>(taps: &[Tap<T>], value: impl Fn(&Tap<T>) -> T) -> T {
    taps.iter().fold(T::zero(), |sum, tap| sum + tap.weight * value(tap))
}

/// Equation 6 for the pixels of a tile: adds their gradients to the source's.
fn scatter<T: Real, const S: usize, const Z: usize>(taps: &Taps<'_, T>, upstream: &[T], source: &mut [T]) {
    for (&gradient, [x, y, z]) in upstream.iter().zip(taps.iter::<S, Z>()) {
        for z in z {
            for y in y {
                let (offset, gradient) = (z.offset + y.offset, gradient * z.weight * y.weight);
                for x in x {
                    if let Some(pixel) = source.get_mut(offset + x.offset) {
                        *pixel += gradient * x.weight;
                    }
                }
            }
        }
    }
}

/// Equation 7 for the pixels of a tile: adds one channel's part to the gradients to their coordinates in pixels.
fn slopes<T: Real, const S: usize, const Z: usize>(taps: &Taps<'_, T>, source: &[T], upstream: &[T], gradient: &mut Rows<T>) {
    let [to_x, to_y, to_z, _] = gradient;
    let targets = to_x.iter_mut().zip(to_y).zip(to_z);
    for ((&upstream, [x, y, z]), ((to_x, to_y), to_z)) in upstream.iter().zip(taps.iter::<S, Z>()).zip(targets) {
        for z in z {
            let (mut plane, mut plane_x, mut plane_y) = (T::zero(), T::zero(), T::zero());
            for y in y {
                let (mut line, mut line_x) = (T::zero(), T::zero());
                for x in x {
                    let value = source.get(z.offset + y.offset + x.offset).copied().unwrap_or_default();
                    line += x.weight * value;
                    line_x += x.slope * value;
                }
                plane += y.weight * line;
                plane_x += y.weight * line_x;
                plane_y += y.slope * line;
            }
            *to_x += upstream * z.weight * plane_x;
            *to_y += upstream * z.weight * plane_y;
            *to_z += upstream * z.slope * plane;
        }
    }
}
