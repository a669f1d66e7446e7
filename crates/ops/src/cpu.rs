//! What every operation needs of a number, of CPU storage and of threads.

use std::cell::RefCell;
use std::thread::LocalKey;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, StorageRef, Tensor, WithDType, bail};

use crate::sample::Lanes;

/// A number the operations compute in: `f32` or `f64`.
pub(crate) trait Number: WithDType + Lanes {
    /// Working memory of the calling thread. It stays with the thread, so that a training step maps no new pages.
    fn scratch() -> &'static LocalKey<RefCell<Vec<Self>>>;

    /// The same numbers, where this type is `f32`.
    fn as_f32(numbers: &[Self]) -> Option<&[f32]>;

    /// The numbers of a storage, for writing; `None` where it holds another type.
    fn storage_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

macro_rules! number {
    ($number:ty, $variant:ident, $as_f32:expr) => {
        impl Number for $number {
            fn scratch() -> &'static LocalKey<RefCell<Vec<Self>>> {
                thread_local!(static SCRATCH: RefCell<Vec<$number>> = const { RefCell::new(Vec::new()) });
                &SCRATCH
            }

            fn as_f32(numbers: &[Self]) -> Option<&[f32]> {
                $as_f32(numbers)
            }

            fn storage_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
                if let CpuStorage::$variant(numbers) = storage { Some(numbers) } else { None }
            }
        }
    };
}

number!(f32, F32, Some);
number!(f64, F64, |_| None);

/// The widest vectors that the CPU has on which this runs.
pub(crate) fn arch() -> pulp::Arch {
    #[cfg(all(test, target_arch = "x86_64"))]
    if let Some(narrower) = levels::forced() {
        return narrower;
    }
    pulp::Arch::new()
}

/// Makes the tests of this crate run on narrower vectors than the CPU has.
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) mod levels {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use pulp::x86::{V3, V4};

    static FORCED: AtomicUsize = AtomicUsize::new(usize::MAX);

    pub(super) fn forced() -> Option<pulp::Arch> {
        match FORCED.load(Ordering::SeqCst) {
            0 => Some(pulp::Arch::Scalar),
            1 => V3::try_new().map(pulp::Arch::V3),
            2 => V4::try_new().map(pulp::Arch::V4),
            _ => None,
        }
    }

    /// Runs a test once on every kind of vectors that the CPU has; one such test at a time.
    pub(crate) fn each(test: impl Fn()) {
        static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one = ONE.lock();
        for level in [0, 1, 2, usize::MAX] {
            FORCED.store(level, Ordering::SeqCst);
            test();
        }
    }
}

/// Working memory starts at a whole vector: this many `f32`, 64 bytes.
pub(crate) const ALIGNED: usize = 16;

/// As many numbers of working memory as a thread keeps; what it takes to sample the largest images is given back.
const KEPT: usize = 1 << 24;

/// Lends `lengths[i]` numbers of working memory as slice `i`, each at the start of a vector. What they hold is left over from earlier.
pub(crate) fn with_scratch<T: Number, const N: usize, R>(lengths: [usize; N], work: impl FnOnce([&mut [T]; N]) -> R) -> R {
    T::scratch().with_borrow_mut(|memory| {
        let total = lengths.iter().map(|length| length.next_multiple_of(ALIGNED)).sum::<usize>() + ALIGNED;
        if memory.len() < total {
            memory.resize(total, T::zero());
        }
        let unaligned = memory.as_ptr().align_offset(ALIGNED * size_of::<f32>()).min(ALIGNED);
        let mut rest = &mut memory[unaligned..];
        let parts = lengths.map(|length| {
            let (part, tail) = std::mem::take(&mut rest).split_at_mut(length.next_multiple_of(ALIGNED));
            rest = tail;
            &mut part[..length]
        });
        let result = work(parts);
        if memory.len() > KEPT {
            *memory = Vec::new();
        }
        result
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

/// A contiguous tensor's storage on the CPU, held for reading.
pub(crate) struct Held<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Held<'a> {
    /// Holds a tensor, or says that it is on another device.
    pub fn new(operation: &str, tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cpu(_) => Ok(Self { storage, layout }),
            _ => bail!("{operation}: a tensor is on {:?}; this operation runs on the CPU", tensor.device()),
        }
    }

    /// Its numbers.
    pub fn numbers<T: WithDType>(&self) -> Result<&[T]> {
        match &*self.storage {
            Storage::Cpu(storage) => numbers(storage, self.layout),
            _ => bail!("a tensor is not on the CPU"),
        }
    }
}

/// Refuses tensors that are neither all f32 nor all f64, naming the operation and the tensor at fault.
pub(crate) fn expect_numbers(operation: &str, tensors: &[(&str, &Tensor)]) -> Result<()> {
    expect_one_of(&[DType::F32, DType::F64], "f32 or f64", operation, tensors)
}

/// The same for operations on images, which may be stored in bf16 and f16.
pub(crate) fn expect_pixels(operation: &str, tensors: &[(&str, &Tensor)]) -> Result<()> {
    expect_one_of(&[DType::F32, DType::F64, DType::BF16, DType::F16], "f32, f64, bf16 or f16", operation, tensors)
}

fn expect_one_of(types: &[DType], names: &str, operation: &str, tensors: &[(&str, &Tensor)]) -> Result<()> {
    let Some((first_name, first)) = tensors.first() else { return Ok(()) };
    for (name, tensor) in tensors {
        let dtype = tensor.dtype();
        if !types.contains(&dtype) {
            bail!("{operation}: {name} is {dtype:?}; convert it to {names}");
        }
        if dtype != first.dtype() {
            bail!("{operation}: {first_name} is {:?} and {name} is {dtype:?}; convert one to the other's type", first.dtype());
        }
    }
    Ok(())
}

/// Whether images are stored in half as many bits as sums are made in.
pub(crate) fn is_half(image: &Tensor) -> bool {
    matches!(image.dtype(), DType::BF16 | DType::F16)
}

/// Whether images are made f32 before they are read: the processor's loops know no shorter numbers.
pub(crate) fn is_wider_here(image: &Tensor) -> bool {
    is_half(image) && image.device().is_cpu()
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
