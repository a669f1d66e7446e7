//! A card that is none: the text of the kernels, compiled as C++ and run on the processor.
//!
//! It says whether kernels compute the right numbers, and the same ones whichever thread comes first. It says nothing of speed, nor of what only a card does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt::Debug;
use std::process::Command;
use std::sync::{Arc, Mutex};

use candle_core::{DType, Result, Tensor, WithDType, bail};
use half::{bf16, f16};
use libloading::Library;

use super::{Address, Argument, Card, Launch, Program};

/// A number beside every memory, which no kernel may change.
const FENCE: u64 = 0xFE2C_FE2C_FE2C_FE2C;

/// A card that runs threads forwards or backwards.
pub(crate) struct Emulated {
    backwards: bool,
    memory: RefCell<Vec<Vec<u64>>>,
}

impl Emulated {
    /// Runs a test once on a card whose threads run forwards and once where they run backwards, and fails where it gives another result; not at all where there is no C++
    /// compiler.
    pub(crate) fn both<R: PartialEq + Debug>(test: impl Fn(&Self) -> R) {
        if !compiler_found() {
            eprintln!("there is no C++ compiler ({}): a test of CUDA kernels is left out", compiler());
            return;
        }
        let [forwards, backwards] = [false, true].map(|backwards| {
            let card = Self { backwards, memory: RefCell::default() };
            let result = test(&card);
            card.check_fences();
            result
        });
        assert_eq!(forwards, backwards, "it hangs on which thread comes first");
    }

    /// Numbers in the card's memory.
    pub(crate) fn given<T: Copy>(&self, numbers: &[T]) -> Address {
        let address = self.memory(size_of_val(numbers));
        // SAFETY: the memory is as large as the numbers, and neither overlaps the other.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr().cast::<u8>(), address.0 as *mut u8, size_of_val(numbers)) };
        address
    }

    /// Memory for a tensor that a kernel is to write, of so many numbers of a type.
    pub(crate) fn output_of(&self, dtype: DType, count: usize) -> Address {
        self.memory(count * dtype.size_in_bytes())
    }

    /// Memory for numbers that a kernel is to write; NaN, or as large as can be, until it does.
    pub(crate) fn output<T: WithDType>(&self, count: usize) -> Address {
        self.memory(count * size_of::<T>())
    }

    /// The numbers that a kernel wrote.
    pub(crate) fn numbers<T: WithDType>(&self, address: Address, count: usize) -> Vec<T> {
        // SAFETY: memory of this card, whose every bit pattern is a number; it stays until the card goes.
        unsafe { std::slice::from_raw_parts(address.0 as *const T, count) }.to_vec()
    }

    /// Fails where the numbers that a kernel wrote are not a tensor's, to the bit; one NaN is as good as another.
    pub(crate) fn assert_same(&self, address: Address, expected: &Tensor) {
        let bits = |numbers: Vec<f32>| -> Vec<u32> { numbers.into_iter().map(|number| if number.is_nan() { f32::NAN } else { number }.to_bits()).collect() };
        let found = match expected.dtype() {
            DType::BF16 => self.numbers::<bf16>(address, expected.elem_count()).into_iter().map(bf16::to_f32).collect(),
            DType::F16 => self.numbers::<f16>(address, expected.elem_count()).into_iter().map(f16::to_f32).collect(),
            _ => self.numbers::<f32>(address, expected.elem_count()),
        };
        let expected = expected.to_dtype(DType::F32).and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>()).unwrap();
        assert_eq!(bits(found), bits(expected));
    }

    /// Fails where a number that a kernel wrote is further from a tensor's than `tolerance` of the largest.
    pub(crate) fn assert_close(&self, address: Address, expected: &Tensor, tolerance: f32) {
        let expected = expected.flatten_all().and_then(|tensor| tensor.to_vec1::<f32>()).unwrap();
        let largest = expected.iter().fold(1.0_f32, |largest, number| largest.max(number.abs()));
        for (i, (found, expected)) in self.numbers::<f32>(address, expected.len()).into_iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= tolerance * largest, "number {i} is {found}, not {expected}");
        }
    }

    /// A tensor of f32, bf16 or f16 in the card's memory.
    pub(crate) fn tensor(&self, tensor: &Tensor) -> Address {
        let tensor = tensor.flatten_all().unwrap();
        match tensor.dtype() {
            DType::BF16 => self.given(&tensor.to_vec1::<bf16>().unwrap()),
            DType::F16 => self.given(&tensor.to_vec1::<f16>().unwrap()),
            _ => self.given(&tensor.to_vec1::<f32>().unwrap()),
        }
    }

    fn memory(&self, bytes: usize) -> Address {
        let mut memory = vec![u64::MAX; bytes.div_ceil(8) + 2];
        let last = memory.len() - 1;
        (memory[0], memory[last]) = (FENCE, FENCE);
        let address = memory[1..].as_ptr() as u64;
        self.memory.borrow_mut().push(memory);
        Address(address)
    }

    fn check_fences(&self) {
        for memory in self.memory.borrow().iter() {
            assert!(memory[0] == FENCE && memory[memory.len() - 1] == FENCE, "a kernel wrote beside its memory");
        }
    }
}

impl Card for Emulated {
    fn room(&self, bytes: usize) -> Result<Address> {
        Ok(self.memory(bytes))
    }

    fn shared_memory(&self) -> Result<usize> {
        Ok(96 * 1024)
    }

    fn launch(&self, program: &Program, launch: &Launch) -> Result<()> {
        if launch.blocks == 0 {
            return Ok(());
        }
        assert!(program.kernels.contains(&launch.kernel), "{} is not in {:?}", launch.kernel, program.kernels);
        let library = compiled(program)?;
        let mut values = launch.arguments.clone();
        let mut arguments: Vec<*mut c_void> = values
            .iter_mut()
            .map(|argument| match argument {
                Argument::Address(value) => std::ptr::from_mut(value).cast(),
                Argument::Int(value) => std::ptr::from_mut(value).cast(),
                Argument::Long(value) => std::ptr::from_mut(value).cast(),
                Argument::Single(value) => std::ptr::from_mut(value).cast(),
                Argument::Double(value) => std::ptr::from_mut(value).cast(),
            })
            .collect();
        // The fibers of a library belong to one launch at a time.
        let library = library.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        type Run = unsafe extern "C" fn(*mut *mut c_void, u32, u32, u32, bool);
        // SAFETY: `LAUNCHED` gives every kernel a function of this type. What the kernel does with its arguments is what is tested.
        unsafe {
            match library.get::<Run>(format!("launch_{}", launch.kernel)) {
                Ok(run) => run(arguments.as_mut_ptr(), launch.blocks, launch.threads, launch.shared, self.backwards),
                Err(error) => bail!("{error}"),
            }
        }
        Ok(())
    }
}

fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".into())
}

fn compiler_found() -> bool {
    Command::new(compiler()).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A program's library; compiled once in this process.
fn compiled(program: &Program) -> Result<Arc<Mutex<Library>>> {
    static LIBRARIES: Mutex<Option<HashMap<Program, Arc<Mutex<Library>>>>> = Mutex::new(None);
    let mut libraries = LIBRARIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let libraries = libraries.get_or_insert_default();
    if let Some(library) = libraries.get(program) {
        return Ok(library.clone());
    }
    // Where there is a CUDA toolkit, the text must be right for that as well.
    #[cfg(feature = "cuda")]
    assert!(super::compiled::compiled_for(program, (9, 0))?.contains(".entry"));
    let folder = tempfile::tempdir()?;
    let (source, target) = (folder.path().join("kernels.cpp"), folder.path().join("kernels.so"));
    let launched: String = program.kernels.iter().map(|name| format!("LAUNCHED({name})\n")).collect();
    std::fs::write(&source, format!("{}\n{}\n{launched}", include_str!("emulation.h"), program.text()))?;
    // No contraction, as on a card: coordinates are the same to the bit.
    let flags = ["-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wno-unused", "-Wno-sign-compare", "-Werror", "-o"];
    let output = Command::new(compiler()).args(flags).arg(&target).arg(&source).output()?;
    if !output.status.success() {
        bail!("kernels cannot be compiled: {}", String::from_utf8_lossy(&output.stderr));
    }
    // SAFETY: the library is the kernels' text and has no initialisation but that of its containers.
    let library = match unsafe { Library::new(&target) } {
        Ok(library) => Arc::new(Mutex::new(library)),
        Err(error) => bail!("{error}"),
    };
    libraries.insert(program.clone(), library.clone());
    Ok(library)
}
