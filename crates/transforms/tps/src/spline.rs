//! The weights with which a thin plate spline takes its control points.

use candle_core::{DType, Device, Tensor};
use stn_core::{Error, Result, TargetGrid};

use crate::linear_system;

/// A squared distance below which the logarithm is taken of this instead: `phi` and its gradient are 0 at a control point, not NaN.
const LEAST_SQUARED_DISTANCE: f64 = 1e-200;

/// The control points, and the solved system.
///
/// With `Phi(p) = (phi(|p - c_1|), ..., phi(|p - c_K|), 1, x, y)` and `L = [A + regularisation I, Q; Q^T, 0]`, `A_ij = phi(|c_i - c_j|)`, `Q_i = (1, x_i, y_i)`
/// (Bookstein 1989, equation 4), the spline through values v is `f(p) = (v, 0) L^-1 Phi(p)`, so `B(p)` is the first K rows of `L^-1` times `Phi(p)`.
#[derive(Debug, Clone)]
pub struct Spline {
    centres: Vec<[f64; 2]>,
    /// The first K rows of the inverse of L, K x (K + 3), row by row.
    solved: Vec<f64>,
}

impl Spline {
    /// With `points x points` control points on a regular grid over \[-1, 1\]^2.
    pub fn new(points: usize, regularisation: f64) -> Result<Self> {
        let along = |i| TargetGrid::coordinate(i, points, true);
        let centres: Vec<[f64; 2]> = (0..points * points).map(|i| [along(i % points), along(i / points)]).collect();
        let (k, order) = (centres.len(), centres.len() + 3);
        let mut system = vec![0.0; order * order];
        let mut unit = vec![0.0; order * k];
        for (i, a) in centres.iter().enumerate() {
            unit[i * k + i] = 1.0;
            for (j, b) in centres.iter().enumerate() {
                system[i * order + j] = phi((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)) + if i == j { regularisation } else { 0.0 };
            }
            for (row, value) in [1.0, a[0], a[1]].into_iter().enumerate() {
                system[i * order + k + row] = value;
                system[(k + row) * order + i] = value;
            }
        }
        let columns = linear_system::solve(system, unit, order)
            .ok_or_else(|| Error::Unsupported(format!("the thin plate spline through {points} x {points} control points cannot be solved for")))?;
        // L is symmetric, and so is its inverse: its first K columns, solved for here, are its first K rows.
        let solved = (0..k * order).map(|i| columns[i % order * k + i / order]).collect();
        Ok(Self { centres, solved })
    }

    /// The control points, row by row with x fastest.
    pub fn centres(&self) -> &[[f64; 2]] {
        &self.centres
    }

    /// B: `N x 2 x P -> N x K x P`, computed in f64 whatever the points' type, since large terms cancel in it.
    pub fn basis(&self, points: &Tensor) -> Result<Tensor> {
        let device = points.device();
        let exact = points.to_dtype(DType::F64)?;
        let (x, y) = (exact.narrow(1, 0, 1)?, exact.narrow(1, 1, 1)?);
        let squared = x.broadcast_sub(&self.axis(0, device)?)?.sqr()?.add(&y.broadcast_sub(&self.axis(1, device)?)?.sqr()?)?;
        let radial = squared.mul(&squared.maximum(LEAST_SQUARED_DISTANCE)?.log()?)?.affine(0.5, 0.0)?;
        let terms = Tensor::cat(&[&radial, &x.ones_like()?, &x, &y], 1)?;
        let k = self.centres.len();
        let solved = Tensor::from_slice(&self.solved, (1, k, k + 3), device)?;
        Ok(solved.broadcast_matmul(&terms)?.to_dtype(points.dtype())?)
    }

    fn axis(&self, axis: usize, device: &Device) -> Result<Tensor> {
        let values: Vec<f64> = self.centres.iter().map(|centre| centre[axis]).collect();
        Ok(Tensor::from_vec(values, (1, self.centres.len(), 1), device)?)
    }
}

/// `r^2 log r` of a squared distance, 0 at 0.
fn phi(squared: f64) -> f64 {
    if squared > 0.0 { 0.5 * squared * squared.ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_is_zero_at_zero_and_at_one() {
        assert_eq!((phi(0.0), phi(1.0)), (0.0, 0.0));
        assert!((phi(4.0) - 4.0 * 2.0_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn weights_at_a_control_point_are_one_for_it_and_zero_for_the_others() -> Result<()> {
        let spline = Spline::new(3, 0.0)?;
        let points = Tensor::cat(&[spline.axis(0, &Device::Cpu)?, spline.axis(1, &Device::Cpu)?], 2)?.transpose(1, 2)?;
        let basis = spline.basis(&points)?.squeeze(0)?.to_vec2::<f64>()?;
        for (i, row) in basis.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                assert!((value - f64::from(u8::from(i == j))).abs() < 1e-12, "{i} {j}: {value}");
            }
        }
        Ok(())
    }

    #[test]
    fn weights_sum_to_one_with_and_without_regularisation() -> Result<()> {
        for regularisation in [0.0, 0.1, 1e6] {
            let points = Tensor::new(&[[[-1.3, 0.2, 0.9], [0.4, 0.0, -0.7]]], &Device::Cpu)?;
            let sums = Spline::new(4, regularisation)?.basis(&points)?.sum(1)?.squeeze(0)?.to_vec1::<f64>()?;
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-9), "{regularisation}: {sums:?}");
        }
        Ok(())
    }
}
