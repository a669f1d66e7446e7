//! cuDNN's convolution, by algorithms that give the same bits every time.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::cudnn::CudnnError;
use candle_core::cuda_backend::cudarc::cudnn::safe::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnDataType, FilterDescriptor, TensorDescriptor,
};
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnConvolutionBwdDataAlgo_t as ToInput;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnConvolutionBwdFilterAlgo_t as ToFilters;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnConvolutionFwdAlgo_t as Forward;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnMathType_t::{self as MathType, CUDNN_DEFAULT_MATH, CUDNN_FMA_MATH};
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DeviceRepr};
use candle_core::cuda_backend::{CudaDType, DeviceId};
use candle_core::{CudaDevice, CudaStorage, Layout, Result, WithDType, bail};
use half::{bf16, f16};

use crate::conv2d::patches::Geometry;
use crate::cuda::device::no_room;
use crate::graphics_card::tensor_float;

/// A number that cuDNN takes, and the one that it adds up in.
pub(super) trait Number: CudnnDataType + CudaDType + DeviceRepr + WithDType {
    type Sum: CudnnDataType + 'static;
    /// What is multiplied: numbers as they are. Those of 16 bits are, on tensor cores too.
    const MATH: MathType = CUDNN_FMA_MATH;
}

impl Number for f32 {
    type Sum = f32;
}

impl Number for f64 {
    type Sum = f64;
}

impl Number for bf16 {
    type Sum = f32;
    const MATH: MathType = CUDNN_DEFAULT_MATH;
}

impl Number for f16 {
    type Sum = f32;
    const MATH: MathType = CUDNN_DEFAULT_MATH;
}

/// What cuDNN's functions give.
type ByCudnn<T> = std::result::Result<T, CudnnError>;

/// A tensor's storage with its layout.
pub(super) type Held<'a> = (&'a CudaStorage, &'a Layout);

/// Which gradient.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gradient {
    /// To the input, from the filters and the gradient to the output.
    Input,
    /// To the filters, from the input and the gradient to the output.
    Filters,
}

/// The algorithms of an operation, the first choice first, and the one that is known to do it.
///
/// All give the same bits every time; those that add up in whatever order their threads come are not among them.
struct Algorithms<A: 'static> {
    all: &'static [A],
    place: Cell<usize>,
    /// The memory that it needs, in bytes.
    room: Cell<Option<usize>>,
}

impl<A: Copy> Algorithms<A> {
    fn new(all: &'static [A]) -> Self {
        Self { all, place: Cell::new(0), room: Cell::new(None) }
    }

    /// Runs the first algorithm that cuDNN has for the sizes and numbers at hand.
    fn run(
        &self,
        size: impl Fn(A) -> ByCudnn<usize>,
        room: impl Fn(usize) -> Result<CudaSlice<u8>>,
        mut launch: impl FnMut(A, &mut CudaSlice<u8>) -> ByCudnn<()>,
    ) -> Result<()> {
        loop {
            let algorithm = self.all[self.place.get()];
            let done = match self.room.get().map_or_else(|| size(algorithm), Ok) {
                Ok(bytes) => {
                    self.room.set(Some(bytes));
                    launch(algorithm, &mut room(bytes)?)
                }
                Err(error) => Err(error),
            };
            match done {
                Err(error) if not_supported(&error) && self.place.get() + 1 < self.all.len() => {
                    self.place.set(self.place.get() + 1);
                    self.room.set(None);
                }
                done => return Ok(done?),
            }
        }
    }
}

/// `CUDNN_STATUS_NOT_SUPPORTED` and what says it more closely.
fn not_supported(error: &CudnnError) -> bool {
    error.0 as u32 / 1000 == 3
}

/// cuDNN's description of a convolution, which is kept: to make one takes longer than to launch a small convolution.
pub(super) struct Convolution<T: Number> {
    convolution: ConvDescriptor<T::Sum>,
    input: TensorDescriptor<T>,
    filters: FilterDescriptor<T>,
    output: TensorDescriptor<T>,
    geometry: Geometry,
    forward: Algorithms<Forward>,
    to_input: Algorithms<ToInput>,
    to_filters: Algorithms<ToFilters>,
}

/// The descriptions that a thread keeps.
const KEPT: usize = 1 << 10;

impl<T: Number> Convolution<T> {
    /// A convolution of these sizes: this thread's, for cuDNN is not to go from thread to thread.
    pub(super) fn of(geometry: Geometry, device: &CudaDevice) -> Result<Rc<Self>> {
        type Known = HashMap<(DeviceId, Geometry, candle_core::DType, bool), Rc<dyn Any>>;
        thread_local!(static KNOWN: RefCell<Known> = RefCell::default());
        let key = (device.id(), geometry, <T as WithDType>::DTYPE, tensor_float());
        if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).cloned()).and_then(|known| known.downcast().ok()) {
            return Ok(known);
        }
        let made = Rc::new(Self::new(geometry, device)?);
        KNOWN.with_borrow_mut(|known| {
            if known.len() == KEPT {
                known.clear();
            }
            known.insert(key, made.clone());
        });
        Ok(made)
    }

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
        let mut convolution = cudnn.create_conv2d::<T::Sum>([padding_y, padding_x], [stride_y, stride_x], [1, 1], CUDNN_CROSS_CORRELATION)?;
        convolution.set_math_type(if tensor_float() { CUDNN_DEFAULT_MATH } else { T::MATH })?;
        use {Forward::*, ToFilters::*, ToInput::*};
        Ok(Self {
            convolution,
            input: cudnn.create_4d_tensor(CUDNN_TENSOR_NCHW, sizes([samples, channels, vertical.input, horizontal.input])?)?,
            filters: cudnn.create_4d_filter(CUDNN_TENSOR_NCHW, sizes([filters, channels, vertical.kernel, horizontal.kernel])?)?,
            output: cudnn.create_4d_tensor(CUDNN_TENSOR_NCHW, sizes([samples, filters, vertical.output, horizontal.output])?)?,
            geometry,
            forward: Algorithms::new(&[
                CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
                CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
            ]),
            to_input: Algorithms::new(&[
                CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
                CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED,
                CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
            ]),
            to_filters: Algorithms::new(&[
                CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED,
                CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
            ]),
        })
    }

    pub(super) fn forward(&self, input: Held, weight: Held) -> Result<CudaStorage> {
        let device = &input.0.device;
        let op = ConvForward { conv: &self.convolution, x: &self.input, w: &self.filters, y: &self.output };
        let mut output = unset::<T>(device, self.geometry.samples * self.geometry.filters * self.geometry.positions())?;
        let (input, weight) = (numbers::<T>(input)?, numbers::<T>(weight)?);
        self.forward.run(
            |algorithm| op.get_workspace_size(algorithm),
            |bytes| unset(device, bytes),
            // SAFETY: the descriptors are made of the geometry, whose sizes were checked against the tensors; `output` is as large as they say, and is written whole.
            |algorithm, room| unsafe { op.launch(algorithm, Some(room), (T::one(), T::zero()), &input, &weight, &mut output) },
        )?;
        Ok(CudaStorage::wrap_cuda_slice(output, device.clone()))
    }

    pub(super) fn gradient(&self, which: Gradient, [first, upstream]: [Held; 2]) -> Result<CudaStorage> {
        let device = &upstream.0.device;
        let (first, upstream) = (numbers::<T>(first)?, numbers::<T>(upstream)?);
        let (factors, room) = ((T::one(), T::zero()), |bytes| unset(device, bytes));
        let gradient = match which {
            Gradient::Input => {
                let op = ConvBackwardData { conv: &self.convolution, dx: &self.input, w: &self.filters, dy: &self.output };
                let mut gradient = unset::<T>(device, self.geometry.samples * self.geometry.image())?;
                self.to_input.run(
                    |algorithm| op.get_workspace_size(algorithm),
                    room,
                    // SAFETY: as in `forward`.
                    |algorithm, room| unsafe { op.launch(algorithm, Some(room), factors, &mut gradient, &first, &upstream) },
                )?;
                gradient
            }
            Gradient::Filters => {
                let op = ConvBackwardFilter { conv: &self.convolution, x: &self.input, dw: &self.filters, dy: &self.output };
                let mut gradient = unset::<T>(device, self.geometry.filters * self.geometry.patch())?;
                self.to_filters.run(
                    |algorithm| op.get_workspace_size(algorithm),
                    room,
                    // SAFETY: as in `forward`.
                    |algorithm, room| unsafe { op.launch(algorithm, Some(room), factors, &first, &mut gradient, &upstream) },
                )?;
                gradient
            }
        };
        Ok(CudaStorage::wrap_cuda_slice(gradient, device.clone()))
    }
}

/// Memory that cuDNN writes whole, or of which it reads nothing that it did not write.
fn unset<T: DeviceRepr>(device: &CudaDevice, count: usize) -> Result<CudaSlice<T>> {
    // SAFETY: see above; the callers give it to nobody else before.
    unsafe { device.alloc(count.max(1)) }.map_err(|error| no_room(count * size_of::<T>(), device, error))
}

/// The numbers of a contiguous tensor.
fn numbers<T: Number>((storage, layout): Held<'_>) -> Result<CudaView<'_, T>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<T>()?.slice(start..end)),
        None => bail!("conv2d: a tensor of shape {:?} and strides {:?} is not contiguous", layout.shape(), layout.stride()),
    }
}

/// This thread's way to cuDNN on a device.
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
