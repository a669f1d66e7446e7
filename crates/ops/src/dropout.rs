//! Dropout, of elements or of whole channels.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use crate::cpu::{Number, by_number, expect_numbers, numbers};
#[cfg(feature = "cuda")]
use crate::cuda::candle::OnCard;

/// Sets elements to zero, each with probability `rate`, and divides the others by `1 - rate`, so that the expectation stays.
///
/// With `channels`, whole channels of `N C ...` are dropped or kept. What is dropped is drawn from `rng`: one number an element (or channel), in row-major order, so the
/// same generator drops the same elements at any thread count and in either number type. Rate 0 is the identity.
///
/// # Errors
///
/// Where `rate` is not in \[0, 1), `x` is neither f32 nor f64, or channels are to be dropped of a tensor that has none.
pub fn dropout(x: &Tensor, rate: f32, channels: bool, rng: ChaCha8Rng) -> Result<Tensor> {
    expect_numbers("dropout", &[("x", x)])?;
    if !(0.0..1.0).contains(&rate) {
        bail!("dropout: a rate of {rate} is not a probability in [0, 1)");
    }
    let draws = match *x.dims() {
        [samples, count, ..] if channels => samples * count,
        ref dims if channels => bail!("dropout: x has shape {dims:?}; whole channels can only be dropped of N x C x ..."),
        _ => x.elem_count(),
    };
    if rate == 0.0 {
        return Ok(x.clone());
    }
    x.contiguous()?.apply_op1(Dropout { rng, groups: draws, threshold: (f64::from(rate) * 4_294_967_296.0) as u64, scale: 1.0 / (1.0 - f64::from(rate)) })
}

/// What is kept is drawn anew by every pass: nothing but the generator need be remembered.
struct Dropout {
    rng: ChaCha8Rng,
    /// Neighbouring numbers that are kept or dropped together are a group.
    groups: usize,
    /// A group is kept where its draw, 32 bits, is not below this.
    threshold: u64,
    scale: f64,
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_number!(self.name(), storage, T => T::to_cpu_storage_owned(self.apply::<T>(numbers(storage, layout)?)));
        Ok((y, layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(storage);
        let x = card.place(storage, layout)?;
        card.make(card.dtype(), layout.shape(), |y| cuda::apply(&card, card.dtype(), self, [x, y], layout.shape().elem_count()))
    }

    /// The same factors, on the gradient.
    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(self)?))
    }
}

impl Dropout {
    /// Which groups are kept.
    fn draw(&self) -> Vec<bool> {
        let mut rng = self.rng.clone();
        (0..self.groups).map(|_| u64::from(rng.next_u32()) >= self.threshold).collect()
    }

    fn apply<T: Number>(&self, x: &[T]) -> Vec<T> {
        let kept = self.draw();
        let scale = T::of(self.scale);
        // A product, not a choice: NaN and infinity stay visible, as in other frameworks.
        let factor = |kept: bool| if kept { scale } else { T::zero() };
        let group = x.len() / kept.len().max(1);
        let mut y = vec![T::zero(); x.len()];
        if group == 1 {
            (&mut y, x, &kept).into_par_iter().with_min_len(crate::cpu::BLOCK).for_each(|(y, &x, &kept)| *y = x * factor(kept));
        } else if group > 1 {
            (y.par_chunks_mut(group), x.par_chunks(group), &kept).into_par_iter().for_each(|(y, x, &kept)| {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = x * factor(kept);
                }
            });
        }
        y
    }
}

/// The same on a graphics card: `dropout.cu`.
#[cfg(any(feature = "cuda", test))]
mod cuda {
    use candle_core::{DType, Result};

    use super::Dropout;
    use crate::cuda::{Address, Card, Launch, Program};

    /// From `x` to `y`: the card draws the same numbers.
    pub(super) fn apply(card: &impl Card, dtype: DType, dropout: &Dropout, [x, y]: [Address; 2], count: usize) -> Result<()> {
        let (groups, rng) = (dropout.groups, &dropout.rng);
        let position = rng.get_word_pos();
        let launch = Launch::each("dropout", count.div_ceil(16)).with(x).with(y).with_length(count).with_length(count / groups.max(1));
        let launch = launch.with(dropout.threshold as i64).with_real(dtype, dropout.scale);
        let launch = launch.with((position / 16) as i64).with((position % 16) as i32).with(rng.get_stream() as i64);
        let seed = rng.get_seed();
        let words = seed.chunks_exact(4).map(|word| word.iter().rev().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) as i32);
        card.launch(&Program::new("dropout", dtype, &[include_str!("dropout.cu")], &["dropout"])?.for_count(count), &words.fold(launch, Launch::with))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::cuda::emulated::Emulated;

    #[test]
    fn a_card_drops_the_same() {
        let x = Tensor::arange(1_f32, 2401.0, &Device::Cpu).unwrap().reshape((20, 30, 4)).unwrap();
        let mut drawn_from = ChaCha8Rng::seed_from_u64(3);
        drawn_from.set_stream(0x1234_5678_9ABC_DEF0);
        (0..21).for_each(|_| _ = drawn_from.next_u32());
        for rng in [ChaCha8Rng::seed_from_u64(7), drawn_from] {
            for (groups, rate) in [(600, 0.25), (2400, 0.5), (2400, 0.999)] {
                let dropout = Dropout { rng: rng.clone(), groups, threshold: (rate * 4_294_967_296.0) as u64, scale: 1.25 };
                let expected = x.apply_op1_no_bwd(&dropout).unwrap();
                Emulated::both(|card| {
                    let y = card.output::<f32>(2400);
                    cuda::apply(card, DType::F32, &dropout, [card.tensor(&x), y], 2400).unwrap();
                    card.assert_same(y, &expected);
                });
            }
        }
    }
}
