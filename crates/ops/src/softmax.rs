//! Softmax over the last axis.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::cpu::{BLOCK, Number, by_number, expect_numbers, numbers};

/// `exp(x_i) / sum_j exp(x_j)` over the last axis, the largest of the row taken off first so that nothing overflows.
///
/// # Errors
///
/// Where `x` is neither f32 nor f64.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    expect_numbers("softmax", &[("x", x)])?;
    x.contiguous()?.apply_op1(Softmax)
}

/// Turns a row of logits into probabilities in place and returns `log sum_j exp(x_j)`.
pub(crate) fn normalise<T: Number>(row: &mut [T]) -> T {
    // A NaN never wins the comparison; it comes back through the exponential.
    let largest = row.iter().fold(T::neg_infinity(), |largest, &x| if x > largest { x } else { largest });
    let mut total = T::zero();
    for x in row.iter_mut() {
        *x = (*x - largest).exp();
        total += *x;
    }
    for x in row.iter_mut() {
        *x /= total;
    }
    largest + total.ln()
}

/// Splits rows of `width` among tasks, the same at any thread count: the length of a task's part.
pub(crate) fn rows_block(width: usize) -> usize {
    width * (BLOCK / width.max(1)).max(1)
}

struct Softmax;

struct SoftmaxGradient;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), storage, T => forward::<T>(storage, layout))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        Ok(Some(y.apply_op2_no_bwd(&gradient.contiguous()?, &SoftmaxGradient)?))
    }
}

impl CustomOp2 for SoftmaxGradient {
    fn name(&self) -> &'static str {
        "softmax gradient"
    }

    fn cpu_fwd(&self, y: &CpuStorage, y_layout: &Layout, gradient: &CpuStorage, gradient_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), y, T => backward::<T>(y, y_layout, gradient, gradient_layout))
    }
}

/// The length of the last axis; a scalar is one row of one.
fn width(layout: &Layout) -> usize {
    layout.dims().last().copied().unwrap_or(1)
}

fn forward<T: Number>(storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let width = width(layout);
    let mut y = numbers::<T>(storage, layout)?.to_vec();
    if !y.is_empty() {
        y.par_chunks_mut(rows_block(width)).for_each(|rows| {
            for row in rows.chunks_mut(width) {
                normalise(row);
            }
        });
    }
    Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
}

/// `dx_i = y_i (dy_i - sum_j y_j dy_j)`.
fn backward<T: Number>(y: &CpuStorage, y_layout: &Layout, gradient: &CpuStorage, gradient_layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let width = width(y_layout);
    let y = numbers::<T>(y, y_layout)?;
    let mut result = numbers::<T>(gradient, gradient_layout)?.to_vec();
    if !y.is_empty() {
        let block = rows_block(width);
        result.par_chunks_mut(block).zip(y.par_chunks(block)).for_each(|(result, y)| {
            for (result, y) in result.chunks_mut(width).zip(y.chunks(width)) {
                let inner: T = result.iter().zip(y).map(|(&gradient, &y)| gradient * y).sum();
                for (result, &y) in result.iter_mut().zip(y) {
                    *result = y * (*result - inner);
                }
            }
        });
    }
    Ok((T::to_cpu_storage_owned(result), y_layout.shape().clone()))
}
