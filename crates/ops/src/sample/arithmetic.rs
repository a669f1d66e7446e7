//! Arithmetic on the lanes of a pixel: plain loops, and for `f32` on x86-64 the instructions that they ought to become. The compiler takes a short array apart into
//! single numbers otherwise.

use stn_core::Real;
use stn_core::wide::mul_add;

/// A number whose lanes are computed on at once.
pub(crate) trait Lanes: Real {
    /// `sum + weight * values`.
    #[inline(always)]
    fn add_scaled<const L: usize, const LEVEL: usize>(sum: &mut [Self; L], weight: Self, values: &[Self; L]) {
        plain::add_scaled::<Self, L, LEVEL>(sum, weight, values);
    }

    /// `weight * values`.
    #[inline(always)]
    fn scaled<const L: usize, const LEVEL: usize>(weight: Self, values: &[Self; L]) -> [Self; L] {
        plain::scaled(weight, values)
    }

    /// The sum of products.
    #[inline(always)]
    fn dot<const L: usize, const LEVEL: usize>(a: &[Self; L], b: &[Self; L]) -> Self {
        plain::dot(a, b)
    }

    /// Rows as columns.
    #[inline(always)]
    fn turned(rows: [[Self; 4]; 4]) -> [[Self; 4]; 4] {
        std::array::from_fn(|i| rows.map(|row| row[i]))
    }
}

impl Lanes for f64 {}

#[cfg(not(target_arch = "x86_64"))]
impl Lanes for f32 {}

#[cfg(target_arch = "x86_64")]
impl Lanes for f32 {
    #[inline(always)]
    fn add_scaled<const L: usize, const LEVEL: usize>(sum: &mut [Self; L], weight: Self, values: &[Self; L]) {
        match x86::usable::<L, LEVEL>() {
            // SAFETY: bodies of a level run only where the CPU has its instructions, and L is 4 or 16.
            true => unsafe { x86::add_scaled::<L, LEVEL>(sum.as_mut_ptr(), weight, values.as_ptr()) },
            false => plain::add_scaled::<Self, L, LEVEL>(sum, weight, values),
        }
    }

    #[inline(always)]
    fn scaled<const L: usize, const LEVEL: usize>(weight: Self, values: &[Self; L]) -> [Self; L] {
        if !x86::usable::<L, LEVEL>() {
            return plain::scaled(weight, values);
        }
        let mut product = [0.0; L];
        // SAFETY: the same.
        unsafe { x86::scaled::<L, LEVEL>(product.as_mut_ptr(), weight, values.as_ptr()) };
        product
    }

    #[inline(always)]
    fn dot<const L: usize, const LEVEL: usize>(a: &[Self; L], b: &[Self; L]) -> Self {
        match x86::usable::<L, LEVEL>() {
            // SAFETY: the same.
            true => unsafe { x86::dot::<L, LEVEL>(a.as_ptr(), b.as_ptr()) },
            false => plain::dot(a, b),
        }
    }

    #[inline(always)]
    fn turned(rows: [[Self; 4]; 4]) -> [[Self; 4]; 4] {
        x86::turned(rows)
    }
}

mod plain {
    use super::{Real, mul_add};

    #[inline(always)]
    pub(super) fn add_scaled<T: Real, const L: usize, const LEVEL: usize>(sum: &mut [T; L], weight: T, values: &[T; L]) {
        for (sum, &value) in sum.iter_mut().zip(values) {
            *sum = mul_add::<T, LEVEL>(weight, value, *sum);
        }
    }

    #[inline(always)]
    pub(super) fn scaled<T: Real, const L: usize>(weight: T, values: &[T; L]) -> [T; L] {
        values.map(|value| weight * value)
    }

    /// In halves, as vectors are added up.
    #[inline(always)]
    pub(super) fn dot<T: Real, const L: usize>(a: &[T; L], b: &[T; L]) -> T {
        let mut products = *a;
        products.iter_mut().zip(b).for_each(|(product, &b)| *product *= b);
        let mut width = L;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                products[i] = products[i] + products[i + width];
            }
        }
        products[0]
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use stn_core::wide::{AVX2, AVX512};

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
                    let [low, high] = [0, 8].map(|i| (_mm256_loadu_ps(a.add(i)), _mm256_loadu_ps(b.add(i))));
                    _mm256_add_ps(_mm256_mul_ps(low.0, low.1), _mm256_mul_ps(high.0, high.1))
                };
                _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
            };
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}
