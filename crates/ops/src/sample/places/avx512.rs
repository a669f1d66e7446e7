//! The places of a [linear](stn_core::Sampling::is_linear) kernel in an image with zeros around it, in the instructions of AVX-512: both axes in one pass. The numbers are
//! those that the kernel gives.

use std::arch::x86_64::*;

use stn_core::taps::{FAR, HUGE, SourceAxis};

use super::Places;
use crate::sample::arithmetic::WIDE;
use crate::sample::packed::PackedAxis;
use crate::sample::warp::{Rows, TILE};

/// [`Places::place`] but for the slopes of the weights, which are the same everywhere.
///
/// # Safety
///
/// The CPU has AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(crate) unsafe fn place_linear(places: &mut Places<'_, f32>, rows: &Rows<f32>, pixels: usize, slopes: bool) {
    let [x, y] = [0, 1].map(|axis| Axis::new(&places.axes[axis], &places.packing.axes[axis]));
    let ([x_weights, y_weights, _], [x_jacobian, y_jacobian, ..]) = (&mut places.weights, &mut places.jacobian);
    let ([left, right], [above, below]) = (x_weights.pair_mut(), y_weights.pair_mut());
    let mut highest = _mm512_setzero_si512();
    for start in (0..pixels.min(TILE)).step_by(WIDE) {
        let of = start..start + WIDE;
        // SAFETY: a tile has so many pixels.
        unsafe {
            let (at_x, at_y) = (x.at(_mm512_loadu_ps(rows[0][of.clone()].as_ptr())), y.at(_mm512_loadu_ps(rows[1][of.clone()].as_ptr())));
            let first = _mm512_add_epi32(at_x.place, at_y.place);
            highest = _mm512_max_epi32(highest, first);
            _mm512_storeu_si512(places.first[of.clone()].as_mut_ptr().cast(), first);
            _mm512_storeu_ps(left[of.clone()].as_mut_ptr(), _mm512_sub_ps(_mm512_set1_ps(1.0), at_x.beyond));
            _mm512_storeu_ps(right[of.clone()].as_mut_ptr(), at_x.beyond);
            _mm512_storeu_ps(above[of.clone()].as_mut_ptr(), _mm512_sub_ps(_mm512_set1_ps(1.0), at_y.beyond));
            _mm512_storeu_ps(below[of.clone()].as_mut_ptr(), at_y.beyond);
            if slopes {
                _mm512_storeu_ps(x_jacobian[of.clone()].as_mut_ptr(), at_x.slope);
                _mm512_storeu_ps(y_jacobian[of].as_mut_ptr(), at_y.slope);
            }
        }
    }
    places.highest = _mm512_reduce_max_epi32(highest) as u32;
}

/// An axis of the source and of what it is packed in.
struct Axis {
    /// What the normalised coordinate is multiplied by.
    stretch: __m512,
    /// The derivative of the coordinate in pixels with respect to the normalised one.
    scale: __m512,
    /// The first taps, in pixels, that lie the least and the most far out.
    low: __m512i,
    high: __m512i,
    stride: __m512i,
    align_corners: bool,
}

/// Sixteen pixels on an axis.
struct At {
    /// How far along the packed source they lie.
    place: __m512i,
    /// How far each is from its first tap.
    beyond: __m512,
    /// The derivative with respect to the normalised coordinate.
    slope: __m512,
}

impl Axis {
    #[target_feature(enable = "avx512f")]
    fn new(source: &SourceAxis, packed: &PackedAxis) -> Self {
        let length = source.size as f32;
        let (low, high) = packed.ends();
        Self {
            stretch: _mm512_set1_ps(if source.align_corners { length - 1.0 } else { length }),
            scale: _mm512_set1_ps(if source.align_corners { (length - 1.0) * 0.5 } else { length * 0.5 }),
            low: _mm512_set1_epi32(low),
            high: _mm512_set1_epi32(high),
            stride: _mm512_set1_epi32(packed.stride as i32),
            align_corners: source.align_corners,
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn at(&self, coordinates: __m512) -> At {
        let (one, half) = (_mm512_set1_ps(1.0), _mm512_set1_ps(0.5));
        let from_first = _mm512_add_ps(coordinates, one);
        // In the order of the general loops.
        let x = match self.align_corners {
            true => _mm512_mul_ps(_mm512_mul_ps(from_first, half), self.stretch),
            false => _mm512_mul_ps(_mm512_sub_ps(_mm512_mul_ps(from_first, self.stretch), one), half),
        };
        let near = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_abs_ps(x), _mm512_set1_ps(HUGE as f32));
        let x = _mm512_mask_blend_ps(near, _mm512_set1_ps(-FAR as f32), x);
        let below = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(x);
        let first = _mm512_min_epi32(_mm512_max_epi32(_mm512_cvttps_epi32(below), self.low), self.high);
        At {
            place: _mm512_mullo_epi32(_mm512_sub_epi32(first, self.low), self.stride),
            beyond: _mm512_sub_ps(x, below),
            slope: _mm512_maskz_mov_ps(near, self.scale),
        }
    }
}
