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
    x: [T; TILE],
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
            x: [T::zero(); TILE],
            firsts: [[0; TILE]; 3],
        }
    }

    /// Finds the taps at normalised coordinates; with their slopes where a gradient is wanted.
    pub(super) fn place(&mut self, rows: &Rows<T>, slopes: bool) {
        for (a, &size) in self.sizes.iter().enumerate() {
            settle(self.sampler, size, &rows[a], &mut self.x, &mut self.jacobian[a]);
            let kernel = self.sampler.kernel.as_ref();
            T::weights(kernel, &self.x, &mut self.firsts[a], self.weights[a].as_flattened_mut());
            if slopes {
                T::derivatives(kernel, &self.x, self.slopes[a].as_flattened_mut());
            }
            place_axis::<T>(self.packing, a, &mut self.firsts[a]);
        }
        let [x, y, z] = &self.firsts;
        for (i, first) in self.first.iter_mut().enumerate() {
            *first = (x[i] + y[i] + z[i]) as u32;
        }
    }
}

widest! {
    fn place_axis[T: Real;](packing: &Packing, axis: usize, first: &mut [i32; TILE]) = place_axis_body
}

#[inline(always)]
fn place_axis_body<T: Real, const LEVEL: usize>(packing: &Packing, axis: usize, first: &mut [i32; TILE]) {
    packing.axes[axis].place(first);
}

widest! {
    /// From normalised coordinates to those in pixels, as any kernel can take them, and their derivatives.
    fn settle[T: Real;](sampler: &Sampler, size: usize, row: &[T; TILE], x: &mut [T; TILE], jacobian: &mut [T; TILE]) = settle_body
}

#[inline(always)]
fn settle_body<T: Real, const LEVEL: usize>(sampler: &Sampler, size: usize, row: &[T; TILE], x: &mut [T; TILE], jacobian: &mut [T; TILE]) {
    let (one, two, half, length) = (T::one(), T::of(2.0), T::of(0.5), T::of(size as f64));
    let scale = if sampler.align_corners { (length - one) / two } else { length / two };
    // Half of a number is exact: the same bits as dividing by two.
    match sampler.align_corners {
        true => x.iter_mut().zip(row).for_each(|(x, &row)| *x = (row + one) * half * (length - one)),
        false => x.iter_mut().zip(row).for_each(|(x, &row)| *x = ((row + one) * length - one) * half),
    }
    let rule = sampler.kernel.boundary_rule();
    for (x, jacobian) in x.iter_mut().zip(jacobian) {
        let tame = x.abs() < T::of(HUGE);
        let slope = match (sampler.boundary, rule) {
            (Boundary::Zeros, _) => {
                *x = if tame { *x } else { -T::of(FAR) };
                if tame { one } else { T::zero() }
            }
            (_, BoundaryRule::Tap) if tame => one,
            (boundary, rule) => {
                let (settled, slope) = boundary.coordinate(*x, size, sampler.align_corners);
                *x = settled;
                if rule == BoundaryRule::Tap { T::zero() } else { slope }
            }
        };
        *jacobian = slope * scale;
    }
}
