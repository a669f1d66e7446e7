//! The gradients of the sampler's operations, each a candle operation of its own.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor, WithDType, bail};

use super::Sampler;
use super::cpu::{self, Call};
use super::op::target_size;
use super::warp::{Coordinates, Grid, Structured};
use crate::cpu::{Number, by_number, numbers};

/// Equation 6: from what the coordinates come from (M and B, or a grid) and the output's gradient to the input's.
pub(super) struct InputGradient<'a> {
    pub sampler: &'a Sampler,
    /// The shape of the input.
    pub input: &'a [usize],
    pub target: &'a [usize],
}

/// Equation 7: from input, M, the output's gradient and B to M's gradient and, where it is wanted, B's after it in one vector.
pub(super) struct MatrixGradient<'a> {
    pub sampler: &'a Sampler,
    pub target: &'a [usize],
    /// B, held because an operation takes three tensors.
    pub basis: &'a Tensor,
    pub basis_wanted: bool,
}

/// Equation 7: from input, grid and the output's gradient to the grid's.
pub(super) struct GridGradient<'a> {
    pub sampler: &'a Sampler,
}

/// From M, B and the grid's gradient to M's and, where it is wanted, B's after it in one vector.
pub(super) struct StructuredGridGradient<'a> {
    pub target: &'a [usize],
    pub basis_wanted: bool,
}

impl CustomOp3 for InputGradient<'_> {
    fn name(&self) -> &'static str {
        "sample_structured input gradient"
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
        by_number!(CustomOp3::name(self), upstream, T => {
            let warp = Structured::<T>::new((matrix, matrix_layout), (basis, basis_layout), self.target)?;
            self.apply(numbers(upstream, upstream_layout)?, &warp)
        })
    }
}

impl CustomOp2 for InputGradient<'_> {
    fn name(&self) -> &'static str {
        "sample_grid input gradient"
    }

    fn cpu_fwd(&self, grid: &CpuStorage, grid_layout: &Layout, upstream: &CpuStorage, upstream_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(CustomOp2::name(self), upstream, T => {
            self.apply::<T>(numbers(upstream, upstream_layout)?, &Grid::new(numbers(grid, grid_layout)?, self.target))
        })
    }
}

impl InputGradient<'_> {
    fn apply<T: Number>(&self, upstream: &[T], coordinates: &impl Coordinates<T>) -> Result<(CpuStorage, Shape)> {
        let gradient = cpu::input_gradient(&Call::new(self.sampler, self.input, self.target)?, upstream, coordinates);
        Ok((T::to_cpu_storage_owned(gradient), self.input.into()))
    }
}

impl CustomOp3 for MatrixGradient<'_> {
    fn name(&self) -> &'static str {
        "sample_structured matrix gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        matrix: &CpuStorage,
        matrix_layout: &Layout,
        upstream: &CpuStorage,
        upstream_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (held, basis_layout) = self.basis.storage_and_layout();
        let Storage::Cpu(basis) = &*held else { bail!("{}: the basis is not on the CPU as the other tensors are", self.name()) };
        let call = Call::new(self.sampler, input_layout.dims(), self.target)?;
        by_number!(self.name(), input, T => {
            let warp = Structured::<T>::new((matrix, matrix_layout), (basis, basis_layout), self.target)?;
            let values = (numbers(input, input_layout)?, numbers(upstream, upstream_layout)?);
            Ok(vector(warp.gradients(self.basis_wanted, || call.taps(), |taps, n, pixels, coordinates, gradient| {
                cpu::coordinate_gradient(&call, values, taps, (n, pixels), coordinates, gradient);
            })))
        })
    }
}

impl CustomOp3 for GridGradient<'_> {
    fn name(&self) -> &'static str {
        "sample_grid grid gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        grid: &CpuStorage,
        grid_layout: &Layout,
        upstream: &CpuStorage,
        upstream_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let target = target_size(grid_layout.dims());
        let call = Call::new(self.sampler, input_layout.dims(), target)?;
        by_number!(self.name(), input, T => {
            let warp = Grid::<T>::new(numbers(grid, grid_layout)?, target);
            let gradient = cpu::grid_gradient(&call, numbers(input, input_layout)?, numbers(upstream, upstream_layout)?, &warp);
            Ok((T::to_cpu_storage_owned(gradient), grid_layout.shape().clone()))
        })
    }
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
            let warp = Structured::<T>::new((matrix, matrix_layout), (basis, basis_layout), self.target)?;
            let upstream = Grid::new(numbers(upstream, upstream_layout)?, self.target);
            Ok(vector(warp.gradients(self.basis_wanted, || (), |_, n, pixels, _, gradient| upstream.fill(n, pixels, gradient))))
        })
    }
}

fn vector<T: WithDType>(values: Vec<T>) -> (CpuStorage, Shape) {
    let length = values.len();
    (T::to_cpu_storage_owned(values), length.into())
}
