//! The projection of volumes to images.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, WithDType, bail};

use crate::cpu::{BLOCK, Number, by_number, expect_numbers, numbers};
#[cfg(feature = "cuda")]
use crate::cuda::candle::OnCard;
use crate::fresh::filled;

/// How a projection makes one number of those along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// The largest. NaN is larger than everything. The gradient goes to the first of equal ones, and of several NaNs to the last.
    Max,
    /// The mean.
    Mean,
    /// The sum.
    Sum,
}

/// The axis of a volume along which it is projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeAxis {
    /// z.
    Depth,
    /// y.
    Height,
    /// x.
    Width,
}

/// Volumes seen along an axis: `N C D H W` to `N C H W` along the depth, `N C D W` along the height, `N C D H` along the width.
///
/// # Errors
///
/// Where `volumes` is not `N C D H W` of f32 or f64, or the axis is empty.
pub fn project(volumes: &Tensor, axis: VolumeAxis, projection: Projection) -> Result<Tensor> {
    let project = Project::new(volumes, axis, projection)?;
    volumes.contiguous()?.apply_op1(project)
}

/// The gradient to volumes from that to their projection, `image`.
///
/// # Errors
///
/// As for [`project`], and where a shape does not fit.
pub fn project_gradient(volumes: &Tensor, image: &Tensor, gradient: &Tensor, axis: VolumeAxis, projection: Projection) -> Result<Tensor> {
    let project = Project::new(volumes, axis, projection)?;
    if image.dims() != project.image || gradient.dims() != project.image {
        bail!("a projection {:?} and a gradient {:?} to it; expected {:?}", image.dims(), gradient.dims(), project.image);
    }
    volumes.contiguous()?.apply_op3_no_bwd(&image.contiguous()?, &gradient.contiguous()?, &ProjectGradient(project))
}

#[derive(Clone)]
struct Project {
    axis: VolumeAxis,
    projection: Projection,
    /// The numbers along the axis.
    length: usize,
    /// How far they lie apart: the numbers of the axes behind.
    stride: usize,
    /// The shape of what comes out.
    image: Vec<usize>,
}

struct ProjectGradient(Project);

impl Project {
    fn new(volumes: &Tensor, axis: VolumeAxis, projection: Projection) -> Result<Self> {
        expect_numbers("project", &[("volumes", volumes)])?;
        let dims = volumes.dims();
        let place = match axis {
            VolumeAxis::Depth => 2,
            VolumeAxis::Height => 3,
            VolumeAxis::Width => 4,
        };
        if dims.len() != 5 || dims[place] == 0 {
            bail!("project takes volumes N C D H W with at least one voxel along the axis, not {dims:?}");
        }
        let image = [&dims[..place], &dims[place + 1..]].concat();
        Ok(Self { axis, projection, length: dims[place], stride: dims[place + 1..].iter().product(), image })
    }

    /// Lines of numbers (all that end up in `stride` neighbouring ones) for one task.
    fn lines(&self) -> usize {
        (BLOCK / (self.length * self.stride).max(1)).max(1)
    }

    fn forward<T: Number>(&self, volumes: &[T]) -> Vec<T> {
        let lines = self.lines();
        filled(self.image.iter().product(), lines * self.stride, |task, image| {
            let first = task * lines * self.length * self.stride;
            for (image, volume) in image.chunks_mut(self.stride).zip(volumes[first..].chunks(self.length * self.stride)) {
                self.line(image, volume);
            }
        })
    }

    fn line<T: Number>(&self, image: &mut [T], volume: &[T]) {
        let mut slices = volume.chunks_exact(self.stride);
        if let Some(first) = slices.next() {
            image.copy_from_slice(first);
        }
        for slice in slices {
            let pairs = image.iter_mut().zip(slice);
            match self.projection {
                Projection::Max => pairs.for_each(|(image, &value)| *image = if value > *image || value.is_nan() { value } else { *image }),
                Projection::Mean | Projection::Sum => pairs.for_each(|(image, &value)| *image += value),
            }
        }
        if self.projection == Projection::Mean {
            let share = T::of(1.0 / self.length as f64);
            image.iter_mut().for_each(|image| *image *= share);
        }
    }

    fn backward<T: Number>(&self, volumes: &[T], image: &[T], gradient: &[T]) -> Vec<T> {
        let lines = self.lines();
        filled(volumes.len(), lines * self.length * self.stride, |task, result| {
            let (first, size) = (task * lines, self.length * self.stride);
            let mut winners = Vec::new();
            let parts = result.chunks_mut(size).zip(volumes[first * size..].chunks(size));
            let images = image[first * self.stride..].chunks(self.stride).zip(gradient[first * self.stride..].chunks(self.stride));
            for ((result, volume), (image, gradient)) in parts.zip(images) {
                match self.projection {
                    Projection::Max => self.to_largest(&mut winners, result, volume, image, gradient),
                    Projection::Mean => self.to_all(result, gradient, T::of(1.0 / self.length as f64)),
                    Projection::Sum => self.to_all(result, gradient, T::one()),
                }
            }
        })
    }

    fn to_all<T: Number>(&self, result: &mut [T], gradient: &[T], share: T) {
        for slice in result.chunks_exact_mut(self.stride) {
            slice.iter_mut().zip(gradient).for_each(|(result, &gradient)| *result = gradient * share);
        }
    }

    fn to_largest<T: Number>(&self, winners: &mut Vec<usize>, result: &mut [T], volume: &[T], image: &[T], gradient: &[T]) {
        winners.clear();
        winners.resize(self.stride, 0);
        // Backwards, so that the first of equal ones is written last; without a branch, which nothing could predict.
        for (place, slice) in volume.chunks_exact(self.stride).enumerate().rev() {
            for (winner, (value, largest)) in winners.iter_mut().zip(slice.iter().zip(image)) {
                *winner = if value == largest { place } else { *winner };
            }
        }
        for (i, (&winner, &gradient)) in winners.iter().zip(gradient).enumerate() {
            let last_nan = || volume[i..].iter().step_by(self.stride).rposition(|value| value.is_nan());
            let winner = if image[i].is_nan() { last_nan().unwrap_or(winner) } else { winner };
            result[winner * self.stride + i] = gradient;
        }
    }
}

impl CustomOp1 for Project {
    fn name(&self) -> &'static str {
        "project"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), storage, T => Ok((T::to_cpu_storage_owned(self.forward::<T>(numbers(storage, layout)?)), Shape::from(self.image.as_slice()))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(storage);
        let volumes = card.place(storage, layout)?;
        card.make(card.dtype(), &Shape::from(self.image.as_slice()), |image| cuda::forward(&card, card.dtype(), self, [volumes, image]))
    }

    fn bwd(&self, volumes: &Tensor, image: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !volumes.track_op() {
            return Ok(None);
        }
        Ok(Some(project_gradient(volumes, image, gradient, self.axis, self.projection)?))
    }
}

impl CustomOp3 for ProjectGradient {
    fn name(&self) -> &'static str {
        "project gradient"
    }

    fn cpu_fwd(
        &self,
        volumes: &CpuStorage,
        volumes_layout: &Layout,
        image: &CpuStorage,
        image_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), volumes, T => {
            let (image, gradient) = (numbers::<T>(image, image_layout)?, numbers::<T>(gradient, gradient_layout)?);
            let result = self.0.backward::<T>(numbers(volumes, volumes_layout)?, image, gradient);
            Ok((T::to_cpu_storage_owned(result), volumes_layout.shape().clone()))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        volumes: &CudaStorage,
        volumes_layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
        gradient: &CudaStorage,
        gradient_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(volumes);
        let (volumes, gradient) = (card.place(volumes, volumes_layout)?, card.place(gradient, gradient_layout)?);
        card.make(card.dtype(), volumes_layout.shape(), |to_volumes| cuda::backward(&card, card.dtype(), &self.0, [volumes, gradient, to_volumes]))
    }
}

/// The same on a graphics card: `project.cu`.
#[cfg(any(feature = "cuda", test))]
mod cuda {
    use candle_core::{DType, Result};

    use super::{Project, Projection};
    use crate::cuda::{Address, Card, Launch, Program};

    fn launch(card: &impl Card, dtype: DType, project: &Project, kernel: &'static str, given: &[Address]) -> Result<()> {
        let count = project.image.iter().product();
        let launch = given.iter().copied().fold(Launch::each(kernel, count), Launch::with).with_length(count);
        let program = Program::new("project", dtype, &[include_str!("project.cu")], &["project", "project_gradient"])?.for_count(count);
        let projection = match project.projection {
            Projection::Max => 0,
            Projection::Mean => 1,
            Projection::Sum => 2,
        };
        card.launch(&program.with_constants([("PROJECTION", projection)]), &launch.with_length(project.length).with_length(project.stride))
    }

    pub(super) fn forward(card: &impl Card, dtype: DType, project: &Project, given: [Address; 2]) -> Result<()> {
        launch(card, dtype, project, "project", &given)
    }

    pub(super) fn backward(card: &impl Card, dtype: DType, project: &Project, given: [Address; 3]) -> Result<()> {
        launch(card, dtype, project, "project_gradient", &given)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::cuda::emulated::Emulated;

    #[test]
    fn a_card_computes_the_same() {
        let numbers = (0..2 * 3 * 4 * 5 * 6).map(|i| if i % 97 == 13 { f32::NAN } else { (i * 31 % 11) as f32 - 4.0 });
        let volumes = Tensor::from_vec(numbers.collect(), (2, 3, 4, 5, 6), &Device::Cpu).unwrap();
        for axis in [VolumeAxis::Depth, VolumeAxis::Height, VolumeAxis::Width] {
            for projection in [Projection::Max, Projection::Mean, Projection::Sum] {
                let op = Project::new(&volumes, axis, projection).unwrap();
                let image = project(&volumes, axis, projection).unwrap();
                let count = image.elem_count();
                let upstream = Tensor::arange(1_f32, count as f32 + 1.0, &Device::Cpu).unwrap().reshape(image.shape()).unwrap();
                let to_volumes = project_gradient(&volumes, &image, &upstream, axis, projection).unwrap();
                Emulated::both(|card| {
                    let (of_volumes, on_card, to_volumes_on_card) = (card.tensor(&volumes), card.output::<f32>(count), card.output::<f32>(720));
                    cuda::forward(card, DType::F32, &op, [of_volumes, on_card]).unwrap();
                    cuda::backward(card, DType::F32, &op, [of_volumes, card.tensor(&upstream), to_volumes_on_card]).unwrap();
                    card.assert_same(on_card, &image);
                    card.assert_same(to_volumes_on_card, &to_volumes);
                });
            }
        }
    }
}
