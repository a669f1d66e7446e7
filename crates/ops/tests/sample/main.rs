//! The sampler, proved: against PyTorch, against equation 3 written out, against finite differences, and by what must always hold.

mod edges;
mod gradients;
mod properties;
mod reference;
mod torch;

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use stn_core::transformation::affine_basis;
use stn_core::{Boundary, Real, Sampling, SamplingKernel, TargetGrid};
use stn_ops::Sampler;
use stn_sampler_bicubic::Bicubic;
use stn_sampler_bilinear::Bilinear;
use stn_sampler_integer::{Integer, Ties};

/// The quadratic B-spline: a kernel of someone's own, with a number of taps that the sampler was not written for.
#[derive(Debug)]
struct Spline;

impl SamplingKernel for Spline {
    fn support(&self) -> usize {
        3
    }

    fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]) {
        let (n, half) = (x.len(), T::of(0.5));
        for (i, &x) in x.iter().enumerate() {
            let nearest = (x + half).floor();
            let (before, after) = (half - (x - nearest), half + (x - nearest));
            first[i] = nearest.to_i32().unwrap() - 1;
            weights[i] = half * before * before;
            weights[n + i] = T::of(0.75) - (x - nearest) * (x - nearest);
            weights[2 * n + i] = half * after * after;
        }
    }

    fn derivatives<T: Real>(&self, x: &[T], derivatives: &mut [T]) {
        let (n, half) = (x.len(), T::of(0.5));
        for (i, &x) in x.iter().enumerate() {
            let offset = x - (x + half).floor();
            derivatives[i] = offset - half;
            derivatives[n + i] = T::of(-2.0) * offset;
            derivatives[2 * n + i] = offset + half;
        }
    }
}

/// Integer (ties to even), bilinear, bicubic and one of someone's own.
fn kernels() -> [Arc<dyn Sampling>; 4] {
    [Arc::new(Integer::new(Ties::Even)), Arc::new(Bilinear), Arc::new(Bicubic::new(-0.75).unwrap()), Arc::new(Spline)]
}

/// A kernel at every boundary and both values of `align_corners`.
fn samplers_of(kernel: &Arc<dyn Sampling>) -> Vec<Sampler> {
    let sampler = |boundary, align_corners| Sampler { kernel: kernel.clone(), boundary, align_corners };
    Boundary::ALL.into_iter().flat_map(|boundary| [false, true].map(|align_corners| sampler(boundary, align_corners))).collect()
}

/// Every kernel, boundary and `align_corners`.
fn samplers() -> Vec<Sampler> {
    kernels().iter().flat_map(samplers_of).collect()
}

/// B of affine transformations: rows x, y (, z), 1.
fn basis(target: &TargetGrid) -> Result<Tensor> {
    affine_basis(&target.points(DType::F64, &Device::Cpu)?.unsqueeze(0)?)?.squeeze(0)
}

/// The number at each place of a tensor, row by row.
fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The gradients of the sum of squares of `output`.
fn gradients<const N: usize>(output: &Tensor, to: [&Var; N]) -> Result<[Tensor; N]> {
    let mut store = output.sqr()?.sum_all()?.backward()?;
    Ok(to.map(|var| store.remove(var).unwrap()))
}
