//! Convolution of images with learnt filters.
//!
//! - [`plain`]: patches as a matrix ([`patches`]), times the filters: every stride, both number types, and the reference for
//! - [`direct`]: f32 at stride 1 with vectors chosen at run time;
//! - [`block`]: a convolution with what follows it in one pass, without candle's tape.

mod block;
#[cfg(feature = "cuda")]
mod cuda;
mod direct;
#[cfg(any(feature = "cuda", test))]
mod following;
mod patches;
mod plain;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};

use crate::cpu::{Held, Number, by_number, elements, expect_images, expect_pixels, is_wider_here, numbers};
use crate::window::{Window2d, conv2d_axes};
pub use block::{ConvBlock, ConvBlockGradients, ConvBlockOutput};
use direct::{Direct, Following, Saved};
use patches::Geometry;

/// Cross-correlates images with filters: `y[n, o] = b[o] + sum_i w[o, i] * x[n, i]`, as every network framework does.
///
/// `input` is N x I x H x W, `weight` O x I x kernel height x kernel width, `bias` O; the result is N x O x [`conv2d_output`](crate::conv2d_output).
///
/// # Errors
///
/// Where a shape or type does not fit (all f32, f64, bf16 or f16), or no window does; the message says which size is at fault.
pub fn conv2d(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, window: Window2d) -> Result<Tensor> {
    if is_wider_here(input) {
        geometry(input, weight, bias, window)?;
        let wide = |tensor: &Tensor| tensor.to_dtype(DType::F32);
        return conv2d(&wide(input)?, &wide(weight)?, bias.map(wide).transpose()?.as_ref(), window)?.to_dtype(input.dtype());
    }
    let op = Conv2d(geometry(input, weight, bias, window)?);
    let (input, weight) = (input.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => input.apply_op3(&weight, &bias.contiguous()?, op),
        None => input.apply_op2(&weight, op),
    }
}

/// The sizes of a convolution, or what does not fit.
fn geometry(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, window: Window2d) -> Result<Geometry> {
    expect_pixels("conv2d", &[("input", input), ("weight", weight)])?;
    let [samples, channels, height, width] = expect_images("conv2d", "input", input)?;
    let [filters, expected, kernel_height, kernel_width] = expect_images("conv2d", "weight", weight)?;
    if channels != expected {
        bail!("conv2d: input has {channels} channels, weight is for {expected}; expected the same number");
    }
    let (vertical, horizontal) = conv2d_axes((height, width), (kernel_height, kernel_width), &window)?;
    if let Some(bias) = bias {
        expect_pixels("conv2d", &[("input", input), ("bias", bias)])?;
        if bias.dims() != [filters] {
            bail!("conv2d: bias has shape {:?}; expected [{filters}], one number a filter", bias.dims());
        }
    }
    // What no memory can hold is refused before anything is computed from it.
    elements("conv2d", &[samples, filters, vertical.output, horizontal.output])?;
    elements("conv2d", &[samples, channels, vertical.input + 2 * vertical.padding, horizontal.input + 2 * horizontal.padding])?;
    Ok(Geometry { samples, channels, filters, vertical, horizontal })
}

#[derive(Clone, Copy)]
struct Conv2d(Geometry);

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, input: &CpuStorage, input_layout: &Layout, weight: &CpuStorage, weight_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(CustomOp2::name(self), input, T => self.forward::<T>(numbers(input, input_layout)?, numbers(weight, weight_layout)?, None))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, input: &CudaStorage, input_layout: &Layout, weight: &CudaStorage, weight_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        cuda::forward(self.0, (input, input_layout), (weight, weight_layout), None, self.output_shape())
    }

    fn bwd(&self, input: &Tensor, weight: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = self.gradients(input, weight, gradient, input.track_op(), weight.track_op())?;
        Ok((gradients.input, gradients.weight))
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_number!(CustomOp3::name(self), input, T => {
            self.forward::<T>(numbers(input, input_layout)?, numbers(weight, weight_layout)?, Some(numbers(bias, bias_layout)?))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::forward(self.0, (input, input_layout), (weight, weight_layout), Some((bias, bias_layout)), self.output_shape())
    }

    fn bwd(&self, input: &Tensor, weight: &Tensor, bias: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradients = self.gradients(input, weight, gradient, input.track_op(), weight.track_op() || bias.track_op())?;
        Ok((gradients.input, gradients.weight.filter(|_| weight.track_op()), gradients.bias.filter(|_| bias.track_op())))
    }
}

impl Conv2d {
    fn output_shape(&self) -> Shape {
        [self.0.samples, self.0.filters, self.0.vertical.output, self.0.horizontal.output].as_slice().into()
    }

    fn forward<T: Number>(&self, input: &[T], weight: &[T], bias: Option<&[T]>) -> Result<(CpuStorage, Shape)> {
        let direct = Direct::new(self.0, Following::default());
        let output = match (direct, T::as_f32(input), T::as_f32(weight), bias.map(T::as_f32)) {
            (Some(direct), Some(input), Some(weight), bias) => CpuStorage::F32(direct.forward(input, weight, bias.flatten())?.0),
            _ => T::to_cpu_storage_owned(plain::forward(self.0, input, weight, bias)?),
        };
        Ok((output, self.output_shape()))
    }

    /// The gradients that are wanted, from that to the output.
    fn gradients(&self, input: &Tensor, weight: &Tensor, gradient: &Tensor, input_wanted: bool, filters_wanted: bool) -> Result<ConvBlockGradients> {
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if input.device().is_cuda() {
            let [input, weight] = cuda::gradients(self.0, [input, weight, &gradient], [input_wanted, filters_wanted])?;
            return Ok(ConvBlockGradients { input, weight, bias: filters_wanted.then(|| cuda::to_bias(self.0, &gradient)).transpose()? });
        }
        let (held_input, held_weight, held_gradient) = (Held::new("conv2d", input)?, Held::new("conv2d", weight)?, Held::new("conv2d", &gradient)?);
        let direct = Direct::new(self.0, Following::default()).filter(|_| input.dtype() == DType::F32);
        let (to_input, filters) = if let Some(direct) = direct {
            let saved = Saved { input: held_input.numbers()?, weight: held_weight.numbers()?, output: &[], winners: &[], upstream: held_gradient.numbers()? };
            return ConvBlockGradients::new(direct.backward(saved, input_wanted, filters_wanted)?, input, weight, input_wanted, filters_wanted);
        } else if input.dtype() == DType::F32 {
            self.plain_gradients::<f32>([&held_input, &held_weight, &held_gradient], input, input_wanted, filters_wanted)?
        } else {
            self.plain_gradients::<f64>([&held_input, &held_weight, &held_gradient], input, input_wanted, filters_wanted)?
        };
        let length = weight.elem_count();
        let part = |first, length| filters.as_ref().map(|both: &Tensor| both.narrow(0, first, length)).transpose();
        let weight = part(0, length)?.map(|tensor| tensor.reshape(weight.shape())).transpose()?;
        Ok(ConvBlockGradients { input: to_input, weight, bias: part(length, self.0.filters)? })
    }

    /// The gradient to the input; those to weight and bias, one after the other in one vector.
    fn plain_gradients<T: Number>(&self, held: [&Held; 3], input: &Tensor, to_input: bool, to_filters: bool) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [numbers, weight, gradient] = [held[0].numbers::<T>()?, held[1].numbers::<T>()?, held[2].numbers::<T>()?];
        let to_input = to_input.then(|| Tensor::from_vec(plain::input_gradient(self.0, weight, gradient)?, input.shape(), input.device())).transpose()?;
        let filters = to_filters.then(|| plain::filter_gradient(self.0, numbers, gradient)).transpose()?;
        let filters = filters.map(|both| Tensor::from_vec(both.clone(), both.len(), input.device())).transpose()?;
        Ok((to_input, filters))
    }
}
