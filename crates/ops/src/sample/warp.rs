//! Where the normalised coordinates of a tile of target pixels come from: an explicit grid here, `M_theta B` in [`structured`](super::structured); and the gradient's way
//! back.

use std::ops::Range;

use stn_core::Real;
use stn_core::taps::RUN;

use super::arithmetic::Wide;

/// The pixels of a tile: what a kernel is asked for at a time.
pub(super) const TILE: usize = RUN;

/// The pixels of a block: what a task works on. Partial sums follow blocks, never threads.
pub(super) const BLOCK: usize = TILE;

/// A value for every pixel of a tile on up to four rows: x, y, z, and the homogeneous divisor after the last axis.
pub(super) type Rows<T> = [[T; TILE]; 4];

/// Sums beside each other: none waits for another, and their order is fixed.
pub(super) type Sums<T> = Wide<T>;

/// The coordinates at which a source is read.
pub(super) trait Coordinates<T>: Sync {
    /// Fills rows x, y (, z) with the normalised coordinates of a run of pixels, for each of some samples: the run's tiles of the first, of the next, and so on.
    fn fill(&self, samples: Range<usize>, pixels: Range<usize>, rows: &mut [Rows<T>]);

    /// The length of the gradients of one sample that [`pass_back`](Self::pass_back) and [`add_up`](Self::add_up) make.
    fn gradients_len(&self) -> usize;

    /// How many [`Sums`] a task keeps for [`pass_back`](Self::pass_back), for each sample.
    fn sums_len(&self) -> usize;

    /// Whether [`bring_back`](Self::bring_back) reads the coordinates.
    fn looks_back(&self) -> bool;

    /// Brings the gradients to the coordinates of a tile of so many pixels back to the rows that [`pass_back`](Self::pass_back) takes, in place. `rows` is what
    /// [`fill`](Self::fill) left, where that [is read](Self::looks_back).
    fn bring_back(&self, rows: &Rows<T>, gradient: &mut Rows<T>, pixels: usize);

    /// Brings gradients, as [`bring_back`](Self::bring_back) left them, of a run of pixels in some samples back to what the coordinates come from: in each sample's sums,
    /// one after the other.
    fn pass_back(&self, pixels: Range<usize>, gradients: &[Rows<T>], sums: &mut [Sums<T>]);

    /// Stores what a sample's gradients hold of a tile, where [`pass_back`](Self::pass_back) adds nothing up.
    fn store(&self, pixels: Range<usize>, gradient: &Rows<T>, gradients: &mut [T]);

    /// Adds up what [`pass_back`](Self::pass_back) left in a sample's sums.
    fn add_up(&self, sums: &[Sums<T>], gradients: &mut [T]);
}

/// An explicit grid, `N x P x dims`.
pub(super) struct Grid<'a, T> {
    pub values: &'a [T],
    pub dims: usize,
    pub pixels: usize,
}

impl<'a, T> Grid<'a, T> {
    /// A grid, or a gradient to one, of target pixels on as many axes as their coordinates have.
    pub(super) fn new(values: &'a [T], target: &[usize]) -> Self {
        Self { values, dims: target.len(), pixels: target.iter().product() }
    }
}

impl<T: Real> Grid<'_, T> {
    /// The gradient's way back: one tile of the grid's gradient, from rows of it.
    pub(super) fn put(rows: &Rows<T>, dims: usize, grid: &mut [T]) {
        for (i, point) in grid.chunks_exact_mut(dims).enumerate() {
            for (value, row) in point.iter_mut().zip(rows) {
                *value = row[i];
            }
        }
    }
}

impl<T: Real> Coordinates<T> for Grid<'_, T> {
    fn fill(&self, samples: Range<usize>, pixels: Range<usize>, rows: &mut [Rows<T>]) {
        let tiles = samples.flat_map(|n| tiles(&pixels, TILE).map(move |tile| (n * self.pixels, tile)));
        for ((first, tile), rows) in tiles.zip(rows) {
            let points = &self.values[(first + tile.start) * self.dims..(first + tile.end) * self.dims];
            for (i, point) in points.chunks_exact(self.dims).enumerate() {
                for (row, &value) in rows.iter_mut().zip(point) {
                    row[i] = value;
                }
            }
        }
    }

    fn gradients_len(&self) -> usize {
        self.pixels * self.dims
    }

    fn sums_len(&self) -> usize {
        0
    }

    fn looks_back(&self) -> bool {
        false
    }

    fn bring_back(&self, _: &Rows<T>, _: &mut Rows<T>, _: usize) {}

    fn pass_back(&self, _: Range<usize>, _: &[Rows<T>], _: &mut [Sums<T>]) {}

    fn store(&self, pixels: Range<usize>, gradient: &Rows<T>, gradients: &mut [T]) {
        Self::put(gradient, self.dims, &mut gradients[pixels.start * self.dims..pixels.end * self.dims]);
    }

    fn add_up(&self, _: &[Sums<T>], _: &mut [T]) {}
}

/// The pixels of block `i`.
pub(super) fn block_of(i: usize, pixels: usize) -> Range<usize> {
    i * BLOCK..pixels.min((i + 1) * BLOCK)
}

/// The tiles of a block, each of so many pixels but for the last.
pub(super) fn tiles(block: &Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = block.end;
    block.clone().step_by(length).map(move |start| start..end.min(start + length))
}

/// Rows of zeros.
pub(super) fn zeros<T: Real>() -> Rows<T> {
    [[T::zero(); TILE]; 4]
}
