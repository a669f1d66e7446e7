//! Convolution on a graphics card: cuDNN's, all three gradients, by algorithms that give the same bits every time and compute in whole f32.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use candle_core::backend::BackendDevice;
use candle_core::cuda_backend::cudarc::cudnn::safe::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnDataType, FilterDescriptor, TensorDescriptor,
};
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnConvolutionBwdDataAlgo_t::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnConvolutionBwdFilterAlgo_t::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnMathType_t::CUDNN_FMA_MATH;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DeviceRepr};
use candle_core::cuda_backend::{CudaDType, DeviceId};
use candle_core::{CudaDevice, CudaStorage, DType, Layout, Result, Shape, Storage, Tensor, WithDType, bail};

use super::ConvBlockGradients;
use super::patches::Geometry;
use crate::cuda::Address;
use crate::cuda::candle::{OnCard, unset_like, with_places};
use crate::cuda::dense::{Planes, add_bias, bias_gradient};
use crate::cuda::device::no_room;

/// A number that cuDNN computes in.
trait Number: CudnnDataType + CudaDType + DeviceRepr + WithDType {}

impl Number for f32 {}

impl Number for f64 {}

/// A tensor's storage with its layout.
type Held<'a> = (&'a CudaStorage, &'a Layout);

/// The output, with its shape.
pub(super) fn forward(geometry: Geometry, input: Held, weight: Held, bias: Option<Held>, shape: Shape) -> Result<(CudaStorage, Shape)> {
    let card = OnCard::of(input.0);
    if shape.elem_count() == 0 {
        return Ok((input.0.device.zeros_impl(&shape, card.dtype())?, shape));
    }
    let output = match card.dtype() {
        // cuDNN takes no empty filters; the sum over no channel is zero.
        dtype if geometry.channels == 0 => input.0.device.zeros_impl(&shape, dtype)?,
        DType::F64 => Convolution::<f64>::new(geometry, &input.0.device)?.forward(input, weight)?,
        _ => Convolution::<f32>::new(geometry, &input.0.device)?.forward(input, weight)?,
    };
    if let Some((bias, layout)) = bias {
        let y = card.place(&output, &Layout::contiguous(shape.clone()))?;
        add_bias(&card, card.dtype(), y, card.place(bias, layout)?, planes(geometry))?;
    }
    Ok((output, shape))
}

/// The gradients that are wanted, from that to the output.
pub(super) fn gradients(geometry: Geometry, [input, weight, upstream]: [&Tensor; 3], input_wanted: bool, filters_wanted: bool) -> Result<ConvBlockGradients> {
    let zeros = |shape: &Shape| Tensor::zeros(shape, input.dtype(), input.device());
    let bias_shape = Shape::from(geometry.filters);
    if upstream.elem_count() == 0 || weight.elem_count() == 0 {
        return Ok(ConvBlockGradients {
            input: input_wanted.then(|| zeros(input.shape())).transpose()?,
            weight: filters_wanted.then(|| zeros(weight.shape())).transpose()?,
            bias: filters_wanted.then(|| if upstream.elem_count() == 0 { zeros(&bias_shape) } else { to_bias(geometry, upstream) }).transpose()?,
        });
    }
    let by_cudnn = |shape: &Shape, which: Gradient, from: [&Tensor; 2]| -> Result<Tensor> {
        let held = from.map(Tensor::storage_and_layout);
        let [(Storage::Cuda(first), of_first), (Storage::Cuda(second), of_second)] = [(&*held[0].0, held[0].1), (&*held[1].0, held[1].1)] else {
            bail!("conv2d gradient: some tensors are on a graphics card and others are not; move them to one device");
        };
        let pair = [(first, of_first), (second, of_second)];
        let storage = match input.dtype() {
            DType::F64 => Convolution::<f64>::new(geometry, &first.device)?.gradient(which, pair)?,
            _ => Convolution::<f32>::new(geometry, &first.device)?.gradient(which, pair)?,
        };
        Ok(Tensor::from_storage(Storage::Cuda(storage), shape.clone(), candle_core::op::BackpropOp::none(), false))
    };
    Ok(ConvBlockGradients {
        input: input_wanted.then(|| by_cudnn(input.shape(), Gradient::Input, [weight, upstream])).transpose()?,
        weight: filters_wanted.then(|| by_cudnn(weight.shape(), Gradient::Filters, [input, upstream])).transpose()?,
        bias: filters_wanted.then(|| to_bias(geometry, upstream)).transpose()?,
    })
}

fn to_bias(geometry: Geometry, upstream: &Tensor) -> Result<Tensor> {
    let sum = unset_like(upstream, geometry.filters)?;
    with_places("conv2d gradient", [upstream, &sum], |card, [upstream, sum]: [Address; 2]| bias_gradient(card, card.dtype(), upstream, sum, planes(geometry)))?;
    Ok(sum)
}

fn planes(geometry: Geometry) -> Planes {
    Planes { samples: geometry.samples, channels: geometry.filters, plane: geometry.positions() }
}

/// Which gradient.
#[derive(Debug, Clone, Copy)]
enum Gradient {
    /// To the input, from the filters and the gradient to the output.
    Input,
    /// To the filters, from the input and the gradient to the output.
    Filters,
}

/// cuDNN's description of a convolution.
struct Convolution<T: Number> {
    device: CudaDevice,
    convolution: ConvDescriptor<T>,
    input: TensorDescriptor<T>,
    filters: FilterDescriptor<T>,
    output: TensorDescriptor<T>,
    geometry: Geometry,
}

impl<T: Number> Convolution<T> {
    fn new(geometry: Geometry, device: &CudaDevice) -> Result<Self> {
        let Geometry { samples, channels, filters, vertical, horizontal } = geometry;
        let sizes = |sizes: [usize; 4]| -> Result<[i32; 4]> {
            match sizes.map(i32::try_from) {
                [Ok(a), Ok(b), Ok(c), Ok(d)] => Ok([a, b, c, d]),
                _ => bail!("conv2d: cuDNN takes sizes below 2^31, not {sizes:?}"),
            }
        };
        let [padding_y, padding_x, stride_y, stride_x] = sizes([vertical.padding, horizontal.padding, vertical.stride, horizontal.stride])?;
        let cudnn = handle(device)?;
        let mut convolution = cudnn.create_conv2d::<T>([padding_y, padding_x], [stride_y, stride_x], [1, 1], CUDNN_CROSS_CORRELATION)?;
        convolution.set_math_type(CUDNN_FMA_MATH)?;
        Ok(Self {
            device: device.clone(),
            convolution,
            input: cudnn.create_4d_tensor(CUDNN_TENSOR_NCHW, sizes([samples, channels, vertical.input, horizontal.input])?)?,
            filters: cudnn.create_4d_filter(CUDNN_TENSOR_NCHW, sizes([filters, channels, vertical.kernel, horizontal.kernel])?)?,
            output: cudnn.create_4d_tensor(CUDNN_TENSOR_NCHW, sizes([samples, filters, vertical.output, horizontal.output])?)?,
            geometry,
        })
    }

    fn forward(&self, input: Held, weight: Held) -> Result<CudaStorage> {
        let forward = ConvForward { conv: &self.convolution, x: &self.input, w: &self.filters, y: &self.output };
        let algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
        let mut room = self.room(forward.get_workspace_size(algorithm)?)?;
        let mut output = self.unset(self.geometry.samples * self.geometry.filters * self.geometry.positions())?;
        // SAFETY: the descriptors are made of the geometry, whose sizes were checked against the tensors; `output` is as large as they say, and is written whole.
        unsafe { forward.launch(algorithm, Some(&mut room), (T::one(), T::zero()), &numbers::<T>(input)?, &numbers::<T>(weight)?, &mut output)? };
        Ok(CudaStorage::wrap_cuda_slice(output, self.device.clone()))
    }

    fn gradient(&self, which: Gradient, [first, upstream]: [Held; 2]) -> Result<CudaStorage> {
        let (first, upstream) = (numbers::<T>(first)?, numbers::<T>(upstream)?);
        let factors = (T::one(), T::zero());
        let gradient = match which {
            Gradient::Input => {
                let op = ConvBackwardData { conv: &self.convolution, dx: &self.input, w: &self.filters, dy: &self.output };
                let algorithm = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
                let mut room = self.room(op.get_workspace_size(algorithm)?)?;
                let mut gradient = self.unset(self.geometry.samples * self.geometry.image())?;
                // SAFETY: as in `forward`.
                unsafe { op.launch(algorithm, Some(&mut room), factors, &mut gradient, &first, &upstream)? };
                gradient
            }
            Gradient::Filters => {
                let op = ConvBackwardFilter { conv: &self.convolution, x: &self.input, dw: &self.filters, dy: &self.output };
                let algorithm = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
                let mut room = self.room(op.get_workspace_size(algorithm)?)?;
                let mut gradient = self.unset(self.geometry.filters * self.geometry.patch())?;
                // SAFETY: as in `forward`.
                unsafe { op.launch(algorithm, Some(&mut room), factors, &first, &mut gradient, &upstream)? };
                gradient
            }
        };
        Ok(CudaStorage::wrap_cuda_slice(gradient, self.device.clone()))
    }

    fn room(&self, bytes: usize) -> Result<CudaSlice<u8>> {
        // SAFETY: cuDNN reads nothing of its room that it did not write.
        unsafe { self.device.alloc(bytes.max(1)) }.map_err(|error| no_room(bytes, &self.device, error))
    }

    fn unset(&self, count: usize) -> Result<CudaSlice<T>> {
        // SAFETY: the callers have cuDNN write every number.
        unsafe { self.device.alloc(count.max(1)) }.map_err(|error| no_room(count * size_of::<T>(), &self.device, error))
    }
}

/// The numbers of a contiguous tensor.
fn numbers<T: Number>((storage, layout): Held<'_>) -> Result<CudaView<'_, T>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<T>()?.slice(start..end)),
        None => bail!("conv2d: a tensor of shape {:?} and strides {:?} is not contiguous", layout.shape(), layout.stride()),
    }
}

/// This thread's way to cuDNN on a device: it may not go from thread to thread.
fn handle(device: &CudaDevice) -> Result<Arc<Cudnn>> {
    thread_local!(static HANDLES: RefCell<HashMap<DeviceId, Arc<Cudnn>>> = RefCell::default());
    HANDLES.with_borrow_mut(|handles| {
        if let Some(handle) = handles.get(&device.id()) {
            return Ok(handle.clone());
        }
        let handle = Cudnn::new(device.cuda_stream())?;
        handles.insert(device.id(), handle.clone());
        Ok(handle)
    })
}
