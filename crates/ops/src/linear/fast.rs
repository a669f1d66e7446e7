//! Fully connected layers of f32 numbers, vectors chosen at run time.
//!
//! - Forward, a few samples: both factors lie along the inputs, and a tile of outputs x samples is a set of scalar [`dots`].
//! - Forward, many samples: a [`product`] with the weight turned round.
//! - To the weight and to the input: products with the input and with the weight as they lie.
//!
//! Tasks, and the order of every sum, depend on the sizes only.

mod dots;
mod product;

use std::ops::Range;

use rayon::prelude::*;

use crate::fresh::{Block, changed_by_blocks, filled_by_blocks};
use crate::matmul::Matrix;
use dots::{Factors, dots};
use product::{product, product_meanwhile};

/// Samples from which it is worth to turn the weight round, and from which the gradient to the weight takes longer to compute than to write down and read again.
pub(super) const MANY: usize = 48;
/// Outputs that one task of scalar products makes, and inputs that it sums where there are many.
const OUTPUTS: usize = 32;
const LONGEST: usize = 1 << 13;
/// Rows and columns of the gradient to the weight that are made before they are used: with what is to be changed by them they stay in the second cache, and rows are long, as
/// memory is fastest to give them.
const USED: (usize, usize) = (24, 1024);
/// The most numbers of a vector.
const MOST_LANES: usize = 16;

/// `x W^T`, `samples x outputs`, from `x`, `samples x inputs`, and `W`, `outputs x inputs`; then `finish(outputs, sums)` is called for some outputs of every sample.
pub(super) fn forward(x: &[f32], weight: &[f32], [samples, inputs, outputs]: [usize; 3], finish: impl Fn(Range<usize>, &mut [f32]) + Sync) -> Vec<f32> {
    let finish_block = |block: &mut Block<f32>| (0..block.rows().len()).for_each(|row| finish(block.columns(), block.row(row)));
    if samples >= MANY {
        let left = Matrix::by_rows(x, samples, inputs, inputs);
        let right = Matrix::by_rows(weight, outputs, inputs, inputs).transposed();
        // SAFETY: `product` writes every number of the block that it is given.
        return unsafe {
            filled_by_blocks(samples, outputs, block_size(samples, outputs), |block| {
                product(block, left, right, false);
                finish_block(block);
            })
        };
    }
    let parts = inputs.div_ceil(LONGEST).max(1);
    let factors = Factors { x, weight, inputs };
    // SAFETY: `dots` writes every number of the block that it is given.
    let mut sums = unsafe {
        filled_by_blocks(parts * samples, outputs, (samples, even(outputs, OUTPUTS)), |block| {
            let part = block.rows().start / samples;
            dots(factors, inputs * part / parts..inputs * (part + 1) / parts, block);
            if parts == 1 {
                finish_block(block);
            }
        })
    };
    if parts > 1 {
        let (total, others) = sums.split_at_mut(samples * outputs);
        let lines = 8 * outputs;
        total.par_chunks_mut(lines.max(1)).enumerate().for_each(|(i, total)| {
            for part in others.chunks_exact(samples * outputs) {
                total.iter_mut().zip(&part[i * lines..]).for_each(|(total, &number)| *total += number);
            }
            total.chunks_exact_mut(outputs).for_each(|row| finish(0..outputs, row));
        });
        sums.truncate(samples * outputs);
    }
    sums
}

/// Rows `wanted` of the gradient to the weight, `outputs x inputs`: every sample's gradient times its input.
pub(super) fn weight_gradient(x: &[f32], gradient: &[f32], [samples, inputs, outputs]: [usize; 3], wanted: Range<usize>) -> Vec<f32> {
    let left = Matrix::by_rows(gradient, samples, outputs, outputs).columns_from(wanted.start, wanted.len()).transposed();
    let right = Matrix::by_rows(x, samples, inputs, inputs);
    // SAFETY: `product` writes every number of the block that it is given.
    unsafe { filled_by_blocks(wanted.len(), inputs, block_size(wanted.len(), inputs), |block| product(block, left, right, false)) }
}

/// [`weight_gradient`], used up block by block where it is made: `use_row` gets some numbers of a row of it, and those of `targets`, of the weight's shape, at the same places.
pub(super) fn with_weight_gradient<const N: usize>(
    x: &[f32],
    gradient: &[f32],
    [samples, inputs, outputs]: [usize; 3],
    targets: [&mut [f32]; N],
    use_row: impl Fn([&mut [f32]; N], &[f32]) + Sync,
) {
    let (left, right) = (Matrix::by_rows(gradient, samples, outputs, outputs).transposed(), Matrix::by_rows(x, samples, inputs, inputs));
    let room = || vec![0.0; USED.0.min(outputs) * USED.1.min(inputs)];
    changed_by_blocks(targets, inputs, USED, room, |room, mut targets| {
        let Some(first) = targets.first() else { return };
        let mut made = Block::beside(room, first.rows(), first.columns());
        product_meanwhile(&mut made, left, right, false, |rows, columns| {
            for target in &targets {
                rows.clone().for_each(|row| target.fetch(row, columns.clone()));
            }
        });
        for row in 0..made.rows().len() {
            use_row(targets.each_mut().map(|target| target.row(row)), made.row(row));
        }
    });
}

/// The gradient to the input, `samples x inputs`: every output's gradient times its row of the weight.
pub(super) fn input_gradient(weight: &[f32], gradient: &[f32], [samples, inputs, outputs]: [usize; 3]) -> Vec<f32> {
    let (left, right) = (Matrix::by_rows(gradient, samples, outputs, outputs), Matrix::by_rows(weight, outputs, inputs, inputs));
    // SAFETY: `product` writes every number of the block that it is given.
    unsafe { filled_by_blocks(samples, inputs, block_size(samples, inputs), |block| product(block, left, right, false)) }
}

/// [`input_gradient`], added to what there is of it from elsewhere.
pub(super) fn add_input_gradient(weight: &[f32], gradient: &[f32], [samples, inputs, outputs]: [usize; 3], sum: &mut [f32]) {
    let (left, right) = (Matrix::by_rows(gradient, samples, outputs, outputs), Matrix::by_rows(weight, outputs, inputs, inputs));
    changed_by_blocks([sum], inputs, block_size(samples, inputs), || (), |(), [mut block]| product(&mut block, left, right, true));
}

/// Rows and columns of a product that one task makes: enough columns for whole tiles, enough rows to go over what the task copies, and some eight tasks where that allows.
fn block_size(rows: usize, columns: usize) -> (usize, usize) {
    let width = (columns / 8 / product::TILE * product::TILE).clamp(product::TILE, 768);
    let down = 8_usize.div_ceil(columns.div_ceil(width).max(1));
    (rows.div_ceil(down).next_multiple_of(8).max(64), width)
}

/// The size of nearly equal parts of a length, none longer than `most`.
fn even(length: usize, most: usize) -> usize {
    length.div_ceil(length.div_ceil(most).max(1))
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
            for sizes in [[1, 1, 1], [5, 37, 9], [33, 100, 50], [4, 9001, 3], [3, 20000, 33], [40, 800, 210], [300, 1000, 12], [70, 300, 900]] {
                let [samples, inputs, outputs] = sizes;
                let (x, weight, gradient) = (whole(samples * inputs, 1), whole(outputs * inputs, 2), whole(samples * outputs, 3));
                let by_rows = |numbers, rows, columns| Matrix::by_rows(numbers, rows, columns, columns);
                let (x_rows, weight_rows, gradient_rows) =
                    (by_rows(&x, samples, inputs), by_rows(&weight, outputs, inputs), by_rows(&gradient, samples, outputs));
                assert_eq!(forward(&x, &weight, sizes, |_, _| {}), plain(samples, outputs, x_rows, weight_rows.transposed()));
                let to_weight = plain(outputs, inputs, gradient_rows.transposed(), x_rows);
                assert_eq!(weight_gradient(&x, &gradient, sizes, 0..outputs), to_weight);
                assert_eq!(weight_gradient(&x, &gradient, sizes, outputs / 2..outputs), to_weight[outputs / 2 * inputs..]);
                let mut twice = [weight.clone(), to_weight.clone()];
                let [kept, sums] = twice.each_mut().map(Vec::as_mut_slice);
                with_weight_gradient(&x, &gradient, sizes, [kept, sums], |[kept, sums], row| {
                    assert!(kept.len() == row.len());
                    sums.iter_mut().zip(row).for_each(|(sum, &number)| *sum += number);
                });
                assert!(twice[0] == weight && twice[1].iter().zip(&to_weight).all(|(&twice, &once)| twice == 2.0 * once));
                let to_input = plain(samples, inputs, gradient_rows, weight_rows);
                assert_eq!(input_gradient(&weight, &gradient, sizes), to_input);
                let mut twice = to_input.clone();
                add_input_gradient(&weight, &gradient, sizes, &mut twice);
                assert!(twice.iter().zip(&to_input).all(|(&twice, &once)| twice == 2.0 * once));
            }
        });
    }
}
