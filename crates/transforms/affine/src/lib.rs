//! The affine transformation: equation 1 of the paper.

use std::sync::Arc;

use candle_core::Tensor;
use stn_core::composition::compose_affine;
use stn_core::transformation::{Window, affine_basis, check_theta};
use stn_core::{Composition, NoParameters, Plugin, Registry, Result, Transformation};

/// `(x_s, y_s) = [t11 t12 t13; t21 t22 t23] (x_t, y_t, 1)`: equation 1 of the paper. Theta holds the matrix row by row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affine;

impl Plugin<dyn Transformation> for Affine {
    const NAME: &'static str = "affine";
    const SUMMARY: &'static str = "any affine map: rotation, scale, shear, translation; theta = t11 t12 t13 t21 t22 t23";
    type Parameters = NoParameters;

    fn build(_: NoParameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
        Ok(Arc::new(Affine))
    }
}

impl Transformation for Affine {
    fn dims(&self) -> usize {
        2
    }

    fn theta_names(&self) -> Vec<String> {
        ["t11", "t12", "t13", "t21", "t22", "t23"].map(String::from).to_vec()
    }

    fn identity(&self) -> Vec<f64> {
        vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        Ok(Window::tile(n).into_iter().map(|window| vec![window.scale, 0.0, window.x, 0.0, window.scale, window.y]).collect())
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        affine_basis(points)
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, theta, 6)?;
        Ok(theta.reshape(((), 2, 3))?)
    }

    fn composition(&self) -> Option<&dyn Composition> {
        Some(self)
    }
}

impl Composition for Affine {
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
        let matrix = compose_affine(&self.matrix(outer)?, &self.matrix(inner)?)?;
        Ok(matrix.flatten_from(1)?)
    }
}
