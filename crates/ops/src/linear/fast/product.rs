//! Products of matrices: rows of the left factor, one number at a time, meet vectors along the rows of the right factor.
//!
//! A part of the right factor is copied to where it lies one row behind the other, and stays in the cache while all rows of the task go over it.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::{MOST_LANES, even};
use crate::cpu::{arch, with_scratch};
use crate::fresh::Block;
use crate::matmul::Matrix;
use crate::transpose::transpose_padded;

/// Columns of the widest tile.
pub(super) const TILE: usize = WIDEST * MOST_LANES;
/// The most vectors of a tile.
const WIDEST: usize = 3;
/// Rows of a part of the right factor, and its numbers: it stays in the second cache.
const DEPTH: usize = 256;
const CACHED: usize = 1 << 16;

/// Stores the block of `left right` that is asked for, or adds it to what the block holds. `right` lies along its rows or along its columns.
pub(super) fn product(block: &mut Block<f32>, left: Matrix<f32>, right: Matrix<f32>, adds: bool) {
    product_meanwhile(block, left, right, adds, |_, _| ());
}

/// [`product`]; just before some rows and columns of the block are made, `meanwhile(rows, columns)` is called.
pub(super) fn product_meanwhile(block: &mut Block<f32>, left: Matrix<f32>, right: Matrix<f32>, adds: bool, meanwhile: impl Fn(Range<usize>, Range<usize>)) {
    let fits = |matrix: &Matrix<f32>| matrix.extent() <= matrix.numbers.len();
    assert!(left.columns == right.rows && (right.column_step == 1 || right.row_step == 1) && fits(&left) && fits(&right), "the factors");
    let (rows, wanted) = (block.rows(), block.columns());
    assert!(rows.end <= left.rows && wanted.end <= right.columns, "the product");
    let left = left.rows_from(rows.start, rows.len());
    if right.rows == 0 && !adds {
        (0..rows.len()).for_each(|row| block.row(row).fill(0.0));
    }
    // A few numbers more than the part, for the last vector of the last panel.
    with_scratch([CACHED + DEPTH * TILE], |[panels]| {
        let depth = even(right.rows, DEPTH).max(1);
        let columns = (CACHED / depth / TILE * TILE).max(TILE);
        for column in (0..wanted.len()).step_by(columns) {
            let width = columns.min(wanted.len() - column);
            for first in (0..right.rows).step_by(depth) {
                let count = depth.min(right.rows - first);
                arch().dispatch(Part {
                    block,
                    column,
                    left: left.columns_from(first, count),
                    right: right.rows_from(first, count).columns_from(wanted.start + column, width),
                    panels,
                    adds: adds || first > 0,
                    meanwhile: &meanwhile,
                });
            }
        }
    });
}

/// A part of the right factor, and all rows of the left that the block is made of.
struct Part<'a, 'b, F> {
    block: &'a mut Block<'b, f32>,
    /// The first column of the block.
    column: usize,
    left: Matrix<'a, f32>,
    right: Matrix<'a, f32>,
    /// Room for the part: panels as wide as a tile, row by row, zero where the last is not full.
    panels: &'a mut [f32],
    /// Whether the product is added to what the block holds.
    adds: bool,
    meanwhile: &'a F,
}

impl<F: Fn(Range<usize>, Range<usize>)> WithSimd for Part<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { block, column, left, right, panels, adds, meanwhile } = self;
        let (tallest, widest) = if S::REGISTER_COUNT >= 32 { (8, WIDEST) } else { (4, 2) };
        let height = even(left.rows, tallest).max(1);
        // A part of two or four vectors is not padded to three or six.
        let width = even(right.columns.div_ceil(S::F32_LANES), widest) * S::F32_LANES;
        let panels = &mut panels[..right.rows * width * right.columns.div_ceil(width)];
        pack::<S>(right, panels, width);
        for (panel, numbers) in panels.chunks_exact(right.rows * width).enumerate() {
            let first = panel * width;
            let columns = width.min(right.columns - first);
            for row in (0..left.rows).step_by(height) {
                let left = left.rows_from(row, height.min(left.rows - row));
                meanwhile(row..row + left.rows, column + first..column + first + columns);
                Tile { block, place: (row, column + first), left, panel: numbers, columns, adds }.run(simd, width / S::F32_LANES);
            }
        }
    }
}

/// Copies the right factor to panels of `width` columns, in each row behind row, zero behind the last column.
#[inline(always)]
fn pack<S: Simd>(right: Matrix<f32>, panels: &mut [f32], width: usize) {
    let size = right.rows * width;
    if right.column_step != 1 {
        for (panel, numbers) in panels.chunks_exact_mut(size).enumerate() {
            let first = panel * width;
            let right = right.columns_from(first, width.min(right.columns - first));
            if right.columns < width {
                numbers.fill(0.0);
            }
            transpose_padded(right.numbers, right.column_step, numbers, width, (right.columns, right.rows));
        }
        return;
    }
    // Whole rows, one after the other, as memory is fastest to give them.
    for k in 0..right.rows {
        for (panel, from) in right.numbers[k * right.row_step..][..right.columns].chunks(width).enumerate() {
            let to = &mut panels[panel * size + k * width..][..width];
            if from.len() == width {
                // Vector by vector: a call of `memcpy` takes longer than this.
                S::as_mut_simd_f32s(to).0.iter_mut().zip(S::as_simd_f32s(from).0).for_each(|(to, &from)| *to = from);
            } else {
                to[..from.len()].copy_from_slice(from);
                to[from.len()..].fill(0.0);
            }
        }
    }
}

struct Tile<'a, 'b> {
    block: &'a mut Block<'b, f32>,
    /// Its first row and column in the block.
    place: (usize, usize),
    left: Matrix<'a, f32>,
    panel: &'a [f32],
    /// Columns of the panel that are the product's.
    columns: usize,
    adds: bool,
}

impl Tile<'_, '_> {
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
struct Sized<'a, 'b, const M: usize, const N: usize>(Tile<'a, 'b>);

impl<const M: usize, const N: usize> WithSimd for Sized<'_, '_, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tile { block, place, left, panel, columns, adds } = self.0;
        let lanes = S::F32_LANES;
        let panel = &panel[..left.columns * N * lanes];
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
        // Copied by a loop that is unrolled: the long one below would keep the sums in memory throughout.
        let mut summed = [[values[0]; N]; M];
        for (summed, sums) in summed.iter_mut().zip(&sums) {
            for (summed, &sum) in summed.iter_mut().zip(sums) {
                *summed = sum;
            }
        }
        for (i, sums) in summed.iter().enumerate() {
            let row = &mut block.row(place.0 + i)[place.1..][..columns];
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
