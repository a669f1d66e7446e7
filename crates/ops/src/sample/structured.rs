//! The structured form of a warp, `M_theta B` (theta's matrix times the basis of the target), and the gradient's way back through it.

use std::ops::Range;
use std::slice::{from_mut, from_ref};

use candle_core::{CpuStorage, Layout, Result};
use rayon::prelude::*;
use stn_core::transformation::HOMOGENEOUS_GUARD;
use stn_core::wide::AVX512;
use stn_core::{Real, widest};

use super::arithmetic::{Lanes, WIDE, Wide};
use super::warp::{BLOCK, Coordinates, Grid, Rows, Sums, TILE, block_of, tiles, zeros};
use crate::cpu::{Number, numbers};
use crate::fresh::Fresh;

/// The pixels of a chunk of B: as many as the sums of [most rows](most_rows) take half the registers for. A tile is a number of chunks.
const CHUNK: usize = 4 * WIDE;

/// The chunks of a tile.
const CHUNKS: usize = TILE / CHUNK;

/// A row of B at a chunk of pixels, from a cache line's start on: no vector of it straddles two.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Chunk<T>([T; CHUNK]);

impl<T: Real> Default for Chunk<T> {
    fn default() -> Self {
        Self([T::zero(); CHUNK])
    }
}

/// The structured form: M, `N x R x K`, times B, `K x P`; R is `dims`, or one more for homogeneous coordinates.
pub(super) struct Structured<'a, T> {
    pub matrix: &'a [T],
    /// B in chunks of pixels, the K rows of one after the other, with zeros beyond the last pixel: read from start to end for every sample, and no chunk cut short.
    basis: Vec<Chunk<T>>,
    /// Whether B holds neither an infinity nor NaN: then no product with a gradient of zero needs to be looked at.
    finite: bool,
    pub samples: usize,
    rows: usize,
    terms: usize,
    pub dims: usize,
    pub pixels: usize,
    /// Whether B gets a gradient.
    pub basis_wanted: bool,
}

impl<'a, T: Number> Structured<'a, T> {
    /// M and B as they are stored, for a target of a size.
    pub(super) fn new(matrix: (&'a CpuStorage, &Layout), basis: (&'a CpuStorage, &Layout), target: &[usize]) -> Result<Self> {
        let shape = matrix.1.shape().dims3()?;
        Ok(Self::of_numbers(numbers(matrix.0, matrix.1)?, shape, numbers(basis.0, basis.1)?, target))
    }

    /// The numbers of M, `N x R x K`, and B, `K x P`.
    pub(super) fn of_numbers(matrix: &'a [T], (samples, rows, terms): (usize, usize, usize), basis: &[T], target: &[usize]) -> Self {
        let pixels = target.iter().product();
        let (basis, finite) = in_chunks(basis, terms, pixels);
        Self { matrix, basis, finite, samples, rows, terms, dims: target.len(), pixels, basis_wanted: false }
    }
}

impl<T: Lanes> Coordinates<T> for Structured<'_, T> {
    fn fill(&self, samples: Range<usize>, pixels: Range<usize>, rows: &mut [Rows<T>]) {
        fill(self, samples, pixels, rows);
    }

    /// Those to M, `R x K`, and, where B's is wanted, those to the coordinates, `P x dims`.
    fn gradients_len(&self) -> usize {
        self.rows * self.terms + if self.basis_wanted { self.pixels * self.dims } else { 0 }
    }

    fn sums_len(&self) -> usize {
        self.rows * self.terms
    }

    fn looks_back(&self) -> bool {
        self.rows > self.dims
    }

    /// To the gradients to `M_theta B`, with zeros beyond the last pixel.
    fn bring_back(&self, rows: &Rows<T>, gradient: &mut Rows<T>, pixels: usize) {
        self.through_divisor(rows, gradient, pixels);
        for row in &mut gradient[..self.rows] {
            row[pixels..pixels.next_multiple_of(WIDE)].fill(T::zero());
        }
    }

    fn pass_back(&self, pixels: Range<usize>, gradients: &[Rows<T>], sums: &mut [Sums<T>]) {
        pass_back(self, pixels, gradients, sums);
    }

    fn store(&self, pixels: Range<usize>, gradient: &Rows<T>, gradients: &mut [T]) {
        if self.basis_wanted {
            let points = &mut gradients[self.rows * self.terms..];
            Grid::put(gradient, self.dims, &mut points[pixels.start * self.dims..pixels.end * self.dims]);
        }
    }

    fn add_up(&self, sums: &[Sums<T>], gradients: &mut [T]) {
        add_up(sums, gradients);
    }
}

widest! {
    /// The sum of each sums, in halves.
    fn add_up[T: Lanes;](sums: &[Sums<T>], totals: &mut [T]) = add_up_body
}

#[inline(always)]
fn add_up_body<T: Lanes, const LEVEL: usize>(sums: &[Sums<T>], totals: &mut [T]) {
    for (total, sums) in totals.iter_mut().zip(sums) {
        *total = T::dot::<WIDE, LEVEL>(sums, &[T::one(); WIDE]);
    }
}

widest! {
    fn fill[T: Lanes;](warp: &Structured<'_, T>, samples: Range<usize>, pixels: Range<usize>, rows: &mut [Rows<T>]) = fill_body
}

#[inline(always)]
fn fill_body<T: Lanes, const LEVEL: usize>(warp: &Structured<'_, T>, samples: Range<usize>, pixels: Range<usize>, rows: &mut [Rows<T>]) {
    let (count, mut row) = (samples.len() * warp.rows, 0);
    while row < count {
        let matrix = &warp.matrix_of(&samples)[row * warp.terms..];
        row += match count - row {
            4.. if most_rows::<T, LEVEL>() == 4 => fill_rows::<T, 4, LEVEL>(warp, &pixels, matrix, row, rows),
            2.. => fill_rows::<T, 2, LEVEL>(warp, &pixels, matrix, row, rows),
            _ => fill_rows::<T, 1, LEVEL>(warp, &pixels, matrix, row, rows),
        };
    }
    if warp.rows > warp.dims {
        for rows in rows {
            let (coordinates, divisor) = rows.split_at_mut(warp.dims);
            for row in coordinates {
                for (value, &w) in row.iter_mut().zip(&divisor[0]) {
                    *value = *value / guarded(w).0;
                }
            }
        }
    }
}

/// How many rows may share what they read of B: as the registers hold sums of.
#[inline(always)]
const fn most_rows<T, const LEVEL: usize>() -> usize {
    if LEVEL == AVX512 && size_of::<T>() == size_of::<f32>() { 4 } else { 2 }
}

/// R rows of `M_theta B`, of one sample or of two, from row `row` of all on: their weights are the first of `matrix`; gives R.
#[inline(always)]
fn fill_rows<T: Lanes, const R: usize, const LEVEL: usize>(
    warp: &Structured<'_, T>,
    pixels: &Range<usize>,
    matrix: &[T],
    row: usize,
    rows: &mut [Rows<T>],
) -> usize {
    let (mut weights, mut places) = ([matrix; R], [(0, 0); R]);
    for r in 0..R {
        weights[r] = &matrix[r * warp.terms..(r + 1) * warp.terms];
        places[r] = warp.tile_and_row(row + r, pixels);
    }
    for (chunk, basis) in warp.chunks(pixels).enumerate() {
        // All sums of a chunk beside each other, in registers: none waits for another.
        let mut sums = [[[T::zero(); WIDE]; CHUNK / WIDE]; R];
        for (k, basis) in basis.iter().enumerate() {
            for (v, basis) in basis.0.as_chunks().0.iter().enumerate() {
                for (sums, weights) in sums.iter_mut().zip(&weights) {
                    T::add_scaled::<WIDE, LEVEL>(&mut sums[v], weights[k], basis);
                }
            }
        }
        for (sums, &(first, row)) in sums.iter().zip(&places) {
            part_mut(&mut rows[first + chunk / CHUNKS][row], chunk % CHUNKS).copy_from_slice(sums.as_flattened());
        }
    }
    R
}

widest! {
    /// From gradients to `M_theta B` to those to M, added to `sums`; for some samples.
    fn pass_back[T: Lanes;](warp: &Structured<'_, T>, pixels: Range<usize>, gradients: &[Rows<T>], sums: &mut [Sums<T>]) = pass_back_body
}

#[inline(always)]
fn pass_back_body<T: Lanes, const LEVEL: usize>(warp: &Structured<'_, T>, pixels: Range<usize>, gradients: &[Rows<T>], sums: &mut [Sums<T>]) {
    match warp.finite {
        true => pass_back_all::<T, true, LEVEL>(warp, &pixels, gradients, sums),
        false => pass_back_all::<T, false, LEVEL>(warp, &pixels, gradients, sums),
    }
}

/// The part of all rows of gradients, some at a time.
#[inline(always)]
fn pass_back_all<T: Lanes, const FINITE: bool, const LEVEL: usize>(
    warp: &Structured<'_, T>,
    pixels: &Range<usize>,
    gradients: &[Rows<T>],
    sums: &mut [Sums<T>],
) {
    let (count, mut row) = (gradients.len() / pixels.len().div_ceil(TILE).max(1) * warp.rows, 0);
    while row < count {
        row += match count - row {
            4.. if most_rows::<T, LEVEL>() == 4 => pass_back_rows::<T, 4, FINITE, LEVEL>(warp, pixels, gradients, row, sums),
            2.. => pass_back_rows::<T, 2, FINITE, LEVEL>(warp, pixels, gradients, row, sums),
            _ => pass_back_rows::<T, 1, FINITE, LEVEL>(warp, pixels, gradients, row, sums),
        };
    }
}

/// The part of R rows of gradients, of one sample or of two; gives R.
#[inline(always)]
fn pass_back_rows<T: Lanes, const R: usize, const FINITE: bool, const LEVEL: usize>(
    warp: &Structured<'_, T>,
    pixels: &Range<usize>,
    gradients: &[Rows<T>],
    row: usize,
    sums: &mut [Sums<T>],
) -> usize {
    let mut places = [(0, 0); R];
    for (r, place) in places.iter_mut().enumerate() {
        *place = warp.tile_and_row(row + r, pixels);
    }
    let (sums, mut k) = (&mut sums[row * warp.terms..], 0);
    while k < warp.terms {
        k += match warp.terms - k {
            4.. => pass_back_terms::<T, R, 4, FINITE, LEVEL>(warp, pixels, (gradients, &places), k, &mut sums[k..]),
            3 => pass_back_terms::<T, R, 3, FINITE, LEVEL>(warp, pixels, (gradients, &places), k, &mut sums[k..]),
            _ => pass_back_terms::<T, R, 1, FINITE, LEVEL>(warp, pixels, (gradients, &places), k, &mut sums[k..]),
        };
    }
    R
}

/// The part of R rows of gradients and of K rows of B, from row `k` on, which share what they read; gives K.
#[inline(always)]
fn pass_back_terms<T: Lanes, const R: usize, const K: usize, const FINITE: bool, const LEVEL: usize>(
    warp: &Structured<'_, T>,
    pixels: &Range<usize>,
    (gradients, places): (&[Rows<T>], &[(usize, usize); R]),
    k: usize,
    sums: &mut [Sums<T>],
) -> usize {
    let mut held = [[[T::zero(); WIDE]; K]; R];
    for (r, held) in held.iter_mut().enumerate() {
        held.copy_from_slice(&sums[r * warp.terms..][..K]);
    }
    for (chunk, basis) in warp.chunks(pixels).enumerate() {
        let basis: &[Chunk<T>; K] = basis[k..].first_chunk().expect("K rows are left");
        let mut of_rows = [part(&gradients[0][0], 0); R];
        for (of_row, &(first, row)) in of_rows.iter_mut().zip(places) {
            *of_row = part(&gradients[first + chunk / CHUNKS][row], chunk % CHUNKS);
        }
        // Of the last chunk, the vectors that hold pixels.
        for v in 0..(pixels.len() - chunk * CHUNK).div_ceil(WIDE).min(CHUNK / WIDE) {
            for (t, basis) in basis.iter().enumerate() {
                for (held, gradient) in held.iter_mut().zip(of_rows) {
                    let (gradient, basis) = (vector(gradient, v), vector(&basis.0, v));
                    match FINITE {
                        true => T::add_times::<LEVEL>(&mut held[t], gradient, basis),
                        false => T::add_product::<LEVEL>(&mut held[t], gradient, basis),
                    }
                }
            }
        }
    }
    for (r, held) in held.iter().enumerate() {
        sums[r * warp.terms..][..K].copy_from_slice(held);
    }
    K
}

/// The numbers of a chunk of a tile.
#[inline(always)]
fn part<T>(row: &[T; TILE], chunk: usize) -> &[T; CHUNK] {
    &row.as_chunks().0[chunk]
}

/// The numbers of a chunk of a tile.
#[inline(always)]
fn part_mut<T>(row: &mut [T; TILE], chunk: usize) -> &mut [T; CHUNK] {
    &mut row.as_chunks_mut().0[chunk]
}

/// A vector of a chunk.
#[inline(always)]
fn vector<T>(chunk: &[T; CHUNK], v: usize) -> &Wide<T> {
    &chunk.as_chunks().0[v]
}

impl<T: Lanes> Structured<'_, T> {
    /// B at the chunks of a run of pixels: the K rows of each.
    #[inline(always)]
    fn chunks(&self, pixels: &Range<usize>) -> impl Iterator<Item = &[Chunk<T>]> {
        self.basis[pixels.start / CHUNK * self.terms..pixels.end.div_ceil(CHUNK) * self.terms].chunks_exact(self.terms)
    }

    /// M of some samples, each `R x K`.
    #[inline(always)]
    fn matrix_of(&self, samples: &Range<usize>) -> &[T] {
        let length = self.rows * self.terms;
        &self.matrix[samples.start * length..samples.end * length]
    }

    /// Of row `row` of those of all samples: its sample's first tile of a run of pixels, among those of all samples, and the row of its M.
    #[inline(always)]
    fn tile_and_row(&self, row: usize, pixels: &Range<usize>) -> (usize, usize) {
        (row / self.rows * pixels.len().div_ceil(TILE), row % self.rows)
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
        let mut basis = vec![T::zero(); if self.basis_wanted { self.terms * self.pixels } else { 0 }];
        let basis_blocks = basis.chunks_mut(self.terms * BLOCK).map(Some).chain(std::iter::repeat_with(|| None));
        let tasks: Vec<_> = partial.chunks_mut(samples_per_task * length).zip(basis_blocks).collect();
        tasks.into_par_iter().enumerate().for_each_init(
            || (scratch(), zeros(), zeros(), vec![[T::zero(); 16]; length]),
            |(scratch, rows, gradient, sums), (task, (partial, mut basis))| {
                for (i, matrix) in partial.chunks_exact_mut(length).enumerate() {
                    sums.fill([T::zero(); 16]);
                    let index = task * samples_per_task + i;
                    let (block, n) = (block_of(index / self.samples, self.pixels), index % self.samples);
                    for pixels in tiles(&block, TILE) {
                        self.fill(n..n + 1, pixels.clone(), from_mut(rows));
                        coordinate_gradient(scratch, n, pixels.clone(), rows, gradient);
                        self.bring_back(rows, gradient, pixels.len());
                        pass_back(self, pixels.clone(), from_ref(gradient), sums);
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
        self.gradients(|| (), |_, n, pixels, _, gradient| upstream.fill(n..n + 1, pixels, from_mut(gradient))).split_off(self.matrix.len())
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
        for (weights, row) in self.matrix_of(&(n..n + 1)).chunks_exact(self.terms).zip(gradient) {
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

/// B, `K x P`, in chunks, and whether it holds neither an infinity nor NaN.
fn in_chunks<T: Number>(basis: &[T], terms: usize, pixels: usize) -> (Vec<Chunk<T>>, bool) {
    /// The chunks of a task.
    const RUN: usize = 16;
    let runs = pixels.div_ceil(CHUNK).div_ceil(RUN);
    let chunks = Fresh::new(pixels.div_ceil(CHUNK) * terms, runs, [RUN * terms]);
    let finite = (0..runs).into_par_iter().map(|run| {
        let mut finite = true;
        // SAFETY: every number of every chunk is written, and none read.
        lay_out(basis, terms, pixels, run * RUN, unsafe { chunks.part(run).unset() }, &mut finite);
        finite
    });
    let finite = finite.reduce(|| true, |one, other| one & other);
    (chunks.finish(), finite)
}

widest! {
    /// Writes the chunks of B from chunk `first` on; whether they are finite goes to `finite`.
    fn lay_out[T: Lanes;](basis: &[T], terms: usize, pixels: usize, first: usize, chunks: &mut [Chunk<T>], finite: &mut bool) = lay_out_body
}

#[inline(always)]
fn lay_out_body<T: Lanes, const LEVEL: usize>(basis: &[T], terms: usize, pixels: usize, first: usize, chunks: &mut [Chunk<T>], finite: &mut bool) {
    // Without leaving early, so that it is done in vectors.
    let all_finite = |numbers: &[T]| numbers.iter().fold(true, |finite, value| finite & value.is_finite());
    for (i, rows) in chunks.chunks_exact_mut(terms).enumerate() {
        let start = (first + i) * CHUNK;
        for (row, basis) in rows.iter_mut().zip(basis.chunks_exact(pixels)) {
            match basis[start..].first_chunk::<CHUNK>() {
                Some(whole) => {
                    row.0 = *whole;
                    *finite &= all_finite(whole);
                }
                None => {
                    let (numbers, beyond) = row.0.split_at_mut(pixels - start);
                    numbers.copy_from_slice(&basis[start..]);
                    beyond.fill(T::zero());
                    *finite &= all_finite(numbers);
                }
            }
        }
    }
}
