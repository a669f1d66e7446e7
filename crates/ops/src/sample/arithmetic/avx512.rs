//! What the loops that are written in the instructions of AVX-512 share.

use std::arch::asm;
use std::arch::x86_64::*;

use super::x86::add_four;
use super::{WIDE, Wide};

/// A vector as it is, and for the compiler one whole. It would turn squares quarter by quarter, and fetch halves of quads, if it saw what becomes of them; both take
/// more instructions.
#[inline]
#[target_feature(enable = "avx512f")]
pub(in crate::sample) fn whole(mut values: __m512) -> __m512 {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(zmm_reg) values, options(pure, nomem, nostack, preserves_flags)) };
    values
}

/// Squares of four by four turned: see [`Lanes::squares`](super::Lanes::squares).
#[inline]
#[target_feature(enable = "avx512f")]
pub(in crate::sample) fn squares_of([a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
    let (ab_high, cd_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
    [
        whole(_mm512_shuffle_ps::<0b01_00_01_00>(ab, cd)),
        whole(_mm512_shuffle_ps::<0b11_10_11_10>(ab, cd)),
        whole(_mm512_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high)),
        whole(_mm512_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high)),
    ]
}

/// The four numbers at each of four places, so far behind a first one.
///
/// # Safety
///
/// They are there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(in crate::sample) unsafe fn quarters(first: *const f32, [a, b, c, d]: [usize; 4]) -> __m512 {
    // SAFETY: as the caller promises.
    unsafe {
        let two = _mm512_insertf32x4::<1>(_mm512_castps128_ps512(_mm_loadu_ps(first.add(a))), _mm_loadu_ps(first.add(b)));
        _mm512_insertf32x4::<3>(_mm512_insertf32x4::<2>(two, _mm_loadu_ps(first.add(c))), _mm_loadu_ps(first.add(d)))
    }
}

/// Adds to the quads of four pixels, so far behind a corner.
///
/// # Safety
///
/// They are the source's.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(in crate::sample) unsafe fn add_quads(corner: *mut f32, [a, b, c, d]: [usize; 4], values: __m512) {
    let mut quads = Quads([0.0; WIDE]);
    let from = quads.0.as_mut_ptr();
    // SAFETY: as the caller promises. The second is no instruction at all, but says that memory may be read there: the compiler would otherwise take the vector apart in
    // registers, on the one port that does so, while there is room on those that load.
    unsafe {
        _mm512_store_ps(from, values);
        asm!("/* {0} */", in(reg) from, options(nostack, preserves_flags));
        add_four(corner.add(a), _mm_load_ps(from));
        add_four(corner.add(b), _mm_load_ps(from.add(4)));
        add_four(corner.add(c), _mm_load_ps(from.add(8)));
        add_four(corner.add(d), _mm_load_ps(from.add(12)));
    }
}

/// A vector in memory.
#[repr(align(64))]
struct Quads([f32; WIDE]);

/// The first of sixteen pixels, where so many are left.
pub(in crate::sample) fn left(count: usize) -> __mmask16 {
    ((1_u32 << count.min(WIDE)) - 1) as __mmask16
}

/// `a` and `b` with their weights.
#[inline]
#[target_feature(enable = "avx512f")]
pub(in crate::sample) fn weighted(a: __m512, b: __m512, weight_a: __m512, weight_b: __m512) -> __m512 {
    _mm512_fmadd_ps(weight_b, b, _mm512_mul_ps(weight_a, a))
}

/// Every fourth of sixteen places, counted from `G`.
#[inline(always)]
pub(in crate::sample) fn fourths<const G: usize>(places: &[u32; WIDE]) -> [usize; 4] {
    // SAFETY: a reference may be read. Each is read by itself: the compiler would otherwise load them as a vector, compute with that, and take it apart again.
    let at = |i: usize| unsafe { std::ptr::read_volatile(&places[G + i]) } as usize;
    [at(0), at(4), at(8), at(12)]
}

/// [`Lanes::put_square`](super::Lanes::put_square). What is turned is every fourth row, so that whole columns come of it; each row is read at once, for sixteen of them may
/// share a place in the first cache.
///
/// # Safety
///
/// See [`Lanes::put_square`](super::Lanes::put_square).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn put_square(from: *const f32, stride: usize, to: *mut f32) {
    // SAFETY: as the caller promises.
    unsafe {
        macro_rules! every_fourth_row {
            ($first:literal) => {{
                let rows = [0, 4 * stride, 8 * stride, 12 * stride];
                let first = from.add($first * stride);
                let (a, b) = (whole(quarters(first, rows)), whole(quarters(first.add(4), rows)));
                [a, b, whole(quarters(first.add(8), rows)), whole(quarters(first.add(12), rows))]
            }};
        }
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (every_fourth_row!(0), every_fourth_row!(1));
        let ([c0, c1, c2, c3], [d0, d1, d2, d3]) = (every_fourth_row!(2), every_fourth_row!(3));
        put_four(to, squares_of([a0, b0, c0, d0]));
        put_four(to.add(4 * WIDE), squares_of([a1, b1, c1, d1]));
        put_four(to.add(8 * WIDE), squares_of([a2, b2, c2, d2]));
        put_four(to.add(12 * WIDE), squares_of([a3, b3, c3, d3]));
    }
}

/// Stores four vectors, one after the other.
///
/// # Safety
///
/// There is room for them.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn put_four(to: *mut f32, [a, b, c, d]: [__m512; 4]) {
    // SAFETY: as the caller promises.
    unsafe {
        _mm512_storeu_ps(to, a);
        _mm512_storeu_ps(to.add(WIDE), b);
        _mm512_storeu_ps(to.add(2 * WIDE), c);
        _mm512_storeu_ps(to.add(3 * WIDE), d);
    }
}

/// # Safety
///
/// The CPU has the instructions of AVX-512, and both pointers stand for sixteen cells of four numbers, and the one before these.
#[inline(always)]
pub(super) unsafe fn fold(cells: *const f32, above: *const f32) -> Wide<f32> {
    let mut sums = [0.0; WIDE];
    // SAFETY: as the caller promises.
    unsafe {
        // Of each cell two sums, beside each other; those of cells 4 apart in a quarter of a vector.
        let (first, second) = (eight_folded(cells, above), eight_folded(cells.add(32), above.add(32)));
        let order = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 16, 20, 24, 28, 18, 22, 26, 30);
        let own = _mm512_permutex2var_ps(first, order, second);
        let for_next = _mm512_castps_si512(_mm512_permutex2var_ps(first, _mm512_add_epi32(order, _mm512_set1_epi32(1)), second));
        let before = _mm512_castps_si512(_mm512_set1_ps(*cells.sub(3) + *above.sub(1)));
        let of_previous = _mm512_castsi512_ps(_mm512_alignr_epi32::<15>(for_next, before));
        _mm512_storeu_ps(sums.as_mut_ptr(), _mm512_add_ps(own, of_previous));
    }
    sums
}

/// The first half of eight cells and the second of those above, added.
///
/// # Safety
///
/// See [`fold`].
#[inline(always)]
unsafe fn eight_folded(cells: *const f32, above: *const f32) -> __m512 {
    // SAFETY: as the caller promises.
    unsafe {
        let (a, b) = (_mm512_loadu_pd(cells.cast()), _mm512_loadu_pd(cells.add(16).cast()));
        let (c, d) = (_mm512_loadu_pd(above.cast()), _mm512_loadu_pd(above.add(16).cast()));
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)))
    }
}
