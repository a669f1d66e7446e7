//! What every sampling kernel must hold to.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use stn_core::{Boundary, Real, Sampling, TargetGrid};
use stn_ops::{Sampler, sample_grid};

use crate::mismatch::{Heading, Outcome, expect};
use crate::values::{close, numbers, random};
use crate::{cuda_source, determinism, gradient};

/// Checks everything a [`SamplingKernel`](stn_core::SamplingKernel) promises: [`check_weights`], and [`check_gradients`] through the sampler; its code for graphics cards, where it has some
/// and there is a C++ compiler ([`check_cuda_source`](crate::check_cuda_source)).
///
/// # Panics
///
/// At the first promise that does not hold, saying which.
#[track_caller]
pub fn check_kernel(kernel: Arc<dyn Sampling>) {
    report(&kernel, &[weights, gradients, cuda_source::where_it_can_be]);
}

/// Checks the two functions of a kernel on rows of coordinates: weights sum to one and their derivatives to zero; the taps stand around the coordinate;
/// derivatives agree with central differences away from jumps; a row gives what its coordinates give one by one; f32 agrees with f64.
///
/// Coordinates nearer than 0.05 to a multiple of one half are left out, since kernels jump or bend there.
///
/// # Panics
///
/// Where one does not hold.
#[track_caller]
pub fn check_weights(kernel: Arc<dyn Sampling>) {
    report(&kernel, &[weights]);
}

/// Checks a kernel in the sampler, on images and volumes, at every boundary and both values of `align_corners`, in f64: gradients with respect to the source
/// and to the grid agree with central differences; a constant source stays constant inside; the same bits come at any number of threads.
///
/// # Panics
///
/// Where one does not hold.
#[track_caller]
pub fn check_gradients(kernel: Arc<dyn Sampling>) {
    report(&kernel, &[gradients]);
}

/// One promise of a kernel, checked.
pub(crate) type Check = fn(&Arc<dyn Sampling>) -> Outcome;

#[track_caller]
pub(crate) fn report(kernel: &Arc<dyn Sampling>, checks: &[Check]) {
    for check in checks {
        if let Err(mismatch) = check(kernel) {
            panic!("{kernel:?}: {mismatch}");
        }
    }
}

/// The taps of a row of coordinates: the first pixel of each, weights and derivatives tap by tap.
pub(crate) struct Row<T> {
    pub first: Vec<i32>,
    pub weights: Vec<T>,
    pub derivatives: Vec<T>,
}

impl<T: Real> Row<T> {
    pub fn new(kernel: &dyn Sampling, x: &[T]) -> Self {
        // Filled with something that is no answer, so that what a kernel leaves unset is found.
        let unset = vec![T::nan(); kernel.support() * x.len()];
        let mut row = Self { first: vec![i32::MIN; x.len()], weights: unset.clone(), derivatives: unset };
        T::weights(kernel, x, &mut row.first, &mut row.weights);
        T::derivatives(kernel, x, &mut row.derivatives);
        row
    }

    /// The taps of coordinate `i` of `n`, of weights or derivatives.
    pub fn taps(values: &[T], i: usize, n: usize) -> Vec<f64> {
        values.iter().skip(i).step_by(n).map(|value| value.to_f64().unwrap_or(f64::NAN)).collect()
    }
}

/// Coordinates from -6 to 15 away from multiples of one half, each exact in f32.
pub(crate) fn coordinates() -> Vec<f64> {
    let offsets = [0.0625, 0.125, 0.1875, 0.25, 0.3125, 0.375, 0.4375];
    (-12..30).flat_map(|halves| offsets.map(|offset| 0.5 * f64::from(halves) + offset)).collect()
}

fn weights(kernel: &Arc<dyn Sampling>) -> Outcome {
    let kernel = &**kernel;
    let support = kernel.support();
    expect(support > 0, || "support() is 0; a kernel reads at least one pixel".into())?;
    let x = coordinates();
    let n = x.len();
    let row = Row::new(kernel, &x);
    let single = Row::new(kernel, &x.iter().map(|&x| x as f32).collect::<Vec<_>>());
    for (i, &x) in x.iter().enumerate() {
        let (weights, derivatives) = (Row::taps(&row.weights, i, n), Row::taps(&row.derivatives, i, n));
        let at = |what: &str| format!("{what} at x = {x}");
        let sum: f64 = weights.iter().sum();
        expect((sum - 1.0).abs() < 1e-9, || format!("{} sum to {sum}, not to 1: {weights:?}", at("weights")))?;
        if kernel.is_linear() {
            let t = x - x.floor();
            let same = row.first[i] == x.floor() as i32 && weights == [1.0 - t, t] && derivatives == [-1.0, 1.0];
            expect(same, || format!("{}: a kernel that says it is linear takes other taps", at("weights")))?;
        }
        let sum: f64 = derivatives.iter().sum();
        expect(sum.abs() < 1e-9, || format!("{} sum to {sum}, not to 0: {derivatives:?}", at("derivatives")))?;
        let (low, high) = (f64::from(row.first[i]) - 0.5, f64::from(row.first[i]) + support as f64 - 0.5);
        expect((low..=high).contains(&x), || format!("{}: pixels {} to {} do not stand around it", at("taps"), low + 0.5, high - 0.5))?;
        let alone = Row::new(kernel, &[x]);
        let same = alone.first[0] == row.first[i] && alone.weights == weights && alone.derivatives == derivatives;
        expect(same, || format!("{}: a row gives other values than the coordinate alone; tap t of coordinate i of n is element t * n + i", at("taps")))?;
        expect(single.first[i] == row.first[i], || format!("{}: the first tap is {} in f32, {} in f64", at("taps"), single.first[i], row.first[i]))?;
        near(&Row::taps(&single.weights, i, n), &weights, 1e-5).heading(at("weights in f32 against f64"))?;
        near(&Row::taps(&single.derivatives, i, n), &derivatives, 1e-5).heading(at("derivatives in f32 against f64"))?;
        let step = 1e-6;
        let around = Row::new(kernel, &[x - step, x + step]);
        if around.first[0] == around.first[1] {
            let change = around.weights.chunks_exact(2).map(|pair| (pair[1] - pair[0]) / (2.0 * step)).collect::<Vec<_>>();
            near(&derivatives, &change, 1e-6).heading(at("derivatives against central differences"))?;
        }
    }
    Ok(())
}

pub(crate) fn near(found: &[f64], expected: &[f64], tolerance: f64) -> Outcome {
    let agree = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1.0));
    expect(agree && found.len() == expected.len(), || format!("expected {expected:?}, found {found:?}"))
}

fn gradients(kernel: &Arc<dyn Sampling>) -> Outcome {
    for size in [vec![4, 5], vec![2, 3, 4]] {
        for boundary in Boundary::ALL {
            for align_corners in [false, true] {
                let sampler = Sampler { kernel: kernel.clone(), boundary, align_corners };
                let place = format!("a source of {size:?} with boundary {} and align_corners = {align_corners}", boundary.name());
                in_the_sampler(&sampler, &size).heading(place)?;
            }
        }
    }
    Ok(())
}

fn in_the_sampler(sampler: &Sampler, size: &[usize]) -> Outcome {
    let source = random("source of a kernel", [&[2, 2], size].concat().into(), -1.0, 1.0)?;
    let grid = generic_grid(size, sampler.align_corners)?;
    gradient::compare(|inputs| sample_grid(&inputs[0], &inputs[1], sampler), &[source.clone(), grid.clone()], 1e-6)
        .heading("gradients, the source being input 0 and the grid input 1")?;
    determinism::compare(|| {
        let (source, grid) = (Var::from_tensor(&source)?, Var::from_tensor(&grid)?);
        let values = sample_grid(&source, &grid, sampler)?;
        let gradients = values.sqr()?.sum_all()?.backward()?;
        let gradient = |var: &Var| gradients.get(var).map_or_else(|| var.zeros_like(), |gradient| Ok(gradient.clone()));
        Ok(vec![gradient(&source)?, gradient(&grid)?, values])
    })?;
    if sampler.boundary != Boundary::Zeros {
        let values = sample_grid(&source.ones_like()?, &grid, sampler)?;
        close(&values, &values.ones_like()?, 1e-9).heading("a constant source does not stay constant")?;
    }
    Ok(())
}

/// A grid `2 x 3 x 4 x 2` or `2 x 1 x 3 x 4 x 3` that points inside and up to two pixels outside, never near a multiple of half a pixel.
fn generic_grid(size: &[usize], align_corners: bool) -> Outcome<Tensor> {
    let dims = size.len();
    let mut shape = vec![2, 1, 3, 4, dims];
    if dims == 2 {
        shape.remove(1);
    }
    let draws = numbers(&random("generic grid", shape.as_slice().into(), 0.0, 1.0)?)?;
    let normalised = draws.iter().enumerate().map(|(i, draw)| {
        let n = size[dims - 1 - i % dims];
        // A half pixel from -2 to n + 1, and a place in the middle of it.
        let halves = (draw * (2 * n + 6) as f64).floor();
        let pixel = 0.5 * halves - 2.0 + 0.1 + 0.3 * (draw * 7919.0).fract();
        let (zero, one) = (TargetGrid::coordinate(0, n, align_corners), TargetGrid::coordinate(1, n, align_corners));
        zero + pixel * (one - zero)
    });
    Ok(Tensor::from_vec(normalised.collect(), shape, &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_exact_in_f32_and_far_from_jumps() {
        for x in coordinates() {
            assert_eq!(f64::from(x as f32), x);
            assert!((2.0 * x - (2.0 * x).round()).abs() > 0.1, "{x}");
        }
    }
}
