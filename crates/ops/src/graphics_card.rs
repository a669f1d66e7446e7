//! Graphics cards as devices, with the feature `cuda` and without it.

use candle_core::{Device, Error, Result};

/// The graphics card of a number, counted from 0, with a stream of work of its own: two calls give two ways to the same card, whose work may go on side by side.
///
/// Its tensors are for operations of this very device, not for those of another way to the same card.
///
/// # Errors
///
/// Where there is no such card, or this program was built without the feature `cuda`.
pub fn graphics_card(number: usize) -> Result<Device> {
    #[cfg(feature = "cuda")]
    return crate::cuda::device::open(number);
    #[cfg(not(feature = "cuda"))]
    candle_core::bail!("no graphics card {number}: this program was built without the feature `cuda`")
}

/// The memory that is free on a graphics card, in bytes. `None` for other devices, and where the driver does not say.
pub fn free_memory(device: &Device) -> Option<u64> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        return crate::cuda::device::free(device);
    }
    let _ = device;
    None
}

/// What an operation's error means where its cause was a full graphics card: how much memory is free, and what to do. `None` for all other errors, and for those that
/// say so themselves.
pub fn full_card(error: &Error, device: &Device) -> Option<String> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        return crate::cuda::device::full(error, device);
    }
    let _ = (error, device);
    None
}
