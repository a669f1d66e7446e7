//! The sampler on packed channels: each task owns a group of channels of one sample.
//!
//! Every number written is one task's own, and every sum has one order, so that results are the same to the bit at any number of threads.

use std::ops::Range;
use std::slice::{from_mut, from_ref};

use rayon::prelude::*;

use super::lanes::{self, Back};
use super::packed::Packing;
use super::places::Places;
use super::plain::Call;
use super::quads::{self, Pixels};
use super::single;
use super::transpose::{from_lanes, to_lanes};
use super::warp::{Coordinates, Rows, TILE, tiles, zeros};
use crate::cpu::{Number, with_scratch};
use crate::deal::deal;
use crate::fresh::Fresh;

/// The channels of a task, by what they are packed in: the widest first.
const LANES: [usize; 3] = [16, 4, 1];

/// What is to be computed on the way back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The gradient to the input.
    pub input: bool,
    /// The gradient to what the coordinates come from.
    pub coordinates: bool,
}

/// What a task reads of a sample.
struct Reading<'t, T> {
    n: usize,
    source: &'t [T],
    values: &'t mut [T],
}

/// What a task brings back of a sample.
struct Bringing<'t, T> {
    n: usize,
    source: &'t [T],
    upstream: &'t [T],
    to_source: &'t mut [T],
    to_coordinates: &'t mut [T],
}

/// What a thread keeps from one task to the next, from a cache line's start on.
#[repr(C, align(64))]
struct Memory<'a, T> {
    /// Of each sample of a task, the coordinates of a tile.
    rows: [Rows<T>; TOGETHER],
    /// The gradients to them.
    slopes: [Rows<T>; TOGETHER],
    places: Places<'a, T>,
    /// The packed groups of a task, by their lanes, zero at first: what is around a source is not written again.
    packed: [Vec<T>; LANES.len()],
    /// What the gradients to the sources of a task are gathered in, zero between tasks.
    gathered: Vec<T>,
}

/// A call with its source packed.
pub(super) struct Fused<'a> {
    call: &'a Call<'a>,
    packing: Packing,
    /// The sizes of the source's x, y (, z).
    sizes: Vec<usize>,
    /// The channels of each task of a sample.
    groups: Vec<Range<usize>>,
}

/// Runs a method with the lanes of a group known to the compiler.
macro_rules! by_lanes {
    ($group:expr, $self:ident.$method:ident($($argument:expr),*)) => {
        match lanes_for($group.len()) {
            16 => $self.$method::<_, 16>($($argument),*),
            4 => $self.$method::<_, 4>($($argument),*),
            _ => $self.$method::<_, 1>($($argument),*),
        }
    };
}

/// The lanes that a group of channels is packed in.
fn lanes_for(channels: usize) -> usize {
    match channels {
        0 | 1 => 1,
        2..=4 => 4,
        _ => 16,
    }
}

impl<'a> Fused<'a> {
    /// `None` where the source is better read as it stands.
    pub(super) fn new(call: &'a Call<'a>) -> Option<Self> {
        let packing = Packing::new(call)?;
        let widest = LANES[0];
        let groups = (0..call.channels.max(1)).step_by(widest).map(|first| first..call.channels.min(first + widest)).collect();
        Some(Self { call, packing, sizes: call.source.iter().map(|axis| axis.size).collect(), groups })
    }

    /// Equation 3: the output, `N x C x P`, of an input `N x C x source`.
    pub(super) fn sample<T: Number>(&self, input: &[T], coordinates: &impl Coordinates<T>) -> Vec<T> {
        let mut output = Fresh::new(self.call.samples * self.call.channels * self.call.pixels);
        let parts = output.parts(self.tasks().map(|(_, group)| group.len() * self.call.pixels));
        let threads = rayon::current_num_threads();
        if threads > 1 && parts.len() < 2 * threads && self.call.pixels > SHARE {
            // A pixel is read alone, so that its bits are the same however the pixels are shared out.
            for (part, (n, group)) in parts.into_iter().zip(self.tasks()) {
                let (source, values) = (self.planes(input, n, group), part.zeroed());
                by_lanes!(group, self.share_group(n, source, values, coordinates));
            }
            return output.finish();
        }
        deal(
            parts.into_iter().zip(self.tasks()).collect(),
            self.samples_together::<T>(),
            || self.memory(),
            |memory, tasks| {
                let group = tasks[0].1.1;
                let samples = tasks.into_iter().map(|(part, (n, group))| {
                    // SAFETY: every pixel of every channel is read before anyone asks for the values.
                    Reading { n, source: self.planes(input, n, group), values: unsafe { part.unset() } }
                });
                let mut samples: Vec<_> = samples.collect();
                by_lanes!(group, self.sample_group(memory, &mut samples, coordinates));
            },
        );
        output.finish()
    }

    /// Equations 6 and 7: the gradient to the input, `N x C x source`, and those to what the coordinates come from, `N x gradients_len`.
    pub(super) fn gradients<T: Number>(&self, input: &[T], upstream: &[T], coordinates: &impl Coordinates<T>, wanted: Wanted) -> (Vec<T>, Vec<T>) {
        let (plane, length) = (self.call.plane_len(), if wanted.coordinates { coordinates.gradients_len() } else { 0 });
        let mut to_input = Fresh::new(if wanted.input { self.call.samples * self.call.channels * plane } else { 0 });
        let mut sums = Fresh::new(self.call.samples * self.groups.len() * length);
        let parts = to_input.parts(self.tasks().map(|(_, group)| group.len() * plane));
        let partial = sums.parts(self.tasks().map(|_| length));
        deal(
            parts.into_iter().zip(partial).zip(self.tasks()).collect(),
            self.brought_together::<T>(),
            || self.memory(),
            |memory, tasks| {
                let group = tasks[0].1.1;
                let samples = tasks.into_iter().map(|((part, sums), (n, group))| {
                    let (source, upstream) = (self.planes(input, n, group), self.pixels(upstream, n, group));
                    // SAFETY: a gradient to the source that is wanted is unpacked to every pixel of every channel; the part of another is empty.
                    Bringing { n, source, upstream, to_source: unsafe { part.unset() }, to_coordinates: sums.zeroed() }
                });
                let mut samples: Vec<_> = samples.collect();
                by_lanes!(group, self.gradients_group(memory, &mut samples, coordinates, wanted));
            },
        );
        (to_input.finish(), self.sum_of_groups(sums.finish(), length))
    }

    fn sample_group<T: Number, const L: usize>(&self, memory: &mut Memory<'_, T>, samples: &mut [Reading<'_, T>], coordinates: &impl Coordinates<T>) {
        let (room, first) = (self.room::<L>(), samples[0].n);
        let Memory { rows, places, packed: kept, .. } = memory;
        let packed = zeros_at_first(of_lanes::<T, L>(kept), samples.len() * room);
        with_scratch([L * TILE + ALIGN], |[tile]| {
            let tile = aligned::<T, L>(tile);
            for (sample, packed) in samples.iter().zip(packed.chunks_mut(room)) {
                self.packing.pack(sample.source, aligned::<T, L>(packed));
            }
            let rows = &mut rows[..samples.len()];
            for pixels in tiles(&(0..self.call.pixels), tile_len::<L>()) {
                coordinates.fill(first..first + samples.len(), pixels.clone(), rows);
                for ((sample, packed), rows) in samples.iter_mut().zip(packed.chunks_mut(room)).zip(&*rows) {
                    places.place(rows, pixels.len(), false);
                    let values = Values { numbers: &mut sample.values[pixels.start..], stride: self.call.pixels };
                    read(places, aligned::<T, L>(packed), &mut tile[..pixels.len()], values);
                }
            }
        });
    }

    /// [`sample_group`](Self::sample_group) by all threads, each with a share of the pixels.
    fn share_group<T: Number, const L: usize>(&self, n: usize, source: &[T], values: &mut [T], coordinates: &impl Coordinates<T>) {
        let mut memory = vec![T::zero(); L * self.packing.pixels + ALIGN];
        let packed = aligned::<T, L>(&mut memory);
        self.packing.pack(source, packed);
        let packed = &*packed;
        let mut shares: Vec<Vec<&mut [T]>> = (0..self.call.pixels.div_ceil(SHARE)).map(|_| Vec::with_capacity(L)).collect();
        for plane in values.chunks_mut(self.call.pixels) {
            shares.iter_mut().zip(plane.chunks_mut(SHARE)).for_each(|(share, part)| share.push(part));
        }
        shares.into_par_iter().enumerate().for_each_init(
            || self.places(),
            |places, (i, share)| {
                let pixels = i * SHARE..self.call.pixels.min((i + 1) * SHARE);
                with_scratch([share.len() * pixels.len(), L * TILE + ALIGN], |[planes, tile]| {
                    let (tile, mut rows) = (aligned::<T, L>(tile), zeros());
                    for tile_pixels in tiles(&pixels, tile_len::<L>()) {
                        coordinates.fill(n..n + 1, tile_pixels.clone(), from_mut(&mut rows));
                        places.place(&rows, tile_pixels.len(), false);
                        let values = Values { numbers: &mut planes[tile_pixels.start - pixels.start..], stride: pixels.len() };
                        read(places, packed, &mut tile[..tile_pixels.len()], values);
                    }
                    share.into_iter().zip(planes.chunks(pixels.len())).for_each(|(part, plane)| part.copy_from_slice(plane));
                });
            },
        );
    }

    fn gradients_group<T: Number, const L: usize>(
        &self,
        memory: &mut Memory<'_, T>,
        samples: &mut [Bringing<'_, T>],
        coordinates: &impl Coordinates<T>,
        wanted: Wanted,
    ) {
        let (count, first) = (samples.len(), samples[0].n);
        let room = |wanted: bool| if wanted { self.room::<L>() } else { ALIGN };
        // A single channel is gathered in cells of four.
        let (packed_room, gathered_room) = (room(wanted.coordinates), if L == 1 { 4 } else { 1 } * room(wanted.input));
        let (packed_len, gathered_len) = (count * packed_room, count * gathered_room);
        let lengths = [room(wanted.input), L * TILE + ALIGN, 16 * count * coordinates.sums_len() + ALIGN];
        let Memory { rows, slopes, places, packed: kept, gathered } = memory;
        let packed = zeros_at_first(of_lanes::<T, L>(kept), packed_len);
        let gathered = zeros_at_first(gathered, gathered_len);
        with_scratch(lengths, |[unfolded, tile, sums]| {
            let tile = aligned::<T, L>(tile);
            let sums = &mut aligned::<T, 16>(sums)[..count * coordinates.sums_len()];
            sums.fill([T::zero(); 16]);
            if wanted.coordinates {
                for (sample, packed) in samples.iter().zip(packed.chunks_mut(packed_room)) {
                    self.packing.pack(sample.source, aligned::<T, L>(packed));
                }
            }
            let end = samples[count - 1].n + 1;
            let (rows, slopes) = (&mut rows[..end - first], &mut slopes[..end - first]);
            for pixels in tiles(&(0..self.call.pixels), tile_len::<L>()) {
                coordinates.fill(first..end, pixels.clone(), rows);
                let sources = packed.chunks_mut(packed_room).zip(gathered.chunks_mut(gathered_room));
                let mut placed = None;
                for (i, (sample, (packed, gathered))) in samples.iter_mut().zip(sources).enumerate() {
                    let of_sample = sample.n - first;
                    // The next group of the same sample reads at the same places.
                    if placed.replace(sample.n) != Some(sample.n) {
                        places.place(&rows[of_sample], pixels.len(), wanted.coordinates);
                    }
                    let slopes = &mut slopes[of_sample];
                    let upstream = Pixels { numbers: &sample.upstream[pixels.start..], stride: self.call.pixels, count: pixels.len() };
                    let coordinates_of = wanted.coordinates.then_some((&*aligned::<T, L>(packed), &mut *slopes));
                    back(places, upstream, tile, coordinates_of, wanted.input.then_some(aligned::<T, L>(gathered)));
                    if wanted.coordinates {
                        coordinates.store(pixels.clone(), slopes, sample.to_coordinates);
                    }
                    if wanted.coordinates && rows.len() < count {
                        // Each group's by itself, for their sums to be the same wherever they are done.
                        let sums = &mut sums[i * coordinates.sums_len()..][..coordinates.sums_len()];
                        coordinates.pass_back(pixels.clone(), from_ref(&rows[of_sample]), from_mut(slopes), sums);
                    }
                }
                if wanted.coordinates && rows.len() == count {
                    coordinates.pass_back(pixels, rows, slopes, sums);
                }
            }
            for (i, sample) in samples.iter_mut().enumerate() {
                coordinates.add_up(&sums[i * coordinates.sums_len()..][..coordinates.sums_len()], sample.to_coordinates);
                if wanted.input {
                    let gathered = aligned::<T, L>(&mut gathered[i * gathered_room..][..gathered_room]);
                    if L == 1 {
                        self.packing.unpack_cells(gathered.as_flattened_mut().as_chunks_mut().0, places.below(), aligned(unfolded), sample.to_source);
                    } else {
                        self.packing.unpack(gathered, sample.to_source);
                    }
                }
            }
        });
    }

    /// Partial sums, `N x groups x length`, added in order.
    fn sum_of_groups<T: Number>(&self, mut partial: Vec<T>, length: usize) -> Vec<T> {
        let groups = self.groups.len();
        if groups > 1 && length > 0 {
            for n in 0..self.call.samples {
                for group in 0..groups {
                    for i in 0..length {
                        let part = partial[(n * groups + group) * length + i];
                        let total = &mut partial[n * length + i];
                        *total = if group == 0 { part } else { *total + part };
                    }
                }
            }
            partial.truncate(self.call.samples * length);
        }
        partial
    }

    /// The numbers of a packed source, with some to spare.
    fn room<const L: usize>(&self) -> usize {
        L * self.packing.pixels + ALIGN
    }

    /// The samples that a thread takes together: more than one where they are small and many.
    fn samples_together<T>(&self) -> usize {
        if self.groups.len() == 1 && self.fit_together::<T>(TOGETHER) { TOGETHER } else { 1 }
    }

    /// The samples that a thread brings gradients back of together, or else the groups of one: they share the weights of their taps and their slopes.
    fn brought_together<T>(&self) -> usize {
        let groups = self.groups.len();
        let alike = self.groups.first().map(|group| lanes_for(group.len())) == self.groups.last().map(|group| lanes_for(group.len()));
        if groups > 1 && alike && self.fit_together::<T>(groups) { groups } else { self.samples_together::<T>() }
    }

    /// Whether so many groups of channels are small enough, and all of them many enough, to be taken together.
    fn fit_together<T>(&self, most: usize) -> bool {
        let lanes = self.groups.first().map_or(1, |group| lanes_for(group.len()));
        let small = most * lanes * self.packing.pixels * size_of::<T>() <= MOST_TOGETHER;
        small && self.call.samples * self.groups.len() >= 4 * most * rayon::current_num_threads()
    }

    /// Every sample and group of its channels.
    fn tasks(&self) -> impl Iterator<Item = (usize, &Range<usize>)> {
        (0..self.call.samples).flat_map(|n| self.groups.iter().map(move |group| (n, group)))
    }

    fn places<T: Number>(&self) -> Places<'_, T> {
        Places::new(self.call.sampler, &self.packing, &self.sizes)
    }

    fn memory<T: Number>(&self) -> Memory<'_, T> {
        Memory { places: self.places(), rows: [zeros(); TOGETHER], slopes: [zeros(); TOGETHER], packed: Default::default(), gathered: Vec::new() }
    }

    /// The channels of a task in the input.
    fn planes<'t, T>(&self, input: &'t [T], n: usize, group: &Range<usize>) -> &'t [T] {
        let (first, length) = (n * self.call.channels, self.call.plane_len());
        &input[(first + group.start) * length..(first + group.end) * length]
    }

    /// The channels of a task in the output.
    fn pixels<'t, T>(&self, output: &'t [T], n: usize, group: &Range<usize>) -> &'t [T] {
        let (first, length) = (n * self.call.channels, self.call.pixels);
        &output[(first + group.start) * length..(first + group.end) * length]
    }
}

/// Where a tile of pixels begins in the channels' planes.
struct Values<'t, T> {
    numbers: &'t mut [T],
    /// From one plane to the next.
    stride: usize,
}

/// Reads a tile of pixels from a packed source. `tile` is room for them in lanes.
fn read<T: Number, const L: usize>(places: &Places<'_, T>, packed: &[[T; L]], tile: &mut [[T; L]], values: Values<'_, T>) {
    let Values { numbers, stride } = values;
    match L {
        1 => single::read(places, packed.as_flattened(), &mut numbers[..tile.len()]),
        4 => quads::read(places, packed.as_flattened().as_chunks().0, numbers, stride, tile.len()),
        _ => {
            lanes::read(places, packed, tile);
            from_lanes(tile, stride, numbers);
        }
    }
}

/// Brings a tile of gradients back, equations 6 and 7: from a packed source to the normalised coordinates, and to what is gathered for the source, each where it is
/// wanted. `tile` is room for the gradients in lanes.
fn back<T: Number, const L: usize>(
    places: &Places<'_, T>,
    upstream: Pixels<'_, T>,
    tile: &mut [[T; L]],
    coordinates: Option<(&[[T; L]], &mut Rows<T>)>,
    source: Option<&mut [[T; L]]>,
) {
    if L > 4 {
        let tile = &mut tile[..upstream.count];
        to_lanes(upstream.numbers, upstream.stride, tile);
        return lanes::back(places, &mut Back { upstream: tile, coordinates, source });
    }
    let of_one = &upstream.numbers[..upstream.count];
    if let Some((packed, gradient)) = coordinates {
        match L {
            1 => single::slopes(places, packed.as_flattened(), of_one, gradient),
            _ => quads::slopes(places, packed.as_flattened().as_chunks().0, upstream, gradient),
        }
    }
    if let Some(source) = source {
        let cells = source.as_flattened_mut().as_chunks_mut().0;
        match L {
            1 => single::scatter(places, of_one, cells),
            _ => quads::scatter(places, upstream, cells),
        }
    }
}

/// The pixels of a tile of L lanes: its numbers and the weights of its taps stay in a core's first cache.
const fn tile_len<const L: usize>() -> usize {
    if L > 4 { 128 } else { TILE }
}

/// The samples that a thread may take together: they share what they read of B.
const TOGETHER: usize = 2;

/// The bytes of the packed sources that are taken together: with their gradients they take half of a core's second cache.
const MOST_TOGETHER: usize = 1 << 18;

/// The pixels that a thread takes at a time where there are few samples.
const SHARE: usize = 16 * TILE;

/// Numbers to spare for [`aligned`], and for loops that read a few beyond the last tap.
const ALIGN: usize = 32;

/// What a thread keeps for groups of so many lanes.
fn of_lanes<T, const L: usize>(kept: &mut [Vec<T>; LANES.len()]) -> &mut Vec<T> {
    &mut kept[LANES.iter().position(|&lanes| lanes == L).unwrap_or_default()]
}

/// So many numbers of what a thread keeps: zero when they are first asked for.
fn zeros_at_first<T: Number>(kept: &mut Vec<T>, length: usize) -> &mut [T] {
    if kept.len() < length {
        // Not grown: what has moved in memory would no longer lie where a cache line begins.
        *kept = vec![T::zero(); length];
    }
    &mut kept[..length]
}

/// Working memory from a cache line's start on, so that no vector of lanes straddles two.
fn aligned<T: Number, const L: usize>(memory: &mut [T]) -> &mut [[T; L]] {
    let start = memory.as_ptr().align_offset(64).min(ALIGN / 2);
    memory[start..].as_chunks_mut().0
}
