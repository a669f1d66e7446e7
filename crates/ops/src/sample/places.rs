//! Where the pixels of a tile read a packed source, and with what weights.

use stn_core::{Boundary, BoundaryRule, Real, widest};

use super::Sampler;
use super::arithmetic::WIDE;
use super::packed::Packing;
use super::taps::{FAR, HUGE};
use super::warp::{Rows, TILE, zeros};

/// The taps of a tile of target pixels in a packed source. Places are filled in vectors, those beyond the target's last pixel with some place or other that is within it.
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
    /// The highest of `first`.
    highest: u32,
    /// How far the last tap lies behind the first.
    last: usize,
}

impl<'a, T: Real> Places<'a, T> {
    /// Room for a tile's taps. `sizes` are those of the source's x, y (, z).
    pub(super) fn new(sampler: &'a Sampler, packing: &'a Packing, sizes: &'a [usize]) -> Self {
        let support = sampler.kernel.support();
        let taps = [support, support, if sizes.len() == 3 { support } else { 1 }];
        let [_, row, plane] = &packing.axes;
        Self {
            highest: 0,
            last: (taps[0].max(1) - 1) * (1 + row.stride) + (taps[2].max(1) - 1) * plane.stride,
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
        self.highest as usize + self.last + 1
    }

    /// The pixels that the four numbers of a cell belong to, as how far they lie behind the cell's own: a square where a kernel has two taps on an axis, otherwise four
    /// beside each other.
    pub(super) fn cell(&self) -> [usize; 4] {
        let x = [self.offset([0, 0, 0]), self.offset([1, 0, 0])];
        match self.weights[0].len() {
            2 => [x[0], x[1], self.offset([0, 1, 0]), self.offset([1, 1, 0])],
            _ => [x[0], x[1], self.offset([2, 0, 0]), self.offset([3, 0, 0])],
        }
    }

    /// Finds the taps at the normalised coordinates of a tile of so many pixels; with their slopes where a gradient is wanted.
    pub(super) fn place(&mut self, rows: &Rows<T>, pixels: usize, slopes: bool) {
        let pixels = pixels.next_multiple_of(WIDE).min(TILE);
        settle(self.sampler, self.sizes, rows, pixels, &mut self.x, &mut self.jacobian);
        let kernel = self.sampler.kernel.as_ref();
        for (a, x) in self.x.iter().enumerate().take(self.sizes.len()) {
            let (x, taps) = (&x[..pixels], self.weights[a].len());
            T::weights(kernel, x, &mut self.firsts[a][..pixels], &mut self.weights[a].as_flattened_mut()[..taps * pixels]);
            spread(&mut self.weights[a], pixels);
            if slopes {
                T::derivatives(kernel, x, &mut self.slopes[a].as_flattened_mut()[..taps * pixels]);
                spread(&mut self.slopes[a], pixels);
            }
        }
        place(self.packing, self.sizes.len(), pixels, &self.firsts, &mut self.first, &mut self.highest);
    }
}

/// From rows of `pixels` numbers, one after the other, to rows of a tile.
fn spread<T: Copy>(rows: &mut [[T; TILE]], pixels: usize) {
    if pixels < TILE {
        for row in (1..rows.len()).rev() {
            rows.as_flattened_mut().copy_within(row * pixels..(row + 1) * pixels, row * TILE);
        }
    }
}

widest! {
    /// From the first taps' pixels on each axis to the packed pixels.
    fn place[;](packing: &Packing, axes: usize, pixels: usize, firsts: &[[i32; TILE]; 3], places: &mut [u32; TILE], highest: &mut u32) = place_body
}

#[inline(always)]
fn place_body<const LEVEL: usize>(packing: &Packing, axes: usize, pixels: usize, firsts: &[[i32; TILE]; 3], places: &mut [u32; TILE], highest: &mut u32) {
    for (a, (axis, firsts)) in packing.axes.iter().zip(firsts).enumerate().take(axes) {
        axis.place(&firsts[..pixels], &mut places[..pixels], a == 0);
    }
    // Those beyond the tile's pixels are of an earlier one, and are read with it where a vector is wider than what is left.
    *highest = places.iter().fold(0, |highest, &place| highest.max(place));
}

widest! {
    /// From normalised coordinates to those in pixels, as any kernel can take them, and their derivatives.
    fn settle[T: Real;](sampler: &Sampler, sizes: &[usize], rows: &Rows<T>, pixels: usize, x: &mut [[T; TILE]; 3], jacobian: &mut Rows<T>) = settle_body
}

#[inline(always)]
fn settle_body<T: Real, const LEVEL: usize>(sampler: &Sampler, sizes: &[usize], rows: &Rows<T>, pixels: usize, x: &mut [[T; TILE]; 3], jacobian: &mut Rows<T>) {
    for (((&size, row), x), jacobian) in sizes.iter().zip(rows).zip(x).zip(jacobian) {
        settle_axis(sampler, size, &row[..pixels], &mut x[..pixels], &mut jacobian[..pixels]);
    }
}

#[inline(always)]
fn settle_axis<T: Real>(sampler: &Sampler, size: usize, row: &[T], x: &mut [T], jacobian: &mut [T]) {
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
