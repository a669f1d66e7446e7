//! The rigid transformation: rotation and translation.

use std::sync::Arc;

use candle_core::Tensor;
use stn_core::transformation::{Window, affine_basis, check_theta, column};
use stn_core::{Composition, NoParameters, Plugin, Registry, Result, Transformation};

/// `M = [cos a, -sin a, tx; sin a, cos a, ty]` on (x, y, 1): a rotation by `a` radians, with y down, then a shift. Theta is `a tx ty`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rigid;

impl Plugin<dyn Transformation> for Rigid {
    const NAME: &'static str = "rigid";
    const SUMMARY: &'static str = "rotation and translation; theta = a tx ty, a in radians";
    type Parameters = NoParameters;

    fn build(_: NoParameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
        Ok(Arc::new(Rigid))
    }
}

impl Transformation for Rigid {
    fn dims(&self) -> usize {
        2
    }

    fn theta_names(&self) -> Vec<String> {
        ["a", "tx", "ty"].map(String::from).to_vec()
    }

    fn identity(&self) -> Vec<f64> {
        vec![0.0, 0.0, 0.0]
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        // A rigid map cannot scale: every tile looks through a window of full size, moved to its place.
        Ok(Window::tile(n).into_iter().map(|window| vec![0.0, window.x, window.y]).collect())
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        affine_basis(points)
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, theta, 3)?;
        let (a, tx, ty) = (column(theta, 0)?, column(theta, 1)?, column(theta, 2)?);
        let (cos, sin) = (a.cos()?, a.sin()?);
        Ok(Tensor::cat(&[&cos, &sin.neg()?, &tx, &sin, &cos, &ty], 1)?.reshape(((), 2, 3))?)
    }

    fn composition(&self) -> Option<&dyn Composition> {
        Some(self)
    }
}

impl Composition for Rigid {
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, outer, 3)?;
        check_theta(Self::NAME, inner, 3)?;
        // Angles add up; the inner shift is turned by the outer angle.
        let (a, tx, ty) = (column(outer, 0)?, column(inner, 1)?, column(inner, 2)?);
        let (cos, sin) = (a.cos()?, a.sin()?);
        let turned_x = (tx.mul(&cos)? - ty.mul(&sin)?)?;
        let turned_y = (tx.mul(&sin)? + ty.mul(&cos)?)?;
        Ok((outer + Tensor::cat(&[&column(inner, 0)?, &turned_x, &turned_y], 1)?)?)
    }
}
