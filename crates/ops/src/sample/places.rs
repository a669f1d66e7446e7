//! Where the pixels of a tile read a packed source, and with what weights.

use stn_core::{Boundary, BoundaryRule, Real, widest};

use super::Sampler;
use super::packed::Packing;
use super::taps::{FAR, HUGE};
use super::warp::{Rows, TILE, zeros};

/// The taps of a tile of target pixels in a packed source. All TILE places are filled, those beyond the target's last pixel with some place or other.
pub(super) struct Places<'a, T> {
    sampler: &'a Sampler,
    packing: &'a Packing,
    /// The axes of the source.
    sizes: &'a [usize],
    /// Of each pixel, the packed pixel of the first tap on every axis.
    pub first: [u32; TILE],
    /// The weight of each tap on x, y, z: tap `t` of pixel `i` at `[axis][t][i]`.
    pub weights: [Vec<[T; TILE]>; 3],
    /// The derivatives of the weights with respect to the coordinate in pixels.
    pub slopes: [Vec<[T; TILE]>; 3],
    /// The derivative of the coordinates, in pixels, as read, with respect to the normalised ones.
    pub jacobian: Rows<T>,
    x: [[T; TILE]; 3],
    firsts: [[i32; TILE]; 3],
}

impl<'a, T: Real> Places<'a, T> {
    /// Room for a tile's taps. `sizes` are those of the source's x, y (, z).
    pub(super) fn new(sampler: &'a Sampler, packing: &'a Packing, sizes: &'a [usize]) -> Self {
        let support = sampler.kernel.support();
        let taps = [support, support, if sizes.len() == 3 { support } else { 1 }];
        Self {
            sampler,
            packing,
            sizes,
            first: [0; TILE],
            // An image has one tap on z, of weight one.
            weights: taps.map(|taps| vec![[T::one(); TILE]; taps]),
            slopes: taps.map(|taps| vec![[T::zero(); TILE]; taps]),
            jacobian: zeros(),
            x: [[T::zero(); TILE]; 3],
            firsts: [[0; TILE]; 3],
        }
    }

    /// The tables of the taps with as many taps on x and y, and on z, as the compiler knows of; all where that is 0.
    #[inline(always)]
    pub(super) fn taps<'t, const S: usize, const Z: usize>(&self, tables: &'t [Vec<[T; TILE]>; 3]) -> [&'t [[T; TILE]]; 3] {
        let (support, depth) = if S == 0 { (tables[0].len(), tables[2].len()) } else { (S, Z) };
        [&tables[0][..support], &tables[1][..support], &tables[2][..depth]]
    }

    /// How far a tap lies behind the first, in packed pixels.
    #[inline(always)]
    pub(super) fn offset(&self, [x, y, z]: [usize; 3]) -> usize {
        let [_, row, plane] = &self.packing.axes;
        x + y * row.stride + z * plane.stride
    }

    /// One more than the highest packed pixel that any tap reads.
    #[inline(always)]
    pub(super) fn reach(&self) -> usize {
        let highest = self.first.iter().fold(0, |highest, &first| highest.max(first));
        let last = [0, 1, 2].map(|a| self.weights[a].len().max(1) - 1);
        highest as usize + self.offset(last) + 1
    }

    /// Finds the taps at normalised coordinates; with their slopes where a gradient is wanted.
    pub(super) fn place(&mut self, rows: &Rows<T>, slopes: bool) {
        settle(self.sampler, self.sizes, rows, &mut self.x, &mut self.jacobian);
        let kernel = self.sampler.kernel.as_ref();
        for (a, x) in self.x.iter().enumerate().take(self.sizes.len()) {
            T::weights(kernel, x, &mut self.firsts[a], self.weights[a].as_flattened_mut());
            if slopes {
                T::derivatives(kernel, x, self.slopes[a].as_flattened_mut());
            }
        }
        place(self.packing, self.sizes.len(), &mut self.firsts, &mut self.first);
    }
}

widest! {
    /// From the first taps' pixels on each axis to the packed pixels.
    fn place[;](packing: &Packing, axes: usize, firsts: &mut [[i32; TILE]; 3], places: &mut [u32; TILE]) = place_body
}

#[inline(always)]
fn place_body<const LEVEL: usize>(packing: &Packing, axes: usize, firsts: &mut [[i32; TILE]; 3], places: &mut [u32; TILE]) {
    for (a, (axis, firsts)) in packing.axes.iter().zip(firsts).enumerate().take(axes) {
        axis.place(firsts);
        for (place, &first) in places.iter_mut().zip(&*firsts) {
            *place = first as u32 + if a == 0 { 0 } else { *place };
        }
    }
}

widest! {
    /// From normalised coordinates to those in pixels, as any kernel can take them, and their derivatives.
    fn settle[T: Real;](sampler: &Sampler, sizes: &[usize], rows: &Rows<T>, x: &mut [[T; TILE]; 3], jacobian: &mut Rows<T>) = settle_body
}

#[inline(always)]
fn settle_body<T: Real, const LEVEL: usize>(sampler: &Sampler, sizes: &[usize], rows: &Rows<T>, x: &mut [[T; TILE]; 3], jacobian: &mut Rows<T>) {
    for (((&size, row), x), jacobian) in sizes.iter().zip(rows).zip(x).zip(jacobian) {
        settle_axis(sampler, size, row, x, jacobian);
    }
}

#[inline(always)]
fn settle_axis<T: Real>(sampler: &Sampler, size: usize, row: &[T; TILE], x: &mut [T; TILE], jacobian: &mut [T; TILE]) {
    let (one, two, half, length) = (T::one(), T::of(2.0), T::of(0.5), T::of(size as f64));
    let scale = if sampler.align_corners { (length - one) / two } else { length / two };
    // Half of a number is exact: the same bits as dividing by two.
    match sampler.align_corners {
        true => x.iter_mut().zip(row).for_each(|(x, &row)| *x = (row + one) * half * (length - one)),
        false => x.iter_mut().zip(row).for_each(|(x, &row)| *x = ((row + one) * length - one) * half),
    }
    let tame = |x: T| x.abs() < T::of(HUGE);
    // A loop for each case, for the compiler to see that each is simple.
    let pixels = x.iter_mut().zip(jacobian);
    match (sampler.boundary, sampler.kernel.boundary_rule()) {
        (Boundary::Zeros, _) => pixels.for_each(|(x, jacobian)| {
            *jacobian = if tame(*x) { scale } else { T::zero() };
            *x = if tame(*x) { *x } else { -T::of(FAR) };
        }),
        (Boundary::Border, BoundaryRule::Coordinate) => pixels.for_each(|(x, jacobian)| {
            let (settled, slope) = Boundary::Border.coordinate(*x, size, sampler.align_corners);
            (*x, *jacobian) = (settled, slope * scale);
        }),
        (boundary, BoundaryRule::Coordinate) => pixels.for_each(|(x, jacobian)| {
            let (settled, slope) = boundary.coordinate(*x, size, sampler.align_corners);
            (*x, *jacobian) = (settled, slope * scale);
        }),
        (boundary, BoundaryRule::Tap) => pixels.for_each(|(x, jacobian)| {
            *jacobian = if tame(*x) { scale } else { T::zero() };
            if !tame(*x) {
                *x = boundary.coordinate(*x, size, sampler.align_corners).0;
            }
        }),
    }
}
