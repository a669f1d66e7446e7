//! A graphics card as it is opened, and what it says when it is full.

use candle_core::cuda_backend::cudarc::driver::result;
use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
use candle_core::cuda_backend::cudarc::driver::sys::CUmemPool_attribute_enum::{
    CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES,
};
use candle_core::cuda_backend::cudarc::driver::sys::{CUmemPool_attribute, cudaError_enum};
use candle_core::cuda_backend::{CudaError, WrapErr};
use candle_core::{CudaDevice, Device, Error, Result};

/// A card with a stream of work of its own.
pub(crate) fn open(number: usize) -> Result<Device> {
    let device = CudaDevice::new_with_stream(number)?;
    // SAFETY: candle's operations take tensors of one device only, and a device's work all goes to its one stream, in order. Events between streams, of which cudarc
    // would otherwise make two a tensor and wait for two an operation, have nothing to say.
    unsafe { device.disable_event_tracking() };
    keep_memory(&device)?;
    Ok(Device::Cuda(device))
}

/// Has the card's memory kept by this process once it was asked for, instead of given back whenever the host waits for the card, at every step; and has no stream wait for
/// another only to take memory over from it.
fn keep_memory(device: &CudaDevice) -> Result<()> {
    let stream = device.cuda_stream();
    let context = stream.context();
    if context.attribute(CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED).w()? == 0 {
        return Ok(());
    }
    let set = |attribute: CUmemPool_attribute, value: *mut core::ffi::c_void| {
        // SAFETY: the device is open; the pool is the one that it has by default, and each attribute is given a number of its width, which is only read.
        unsafe { result::mem_pool::set_attribute(result::device::get_default_mem_pool(context.cu_device())?, attribute, value) }
    };
    let (mut all, mut never) = (u64::MAX, 0_i32);
    set(CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, (&raw mut all).cast()).w()?;
    set(CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES, (&raw mut never).cast()).w()
}

/// What the card says that has no room for so many bytes; any other error as it is.
pub(crate) fn no_room(bytes: usize, device: &CudaDevice, error: Error) -> Error {
    match is_full(&error) {
        true => Error::Msg(format!("no room for {bytes} bytes on the graphics card{}; {ADVICE}", of_all(device))),
        false => error,
    }
}

/// The same of any operation: what its error means.
pub(crate) fn full(error: &Error, device: &CudaDevice) -> Option<String> {
    is_full(error).then(|| format!("no room on the graphics card{}; {ADVICE}", of_all(device)))
}

const ADVICE: &str = "use a smaller batch, or run fewer trials at once (--jobs)";

/// How much of the card's memory is free, as far as it says so.
fn of_all(device: &CudaDevice) -> String {
    match device.cuda_stream().context().mem_get_info() {
        Ok((free, all)) => format!(", of whose {all} bytes {free} are free"),
        Err(_) => String::new(),
    }
}

/// The memory that is free, in bytes.
pub(crate) fn free(device: &CudaDevice) -> Option<u64> {
    device.cuda_stream().context().mem_get_info().ok().map(|(free, _)| free as u64)
}

fn is_full(error: &Error) -> bool {
    match error {
        Error::WithBacktrace { inner, .. } | Error::Context { inner, .. } => is_full(inner),
        Error::Cuda(cause) => {
            matches!(cause.downcast_ref::<CudaError>(), Some(CudaError::Cuda(driver)) if driver.0 == cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY)
        }
        _ => false,
    }
}
