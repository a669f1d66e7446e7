//! Transformations whose maps compose.

use candle_core::Tensor;

use crate::Result;
use crate::transformation::guarded;

/// A transformation that is closed under composition: of two of its maps, one after the other makes a third.
///
/// A sequence of spatial transformers needs it (Lin & Lucey, *Inverse Compositional Spatial Transformer Networks*, CVPR 2017). The transformation gives itself by
/// [`Transformation::composition`](crate::Transformation::composition).
pub trait Composition {
    /// The theta of `p -> T_outer(T_inner(p))`, differentiable: two of `N x theta_len` to one. A target pixel goes through `inner` first.
    ///
    /// # Errors
    ///
    /// Where a shape does not fit.
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor>;
}

/// A matrix `N x R x K` with the row `0 .. 0 1` below: as it acts on homogeneous coordinates.
///
/// # Errors
///
/// Where the shape does not fit.
pub fn with_unit_row(matrix: &Tensor) -> Result<Tensor> {
    let last = matrix.dim(2)?.saturating_sub(1);
    let row = matrix.narrow(1, 0, 1)?;
    let unit = Tensor::cat(&[&row.narrow(2, 0, last)?.zeros_like()?, &row.narrow(2, last, 1)?.ones_like()?], 2)?;
    Ok(Tensor::cat(&[matrix, &unit], 1)?)
}

/// The matrix of one affine map after another, each `N x D x (D + 1)`: `M_outer [M_inner; 0 .. 0 1]`.
///
/// # Errors
///
/// Where the shapes do not fit.
pub fn compose_affine(outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
    Ok(outer.contiguous()?.matmul(&with_unit_row(inner)?)?)
}

/// The matrix of one homography after another, each `N x R x R`: `M_outer M_inner`, scaled so that its last entry is 1 again (guarded where that is near zero: where the
/// middle of the target goes to infinity).
///
/// # Errors
///
/// Where the shapes do not fit.
pub fn compose_projective(outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
    let product = outer.contiguous()?.matmul(&inner.contiguous()?)?;
    let last = product.dim(1)?.saturating_sub(1);
    Ok(product.broadcast_div(&guarded(&product.narrow(1, last, 1)?.narrow(2, last, 1)?)?)?)
}
