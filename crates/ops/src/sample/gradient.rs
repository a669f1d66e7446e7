//! The sampler's gradients, all that are wanted in one pass, and the operation that gives those of the explicit grid.

use std::slice::from_mut;

use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Storage, Tensor, WithDType, bail};
use stn_core::TargetGrid;

use super::fused::{self, Fused};
use super::plain::{self, Call};
use super::structured::Structured;
use super::warp::{Coordinates, Grid};
use super::{Sampler, check_structured, expect_types, grid_target, is_wider_here, reads_on_processor};
use crate::cpu::{Number, by_number, numbers};

/// The gradients wanted of [`sample_structured_gradients`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// To the input, equation 6.
    pub input: bool,
    /// To M, equation 7.
    pub matrix: bool,
    /// To B.
    pub basis: bool,
}

/// The gradients wanted of [`sample_grid_gradients`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridWanted {
    /// To the input, equation 6.
    pub input: bool,
    /// To the grid, equation 7.
    pub grid: bool,
}

/// The gradients of [`sample_structured`](super::sample_structured) to input, M and B, where they are wanted, from the gradient to its output; in one pass and without a tape.
///
/// # Errors
///
/// Where a shape or type does not fit, as for [`sample_structured`](super::sample_structured), or a tensor is not on the CPU.
pub fn sample_structured_gradients(
    input: &Tensor,
    matrix: &Tensor,
    basis: &Tensor,
    target: &TargetGrid,
    sampler: &Sampler,
    upstream: &Tensor,
    wanted: Wanted,
) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
    const NAME: &str = "sample_structured_gradients";
    expect_types(NAME, &[("input", input), ("upstream", upstream)], &[("matrix", matrix), ("basis", basis)])?;
    check_structured(NAME, input, matrix, basis, target, sampler)?;
    check_upstream(NAME, input, target.size(), upstream)?;
    if reads_on_processor(input, sampler) {
        let [input_here, matrix, basis, upstream] = [input, matrix, basis, upstream].map(|tensor| tensor.to_device(&Device::Cpu));
        let gradients = sample_structured_gradients(&input_here?, &matrix?, &basis?, target, sampler, &upstream?, wanted)?;
        return Ok((back(gradients.0, input)?, back(gradients.1, input)?, back(gradients.2, input)?));
    }
    if is_wider_here(input) {
        let (wide, upstream) = (input.to_dtype(DType::F32)?, upstream.to_dtype(DType::F32)?);
        let (to_input, to_matrix, to_basis) = sample_structured_gradients(&wide, matrix, basis, target, sampler, &upstream, wanted)?;
        return Ok((narrowed(to_input, input)?, to_matrix, to_basis));
    }
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return super::cuda::structured_gradients([input, matrix, basis, upstream], target, sampler, wanted);
    }
    with_cpu(NAME, [("input", input), ("matrix", matrix), ("basis", basis), ("upstream", upstream)], |[of_input, of_matrix, of_basis, of_upstream]| {
        let call = Call::new(sampler, input.dims(), target.size())?;
        by_number!(NAME, of_input.0, T => {
            let mut warp = Structured::<T>::new((of_matrix.0, &of_matrix.1), (of_basis.0, &of_basis.1), target.size())?;
            warp.basis_wanted = wanted.basis;
            let values = (numbers(of_input.0, &of_input.1)?, numbers(of_upstream.0, &of_upstream.1)?);
            let (to_input, to_matrix, to_basis) = structured::<T>(&call, values, &warp, wanted);
            Ok((tensor(wanted.input, to_input, input)?, tensor(wanted.matrix, to_matrix, matrix)?, tensor(wanted.basis, to_basis, basis)?))
        })
    })
}

/// The gradients of [`sample_grid`](super::sample_grid) to input and grid, where they are wanted, from the gradient to its output; in one pass and without a tape.
///
/// # Errors
///
/// Where a shape or type does not fit, as for [`sample_grid`](super::sample_grid), or a tensor is not on the CPU.
pub fn sample_grid_gradients(
    input: &Tensor,
    grid: &Tensor,
    sampler: &Sampler,
    upstream: &Tensor,
    wanted: GridWanted,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    const NAME: &str = "sample_grid_gradients";
    expect_types(NAME, &[("input", input), ("upstream", upstream)], &[("grid", grid)])?;
    let target = grid_target(NAME, input, grid, sampler)?;
    check_upstream(NAME, input, target, upstream)?;
    if reads_on_processor(input, sampler) {
        let [input_here, grid, upstream] = [input, grid, upstream].map(|tensor| tensor.to_device(&Device::Cpu));
        let gradients = sample_grid_gradients(&input_here?, &grid?, sampler, &upstream?, wanted)?;
        return Ok((back(gradients.0, input)?, back(gradients.1, input)?));
    }
    if is_wider_here(input) {
        let (wide, upstream) = (input.to_dtype(DType::F32)?, upstream.to_dtype(DType::F32)?);
        let (to_input, to_grid) = sample_grid_gradients(&wide, grid, sampler, &upstream, wanted)?;
        return Ok((narrowed(to_input, input)?, to_grid));
    }
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return super::cuda::grid_gradients([input, grid, upstream], target, sampler, wanted);
    }
    with_cpu(NAME, [("input", input), ("grid", grid), ("upstream", upstream)], |[of_input, of_grid, of_upstream]| {
        let call = Call::new(sampler, input.dims(), target)?;
        by_number!(NAME, of_input.0, T => {
            let warp = Grid::<T>::new(numbers(of_grid.0, &of_grid.1)?, target);
            let (source, upstream) = (numbers(of_input.0, &of_input.1)?, numbers(of_upstream.0, &of_upstream.1)?);
            let (to_input, to_grid) = match Fused::new(&call) {
                Some(fused) => fused.gradients(source, upstream, &warp, fused::Wanted { input: wanted.input, coordinates: wanted.grid }),
                None => (
                    if wanted.input { plain::input_gradient(&call, upstream, &warp) } else { Vec::new() },
                    if wanted.grid { plain::grid_gradient(&call, source, upstream, &warp) } else { Vec::new() },
                ),
            };
            Ok((tensor(wanted.input, to_input, input)?, tensor(wanted.grid, to_grid, grid)?))
        })
    })
}

/// A gradient that was computed on the processor, on the device of the input.
fn back(gradient: Option<Tensor>, input: &Tensor) -> Result<Option<Tensor>> {
    gradient.map(|gradient| gradient.to_device(input.device())).transpose()
}

/// A gradient in the type of the input.
fn narrowed(gradient: Option<Tensor>, input: &Tensor) -> Result<Option<Tensor>> {
    gradient.map(|gradient| gradient.to_dtype(input.dtype())).transpose()
}

/// The gradients to input, M and B; those that are not wanted are empty.
fn structured<T: Number>(call: &Call<'_>, (input, upstream): (&[T], &[T]), warp: &Structured<'_, T>, wanted: Wanted) -> (Vec<T>, Vec<T>, Vec<T>) {
    let coordinates = wanted.matrix || wanted.basis;
    if let Some(fused) = Fused::new(call) {
        let (to_input, sums) = fused.gradients(input, upstream, warp, fused::Wanted { input: wanted.input, coordinates });
        let (to_matrix, to_points) = warp.split(sums);
        let to_basis = if wanted.basis { warp.basis_gradient(&to_points) } else { Vec::new() };
        return (to_input, to_matrix, to_basis);
    }
    let to_input = if wanted.input { plain::input_gradient(call, upstream, warp) } else { Vec::new() };
    if !coordinates {
        return (to_input, Vec::new(), Vec::new());
    }
    let mut to_matrix = warp.gradients(
        || call.taps(),
        |taps, n, pixels, rows, gradient| {
            plain::coordinate_gradient(call, (input, upstream), taps, (n, pixels), rows, gradient);
        },
    );
    let to_basis = to_matrix.split_off(warp.matrix.len());
    (to_input, to_matrix, to_basis)
}

/// The storage of a tensor on the CPU with its layout.
type Held<'a> = (&'a CpuStorage, Layout);

/// Lends the storages of tensors, made contiguous, by name.
fn with_cpu<const N: usize, R>(operation: &str, tensors: [(&str, &Tensor); N], work: impl FnOnce([Held<'_>; N]) -> Result<R>) -> Result<R> {
    let mut contiguous = Vec::with_capacity(N);
    for (name, tensor) in tensors {
        if !tensor.device().is_cpu() {
            bail!("{operation}: {name} is not on the CPU; only the CPU is supported");
        }
        contiguous.push(tensor.contiguous()?);
    }
    let guards: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let mut held = Vec::with_capacity(N);
    for (storage, layout) in &guards {
        let Storage::Cpu(storage) = &**storage else { bail!("{operation}: only the CPU is supported") };
        held.push((storage, (*layout).clone()));
    }
    match held.try_into() {
        Ok(held) => work(held),
        Err(_) => bail!("{operation}: a tensor was lost"),
    }
}

fn check_upstream(operation: &str, input: &Tensor, target: &[usize], upstream: &Tensor) -> Result<()> {
    let expected = [&input.dims()[..2], target].concat();
    if upstream.dims() != expected {
        bail!("{operation}: expected a gradient of the output's shape {expected:?}, not {:?}", upstream.dims());
    }
    Ok(())
}

fn tensor<T: WithDType>(wanted: bool, values: Vec<T>, like: &Tensor) -> Result<Option<Tensor>> {
    wanted.then(|| Tensor::from_vec(values, like.shape(), like.device())).transpose()
}

/// From M, B and the grid's gradient to M's and, where it is wanted, B's after it in one vector.
pub(super) struct StructuredGridGradient<'a> {
    pub target: &'a [usize],
    pub basis_wanted: bool,
}

impl CustomOp3 for StructuredGridGradient<'_> {
    fn name(&self) -> &'static str {
        "structured_grid gradient"
    }

    fn cpu_fwd(
        &self,
        matrix: &CpuStorage,
        matrix_layout: &Layout,
        basis: &CpuStorage,
        basis_layout: &Layout,
        upstream: &CpuStorage,
        upstream_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), matrix, T => {
            let mut warp = Structured::<T>::new((matrix, matrix_layout), (basis, basis_layout), self.target)?;
            warp.basis_wanted = self.basis_wanted;
            let upstream = Grid::new(numbers(upstream, upstream_layout)?, self.target);
            let gradients = warp.gradients(|| (), |_, n, pixels, _, gradient| upstream.fill(n..n + 1, pixels, from_mut(gradient)));
            let length = gradients.len();
            Ok((T::to_cpu_storage_owned(gradients), length.into()))
        })
    }
}
