//! Where the pixels of a run read an axis of a source: from normalised coordinates to the taps of a sampling kernel.

use crate::kernel::{BoundaryRule, Real, SamplingKernel};
use crate::{Boundary, widest};

/// The most coordinates of a run.
pub const RUN: usize = 512;

/// A coordinate, in pixels, that is outside every source and that every kernel can take.
pub const FAR: f64 = (1 << 29) as f64;

/// Kernels are asked about smaller coordinates, in pixels, only.
pub const HUGE: f64 = (1 << 30) as f64;

/// An axis of a source, and how it is read.
#[derive(Debug, Clone, Copy)]
pub struct SourceAxis {
    /// Its pixels.
    pub size: usize,
    /// What is read outside.
    pub boundary: Boundary,
    /// Whether -1 and 1 are the centres of the outer pixels (true) or their outer edges (false).
    pub align_corners: bool,
}

impl SourceAxis {
    /// The derivative of a coordinate in pixels with respect to the normalised one.
    pub fn scale<T: Real>(&self) -> T {
        let length = T::of(self.size as f64);
        if self.align_corners { (length - T::one()) * T::of(0.5) } else { length * T::of(0.5) }
    }
}

/// The taps of a run of pixels on one axis.
#[derive(Debug)]
pub struct AxisTaps<'a, T> {
    /// The pixel of each first tap.
    pub first: &'a mut [i32; RUN],
    /// The weight of every tap: tap `t` of pixel `i` at `[t][i]`.
    pub weights: &'a mut [[T; RUN]],
    /// The derivatives of the weights with respect to the coordinate in pixels, where they are wanted.
    pub slopes: Option<&'a mut [[T; RUN]]>,
    /// The derivative of the coordinate, in pixels, as read, with respect to the normalised one; filled with the slopes.
    pub jacobian: &'a mut [T; RUN],
}

widest! {
    /// The taps at some normalised coordinates, compiled for the vector instructions of this CPU.
    pub(crate) fn taps_at[K: SamplingKernel, T: Real;](kernel: &K, axis: &SourceAxis, coordinates: &[T], taps: AxisTaps<'_, T>) = taps_body
}

#[inline(always)]
fn taps_body<K: SamplingKernel, T: Real, const LEVEL: usize>(kernel: &K, axis: &SourceAxis, coordinates: &[T], taps: AxisTaps<'_, T>) {
    let pixels = Pixels::new(axis, coordinates);
    // A loop for each case, for the compiler to see that each is simple.
    match (axis.boundary, kernel.boundary_rule()) {
        (Boundary::Zeros, _) => by_support(kernel, &Within(pixels), taps),
        (Boundary::Border, BoundaryRule::Coordinate) => by_support(kernel, &Clamped(pixels), taps),
        (boundary, rule) => by_support(kernel, &Settled::new(&pixels, boundary, rule), taps),
    }
}

/// Runs the loop with the number of taps known to the compiler, where it is a usual one: of a kernel whose support is a constant, no other remains.
#[inline(always)]
fn by_support<K: SamplingKernel, T: Real>(kernel: &K, places: &impl Places<T>, taps: AxisTaps<'_, T>) {
    match kernel.support() {
        1 => by_slopes::<K, T, 1>(kernel, places, taps),
        2 => by_slopes::<K, T, 2>(kernel, places, taps),
        3 => by_slopes::<K, T, 3>(kernel, places, taps),
        4 => by_slopes::<K, T, 4>(kernel, places, taps),
        6 => by_slopes::<K, T, 6>(kernel, places, taps),
        8 => by_slopes::<K, T, 8>(kernel, places, taps),
        support => any_support(kernel, places, taps, support),
    }
}

#[inline(always)]
fn by_slopes<K: SamplingKernel, T: Real, const S: usize>(kernel: &K, places: &impl Places<T>, taps: AxisTaps<'_, T>) {
    let Some(weights) = taps.weights.first_chunk_mut() else { return };
    match taps.slopes.and_then(|slopes| slopes.first_chunk_mut()) {
        Some(slopes) => each_pixel::<K, T, S, true>(kernel, places, (taps.first, taps.jacobian), weights, slopes),
        None => each_pixel::<K, T, S, false>(kernel, places, (taps.first, taps.jacobian), weights, &mut [[T::zero(); RUN]; S]),
    }
}

/// A pixel after the other, the kernel asked for one at a time: the compiler makes many of it at once, and keeps all in registers.
#[inline(always)]
fn each_pixel<K: SamplingKernel, T: Real, const S: usize, const SLOPES: bool>(
    kernel: &K,
    places: &impl Places<T>,
    (first, jacobian): (&mut [i32; RUN], &mut [T; RUN]),
    weights: &mut [[T; RUN]; S],
    slopes: &mut [[T; RUN]; S],
) {
    for i in 0..places.len().min(RUN) {
        let (x, slope) = places.at(i);
        let (mut pixel, mut of_taps) = ([0], [T::zero(); S]);
        kernel.weights(&[x], &mut pixel, &mut of_taps);
        first[i] = pixel[0];
        for t in 0..S {
            weights[t][i] = of_taps[t];
        }
        if SLOPES {
            jacobian[i] = slope;
            kernel.derivatives(&[x], &mut of_taps);
            for t in 0..S {
                slopes[t][i] = of_taps[t];
            }
        }
    }
}

fn any_support<K: SamplingKernel, T: Real>(kernel: &K, places: &impl Places<T>, mut taps: AxisTaps<'_, T>, support: usize) {
    let mut of_taps = vec![T::zero(); support];
    for i in 0..places.len().min(RUN) {
        let (x, slope) = places.at(i);
        kernel.weights(&[x], &mut taps.first[i..=i], &mut of_taps);
        taps.weights.iter_mut().zip(&of_taps).for_each(|(row, &weight)| row[i] = weight);
        if let Some(slopes) = &mut taps.slopes {
            taps.jacobian[i] = slope;
            kernel.derivatives(&[x], &mut of_taps);
            slopes.iter_mut().zip(&of_taps).for_each(|(row, &slope)| row[i] = slope);
        }
    }
}

/// The coordinates of a run, in pixels, as any kernel can take them.
trait Places<T> {
    fn len(&self) -> usize;

    /// The coordinate of pixel `i` and its derivative with respect to the normalised one.
    fn at(&self, i: usize) -> (T, T);
}

/// Coordinates in pixels as they come.
struct Pixels<'a, T> {
    coordinates: &'a [T],
    axis: &'a SourceAxis,
    length: T,
    /// The derivative with respect to the normalised coordinate.
    scale: T,
}

impl<'a, T: Real> Pixels<'a, T> {
    #[inline(always)]
    fn new(axis: &'a SourceAxis, coordinates: &'a [T]) -> Self {
        Self { coordinates, axis, length: T::of(axis.size as f64), scale: axis.scale() }
    }

    #[inline(always)]
    fn pixel(&self, i: usize) -> T {
        // Half of a number is exact: the same bits as dividing by two.
        let (x, one, half) = (self.coordinates[i], T::one(), T::of(0.5));
        if self.axis.align_corners { (x + one) * half * (self.length - one) } else { ((x + one) * self.length - one) * half }
    }
}

/// Coordinates of a source with nothing around it.
struct Within<'a, T>(Pixels<'a, T>);

impl<T: Real> Places<T> for Within<'_, T> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.coordinates.len()
    }

    #[inline(always)]
    fn at(&self, i: usize) -> (T, T) {
        let x = self.0.pixel(i);
        if x.abs() < T::of(HUGE) { (x, self.0.scale) } else { (-T::of(FAR), T::zero()) }
    }
}

/// Coordinates clamped to the source.
struct Clamped<'a, T>(Pixels<'a, T>);

impl<T: Real> Places<T> for Clamped<'_, T> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.coordinates.len()
    }

    #[inline(always)]
    fn at(&self, i: usize) -> (T, T) {
        let (x, slope) = Boundary::Border.coordinate(self.0.pixel(i), self.0.axis.size, self.0.axis.align_corners);
        (x, slope * self.0.scale)
    }
}

/// Coordinates that take longer: brought where the boundary has them by a loop of their own.
struct Settled<T> {
    length: usize,
    x: [T; RUN],
    slopes: [T; RUN],
}

impl<T: Real> Settled<T> {
    #[inline(always)]
    fn new(pixels: &Pixels<'_, T>, boundary: Boundary, rule: BoundaryRule) -> Self {
        let mut settled = Self { length: pixels.coordinates.len(), x: [T::zero(); RUN], slopes: [T::zero(); RUN] };
        for i in 0..settled.length.min(RUN) {
            let x = pixels.pixel(i);
            let inside = || boundary.coordinate(x, pixels.axis.size, pixels.axis.align_corners);
            (settled.x[i], settled.slopes[i]) = match rule {
                BoundaryRule::Coordinate => {
                    let (x, slope) = inside();
                    (x, slope * pixels.scale)
                }
                // The boundary acts on the taps of any other.
                BoundaryRule::Tap if x.abs() < T::of(HUGE) => (x, pixels.scale),
                BoundaryRule::Tap => (inside().0, T::zero()),
            };
        }
        settled
    }
}

impl<T: Real> Places<T> for Settled<T> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn at(&self, i: usize) -> (T, T) {
        (self.x[i], self.slopes[i])
    }
}
