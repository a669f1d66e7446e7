//! The rectified linear unit.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::cpu::{BLOCK, Number, by_number, expect_numbers, numbers};

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
