//! Where the pixels of a tile read a packed source, and with what weights.

use stn_core::taps::{AxisTaps, SourceAxis};
use stn_core::{Boundary, widest};

use super::Sampler;
use super::arithmetic::{Lanes, WIDE};
use super::packed::Packing;
use super::warp::{Rows, TILE, zeros};

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;

/// The taps of a tile of target pixels in a packed source. Places are filled in vectors, those beyond the target's last pixel with some place or other that is within it.
#[repr(C, align(64))]
pub(super) struct Places<'a, T> {
    /// Of each pixel, the packed pixel of the first tap on every axis.
    pub first: [u32; TILE],
    /// The derivative of the coordinates, in pixels, as read, with respect to the normalised ones.
    pub jacobian: Rows<T>,
    firsts: [[i32; TILE]; 3],
    /// The weight of each tap on x, y, z: tap `t` of pixel `i` at `[axis][t][i]`.
    pub weights: [Table<'a, T>; 3],
    /// The derivatives of the weights with respect to the coordinate in pixels.
    pub slopes: [Table<'a, T>; 3],
    sampler: &'a Sampler,
    packing: &'a Packing,
    /// The axes of the source, x, y, z, and how many there are.
    axes: [SourceAxis; 3],
    dims: usize,
    /// Whether the kernel is linear, and zeros lie around an image: the slopes of its weights are -1 and 1.
    pub linear: bool,
    /// The highest of `first`.
    highest: u32,
    /// How far the last tap lies behind the first.
    last: usize,
}

/// A number for each tap on an axis and each pixel of a tile.
pub(super) type Table<'a, T> = &'a mut [[T; TILE]];

/// Sources with fewer pixels on every axis have places that any number type tells apart.
const MOST_LINEAR: usize = 1 << 23;

impl<'a, T: Lanes> Places<'a, T> {
    /// The taps on x, y and z of a source of so many axes.
    fn taps_of(sampler: &Sampler, dims: usize) -> [usize; 3] {
        let support = sampler.kernel.support();
        [support, support, if dims == 3 { support } else { 1 }]
    }

    /// How many numbers the tables of a source of so many axes are.
    pub(super) fn room(sampler: &Sampler, dims: usize) -> usize {
        2 * TILE * Self::taps_of(sampler, dims).iter().sum::<usize>()
    }

    /// Room for a tile's taps, in `memory`: there is [`room`](Self::room). Where that begins where a cache line does, so does every row of the tables, and no vector of them
    /// straddles two. `sizes` are those of the source's x, y (, z).
    pub(super) fn new(sampler: &'a Sampler, packing: &'a Packing, sizes: &[usize], memory: &'a mut [T]) -> Self {
        let (dims, taps) = (sizes.len(), Self::taps_of(sampler, sizes.len()));
        let [_, row, plane] = &packing.axes;
        let small = sizes.iter().all(|&size| size < MOST_LINEAR);
        let linear = sampler.kernel.is_linear() && taps[0] == 2 && sampler.boundary == Boundary::Zeros && dims == 2 && small;
        let axes: [_; 3] = std::array::from_fn(|a| {
            let size = sizes.get(a).copied().unwrap_or(1);
            SourceAxis { size, boundary: sampler.boundary, align_corners: sampler.align_corners }
        });
        let mut rest = memory.as_chunks_mut().0;
        let mut table = |taps: usize, value: T| -> Table<'a, T> {
            let (table, tail) = std::mem::take(&mut rest).split_at_mut(taps);
            rest = tail;
            table.as_flattened_mut().fill(value);
            table
        };
        // An image has one tap on z, of weight one.
        let (weights, mut slopes) = (taps.map(|taps| table(taps, T::one())), taps.map(|taps| table(taps, T::zero())));
        let mut jacobian = zeros();
        if linear {
            // They stay as they are where the vectors have a loop for linear kernels.
            slopes[..2].iter_mut().for_each(|slopes| slopes.iter_mut().zip([-T::one(), T::one()]).for_each(|(row, slope)| row.fill(slope)));
            axes.iter().zip(&mut jacobian).take(dims).for_each(|(axis, row)| row.fill(axis.scale()));
        }
        Self {
            linear,
            highest: 0,
            last: (taps[0].max(1) - 1) * (1 + row.stride) + (taps[2].max(1) - 1) * plane.stride,
            sampler,
            packing,
            axes,
            dims,
            first: [0; TILE],
            weights,
            slopes,
            jacobian,
            firsts: [[0; TILE]; 3],
        }
    }

    /// The tables of the taps with as many taps on x and y, and on z, as the compiler knows of; all where that is 0.
    #[inline(always)]
    pub(super) fn taps<'t, const S: usize, const Z: usize>(&self, tables: &'t [Table<'_, T>; 3]) -> [&'t [[T; TILE]]; 3] {
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

    /// How far behind a cell's own pixel its third number belongs: a cell is a square where a kernel has two taps on an axis, otherwise four pixels beside each other.
    pub(super) fn below(&self) -> usize {
        if self.weights[0].len() == 2 { self.offset([0, 1, 0]) } else { 2 }
    }

    /// Finds the taps at the normalised coordinates of a tile of so many pixels; with their slopes where a gradient is wanted.
    pub(super) fn place(&mut self, rows: &Rows<T>, pixels: usize, slopes: bool) {
        let pixels = pixels.next_multiple_of(WIDE).min(TILE);
        let mut placed = false;
        if self.linear {
            place_linear(self, rows, pixels, &mut placed);
        }
        if !placed {
            self.place_axes(rows, pixels, slopes);
        }
    }

    /// [`place`](Self::place), an axis after the other.
    fn place_axes(&mut self, rows: &Rows<T>, pixels: usize, slopes: bool) {
        for (a, axis) in self.axes.iter().enumerate().take(self.dims) {
            let (first, weights, jacobian) = (&mut self.firsts[a], &mut *self.weights[a], &mut self.jacobian[a]);
            let slopes = if slopes { Some(&mut *self.slopes[a]) } else { None };
            T::taps(self.sampler.kernel.as_ref(), axis, &rows[a][..pixels], AxisTaps { first, weights, slopes, jacobian });
        }
        place(self.packing, self.dims, pixels, &self.firsts, &mut self.first, &mut self.highest);
    }
}

widest! {
    /// [`Places::place`] for a linear kernel, where it is written for the vectors at hand, and whether it is.
    fn place_linear[T: Lanes;](places: &mut Places<'_, T>, rows: &Rows<T>, pixels: usize, placed: &mut bool) = place_linear_body
}

#[inline(always)]
fn place_linear_body<T: Lanes, const LEVEL: usize>(places: &mut Places<'_, T>, rows: &Rows<T>, pixels: usize, placed: &mut bool) {
    if let Some(two_taps) = T::two_taps::<LEVEL>() {
        // SAFETY: the loop is that of the level.
        unsafe { (two_taps.place_linear)(places, rows, pixels) };
        *placed = true;
    }
}

widest! {
    /// From the first taps' pixels on each axis to the packed pixels, and the highest of these.
    fn place[;](packing: &Packing, axes: usize, pixels: usize, firsts: &[[i32; TILE]; 3], places: &mut [u32; TILE], highest: &mut u32) = place_body
}

#[inline(always)]
fn place_body<const LEVEL: usize>(packing: &Packing, axes: usize, pixels: usize, firsts: &[[i32; TILE]; 3], places: &mut [u32; TILE], highest: &mut u32) {
    let ([x, y, _], [first_x, first_y, _]) = (&packing.axes, firsts);
    // Those beyond the tile's pixels are of an earlier one, and nothing reads them.
    let places = &mut places[..pixels];
    *highest = 0;
    if let (2, true) = (axes, packing.ends()) {
        // Most often so: both axes and the highest in one loop.
        for ((place, &first_x), &first_y) in places.iter_mut().zip(first_x).zip(first_y) {
            *place = x.along(first_x) + y.along(first_y);
            *highest = (*highest).max(*place);
        }
        return;
    }
    for (a, (axis, firsts)) in packing.axes.iter().zip(firsts).enumerate().take(axes) {
        axis.place(&firsts[..pixels], places, a == 0);
    }
    *highest = places.iter().fold(0, |highest, &place| highest.max(place));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Result;
    use stn_sampler_bilinear::Bilinear;

    use super::super::plain::Call;
    use super::super::single;
    use super::super::tests::Draws;
    use super::*;

    #[test]
    fn a_linear_kernel_reads_at_once_what_it_reads_axis_by_axis() -> Result<()> {
        let mut draws = Draws(7);
        let far = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 1e9, -1e9, 3.0, -3.0, 1.0, -1.0, 0.0];
        for (align_corners, size) in [false, true].into_iter().flat_map(|align_corners| [[1, 1], [2, 7], [9, 11]].map(|size| (align_corners, size))) {
            let sampler = Sampler { kernel: Arc::new(Bilinear), boundary: Boundary::Zeros, align_corners };
            let packing = Packing::new(&Call::new(&sampler, &[1, 1, size[1], size[0]], &[20, 20])?).unwrap();
            let mut rows = zeros();
            rows[..2].iter_mut().flatten().zip(draws.numbers(2 * TILE)).for_each(|(row, x): (_, f32)| *row = 1.5 * x);
            for (i, x) in far.into_iter().enumerate() {
                (rows[0][i], rows[1][20 + i], rows[0][40 + i], rows[1][40 + i]) = (x, x, x, x);
            }
            let mut packed = vec![[0.0]; packing.pixels + WIDE];
            packing.pack(&draws.numbers(size[0] * size[1]), &mut packed);
            let upstream = draws.numbers::<f32>(TILE);
            let reads = |place: fn(&mut Places<'_, f32>, &Rows<f32>)| {
                let mut memory = vec![0.0; Places::<f32>::room(&sampler, 2)];
                let mut places = Places::new(&sampler, &packing, &size, &mut memory);
                assert!(places.linear);
                place(&mut places, &rows);
                let (mut values, mut slopes) = (vec![0.0; TILE], zeros());
                single::read(&places, packed.as_flattened(), &mut values);
                single::slopes(&places, packed.as_flattened(), &upstream, &mut slopes);
                (values, slopes)
            };
            let (values, slopes) = reads(|places, rows| places.place(rows, TILE, true));
            let (values_by_axes, slopes_by_axes) = reads(|places, rows| places.place_axes(rows, TILE, true));
            assert_eq!(values, values_by_axes, "{size:?}");
            assert_eq!(slopes[..2], slopes_by_axes[..2], "{size:?}");
            assert!(values[..12].iter().all(|value| value.is_finite()) && slopes[0].iter().all(|slope| slope.is_finite()));
        }
        Ok(())
    }
}
