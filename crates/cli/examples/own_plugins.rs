//! A program with a transformation and a sampling kernel of its own: the standard command line over a larger registry.
//!
//! `cargo run --release --example own_plugins -- plugins` lists them beside the standard ones.

// ANCHOR: transformation
use std::sync::Arc;

use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::transformation::{Window, affine_basis, check_theta, column};
use stn_core::{Composition, Error, Plugin, Real, Registry, Result, Sampling, SamplingKernel, Transformation};

/// A horizontal shear and a translation: theta = (shear, tx, ty), M = \[1, shear, tx; 0, 1, ty\] on B = (x, y, 1).
#[derive(Debug)]
struct Shear;

impl Plugin<dyn Transformation> for Shear {
    const NAME: &'static str = "shear";
    const SUMMARY: &'static str = "horizontal shear and translation";
    type Parameters = stn_core::NoParameters;

    fn build(_: Self::Parameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
        Ok(Arc::new(Self))
    }
}

impl Transformation for Shear {
    fn dims(&self) -> usize {
        2
    }

    fn theta_names(&self) -> Vec<String> {
        ["shear", "tx", "ty"].map(String::from).to_vec()
    }

    fn identity(&self) -> Vec<f64> {
        vec![0.0; 3]
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        Ok(Window::tile(n).iter().map(|window| vec![0.0, window.x, window.y]).collect())
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        affine_basis(points)
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, theta, 3)?;
        let shear = column(theta, 0)?;
        let (zero, one) = (shear.zeros_like()?, shear.ones_like()?);
        let rows = Tensor::cat(&[&one, &shear, &column(theta, 1)?, &zero, &one, &column(theta, 2)?], 1)?;
        Ok(rows.reshape((theta.dim(0)?, 2, 3))?)
    }

    fn composition(&self) -> Option<&dyn Composition> {
        Some(self)
    }
}

// Two shears in a row are a third, so this transformation can be applied in several steps.
impl Composition for Shear {
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, outer, 3)?;
        check_theta(Self::NAME, inner, 3)?;
        // The outer shear moves the inner shift along x by as much as that goes along y.
        let moved = (column(outer, 0)? * column(inner, 2)?)?;
        let zero = moved.zeros_like()?;
        Ok((Tensor::cat(&[&zero, &moved, &zero], 1)? + outer + inner)?)
    }
}
// ANCHOR_END: transformation

// ANCHOR: kernel
/// The quadratic B-spline on three taps; it smooths, so the identity blurs a little.
#[derive(Debug)]
struct Quadratic {
    /// 1 is the B-spline itself; less moves its weights towards the nearest pixel.
    width: f64,
}

/// Parameters of [`Quadratic`].
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct QuadraticParameters {
    /// 1 is the B-spline itself; less is sharper. More than 0, at most 1.
    width: f64,
}

impl Default for QuadraticParameters {
    fn default() -> Self {
        Self { width: 1.0 }
    }
}

impl Plugin<dyn Sampling> for Quadratic {
    const NAME: &'static str = "quadratic";
    const SUMMARY: &'static str = "quadratic B-spline, 3 taps";
    type Parameters = QuadraticParameters;

    fn build(parameters: Self::Parameters, _: &Registry) -> Result<Arc<dyn Sampling>> {
        let width = parameters.width;
        if !(width > 0.0 && width <= 1.0) {
            return Err(Error::parameter(Self::NAME, "width", format!("must be more than 0 and at most 1, not {width}")));
        }
        Ok(Arc::new(Self { width }))
    }
}

impl SamplingKernel for Quadratic {
    fn support(&self) -> usize {
        3
    }

    fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]) {
        let (n, width, half) = (x.len(), T::of(self.width), T::of(0.5));
        for (i, &x) in x.iter().enumerate() {
            let nearest = (x + half).floor();
            let offset = x - nearest;
            first[i] = nearest.to_i32().unwrap_or(0) - 1;
            let (left, right) = ((half - offset) * (half - offset) * half, (half + offset) * (half + offset) * half);
            weights[i] = width * left;
            weights[n + i] = T::one() - width * (left + right);
            weights[2 * n + i] = width * right;
        }
    }

    fn derivatives<T: Real>(&self, x: &[T], derivatives: &mut [T]) {
        let (n, width, half) = (x.len(), T::of(self.width), T::of(0.5));
        for (i, &x) in x.iter().enumerate() {
            let offset = x - (x + half).floor();
            let (left, right) = (offset - half, half + offset);
            derivatives[i] = width * left;
            derivatives[n + i] = -width * (left + right);
            derivatives[2 * n + i] = width * right;
        }
    }

    // The same for graphics cards.
    fn cuda_source(&self) -> Option<String> {
        Some(format!("#define WIDTH REAL({:e})\n{}", self.width, include_str!("quadratic.cu")))
    }
}
// ANCHOR_END: kernel

// ANCHOR: main
fn main() -> Result<std::process::ExitCode> {
    let mut registry = stn_plugins::standard()?;
    registry.add_transformation::<Shear>()?.add_kernel::<Quadratic>()?;
    Ok(stn_cli::run(&registry))
}
// ANCHOR_END: main

// ANCHOR: tests
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shear_is_a_transformation() {
        stn_testkit::check_transformation(&Shear);
    }

    #[test]
    fn quadratic_is_a_sampling_kernel() {
        stn_testkit::check_kernel(Arc::new(Quadratic { width: 0.5 }));
    }
}
// ANCHOR_END: tests
