//! What a thread of the fused sampler works in: lent to it once, for all of its tasks. Nothing large is asked of the allocator, at which the threads would wait for one another.

use super::warp::{Rows, TILE};
use crate::cpu::{Number, with_scratch};

/// The channels of a task, by what they are packed in: the widest first.
pub(super) const LANES: [usize; 3] = [16, 4, 1];

/// How many numbers of each kind a thread needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    /// For the [places](super::places::Places) of a tile.
    pub places: usize,
    /// For packed sources, by their [lanes](LANES).
    pub packed: [usize; LANES.len()],
    /// For gradients to packed sources.
    pub gathered: usize,
    /// For a packed source of a single channel.
    pub unfolded: usize,
    /// For a tile of pixels in lanes.
    pub tile: usize,
    /// For sums of the gradients to what the coordinates come from.
    pub sums: usize,
    /// How many tiles of coordinates.
    pub tiles: usize,
}

/// What there is room for; each begins where a cache line does, so that no vector straddles two.
pub(super) struct Memory<'m, T> {
    /// Zero at first: what is around a source is not written again.
    pub packed: [&'m mut [T]; LANES.len()],
    /// Zero at first, and between tasks.
    pub gathered: &'m mut [T],
    pub unfolded: &'m mut [T],
    pub tile: &'m mut [T],
    pub sums: &'m mut [T],
    pub rows: &'m mut [Rows<T>],
}

impl Room {
    /// Lends a thread its memory, and that for places.
    pub(super) fn lend<T: Number, R>(&self, work: impl FnOnce(&mut [T], Memory<'_, T>) -> R) -> R {
        let [wide, four, single] = self.packed;
        let lengths = [self.places, wide, four, single, self.gathered, self.unfolded, self.tile, self.sums, self.tiles * 4 * TILE];
        with_scratch(lengths, |[places, wide, four, single, gathered, unfolded, tile, sums, rows]| {
            let packed = [wide, four, single].map(|packed| {
                packed.fill(T::zero());
                packed
            });
            gathered.fill(T::zero());
            work(places, Memory { packed, gathered, unfolded, tile, sums, rows: rows.as_chunks_mut().0.as_chunks_mut().0 })
        })
    }
}

impl<T> Memory<'_, T> {
    /// Where sources of so many lanes are packed.
    pub(super) fn packed_in(lanes: usize) -> usize {
        LANES.iter().position(|&of| of == lanes).unwrap_or_default()
    }
}
