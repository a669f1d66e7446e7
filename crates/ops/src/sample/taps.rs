//! From coordinates to the pixels that are read and their weights, an axis at a time.

use stn_core::taps::{FAR, HUGE};
use stn_core::{Boundary, BoundaryRule, Real};

use super::Sampler;
use super::warp::{Rows, TILE, zeros};

/// The longest axis of a source, in pixels: far less than [`FAR`].
pub(super) const LONGEST_AXIS: usize = 1 << 28;

/// The offset of a tap that reads zero: beyond every source, and the sum of three does not overflow.
const OUTSIDE: usize = usize::MAX / 4;

/// One pixel on one axis, as read for one coordinate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap<T> {
    /// How far along the source it lies; the sum over the axes is the pixel's index, or beyond the source where one of them is outside.
    pub offset: usize,
    /// Its weight.
    pub weight: T,
    /// The derivative of its weight with respect to the coordinate in pixels.
    pub slope: T,
}

/// An axis of the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Its pixels.
    pub size: usize,
    /// How far apart two of them lie in memory.
    pub stride: usize,
}

/// The taps of a tile of target pixels, with what it takes to find them.
pub(super) struct Taps<'a, T> {
    sampler: &'a Sampler,
    source: &'a [Axis],
    /// Taps of x, y, z: those of a pixel side by side. An image has one z tap of weight one.
    taps: [Vec<Tap<T>>; 3],
    /// The derivative of the coordinates, in pixels, as read, with respect to the normalised ones.
    pub jacobian: Rows<T>,
    pub support: usize,
    pub depth: usize,
    x: [T; TILE],
    first: [i32; TILE],
    weights: Vec<T>,
    slopes: Vec<T>,
}

impl<'a, T: Real> Taps<'a, T> {
    /// Room for a tile's taps. `source` has the axes x, y (, z).
    pub(super) fn new(sampler: &'a Sampler, source: &'a [Axis]) -> Self {
        let support = sampler.kernel.support();
        let one = Tap { offset: 0, weight: T::one(), slope: T::zero() };
        let depth = if source.len() == 3 { support } else { 1 };
        Self {
            sampler,
            source,
            taps: [support, support, depth].map(|taps| vec![one; taps * TILE]),
            jacobian: zeros(),
            support,
            depth,
            x: [T::zero(); TILE],
            first: [0; TILE],
            weights: vec![T::zero(); support * TILE],
            slopes: vec![T::zero(); support * TILE],
        }
    }

    /// Finds the taps at normalised coordinates, `len` of each row; with their slopes where a gradient is wanted.
    pub(super) fn place(&mut self, rows: &Rows<T>, len: usize, slopes: bool) {
        let (kernel, support) = (self.sampler.kernel.as_ref(), self.support);
        for (a, &axis) in self.source.iter().enumerate() {
            for (i, &x) in rows[a][..len].iter().enumerate() {
                let (x, scale) = self.pixel(x, axis.size);
                let (x, slope) = self.settled(x, axis.size);
                (self.x[i], self.jacobian[a][i]) = (x, slope * scale);
            }
            let x = &self.x[..len];
            T::weights(kernel, x, &mut self.first[..len], &mut self.weights[..support * len]);
            if slopes {
                T::derivatives(kernel, x, &mut self.slopes[..support * len]);
            }
            for (i, taps) in self.taps[a].chunks_exact_mut(support).take(len).enumerate() {
                for (t, tap) in taps.iter_mut().enumerate() {
                    let offset = self.sampler.offset(i64::from(self.first[i]) + t as i64, axis);
                    *tap = Tap { offset, weight: self.weights[t * len + i], slope: self.slopes[t * len + i] };
                }
            }
        }
    }

    /// The taps of each pixel on x, y and z. `S` and `Z` are the taps on x and y and those on z, for the compiler to unroll, or 0 for any number.
    #[inline(always)]
    pub(super) fn iter<const S: usize, const Z: usize>(&self) -> impl Iterator<Item = [&[Tap<T>]; 3]> {
        let (support, depth) = if S == 0 { (self.support, self.depth) } else { (S, Z) };
        let [x, y, z] = &self.taps;
        x.chunks_exact(support).zip(y.chunks_exact(support)).zip(z.chunks_exact(depth)).map(|((x, y), z)| [x, y, z])
    }

    /// A normalised coordinate in pixels, 0 at the centre of the first, and the derivative.
    fn pixel(&self, x: T, size: usize) -> (T, T) {
        let (one, two, size) = (T::one(), T::of(2.0), T::of(size as f64));
        if self.sampler.align_corners { ((x + one) / two * (size - one), (size - one) / two) } else { (((x + one) * size - one) / two, size / two) }
    }

    /// A coordinate in pixels that any kernel can take, and its derivative: brought into the source where the boundary acts on coordinates, safe where it is huge
    /// or not finite.
    fn settled(&self, x: T, size: usize) -> (T, T) {
        let Sampler { kernel, boundary, align_corners } = self.sampler;
        let tame = x.abs() < T::of(HUGE);
        match (boundary, kernel.boundary_rule()) {
            (Boundary::Zeros, _) => {
                if tame {
                    (x, T::one())
                } else {
                    (-T::of(FAR), T::zero())
                }
            }
            (_, BoundaryRule::Tap) if tame => (x, T::one()),
            (_, BoundaryRule::Tap) => (boundary.coordinate(x, size, *align_corners).0, T::zero()),
            (_, BoundaryRule::Coordinate) => boundary.coordinate(x, size, *align_corners),
        }
    }
}

impl Sampler {
    /// Where pixel `index` of an axis lies, or the pixel that the boundary puts in its place.
    fn offset(&self, index: i64, axis: Axis) -> usize {
        match usize::try_from(index) {
            Ok(inside) if inside < axis.size => inside * axis.stride,
            _ => self.boundary.pixel(index, axis.size, self.align_corners).map_or(OUTSIDE, |pixel| pixel * axis.stride),
        }
    }
}
