//! The similarity transformation: rotation, isotropic scale and translation.

use std::sync::Arc;

use candle_core::Tensor;
use stn_core::transformation::{Window, affine_basis, check_theta, column};
use stn_core::{Composition, NoParameters, Plugin, Registry, Result, Transformation};

/// `M = [s cos a, -s sin a, tx; s sin a, s cos a, ty]` on (x, y, 1): a rotation by `a` radians, with y down, and a scale, then a shift. Theta is
/// `a log_s tx ty`; its scale cannot be negative or zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Similarity;

impl Plugin<dyn Transformation> for Similarity {
    const NAME: &'static str = "similarity";
    const SUMMARY: &'static str = "rotation, isotropic scale and translation; theta = a log_s tx ty, a in radians";
    type Parameters = NoParameters;

    fn build(_: NoParameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
        Ok(Arc::new(Similarity))
    }
}

impl Transformation for Similarity {
    fn dims(&self) -> usize {
        2
    }

    fn theta_names(&self) -> Vec<String> {
        ["a", "log_s", "tx", "ty"].map(String::from).to_vec()
    }

    fn identity(&self) -> Vec<f64> {
        vec![0.0, 0.0, 0.0, 0.0]
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        Ok(Window::tile(n).into_iter().map(|window| vec![0.0, window.scale.ln(), window.x, window.y]).collect())
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        affine_basis(points)
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, theta, 4)?;
        let (a, scale, tx, ty) = (column(theta, 0)?, column(theta, 1)?.exp()?, column(theta, 2)?, column(theta, 3)?);
        let (cos, sin) = (a.cos()?.mul(&scale)?, a.sin()?.mul(&scale)?);
        Ok(Tensor::cat(&[&cos, &sin.neg()?, &tx, &sin, &cos, &ty], 1)?.reshape(((), 2, 3))?)
    }

    fn composition(&self) -> Option<&dyn Composition> {
        Some(self)
    }
}

impl Composition for Similarity {
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, outer, 4)?;
        check_theta(Self::NAME, inner, 4)?;
        // Angles and logarithms of scales add up; the inner shift is turned and scaled by the outer ones.
        let (a, scale, tx, ty) = (column(outer, 0)?, column(outer, 1)?.exp()?, column(inner, 2)?, column(inner, 3)?);
        let (cos, sin) = (a.cos()?.mul(&scale)?, a.sin()?.mul(&scale)?);
        let turned_x = (tx.mul(&cos)? - ty.mul(&sin)?)?;
        let turned_y = (tx.mul(&sin)? + ty.mul(&cos)?)?;
        Ok((outer + Tensor::cat(&[&inner.narrow(1, 0, 2)?, &turned_x, &turned_y], 1)?)?)
    }
}
