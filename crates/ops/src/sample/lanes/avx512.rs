//! The loops of [`lanes`](super) for sixteen lanes and two taps on an axis of an image, in the instructions of AVX-512: the sums over the channels of sixteen pixels are
//! taken together. All sums have the order of the general loops.

use std::arch::x86_64::*;

use crate::sample::arithmetic::WIDE;
use crate::sample::arithmetic::avx512::weighted;
use crate::sample::places::Places;
use crate::sample::warp::{Rows, TILE};

/// [`read`](super::read).
///
/// # Safety
///
/// The CPU has AVX-512, there are two taps on x and y and one on z, of weight one, and they lie within the source.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(crate) unsafe fn read(places: &Places<'_, f32>, source: &[[f32; WIDE]], values: &mut [[f32; WIDE]]) {
    let taps = Taps::new(places, source.as_ptr());
    for (pixel, value) in values.iter_mut().enumerate().take(TILE) {
        let [x, x_right, y, y_below] = taps.weights.map(|weights| _mm512_set1_ps(weights[pixel]));
        // SAFETY: as the caller promises.
        unsafe {
            let [a, b, c, d] = taps.at(pixel).map(|tap| _mm512_loadu_ps(tap));
            _mm512_storeu_ps(value.as_mut_ptr(), weighted(weighted(a, b, x, x_right), weighted(c, d, x, x_right), y, y_below));
        }
    }
}

/// [`scatter`](super::scatter).
///
/// # Safety
///
/// See [`read`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(crate) unsafe fn scatter(places: &Places<'_, f32>, upstream: &[[f32; WIDE]], gradient: &mut [[f32; WIDE]]) {
    let taps = Taps::new(places, gradient.as_mut_ptr());
    for (pixel, upstream) in upstream.iter().enumerate().take(TILE) {
        let [x, x_right, y, y_below] = taps.weights.map(|weights| _mm512_set1_ps(weights[pixel]));
        // SAFETY: as the caller promises.
        unsafe {
            let upstream = _mm512_loadu_ps(upstream.as_ptr());
            let (line, below) = (_mm512_mul_ps(y, upstream), _mm512_mul_ps(y_below, upstream));
            for (tap, (weight, line)) in taps.at(pixel).into_iter().zip([(x, line), (x_right, line), (x, below), (x_right, below)]) {
                _mm512_storeu_ps(tap.cast_mut(), _mm512_fmadd_ps(weight, line, _mm512_loadu_ps(tap)));
            }
        }
    }
}

/// [`slopes`](super::slopes), of all whole sixteens of pixels, and gives how many pixels these are.
///
/// # Safety
///
/// See [`read`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(crate) unsafe fn slopes(places: &Places<'_, f32>, source: &[[f32; WIDE]], upstream: &[[f32; WIDE]], gradient: &mut Rows<f32>) -> usize {
    // SAFETY: as the caller promises.
    unsafe {
        match places.linear {
            true => slopes_of::<true>(places, source, upstream, gradient),
            false => slopes_of::<false>(places, source, upstream, gradient),
        }
    }
}

/// [`slopes`], with its weights' own known to be -1 and 1, or not.
///
/// # Safety
///
/// See [`read`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn slopes_of<const LINEAR: bool>(places: &Places<'_, f32>, source: &[[f32; WIDE]], upstream: &[[f32; WIDE]], gradient: &mut Rows<f32>) -> usize {
    let taps = Taps::new(places, source.as_ptr());
    let (sixteens, _) = upstream.as_chunks::<WIDE>();
    for (upstream, start) in sixteens.iter().zip((0..TILE).step_by(WIDE)) {
        // SAFETY: as the caller promises.
        unsafe {
            macro_rules! four {
                ($first:literal) => {{
                    let (x0, y0) = taps.slopes::<LINEAR>(start + $first, &upstream[$first]);
                    let (x4, y4) = taps.slopes::<LINEAR>(start + $first + 4, &upstream[$first + 4]);
                    let (x8, y8) = taps.slopes::<LINEAR>(start + $first + 8, &upstream[$first + 8]);
                    let (x12, y12) = taps.slopes::<LINEAR>(start + $first + 12, &upstream[$first + 12]);
                    (in_quarters(x0, x4, x8, x12), in_quarters(y0, y4, y8, y12))
                }};
            }
            let ((x0, y0), (x1, y1), (x2, y2), (x3, y3)) = (four!(0), four!(1), four!(2), four!(3));
            let (to_x, to_y) = (sums_of_quarters(x0, x1, x2, x3), sums_of_quarters(y0, y1, y2, y3));
            let jacobian = |axis: usize| places.jacobian[axis][start..start + WIDE].as_ptr();
            let (by_x, by_y) = (_mm512_loadu_ps(jacobian(0)), _mm512_loadu_ps(jacobian(1)));
            _mm512_storeu_ps(gradient[0][start..start + WIDE].as_mut_ptr(), _mm512_mul_ps(to_x, by_x));
            _mm512_storeu_ps(gradient[1][start..start + WIDE].as_mut_ptr(), _mm512_mul_ps(to_y, by_y));
        }
    }
    (sixteens.len() * WIDE).min(TILE)
}

/// The taps of a tile's pixels.
struct Taps<'a> {
    first: &'a [u32; TILE],
    source: *const [f32; WIDE],
    /// From a tap to the one below, in pixels.
    below: usize,
    /// The weights of both taps on x, and of both on y.
    weights: [&'a [f32; TILE]; 4],
    /// Their slopes.
    slopes: [&'a [f32; TILE]; 4],
}

impl<'a> Taps<'a> {
    fn new(places: &'a Places<'_, f32>, source: *const [f32; WIDE]) -> Self {
        let ([wx, wy, _], [sx, sy, _]) = (places.taps::<2, 1>(&places.weights), places.taps::<2, 1>(&places.slopes));
        Self {
            first: &places.first,
            source,
            below: places.offset([0, 1, 0]),
            weights: [&wx[0], &wx[1], &wy[0], &wy[1]],
            slopes: [&sx[0], &sx[1], &sy[0], &sy[1]],
        }
    }

    /// Where a pixel's four taps are.
    ///
    /// # Safety
    ///
    /// There is such a pixel, and its taps lie within the source.
    #[inline(always)]
    unsafe fn at(&self, pixel: usize) -> [*const f32; 4] {
        // SAFETY: as the caller promises.
        let (above, below) = unsafe { (self.source.add(self.first[pixel] as usize), self.source.add(self.first[pixel] as usize + self.below)) };
        // SAFETY: the same.
        unsafe { [above.cast(), above.add(1).cast(), below.cast(), below.add(1).cast()] }
    }

    /// Of each channel of a pixel the slopes on x and y, times its upstream.
    ///
    /// # Safety
    ///
    /// See [`at`](Self::at).
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    unsafe fn slopes<const LINEAR: bool>(&self, pixel: usize, upstream: &[f32; WIDE]) -> (__m512, __m512) {
        let [x, x_right, y, y_below] = self.weights.map(|weights| _mm512_set1_ps(weights[pixel]));
        let [sx, sx_right, sy, sy_below] = self.slopes.map(|slopes| _mm512_set1_ps(slopes[pixel]));
        // SAFETY: as the caller promises.
        unsafe {
            let ([a, b, c, d], upstream) = (self.at(pixel).map(|tap| _mm512_loadu_ps(tap)), _mm512_loadu_ps(upstream.as_ptr()));
            let (line, below) = (weighted(a, b, x, x_right), weighted(c, d, x, x_right));
            let (line_x, below_x, along_y) = match LINEAR {
                true => (_mm512_sub_ps(b, a), _mm512_sub_ps(d, c), _mm512_sub_ps(below, line)),
                false => (weighted(a, b, sx, sx_right), weighted(c, d, sx, sx_right), weighted(line, below, sy, sy_below)),
            };
            let along_x = weighted(line_x, below_x, y, y_below);
            (_mm512_mul_ps(upstream, along_x), _mm512_mul_ps(upstream, along_y))
        }
    }
}

/// Four vectors, each added up to a quarter: the halves, then their halves.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_quarters(a: __m512, b: __m512, c: __m512, d: __m512) -> __m512 {
    let ab = _mm512_add_ps(_mm512_shuffle_f32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b));
    let cd = _mm512_add_ps(_mm512_shuffle_f32x4::<0b01_00_01_00>(c, d), _mm512_shuffle_f32x4::<0b11_10_11_10>(c, d));
    _mm512_add_ps(_mm512_shuffle_f32x4::<0b10_00_10_00>(ab, cd), _mm512_shuffle_f32x4::<0b11_01_11_01>(ab, cd))
}

/// The sums of the quarters of four vectors, in halves: of the first quarter of each, then of the second of each, and so on.
#[inline]
#[target_feature(enable = "avx512f")]
fn sums_of_quarters(a: __m512, b: __m512, c: __m512, d: __m512) -> __m512 {
    let ab = _mm512_add_ps(_mm512_shuffle_ps::<0b01_00_01_00>(a, b), _mm512_shuffle_ps::<0b11_10_11_10>(a, b));
    let cd = _mm512_add_ps(_mm512_shuffle_ps::<0b01_00_01_00>(c, d), _mm512_shuffle_ps::<0b11_10_11_10>(c, d));
    _mm512_add_ps(_mm512_shuffle_ps::<0b10_00_10_00>(ab, cd), _mm512_shuffle_ps::<0b11_01_11_01>(ab, cd))
}
