//! Max pooling.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::Pool2d;
use crate::cpu::{Number, by_number, elements, expect_images, expect_numbers, numbers};
use crate::window::Axis;

/// The largest value of each window: `N C H W` to `N C` and [`Pool2d::output`].
///
/// Padding never wins. A NaN in the window does, as in other frameworks. The gradient goes to the pixel that won: the first of equal ones, row by row, and of several
/// NaNs the last.
///
/// # Errors
///
/// Where `input` is not `N C H W` of f32 or f64, or no window fits; the message says which size is at fault.
pub fn max_pool2d(input: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    expect_numbers("max_pool2d", &[("input", input)])?;
    let [samples, channels, height, width] = expect_images("max_pool2d", "input", input)?;
    let (vertical, horizontal) = pool.axes((height, width))?;
    input.contiguous()?.apply_op1(MaxPool2d { planes: [samples, channels], vertical, horizontal })
}

#[derive(Clone, Copy)]
struct MaxPool2d {
    /// Samples, channels.
    planes: [usize; 2],
    vertical: Axis,
    horizontal: Axis,
}

struct MaxPool2dGradient(MaxPool2d);

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), storage, T => self.forward::<T>(numbers(storage, layout)?))
    }

    fn bwd(&self, input: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !input.track_op() {
            return Ok(None);
        }
        Ok(Some(input.apply_op2_no_bwd(&gradient.contiguous()?, &MaxPool2dGradient(*self))?))
    }
}

impl CustomOp2 for MaxPool2dGradient {
    fn name(&self) -> &'static str {
        "max_pool2d gradient"
    }

    fn cpu_fwd(&self, input: &CpuStorage, input_layout: &Layout, gradient: &CpuStorage, gradient_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), input, T => self.0.backward::<T>(numbers(input, input_layout)?, numbers(gradient, gradient_layout)?, input_layout.shape()))
    }
}

impl MaxPool2d {
    fn forward<T: Number>(&self, input: &[T]) -> Result<(CpuStorage, Shape)> {
        let [samples, channels] = self.planes;
        let shape = [samples, channels, self.vertical.output, self.horizontal.output];
        let mut output = vec![T::neg_infinity(); elements("max_pool2d", &shape)?];
        let plane = self.vertical.input * self.horizontal.input;
        output.par_chunks_mut(self.vertical.output * self.horizontal.output).zip(input.par_chunks(plane)).for_each(|(output, input)| {
            for (y, row) in output.chunks_mut(self.horizontal.output).enumerate() {
                for line in self.vertical.covered(y) {
                    self.raise(row, &input[line * self.horizontal.input..][..self.horizontal.input]);
                }
            }
        });
        Ok((T::to_cpu_storage_owned(output), Shape::from(&shape)))
    }

    /// Raises every window's value in `row` to the largest that it covers of an input `line`.
    fn raise<T: Number>(&self, row: &mut [T], line: &[T]) {
        for tap in 0..self.horizontal.kernel {
            let (windows, first) = self.horizontal.windows(tap);
            let Some(row) = row.get_mut(windows) else { continue };
            for (largest, &value) in row.iter_mut().zip(line[first..].iter().step_by(self.horizontal.stride)) {
                if wins(value, *largest) {
                    *largest = value;
                }
            }
        }
    }

    fn backward<T: Number>(&self, input: &[T], gradient: &[T], shape: &Shape) -> Result<(CpuStorage, Shape)> {
        let mut result = vec![T::zero(); input.len()];
        let plane = self.vertical.input * self.horizontal.input;
        let windows = self.vertical.output * self.horizontal.output;
        (result.par_chunks_mut(plane), input.par_chunks(plane), gradient.par_chunks(windows)).into_par_iter().for_each(|(result, input, gradient)| {
            for (y, row) in gradient.chunks(self.horizontal.output).enumerate() {
                for (x, &gradient) in row.iter().enumerate() {
                    result[self.winner(input, y, x)] += gradient;
                }
            }
        });
        Ok((T::to_cpu_storage_owned(result), shape.clone()))
    }

    /// The pixel of the plane that gives window (y, x) its value.
    fn winner<T: Number>(&self, input: &[T], y: usize, x: usize) -> usize {
        let (lines, columns) = (self.vertical.covered(y), self.horizontal.covered(x));
        // A window of nothing but minus infinity has its first pixel for a winner.
        let mut winner = lines.start * self.horizontal.input + columns.start;
        let mut largest = T::neg_infinity();
        for line in lines {
            let start = line * self.horizontal.input;
            for (pixel, &value) in input[start + columns.start..start + columns.end].iter().enumerate() {
                if wins(value, largest) {
                    (winner, largest) = (start + columns.start + pixel, value);
                }
            }
        }
        winner
    }
}

/// Whether `value` takes the place of the largest so far.
fn wins<T: Number>(value: T, largest: T) -> bool {
    value > largest || value.is_nan()
}
