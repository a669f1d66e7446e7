//! The translation.

use std::sync::Arc;

use candle_core::Tensor;
use stn_core::transformation::{Window, affine_basis, check_theta, column};
use stn_core::{Composition, NoParameters, Plugin, Registry, Result, Transformation};

/// `(x_s, y_s) = (x_t + tx, y_t + ty)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Translation;

impl Plugin<dyn Transformation> for Translation {
    const NAME: &'static str = "translation";
    const SUMMARY: &'static str = "a shift; theta = tx ty";
    type Parameters = NoParameters;

    fn build(_: NoParameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
        Ok(Arc::new(Translation))
    }
}

impl Transformation for Translation {
    fn dims(&self) -> usize {
        2
    }

    fn theta_names(&self) -> Vec<String> {
        ["tx", "ty"].map(String::from).to_vec()
    }

    fn identity(&self) -> Vec<f64> {
        vec![0.0, 0.0]
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        // A translation cannot scale: every tile looks through a window of full size, moved to its place.
        Ok(Window::tile(n).into_iter().map(|window| vec![window.x, window.y]).collect())
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        affine_basis(points)
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, theta, 2)?;
        let (tx, ty) = (column(theta, 0)?, column(theta, 1)?);
        let (zero, one) = (tx.zeros_like()?, tx.ones_like()?);
        Ok(Tensor::cat(&[&one, &zero, &tx, &zero, &one, &ty], 1)?.reshape(((), 2, 3))?)
    }

    fn composition(&self) -> Option<&dyn Composition> {
        Some(self)
    }
}

impl Composition for Translation {
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, outer, 2)?;
        check_theta(Self::NAME, inner, 2)?;
        Ok((outer + inner)?)
    }
}
