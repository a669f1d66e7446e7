//! The sampler as candle operations. Their gradients are operations too: see [`gradient`](super::gradient).

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};
use stn_core::TargetGrid;

use super::Sampler;
#[cfg(feature = "cuda")]
use super::cuda::{self, OnCard as SamplerOnCard};
use super::fused::Fused;
use super::gradient::{GridWanted, StructuredGridGradient, Wanted, sample_grid_gradients, sample_structured_gradients};
use super::plain::{self, Call};
use super::structured::Structured;
use super::warp::{Coordinates, Grid};
use crate::cpu::{Number, by_number, numbers};
#[cfg(feature = "cuda")]
use crate::cuda::candle::OnCard;

/// Input, M and B to the output.
pub(super) struct SampleStructured {
    pub sampler: Sampler,
    pub target: TargetGrid,
}

/// Input and grid to the output.
pub(super) struct SampleGrid {
    pub sampler: Sampler,
}

/// M and B to the grid.
pub(super) struct StructuredGrid {
    pub target: TargetGrid,
}

impl CustomOp3 for SampleStructured {
    fn name(&self) -> &'static str {
        "sample_structured"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        matrix: &CpuStorage,
        matrix_layout: &Layout,
        basis: &CpuStorage,
        basis_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let call = Call::new(&self.sampler, input_layout.dims(), self.target.size())?;
        by_number!(self.name(), input, T => {
            let warp = Structured::<T>::new((matrix, matrix_layout), (basis, basis_layout), self.target.size())?;
            let output = sample(&call, numbers(input, input_layout)?, &warp);
            Ok((T::to_cpu_storage_owned(output), call.output_shape(self.target.size())))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        matrix: &CudaStorage,
        matrix_layout: &Layout,
        basis: &CudaStorage,
        basis_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let call = Call::new(&self.sampler, input_layout.dims(), self.target.size())?;
        let card = OnCard::of(input);
        let (_, rows, terms) = matrix_layout.shape().dims3()?;
        let (matrix, basis, input) = (card.place(matrix, matrix_layout)?, card.place(basis, basis_layout)?, card.place(input, input_layout)?);
        let sampler = SamplerOnCard::new(&card, &call, cuda::Coordinates::Structured { matrix, basis, rows, terms }, card.dtype())?;
        card.make(card.dtype(), &call.output_shape(self.target.size()), |output| sampler.sample(input, output))
    }

    fn bwd(&self, input: &Tensor, matrix: &Tensor, basis: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let wanted = Wanted { input: input.track_op(), matrix: matrix.track_op(), basis: basis.track_op() };
        sample_structured_gradients(input, matrix, basis, &self.target, &self.sampler, upstream, wanted)
    }
}

impl CustomOp2 for SampleGrid {
    fn name(&self) -> &'static str {
        "sample_grid"
    }

    fn cpu_fwd(&self, input: &CpuStorage, input_layout: &Layout, grid: &CpuStorage, grid_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let target = target_size(grid_layout.dims());
        let call = Call::new(&self.sampler, input_layout.dims(), target)?;
        by_number!(self.name(), input, T => {
            let output = sample(&call, numbers(input, input_layout)?, &Grid::<T>::new(numbers(grid, grid_layout)?, target));
            Ok((T::to_cpu_storage_owned(output), call.output_shape(target)))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, input: &CudaStorage, input_layout: &Layout, grid: &CudaStorage, grid_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let target = target_size(grid_layout.dims());
        let call = Call::new(&self.sampler, input_layout.dims(), target)?;
        let card = OnCard::of(input);
        let (grid, input) = (card.place(grid, grid_layout)?, card.place(input, input_layout)?);
        let sampler = SamplerOnCard::new(&card, &call, cuda::Coordinates::Grid(grid), card.dtype())?;
        card.make(card.dtype(), &call.output_shape(target), |output| sampler.sample(input, output))
    }

    fn bwd(&self, input: &Tensor, grid: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        sample_grid_gradients(input, grid, &self.sampler, upstream, GridWanted { input: input.track_op(), grid: grid.track_op() })
    }
}

impl CustomOp2 for StructuredGrid {
    fn name(&self) -> &'static str {
        "structured_grid"
    }

    fn cpu_fwd(&self, matrix: &CpuStorage, matrix_layout: &Layout, basis: &CpuStorage, basis_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), matrix, T => {
            let warp = Structured::<T>::new((matrix, matrix_layout), (basis, basis_layout), self.target.size())?;
            let shape: Vec<usize> = [&[warp.samples], self.target.size(), &[warp.dims]].concat();
            Ok((T::to_cpu_storage_owned(plain::grid(&warp)), shape.into()))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, matrix: &CudaStorage, matrix_layout: &Layout, basis: &CudaStorage, basis_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (samples, rows, terms) = matrix_layout.shape().dims3()?;
        let card = OnCard::of(matrix);
        let (matrix, basis) = (card.place(matrix, matrix_layout)?, card.place(basis, basis_layout)?);
        let coordinates = cuda::Coordinates::Structured { matrix, basis, rows, terms };
        let warp = cuda::Warp::new(&card, coordinates, card.dtype(), samples, (self.target.dims(), self.target.pixels()))?;
        let shape: Vec<usize> = [&[samples], self.target.size(), &[self.target.dims()]].concat();
        card.make(card.dtype(), &shape.into(), |points| warp.grid(points))
    }

    fn bwd(&self, matrix: &Tensor, basis: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let upstream = upstream.contiguous()?;
        #[cfg(feature = "cuda")]
        if matrix.device().is_cuda() {
            return cuda::structured_grid_gradients(matrix, basis, &self.target, &upstream);
        }
        matrix_and_basis(matrix, basis, |basis_wanted| {
            matrix.apply_op3_no_bwd(basis, &upstream, &StructuredGridGradient { target: self.target.size(), basis_wanted })
        })
    }
}

/// Equation 3, on packed channels where that is worth it.
fn sample<T: Number>(call: &Call<'_>, input: &[T], coordinates: &impl Coordinates<T>) -> Vec<T> {
    match Fused::new(call) {
        Some(fused) => fused.sample(input, coordinates),
        None => plain::sample(call, input, coordinates),
    }
}

/// The gradients to M and B, where they are tracked, of one pass that gives M's and, where it is wanted, B's after it in one vector.
fn matrix_and_basis(matrix: &Tensor, basis: &Tensor, pass: impl FnOnce(bool) -> Result<Tensor>) -> Result<(Option<Tensor>, Option<Tensor>)> {
    if !matrix.track_op() && !basis.track_op() {
        return Ok((None, None));
    }
    let both = pass(basis.track_op())?;
    let part = |first, tensor: &Tensor| tensor.track_op().then(|| both.narrow(0, first, tensor.elem_count())?.reshape(tensor.shape())).transpose();
    Ok((part(0, matrix)?, part(matrix.elem_count(), basis)?))
}

/// The target size of a grid `N x size x dims`.
pub(super) fn target_size(grid: &[usize]) -> &[usize] {
    grid.get(1..grid.len().saturating_sub(1)).unwrap_or_default()
}
