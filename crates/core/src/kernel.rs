//! Sampling kernels: how a value between pixels is made from the pixels around it.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{AddAssign, MulAssign};

use num_traits::Float;

use crate::taps::{AxisTaps, SourceAxis, taps_at};
use crate::widest;

/// A number the sampler computes in: `f32` or `f64`.
pub trait Real: Float + Default + Debug + Sum + AddAssign + MulAssign + Send + Sync + 'static {
    /// [`SamplingKernel::weights`] of a kernel behind a trait object.
    fn weights(kernel: &dyn Sampling, x: &[Self], first: &mut [i32], weights: &mut [Self]);
    /// [`SamplingKernel::derivatives`] of a kernel behind a trait object.
    fn derivatives(kernel: &dyn Sampling, x: &[Self], derivatives: &mut [Self]);
    /// Where and with what weights a kernel behind a trait object reads an axis of a source, at up to [`RUN`](crate::taps::RUN) normalised coordinates.
    fn taps(kernel: &dyn Sampling, axis: &SourceAxis, coordinates: &[Self], taps: AxisTaps<'_, Self>);
    /// The nearest number of this type.
    fn of(value: f64) -> Self;
}

/// Where a [`Boundary`](crate::Boundary) acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundaryRule {
    /// On the coordinate, before taps are chosen: the coordinate is clamped or mirrored and its gradient with it.
    Coordinate,
    /// On every tap by itself: the coordinate stays, each tap outside is clamped or mirrored.
    Tap,
}

/// A separable sampling kernel `k(x - m)`, equation 3 of the paper: what the author of a kernel writes.
///
/// Along one axis the value at pixel coordinate `x` (0 at the centre of the first pixel) is `sum_t weights[t] * U[first + t]` over [`support`](Self::support) taps.
/// Images use the product of two axes, volumes of three.
///
/// Both functions serve a row of `n = x.len()` coordinates at a time, so that a kernel found by name costs one dynamic call a row. Weights are stored tap by tap:
/// tap `t` of coordinate `i` is element `t * n + i`. The sampler calls them with finite `|x| < 2^30` only. Mark them `#[inline(always)]`, as what they call: they are then
/// compiled for the vector instructions of the CPU they run on, and plain loops over `x` become wide ones.
///
/// What is to come, such as learnt parameters and a support that grows where the warp shrinks the image, comes as methods with default bodies here and in [`Sampling`],
/// which every kernel gets from here: kernels written today go on compiling.
pub trait SamplingKernel: Debug + Send + Sync + 'static {
    /// The number of taps along one axis.
    fn support(&self) -> usize;

    /// Where the boundary acts. By default on the coordinate for one or two taps and on every tap for more, as other frameworks do.
    fn boundary_rule(&self) -> BoundaryRule {
        if self.support() <= 2 { BoundaryRule::Coordinate } else { BoundaryRule::Tap }
    }

    /// Fills the first tap's pixel (`n` long) and every tap's weight (`support * n` long).
    fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]);

    /// Fills the derivative of every tap's weight with respect to `x` (`support * n` long); all zero for a kernel that is flat between jumps.
    fn derivatives<T: Real>(&self, x: &[T], derivatives: &mut [T]);

    /// Whether this is linear interpolation: two taps, the pixel at or before `x` and the next, with weights `1 - t` and `t` for `t = x - floor(x)`, derivatives -1 and 1,
    /// and no other. The sampler has a loop for that, which does not ask the kernel.
    fn is_linear(&self) -> bool {
        false
    }

    /// The same two functions as CUDA C, or `None` where the kernel runs on the CPU only:
    ///
    /// ```c
    /// __device__ void weights(REAL x, int* first, REAL* weights);
    /// __device__ void derivatives(REAL x, REAL* derivatives);
    /// ```
    ///
    /// for one coordinate and its [`support`](Self::support) taps, `REAL` being `float` or `double`. The text is compiled where it runs, once for every different text, so
    /// it may hold a parameter's value as a constant. Where it defines `LARGEST_WEIGHT`, no weight's magnitude exceeds that; the backward pass looks at all of them
    /// beforehand where it does not.
    ///
    /// `stn_testkit::check_kernel` compares it with the two functions here, without a card.
    fn cuda_source(&self) -> Option<String> {
        None
    }
}

/// A [`SamplingKernel`] behind a trait object: what the sampler and the registry hold. Every sampling kernel is one.
pub trait Sampling: Debug + Send + Sync {
    /// See [`SamplingKernel::support`].
    fn support(&self) -> usize;
    /// See [`SamplingKernel::boundary_rule`].
    fn boundary_rule(&self) -> BoundaryRule;
    /// See [`SamplingKernel::is_linear`].
    fn is_linear(&self) -> bool;
    /// See [`SamplingKernel::weights`].
    fn weights_f32(&self, x: &[f32], first: &mut [i32], weights: &mut [f32]);
    /// See [`SamplingKernel::weights`].
    fn weights_f64(&self, x: &[f64], first: &mut [i32], weights: &mut [f64]);
    /// See [`SamplingKernel::derivatives`].
    fn derivatives_f32(&self, x: &[f32], derivatives: &mut [f32]);
    /// See [`SamplingKernel::derivatives`].
    fn derivatives_f64(&self, x: &[f64], derivatives: &mut [f64]);
    /// See [`Real::taps`].
    fn taps_f32(&self, axis: &SourceAxis, coordinates: &[f32], taps: AxisTaps<'_, f32>);
    /// See [`Real::taps`].
    fn taps_f64(&self, axis: &SourceAxis, coordinates: &[f64], taps: AxisTaps<'_, f64>);
    /// See [`SamplingKernel::cuda_source`].
    fn cuda_source(&self) -> Option<String>;
}

widest! {
    /// [`SamplingKernel::weights`], compiled for the vector instructions of this CPU.
    fn weights_at[K: SamplingKernel, T: Real;](kernel: &K, x: &[T], first: &mut [i32], weights: &mut [T]) = weights_body
}

#[inline(always)]
fn weights_body<K: SamplingKernel, T: Real, const LEVEL: usize>(kernel: &K, x: &[T], first: &mut [i32], weights: &mut [T]) {
    kernel.weights(x, first, weights);
}

widest! {
    /// [`SamplingKernel::derivatives`], compiled for the vector instructions of this CPU.
    fn derivatives_at[K: SamplingKernel, T: Real;](kernel: &K, x: &[T], derivatives: &mut [T]) = derivatives_body
}

#[inline(always)]
fn derivatives_body<K: SamplingKernel, T: Real, const LEVEL: usize>(kernel: &K, x: &[T], derivatives: &mut [T]) {
    kernel.derivatives(x, derivatives);
}

impl<K: SamplingKernel> Sampling for K {
    fn support(&self) -> usize {
        SamplingKernel::support(self)
    }

    fn boundary_rule(&self) -> BoundaryRule {
        SamplingKernel::boundary_rule(self)
    }

    fn is_linear(&self) -> bool {
        SamplingKernel::is_linear(self)
    }

    fn weights_f32(&self, x: &[f32], first: &mut [i32], weights: &mut [f32]) {
        weights_at(self, x, first, weights);
    }

    fn weights_f64(&self, x: &[f64], first: &mut [i32], weights: &mut [f64]) {
        weights_at(self, x, first, weights);
    }

    fn derivatives_f32(&self, x: &[f32], derivatives: &mut [f32]) {
        derivatives_at(self, x, derivatives);
    }

    fn derivatives_f64(&self, x: &[f64], derivatives: &mut [f64]) {
        derivatives_at(self, x, derivatives);
    }

    fn taps_f32(&self, axis: &SourceAxis, coordinates: &[f32], taps: AxisTaps<'_, f32>) {
        taps_at(self, axis, coordinates, taps);
    }

    fn taps_f64(&self, axis: &SourceAxis, coordinates: &[f64], taps: AxisTaps<'_, f64>) {
        taps_at(self, axis, coordinates, taps);
    }

    fn cuda_source(&self) -> Option<String> {
        SamplingKernel::cuda_source(self)
    }
}

impl Real for f32 {
    fn weights(kernel: &dyn Sampling, x: &[Self], first: &mut [i32], weights: &mut [Self]) {
        kernel.weights_f32(x, first, weights);
    }

    fn derivatives(kernel: &dyn Sampling, x: &[Self], derivatives: &mut [Self]) {
        kernel.derivatives_f32(x, derivatives);
    }

    fn taps(kernel: &dyn Sampling, axis: &SourceAxis, coordinates: &[Self], taps: AxisTaps<'_, Self>) {
        kernel.taps_f32(axis, coordinates, taps);
    }

    fn of(value: f64) -> Self {
        value as f32
    }
}

impl Real for f64 {
    fn weights(kernel: &dyn Sampling, x: &[Self], first: &mut [i32], weights: &mut [Self]) {
        kernel.weights_f64(x, first, weights);
    }

    fn derivatives(kernel: &dyn Sampling, x: &[Self], derivatives: &mut [Self]) {
        kernel.derivatives_f64(x, derivatives);
    }

    fn taps(kernel: &dyn Sampling, axis: &SourceAxis, coordinates: &[Self], taps: AxisTaps<'_, Self>) {
        kernel.taps_f64(axis, coordinates, taps);
    }

    fn of(value: f64) -> Self {
        value
    }
}
