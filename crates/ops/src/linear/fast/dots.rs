//! Scalar products of rows of the weight with samples, each summed in the lanes of one vector.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::{MOST_LANES, even};
use crate::cpu::{arch, with_scratch};
use crate::fresh::Block;

/// Inputs of some rows of the weight that stay in the first cache while all samples go over them.
const NEAR: usize = 1 << 10;

/// The two factors, both along the inputs.
#[derive(Clone, Copy)]
pub(super) struct Factors<'a> {
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub inputs: usize,
}

/// Stores the scalar products over a range of the inputs: of some rows of the weight, the block's columns, with all samples, its rows.
pub(super) fn dots(factors: Factors, range: Range<usize>, block: &mut Block<f32>) {
    let Factors { x, weight, inputs } = factors;
    let (samples, outputs) = (block.rows().len(), block.columns());
    assert!(range.end <= inputs && samples * inputs <= x.len() && outputs.end * inputs <= weight.len(), "the factors");
    let several = if range.len() > NEAR { outputs.len() * samples * MOST_LANES } else { 0 };
    with_scratch([several], |[kept]| arch().dispatch(Dots { factors, range, kept, block }));
}

struct Dots<'a, 'b> {
    factors: Factors<'a>,
    range: Range<usize>,
    /// The sums in their lanes, from one part of the range to the next.
    kept: &'a mut [f32],
    block: &'a mut Block<'b, f32>,
}

impl WithSimd for Dots<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { factors, range, kept, block } = self;
        let (samples, outputs) = (block.rows().len(), block.columns().len());
        let (height, width) = (even(outputs, if S::REGISTER_COUNT >= 32 { 6 } else { 3 }).max(1), even(samples, 4).max(1));
        // Once for an empty range, whose sums are zero.
        for part in 0..range.len().div_ceil(NEAR).max(1) {
            let first = range.start + part * NEAR;
            let last = range.end.min(first + NEAR);
            for output in (0..outputs).step_by(height) {
                for sample in (0..samples).step_by(width) {
                    let (m, n) = (height.min(outputs - output), width.min(samples - sample));
                    let start = ((output * samples + sample * m) * S::F32_LANES).min(kept.len());
                    let tile =
                        Tile { factors, depths: first..last, begins: part == 0, ends: last == range.end, kept: &mut kept[start..], block, output, sample };
                    tile.run(simd, m, n);
                }
            }
        }
    }
}

struct Tile<'a, 'b> {
    factors: Factors<'a>,
    depths: Range<usize>,
    /// Whether these are the first inputs, and the last.
    begins: bool,
    ends: bool,
    /// This tile's sums.
    kept: &'a mut [f32],
    block: &'a mut Block<'b, f32>,
    /// The first output and sample, counted from the block's.
    output: usize,
    sample: usize,
}

impl Tile<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S, outputs: usize, samples: usize) {
        macro_rules! by_size {
            ($($m:literal),*) => {
                match (outputs, samples) {
                    $(($m, 1) => simd.vectorize(Sized::<$m, 1>(self)),
                    ($m, 2) => simd.vectorize(Sized::<$m, 2>(self)),
                    ($m, 3) => simd.vectorize(Sized::<$m, 3>(self)),
                    ($m, 4) => simd.vectorize(Sized::<$m, 4>(self)),)*
                    _ => unreachable!("no tile is larger"),
                }
            };
        }
        by_size!(1, 2, 3, 4, 5, 6);
    }
}

/// M rows of the weight times N samples.
struct Sized<'a, 'b, const M: usize, const N: usize>(Tile<'a, 'b>);

impl<const M: usize, const N: usize> WithSimd for Sized<'_, '_, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tile { factors: Factors { x, weight, inputs }, depths, begins, ends, kept, block, output, sample } = self.0;
        let mut weights = [&weight[..0]; M];
        for (i, weights) in weights.iter_mut().enumerate() {
            *weights = &weight[(block.columns().start + output + i) * inputs..][depths.clone()];
        }
        let mut samples = [&x[..0]; N];
        for (j, samples) in samples.iter_mut().enumerate() {
            *samples = &x[(sample + j) * inputs..][depths.clone()];
        }
        let (lanes, length) = (S::F32_LANES, depths.len());
        let whole = length - length % lanes;
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        // Short loops over arrays, here and for the sums' copy below: what is not unrolled would keep the sums in memory throughout.
        if !begins {
            let kept = &S::as_simd_f32s(kept).0[..M * N];
            for (i, sums) in sums.iter_mut().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = kept[i * N + j];
                }
            }
        }
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
        let mut summed = [[values[0]; N]; M];
        for (summed, sums) in summed.iter_mut().zip(&sums) {
            for (summed, &sum) in summed.iter_mut().zip(sums) {
                *summed = sum;
            }
        }
        if !ends {
            S::as_mut_simd_f32s(kept).0[..M * N].copy_from_slice(summed.as_flattened());
            return;
        }
        for (i, sums) in summed.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                let rest = weights[i][whole..].iter().zip(&samples[j][whole..]).fold(0.0, |sum, (w, x)| sum + w * x);
                block.row(sample + j)[output + i] = simd.reduce_sum_f32s(sum) + rest;
            }
        }
    }
}
