//! Where the normalised coordinates of a tile of target pixels come from: `M_theta B`, or an explicit grid; and the gradient's way back.

use std::ops::Range;

use candle_core::{CpuStorage, Layout, Result};
use rayon::prelude::*;
use stn_core::transformation::HOMOGENEOUS_GUARD;
use stn_core::{Real, widest};

use super::arithmetic::{Lanes, WIDE, Wide, padded};
use crate::cpu::{Number, numbers};

/// The pixels of a tile: what a kernel is asked for at a time.
pub(super) const TILE: usize = 128;

/// The pixels of a block: what a task works on. Partial sums follow blocks, never threads.
pub(super) const BLOCK: usize = 2 * TILE;

/// A value for every pixel of a tile on up to four rows: x, y, z, and the homogeneous divisor after the last axis.
pub(super) type Rows<T> = [[T; TILE]; 4];

/// Sums beside each other: none waits for another, and their order is fixed.
pub(super) type Sums<T> = Wide<T>;

/// The coordinates at which a source is read.
pub(super) trait Coordinates<T>: Sync {
    /// Fills rows x, y (, z) with the normalised coordinates of a tile's pixels in sample `n`.
    fn fill(&self, n: usize, pixels: Range<usize>, rows: &mut Rows<T>);

    /// The length of the gradients of one sample that [`pass_back`](Self::pass_back) makes.
    fn gradients_len(&self) -> usize;

    /// How many [`Sums`] a task keeps for [`pass_back`](Self::pass_back).
    fn sums_len(&self) -> usize;

    /// Brings the gradient to a tile's coordinates back to what they come from. `rows` is what [`fill`](Self::fill) left.
    fn pass_back(&self, pixels: Range<usize>, rows: &Rows<T>, gradient: &mut Rows<T>, sums: &mut [Sums<T>], gradients: &mut [T]);

    /// Adds up what [`pass_back`](Self::pass_back) left in the sums.
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
    pub(super) fn store(rows: &Rows<T>, dims: usize, grid: &mut [T]) {
        for (i, point) in grid.chunks_exact_mut(dims).enumerate() {
            for (value, row) in point.iter_mut().zip(rows) {
                *value = row[i];
            }
        }
    }
}

impl<T: Real> Coordinates<T> for Grid<'_, T> {
    fn fill(&self, n: usize, pixels: Range<usize>, rows: &mut Rows<T>) {
        let first = n * self.pixels;
        let points = &self.values[(first + pixels.start) * self.dims..(first + pixels.end) * self.dims];
        for (i, point) in points.chunks_exact(self.dims).enumerate() {
            for (row, &value) in rows.iter_mut().zip(point) {
                row[i] = value;
            }
        }
    }

    fn gradients_len(&self) -> usize {
        self.pixels * self.dims
    }

    fn sums_len(&self) -> usize {
        0
    }

    fn pass_back(&self, pixels: Range<usize>, _: &Rows<T>, gradient: &mut Rows<T>, _: &mut [Sums<T>], gradients: &mut [T]) {
        Self::store(gradient, self.dims, &mut gradients[pixels.start * self.dims..pixels.end * self.dims]);
    }

    fn add_up(&self, _: &[Sums<T>], _: &mut [T]) {}
}

/// The structured form: M, `N x R x K`, times B, `K x P`; R is `dims`, or one more for homogeneous coordinates.
pub(super) struct Structured<'a, T> {
    pub matrix: &'a [T],
    pub basis: &'a [T],
    pub samples: usize,
    pub rows: usize,
    pub terms: usize,
    pub dims: usize,
    pub pixels: usize,
    /// Whether B gets a gradient.
    pub basis_wanted: bool,
}

impl<'a, T: Number> Structured<'a, T> {
    /// M and B as they are stored, for a target of a size.
    pub(super) fn new(matrix: (&'a CpuStorage, &Layout), basis: (&'a CpuStorage, &Layout), target: &[usize]) -> Result<Self> {
        let (samples, rows, terms) = matrix.1.shape().dims3()?;
        let (matrix, basis) = (numbers(matrix.0, matrix.1)?, numbers(basis.0, basis.1)?);
        Ok(Self { matrix, basis, samples, rows, terms, dims: target.len(), pixels: target.iter().product(), basis_wanted: false })
    }
}

impl<T: Lanes> Coordinates<T> for Structured<'_, T> {
    fn fill(&self, n: usize, pixels: Range<usize>, rows: &mut Rows<T>) {
        fill(self, n, pixels, rows);
    }

    /// Those to M, `R x K`, and, where B's is wanted, those to the coordinates, `P x dims`.
    fn gradients_len(&self) -> usize {
        self.rows * self.terms + if self.basis_wanted { self.pixels * self.dims } else { 0 }
    }

    fn sums_len(&self) -> usize {
        self.rows * self.terms
    }

    fn pass_back(&self, pixels: Range<usize>, rows: &Rows<T>, gradient: &mut Rows<T>, sums: &mut [Sums<T>], gradients: &mut [T]) {
        if self.basis_wanted {
            let points = &mut gradients[self.rows * self.terms..];
            Grid::store(gradient, self.dims, &mut points[pixels.start * self.dims..pixels.end * self.dims]);
        }
        pass_back(self, pixels, rows, gradient, sums);
    }

    fn add_up(&self, sums: &[Sums<T>], gradients: &mut [T]) {
        for (total, sums) in gradients.iter_mut().zip(sums) {
            *total = added_up(sums);
        }
    }
}

widest! {
    fn fill[T: Lanes;](warp: &Structured<'_, T>, n: usize, pixels: Range<usize>, rows: &mut Rows<T>) = fill_body
}

#[inline(always)]
fn fill_body<T: Lanes, const LEVEL: usize>(warp: &Structured<'_, T>, n: usize, pixels: Range<usize>, rows: &mut Rows<T>) {
    for (row, weights) in rows.iter_mut().zip(warp.matrix_of(n).chunks_exact(warp.terms)) {
        let (sums, _) = row.as_chunks_mut::<WIDE>();
        let (fours, _) = sums.as_chunks_mut::<4>();
        for (i, sums) in fours.iter_mut().enumerate().take(pixels.len().div_ceil(4 * WIDE)) {
            let start = pixels.start + i * 4 * WIDE;
            let end = pixels.end.min(start + 4 * WIDE);
            // Four sums beside each other, in registers: none waits for another.
            let mut held = [[T::zero(); WIDE]; 4];
            for (k, &weight) in weights.iter().enumerate() {
                let (basis, last) = warp.basis_of(k, start..end).as_chunks();
                match <&[Wide<T>; 4]>::try_from(basis) {
                    Ok(basis) => {
                        for t in 0..4 {
                            T::add_scaled::<WIDE, LEVEL>(&mut held[t], weight, &basis[t]);
                        }
                    }
                    Err(_) => {
                        held.iter_mut().zip(basis).for_each(|(sum, basis)| T::add_scaled::<WIDE, LEVEL>(sum, weight, basis));
                        T::add_scaled::<WIDE, LEVEL>(&mut held[basis.len()], weight, &padded(last));
                    }
                }
            }
            *sums = held;
        }
    }
    if warp.rows > warp.dims {
        let (coordinates, divisor) = rows.split_at_mut(warp.dims);
        for row in coordinates {
            for (value, &w) in row.iter_mut().zip(&divisor[0]) {
                *value = *value / guarded(w).0;
            }
        }
    }
}

widest! {
    /// From gradients to coordinates, `len` of them, to gradients to `M_theta B`, in place, and to M, added to `sums`. `rows` is what [`fill`] left.
    fn pass_back[T: Lanes;](warp: &Structured<'_, T>, pixels: Range<usize>, rows: &Rows<T>, gradient: &mut Rows<T>, sums: &mut [Sums<T>]) = pass_back_body
}

#[inline(always)]
fn pass_back_body<T: Lanes, const LEVEL: usize>(warp: &Structured<'_, T>, pixels: Range<usize>, rows: &Rows<T>, gradient: &mut Rows<T>, sums: &mut [Sums<T>]) {
    warp.through_divisor(rows, gradient, pixels.len());
    for (r, row) in gradient.iter().enumerate().take(warp.rows) {
        let (gradient, last_gradient) = row[..pixels.len()].as_chunks();
        for k in 0..warp.terms {
            let (basis, last) = warp.basis_of(k, pixels.clone()).as_chunks();
            let mut sum = sums[r * warp.terms + k];
            for (gradient, basis) in gradient.iter().zip(basis) {
                T::add_product::<LEVEL>(&mut sum, gradient, basis);
            }
            if !last.is_empty() {
                T::add_product::<LEVEL>(&mut sum, &padded(last_gradient), &padded(last));
            }
            sums[r * warp.terms + k] = sum;
        }
    }
}

impl<T: Lanes> Structured<'_, T> {
    /// Row `k` of B at some pixels.
    #[inline(always)]
    fn basis_of(&self, k: usize, pixels: Range<usize>) -> &[T] {
        &self.basis[k * self.pixels..][pixels]
    }

    /// M of sample `n`, `R x K`.
    #[inline(always)]
    fn matrix_of(&self, n: usize) -> &[T] {
        let length = self.rows * self.terms;
        &self.matrix[n * length..(n + 1) * length]
    }

    /// The gradients to M, `N x R x K`, and, where it is wanted, to B, `K x P`, after it.
    ///
    /// `coordinate_gradient(scratch, n, pixels, coordinates, gradient)` gives the gradient to the coordinates of a tile. Each block of pixels has a partial sum of
    /// its own, and these are added in order. A block of B's gradient is summed over the samples by one task.
    pub(super) fn gradients<S>(
        &self,
        scratch: impl Fn() -> S + Sync,
        coordinate_gradient: impl Fn(&mut S, usize, Range<usize>, &Rows<T>, &mut Rows<T>) + Sync,
    ) -> Vec<T> {
        let (length, blocks) = (self.rows * self.terms, self.pixels.div_ceil(BLOCK));
        let samples_per_task = if self.basis_wanted { self.samples.max(1) } else { 1 };
        let mut partial = vec![T::zero(); blocks * self.samples * length];
        let mut basis = vec![T::zero(); if self.basis_wanted { self.basis.len() } else { 0 }];
        let basis_blocks = basis.chunks_mut(self.terms * BLOCK).map(Some).chain(std::iter::repeat_with(|| None));
        let tasks: Vec<_> = partial.chunks_mut(samples_per_task * length).zip(basis_blocks).collect();
        tasks.into_par_iter().enumerate().for_each_init(
            || (scratch(), zeros(), zeros(), vec![[T::zero(); 16]; length]),
            |(scratch, rows, gradient, sums), (task, (partial, mut basis))| {
                for (i, matrix) in partial.chunks_exact_mut(length).enumerate() {
                    sums.fill([T::zero(); 16]);
                    let index = task * samples_per_task + i;
                    let (block, n) = (block_of(index / self.samples, self.pixels), index % self.samples);
                    for pixels in tiles(&block) {
                        self.fill(n, pixels.clone(), rows);
                        coordinate_gradient(scratch, n, pixels.clone(), rows, gradient);
                        pass_back(self, pixels.clone(), rows, gradient, sums);
                        if let Some(sums) = &mut basis {
                            self.accumulate_basis(n, pixels, gradient, sums, &block);
                        }
                    }
                    self.add_up(sums, matrix);
                }
            },
        );
        let mut gradients = self.sum_of_blocks(&partial);
        gradients.extend(self.in_rows(&basis));
        gradients
    }

    /// What [`pass_back`](Coordinates::pass_back) made of all samples: the gradients to M, `N x R x K`, and, where B's is wanted, those to the coordinates,
    /// `N x P x dims`.
    pub(super) fn split(&self, gradients: Vec<T>) -> (Vec<T>, Vec<T>) {
        if !self.basis_wanted {
            return (gradients, Vec::new());
        }
        let parts = || gradients.chunks(self.gradients_len()).map(|sample| sample.split_at(self.rows * self.terms));
        (parts().flat_map(|(matrix, _)| matrix).copied().collect(), parts().flat_map(|(_, points)| points).copied().collect())
    }

    /// The gradient to B, `K x P`, from those to the coordinates, `N x P x dims`.
    pub(super) fn basis_gradient(&self, points: &[T]) -> Vec<T> {
        let upstream = Grid { values: points, dims: self.dims, pixels: self.pixels };
        self.gradients(|| (), |_, n, pixels, _, gradient| upstream.fill(n, pixels, gradient)).split_off(self.matrix.len())
    }

    /// Partial sums, `blocks x N x R x K`, added in order.
    fn sum_of_blocks(&self, partial: &[T]) -> Vec<T> {
        let mut total = vec![T::zero(); self.matrix.len()];
        for block in partial.chunks_exact(self.matrix.len().max(1)) {
            total.iter_mut().zip(block).for_each(|(total, &part)| *total += part);
        }
        total
    }

    /// Blocks of `K x pixels of the block` as one `K x P`.
    fn in_rows(&self, blocks: &[T]) -> Vec<T> {
        let mut basis = vec![T::zero(); blocks.len()];
        for (i, values) in blocks.chunks(self.terms * BLOCK).enumerate() {
            let block = block_of(i, self.pixels);
            for (row, values) in basis.chunks_exact_mut(self.pixels).zip(values.chunks_exact(block.len())) {
                row[block.clone()].copy_from_slice(values);
            }
        }
        basis
    }

    /// From gradients to coordinates to gradients to `M_theta B`, in place. `rows` is what [`fill`](Coordinates::fill) left.
    #[inline(always)]
    fn through_divisor(&self, rows: &Rows<T>, gradient: &mut Rows<T>, len: usize) {
        if self.rows == self.dims {
            return;
        }
        for i in 0..len {
            let (w, passes) = guarded(rows[self.dims][i]);
            let mut sum = T::zero();
            for (gradient, row) in gradient.iter_mut().zip(rows).take(self.dims) {
                gradient[i] = product(gradient[i], w.recip());
                sum += product(gradient[i], row[i]);
            }
            gradient[self.dims][i] = if passes { -sum } else { T::zero() };
        }
    }

    /// Adds a tile's part to the gradients to its block of B, `K x pixels of the block`.
    fn accumulate_basis(&self, n: usize, pixels: Range<usize>, gradient: &Rows<T>, sums: &mut [T], block: &Range<usize>) {
        let inside = pixels.start - block.start..pixels.end - block.start;
        for (weights, row) in self.matrix_of(n).chunks_exact(self.terms).zip(gradient) {
            for (&weight, sums) in weights.iter().zip(sums.chunks_exact_mut(block.len())) {
                for (sum, &g) in sums[inside.clone()].iter_mut().zip(row) {
                    *sum += product(g, weight);
                }
            }
        }
    }
}

/// A divisor of homogeneous coordinates with its least magnitude, and whether it passes a gradient.
#[inline(always)]
fn guarded<T: Real>(w: T) -> (T, bool) {
    let least = T::of(HOMOGENEOUS_GUARD);
    match w.abs() < least {
        true => (if w < T::zero() { -least } else { least }, false),
        false => (w, true),
    }
}

/// A gradient times a factor: zero where the gradient is, though the factor be infinite.
#[inline(always)]
fn product<T: Real>(gradient: T, factor: T) -> T {
    if gradient == T::zero() { T::zero() } else { gradient * factor }
}

/// The sum of sums, in halves.
fn added_up<T: Real>(sums: &Sums<T>) -> T {
    let mut sums = *sums;
    let mut width = sums.len();
    while width > 1 {
        width /= 2;
        for i in 0..width {
            let other = sums[i + width];
            sums[i] += other;
        }
    }
    sums[0]
}

/// The pixels of block `i`.
pub(super) fn block_of(i: usize, pixels: usize) -> Range<usize> {
    i * BLOCK..pixels.min((i + 1) * BLOCK)
}

/// The tiles of a block.
pub(super) fn tiles(block: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = block.end;
    block.clone().step_by(TILE).map(move |start| start..end.min(start + TILE))
}

/// Rows of zeros.
pub(super) fn zeros<T: Real>() -> Rows<T> {
    [[T::zero(); TILE]; 4]
}
