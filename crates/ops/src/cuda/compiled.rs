//! The text of kernels, compiled for the card that is there, and kept on disk.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::nvrtc::{self, CompileError, CompileOptions};
use candle_core::{CudaDevice, Error, Result};

use super::Program;

/// A program as a card's driver takes it.
pub(super) struct Compiled {
    /// A name that no other has.
    pub name: String,
    /// The instructions (PTX).
    pub text: String,
}

/// A program for the card of a device: compiled once in this process, and once for all as long as its file is there.
pub(super) fn compiled(program: &Program, device: &CudaDevice) -> Result<Arc<Compiled>> {
    type Known = HashMap<(Program, (i32, i32)), Arc<Compiled>>;
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let capability = device.cuda_stream().context().compute_capability().w()?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let key = (program.clone(), capability);
    if let Some(compiled) = known.get(&key) {
        return Ok(compiled.clone());
    }
    let compiled = Arc::new(from_disk_or_new(program, capability)?);
    known.insert(key, compiled.clone());
    Ok(compiled)
}

fn from_disk_or_new(program: &Program, capability: (i32, i32)) -> Result<Compiled> {
    let text = program.text();
    let options = options(capability);
    let name = blake3::hash(format!("{}\n{options:?}\n{text}", version()?).as_bytes()).to_hex().to_string();
    let file = folder().map(|folder| folder.join(format!("{name}.ptx")));
    if let Some(text) = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()) {
        return Ok(Compiled { name, text });
    }
    let text = compile(&text, options)?;
    if let Some(file) = file {
        // Kept for the next time where that can be: a full disk or a folder of someone else's costs time, no result.
        let _ = keep(&file, &text);
    }
    Ok(Compiled { name, text })
}

/// No contraction of products and sums: coordinates are those of the CPU to the bit, so that both read the same pixels.
fn options((major, minor): (i32, i32)) -> Vec<String> {
    vec![format!("--gpu-architecture=compute_{major}{minor}"), "--fmad=false".into(), "--std=c++17".into()]
}

/// The instructions of a program for cards of a compute capability; that takes no card.
#[cfg(test)]
pub(super) fn compiled_for(program: &Program, capability: (i32, i32)) -> Result<String> {
    compile(&program.text(), options(capability))
}

/// Compiles a text; what is wrong with it is in the error.
fn compile(text: &str, options: Vec<String>) -> Result<String> {
    match nvrtc::compile_ptx_with_opts(text, CompileOptions { options, ..CompileOptions::default() }) {
        Ok(ptx) => Ok(ptx.to_src()),
        Err(CompileError::CompileError { log, .. }) => {
            Err(Error::Msg(format!("the code of a kernel for graphics cards does not compile; is a plugin's `cuda_source` right?\n{}", log.to_string_lossy())))
        }
        Err(error) => Err(error).w(),
    }
}

/// The compiler's version: another makes other instructions.
fn version() -> Result<String> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both are written to, and nothing else is touched.
    let result = unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor) };
    result.result().map_err(|error| Error::Msg(format!("the compiler of CUDA kernels (NVRTC) does not say its version: {error:?}")))?;
    Ok(format!("NVRTC {major}.{minor}"))
}

/// Where compiled kernels are kept: beside the data sets that were fetched.
fn folder() -> Option<PathBuf> {
    let root = std::env::var_os("STN_CACHE").filter(|value| !value.is_empty()).map(PathBuf::from);
    Some(root.or_else(|| dirs::cache_dir().map(|dir| dir.join("stn")))?.join("kernels"))
}

/// Writes a file whole or not at all: several trials may come with the same one.
fn keep(file: &std::path::Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(std::path::Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut written = tempfile::NamedTempFile::new_in(folder)?;
    written.write_all(text.as_bytes())?;
    written.persist(file)?;
    Ok(())
}
