//! Softmax over the last axis.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::cpu::{BLOCK, Number, by_number, expect_numbers, numbers};
#[cfg(feature = "cuda")]
use crate::cuda::candle::OnCard;

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

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(storage);
        let x = card.place(storage, layout)?;
        card.make(card.dtype(), layout.shape(), |y| cuda::forward(&card, card.dtype(), [x, y], rows(layout)))
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

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, y: &CudaStorage, y_layout: &Layout, gradient: &CudaStorage, gradient_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(y);
        let (y, gradient) = (card.place(y, y_layout)?, card.place(gradient, gradient_layout)?);
        card.make(card.dtype(), y_layout.shape(), |to_x| cuda::backward(&card, card.dtype(), [y, gradient, to_x], rows(y_layout)))
    }
}

/// The length of the last axis; a scalar is one row of one.
fn width(layout: &Layout) -> usize {
    layout.dims().last().copied().unwrap_or(1)
}

/// The number of rows and their length.
#[cfg(feature = "cuda")]
fn rows(layout: &Layout) -> (usize, usize) {
    let width = width(layout);
    (layout.shape().elem_count() / width.max(1), width)
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

/// The same on a graphics card: `softmax.cu`.
#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda {
    use candle_core::{DType, Result};

    use crate::cuda::{Address, Card, Launch, Program};

    /// The program of softmax and of the loss that is made of it.
    pub(crate) fn program(dtype: DType) -> Result<Program> {
        Program::new("softmax", dtype, &[include_str!("softmax.cu")], &["softmax", "softmax_gradient", "cross_entropy", "cross_entropy_gradient"])
    }

    pub(super) fn forward(card: &impl Card, dtype: DType, [x, y]: [Address; 2], (rows, width): (usize, usize)) -> Result<()> {
        card.launch(&program(dtype)?.for_count(rows), &Launch::each("softmax", rows).with(x).with(y).with_length(rows).with_length(width))
    }

    pub(super) fn backward(card: &impl Card, dtype: DType, [y, gradient, to_x]: [Address; 3], (rows, width): (usize, usize)) -> Result<()> {
        let launch = Launch::each("softmax_gradient", rows).with(y).with(gradient).with(to_x);
        card.launch(&program(dtype)?.for_count(rows), &launch.with_length(rows).with_length(width))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::cuda::emulated::Emulated;

    #[test]
    fn a_card_computes_the_same() {
        let tensor = |numbers: &[f32]| Tensor::new(numbers, &Device::Cpu).unwrap().reshape((3, 4)).unwrap();
        let x = tensor(&[0.1, -3.0, 2.0, 0.5, 1000.0, 999.0, -1000.0, 0.0, f32::NEG_INFINITY, 0.0, 1.0, 2.0]);
        let upstream = tensor(&[1.0, -1.0, 0.5, 0.25, 2.0, 0.0, 1.0, -3.0, 0.0, 1.0, 2.0, 3.0]);
        let y = softmax(&x).unwrap();
        let to_x = y.apply_op2_no_bwd(&upstream, &SoftmaxGradient).unwrap();
        Emulated::both(|card| {
            let [on_card, to_x_on_card] = [(); 2].map(|()| card.output::<f32>(12));
            cuda::forward(card, DType::F32, [card.tensor(&x), on_card], (3, 4)).unwrap();
            cuda::backward(card, DType::F32, [on_card, card.tensor(&upstream), to_x_on_card], (3, 4)).unwrap();
            card.assert_close(on_card, &y, 1e-6);
            card.assert_close(to_x_on_card, &to_x, 1e-6);
        });
    }
}
