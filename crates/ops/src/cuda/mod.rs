//! What runs on graphics cards of NVIDIA's.
//!
//! The text of a kernel stands beside the code for the processor, in a file of the operation's name that ends in `.cu`. It is compiled where it runs ([`compiled`]), for the
//! card that is there, and kept on disk: so it may hold the text of a plugin, and its sizes may be constants.
//!
//! What an operation does with the card, which memory it takes and what it launches, is written against [`Card`]. There are two: that of candle ([`candle`]), and one that
//! runs the same text on the processor, thread by thread, for the tests (`emulated`).

#[cfg(feature = "cuda")]
pub(crate) mod candle;
#[cfg(feature = "cuda")]
mod compiled;
pub(crate) mod dense;
#[cfg(feature = "cuda")]
pub(crate) mod device;
#[cfg(test)]
pub(crate) mod emulated;
pub(crate) mod pooling;
mod program;

use candle_core::{DType, Result};

pub(crate) use program::Program;

/// Where something lies in a card's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(pub u64);

impl Address {
    /// Nowhere: what a kernel is not to write.
    pub(crate) const NONE: Self = Self(0);

    /// So many bytes further.
    #[cfg(feature = "cuda")]
    pub(crate) fn after(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// A card, during one operation. What is launched runs in that order.
pub(crate) trait Card {
    /// Memory until the operation ends: so many bytes, whatever they hold.
    fn room(&self, bytes: usize) -> Result<Address>;

    /// The shared memory that a block may have, in bytes, besides what a kernel's text names.
    fn shared_memory(&self) -> Result<usize>;

    /// Has a kernel of a program run; nothing where it has no block.
    fn launch(&self, program: &Program, launch: &Launch) -> Result<()>;
}

/// What a kernel is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Argument {
    Address(u64),
    Int(i32),
    Long(i64),
    Single(f32),
    Double(f64),
}

impl Argument {
    /// A number of the type that a program computes in.
    pub(crate) fn real(dtype: DType, number: f64) -> Self {
        if dtype == DType::F64 { Self::Double(number) } else { Self::Single(number as f32) }
    }
}

impl From<Address> for Argument {
    fn from(address: Address) -> Self {
        Self::Address(address.0)
    }
}

impl From<i64> for Argument {
    fn from(number: i64) -> Self {
        Self::Long(number)
    }
}

impl From<i32> for Argument {
    fn from(number: i32) -> Self {
        Self::Int(number)
    }
}

/// The threads of a block, as `BLOCK` in the text that every program begins with.
pub(crate) const BLOCK: u32 = 256;

/// The most blocks of a launch whose threads take one number after the other.
const MOST_BLOCKS: usize = 1 << 16;

/// A kernel's launch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Launch {
    /// Its name.
    pub kernel: &'static str,
    /// Its blocks.
    pub blocks: u32,
    /// The threads of each.
    pub threads: u32,
    /// The bytes of memory that the threads of a block share, besides what the kernel's text names.
    pub shared: u32,
    /// What it is given.
    pub arguments: Vec<Argument>,
}

impl Launch {
    /// A launch of so many blocks.
    pub(crate) fn blocks(kernel: &'static str, blocks: u32) -> Self {
        Self { kernel, blocks, threads: BLOCK, shared: 0, arguments: Vec::new() }
    }

    /// A launch with a thread for each of so many numbers, or for every few of very many.
    pub(crate) fn each(kernel: &'static str, count: usize) -> Self {
        Self::blocks(kernel, count.div_ceil(BLOCK as usize).min(MOST_BLOCKS) as u32)
    }

    /// The launch with one argument more.
    pub(crate) fn with(mut self, argument: impl Into<Argument>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The launch with a number more, of the type that the program computes in.
    pub(crate) fn with_real(self, dtype: DType, number: f64) -> Self {
        self.with(Argument::real(dtype, number))
    }

    /// The launch with a length more.
    pub(crate) fn with_length(self, length: usize) -> Self {
        self.with(length as i64)
    }
}
