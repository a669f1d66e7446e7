//! The integer sampling kernel: the value of the nearest pixel.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::{Plugin, Real, Registry, Result, Sampling, SamplingKernel};

/// Equation 4 of the paper: `k(x - m) = delta(floor(x + 0.5) - m)`, one tap of weight one.
///
/// It is flat between jumps, so it passes no gradient to coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Integer {
    ties: Ties,
}

/// The parameters of [`Integer`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Parameters {
    /// Where a coordinate half way between two pixels goes: `floor`, to the higher, floor(x + 0.5) as published; `even`, to the even one, as other frameworks do.
    pub ties: Ties,
}

/// Where a coordinate half way between two pixels goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// To the higher pixel.
    #[default]
    Floor,
    /// To the even pixel.
    Even,
}

impl Integer {
    /// The kernel with its ties going this way.
    pub fn new(ties: Ties) -> Self {
        Self { ties }
    }

    /// The nearest pixel. Decided by the fraction, which is exact where `x + 0.5` might round.
    #[inline(always)]
    fn nearest<T: Real>(self, x: T) -> T {
        let (half, two) = (T::of(0.5), T::of(2.0));
        let below = x.floor();
        let fraction = x - below;
        let up = match self.ties {
            Ties::Floor => fraction >= half,
            Ties::Even => fraction > half || (fraction == half && (below * half).floor() * two != below),
        };
        if up { below + T::one() } else { below }
    }
}

impl SamplingKernel for Integer {
    fn support(&self) -> usize {
        1
    }

    #[inline(always)]
    fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]) {
        for (first, &x) in first.iter_mut().zip(x) {
            *first = self.nearest(x).to_i32().unwrap_or_default();
        }
        weights.fill(T::one());
    }

    #[inline(always)]
    fn derivatives<T: Real>(&self, _: &[T], derivatives: &mut [T]) {
        derivatives.fill(T::zero());
    }

    fn cuda_source(&self) -> Option<String> {
        Some(format!("#define TIES_TO_EVEN {}\n{}", u8::from(self.ties == Ties::Even), include_str!("integer.cu")))
    }
}

impl Plugin<dyn Sampling> for Integer {
    const NAME: &'static str = "integer";
    const SUMMARY: &'static str = "The nearest pixel; passes no gradient to the transformation (equation 4).";
    type Parameters = Parameters;

    fn build(parameters: Parameters, _: &Registry) -> Result<Arc<dyn Sampling>> {
        Ok(Arc::new(Self::new(parameters.ties)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(ties: Ties, x: &[f32]) -> Vec<i32> {
        let (mut first, mut weights) = (vec![0; x.len()], vec![0.0; x.len()]);
        Integer::new(ties).weights(x, &mut first, &mut weights);
        assert!(weights.iter().all(|&weight| weight == 1.0));
        first
    }

    #[test]
    fn the_nearest_pixel_is_read() {
        for ties in [Ties::Floor, Ties::Even] {
            assert_eq!(pixels(ties, &[-1.2, -0.4, 0.0, 0.3, 0.7, 2.49, 2.51]), [-1, 0, 0, 0, 1, 2, 3]);
        }
    }

    #[test]
    fn ties_go_to_the_higher_pixel_as_published() {
        assert_eq!(pixels(Ties::Floor, &[-1.5, -0.5, 0.5, 1.5, 2.5]), [-1, 0, 1, 2, 3]);
    }

    #[test]
    fn ties_go_to_the_even_pixel_where_asked() {
        assert_eq!(pixels(Ties::Even, &[-1.5, -0.5, 0.5, 1.5, 2.5]), [-2, 0, 0, 2, 2]);
    }

    #[test]
    fn next_to_a_tie_is_no_tie() {
        let (below, above) = (0.5_f32.next_down(), (-0.5_f32).next_up());
        for ties in [Ties::Floor, Ties::Even] {
            assert_eq!(pixels(ties, &[below, above, -0.5_f32.next_up(), 1e9]), [0, 0, -1, 1_000_000_000]);
        }
    }

    #[test]
    fn the_derivative_is_zero() {
        let mut derivatives = [1.0_f64; 3];
        Integer::new(Ties::Floor).derivatives(&[0.1, 0.5, 0.9], &mut derivatives);
        assert_eq!(derivatives, [0.0; 3]);
    }

    #[test]
    fn it_keeps_every_promise_of_a_kernel() {
        for ties in [Ties::Floor, Ties::Even] {
            stn_testkit::check_kernel(Arc::new(Integer::new(ties)));
        }
    }

    #[test]
    fn it_is_found_by_name_with_its_parameter() -> Result<()> {
        let mut registry = Registry::new();
        registry.add_kernel::<Integer>()?;
        let docs: Vec<_> = registry.kernels().collect();
        assert_eq!(docs[0].parameters[0].kind, "one of floor, even");
        Ok(())
    }
}
