//! The attention transformation: equation 2 of the paper.

use std::sync::Arc;

use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::transformation::{Window, affine_basis, check_theta, column};
use stn_core::{Composition, Error, Plugin, Registry, Result, Transformation};

/// `M = [s 0 tx; 0 s ty]` on (x, y, 1): cropping, translation and isotropic scaling, equation 2 of the paper.
///
/// Theta is `s tx ty`, or `tx ty` where the scale is fixed, as in the paper's experiments on birds. With a fixed scale other than 1 no theta maps every point
/// to itself; [`identity`](Transformation::identity) is then the window in the middle.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Attention {
    scale: Option<f64>,
}

/// The parameters of [`Attention`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Parameters {
    /// Fixes the scale s (above 0; 0.5 is half of each axis), so that theta is tx ty only. Without it, s is part of theta.
    pub scale: Option<f64>,
}

impl Plugin<dyn Transformation> for Attention {
    const NAME: &'static str = "attention";
    const SUMMARY: &'static str = "isotropic scale and translation; theta = s tx ty, or tx ty where the scale is fixed";
    type Parameters = Parameters;

    fn build(parameters: Parameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
        match parameters.scale {
            Some(scale) if !(scale.is_finite() && scale > 0.0) => {
                Err(Error::parameter(Self::NAME, "scale", format!("the scale must be a finite number above 0, not {scale}")))
            }
            scale => Ok(Arc::new(Self { scale })),
        }
    }
}

impl Transformation for Attention {
    fn dims(&self) -> usize {
        2
    }

    fn theta_names(&self) -> Vec<String> {
        let names: &[&str] = if self.scale.is_some() { &["tx", "ty"] } else { &["s", "tx", "ty"] };
        names.iter().copied().map(String::from).collect()
    }

    fn identity(&self) -> Vec<f64> {
        if self.scale.is_some() { vec![0.0, 0.0] } else { vec![1.0, 0.0, 0.0] }
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        let theta = |w: Window| if self.scale.is_some() { vec![w.x, w.y] } else { vec![w.scale, w.x, w.y] };
        Ok(Window::tile(n).into_iter().map(theta).collect())
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        affine_basis(points)
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, theta, self.theta_len())?;
        let (scale, first) = match self.scale {
            Some(scale) => (column(theta, 0)?.ones_like()?.affine(scale, 0.0)?, 0),
            None => (column(theta, 0)?, 1),
        };
        let (tx, ty) = (column(theta, first)?, column(theta, first + 1)?);
        let zero = tx.zeros_like()?;
        Ok(Tensor::cat(&[&scale, &zero, &tx, &zero, &scale, &ty], 1)?.reshape(((), 2, 3))?)
    }

    fn composition(&self) -> Option<&dyn Composition> {
        // Half of a half is a quarter: windows of one fixed scale do not compose.
        self.scale.is_none().then_some(self as &dyn Composition)
    }
}

impl Composition for Attention {
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, outer, 3)?;
        check_theta(Self::NAME, inner, 3)?;
        // s = s_o s_i, t = s_o t_i + t_o.
        let scaled = inner.broadcast_mul(&column(outer, 0)?)?;
        let shift = Tensor::cat(&[&column(outer, 0)?.zeros_like()?, &outer.narrow(1, 1, 2)?], 1)?;
        Ok((scaled + shift)?)
    }
}
