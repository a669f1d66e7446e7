//! `limit.gemm` and `limit.memory`: what the machine does at best, to hold the other works against.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::{Amount, Job, Result};

/// A product of two square matrices, by the routine that the convolutions use.
pub(crate) struct Gemm {
    a: Tensor,
    b: Tensor,
}

impl Gemm {
    const SIDE: usize = 2048;
    pub(crate) const AMOUNT: Amount = Amount::Flop(2.0 * (Self::SIDE * Self::SIDE * Self::SIDE) as f64);

    pub(crate) fn new(device: &Device) -> Result<Self> {
        let matrix = |factor: f32| {
            let values = (0..Self::SIDE * Self::SIDE).map(|i| factor * (i % 97) as f32).collect();
            Tensor::from_vec(values, (Self::SIDE, Self::SIDE), device)
        };
        Ok(Self { a: matrix(1e-2)?, b: matrix(-1e-2)? })
    }
}

impl Job for Gemm {
    fn run(&mut self) -> Result<()> {
        self.a.matmul(&self.b)?;
        Ok(())
    }
}

/// A copy of more memory than any cache holds.
pub(crate) struct MemoryCopy {
    from: Vec<f32>,
    to: Vec<f32>,
}

impl MemoryCopy {
    const BYTES: usize = 256 << 20;
    /// What a thread copies at a time.
    const BLOCK: usize = 1 << 18;
    /// Every byte is read and written.
    pub(crate) const AMOUNT: Amount = Amount::Bytes(2.0 * Self::BYTES as f64);

    pub(crate) fn new() -> Self {
        let numbers = Self::BYTES / size_of::<f32>();
        Self { from: vec![1.0; numbers], to: vec![0.5; numbers] }
    }
}

impl Job for MemoryCopy {
    fn run(&mut self) -> Result<()> {
        self.to.par_chunks_mut(Self::BLOCK).zip(self.from.par_chunks(Self::BLOCK)).for_each(|(to, from)| to.copy_from_slice(from));
        Ok(())
    }
}

/// The same within the memory of a graphics card.
pub(crate) struct CardCopy {
    from: Tensor,
}

impl CardCopy {
    pub(crate) fn new(device: &Device) -> Result<Self> {
        Ok(Self { from: Tensor::ones(MemoryCopy::BYTES / size_of::<f32>(), DType::F32, device)? })
    }
}

impl Job for CardCopy {
    fn run(&mut self) -> Result<()> {
        self.from.copy()?;
        Ok(())
    }
}
