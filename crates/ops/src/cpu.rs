//! What every operation needs of a number, of CPU storage and of threads.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::LocalKey;

use candle_core::{CpuStorage, DType, Layout, Result, Tensor, WithDType, bail};

use crate::sample::Lanes;

/// A number the operations compute in: `f32` or `f64`.
pub(crate) trait Number: WithDType + Lanes {
    /// Working memory of the calling thread. It stays with the thread, so that a training step maps no new pages.
    fn scratch() -> &'static LocalKey<RefCell<Vec<Self>>>;
}

macro_rules! number {
    ($number:ty) => {
        impl Number for $number {
            fn scratch() -> &'static LocalKey<RefCell<Vec<Self>>> {
                thread_local!(static SCRATCH: RefCell<Vec<$number>> = const { RefCell::new(Vec::new()) });
                &SCRATCH
            }
        }
    };
}

number!(f32);
number!(f64);

/// Lends `lengths[i]` numbers of working memory as slice `i`. What they hold is left over from earlier.
pub(crate) fn with_scratch<T: Number, const N: usize, R>(lengths: [usize; N], work: impl FnOnce([&mut [T]; N]) -> R) -> R {
    T::scratch().with_borrow_mut(|memory| {
        let total = lengths.iter().sum();
        if memory.len() < total {
            memory.resize(total, T::zero());
        }
        let mut rest = memory.as_mut_slice();
        let parts = lengths.map(|length| {
            let (part, tail) = std::mem::take(&mut rest).split_at_mut(length);
            rest = tail;
            part
        });
        work(parts)
    })
}

/// Runs `$body` with the type alias `$number` standing for the number type of `$storage`.
macro_rules! by_number {
    ($operation:expr, $storage:expr, $number:ident => $body:expr) => {
        match $storage {
            candle_core::CpuStorage::F32(_) => {
                type $number = f32;
                $body
            }
            candle_core::CpuStorage::F64(_) => {
                type $number = f64;
                $body
            }
            _ => candle_core::bail!("{}: only f32 and f64 are supported; convert the tensors first", $operation),
        }
    };
}
pub(crate) use by_number;

/// The numbers of a contiguous tensor.
pub(crate) fn numbers<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let all = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets().and_then(|(start, end)| all.get(start..end)) {
        Some(numbers) => Ok(numbers),
        None => bail!("a tensor of shape {:?} and strides {:?} is not contiguous", layout.shape(), layout.stride()),
    }
}

/// Refuses tensors that are neither all f32 nor all f64, naming the operation and the tensor at fault.
pub(crate) fn expect_numbers(operation: &str, tensors: &[(&str, &Tensor)]) -> Result<()> {
    let Some((first_name, first)) = tensors.first() else { return Ok(()) };
    for (name, tensor) in tensors {
        let dtype = tensor.dtype();
        if !matches!(dtype, DType::F32 | DType::F64) {
            bail!("{operation}: {name} is {dtype:?}; convert it to f32 or f64");
        }
        if dtype != first.dtype() {
            bail!("{operation}: {first_name} is {:?} and {name} is {dtype:?}; convert one to the other's type", first.dtype());
        }
    }
    Ok(())
}

/// The four sizes of `N C H W` images, or an error that says what was given instead.
pub(crate) fn expect_images(operation: &str, name: &str, tensor: &Tensor) -> Result<[usize; 4]> {
    match *tensor.dims() {
        [samples, channels, height, width] => Ok([samples, channels, height, width]),
        ref other => bail!("{operation}: {name} has shape {other:?}; expected four axes"),
    }
}

/// The most elements of a tensor: 256 GiB of f32.
const MOST_ELEMENTS: usize = 1 << 36;

/// The number of elements of a tensor about to be made, or an error where no memory could hold it.
pub(crate) fn elements(operation: &str, sizes: &[usize]) -> Result<usize> {
    let total = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    match total.filter(|&total| total <= MOST_ELEMENTS) {
        Some(total) => Ok(total),
        None => bail!("{operation}: a tensor of shape {sizes:?} has more than 2^36 = {MOST_ELEMENTS} numbers and is too large for any memory"),
    }
}

/// Elements that one task of an elementwise operation handles: enough to outweigh handing it out, and the same at any thread count.
pub(crate) const BLOCK: usize = 1 << 14;

/// A vector whose parts are set to zero by the tasks that fill them, each its own, so that no task waits for one that clears the whole.
pub(crate) struct Fresh<T> {
    values: Vec<T>,
    length: usize,
    /// The numbers that were set.
    set: AtomicUsize,
}

/// A part of a [`Fresh`] vector.
pub(crate) struct Part<'a, T> {
    room: &'a mut [MaybeUninit<T>],
    set: &'a AtomicUsize,
}

impl<T: Number> Fresh<T> {
    /// Room for so many numbers.
    pub(crate) fn new(length: usize) -> Self {
        Self { values: Vec::with_capacity(length), length, set: AtomicUsize::new(0) }
    }

    /// The vector in parts of these lengths, one after the other; what is beyond its end is left out.
    pub(crate) fn parts(&mut self, lengths: impl Iterator<Item = usize>) -> Vec<Part<'_, T>> {
        *self.set.get_mut() = 0;
        let mut room = &mut self.values.spare_capacity_mut()[..self.length];
        let set = &self.set;
        lengths.map(|length| Part { room: room.split_off_mut(..length.min(room.len())).unwrap_or_default(), set }).collect()
    }

    /// The vector. Parts that no task asked for are set to zero here.
    pub(crate) fn finish(mut self) -> Vec<T> {
        if *self.set.get_mut() != self.length {
            self.values.resize(self.length, T::zero());
        }
        // SAFETY: `length` numbers are within the capacity. Either they were all written just above, or as many were written as there are: parts do not overlap, each
        // can be written but once, as that takes it, and all are of the last call of `parts`, which counts from zero.
        unsafe { self.values.set_len(self.length) };
        self.values
    }
}

impl<'a, T: Number> Part<'a, T> {
    /// The part, set to zero.
    pub(crate) fn zeroed(self) -> &'a mut [T] {
        self.room.fill(MaybeUninit::new(T::zero()));
        self.set.fetch_add(self.room.len(), Ordering::Relaxed);
        // SAFETY: every number was just written, and `MaybeUninit<T>` has the layout of `T`.
        unsafe { &mut *(std::ptr::from_mut(self.room) as *mut [T]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_vector_holds_what_its_parts_were_filled_with() {
        let mut fresh = Fresh::new(7);
        for (i, part) in fresh.parts([3, 0, 2, 2].into_iter()).into_iter().enumerate() {
            part.zeroed().fill(i as f32);
        }
        assert_eq!(fresh.finish(), [0.0, 0.0, 0.0, 2.0, 2.0, 3.0, 3.0]);
    }

    #[test]
    fn parts_that_were_not_asked_for_are_zero() {
        let mut fresh = Fresh::new(5);
        fresh.parts([2, 9].into_iter()).remove(0).zeroed().fill(1.0_f64);
        assert_eq!(fresh.finish(), [0.0; 5]);
        let mut twice = Fresh::new(4);
        twice.parts([4].into_iter()).remove(0).zeroed().fill(1.0_f64);
        twice.parts([2, 2].into_iter()).remove(1).zeroed().fill(2.0);
        assert_eq!(twice.finish(), [0.0; 4]);
    }
}
