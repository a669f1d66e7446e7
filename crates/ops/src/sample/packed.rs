//! A group of channels of one sample, packed for the loops: the channels of a pixel side by side, and around the source what the taps may read beyond it, so that the
//! loops test nothing.

use stn_core::{Boundary, BoundaryRule, Real, widest};

use super::Sampler;
use super::arithmetic::Lanes;
use super::plain::Call;
use super::single::{fold, fold_first};
use super::transpose::{from_lanes_body, to_lanes_body};

/// An axis of a packed source.
#[derive(Debug)]
pub(super) struct PackedAxis {
    /// The packed pixels before the source's first.
    before: usize,
    /// The pixels of the source.
    size: usize,
    /// The support of the kernel.
    support: i32,
    /// Where the boundary repeats itself on and on: after how many pixels.
    period: Option<i32>,
    /// The source's pixel that each packed pixel stands for; `None` reads zero.
    stands_for: Vec<Option<usize>>,
    /// The packed pixels around the source, each with the packed pixel that it repeats; `None` reads zero.
    around: Vec<(usize, Option<usize>)>,
    /// How far apart two packed pixels lie, in packed pixels.
    pub stride: usize,
}

/// How the source is packed: its axes x, y, z. An image has one plane.
#[derive(Debug)]
pub(super) struct Packing {
    pub axes: [PackedAxis; 3],
    /// The pixels of the source on x.
    width: usize,
    /// The packed pixels.
    pub pixels: usize,
}

/// A source is packed where that makes at most so many pixels of each pixel of the target: packing must not cost more than reading.
const MOST_PACKED: usize = 16;

impl PackedAxis {
    fn new(sampler: &Sampler, size: usize, stride: usize) -> Self {
        let support = sampler.kernel.support();
        // A mirror that acts on taps may be met at any pixel: one period of it is packed. Elsewhere, beyond `support` pixels outside all is zero or all is the border.
        let mirrored = sampler.boundary == Boundary::Reflection && sampler.kernel.boundary_rule() == BoundaryRule::Tap;
        let period = if sampler.align_corners { 2 * size.saturating_sub(1) } else { 2 * size }.max(1);
        let (before, length) = if mirrored { (0, period + support - 1) } else { (support, size + 2 * support) };
        let stands_for: Vec<_> = (0..length as i64).map(|i| sampler.boundary.pixel(i - before as i64, size, sampler.align_corners)).collect();
        let outside = |i: &usize| !(before..before + size).contains(i);
        let around = (0..length).filter(outside).map(|i| (i, stands_for[i].map(|pixel| pixel + before))).collect();
        Self { before, size, support: support as i32, period: mirrored.then_some(period as i32), stands_for, around, stride }
    }

    /// The only plane of an image.
    fn single(stride: usize) -> Self {
        Self { before: 0, size: 1, support: 1, period: None, stands_for: vec![Some(0)], around: Vec::new(), stride }
    }

    fn length(&self) -> usize {
        self.stands_for.len()
    }

    /// Adds how far along the packed source the pixels of first taps lie, to nothing on the first axis.
    #[inline(always)]
    pub(super) fn place(&self, first: &[i32], places: &mut [u32], first_axis: bool) {
        let places = places.iter_mut().zip(first);
        match self.period {
            Some(period) => places.for_each(|(place, first)| {
                *place = (first.rem_euclid(period) * self.stride as i32) as u32 + if first_axis { 0 } else { *place };
            }),
            None => places.for_each(|(place, &first)| *place = self.along(first) + if first_axis { 0 } else { *place }),
        }
    }

    /// How far along the packed source the pixel of a first tap lies, where the boundary does not repeat itself.
    #[inline(always)]
    pub(super) fn along(&self, first: i32) -> u32 {
        let (low, high) = self.ends();
        ((first.clamp(low, high) - low) * self.stride as i32) as u32
    }

    /// Before and beyond which pixels a first tap reads the same as there, where the boundary does not repeat itself; the first of these is the first that is packed.
    #[inline(always)]
    pub(super) fn ends(&self) -> (i32, i32) {
        (-self.support, self.size as i32)
    }

    /// The packed pixels that repeat another one, each with that.
    fn repeated(&self) -> impl Iterator<Item = (usize, usize)> {
        self.around.iter().filter_map(|&(i, repeats)| repeats.map(|repeats| (i, repeats)))
    }
}

impl Packing {
    /// How the source of a call is packed, or `None` where it is so large beside the target that it is better read as it stands.
    pub(super) fn new(call: &Call<'_>) -> Option<Self> {
        if call.channels == 0 {
            return None;
        }
        let most = call.pixels.saturating_mul(MOST_PACKED).saturating_add(1024).min(1 << 30);
        let mut pixels = 1_usize;
        let mut axes = Vec::with_capacity(3);
        for axis in &call.source {
            // Before the axis is laid out: its length is bounded by the source, which is in memory, but not by the target.
            if axis.size.max(pixels) > most {
                return None;
            }
            let packed = PackedAxis::new(call.sampler, axis.size, pixels);
            pixels = pixels.checked_mul(packed.length()).filter(|&pixels| pixels <= most)?;
            axes.push(packed);
        }
        axes.resize_with(3, || PackedAxis::single(pixels));
        let axes: [PackedAxis; 3] = axes.try_into().ok()?;
        Some(Self { width: axes[0].size, axes, pixels })
    }

    /// Packs channels, one plane after the other. Lanes without a channel are zero.
    ///
    /// `packed` must be zero or what this packing has left of other channels: where nothing around the source repeats it, that is left as it is.
    pub(super) fn pack<T: Lanes, const L: usize>(&self, planes: &[T], packed: &mut [[T; L]]) {
        pack(self, planes, packed);
    }

    /// The way back of a gradient: what was gathered on packed pixels, which are zero afterwards, goes to those they stand for, and these to the channels' planes.
    pub(super) fn unpack<T: Lanes, const L: usize>(&self, packed: &mut [[T; L]], planes: &mut [T]) {
        unpack(self, packed, planes);
    }

    /// [`unpack`](Self::unpack) for what a single channel has gathered in cells. `unfolded` is room for the packed pixels.
    pub(super) fn unpack_cells<T: Lanes>(&self, cells: &mut [[T; 4]], below: usize, unfolded: &mut [[T; 1]], planes: &mut [T]) {
        unpack_cells(self, cells, below, unfolded, planes);
    }

    /// The rows of the source: the first pixel of each in the packed source, and in the plane.
    #[inline(always)]
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let [x, y, z] = &self.axes;
        let (width, height, stride, of_plane) = (x.size, y.size, y.stride, z.stride);
        let first = z.before * of_plane + y.before * stride + x.before;
        (0..z.size).flat_map(move |k| (0..height).map(move |j| (first + k * of_plane + j * stride, (k * height + j) * width)))
    }

    /// Whether no packed pixel repeats another one.
    fn repeats_nothing(&self) -> bool {
        self.axes.iter().all(|axis| axis.repeated().next().is_none())
    }

    /// Whether the boundary repeats itself on no axis.
    #[inline(always)]
    pub(super) fn ends(&self) -> bool {
        self.axes.iter().all(|axis| axis.period.is_none())
    }

    /// The pixels of the source.
    fn plane(&self) -> usize {
        self.axes.iter().map(|axis| axis.size).product()
    }
}

widest! {
    fn pack[T: Lanes; L](packing: &Packing, planes: &[T], packed: &mut [[T; L]]) = pack_body
}

widest! {
    fn unpack[T: Lanes; L](packing: &Packing, packed: &mut [[T; L]], planes: &mut [T]) = unpack_body
}

widest! {
    fn unpack_cells[T: Lanes;](packing: &Packing, cells: &mut [[T; 4]], below: usize, unfolded: &mut [[T; 1]], planes: &mut [T]) = unpack_cells_body
}

#[inline(always)]
fn pack_body<T: Lanes, const L: usize, const LEVEL: usize>(packing: &Packing, planes: &[T], packed: &mut [[T; L]]) {
    let ([x, y, z], length) = (&packing.axes, packing.plane());
    if length == 0 {
        return packed[..packing.pixels].fill([T::zero(); L]);
    }
    if packing.repeats_nothing() {
        for (packed_row, row) in packing.rows() {
            to_lanes_body::<T, L, LEVEL>(&planes[row..], length, &mut packed[packed_row..packed_row + packing.width]);
        }
        return;
    }
    let mut lines = packed[..packing.pixels].chunks_exact_mut(x.length());
    for plane in &z.stands_for {
        for (row, line) in y.stands_for.iter().zip(&mut lines) {
            let (Some(plane), Some(row)) = (plane, row) else {
                line.fill([T::zero(); L]);
                continue;
            };
            to_lanes_body::<T, L, LEVEL>(&planes[(plane * y.size + row) * packing.width..], length, &mut line[x.before..x.before + x.size]);
            for &(i, repeats) in &x.around {
                line[i] = repeats.map_or([T::zero(); L], |repeats| line[repeats]);
            }
        }
    }
}

#[inline(always)]
fn unpack_body<T: Lanes, const L: usize, const LEVEL: usize>(packing: &Packing, packed: &mut [[T; L]], planes: &mut [T]) {
    let ([x, y, z], length) = (&packing.axes, packing.plane());
    if length == 0 {
        return;
    }
    for line in packed[..packing.pixels].chunks_exact_mut(x.length()) {
        for (from, to) in x.repeated() {
            let from = line[from];
            add(&mut line[to], &from);
        }
    }
    for axis in [y, z] {
        for block in packed[..packing.pixels].chunks_exact_mut(axis.stride * axis.length()) {
            for (from, to) in axis.repeated() {
                for i in 0..axis.stride {
                    let from = block[from * axis.stride + i];
                    add(&mut block[to * axis.stride + i], &from);
                }
            }
        }
    }
    let mut cleared = 0;
    for (packed_row, row) in packing.rows() {
        let end = packed_row + x.size;
        from_lanes_body::<T, L, LEVEL>(&packed[packed_row..end], length, &mut planes[row..]);
        // While the row is in the first cache.
        packed[cleared..end].fill([T::zero(); L]);
        cleared = end;
    }
    packed[cleared..].fill([T::zero(); L]);
}

#[inline(always)]
fn unpack_cells_body<T: Lanes, const LEVEL: usize>(packing: &Packing, cells: &mut [[T; 4]], below: usize, unfolded: &mut [[T; 1]], planes: &mut [T]) {
    fold_cells::<T, LEVEL>(packing, cells, below, unfolded, planes);
    // While they are in the first cache.
    cells.fill([T::zero(); 4]);
}

#[inline(always)]
fn fold_cells<T: Lanes, const LEVEL: usize>(packing: &Packing, cells: &[[T; 4]], below: usize, unfolded: &mut [[T; 1]], planes: &mut [T]) {
    if packing.repeats_nothing() && packing.rows().all(|(packed_row, _)| packed_row > below) {
        for (packed_row, row) in packing.rows() {
            fold::<T, LEVEL>(cells, below, packed_row, &mut planes[row..row + packing.width]);
        }
        return;
    }
    let (first, rest) = unfolded.as_flattened_mut()[..packing.pixels].split_at_mut((below + 1).min(packing.pixels));
    fold_first(cells, below, first);
    if !rest.is_empty() {
        fold::<T, LEVEL>(cells, below, below + 1, rest);
    }
    unpack_body::<T, 1, LEVEL>(packing, unfolded, planes);
}

fn add<T: Real, const L: usize>(sum: &mut [T; L], more: &[T; L]) {
    for (sum, &more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}
