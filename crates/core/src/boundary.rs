//! What the sampler reads outside the source.

use num_traits::Float;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a sampler reads where a coordinate falls outside the source.
///
/// The names and the arithmetic are those of other frameworks' `padding_mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// Zero.
    #[default]
    Zeros,
    /// The nearest pixel of the border.
    Border,
    /// The image mirrored, about pixel centres where `align_corners` holds and about pixel edges where it does not.
    Reflection,
}

impl Boundary {
    /// Every boundary, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Zeros, Self::Border, Self::Reflection];

    /// The name used in TOML files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zeros => "zeros",
            Self::Border => "border",
            Self::Reflection => "reflection",
        }
    }

    /// Brings a pixel coordinate into the source: the coordinate to read at, and the derivative of that with respect to `x`.
    ///
    /// `x` is in pixels, 0 at the centre of the first of `size` pixels. [`Zeros`](Self::Zeros) changes nothing. The derivative is 0 where the coordinate was clamped
    /// (the bounds included) or was not finite, and -1 where it was mirrored. The result is finite for [`Border`](Self::Border) and
    /// [`Reflection`](Self::Reflection): NaN reads at 0.
    #[inline(always)]
    pub fn coordinate<T: Float>(self, x: T, size: usize, align_corners: bool) -> (T, T) {
        match self {
            Self::Zeros => (x, T::one()),
            Self::Border => clamp(x, size),
            Self::Reflection => {
                let (mirrored, sign) = mirror(x, size, align_corners);
                let (clamped, slope) = clamp(mirrored, size);
                (clamped, slope * sign)
            }
        }
    }

    /// The pixel that stands for pixel `index` of an axis of `size` pixels; `None` reads as zero.
    pub fn pixel(self, index: i64, size: usize, align_corners: bool) -> Option<usize> {
        let last = size as i64 - 1;
        if last < 0 {
            return None;
        }
        match self {
            Self::Zeros => (0..=last).contains(&index).then_some(index as usize),
            Self::Border => Some(index.clamp(0, last) as usize),
            Self::Reflection => {
                // About the centres of the outer pixels the period is 2 (size - 1); about their outer edges, 2 size.
                let (period, fold) = if align_corners { (2 * last, 2 * last) } else { (2 * size as i64, 2 * size as i64 - 1) };
                if period == 0 {
                    return Some(0);
                }
                let phase = index.rem_euclid(period);
                Some(phase.min(fold - phase) as usize)
            }
        }
    }
}

#[inline(always)]
fn clamp<T: Float>(x: T, size: usize) -> (T, T) {
    let last = number::<T>(size.saturating_sub(1));
    if x > T::zero() && x < last {
        (x, T::one())
    } else if x >= last {
        (last, T::zero())
    } else {
        (T::zero(), T::zero())
    }
}

fn mirror<T: Float>(x: T, size: usize, align_corners: bool) -> (T, T) {
    let half = T::from(0.5).unwrap_or_else(T::zero);
    let (low, span) = if align_corners { (T::zero(), number::<T>(size.saturating_sub(1))) } else { (-half, number::<T>(size)) };
    if span <= T::zero() || !x.is_finite() {
        return (T::zero(), T::zero());
    }
    // Inside, as most coordinates are, and what the rest comes to there, to the bit.
    if x >= low && x - low < span {
        return (x - low + low, T::one());
    }
    let (distance, sign) = if x < low { (low - x, -T::one()) } else { (x - low, T::one()) };
    let extra = distance % span;
    let flips = ((distance / span).floor() % number::<T>(2)).to_u8().unwrap_or(0);
    if flips == 0 { (extra + low, sign) } else { (span - extra + low, -sign) }
}

#[inline(always)]
fn number<T: Float>(value: usize) -> T {
    T::from(value).unwrap_or_else(T::zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(boundary: Boundary, align_corners: bool) -> Vec<Option<usize>> {
        (-4..7).map(|i| boundary.pixel(i, 3, align_corners)).collect()
    }

    #[test]
    fn zeros_reads_nothing_outside() {
        let inside: Vec<_> = pixels(Boundary::Zeros, false).into_iter().flatten().collect();
        assert_eq!(inside, [0, 1, 2]);
    }

    #[test]
    fn border_repeats_the_outer_pixel() {
        let read: Vec<_> = pixels(Boundary::Border, false).into_iter().flatten().collect();
        assert_eq!(read, [0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn reflection_about_edges_repeats_the_outer_pixel_once() {
        let read: Vec<_> = pixels(Boundary::Reflection, false).into_iter().flatten().collect();
        assert_eq!(read, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
    }

    #[test]
    fn reflection_about_centres_does_not_repeat_the_outer_pixel() {
        let read: Vec<_> = pixels(Boundary::Reflection, true).into_iter().flatten().collect();
        assert_eq!(read, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
    }

    #[test]
    fn a_mirror_changes_nothing_inside() {
        for i in 0..=400 {
            let x = f64::from(i) * 0.01;
            assert!((Boundary::Reflection.coordinate(x, 5, true).0 - x).abs() < 1e-12);
            assert!((Boundary::Reflection.coordinate(x, 5, false).0 - x).abs() < 1e-12);
        }
        assert_eq!(Boundary::Reflection.coordinate(4.25, 5, true), (3.75, -1.0));
        assert_eq!(Boundary::Reflection.coordinate(-0.75, 5, false), (0.0, 0.0));
    }

    #[test]
    fn one_pixel_is_read_everywhere() {
        for boundary in [Boundary::Border, Boundary::Reflection] {
            for align_corners in [false, true] {
                assert_eq!(boundary.pixel(-7, 1, align_corners), Some(0));
            }
        }
    }

    #[test]
    fn coordinates_and_pixels_agree_on_whole_numbers() {
        for boundary in [Boundary::Border, Boundary::Reflection] {
            for align_corners in [false, true] {
                for i in -20..20_i64 {
                    let (x, _) = boundary.coordinate(i as f64, 5, align_corners);
                    assert_eq!(Some(x as usize), boundary.pixel(i, 5, align_corners), "{boundary:?} {align_corners} {i}");
                }
            }
        }
    }

    #[test]
    fn a_coordinate_that_is_not_finite_has_no_slope() {
        for boundary in [Boundary::Border, Boundary::Reflection] {
            for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let (read, slope) = boundary.coordinate(x, 5, false);
                assert!(read.is_finite());
                assert_eq!(slope, 0.0);
            }
        }
    }

    #[test]
    fn the_slope_is_zero_at_and_beyond_the_border() {
        assert_eq!(Boundary::Border.coordinate(0.0_f64, 5, true).1, 0.0);
        assert_eq!(Boundary::Border.coordinate(4.0_f64, 5, true).1, 0.0);
        assert_eq!(Boundary::Border.coordinate(3.5_f64, 5, true).1, 1.0);
    }
}
