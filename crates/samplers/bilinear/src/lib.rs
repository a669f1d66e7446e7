//! The bilinear sampling kernel (trilinear on volumes).

use std::sync::Arc;

use stn_core::{NoParameters, Plugin, Real, Registry, Result, Sampling, SamplingKernel};

/// Equation 5 of the paper: `k(x - m) = max(0, 1 - |x - m|)`, two taps.
///
/// At a pixel's centre, where the kernel has a corner, the derivative is the one towards higher coordinates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bilinear;

impl SamplingKernel for Bilinear {
    fn support(&self) -> usize {
        2
    }

    #[inline(always)]
    fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]) {
        let (left, right) = weights.split_at_mut(x.len());
        for (((first, left), right), &x) in first.iter_mut().zip(left).zip(right).zip(x) {
            let below = x.floor();
            *first = below.to_i32().unwrap_or_default();
            *right = x - below;
            *left = T::one() - *right;
        }
    }

    #[inline(always)]
    fn derivatives<T: Real>(&self, x: &[T], derivatives: &mut [T]) {
        let (left, right) = derivatives.split_at_mut(x.len());
        left.fill(-T::one());
        right.fill(T::one());
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn cuda_source(&self) -> Option<String> {
        Some(include_str!("bilinear.cu").into())
    }
}

impl Plugin<dyn Sampling> for Bilinear {
    const NAME: &'static str = "bilinear";
    const SUMMARY: &'static str = "Linear between neighbouring pixels; trilinear on volumes (equation 5).";
    type Parameters = NoParameters;

    fn build(_: NoParameters, _: &Registry) -> Result<Arc<dyn Sampling>> {
        Ok(Arc::new(Self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(x: f64) -> (i32, [f64; 2]) {
        let (mut first, mut weights) = ([0], [0.0; 2]);
        Bilinear.weights(&[x], &mut first, &mut weights);
        (first[0], weights)
    }

    #[test]
    fn the_weights_are_the_hat_function() {
        for i in -20..20 {
            let x = f64::from(i) * 0.17;
            let (first, weights) = taps(x);
            for (t, weight) in weights.iter().enumerate() {
                let distance = (x - f64::from(first) - t as f64).abs();
                assert!((weight - (1.0 - distance).max(0.0)).abs() < 1e-12, "{x} {t}");
            }
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_pixel_is_read_alone_at_its_centre() {
        assert_eq!(taps(3.0), (3, [1.0, 0.0]));
    }

    #[test]
    fn the_derivatives_are_those_of_the_weights() {
        let h = 1e-6;
        for x in [-1.3, 0.2, 4.9] {
            let (mut derivatives, (_, high), (_, low)) = ([0.0; 2], taps(x + h), taps(x - h));
            Bilinear.derivatives(&[x], &mut derivatives);
            for t in 0..2 {
                assert!((derivatives[t] - (high[t] - low[t]) / (2.0 * h)).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn weights_are_stored_tap_by_tap() {
        let (mut first, mut weights) = ([0; 2], [0.0_f32; 4]);
        Bilinear.weights(&[0.25, 1.75], &mut first, &mut weights);
        assert_eq!((first, weights), ([0, 1], [0.75, 0.25, 0.25, 0.75]));
    }

    #[test]
    fn it_keeps_every_promise_of_a_kernel() {
        stn_testkit::check_kernel(Arc::new(Bilinear));
    }

    #[test]
    fn it_is_found_by_name_and_takes_no_parameter() -> Result<()> {
        let mut registry = Registry::new();
        registry.add_kernel::<Bilinear>()?;
        let docs: Vec<_> = registry.kernels().collect();
        assert_eq!((docs[0].name.as_str(), docs[0].parameters.len()), ("bilinear", 0));
        Ok(())
    }
}
