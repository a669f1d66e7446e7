//! The loops of [`quads`](super) for two taps on an axis of an image, in the instructions of AVX-512: the vectors stay in registers, where the compiler takes the general
//! loops through memory. The sums have the same order.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{Pixels, Quad, Slopes};
use crate::sample::arithmetic::WIDE;
use crate::sample::arithmetic::avx512::{add_quads, fourths, left, squares_of, weighted, whole};
use crate::sample::places::Places;
use crate::sample::warp::TILE;

/// [`read`](super::read).
///
/// # Safety
///
/// The CPU has AVX-512, there are two taps on x and y and one on z, of weight one, and they lie within the source.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(crate) unsafe fn read(places: &Places<'_, f32>, source: &[Quad<f32>], values: &mut [f32], stride: usize, count: usize) {
    let (square, weights) = (Square::new(places, source.as_ptr()), Weights::of(places, false));
    for start in (0..count.min(TILE)).step_by(WIDE) {
        // SAFETY: a tile has so many pixels and more; as the caller promises.
        unsafe {
            let [x, x_right, y, y_below] = weights.at(start);
            macro_rules! four {
                ($g:literal) => {{
                    let (x, x_right, y, y_below) = (spread::<$g>(x), spread::<$g>(x_right), spread::<$g>(y), spread::<$g>(y_below));
                    let [a, b, c, d] = square.taps(square.at::<$g>(start));
                    weighted(weighted(a, b, x, x_right), weighted(c, d, x, x_right), y, y_below)
                }};
            }
            let channels = squares_of([four!(0), four!(1), four!(2), four!(3)]);
            put(values, stride, start..count, channels);
        }
    }
}

/// [`back`](super::back): equations 6 and 7 in one loop, for the one waits for what is read and the other for what is written.
///
/// # Safety
///
/// See [`read`]; the taps lie within the gradient to the source, too.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(crate) unsafe fn back(places: &Places<'_, f32>, upstream: Pixels<'_, f32>, coordinates: Option<Slopes<'_, f32>>, gathered: Option<&mut [Quad<f32>]>) {
    // SAFETY: as the caller promises.
    unsafe {
        match (places.linear, coordinates.is_some(), gathered.is_some()) {
            (true, true, true) => back_of::<true, true, true>(places, upstream, coordinates, gathered),
            (false, true, true) => back_of::<false, true, true>(places, upstream, coordinates, gathered),
            (true, true, false) => back_of::<true, true, false>(places, upstream, coordinates, gathered),
            (false, true, false) => back_of::<false, true, false>(places, upstream, coordinates, gathered),
            (_, false, true) => back_of::<true, false, true>(places, upstream, coordinates, gathered),
            (_, false, false) => {}
        }
    }
}

/// [`back`], with the slopes of the weights known to be -1 and 1, or not; to the coordinates, and to what is gathered, or not.
///
/// # Safety
///
/// See [`back`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn back_of<const LINEAR: bool, const SLOPES: bool, const SCATTER: bool>(
    places: &Places<'_, f32>,
    upstream: Pixels<'_, f32>,
    coordinates: Option<Slopes<'_, f32>>,
    gathered: Option<&mut [Quad<f32>]>,
) {
    let (source, mut gradient) = coordinates.unzip();
    let square = Square::new(places, source.unwrap_or_default().as_ptr());
    let gathered = Square::new(places, gathered.unwrap_or_default().as_mut_ptr());
    let (weights, slopes) = (Weights::of(places, false), Weights::of(places, true));
    for start in (0..upstream.count.min(TILE)).step_by(WIDE) {
        // SAFETY: a tile has so many pixels and more; as the caller promises.
        unsafe {
            let ([x, x_right, y, y_below], [sx, sx_right, sy, sy_below]) = (weights.at(start), slopes.at(start));
            let upstream = channels(&upstream, start);
            macro_rules! four {
                ($g:literal) => {{
                    let (x, x_right, y, y_below) = (spread::<$g>(x), spread::<$g>(x_right), spread::<$g>(y), spread::<$g>(y_below));
                    let at = square.at::<$g>(start);
                    if SCATTER {
                        let (line, below) = (_mm512_mul_ps(y, upstream[$g]), _mm512_mul_ps(y_below, upstream[$g]));
                        gathered.add(at, [_mm512_mul_ps(x, line), _mm512_mul_ps(x_right, line), _mm512_mul_ps(x, below), _mm512_mul_ps(x_right, below)]);
                    }
                    if SLOPES {
                        let [a, b, c, d] = square.taps(at);
                        let (line, below) = (weighted(a, b, x, x_right), weighted(c, d, x, x_right));
                        let (line_x, below_x, along_y) = match LINEAR {
                            true => (_mm512_sub_ps(b, a), _mm512_sub_ps(d, c), _mm512_sub_ps(below, line)),
                            false => {
                                let (sx, sx_right) = (spread::<$g>(sx), spread::<$g>(sx_right));
                                let along_y = weighted(line, below, spread::<$g>(sy), spread::<$g>(sy_below));
                                (weighted(a, b, sx, sx_right), weighted(c, d, sx, sx_right), along_y)
                            }
                        };
                        (_mm512_mul_ps(weighted(line_x, below_x, y, y_below), upstream[$g]), _mm512_mul_ps(along_y, upstream[$g]))
                    } else {
                        (upstream[$g], upstream[$g])
                    }
                }};
            }
            let ((x0, y0), (x1, y1), (x2, y2), (x3, y3)) = (four!(0), four!(1), four!(2), four!(3));
            if let Some(gradient) = gradient.as_mut().filter(|_| SLOPES) {
                let (to_x, to_y) = (sum_of_quads([x0, x1, x2, x3]), sum_of_quads([y0, y1, y2, y3]));
                let jacobian = |axis: usize| places.jacobian[axis][start..start + WIDE].as_ptr();
                let (by_x, by_y) = (_mm512_loadu_ps(jacobian(0)), _mm512_loadu_ps(jacobian(1)));
                _mm512_storeu_ps(gradient[0][start..start + WIDE].as_mut_ptr(), _mm512_mul_ps(to_x, by_x));
                _mm512_storeu_ps(gradient[1][start..start + WIDE].as_mut_ptr(), _mm512_mul_ps(to_y, by_y));
            }
        }
    }
}

/// Where the taps of a tile's pixels are.
struct Square<'a> {
    first: &'a [u32; TILE],
    /// The quads of the first pixel's four taps on x and y.
    corners: [*mut f32; 4],
}

impl<'a> Square<'a> {
    fn new(places: &'a Places<'_, f32>, source: *const Quad<f32>) -> Self {
        let corner = |x: usize, y: usize| source.wrapping_add(places.offset([x, y, 0])).cast_mut().cast();
        Self { first: &places.first, corners: [corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)] }
    }

    /// How far behind the corners, in numbers, every fourth pixel's taps are, counted from `start + G`.
    #[inline(always)]
    fn at<const G: usize>(&self, start: usize) -> [usize; 4] {
        let [a, b, c, d] = fourths::<G>(self.first[start..].first_chunk().expect("sixteen pixels of a tile"));
        [4 * a, 4 * b, 4 * c, 4 * d]
    }

    /// The four taps of four pixels.
    ///
    /// # Safety
    ///
    /// They are the source's.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    unsafe fn taps(&self, at: [usize; 4]) -> [__m512; 4] {
        let [above, _, below, _] = self.corners;
        // SAFETY: as the caller promises.
        unsafe {
            let ([a, b], [c, d]) = (pairs(above, at), pairs(below, at));
            [a, b, c, d]
        }
    }

    /// Adds to the four taps of four pixels.
    ///
    /// # Safety
    ///
    /// They are the source's.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    unsafe fn add(&self, at: [usize; 4], parts: [__m512; 4]) {
        let [a, b, c, d] = self.corners;
        // SAFETY: as the caller promises.
        unsafe {
            add_quads(a, at, parts[0]);
            add_quads(b, at, parts[1]);
            add_quads(c, at, parts[2]);
            add_quads(d, at, parts[3]);
        }
    }
}

/// The weights of the taps of a tile's pixels, or their slopes: of both on x, and of both on y.
struct Weights<'a>([&'a [f32; TILE]; 4]);

impl<'a> Weights<'a> {
    fn of(places: &'a Places<'_, f32>, slopes: bool) -> Self {
        let [x, y, _] = places.taps::<2, 1>(if slopes { &places.slopes } else { &places.weights });
        Self([&x[0], &x[1], &y[0], &y[1]])
    }

    /// Those of sixteen pixels.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn at(&self, start: usize) -> [__m512; 4] {
        let [a, b, c, d] = self.0.map(|weights| weights[start..start + WIDE].as_ptr());
        // SAFETY: sixteen numbers of each.
        unsafe { [_mm512_loadu_ps(a), _mm512_loadu_ps(b), _mm512_loadu_ps(c), _mm512_loadu_ps(d)] }
    }
}

/// The channels of sixteen pixels, turned to quads; zero beyond the last pixel.
///
/// # Safety
///
/// There is a pixel at `start`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn channels(upstream: &Pixels<'_, f32>, start: usize) -> [__m512; 4] {
    let count = WIDE.min(upstream.count - start);
    let pixels = left(count);
    let channel = |c: usize| match upstream.numbers.get(c * upstream.stride + start..c * upstream.stride + start + count) {
        Some(numbers) => (numbers.as_ptr(), pixels),
        None => (upstream.numbers.as_ptr(), 0),
    };
    let (a, b, c, d) = (channel(0), channel(1), channel(2), channel(3));
    // SAFETY: so many pixels are left of every channel; without one nothing is read.
    unsafe { squares_of([_mm512_maskz_loadu_ps(a.1, a.0), _mm512_maskz_loadu_ps(b.1, b.0), _mm512_maskz_loadu_ps(c.1, c.0), _mm512_maskz_loadu_ps(d.1, d.0)]) }
}

/// The quads at four places so far behind a first one, and the ones after them.
///
/// # Safety
///
/// They are there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn pairs(first: *const f32, [a, b, c, d]: [usize; 4]) -> [__m512; 2] {
    // SAFETY: as the caller promises.
    unsafe {
        // Both quads of a pixel at once.
        let pair = |a: usize, b: usize| {
            let (a, b) = (_mm256_loadu_pd(first.add(a).cast()), _mm256_loadu_pd(first.add(b).cast()));
            whole(_mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castpd256_pd512(a), b)))
        };
        let (ab, cd) = (pair(a, b), pair(c, d));
        [_mm512_shuffle_f32x4::<0b10_00_10_00>(ab, cd), _mm512_shuffle_f32x4::<0b11_01_11_01>(ab, cd)]
    }
}

/// The sum of the numbers of every quad, in halves, in the order of the pixels.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn sum_of_quads([a, b, c, d]: [__m512; 4]) -> __m512 {
    // Of two vectors' quads the halves, added: the first and the third number, and beside it the second and the fourth.
    let halves = |a: __m512, b: __m512| {
        let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
        whole(_mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b))))
    };
    let (ab, cd) = (halves(a, b), halves(c, d));
    _mm512_add_ps(_mm512_shuffle_ps::<0b10_00_10_00>(ab, cd), _mm512_shuffle_ps::<0b11_01_11_01>(ab, cd))
}

/// Stores sixteen pixels of the channels that there are, but for those beyond the last pixel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn put(values: &mut [f32], stride: usize, pixels: Range<usize>, channels: [__m512; 4]) {
    let [a, b, c, d] = channels;
    let left = left(pixels.len());
    macro_rules! channel {
        ($c:literal, $values:expr) => {
            if let Some(to) = values.get_mut($c * stride + pixels.start..$c * stride + pixels.start + WIDE.min(pixels.len())) {
                // SAFETY: so many pixels are left of every channel.
                unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), left, $values) };
            }
        };
    }
    channel!(0, a);
    channel!(1, b);
    channel!(2, c);
    channel!(3, d);
}

/// Of every four numbers the one at place `G`, four times.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn spread<const G: usize>(values: __m512) -> __m512 {
    match G {
        0 => _mm512_permute_ps::<0b00_00_00_00>(values),
        1 => _mm512_permute_ps::<0b01_01_01_01>(values),
        2 => _mm512_permute_ps::<0b10_10_10_10>(values),
        _ => _mm512_permute_ps::<0b11_11_11_11>(values),
    }
}
