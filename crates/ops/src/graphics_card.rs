//! Graphics cards as devices, with the feature `cuda` and without it.

use std::cell::Cell;

use candle_core::{Device, Error, Result};

thread_local!(static TENSOR_FLOAT: Cell<bool> = const { Cell::new(false) });

/// Does some work in which convolutions of f32 on graphics cards may multiply the first ten bits of the fraction alone (TensorFloat-32), or may not, as it is elsewhere. It is
/// those that this thread asks for.
pub fn with_tensor_float<R>(allowed: bool, work: impl FnOnce() -> R) -> R {
    struct Restored(bool);
    impl Drop for Restored {
        fn drop(&mut self) {
            TENSOR_FLOAT.set(self.0);
        }
    }
    let _restored = Restored(TENSOR_FLOAT.replace(allowed));
    work()
}

/// Whether they may.
#[cfg(any(feature = "cuda", test))]
pub(crate) fn tensor_float() -> bool {
    TENSOR_FLOAT.get()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_products_are_allowed_within_the_work_alone() {
        let within = with_tensor_float(true, || (tensor_float(), with_tensor_float(false, tensor_float), tensor_float()));
        assert_eq!((within, tensor_float()), ((true, false, true), false));
        let panicked = std::panic::catch_unwind(|| with_tensor_float(true, || panic!("at work")));
        assert!(panicked.is_err() && !tensor_float());
    }
}
