//! The rectified linear unit.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::cpu::{BLOCK, Number, by_number, expect_numbers, numbers};
#[cfg(feature = "cuda")]
use crate::cuda::candle::OnCard;

/// `max(0, x)`, element by element. The derivative at 0 is 0; NaN stays NaN.
///
/// # Errors
///
/// Where `x` is neither f32 nor f64.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    expect_numbers("relu", &[("x", x)])?;
    x.contiguous()?.apply_op1(Relu)
}

struct Relu;

struct ReluGradient;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), storage, T => forward::<T>(storage, layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(storage);
        let (x, count) = (card.place(storage, layout)?, layout.shape().elem_count());
        card.make(card.dtype(), layout.shape(), |y| cuda::forward(&card, card.dtype(), x, y, count))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        Ok(Some(relu_gradient(y, &gradient.contiguous()?)?))
    }
}

/// The gradient to what was rectified, from the output `y` and the gradient to it.
pub(crate) fn relu_gradient(y: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    y.apply_op2_no_bwd(gradient, &ReluGradient)
}

impl CustomOp2 for ReluGradient {
    fn name(&self) -> &'static str {
        "relu gradient"
    }

    fn cpu_fwd(&self, y: &CpuStorage, y_layout: &Layout, gradient: &CpuStorage, gradient_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), y, T => backward::<T>(y, y_layout, gradient, gradient_layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, y: &CudaStorage, y_layout: &Layout, gradient: &CudaStorage, gradient_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(y);
        let (from, count) = ([card.place(y, y_layout)?, card.place(gradient, gradient_layout)?], y_layout.shape().elem_count());
        card.make(card.dtype(), y_layout.shape(), |to_x| cuda::backward(&card, card.dtype(), from, to_x, count))
    }
}

fn forward<T: Number>(storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let x = numbers::<T>(storage, layout)?;
    let mut y = vec![T::zero(); x.len()];
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
        for (y, &x) in y.iter_mut().zip(x) {
            // Not `x > 0`, which would turn NaN into 0.
            *y = if x <= T::zero() { T::zero() } else { x };
        }
    });
    Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
}

fn backward<T: Number>(y: &CpuStorage, y_layout: &Layout, gradient: &CpuStorage, gradient_layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let (y, gradient) = (numbers::<T>(y, y_layout)?, numbers::<T>(gradient, gradient_layout)?);
    let mut result = vec![T::zero(); y.len()];
    result.par_chunks_mut(BLOCK).zip(y.par_chunks(BLOCK).zip(gradient.par_chunks(BLOCK))).for_each(|(result, (y, gradient))| {
        for (result, (&y, &gradient)) in result.iter_mut().zip(y.iter().zip(gradient)) {
            *result = if y <= T::zero() { T::zero() } else { gradient };
        }
    });
    Ok((T::to_cpu_storage_owned(result), y_layout.shape().clone()))
}

/// The same on a graphics card: `relu.cu`.
#[cfg(any(feature = "cuda", test))]
mod cuda {
    use candle_core::{DType, Result};

    use crate::cuda::{Address, Card, Launch, Program};

    fn program(dtype: DType) -> Result<Program> {
        Program::new("relu", dtype, &[include_str!("relu.cu")], &["relu", "relu_gradient"])
    }

    pub(super) fn forward(card: &impl Card, dtype: DType, x: Address, y: Address, count: usize) -> Result<()> {
        card.launch(&program(dtype)?.for_count(count), &Launch::each("relu", count).with(x).with(y).with_length(count))
    }

    pub(super) fn backward(card: &impl Card, dtype: DType, [y, gradient]: [Address; 2], to_x: Address, count: usize) -> Result<()> {
        card.launch(&program(dtype)?.for_count(count), &Launch::each("relu_gradient", count).with(y).with(gradient).with(to_x).with_length(count))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::cuda::emulated::Emulated;

    #[test]
    fn a_card_computes_the_same() {
        let x = [-2.0_f32, -0.0, 0.0, 3.5, f32::NAN, f32::INFINITY, -f32::INFINITY];
        let upstream = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let tensor = |numbers: &[f32]| Tensor::new(numbers, &Device::Cpu).unwrap();
        let y = relu(&tensor(&x)).unwrap();
        let to_x = relu_gradient(&y, &tensor(&upstream)).unwrap();
        Emulated::both(|card| {
            let [on_card, to_x_on_card] = [(); 2].map(|()| card.output::<f32>(x.len()));
            cuda::forward(card, DType::F32, card.given(&x), on_card, x.len()).unwrap();
            cuda::backward(card, DType::F32, [on_card, card.given(&upstream)], to_x_on_card, x.len()).unwrap();
            card.assert_same(on_card, &y);
            card.assert_same(to_x_on_card, &to_x);
        });
    }
}
