//! The plane projective transformation, eight parameters: section 3.2 of the paper.

use std::sync::Arc;

use candle_core::Tensor;
use stn_core::composition::compose_projective;
use stn_core::transformation::{Window, affine_basis, check_theta};
use stn_core::{Composition, Form, NoParameters, Plugin, Registry, Result, Transformation};

/// `(x_s, y_s) = (u / w, v / w)` with `(u, v, w) = [t11 t12 t13; t21 t22 t23; t31 t32 1] (x_t, y_t, 1)`: the plane projective transformation of section 3.2.
/// Theta holds the matrix row by row without its last entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Projective;

impl Plugin<dyn Transformation> for Projective {
    const NAME: &'static str = "projective";
    const SUMMARY: &'static str = "any plane projective map (homography); theta = t11 t12 t13 t21 t22 t23 t31 t32, with t33 = 1";
    type Parameters = NoParameters;

    fn build(_: NoParameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
        Ok(Arc::new(Projective))
    }
}

impl Transformation for Projective {
    fn dims(&self) -> usize {
        2
    }

    fn theta_names(&self) -> Vec<String> {
        ["t11", "t12", "t13", "t21", "t22", "t23", "t31", "t32"].map(String::from).to_vec()
    }

    fn identity(&self) -> Vec<f64> {
        vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        Ok(Window::tile(n).into_iter().map(|window| vec![window.scale, 0.0, window.x, 0.0, window.scale, window.y, 0.0, 0.0]).collect())
    }

    fn form(&self) -> Form {
        Form::Homogeneous
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        affine_basis(points)
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, theta, 8)?;
        let one = theta.narrow(1, 0, 1)?.ones_like()?;
        Ok(Tensor::cat(&[theta, &one], 1)?.reshape(((), 3, 3))?)
    }

    fn composition(&self) -> Option<&dyn Composition> {
        Some(self)
    }
}

impl Composition for Projective {
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
        let matrix = compose_projective(&self.matrix(outer)?, &self.matrix(inner)?)?;
        Ok(matrix.flatten_from(1)?.narrow(1, 0, 8)?.contiguous()?)
    }
}
