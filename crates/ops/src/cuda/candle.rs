//! Candle's cards.

use std::cell::RefCell;

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
use candle_core::cuda_backend::cudarc::driver::sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::{CudaStorageSlice, WrapErr};
use candle_core::{CudaDevice, CudaStorage, DType, Device, Layout, Result, Shape, Storage, Tensor, WithDType, bail};
use half::{bf16, f16};

use super::device::no_room;
use super::{Address, Argument, Card, Launch, Program, compiled};

/// The shared memory of a block that a kernel need not ask for, in bytes.
const SHARED_UNASKED: u32 = 48 * 1024;

/// One of candle's cards, during one operation.
///
/// All that it does goes to the one stream of its device ([`graphics_card`](fn@crate::graphics_card)), in order: what an operation reads has been written, and memory that is given back is free only behind what
/// was launched before.
pub(crate) struct OnCard {
    device: CudaDevice,
    dtype: DType,
    rooms: RefCell<Vec<CudaSlice<u8>>>,
}

impl OnCard {
    /// The card that holds a tensor of some type.
    pub(crate) fn of(storage: &CudaStorage) -> Self {
        Self { device: storage.device.clone(), dtype: storage.dtype(), rooms: RefCell::default() }
    }

    /// The card that holds a tensor.
    pub(crate) fn with(tensor: &Tensor) -> Result<Self> {
        match &*tensor.storage_and_layout().0 {
            Storage::Cuda(storage) => Ok(Self::of(storage)),
            _ => bail!("a tensor is not on a graphics card"),
        }
    }

    /// The number type of that tensor.
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the numbers of a contiguous tensor lie.
    pub(crate) fn place(&self, storage: &CudaStorage, layout: &Layout) -> Result<Address> {
        let Some((start, _)) = layout.contiguous_offsets() else {
            bail!("a tensor of shape {:?} and strides {:?} is not contiguous", layout.shape(), layout.stride())
        };
        let first = match &storage.slice {
            CudaStorageSlice::U8(slice) => self.first(slice),
            CudaStorageSlice::U32(slice) => self.first(slice),
            CudaStorageSlice::F32(slice) => self.first(slice),
            CudaStorageSlice::F64(slice) => self.first(slice),
            CudaStorageSlice::BF16(slice) => self.first(slice),
            CudaStorageSlice::F16(slice) => self.first(slice),
            _ => bail!("a tensor of {:?} on a graphics card; convert it to f32, f64, bf16, f16, u32 or u8", storage.dtype()),
        };
        Ok(Address(first.0 + (start * storage.dtype().size_in_bytes()) as u64))
    }

    /// Where the numbers of a contiguous tensor lie.
    pub(crate) fn place_of(&self, tensor: &Tensor) -> Result<Address> {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => self.place(storage, layout),
            _ => bail!("a tensor is not on a graphics card"),
        }
    }

    /// Where the numbers of a tensor lie, if there is one.
    pub(crate) fn place_if(&self, tensor: Option<&Tensor>) -> Result<Address> {
        tensor.map_or(Ok(Address::NONE), |tensor| self.place_of(tensor))
    }

    fn first<T>(&self, slice: &CudaSlice<T>) -> Address {
        Address(slice.device_ptr(&self.device.cuda_stream()).0)
    }

    /// A new tensor that `fill` has kernels write, every number of it.
    pub(crate) fn make(&self, dtype: DType, shape: &Shape, fill: impl FnOnce(Address) -> Result<()>) -> Result<(CudaStorage, Shape)> {
        let storage = match dtype {
            DType::F32 => self.unset::<f32>(shape)?,
            DType::F64 => self.unset::<f64>(shape)?,
            DType::BF16 => self.unset::<bf16>(shape)?,
            DType::F16 => self.unset::<f16>(shape)?,
            other => bail!("a new tensor of {other:?} on a graphics card; expected f32, f64, bf16 or f16"),
        };
        fill(self.place(&storage, &Layout::contiguous(shape.clone()))?)?;
        Ok((storage, shape.clone()))
    }

    fn unset<T: DeviceRepr + candle_core::cuda_backend::CudaDType>(&self, shape: &Shape) -> Result<CudaStorage> {
        let count = shape.elem_count().max(1);
        // SAFETY: `make` has every number written before the tensor is anyone's.
        let slice = unsafe { self.device.alloc::<T>(count) }.map_err(|error| no_room(count * size_of::<T>(), &self.device, error))?;
        Ok(CudaStorage::wrap_cuda_slice(slice, self.device.clone()))
    }

    /// Numbers of the host's in the card's memory, until the operation ends.
    pub(crate) fn given<T: WithDType>(&self, numbers: &[T]) -> Result<Address> {
        // SAFETY: numbers are bytes, and a byte needs no alignment.
        let bytes = unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast::<u8>(), size_of_val(numbers)) };
        let slice = self.device.clone_htod(bytes)?;
        let address = self.first(&slice);
        self.rooms.borrow_mut().push(slice);
        Ok(address)
    }

    /// The numbers that the host gets back of what kernels write at an address: it waits for them.
    pub(crate) fn fetched<T: WithDType>(&self, count: usize, fill: impl FnOnce(Address) -> Result<()>) -> Result<Vec<T>> {
        let (storage, _) = self.make(T::DTYPE, &Shape::from(count), fill)?;
        let mut numbers = T::cpu_storage_as_slice(&storage.to_cpu_storage()?)?.to_vec();
        numbers.truncate(count);
        Ok(numbers)
    }
}

impl Card for OnCard {
    fn room(&self, bytes: usize) -> Result<Address> {
        // SAFETY: room for an operation holds whatever it does until a kernel writes it.
        let slice = unsafe { self.device.alloc::<u8>(bytes.max(1)) }.map_err(|error| no_room(bytes, &self.device, error))?;
        let address = self.first(&slice);
        self.rooms.borrow_mut().push(slice);
        Ok(address)
    }

    fn shared_memory(&self) -> Result<usize> {
        let most = self.device.cuda_stream().context().attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN).w()?;
        Ok(most as usize)
    }

    fn launch(&self, program: &Program, launch: &Launch) -> Result<()> {
        if launch.blocks == 0 {
            return Ok(());
        }
        let compiled = compiled::compiled(program, &self.device)?;
        let function = self.device.get_or_load_custom_func(launch.kernel, &compiled.name, &compiled.text)?;
        if launch.shared > SHARED_UNASKED {
            function.set_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, launch.shared as i32).w()?;
        }
        let mut builder = function.builder();
        for argument in &launch.arguments {
            match argument {
                Argument::Address(value) => builder.arg(value),
                Argument::Int(value) => builder.arg(value),
                Argument::Long(value) => builder.arg(value),
                Argument::Single(value) => builder.arg(value),
                Argument::Double(value) => builder.arg(value),
            };
        }
        let config = LaunchConfig { grid_dim: (launch.blocks, 1, 1), block_dim: (launch.threads, 1, 1), shared_mem_bytes: launch.shared };
        // SAFETY: the operation that launches gives each kernel the arguments that its text names, with memory of the sizes it takes; the tests run the same launches
        // with fences around all memory.
        unsafe { builder.launch(config) }.w()?;
        Ok(())
    }
}

/// Lends the places of contiguous tensors that lie on one card, for an operation that is none of candle's; what it writes, it writes in place. All are of the first one's
/// type; where that is bf16 or f16, others may be f32, which sums are in then.
///
/// # Errors
///
/// Where a tensor is not contiguous, or not on a card, or of another type.
pub(crate) fn with_places<const N: usize, R>(operation: &str, tensors: [&Tensor; N], work: impl FnOnce(&OnCard, [Address; N]) -> Result<R>) -> Result<R> {
    let guards = tensors.map(Tensor::storage_and_layout);
    let mut card = None;
    let mut places = [Address::NONE; N];
    for ((storage, layout), place) in guards.iter().zip(&mut places) {
        let Storage::Cuda(storage) = &**storage else { bail!("{operation}: some tensors are on a graphics card and others are not; move them to one device") };
        let card = card.get_or_insert_with(|| OnCard::of(storage));
        let sums = matches!(card.dtype, DType::BF16 | DType::F16) && storage.dtype() == DType::F32;
        if !(sums || storage.dtype() == card.dtype) || !storage.device.same_device(&card.device) {
            bail!("{operation}: tensors of {:?} and {:?}, on one card or several; convert them to one type, on one device", card.dtype, storage.dtype());
        }
        *place = card.place(storage, layout)?;
    }
    match card {
        Some(card) => work(&card, places),
        None => bail!("{operation}: no tensor"),
    }
}

/// A new tensor on the device of another, of its number type, whose every number is yet to be written by kernels.
///
/// # Errors
///
/// Where the card has no room.
pub(crate) fn unset_like(tensor: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    unset(tensor, tensor.dtype(), shape)
}

/// The same, of any number type.
///
/// # Errors
///
/// Where the card has no room.
pub(crate) fn unset(tensor: &Tensor, dtype: DType, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    // SAFETY: the operations that ask for it have it written whole by the kernels that they launch next.
    let unset = unsafe { Tensor::empty(&shape, dtype, tensor.device()) };
    unset.map_err(|error| match tensor.device() {
        Device::Cuda(device) => no_room(shape.elem_count() * dtype.size_in_bytes(), device, error),
        _ => error,
    })
}
