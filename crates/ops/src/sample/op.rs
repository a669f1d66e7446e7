//! The sampler as candle operations.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Storage, StorageRef, Tensor, WithDType, bail};
use stn_core::{Real, TargetGrid};

use super::Sampler;
use super::cpu::{self, Call};
use super::taps::Axis;
use super::warp::{self, Coordinates, Grid, Structured};

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

/// Calls a method with the type of the numbers, f32 or f64.
macro_rules! typed {
    ($dtype:expr, $this:ident.$method:ident($($argument:expr),*)) => {
        match $dtype {
            DType::F32 => $this.$method::<f32>($($argument),*),
            DType::F64 => $this.$method::<f64>($($argument),*),
            other => bail!("the sampler works in f32 and f64, not {other:?}"),
        }
    };
}

impl CustomOp3 for SampleStructured {
    fn name(&self) -> &'static str {
        "sample_structured"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout, s3: &CpuStorage, l3: &Layout) -> Result<(CpuStorage, Shape)> {
        typed!(s1.dtype(), self.forward((s1, l1), (s2, l2), (s3, l3)))
    }

    fn bwd(&self, input: &Tensor, matrix: &Tensor, basis: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        typed!(input.dtype(), self.backward(input, matrix, basis, upstream))
    }
}

impl SampleStructured {
    fn forward<T: Real + WithDType>(&self, input: Stored, matrix: Stored, basis: Stored) -> Result<(CpuStorage, Shape)> {
        let call = call(&self.sampler, input.1.dims(), self.target.pixels())?;
        let warp = structured(slice::<T>(matrix)?, matrix.1, slice(basis)?, &self.target)?;
        let output = cpu::sample(&call, slice(input)?, &warp);
        Ok((T::to_cpu_storage_owned(output), output_shape(&call, self.target.size())))
    }

    fn backward<T: Real + WithDType>(
        &self,
        input: &Tensor,
        matrix: &Tensor,
        basis: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let upstream = upstream.contiguous()?;
        let [held_input, held_matrix, held_basis, held_upstream] = [input, matrix, basis, &upstream].map(Held::of);
        let (values, upstream) = (held_input.slice::<T>()?, held_upstream.slice::<T>()?);
        let call = call(&self.sampler, input.dims(), self.target.pixels())?;
        let warp = structured(held_matrix.slice::<T>()?, matrix.layout(), held_basis.slice()?, &self.target)?;
        let input_gradient = gradient_of(input, || cpu::input_gradient(&call, upstream, &warp))?;
        let (matrix_gradient, basis_gradient) = structured_gradients(
            &warp,
            matrix,
            basis,
            || call.taps(),
            |taps, n, pixels, coordinates, gradient| {
                cpu::coordinate_gradient(&call, (values, upstream), taps, (n, pixels), coordinates, gradient);
            },
        )?;
        Ok((input_gradient, matrix_gradient, basis_gradient))
    }
}

impl CustomOp2 for SampleGrid {
    fn name(&self) -> &'static str {
        "sample_grid"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        typed!(s1.dtype(), self.forward((s1, l1), (s2, l2)))
    }

    fn bwd(&self, input: &Tensor, grid: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        typed!(input.dtype(), self.backward(input, grid, upstream))
    }
}

impl SampleGrid {
    fn forward<T: Real + WithDType>(&self, input: Stored, grid: Stored) -> Result<(CpuStorage, Shape)> {
        let target = target_size(grid.1);
        let call = call(&self.sampler, input.1.dims(), target.iter().product())?;
        let output = cpu::sample(&call, slice(input)?, &explicit(slice::<T>(grid)?, &call));
        Ok((T::to_cpu_storage_owned(output), output_shape(&call, target)))
    }

    fn backward<T: Real + WithDType>(&self, input: &Tensor, grid: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let upstream = upstream.contiguous()?;
        let [held_input, held_grid, held_upstream] = [input, grid, &upstream].map(Held::of);
        let (values, upstream) = (held_input.slice::<T>()?, held_upstream.slice::<T>()?);
        let call = call(&self.sampler, input.dims(), target_size(grid.layout()).iter().product())?;
        let warp = explicit(held_grid.slice::<T>()?, &call);
        let input_gradient = gradient_of(input, || cpu::input_gradient(&call, upstream, &warp))?;
        let grid_gradient = gradient_of(grid, || cpu::grid_gradient(&call, values, upstream, &warp))?;
        Ok((input_gradient, grid_gradient))
    }
}

impl CustomOp2 for StructuredGrid {
    fn name(&self) -> &'static str {
        "structured_grid"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        typed!(s1.dtype(), self.forward((s1, l1), (s2, l2)))
    }

    fn bwd(&self, matrix: &Tensor, basis: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        typed!(matrix.dtype(), self.backward(matrix, basis, upstream))
    }
}

impl StructuredGrid {
    fn forward<T: Real + WithDType>(&self, matrix: Stored, basis: Stored) -> Result<(CpuStorage, Shape)> {
        let warp = structured(slice::<T>(matrix)?, matrix.1, slice(basis)?, &self.target)?;
        let shape: Vec<usize> = [&[warp.samples], self.target.size(), &[warp.dims]].concat();
        Ok((T::to_cpu_storage_owned(cpu::grid(&warp)), shape.into()))
    }

    fn backward<T: Real + WithDType>(&self, matrix: &Tensor, basis: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let upstream = upstream.contiguous()?;
        let [held_matrix, held_basis, held_upstream] = [matrix, basis, &upstream].map(Held::of);
        let warp = structured(held_matrix.slice::<T>()?, matrix.layout(), held_basis.slice()?, &self.target)?;
        let upstream = Grid { values: held_upstream.slice::<T>()?, dims: warp.dims, pixels: warp.pixels };
        structured_gradients(&warp, matrix, basis, || (), |_, n, pixels, _, gradient| upstream.fill(n, pixels, gradient))
    }
}

/// A tensor's numbers and their layout.
type Stored<'a> = (&'a CpuStorage, &'a Layout);

fn slice<T: WithDType>((storage, layout): Stored<'_>) -> Result<&[T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<T>()?[start..end]),
        None => bail!("the sampler's operations take contiguous tensors"),
    }
}

/// A tensor held for reading.
struct Held<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Held<'a> {
    fn of(tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self { storage, layout }
    }

    fn slice<T: WithDType>(&self) -> Result<&[T]> {
        match &*self.storage {
            Storage::Cpu(storage) => slice((storage, self.layout)),
            other => bail!("the sampler has no gradient on {:?}", other.device().location()),
        }
    }
}

/// The sizes of a call, from the shape of its input.
fn call<'a>(sampler: &'a Sampler, input: &[usize], pixels: usize) -> Result<Call<'a>> {
    let [samples, channels, size @ ..] = input else { bail!("the sampler takes an input of N x C x H x W or N x C x D x H x W, not {input:?}") };
    let source = (0..size.len()).rev().map(|axis| Axis { size: size[axis], stride: size[axis + 1..].iter().product() }).collect();
    Ok(Call { sampler, samples: *samples, channels: *channels, source, pixels })
}

fn structured<'a, T>(matrix: &'a [T], layout: &Layout, basis: &'a [T], target: &TargetGrid) -> Result<Structured<'a, T>> {
    let (samples, rows, terms) = layout.shape().dims3()?;
    Ok(Structured { matrix, basis, samples, rows, terms, dims: target.dims(), pixels: target.pixels() })
}

fn explicit<'a, T>(values: &'a [T], call: &Call<'_>) -> Grid<'a, T> {
    Grid { values, dims: call.source.len(), pixels: call.pixels }
}

/// The target size of a grid `N x size x dims`.
fn target_size(grid: &Layout) -> &[usize] {
    grid.dims().get(1..grid.dims().len().saturating_sub(1)).unwrap_or_default()
}

fn output_shape(call: &Call<'_>, target: &[usize]) -> Shape {
    [&[call.samples, call.channels], target].concat().into()
}

/// The gradient to a tensor, where it is tracked.
fn gradient_of<T: WithDType>(tensor: &Tensor, gradient: impl FnOnce() -> Vec<T>) -> Result<Option<Tensor>> {
    tensor.track_op().then(|| Tensor::from_vec(gradient(), tensor.shape(), tensor.device())).transpose()
}

/// The gradients to M and B, where they are tracked.
fn structured_gradients<T: Real + WithDType, S>(
    warp: &Structured<'_, T>,
    matrix: &Tensor,
    basis: &Tensor,
    scratch: impl Fn() -> S + Sync,
    coordinate_gradient: impl Fn(&mut S, usize, std::ops::Range<usize>, &warp::Rows<T>, &mut warp::Rows<T>) + Sync,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    if !matrix.track_op() && !basis.track_op() {
        return Ok((None, None));
    }
    let (to_matrix, to_basis) = warp.gradients(basis.track_op(), scratch, coordinate_gradient);
    Ok((gradient_of(matrix, || to_matrix)?, to_basis.map(|values| Tensor::from_vec(values, basis.shape(), basis.device())).transpose()?))
}
