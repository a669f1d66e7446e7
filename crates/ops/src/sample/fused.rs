//! The sampler on packed channels: each task owns a group of channels of one sample.
//!
//! Every number written is one task's own, and every sum has one order, so that results are the same to the bit at any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::lanes::{self, Back};
use super::packed::Packing;
use super::places::Places;
use super::plain::Call;
use super::single;
use super::transpose::{from_lanes, to_lanes};
use super::warp::{Coordinates, TILE, tiles, zeros};
use crate::cpu::{Number, with_scratch};
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
        parts.into_par_iter().zip(self.tasks().collect::<Vec<_>>()).for_each_init(
            || self.places(),
            |places, (part, (n, group))| {
                let (source, values) = (self.planes(input, n, group), part.zeroed());
                by_lanes!(group, self.sample_group((n, places), source, values, coordinates));
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
        parts.into_par_iter().zip(partial).zip(self.tasks().collect::<Vec<_>>()).for_each_init(
            || self.places(),
            |places, ((part, sums), (n, group))| {
                let values = (self.planes(input, n, group), self.pixels(upstream, n, group));
                let gradients = (part.zeroed(), sums.zeroed());
                by_lanes!(group, self.gradients_group((n, places), values, gradients, coordinates, wanted));
            },
        );
        (to_input.finish(), self.sum_of_groups(sums.finish(), length))
    }

    fn sample_group<T: Number, const L: usize>(
        &self,
        (n, places): (usize, &mut Places<'_, T>),
        source: &[T],
        values: &mut [T],
        coordinates: &impl Coordinates<T>,
    ) {
        with_scratch([L * self.packing.pixels + ALIGN, L * TILE + ALIGN], |[packed, tile]| {
            let (packed, tile) = (aligned::<T, L>(packed), aligned::<T, L>(tile));
            self.packing.pack(source, packed);
            self.read((n, places), 0..self.call.pixels, (packed, tile), values, coordinates);
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
                    self.read((n, places), pixels.clone(), (packed, aligned::<T, L>(tile)), planes, coordinates);
                    share.into_iter().zip(planes.chunks(pixels.len())).for_each(|(part, plane)| part.copy_from_slice(plane));
                });
            },
        );
    }

    /// Reads a run of pixels from a packed source to planes of as many.
    fn read<T: Number, const L: usize>(
        &self,
        (n, places): (usize, &mut Places<'_, T>),
        run: Range<usize>,
        (packed, tile): (&[[T; L]], &mut [[T; L]]),
        planes: &mut [T],
        coordinates: &impl Coordinates<T>,
    ) {
        let mut rows = zeros();
        for pixels in tiles(&run) {
            coordinates.fill(n, pixels.clone(), &mut rows);
            places.place(&rows, pixels.len(), false);
            let planes = &mut planes[pixels.start - run.start..];
            if L == 1 {
                // A single channel lies in its plane as in its lane.
                lanes::read(places, packed, planes[..pixels.len()].as_chunks_mut().0);
                continue;
            }
            let tile = &mut tile[..pixels.len()];
            lanes::read(places, packed, tile);
            from_lanes(tile, run.len(), planes);
        }
    }

    fn gradients_group<T: Number, const L: usize>(
        &self,
        (n, places): (usize, &mut Places<'_, T>),
        (source, upstream): (&[T], &[T]),
        (to_source, to_coordinates): (&mut [T], &mut [T]),
        coordinates: &impl Coordinates<T>,
        wanted: Wanted,
    ) {
        let room = |wanted: bool| if wanted { L * self.packing.pixels + ALIGN } else { ALIGN };
        // A single channel is gathered in cells of four.
        let cells = if L == 1 { 4 * room(wanted.input) } else { 0 };
        let lengths = [room(wanted.coordinates), room(wanted.input), cells + ALIGN, L * TILE + ALIGN, 16 * coordinates.sums_len() + ALIGN];
        with_scratch(lengths, |[packed, to_packed, cells, tile, sums]| {
            let cells = aligned::<T, L>(cells);
            let (packed, to_packed, tile) = (aligned::<T, L>(packed), aligned::<T, L>(to_packed), aligned::<T, L>(tile));
            let sums = &mut aligned::<T, 16>(sums)[..coordinates.sums_len()];
            sums.fill([T::zero(); 16]);
            if wanted.coordinates {
                self.packing.pack(source, packed);
            }
            let gathered = if L == 1 { &mut *cells } else { &mut *to_packed };
            gathered.fill([T::zero(); L]);
            let (mut rows, mut slopes) = (zeros(), zeros());
            for pixels in tiles(&(0..self.call.pixels)) {
                coordinates.fill(n, pixels.clone(), &mut rows);
                places.place(&rows, pixels.len(), wanted.coordinates);
                let upstream = if L == 1 {
                    upstream[pixels.clone()].as_chunks().0
                } else {
                    let tile = &mut tile[..pixels.len()];
                    to_lanes(&upstream[pixels.start..], self.call.pixels, tile);
                    tile
                };
                let mut back =
                    Back { upstream, coordinates: wanted.coordinates.then_some((&*packed, &mut slopes)), source: wanted.input.then_some(&mut *gathered) };
                lanes::back(places, &mut back);
                if wanted.coordinates {
                    coordinates.pass_back(pixels, &rows, &mut slopes, sums, to_coordinates);
                }
            }
            coordinates.add_up(sums, to_coordinates);
            if wanted.input {
                if L == 1 {
                    let (cells, _) = cells.as_flattened().as_chunks();
                    single::fold(&cells[..self.packing.pixels], places.cell(), to_packed.as_flattened_mut());
                }
                self.packing.unpack(to_packed, to_source);
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

    /// Every sample and group of its channels.
    fn tasks(&self) -> impl Iterator<Item = (usize, &Range<usize>)> {
        (0..self.call.samples).flat_map(|n| self.groups.iter().map(move |group| (n, group)))
    }

    fn places<T: Number>(&self) -> Places<'_, T> {
        Places::new(self.call.sampler, &self.packing, &self.sizes)
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

/// The pixels that a thread takes at a time where there are few samples.
const SHARE: usize = 32 * TILE;

/// Numbers to spare for [`aligned`], and for loops that read a few beyond the last tap.
const ALIGN: usize = 32;

/// Working memory from a cache line's start on, so that no vector of lanes straddles two.
fn aligned<T: Number, const L: usize>(memory: &mut [T]) -> &mut [[T; L]] {
    let start = memory.as_ptr().align_offset(64).min(ALIGN / 2);
    memory[start..].as_chunks_mut().0
}
