//! The arithmetic of lanes in the instructions of x86-64, for `f32`. The loops call it through [`Lanes`](super::Lanes).
//!
//! No closures here: one that the compiler does not inline is compiled without the instructions, and each of them becomes a call.

use std::arch::x86_64::*;

use stn_core::wide::{AVX2, AVX512};

use super::avx512::{self, add_quads, quarters, squares_of, whole};
use super::{WIDE, Wide};

/// Whether the functions below serve so many lanes at a level.
#[inline(always)]
pub(super) const fn usable<const L: usize, const LEVEL: usize>() -> bool {
    LEVEL >= AVX2 && (L == 4 || L == 16)
}

/// Rows as columns.
#[inline(always)]
pub(super) fn turned(mut rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    let at = rows.each_mut().map(|row| row.as_mut_ptr());
    // SAFETY: every x86-64 CPU has SSE, and the pointers stand for four numbers each.
    unsafe {
        let [mut a, mut b, mut c, mut d] = at.map(|row| _mm_loadu_ps(row));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (row, values) in at.into_iter().zip([a, b, c, d]) {
            _mm_storeu_ps(row, values);
        }
    }
    rows
}

/// # Safety
///
/// The CPU has the instructions of the level, the pointers stand for `L` numbers, and L and the level are [`usable`].
#[inline(always)]
pub(super) unsafe fn add_scaled<const L: usize, const LEVEL: usize>(sum: *mut f32, weight: f32, values: *const f32) {
    // SAFETY: as the caller promises.
    unsafe {
        if L == 4 {
            _mm_storeu_ps(sum, _mm_fmadd_ps(_mm_set1_ps(weight), _mm_loadu_ps(values), _mm_loadu_ps(sum)));
        } else if LEVEL == AVX512 {
            _mm512_storeu_ps(sum, _mm512_fmadd_ps(_mm512_set1_ps(weight), _mm512_loadu_ps(values), _mm512_loadu_ps(sum)));
        } else {
            let weight = _mm256_set1_ps(weight);
            _mm256_storeu_ps(sum, _mm256_fmadd_ps(weight, _mm256_loadu_ps(values), _mm256_loadu_ps(sum)));
            let (sum, values) = (sum.add(8), values.add(8));
            _mm256_storeu_ps(sum, _mm256_fmadd_ps(weight, _mm256_loadu_ps(values), _mm256_loadu_ps(sum)));
        }
    }
}

/// # Safety
///
/// The CPU has the instructions of the level, AVX2 or better, and the pointers stand for [`WIDE`] numbers.
#[inline(always)]
pub(super) unsafe fn times<const LEVEL: usize>(product: *mut f32, a: *const f32, b: *const f32) {
    // SAFETY: as the caller promises.
    unsafe {
        if LEVEL == AVX512 {
            return _mm512_storeu_ps(product, _mm512_mul_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b)));
        }
        for i in [0, 8] {
            _mm256_storeu_ps(product.add(i), _mm256_mul_ps(_mm256_loadu_ps(a.add(i)), _mm256_loadu_ps(b.add(i))));
        }
    }
}

/// # Safety
///
/// See [`times`].
#[inline(always)]
pub(super) unsafe fn add_times<const LEVEL: usize>(sum: *mut f32, a: *const f32, b: *const f32) {
    // SAFETY: as the caller promises.
    unsafe {
        if LEVEL == AVX512 {
            return _mm512_storeu_ps(sum, _mm512_fmadd_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b), _mm512_loadu_ps(sum)));
        }
        for i in [0, 8] {
            let (sum, a, b) = (sum.add(i), a.add(i), b.add(i));
            _mm256_storeu_ps(sum, _mm256_fmadd_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), _mm256_loadu_ps(sum)));
        }
    }
}

/// # Safety
///
/// See [`times`].
#[inline(always)]
pub(super) unsafe fn add_product<const LEVEL: usize>(sum: *mut f32, gradient: *const f32, factor: *const f32) {
    // SAFETY: as the caller promises.
    unsafe {
        if LEVEL == AVX512 {
            let (gradient, held) = (_mm512_loadu_ps(gradient), _mm512_loadu_ps(sum));
            let passing = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(gradient, _mm512_setzero_ps());
            return _mm512_storeu_ps(sum, _mm512_mask3_fmadd_ps(gradient, _mm512_loadu_ps(factor), held, passing));
        }
        for i in [0, 8] {
            let (gradient, sum) = (_mm256_loadu_ps(gradient.add(i)), sum.add(i));
            let passing = _mm256_cmp_ps::<_CMP_NEQ_UQ>(gradient, _mm256_setzero_ps());
            let factor = _mm256_and_ps(passing, _mm256_loadu_ps(factor.add(i)));
            _mm256_storeu_ps(sum, _mm256_fmadd_ps(gradient, factor, _mm256_loadu_ps(sum)));
        }
    }
}

/// # Safety
///
/// The CPU has the instructions of the level.
#[inline(always)]
pub(super) unsafe fn squares<const LEVEL: usize>(rows: &[Wide<f32>; 4]) -> [Wide<f32>; 4] {
    let mut squares = [[0.0; WIDE]; 4];
    let [a, b, c, d] = rows.each_ref().map(|row| row.as_ptr());
    // SAFETY: the caller promises the instructions, and there are sixteen numbers of each.
    unsafe {
        if LEVEL == AVX512 {
            let [to_a, to_b, to_c, to_d] = squares.each_mut().map(|row| row.as_mut_ptr());
            let [a, b, c, d] = squares_of([_mm512_loadu_ps(a), _mm512_loadu_ps(b), _mm512_loadu_ps(c), _mm512_loadu_ps(d)]);
            _mm512_storeu_ps(to_a, a);
            _mm512_storeu_ps(to_b, b);
            _mm512_storeu_ps(to_c, c);
            _mm512_storeu_ps(to_d, d);
            return squares;
        }
        for i in [0, 4, 8, 12] {
            let (mut a, mut b) = (_mm_loadu_ps(a.add(i)), _mm_loadu_ps(b.add(i)));
            let (mut c, mut d) = (_mm_loadu_ps(c.add(i)), _mm_loadu_ps(d.add(i)));
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            _mm_storeu_ps(squares[0].as_mut_ptr().add(i), a);
            _mm_storeu_ps(squares[1].as_mut_ptr().add(i), b);
            _mm_storeu_ps(squares[2].as_mut_ptr().add(i), c);
            _mm_storeu_ps(squares[3].as_mut_ptr().add(i), d);
        }
    }
    squares
}

/// # Safety
///
/// The CPU has the instructions of the level, AVX2 or better.
#[inline(always)]
pub(super) unsafe fn spread<const PLACE: usize, const LEVEL: usize>(values: &Wide<f32>) -> Wide<f32> {
    // SAFETY: as the caller promises.
    unsafe {
        match PLACE {
            0 => spread_place::<0b00_00_00_00, LEVEL>(values),
            1 => spread_place::<0b01_01_01_01, LEVEL>(values),
            2 => spread_place::<0b10_10_10_10, LEVEL>(values),
            _ => spread_place::<0b11_11_11_11, LEVEL>(values),
        }
    }
}

/// # Safety
///
/// See [`spread`].
#[inline(always)]
unsafe fn spread_place<const ORDER: i32, const LEVEL: usize>(values: &Wide<f32>) -> Wide<f32> {
    let mut spread = [0.0; WIDE];
    let (from, to) = (values.as_ptr(), spread.as_mut_ptr());
    // SAFETY: as the caller promises.
    unsafe {
        if LEVEL == AVX512 {
            _mm512_storeu_ps(to, _mm512_permute_ps::<ORDER>(_mm512_loadu_ps(from)));
        } else {
            _mm256_storeu_ps(to, _mm256_permute_ps::<ORDER>(_mm256_loadu_ps(from)));
            _mm256_storeu_ps(to.add(8), _mm256_permute_ps::<ORDER>(_mm256_loadu_ps(from.add(8))));
        }
    }
    spread
}

/// # Safety
///
/// The CPU has the instructions of the level, AVX2 or better.
#[inline(always)]
pub(super) unsafe fn plus<const LEVEL: usize>(a: &Wide<f32>, b: &Wide<f32>) -> Wide<f32> {
    let mut sum = [0.0; WIDE];
    let (to, a, b) = (sum.as_mut_ptr(), a.as_ptr(), b.as_ptr());
    // SAFETY: as the caller promises.
    unsafe {
        if LEVEL == AVX512 {
            _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b)));
        } else {
            _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b)));
            _mm256_storeu_ps(to.add(8), _mm256_add_ps(_mm256_loadu_ps(a.add(8)), _mm256_loadu_ps(b.add(8))));
        }
    }
    sum
}

/// # Safety
///
/// The CPU has the instructions of the level, and `source` stands for the four numbers from each place on.
#[inline(always)]
pub(super) unsafe fn fetch_quads<const STEP: usize, const LEVEL: usize>(source: *const f32, places: [u32; 4]) -> Wide<f32> {
    let mut quads = [0.0; WIDE];
    let to = quads.as_mut_ptr();
    let [a, b, c, d] = [STEP * places[0] as usize, STEP * places[1] as usize, STEP * places[2] as usize, STEP * places[3] as usize];
    // SAFETY: as the caller promises.
    unsafe {
        if LEVEL == AVX512 {
            let all = quarters(source, [a, b, c, d]);
            _mm512_storeu_ps(to, if STEP == 1 { whole(all) } else { all });
        } else {
            _mm_storeu_ps(to, _mm_loadu_ps(source.add(a)));
            _mm_storeu_ps(to.add(4), _mm_loadu_ps(source.add(b)));
            _mm_storeu_ps(to.add(8), _mm_loadu_ps(source.add(c)));
            _mm_storeu_ps(to.add(12), _mm_loadu_ps(source.add(d)));
        }
    }
    quads
}

/// # Safety
///
/// The CPU has the instructions of the level, and there are four numbers at four times each place.
#[inline(always)]
pub(super) unsafe fn scatter_quads<const LEVEL: usize>(sums: *mut f32, places: [u32; 4], values: &Wide<f32>) {
    let from = values.as_ptr();
    let [a, b, c, d] = [4 * places[0] as usize, 4 * places[1] as usize, 4 * places[2] as usize, 4 * places[3] as usize];
    // SAFETY: as the caller promises.
    unsafe {
        if LEVEL == AVX512 {
            return add_quads(sums, [a, b, c, d], _mm512_loadu_ps(from));
        }
        add_four(sums.add(a), _mm_loadu_ps(from));
        add_four(sums.add(b), _mm_loadu_ps(from.add(4)));
        add_four(sums.add(c), _mm_loadu_ps(from.add(8)));
        add_four(sums.add(d), _mm_loadu_ps(from.add(12)));
    }
}

/// Adds to a quad.
///
/// # Safety
///
/// There is one.
#[inline(always)]
pub(super) unsafe fn add_four(quad: *mut f32, values: __m128) {
    // SAFETY: as the caller promises.
    unsafe { _mm_storeu_ps(quad, _mm_add_ps(_mm_loadu_ps(quad), values)) };
}

/// # Safety
///
/// The CPU has the instructions of the level, and `to` stands for the sixteen columns, `stride` apart.
#[inline(always)]
pub(super) unsafe fn put_columns<const LEVEL: usize>(rows: [&Wide<f32>; 4], to: *mut f32, stride: usize) {
    // SAFETY: as the caller promises.
    unsafe {
        if LEVEL == AVX512 {
            let load = rows.map(|row| row.as_ptr());
            let [a, b, c, d] = squares_of([_mm512_loadu_ps(load[0]), _mm512_loadu_ps(load[1]), _mm512_loadu_ps(load[2]), _mm512_loadu_ps(load[3])]);
            put_quarters(to, 4 * stride, a);
            put_quarters(to.add(stride), 4 * stride, b);
            put_quarters(to.add(2 * stride), 4 * stride, c);
            put_quarters(to.add(3 * stride), 4 * stride, d);
        } else {
            for i in [0, 4, 8, 12] {
                let (mut a, mut b) = (_mm_loadu_ps(rows[0].as_ptr().add(i)), _mm_loadu_ps(rows[1].as_ptr().add(i)));
                let (mut c, mut d) = (_mm_loadu_ps(rows[2].as_ptr().add(i)), _mm_loadu_ps(rows[3].as_ptr().add(i)));
                _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
                _mm_storeu_ps(to.add(i * stride), a);
                _mm_storeu_ps(to.add((i + 1) * stride), b);
                _mm_storeu_ps(to.add((i + 2) * stride), c);
                _mm_storeu_ps(to.add((i + 3) * stride), d);
            }
        }
    }
}

/// See [`Lanes::put_square`](super::Lanes::put_square).
///
/// # Safety
///
/// The CPU has the instructions of the level, and the pointers stand for sixteen times sixteen numbers, `from`'s rows being `stride` apart.
#[inline(always)]
pub(super) unsafe fn put_square<const LEVEL: usize>(from: *const f32, stride: usize, to: *mut f32) {
    // SAFETY: as the caller promises.
    unsafe {
        if LEVEL == AVX512 {
            return avx512::put_square(from, stride, to);
        }
        for first in [0, 4, 8, 12] {
            let row = |r: usize| &*from.add((first + r) * stride).cast();
            put_columns::<LEVEL>([row(0), row(1), row(2), row(3)], to.add(first), WIDE);
        }
    }
}

/// Stores the quarters of a vector `stride` numbers apart.
///
/// # Safety
///
/// See [`put_columns`].
#[inline(always)]
unsafe fn put_quarters(to: *mut f32, stride: usize, values: __m512) {
    // SAFETY: as the caller promises.
    unsafe {
        _mm_storeu_ps(to, _mm512_castps512_ps128(values));
        _mm_storeu_ps(to.add(stride), _mm512_extractf32x4_ps::<1>(values));
        _mm_storeu_ps(to.add(2 * stride), _mm512_extractf32x4_ps::<2>(values));
        _mm_storeu_ps(to.add(3 * stride), _mm512_extractf32x4_ps::<3>(values));
    }
}

/// # Safety
///
/// The CPU has the instructions of the level, and `from` stands for the sixteen columns, `stride` apart.
#[inline(always)]
pub(super) unsafe fn take_columns<const LEVEL: usize>(from: *const f32, stride: usize) -> [Wide<f32>; 4] {
    // SAFETY: as the caller promises.
    unsafe {
        let four = |first: u32| [first, first + 4, first + 8, first + 12].map(|i| i * stride as u32);
        squares::<LEVEL>(&[
            fetch_quads::<1, LEVEL>(from, four(0)),
            fetch_quads::<1, LEVEL>(from, four(1)),
            fetch_quads::<1, LEVEL>(from, four(2)),
            fetch_quads::<1, LEVEL>(from, four(3)),
        ])
    }
}

/// # Safety
///
/// See [`add_scaled`].
#[inline(always)]
pub(super) unsafe fn scaled<const L: usize, const LEVEL: usize>(product: *mut f32, weight: f32, values: *const f32) {
    // SAFETY: as the caller promises.
    unsafe {
        if L == 4 {
            _mm_storeu_ps(product, _mm_mul_ps(_mm_set1_ps(weight), _mm_loadu_ps(values)));
        } else if LEVEL == AVX512 {
            _mm512_storeu_ps(product, _mm512_mul_ps(_mm512_set1_ps(weight), _mm512_loadu_ps(values)));
        } else {
            let weight = _mm256_set1_ps(weight);
            _mm256_storeu_ps(product, _mm256_mul_ps(weight, _mm256_loadu_ps(values)));
            _mm256_storeu_ps(product.add(8), _mm256_mul_ps(weight, _mm256_loadu_ps(values.add(8))));
        }
    }
}

/// # Safety
///
/// See [`add_scaled`].
#[inline(always)]
pub(super) unsafe fn dot<const L: usize, const LEVEL: usize>(a: *const f32, b: *const f32) -> f32 {
    // SAFETY: as the caller promises.
    unsafe {
        let four = if L == 4 {
            _mm_mul_ps(_mm_loadu_ps(a), _mm_loadu_ps(b))
        } else {
            let eight = if LEVEL == AVX512 {
                let product = _mm512_mul_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b));
                _mm256_add_ps(_mm512_castps512_ps256(product), _mm512_extractf32x8_ps::<1>(product))
            } else {
                let low = _mm256_mul_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b));
                _mm256_add_ps(low, _mm256_mul_ps(_mm256_loadu_ps(a.add(8)), _mm256_loadu_ps(b.add(8))))
            };
            _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
        };
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}
