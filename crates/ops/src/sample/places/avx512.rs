//! The places of a [linear](stn_core::Sampling::is_linear) kernel in an image with zeros around it, in the instructions of AVX-512: both axes in one pass. What is read is what
//! the kernel reads. Coordinates far outside are brought to the last that reads nothing but zeros, so that their weights may be others.

use std::arch::x86_64::*;

use stn_core::taps::SourceAxis;

use super::Places;
use crate::sample::arithmetic::WIDE;
use crate::sample::packed::PackedAxis;
use crate::sample::warp::{Rows, TILE};

/// [`Places::place`] but for what is the same everywhere: the slopes of the weights and the derivatives of the coordinates.
///
/// # Safety
///
/// The CPU has AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(crate) unsafe fn place_linear(places: &mut Places<'_, f32>, rows: &Rows<f32>, pixels: usize) {
    let (x, y) = (Axis::new(&places.axes[0], &places.packing.axes[0]), Axis::new(&places.axes[1], &places.packing.axes[1]));
    let row = places.packing.axes[1].stride as i32;
    let (rows_of, origin) = (_mm512_set1_epi32(row), _mm512_set1_epi32(x.first + y.first * row));
    let [x_weights, y_weights, _] = &mut places.weights;
    let [left, right] = x_weights.first_chunk_mut().expect("a linear kernel has two taps");
    let [above, below] = y_weights.first_chunk_mut().expect("a linear kernel has two taps");
    let (one, mut highest) = (_mm512_set1_ps(1.0), _mm512_setzero_si512());
    for start in (0..pixels.min(TILE)).step_by(WIDE) {
        let of = start..start + WIDE;
        // SAFETY: a tile has so many pixels.
        unsafe {
            let (x, to_right) = x.at(_mm512_loadu_ps(rows[0][of.clone()].as_ptr()));
            let (y, to_below) = y.at(_mm512_loadu_ps(rows[1][of.clone()].as_ptr()));
            let first = _mm512_sub_epi32(_mm512_add_epi32(x, _mm512_mullo_epi32(y, rows_of)), origin);
            highest = _mm512_max_epi32(highest, first);
            _mm512_storeu_si512(places.first[of.clone()].as_mut_ptr().cast(), first);
            _mm512_storeu_ps(left[of.clone()].as_mut_ptr(), _mm512_sub_ps(one, to_right));
            _mm512_storeu_ps(right[of.clone()].as_mut_ptr(), to_right);
            _mm512_storeu_ps(above[of.clone()].as_mut_ptr(), _mm512_sub_ps(one, to_below));
            _mm512_storeu_ps(below[of].as_mut_ptr(), to_below);
        }
    }
    places.highest = _mm512_reduce_max_epi32(highest) as u32;
}

/// An axis of the source.
struct Axis {
    /// What the normalised coordinate is multiplied by.
    stretch: __m512,
    align_corners: bool,
    /// The least and the greatest coordinate in pixels: from there on nothing but zeros is read.
    low: __m512,
    high: __m512,
    /// The first pixel that is packed.
    first: i32,
}

impl Axis {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn new(source: &SourceAxis, packed: &PackedAxis) -> Self {
        let (first, last) = packed.ends();
        Self {
            stretch: _mm512_set1_ps(source.size as f32 - if source.align_corners { 1.0 } else { 0.0 }),
            align_corners: source.align_corners,
            low: _mm512_set1_ps(first as f32),
            high: _mm512_set1_ps(last as f32),
            first,
        }
    }

    /// The first taps of sixteen normalised coordinates, and how far each coordinate is from its own.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn at(&self, coordinates: __m512) -> (__m512i, __m512) {
        let (one, half) = (_mm512_set1_ps(1.0), _mm512_set1_ps(0.5));
        let from_first = _mm512_add_ps(coordinates, one);
        // In the order of the general loops.
        let x = match self.align_corners {
            true => _mm512_mul_ps(_mm512_mul_ps(from_first, half), self.stretch),
            false => _mm512_mul_ps(_mm512_sub_ps(_mm512_mul_ps(from_first, self.stretch), one), half),
        };
        // Of NaN and a number these instructions give the second: it becomes the least.
        let x = _mm512_min_ps(_mm512_max_ps(x, self.low), self.high);
        let first = _mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(x);
        (first, _mm512_sub_ps(x, _mm512_cvtepi32_ps(first)))
    }
}
