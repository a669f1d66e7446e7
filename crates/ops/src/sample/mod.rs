//! The differentiable sampler, equation 3 of the paper, with its gradients, equations 6 and 7:
//!
//! `V[n, c, p] = sum over pixels q of U[n, c, q] k(x_p - q_x) k(y_p - q_y) (k(z_p - q_z))`
//!
//! The coordinates come from the paper's structured form `M_theta B`, computed on the fly for a tile of target pixels at a time, so that no `N x P x 2` grid is ever
//! stored; or from an explicit grid. Both share everything else:
//!
//! - [`warp`]: where a tile's normalised coordinates come from, and the way back to M and B or to the grid;
//! - [`fused`]: the tasks, each a group of channels of one sample, packed, in what each thread keeps ([`memory`]):
//!   - [`packed`]: the channels of a pixel side by side ([`transpose`]), and around the source what the boundary puts there, so that the loops test nothing;
//!   - [`places`]: from coordinates to the packed pixels that are read and their weights, boundary and kernel applied, an axis at a time;
//!   - [`lanes`], [`quads`] and [`single`]: the loops over pixels and taps for sixteen lanes, for four, and for one channel, in the words of [`arithmetic`];
//! - [`plain`] with [`taps`]: the same without packing, for sources far larger than the target; and what the packed path is tested against;
//! - `cuda`: the same on a graphics card;
//! - [`op`]: the candle operations that hold it together;
//! - [`gradient`]: the gradients, all that are wanted in one pass.

mod arithmetic;
#[cfg(any(feature = "cuda", test))]
mod cuda;
mod fused;
mod gradient;
mod lanes;
mod memory;
mod op;
mod packed;
mod places;
mod plain;
mod quads;
mod single;
mod structured;
mod taps;
#[cfg(test)]
mod tests;
mod transpose;
mod two_taps;
mod warp;

use std::sync::Arc;

use candle_core::{D, DType, Device, Result, Tensor, bail};
use stn_core::{Boundary, Sampling, TargetGrid};

use crate::cpu::{elements, expect_numbers, is_half, is_wider_here};

pub(crate) use arithmetic::Lanes;
pub use gradient::{GridWanted, Wanted, sample_grid_gradients, sample_structured_gradients};

/// How a source is read between and beyond its pixels.
#[derive(Debug, Clone)]
pub struct Sampler {
    /// The sampling kernel.
    pub kernel: Arc<dyn Sampling>,
    /// What is read outside the source.
    pub boundary: Boundary,
    /// Whether -1 and 1 are the centres of the outer pixels (true) or their outer edges (false).
    pub align_corners: bool,
}

/// Samples `input` where `M_theta B` points: `N x C x H x W` (or `N x C x D x H x W`) to `N x C x target size`.
///
/// `matrix` is M, `N x R x K`, and `basis` is B, `K x P`, for the P pixels of `target`. R is the number of axes D, or D + 1 for homogeneous coordinates, whose last row
/// divides the others, guarded near zero by [`HOMOGENEOUS_GUARD`](stn_core::transformation::HOMOGENEOUS_GUARD). Gradients flow to all three tensors, where they are
/// tracked. A coordinate that is not finite reads zero under [`Boundary::Zeros`] and what [`Boundary::coordinate`] says elsewhere, and passes no gradient.
///
/// An `input` in bf16 or f16 gives an output of its type, and so is its gradient; coordinates and sums are in f32 all the same, each rounded once, where it is stored.
///
/// On a graphics card a kernel without [`cuda_source`](stn_core::SamplingKernel::cuda_source) reads on the processor: the tensors go there and back.
///
/// # Errors
///
/// Where a shape or type does not fit: every tensor f32 or all f64, or `input` bf16 or f16 and the others f32; the same `align_corners` for the target and the sampler; or the
/// output is too large for any memory.
pub fn sample_structured(input: &Tensor, matrix: &Tensor, basis: &Tensor, target: &TargetGrid, sampler: &Sampler) -> Result<Tensor> {
    expect_types("sample_structured", &[("input", input)], &[("matrix", matrix), ("basis", basis)])?;
    check_structured("sample_structured", input, matrix, basis, target, sampler)?;
    if reads_on_processor(input, sampler) {
        let [input_here, matrix, basis] = [input, matrix, basis].map(|tensor| tensor.to_device(&Device::Cpu));
        return sample_structured(&input_here?, &matrix?, &basis?, target, sampler)?.to_device(input.device());
    }
    if is_wider_here(input) {
        return sample_structured(&input.to_dtype(DType::F32)?, matrix, basis, target, sampler)?.to_dtype(input.dtype());
    }
    let op = op::SampleStructured { sampler: sampler.clone(), target: target.clone() };
    input.contiguous()?.apply_op3(&matrix.contiguous()?, &basis.contiguous()?, op)
}

/// Samples `input` at an explicit `grid` of normalised coordinates, `N x H' x W' x 2` (or `N x D' x H' x W' x 3`), x first: to `N x C x H' x W'` (`N x C x D' x H' x W'`).
///
/// The same as [`sample_structured`] in every other respect, to the bit.
///
/// # Errors
///
/// Where a shape or type does not fit.
pub fn sample_grid(input: &Tensor, grid: &Tensor, sampler: &Sampler) -> Result<Tensor> {
    expect_types("sample_grid", &[("input", input)], &[("grid", grid)])?;
    grid_target("sample_grid", input, grid, sampler)?;
    if reads_on_processor(input, sampler) {
        return sample_grid(&input.to_device(&Device::Cpu)?, &grid.to_device(&Device::Cpu)?, sampler)?.to_device(input.device());
    }
    if is_wider_here(input) {
        return sample_grid(&input.to_dtype(DType::F32)?, grid, sampler)?.to_dtype(input.dtype());
    }
    input.contiguous()?.apply_op2(&grid.contiguous()?, op::SampleGrid { sampler: sampler.clone() })
}

/// The coordinates that [`sample_structured`] reads at, as an explicit grid `N x H x W x 2` (or `N x D x H x W x 3`), x first; differentiable.
///
/// # Errors
///
/// Where a shape or type does not fit.
pub fn structured_grid(matrix: &Tensor, basis: &Tensor, target: &TargetGrid) -> Result<Tensor> {
    expect_numbers("structured_grid", &[("matrix", matrix), ("basis", basis)])?;
    check_structure("structured_grid", matrix, basis, target)?;
    elements("structured_grid", &[&[matrix.dim(0)?], target.size(), &[target.dims()]].concat())?;
    matrix.contiguous()?.apply_op2(&basis.contiguous()?, op::StructuredGrid { target: target.clone() })
}

/// Refuses images and what coordinates come from unless all are f32 or all f64, or the images bf16 or f16 beside f32.
fn expect_types(op: &str, images: &[(&str, &Tensor)], coordinates: &[(&str, &Tensor)]) -> Result<()> {
    let Some((name, image)) = images.first().filter(|(_, image)| is_half(image)) else { return expect_numbers(op, &[images, coordinates].concat()) };
    for (other, tensor) in images {
        if tensor.dtype() != image.dtype() {
            bail!("{op}: {name} is {:?} and {other} is {:?}; convert one to the other's type", image.dtype(), tensor.dtype());
        }
    }
    for (other, tensor) in coordinates {
        if tensor.dtype() != DType::F32 {
            bail!("{op}: {name} is {:?} and {other} is {:?}; with images in 16 bits convert {other} to f32", image.dtype(), tensor.dtype());
        }
    }
    Ok(())
}

/// Whether the input is on a graphics card and the kernel has no code for one.
fn reads_on_processor(input: &Tensor, sampler: &Sampler) -> bool {
    !input.device().is_cpu() && sampler.kernel.cuda_source().is_none()
}

/// Input, M and B that fit each other, the target and the sampler.
fn check_structured(op: &str, input: &Tensor, matrix: &Tensor, basis: &Tensor, target: &TargetGrid, sampler: &Sampler) -> Result<()> {
    let samples = check_input(op, input, target.size(), sampler)?;
    check_structure(op, matrix, basis, target)?;
    if matrix.dim(0)? != samples {
        bail!("{op}: input has {samples} samples and matrix {}; expected the same number", matrix.dim(0)?);
    }
    if target.align_corners() != sampler.align_corners {
        bail!("{op}: the target grid has align_corners = {} and the sampler {}; use one value for both", target.align_corners(), sampler.align_corners);
    }
    Ok(())
}

/// The target size of a grid that fits the input.
fn grid_target<'a>(op: &str, input: &Tensor, grid: &'a Tensor, sampler: &Sampler) -> Result<&'a [usize]> {
    let target = match grid.dims() {
        [_, target @ .., 2 | 3] if target.len() == grid.dim(D::Minus1)? => target,
        other => bail!("{op}: expected a grid of N x H x W x 2 or N x D x H x W x 3, not {other:?}"),
    };
    let samples = check_input(op, input, target, sampler)?;
    if grid.dim(0)? != samples {
        bail!("{op}: input has {samples} samples and grid {}; expected the same number", grid.dim(0)?);
    }
    Ok(target)
}

/// The number of samples of an input with the axes of the target, none too long for a kernel's pixel numbers; a kernel that reads at all, and an output that fits memory.
fn check_input(op: &str, input: &Tensor, target: &[usize], sampler: &Sampler) -> Result<usize> {
    if sampler.kernel.support() == 0 {
        bail!("{op}: the sampling kernel {:?} has no taps; expected a support of at least 1", sampler.kernel);
    }
    match input.dims() {
        [samples, channels, size @ ..] if size.len() == target.len() => {
            if size.iter().any(|&n| n > taps::LONGEST_AXIS) {
                bail!("{op}: an axis of the input {size:?} is longer than {} pixels", taps::LONGEST_AXIS);
            }
            // Without channels there is no output, but the coordinates' gradients are summed all the same.
            elements(op, &[&[*samples, (*channels).max(1)], target].concat())?;
            Ok(*samples)
        }
        other => bail!("{op}: expected an input of N x C x {}, not {other:?}", if target.len() == 2 { "H x W" } else { "D x H x W" }),
    }
}

/// A matrix `N x R x K` and a basis `K x P` that fit each other and the target.
fn check_structure(op: &str, matrix: &Tensor, basis: &Tensor, target: &TargetGrid) -> Result<()> {
    let (dims, pixels) = (target.dims(), target.pixels());
    let (rows, columns) = match matrix.dims() {
        [_, rows, columns] if (*rows == dims || *rows == dims + 1) && *columns > 0 => (*rows, *columns),
        other => bail!("{op}: expected a matrix of N x {dims} x K or N x {} x K for {dims} axes, not {other:?}", dims + 1),
    };
    match basis.dims() {
        [k, p] if *k == columns && *p == pixels => Ok(()),
        other => bail!(
            "{op}: expected a basis of {columns} x {pixels}, a row for each column of the {rows} x {columns} matrix and a column for each pixel of the target {:?}, not {other:?}",
            target.size()
        ),
    }
}
