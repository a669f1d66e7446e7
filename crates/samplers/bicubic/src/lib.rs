//! The bicubic sampling kernel (tricubic on volumes).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::{Error, Plugin, Real, Registry, Result, Sampling, SamplingKernel};

/// Keys' cubic convolution kernel (R. Keys, *Cubic Convolution Interpolation for Digital Image Processing*, 1981), four taps:
///
/// `k(t) = (a + 2)|t|^3 - (a + 3)|t|^2 + 1` for `|t| <= 1`, `a |t|^3 - 5a |t|^2 + 8a |t| - 4a` for `1 < |t| < 2`, 0 beyond; in equation 3 of the paper as any other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bicubic {
    a: f64,
}

/// The parameters of [`Bicubic`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Parameters {
    /// The kernel's slope one pixel from its centre: -0.75 as other frameworks have it, -0.5 for third-order accuracy.
    pub a: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { a: -0.75 }
    }
}

impl Bicubic {
    /// The kernel with slope `a` one pixel from its centre.
    ///
    /// # Errors
    ///
    /// Where `a` is not finite.
    pub fn new(a: f64) -> Result<Self> {
        if a.is_finite() { Ok(Self { a }) } else { Err(Error::parameter(Self::NAME, "a", format!("must be a finite number, not {a}"))) }
    }
}

/// `k(t)` for `0 <= t <= 1`.
#[inline(always)]
fn inner<T: Real>(a: T, t: T) -> T {
    ((a + T::of(2.0)) * t - (a + T::of(3.0))) * t * t + T::one()
}

/// `k(t)` for `1 <= t <= 2`.
#[inline(always)]
fn outer<T: Real>(a: T, t: T) -> T {
    ((a * t - T::of(5.0) * a) * t + T::of(8.0) * a) * t - T::of(4.0) * a
}

/// `k'(t)` for `0 <= t <= 1`.
#[inline(always)]
fn inner_slope<T: Real>(a: T, t: T) -> T {
    (T::of(3.0) * (a + T::of(2.0)) * t - T::of(2.0) * (a + T::of(3.0))) * t
}

/// `k'(t)` for `1 <= t <= 2`.
#[inline(always)]
fn outer_slope<T: Real>(a: T, t: T) -> T {
    (T::of(3.0) * a * t - T::of(10.0) * a) * t + T::of(8.0) * a
}

/// Fills the four taps of every coordinate from its fraction.
#[inline(always)]
fn fill<T: Real>(x: &[T], values: &mut [T], at: impl Fn(T) -> [T; 4]) {
    let (low, high) = values.split_at_mut(2 * x.len());
    let ((first, second), (third, fourth)) = (low.split_at_mut(x.len()), high.split_at_mut(x.len()));
    for ((((&x, first), second), third), fourth) in x.iter().zip(first).zip(second).zip(third).zip(fourth) {
        [*first, *second, *third, *fourth] = at(x - x.floor());
    }
}

impl SamplingKernel for Bicubic {
    fn support(&self) -> usize {
        4
    }

    #[inline(always)]
    fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]) {
        let (a, one, two) = (T::of(self.a), T::one(), T::of(2.0));
        for (first, x) in first.iter_mut().zip(x) {
            *first = x.floor().to_i32().unwrap_or_default() - 1;
        }
        fill(x, weights, |f| [outer(a, f + one), inner(a, f), inner(a, one - f), outer(a, two - f)]);
    }

    #[inline(always)]
    fn derivatives<T: Real>(&self, x: &[T], derivatives: &mut [T]) {
        let (a, one, two) = (T::of(self.a), T::one(), T::of(2.0));
        fill(x, derivatives, |f| [outer_slope(a, f + one), inner_slope(a, f), -inner_slope(a, one - f), -outer_slope(a, two - f)]);
    }

    fn cuda_source(&self) -> Option<String> {
        // As many digits as make the same number of either type.
        Some(format!("#define KEYS_A REAL({:e})\n{}", self.a, include_str!("bicubic.cu")))
    }
}

impl Plugin<dyn Sampling> for Bicubic {
    const NAME: &'static str = "bicubic";
    const SUMMARY: &'static str = "Keys' cubic convolution over four pixels an axis; tricubic on volumes.";
    type Parameters = Parameters;

    fn build(parameters: Parameters, _: &Registry) -> Result<Arc<dyn Sampling>> {
        Ok(Arc::new(Self::new(parameters.a)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(a: f64, x: f64) -> Result<(i32, [f64; 4])> {
        let (mut first, mut weights) = ([0], [0.0; 4]);
        Bicubic::new(a)?.weights(&[x], &mut first, &mut weights);
        Ok((first[0], weights))
    }

    fn keys(a: f64, t: f64) -> f64 {
        match t.abs() {
            t if t <= 1.0 => (a + 2.0) * t.powi(3) - (a + 3.0) * t.powi(2) + 1.0,
            t if t < 2.0 => a * t.powi(3) - 5.0 * a * t.powi(2) + 8.0 * a * t - 4.0 * a,
            _ => 0.0,
        }
    }

    #[test]
    fn the_weights_are_keys_kernel_and_sum_to_one() -> Result<()> {
        for a in [-0.75, -0.5, 0.3] {
            for i in -20..20 {
                let x = f64::from(i) * 0.17;
                let (first, weights) = taps(a, x)?;
                assert_eq!(first, x.floor() as i32 - 1);
                for (t, weight) in weights.iter().enumerate() {
                    assert!((weight - keys(a, x - f64::from(first) - t as f64)).abs() < 1e-12, "{a} {x} {t}");
                }
                assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
        }
        Ok(())
    }

    #[test]
    fn a_pixel_is_read_alone_at_its_centre() -> Result<()> {
        assert_eq!(taps(-0.75, 3.0)?, (2, [0.0, 1.0, 0.0, 0.0]));
        Ok(())
    }

    #[test]
    fn the_derivatives_are_those_of_the_weights() -> Result<()> {
        let h = 1e-6;
        for x in [-1.3, 0.2, 0.5, 4.9] {
            let (mut derivatives, (_, high), (_, low)) = ([0.0; 4], taps(-0.75, x + h)?, taps(-0.75, x - h)?);
            Bicubic::new(-0.75)?.derivatives(&[x], &mut derivatives);
            for t in 0..4 {
                assert!((derivatives[t] - (high[t] - low[t]) / (2.0 * h)).abs() < 1e-8, "{x} {t}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_slope_that_is_not_finite_is_an_error() {
        let message = Bicubic::new(f64::NAN).unwrap_err().to_string();
        assert!(message.contains("`a`: must be a finite number"), "{message}");
    }

    #[test]
    fn it_keeps_every_promise_of_a_kernel() -> Result<()> {
        stn_testkit::check_kernel(Arc::new(Bicubic::new(-0.75)?));
        Ok(())
    }

    #[test]
    fn it_is_found_by_name_with_its_parameter() -> Result<()> {
        let mut registry = Registry::new();
        registry.add_kernel::<Bicubic>()?;
        let docs: Vec<_> = registry.kernels().collect();
        assert_eq!((docs[0].parameters[0].name.as_str(), docs[0].parameters[0].default.as_str()), ("a", "-0.75"));
        Ok(())
    }
}
