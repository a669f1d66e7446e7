//! The affine transformation of volumes: the 3 x 4 matrix of the paper's appendix on three dimensions.

use std::sync::Arc;

use candle_core::Tensor;
use stn_core::composition::compose_affine;
use stn_core::transformation::{Window, affine_basis, check_theta};
use stn_core::{Composition, NoParameters, Plugin, Registry, Result, Transformation};

/// `(x_s, y_s, z_s) = M (x_t, y_t, z_t, 1)` with M of 3 x 4: the affine transformation of a volume, from the paper's appendix. Theta holds M row by row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affine3d;

impl Plugin<dyn Transformation> for Affine3d {
    const NAME: &'static str = "affine3d";
    const SUMMARY: &'static str = "any affine map of a volume; theta = a 3 x 4 matrix row by row, t11 t12 ... t34";
    type Parameters = NoParameters;

    fn build(_: NoParameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
        Ok(Arc::new(Affine3d))
    }
}

impl Transformation for Affine3d {
    fn dims(&self) -> usize {
        3
    }

    fn theta_names(&self) -> Vec<String> {
        ["t11", "t12", "t13", "t14", "t21", "t22", "t23", "t24", "t31", "t32", "t33", "t34"].map(String::from).to_vec()
    }

    fn identity(&self) -> Vec<f64> {
        vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        let window = |w: Window| vec![w.scale, 0.0, 0.0, w.x, 0.0, w.scale, 0.0, w.y, 0.0, 0.0, 1.0, 0.0];
        Ok(Window::tile(n).into_iter().map(window).collect())
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        affine_basis(points)
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, theta, 12)?;
        Ok(theta.reshape(((), 3, 4))?)
    }

    fn composition(&self) -> Option<&dyn Composition> {
        Some(self)
    }
}

impl Composition for Affine3d {
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
        let matrix = compose_affine(&self.matrix(outer)?, &self.matrix(inner)?)?;
        Ok(matrix.flatten_from(1)?)
    }
}
