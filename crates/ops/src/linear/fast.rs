//! Products of f32 matrices for fully connected layers, vectors chosen at run time.
//!
//! - Forward, both factors lie along the inputs: a tile of outputs x samples is a set of scalar products, each summed in the lanes of one vector.
//! - To the weight and to the input, rows of the left factor, one number at a time, meet vectors along the rows of the right factor. A block of the right factor is copied to
//!   where it lies one row behind the other, and stays in the cache while all rows of the task go over it.
//!
//! Tasks, and the order of every sum, depend on the sizes only.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::matmul::Matrix;
use crate::cpu::{arch, with_scratch};
use crate::fresh::{added_by_columns, filled, filled_by_columns, filled_unset};

/// Rows of a result that one task makes: many go over a copied block.
const ROWS: usize = 96;
/// Columns of a result that one task makes where its rows are few.
const COLUMNS: usize = 768;
/// Outputs that one task of the forward pass makes, and inputs that it sums where there are many.
const OUTPUTS: usize = 24;
const LONGEST: usize = 1 << 13;
/// Inputs of some rows of the weight that stay in the first cache while all samples go over them.
const NEAR: usize = 1 << 10;
/// Rows of a copied block, and its numbers: it stays in the second cache.
const DEPTH: usize = 256;
const CACHED: usize = 1 << 16;

/// `x W^T`, `samples x outputs`, from `x`, `samples x inputs`, and `W`, `outputs x inputs`; each number goes through `finish(output, sum)`.
pub(super) fn forward(x: &[f32], weight: &[f32], [samples, inputs, outputs]: [usize; 3], finish: impl Fn(usize, f32) -> f32 + Sync) -> Vec<f32> {
    let parts = inputs.div_ceil(LONGEST).max(1);
    let ranges: Vec<Range<usize>> = (0..parts).map(|part| inputs * part / parts..inputs * (part + 1) / parts).collect();
    let mut y = by_columns(samples, outputs, OUTPUTS, parts, |part, rows, sums| {
        arch().dispatch(Dots { x, weight, inputs, range: ranges[part].clone(), rows, samples, sums });
    });
    y.par_chunks_mut((outputs * 16).max(1)).for_each(|rows| {
        for row in rows.chunks_exact_mut(outputs) {
            row.iter_mut().enumerate().for_each(|(output, number)| *number = finish(output, *number));
        }
    });
    y
}

/// Rows `wanted` of the gradient to the weight, `outputs x inputs`: every sample's gradient times its input.
pub(super) fn weight_gradient(x: &[f32], gradient: &[f32], [samples, inputs, outputs]: [usize; 3], wanted: Range<usize>) -> Vec<f32> {
    let left = Matrix::by_rows(gradient, samples, outputs, outputs).columns_from(wanted.start, wanted.len()).transposed();
    let right = Matrix::by_rows(x, samples, inputs, inputs);
    let rows = ROWS.min(wanted.len().div_ceil(8).next_multiple_of(8));
    // A few rows of many columns are cut along the columns.
    if wanted.len() < 2 * ROWS && inputs > COLUMNS {
        return filled_by_columns(wanted.len(), inputs, COLUMNS, |columns, sums| {
            product(sums, columns.len(), left, right.columns_from(columns.start, columns.len()))
        });
    }
    // SAFETY: `product` writes every number of the rows that it is given.
    unsafe {
        filled_unset(wanted.len() * inputs, rows * inputs, |task, sums| {
            product(sums, inputs, left.rows_from(task * rows, sums.len() / inputs), right);
        })
    }
}

/// The gradient to the input, `samples x inputs`: every output's gradient times its row of the weight.
pub(super) fn input_gradient(weight: &[f32], gradient: &[f32], [samples, inputs, outputs]: [usize; 3]) -> Vec<f32> {
    filled_by_columns(samples, inputs, columns_of_task(inputs), input_gradient_of(weight, gradient, [samples, inputs, outputs]))
}

/// [`input_gradient`], added to what there is of it from elsewhere.
pub(super) fn add_input_gradient(weight: &[f32], gradient: &[f32], [samples, inputs, outputs]: [usize; 3], sum: &mut [f32]) {
    added_by_columns(sum, inputs, columns_of_task(inputs), input_gradient_of(weight, gradient, [samples, inputs, outputs]));
}

/// Some columns of the gradient to the input.
fn input_gradient_of(weight: &[f32], gradient: &[f32], [samples, inputs, outputs]: [usize; 3]) -> impl Fn(Range<usize>, &mut [f32]) + Sync {
    let left = Matrix::by_rows(gradient, samples, outputs, outputs);
    move |columns, sums| product(sums, columns.len(), left, Matrix::by_rows(weight, outputs, inputs, inputs).columns_from(columns.start, columns.len()))
}

fn columns_of_task(inputs: usize) -> usize {
    COLUMNS.min(inputs.div_ceil(4).next_multiple_of(48))
}

/// Makes `rows x columns` numbers, `width` columns a task, as sums of some parts: `make(part, columns, numbers)` fills what one part contributes, stored row by row, zero at first.
fn by_columns(rows: usize, columns: usize, width: usize, parts: usize, make: impl Fn(usize, Range<usize>, &mut [f32]) + Sync) -> Vec<f32> {
    let tasks: Vec<Range<usize>> = (0..columns).step_by(width.max(1)).map(|first| first..columns.min(first + width)).collect();
    let task = |number: usize| {
        let columns = tasks[number % tasks.len()].clone();
        let mut numbers = vec![0.0; rows * columns.len()];
        make(number / tasks.len(), columns, &mut numbers);
        numbers
    };
    let mut made: Vec<Vec<f32>> = (0..parts * tasks.len()).into_par_iter().map(task).collect();
    if made.len() == 1 {
        return made.remove(0);
    }
    let lines = 8;
    filled(rows * columns, lines * columns, |block, numbers| {
        for (line, row) in numbers.chunks_exact_mut(columns).enumerate() {
            for (i, made) in made.iter().enumerate() {
                let columns = &tasks[i % tasks.len()];
                let part = &made[(block * lines + line) * columns.len()..][..columns.len()];
                if i < tasks.len() {
                    row[columns.clone()].copy_from_slice(part);
                } else {
                    row[columns.clone()].iter_mut().zip(part).for_each(|(sum, &number)| *sum += number);
                }
            }
        }
    })
}

/// Scalar products of some rows of the weight with all samples, over a range of the inputs.
struct Dots<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    inputs: usize,
    range: Range<usize>,
    rows: Range<usize>,
    samples: usize,
    /// Samples x rows.
    sums: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (height, width) = if S::REGISTER_COUNT >= 32 { (6, 4) } else { (3, 4) };
        for first in self.range.clone().step_by(NEAR) {
            let depths = first..self.range.end.min(first + NEAR);
            for row in self.rows.clone().step_by(height) {
                for sample in (0..self.samples).step_by(width) {
                    let (rows, samples) = (height.min(self.rows.end - row), width.min(self.samples - sample));
                    let tile = DotTile { dots: &mut self, depths: depths.clone(), row, sample };
                    match (rows, samples) {
                        (6, 4) => simd.vectorize(SizedDots::<6, 4>(tile)),
                        (3, 4) => simd.vectorize(SizedDots::<3, 4>(tile)),
                        _ => tile.one_by_one(simd, rows, samples),
                    }
                }
            }
        }
    }
}

struct DotTile<'a, 'b> {
    dots: &'a mut Dots<'b>,
    depths: Range<usize>,
    row: usize,
    sample: usize,
}

impl DotTile<'_, '_> {
    /// At an edge.
    #[inline(always)]
    fn one_by_one<S: Simd>(self, simd: S, rows: usize, samples: usize) {
        for row in self.row..self.row + rows {
            for sample in self.sample..self.sample + samples {
                simd.vectorize(SizedDots::<1, 1>(DotTile { dots: &mut *self.dots, depths: self.depths.clone(), row, sample }));
            }
        }
    }
}

/// M rows of the weight times N samples.
struct SizedDots<'a, 'b, const M: usize, const N: usize>(DotTile<'a, 'b>);

impl<const M: usize, const N: usize> WithSimd for SizedDots<'_, '_, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let DotTile { dots, depths, row, sample } = self.0;
        let mut weights = [&dots.weight[..0]; M];
        for (i, weights) in weights.iter_mut().enumerate() {
            *weights = &dots.weight[(row + i) * dots.inputs..][depths.clone()];
        }
        let mut samples = [&dots.x[..0]; N];
        for (j, samples) in samples.iter_mut().enumerate() {
            *samples = &dots.x[(sample + j) * dots.inputs..][depths.clone()];
        }
        let (lanes, length) = (S::F32_LANES, depths.len());
        let whole = length - length % lanes;
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        let mut values = [simd.splat_f32s(0.0); N];
        for k in (0..whole).step_by(lanes) {
            for (value, sample) in values.iter_mut().zip(&samples) {
                // SAFETY: `k + lanes <= whole`, which is at most the length of every slice.
                *value = unsafe { sample.as_ptr().add(k).cast::<S::f32s>().read_unaligned() };
            }
            for (sums, weights) in sums.iter_mut().zip(&weights) {
                // SAFETY: the same.
                let weight = unsafe { weights.as_ptr().add(k).cast::<S::f32s>().read_unaligned() };
                for (sum, &value) in sums.iter_mut().zip(&values) {
                    *sum = simd.mul_add_e_f32s(weight, value, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                let rest = weights[i][whole..].iter().zip(&samples[j][whole..]).fold(0.0, |sum, (w, x)| sum + w * x);
                dots.sums[(sample + j) * dots.rows.len() + row - dots.rows.start + i] += simd.reduce_sum_f32s(sum) + rest;
            }
        }
    }
}

/// Stores `left right` in `out`, whose rows are `row_step` apart; `right` lies along its rows. What `out` held is not read.
fn product(out: &mut [f32], row_step: usize, left: Matrix<f32>, right: Matrix<f32>) {
    let fits = |matrix: &Matrix<f32>| matrix.extent() <= matrix.numbers.len();
    assert!(left.columns == right.rows && right.column_step == 1 && fits(&left) && fits(&right), "the factors");
    assert!(left.rows == 0 || right.columns == 0 || (left.rows - 1) * row_step + right.columns <= out.len(), "the product");
    if right.rows == 0 {
        out.chunks_mut(row_step.max(1)).take(left.rows).for_each(|row| row[..right.columns].fill(0.0));
    }
    // A few numbers more than the block, for the last vector of the last panel.
    with_scratch([CACHED + DEPTH * WIDEST * MOST_LANES], |[block]| {
        let depth = DEPTH.min(right.rows.max(1));
        let columns = (CACHED / depth).min(right.columns);
        for first_column in (0..right.columns).step_by(columns.max(1)) {
            for first in (0..right.rows).step_by(depth) {
                let (count, width) = (depth.min(right.rows - first), columns.min(right.columns - first_column));
                arch().dispatch(Block {
                    out: &mut out[first_column..],
                    row_step,
                    left: left.columns_from(first, count),
                    right: right.rows_from(first, count).columns_from(first_column, width),
                    panels: block,
                    adds: first > 0,
                });
            }
        }
    });
}

/// The most vectors of a tile, and the most numbers of a vector.
const WIDEST: usize = 3;
const MOST_LANES: usize = 16;

/// One block of the right factor and all rows of the left.
struct Block<'a> {
    out: &'a mut [f32],
    row_step: usize,
    left: Matrix<'a, f32>,
    right: Matrix<'a, f32>,
    /// Room for the block: panels as wide as a tile, row by row, zero where the last is not full.
    panels: &'a mut [f32],
    /// Whether the result already holds the product of the blocks before.
    adds: bool,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { out, row_step, left, right, panels, adds } = self;
        let (tallest, widest) = if S::REGISTER_COUNT >= 32 { (8, WIDEST) } else { (4, 2) };
        // A result of two vectors is not padded to three.
        let width = widest.min(right.columns.div_ceil(S::F32_LANES)) * S::F32_LANES;
        for (panel, numbers) in panels.chunks_exact_mut(right.rows * width).take(right.columns.div_ceil(width)).enumerate() {
            let columns = panel * width..right.columns.min((panel + 1) * width);
            for (k, row) in numbers.chunks_exact_mut(width).enumerate() {
                let from = &right.numbers[k * right.row_step + columns.start..][..columns.len()];
                if columns.len() == width {
                    // Vector by vector: a call of `memcpy` takes longer than this.
                    S::as_mut_simd_f32s(row).0.iter_mut().zip(S::as_simd_f32s(from).0).for_each(|(to, &from)| *to = from);
                } else {
                    row[..columns.len()].copy_from_slice(from);
                    row[columns.len()..].fill(0.0);
                }
            }
            for first in (0..left.rows).step_by(tallest) {
                let out = &mut out[first * row_step + columns.start..];
                let rows = left.rows_from(first, tallest.min(left.rows - first));
                Tile { out, row_step, left: rows, panel: numbers, columns: columns.len(), adds }.run(simd, width / S::F32_LANES);
            }
        }
    }
}

struct Tile<'a> {
    out: &'a mut [f32],
    row_step: usize,
    left: Matrix<'a, f32>,
    panel: &'a [f32],
    /// Columns of the panel that are the product's.
    columns: usize,
    adds: bool,
}

impl Tile<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S, vectors: usize) {
        macro_rules! by_size {
            ($($rows:literal),*) => {
                match (self.left.rows, vectors) {
                    $(($rows, 1) => simd.vectorize(Sized::<$rows, 1>(self)),
                    ($rows, 2) => simd.vectorize(Sized::<$rows, 2>(self)),
                    ($rows, 3) => simd.vectorize(Sized::<$rows, 3>(self)),)*
                    _ => unreachable!("no tile is taller or wider"),
                }
            };
        }
        by_size!(1, 2, 3, 4, 5, 6, 7, 8);
    }
}

/// A tile whose height and width the compiler knows.
struct Sized<'a, const M: usize, const N: usize>(Tile<'a>);

impl<const M: usize, const N: usize> WithSimd for Sized<'_, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tile { out, row_step, left, panel, columns, adds } = self.0;
        let lanes = S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        let mut values = [simd.splat_f32s(0.0); N];
        let mut rows = [left.numbers.as_ptr(); M];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = row.wrapping_add(i * left.row_step);
        }
        for k in 0..left.columns {
            for (j, value) in values.iter_mut().enumerate() {
                // SAFETY: the panel holds `left.columns` rows of N vectors: it was cut to that length.
                *value = unsafe { panel.as_ptr().add((k * N + j) * lanes).cast::<S::f32s>().read_unaligned() };
            }
            for (sums, row) in sums.iter_mut().zip(&rows) {
                // SAFETY: `product` has checked that the left factor, of which this is a part, lies inside its numbers.
                let factor = simd.splat_f32s(unsafe { *row.add(k * left.column_step) });
                for (sum, &value) in sums.iter_mut().zip(&values) {
                    *sum = simd.mul_add_e_f32s(factor, value, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let row = &mut out[i * row_step..][..columns];
            for (j, &sum) in sums.iter().enumerate() {
                let part = &mut row[(j * lanes).min(columns)..columns.min((j + 1) * lanes)];
                if let [whole] = S::as_mut_simd_f32s(part).0 {
                    *whole = if adds { simd.add_f32s(*whole, sum) } else { sum };
                } else {
                    let total = if adds { simd.add_f32s(simd.partial_load_f32s(part), sum) } else { sum };
                    simd.partial_store_f32s(part, total);
                }
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::cpu::levels;
    use crate::matmul::{Store, multiply};

    /// Whole numbers from -3 to 3: every order of summation gives the same bits.
    fn whole(length: usize, seed: usize) -> Vec<f32> {
        (0..length).map(|i| ((i * 7919 + seed * 104_729) % 1009 % 7) as f32 - 3.0).collect()
    }

    fn plain(rows: usize, columns: usize, left: Matrix<f32>, right: Matrix<f32>) -> Vec<f32> {
        let mut out = vec![0.0; rows * columns];
        multiply(&mut out, columns, left, right, Store::Replace);
        out
    }

    #[test]
    fn every_kind_of_vectors_gives_what_the_plain_product_gives() {
        levels::each(|| {
            for sizes in [[1, 1, 1], [5, 37, 9], [33, 100, 50], [4, 9001, 3], [40, 800, 210], [300, 1000, 12]] {
                let [samples, inputs, outputs] = sizes;
                let (x, weight, gradient) = (whole(samples * inputs, 1), whole(outputs * inputs, 2), whole(samples * outputs, 3));
                let by_rows = |numbers, rows, columns| Matrix::by_rows(numbers, rows, columns, columns);
                let (x_rows, weight_rows, gradient_rows) =
                    (by_rows(&x, samples, inputs), by_rows(&weight, outputs, inputs), by_rows(&gradient, samples, outputs));
                assert_eq!(forward(&x, &weight, sizes, |_, sum| sum), plain(samples, outputs, x_rows, weight_rows.transposed()));
                assert_eq!(weight_gradient(&x, &gradient, sizes, 0..outputs), plain(outputs, inputs, gradient_rows.transposed(), x_rows));
                assert_eq!(input_gradient(&weight, &gradient, sizes), plain(samples, inputs, gradient_rows, weight_rows));
            }
        });
    }
}
