//! The sampler on packed channels: each task owns a group of channels of one sample.
//!
//! Every number written is one task's own, and every sum has one order, so that results are the same to the bit at any number of threads.

use std::ops::Range;
use std::slice::{from_mut, from_ref};

use rayon::prelude::*;

use super::arithmetic::WIDE;
use super::lanes::{self, Back};
use super::memory::{LANES, Memory, Room};
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

/// How the tasks of a call are done.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How many a thread takes together.
    together: usize,
    /// The tiles of which coordinates are found at once.
    tiles: usize,
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
    /// `None` where the source is better read as it stands, or nothing is read.
    pub(super) fn new(call: &'a Call<'a>) -> Option<Self> {
        let packing = Packing::new(call).filter(|_| call.pixels > 0)?;
        let widest = LANES[0];
        let groups = (0..call.channels.max(1)).step_by(widest).map(|first| first..call.channels.min(first + widest)).collect();
        Some(Self { call, packing, sizes: call.source.iter().map(|axis| axis.size).collect(), groups })
    }

    /// Equation 3: the output, `N x C x P`, of an input `N x C x source`.
    pub(super) fn sample<T: Number>(&self, input: &[T], coordinates: &impl Coordinates<T>) -> Vec<T> {
        let output = Fresh::new(self.call.samples * self.call.channels * self.call.pixels, self.tasks(), self.lengths(self.call.pixels));
        let threads = rayon::current_num_threads();
        if threads > 1 && self.tasks() < 2 * threads && self.call.pixels > SHARE {
            // A pixel is read alone, so that its bits are the same however the pixels are shared out.
            for (task, (n, group)) in (0..self.tasks()).map(|task| (task, self.task(task))) {
                let (source, values) = (self.planes(input, n, group), output.part(task).zeroed());
                by_lanes!(group, self.share_group(n, source, values, coordinates));
            }
            return output.finish();
        }
        let plan = self.reading::<T>();
        deal(self.tasks(), plan.together, |dealt| {
            self.room(plan, coordinates, Wanted { input: false, coordinates: true }).lend(|places, mut memory| {
                let mut places = self.places(places);
                for tasks in dealt {
                    let (_, group) = self.task(tasks.start);
                    let samples = tasks.map(|task| {
                        let (n, group) = self.task(task);
                        // SAFETY: every pixel of every channel is read before anyone asks for the values.
                        Reading { n, source: self.planes(input, n, group), values: unsafe { output.part(task).unset() } }
                    });
                    let mut samples: Vec<_> = samples.collect();
                    by_lanes!(group, self.sample_group(plan, (&mut places, &mut memory), &mut samples, coordinates));
                }
            });
        });
        output.finish()
    }

    /// Equations 6 and 7: the gradient to the input, `N x C x source`, and those to what the coordinates come from, `N x gradients_len`.
    pub(super) fn gradients<T: Number>(&self, input: &[T], upstream: &[T], coordinates: &impl Coordinates<T>, wanted: Wanted) -> (Vec<T>, Vec<T>) {
        let (plane, length) = (self.call.plane_len(), if wanted.coordinates { coordinates.gradients_len() } else { 0 });
        let to_input = Fresh::new(if wanted.input { self.call.samples * self.call.channels * plane } else { 0 }, self.tasks(), self.lengths(plane));
        let sums = Fresh::new(self.tasks() * length, self.tasks(), [length]);
        let plan = self.bringing::<T>();
        deal(self.tasks(), plan.together, |dealt| {
            self.room(plan, coordinates, wanted).lend(|places, mut memory| {
                let mut places = self.places(places);
                for tasks in dealt {
                    let (_, group) = self.task(tasks.start);
                    let samples = tasks.map(|task| {
                        let (n, group) = self.task(task);
                        let (source, upstream) = (self.planes(input, n, group), self.pixels(upstream, n, group));
                        // SAFETY: a gradient to the source that is wanted is unpacked to every pixel of every channel; the part of another is empty.
                        Bringing { n, source, upstream, to_source: unsafe { to_input.part(task).unset() }, to_coordinates: sums.part(task).zeroed() }
                    });
                    let mut samples: Vec<_> = samples.collect();
                    by_lanes!(group, self.gradients_group(plan, (&mut places, &mut memory), &mut samples, coordinates, wanted));
                }
            });
        });
        (to_input.finish(), self.sum_of_groups(sums.finish(), length))
    }

    fn sample_group<T: Number, const L: usize>(
        &self,
        plan: Plan,
        (places, memory): (&mut Places<'_, T>, &mut Memory<'_, T>),
        samples: &mut [Reading<'_, T>],
        coordinates: &impl Coordinates<T>,
    ) {
        let (first, room, at_once) = (samples[0].n, self.packed_len(L), self.packed_at_once(plan, L));
        let Memory { packed, tile, rows, .. } = memory;
        let (packed, tile) = (&mut *packed[Memory::<T>::packed_in(L)], in_lanes::<T, L>(tile));
        for run in tiles(&(0..self.call.pixels), plan.tiles * tile_len(L)) {
            let tiles_of_run = run.len().div_ceil(TILE);
            let rows = &mut rows[..samples.len() * tiles_of_run];
            coordinates.fill(first..first + samples.len(), run.clone(), rows);
            for (i, (sample, rows)) in samples.iter_mut().zip(rows.chunks(tiles_of_run)).enumerate() {
                let packed = in_lanes::<T, L>(&mut packed[i % at_once * room..][..room]);
                if run.start == 0 {
                    self.packing.pack(sample.source, packed);
                }
                for (pixels, rows) in tiles(&run, tile_len(L)).zip(rows) {
                    places.place(rows, pixels.len(), false);
                    let values = Values { numbers: &mut sample.values[pixels.start..], stride: self.call.pixels };
                    read(places, packed, &mut tile[..pixels.len()], values);
                }
            }
        }
    }

    /// [`sample_group`](Self::sample_group) by all threads, each with a share of the pixels.
    fn share_group<T: Number, const L: usize>(&self, n: usize, source: &[T], values: &mut [T], coordinates: &impl Coordinates<T>) {
        // One more vector, for the first to begin where a cache line does.
        let mut memory = vec![T::zero(); self.packed_len(L) + WIDE];
        let start = memory.as_ptr().align_offset(64).min(WIDE);
        let packed = in_lanes::<T, L>(&mut memory[start..]);
        self.packing.pack(source, packed);
        let packed = &*packed;
        let mut shares: Vec<Vec<&mut [T]>> = (0..self.call.pixels.div_ceil(SHARE)).map(|_| Vec::with_capacity(L)).collect();
        for plane in values.chunks_mut(self.call.pixels) {
            shares.iter_mut().zip(plane.chunks_mut(SHARE)).for_each(|(share, part)| share.push(part));
        }
        let room = Places::<T>::room(self.call.sampler, self.sizes.len());
        shares.into_par_iter().enumerate().for_each(|(i, share)| {
            let pixels = i * SHARE..self.call.pixels.min((i + 1) * SHARE);
            with_scratch([room, share.len() * pixels.len(), L * TILE], |[places, planes, tile]| {
                let (mut places, tile, mut rows) = (self.places(places), in_lanes::<T, L>(tile), zeros());
                for tile_pixels in tiles(&pixels, tile_len(L)) {
                    coordinates.fill(n..n + 1, tile_pixels.clone(), from_mut(&mut rows));
                    places.place(&rows, tile_pixels.len(), false);
                    let values = Values { numbers: &mut planes[tile_pixels.start - pixels.start..], stride: pixels.len() };
                    read(&places, packed, &mut tile[..tile_pixels.len()], values);
                }
                share.into_iter().zip(planes.chunks(pixels.len())).for_each(|(part, plane)| part.copy_from_slice(plane));
            });
        });
    }

    fn gradients_group<T: Number, const L: usize>(
        &self,
        plan: Plan,
        (places, memory): (&mut Places<'_, T>, &mut Memory<'_, T>),
        samples: &mut [Bringing<'_, T>],
        coordinates: &impl Coordinates<T>,
        wanted: Wanted,
    ) {
        let (count, first, end, at_once) = (samples.len(), samples[0].n, samples[samples.len() - 1].n + 1, self.packed_at_once(plan, L));
        let room = |wanted: bool| if wanted { self.packed_len(L) } else { 0 };
        let (packed_room, gathered_room) = (room(wanted.coordinates), cell_len(L) * room(wanted.input));
        // The groups of a sample read at the same places.
        let (shared, sums_len) = (end - first < count, coordinates.sums_len());
        let Memory { packed, gathered, unfolded, tile, sums, rows } = memory;
        let (packed, tile) = (&mut *packed[Memory::<T>::packed_in(L)], in_lanes::<T, L>(tile));
        let (kept, rows) = rows.split_at_mut(1);
        let sums = &mut sums.as_chunks_mut().0[..count * sums_len];
        sums.fill([T::zero(); WIDE]);
        for run in tiles(&(0..self.call.pixels), plan.tiles * tile_len(L)) {
            let tiles_of_run = run.len().div_ceil(TILE);
            let rows = &mut rows[..(end - first) * tiles_of_run];
            coordinates.fill(first..end, run.clone(), rows);
            for (i, sample) in samples.iter_mut().enumerate() {
                let packed = in_lanes::<T, L>(&mut packed[i % at_once * packed_room..][..packed_room]);
                let gathered = in_lanes::<T, L>(&mut gathered[i % at_once * gathered_room..][..gathered_room]);
                if wanted.coordinates && run.start == 0 {
                    self.packing.pack(sample.source, packed);
                }
                let rows = &mut rows[(sample.n - first) * tiles_of_run..][..tiles_of_run];
                for (pixels, rows) in tiles(&run, tile_len(L)).zip(rows) {
                    if i == 0 || !shared {
                        places.place(rows, pixels.len(), wanted.coordinates);
                        if wanted.coordinates && coordinates.looks_back() {
                            kept[0] = *rows;
                        }
                    }
                    let upstream = Pixels { numbers: &sample.upstream[pixels.start..], stride: self.call.pixels, count: pixels.len() };
                    // The coordinates give way to the gradients to them.
                    back(places, upstream, tile, wanted.coordinates.then_some((&*packed, &mut *rows)), wanted.input.then_some(&mut *gathered));
                    if wanted.coordinates {
                        coordinates.store(pixels.clone(), rows, sample.to_coordinates);
                        coordinates.bring_back(&kept[0], rows, pixels.len());
                        if shared {
                            // Each group's by itself, for their sums to be the same wherever they are done.
                            coordinates.pass_back(pixels, from_ref(rows), &mut sums[i * sums_len..][..sums_len]);
                        }
                    }
                }
                if wanted.input && run.end == self.call.pixels {
                    self.unpack(gathered, places.below(), unfolded.as_chunks_mut().0, sample.to_source);
                }
            }
            if wanted.coordinates && !shared {
                coordinates.pass_back(run, rows, sums);
            }
        }
        for (i, sample) in samples.iter_mut().enumerate() {
            coordinates.add_up(&sums[i * sums_len..][..sums_len], sample.to_coordinates);
        }
    }

    /// What was gathered for a source to its planes; it is zero afterwards.
    fn unpack<T: Number, const L: usize>(&self, gathered: &mut [[T; L]], below: usize, unfolded: &mut [[T; 1]], planes: &mut [T]) {
        match L {
            1 => self.packing.unpack_cells(gathered.as_flattened_mut().as_chunks_mut().0, below, unfolded, planes),
            _ => self.packing.unpack(gathered, planes),
        }
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

    /// How the output is read: small samples together, for they share what they read of B; of up to four channels each from its first pixel to its last, before the next is
    /// begun, where there is room for the coordinates of all.
    fn reading<T: Number>(&self) -> Plan {
        let together = if self.groups.len() == 1 && self.fit_together::<T>(TOGETHER) { TOGETHER } else { 1 };
        let whole = self.call.pixels.div_ceil(TILE);
        let whole_fits = lanes_for(self.groups[0].len()) <= 4 && together * whole * size_of::<Rows<T>>() <= MOST_TOGETHER;
        Plan { together, tiles: if together > 1 && whole_fits { whole } else { 1 } }
    }

    /// How gradients are brought back: small samples together, or else the groups of one, for they share the weights of their taps and their slopes.
    fn bringing<T: Number>(&self) -> Plan {
        let groups = self.groups.len();
        let alike = self.groups.first().map(|group| lanes_for(group.len())) == self.groups.last().map(|group| lanes_for(group.len()));
        match groups > 1 && alike && self.fit_together::<T>(groups) {
            true => Plan { together: groups, tiles: 1 },
            false => self.reading::<T>(),
        }
    }

    /// Whether so many groups of channels are small enough, and all of them many enough, to be taken together.
    fn fit_together<T>(&self, most: usize) -> bool {
        let lanes = self.groups.first().map_or(1, |group| lanes_for(group.len()));
        let small = most * lanes * self.packing.pixels * size_of::<T>() <= MOST_TOGETHER;
        small && self.call.samples * self.groups.len() >= 4 * most * rayon::current_num_threads()
    }

    /// What a thread needs room for.
    fn room<T: Number>(&self, plan: Plan, coordinates: &impl Coordinates<T>, wanted: Wanted) -> Room {
        let mut room = Room {
            places: Places::<T>::room(self.call.sampler, self.sizes.len()),
            sums: WIDE * plan.together * coordinates.sums_len(),
            tiles: 1 + plan.together * plan.tiles,
            ..Room::default()
        };
        for lanes in self.groups.iter().map(|group| lanes_for(group.len())) {
            let packed = self.packed_at_once(plan, lanes) * self.packed_len(lanes);
            if wanted.coordinates {
                room.packed[Memory::<T>::packed_in(lanes)] = packed;
            }
            if wanted.input {
                room.gathered = room.gathered.max(cell_len(lanes) * packed);
                room.unfolded = self.packed_len(1);
            }
            room.tile = room.tile.max(lanes * tile_len(lanes));
        }
        room
    }

    /// How many sources of so many lanes are packed at once: one where a sample is done before the next begins.
    fn packed_at_once(&self, plan: Plan, lanes: usize) -> usize {
        if plan.tiles * tile_len(lanes) >= self.call.pixels { 1 } else { plan.together }
    }

    /// The numbers of a packed source, whole vectors, with one to spare for loops that read a few beyond the last tap.
    fn packed_len(&self, lanes: usize) -> usize {
        (lanes * self.packing.pixels).next_multiple_of(WIDE) + WIDE
    }

    /// How many tasks: for every sample each group of its channels.
    fn tasks(&self) -> usize {
        self.call.samples * self.groups.len()
    }

    /// The sample of a task and its channels.
    fn task(&self, task: usize) -> (usize, &Range<usize>) {
        (task / self.groups.len(), &self.groups[task % self.groups.len()])
    }

    /// The numbers of each group of channels, of so many a plane.
    fn lengths(&self, plane: usize) -> impl Iterator<Item = usize> {
        self.groups.iter().map(move |group| group.len() * plane)
    }

    fn places<'m, T: Number>(&'m self, memory: &'m mut [T]) -> Places<'m, T> {
        Places::new(self.call.sampler, &self.packing, &self.sizes, memory)
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
    if L == 4 {
        let coordinates = coordinates.map(|(packed, gradient)| (packed.as_flattened().as_chunks().0, gradient));
        return quads::back(places, upstream, coordinates, source.map(|source| source.as_flattened_mut().as_chunks_mut().0));
    }
    let upstream = &upstream.numbers[..upstream.count];
    if let Some((packed, gradient)) = coordinates {
        single::slopes(places, packed.as_flattened(), upstream, gradient);
    }
    if let Some(source) = source {
        single::scatter(places, upstream, source.as_flattened_mut().as_chunks_mut().0);
    }
}

/// The pixels of a tile of so many lanes: its numbers and the weights of its taps stay in a core's first cache.
const fn tile_len(lanes: usize) -> usize {
    if lanes > 4 { 128 } else { TILE }
}

/// The numbers that are gathered for each of a packed pixel's: a single channel is gathered in cells.
const fn cell_len(lanes: usize) -> usize {
    if lanes == 1 { 4 } else { 1 }
}

/// The samples that a thread may take together.
const TOGETHER: usize = 2;

/// The bytes of the packed sources that are taken together, and of their coordinates: with the gradients they take half of a core's second cache.
const MOST_TOGETHER: usize = 1 << 18;

/// The pixels that a thread takes at a time where there are few samples.
const SHARE: usize = 16 * TILE;

/// Numbers as lanes of pixels.
fn in_lanes<T, const L: usize>(numbers: &mut [T]) -> &mut [[T; L]] {
    numbers.as_chunks_mut().0
}
