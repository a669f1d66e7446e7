//! The thin plate spline: section 3.2 of the paper, after Bookstein, *Principal Warps: Thin-Plate Splines and the Decomposition of Deformations*, PAMI 1989.

mod linear_system;
mod spline;

use std::sync::Arc;

use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::transformation::{Window, check_theta};
use stn_core::{Error, Fault, Plugin, Registry, Result, Transformation};
use stn_ops::deinterleave;

use spline::Spline;

/// The most control points along an axis: the system solved for 32 x 32 of them has 1027 unknowns.
pub const MOST_POINTS: usize = 32;

/// The largest regularisation; the spline is affine to rounding long before.
pub const MOST_REGULARISATION: f64 = 1e6;

/// The thin plate spline through n x n control points.
///
/// The points stand on a regular grid over \[-1, 1\]^2, corners included, row by row with x fastest. Theta holds, for each of them, the source x and y that it
/// maps to: `x0 y0 x1 y1 ...`. The spline is the smoothest map that does so (Bookstein 1989, whose U is twice this phi): `phi(r) = r^2 log r` about every point
/// and an affine part.
///
/// It is linear in theta, so it has the structured form `M B` of section 3.2 with M the moved points, 2 x n^2, and B the n^2 weights with which a target pixel
/// takes them: the solve is done once, and folded into B.
#[derive(Debug, Clone)]
pub struct ThinPlateSpline {
    points: usize,
    spline: Spline,
}

/// The parameters of [`ThinPlateSpline`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Parameters {
    /// Control points along each axis, 2 to 32: n x n of them, theta is 2 n^2 long.
    pub points: usize,
    /// Smoothing, 0 to 1e6: added to the diagonal of the system (phi = r^2 log r, coordinates -1 to 1), so that the spline passes near the points; 0 passes
    /// through them.
    pub regularisation: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { points: 4, regularisation: 0.0 }
    }
}

impl Plugin<dyn Transformation> for ThinPlateSpline {
    const NAME: &'static str = "tps";
    const SUMMARY: &'static str = "thin plate spline through n x n control points; theta = the source x y of each, row by row";
    type Parameters = Parameters;

    fn build(parameters: Parameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
        let Parameters { points, regularisation } = parameters;
        let mut faults = Vec::new();
        if !(2..=MOST_POINTS).contains(&points) {
            faults.push(Fault::at(["points"], format!("a thin plate spline takes 2 to {MOST_POINTS} control points along each axis, not {points}")));
        }
        if !(0.0..=MOST_REGULARISATION).contains(&regularisation) {
            let message = format!("the regularisation must be a number from 0 to {MOST_REGULARISATION:e}, not {regularisation}");
            faults.push(Fault::at(["regularisation"], message));
        }
        if !faults.is_empty() {
            return Err(Error::Parameters { plugin: Self::NAME.into(), faults });
        }
        Ok(Arc::new(Self { points, spline: Spline::new(points, regularisation)? }))
    }
}

impl Transformation for ThinPlateSpline {
    fn dims(&self) -> usize {
        2
    }

    fn theta_names(&self) -> Vec<String> {
        let points = (0..self.points).flat_map(|row| (0..self.points).map(move |column| (row, column)));
        points.flat_map(|(row, column)| [format!("x_{row}_{column}"), format!("y_{row}_{column}")]).collect()
    }

    fn identity(&self) -> Vec<f64> {
        self.spline.centres().iter().flatten().copied().collect()
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        let moved = |w: Window| self.spline.centres().iter().flat_map(|[x, y]| [w.x + w.scale * x, w.y + w.scale * y]).collect();
        Ok(Window::tile(n).into_iter().map(moved).collect())
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        self.spline.basis(points)
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        check_theta(Self::NAME, theta, self.theta_len())?;
        Ok(deinterleave(theta, 2)?)
    }

    fn theta_len(&self) -> usize {
        2 * self.points * self.points
    }
}
