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
    x.contiguous()?.apply_op1(Dropout { kept: draw(draws, rate, rng), scale: 1.0 / (1.0 - f64::from(rate)) })
}

/// Which are kept, each with probability `1 - rate`.
fn draw(count: usize, rate: f32, mut rng: ChaCha8Rng) -> Vec<bool> {
    let threshold = (f64::from(rate) * 4_294_967_296.0) as u64;
    (0..count).map(|_| u64::from(rng.next_u32()) >= threshold).collect()
}

struct Dropout {
    kept: Vec<bool>,
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
        let kept: Vec<u8> = self.kept.iter().map(|&kept| kept.into()).collect();
        let (x, kept) = (card.place(storage, layout)?, card.given(&kept)?);
        card.make(card.dtype(), layout.shape(), |y| cuda::apply(&card, card.dtype(), self, [x, kept, y], layout.shape().elem_count()))
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
    fn apply<T: Number>(&self, x: &[T]) -> Vec<T> {
        let scale = T::of(self.scale);
        // A product, not a choice: NaN and infinity stay visible, as in other frameworks.
        let factor = |kept: bool| if kept { scale } else { T::zero() };
        let group = x.len() / self.kept.len().max(1);
        let mut y = vec![T::zero(); x.len()];
        if group == 1 {
            (&mut y, x, &self.kept).into_par_iter().with_min_len(crate::cpu::BLOCK).for_each(|(y, &x, &kept)| *y = x * factor(kept));
        } else if group > 1 {
            (y.par_chunks_mut(group), x.par_chunks(group), &self.kept).into_par_iter().for_each(|(y, x, &kept)| {
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

    /// From `x` to `y`, where `kept` says with a byte a group of numbers what is kept.
    pub(super) fn apply(card: &impl Card, dtype: DType, dropout: &Dropout, [x, kept, y]: [Address; 3], count: usize) -> Result<()> {
        let groups = dropout.kept.len();
        let launch = Launch::each("dropout", count).with(x).with(kept).with(y).with_length(count / groups.max(1)).with_length(groups);
        card.launch(&Program::new("dropout", dtype, &[include_str!("dropout.cu")], &["dropout"])?.for_count(count), &launch.with_real(dtype, dropout.scale))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::cuda::emulated::Emulated;

    #[test]
    fn a_card_drops_the_same() {
        let x = Tensor::arange(1_f32, 25.0, &Device::Cpu).unwrap().reshape((2, 3, 4)).unwrap();
        for kept in [vec![true, false, true, true, false, true], (0..24).map(|i| i % 5 > 1).collect()] {
            let dropout = Dropout { kept, scale: 1.25 };
            let bytes: Vec<u8> = dropout.kept.iter().map(|&kept| kept.into()).collect();
            let expected = x.apply_op1_no_bwd(&dropout).unwrap();
            Emulated::both(|card| {
                let y = card.output::<f32>(24);
                cuda::apply(card, DType::F32, &dropout, [card.tensor(&x), card.given(&bytes), y], 24).unwrap();
                card.assert_same(y, &expected);
            });
        }
    }
}
