//! Transformations T_theta: from a target pixel to its place in the source.

use std::fmt::Debug;

use candle_core::{D, Tensor};

use crate::{Composition, Error, Result, TargetGrid};

/// The least magnitude of a homogeneous divisor: nearer to zero it is replaced by this, with its sign, and passes no gradient.
pub const HOMOGENEOUS_GUARD: f64 = 1e-6;

/// How coordinates follow from `M_theta B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `M_theta B` is the coordinates: M has as many rows as there are axes.
    Linear,
    /// M has one row more; the others are divided by it, guarded near zero by [`HOMOGENEOUS_GUARD`].
    Homogeneous,
    /// No structured form; the transformation implements [`Transformation::map`] or [`Transformation::grid`] itself and is sampled through an explicit grid.
    Free,
}

/// A transformation of the paper's structured class, `T_theta(G) = M_theta B`, or a free one.
///
/// A structured transformation implements [`basis`](Self::basis) and [`matrix`](Self::matrix); the fused sampler then needs no grid in memory. Shapes: N samples,
/// D axes, P points, K basis rows, R = D rows (linear) or D + 1 (homogeneous).
pub trait Transformation: Debug + Send + Sync {
    /// The number of axes it works on, 2 or 3.
    fn dims(&self) -> usize;

    /// The name of each parameter, in the order in which theta holds them; their number is the length of theta.
    fn theta_names(&self) -> Vec<String>;

    /// The theta that maps every point to itself; the one nearest to that where parameters of the plugin leave no such theta.
    fn identity(&self) -> Vec<f64>;

    /// `n` distinct starting thetas for `n` parallel transformers; for one transformer, the identity.
    ///
    /// They look at distinct places on a regular arrangement, as far as the transformation can: see [`Window::tile`]. For square numbers these cover the source.
    ///
    /// # Errors
    ///
    /// Where the transformation cannot look at a part of the source.
    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>>;

    /// How coordinates follow from `M_theta B`.
    fn form(&self) -> Form {
        Form::Linear
    }

    /// B at any points: `N x D x P -> N x K x P`, differentiable with respect to the points. At the points of a target grid it is a constant, computed once.
    ///
    /// # Errors
    ///
    /// Where the transformation has no structured form, or the shape does not fit.
    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        let _ = points;
        Err(Error::Unsupported(format!("{self:?} has no structured form, so no basis")))
    }

    /// M_theta, differentiable: `N x theta_len -> N x R x K`.
    ///
    /// # Errors
    ///
    /// Where the transformation has no structured form, or the shape does not fit.
    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        let _ = theta;
        Err(Error::Unsupported(format!("{self:?} has no structured form, so no matrix")))
    }

    /// Maps points, differentiable with respect to theta and the points: `(N x theta_len, N x D x P) -> N x D x P`. Points with N = 1 serve every theta.
    ///
    /// # Errors
    ///
    /// Where a shape does not fit.
    fn map(&self, theta: &Tensor, points: &Tensor) -> Result<Tensor> {
        let product = self.matrix(theta)?.broadcast_matmul(&self.basis(points)?.contiguous()?)?;
        match self.form() {
            Form::Homogeneous => {
                let dims = self.dims();
                let divisor = guarded(&product.narrow(1, dims, 1)?)?;
                Ok(product.narrow(1, 0, dims)?.broadcast_div(&divisor)?)
            }
            Form::Linear | Form::Free => Ok(product),
        }
    }

    /// The sampling grid, `N x H x W x 2` or `N x D x H x W x 3`: for each target pixel its place in the source.
    ///
    /// # Errors
    ///
    /// Where a shape does not fit.
    fn grid(&self, theta: &Tensor, target: &TargetGrid) -> Result<Tensor> {
        let points = target.points(theta.dtype(), theta.device())?.unsqueeze(0)?;
        let mapped = self.map(theta, &points)?;
        let mut shape = vec![theta.dim(0)?];
        shape.extend_from_slice(target.size());
        shape.push(self.dims());
        Ok(mapped.transpose(1, 2)?.contiguous()?.reshape(shape)?)
    }

    /// How two maps of this transformation make a third, where they do: the transformation itself, or `None` where it is not closed under composition.
    fn composition(&self) -> Option<&dyn Composition> {
        None
    }

    /// The length of theta.
    fn theta_len(&self) -> usize {
        self.identity().len()
    }
}

/// A homogeneous divisor kept away from zero by [`HOMOGENEOUS_GUARD`].
pub(crate) fn guarded(divisor: &Tensor) -> Result<Tensor> {
    let negative = divisor.lt(0.0)?;
    let least = Tensor::full(HOMOGENEOUS_GUARD, divisor.shape(), divisor.device())?.to_dtype(divisor.dtype())?;
    let signed = negative.where_cond(&least.neg()?, &least)?;
    Ok(divisor.abs()?.lt(HOMOGENEOUS_GUARD)?.where_cond(&signed, divisor)?)
}

/// Checks that theta is `N x length`, with a message in the words of the field.
///
/// # Errors
///
/// Where it is not.
pub fn check_theta(name: &str, theta: &Tensor, length: usize) -> Result<()> {
    match theta.dims() {
        [_, n] if *n == length => Ok(()),
        other => Err(Error::Unsupported(format!("{name} takes a theta of N x {length}, not {other:?}"))),
    }
}

/// The window of one of `n` parallel transformers: an isotropic `scale` about the centre `(x, y)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// The centre's normalised x.
    pub x: f64,
    /// The centre's normalised y.
    pub y: f64,
    /// Half the side of the window, 1 for the whole source.
    pub scale: f64,
}

impl Window {
    /// `n` distinct windows on a regular arrangement of `ceil(sqrt n)` columns, row by row; each is a square, one column wide.
    ///
    /// Where `n` is a square number they cover the source; elsewhere a part is left out, for two half its height.
    pub fn tile(n: usize) -> Vec<Self> {
        let columns = (1..).find(|c| c * c >= n).unwrap_or(1);
        let rows = n.div_ceil(columns).max(1);
        let scale = 1.0 / columns as f64;
        let centre = |i: usize, count: usize| TargetGrid::coordinate(i, count, false);
        (0..n).map(|i| Self { x: centre(i % columns, columns), y: centre(i / columns, rows), scale }).collect()
    }
}

/// Points with a row of ones below, `N x D x P -> N x (D + 1) x P`: the basis of every affine transformation.
///
/// # Errors
///
/// Where the shape does not fit.
pub fn affine_basis(points: &Tensor) -> Result<Tensor> {
    let ones = points.narrow(1, 0, 1)?.ones_like()?;
    Ok(Tensor::cat(&[points, &ones], 1)?)
}

/// Column `i` of theta as `N x 1`: the piece from which a matrix is put together.
///
/// # Errors
///
/// Where theta has no such column.
pub fn column(theta: &Tensor, i: usize) -> Result<Tensor> {
    Ok(theta.narrow(D::Minus1, i, 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_window_is_the_whole_source() {
        assert_eq!(Window::tile(1), [Window { x: 0.0, y: 0.0, scale: 1.0 }]);
    }

    #[test]
    fn four_windows_are_the_quarters() {
        let centres: Vec<_> = Window::tile(4).iter().map(|w| (w.x, w.y)).collect();
        assert_eq!(centres, [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]);
        assert_eq!(Window::tile(4)[0].scale, 0.5);
    }

    #[test]
    fn windows_are_distinct_for_any_number() {
        for n in 0..12 {
            let windows = Window::tile(n);
            assert_eq!(windows.len(), n);
            for (i, a) in windows.iter().enumerate() {
                assert!(windows[i + 1..].iter().all(|b| a != b));
            }
        }
    }
}
