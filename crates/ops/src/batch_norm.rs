//! Batch normalisation (Ioffe & Szegedy, *Batch Normalization*, ICML 2015).
//!
//! `y = w (x - mean) / sqrt(variance + epsilon) + b`, with the two moments of every channel. In training they are the batch's, and the gradient goes through them; in evaluation
//! they are given. Sums run over fixed parts of a channel in a fixed order and are put together in 64 bits, so that threads and vectors change no bit.

#[cfg(any(feature = "cuda", test))]
mod cuda;

use std::ops::Range;
use std::sync::Arc;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;

use crate::cpu::{Held, Number, arch, by_number, elements, expect_numbers, numbers};
#[cfg(feature = "cuda")]
use crate::cuda::candle::{OnCard, unset_like, with_places};
use crate::fresh::filled;
use crate::update::mutate;

/// The mean and the variance of every channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    mean: Vec<f64>,
    /// The mean square of the difference from the mean.
    variance: Vec<f64>,
    /// How many numbers of each channel they are of; 0 where they were given.
    count: usize,
}

impl Moments {
    /// Those of a batch, `N x C x ...`, over all of its axes but the second.
    ///
    /// # Errors
    ///
    /// Where `x` is no such tensor of f32 or f64, or holds one number a channel alone, which has no variance.
    pub fn of(x: &Tensor) -> Result<Self> {
        expect_numbers("batch_norm", &[("x", x)])?;
        let planes = Planes::of(x)?;
        let count = planes.samples * planes.plane;
        if count < 2 {
            bail!("batch_norm: x is {:?}, one number a channel, which has no variance; train with a batch of 2 or more", x.dims());
        }
        let x = x.contiguous()?;
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return with_places("batch_norm", [&x], |card, [x]| {
                let channels = planes.channels;
                let mut mean =
                    card.fetched::<f64>(2 * channels, |rows| cuda::moments(card, card.dtype(), x, [rows, rows.after(channels * size_of::<f64>())], planes))?;
                let variance = mean.split_off(channels);
                Ok(Self { mean, variance, count })
            });
        }
        let held = Held::new("batch_norm", &x)?;
        let moments = if x.dtype() == DType::F64 { planes.moments(held.numbers::<f64>()?) } else { planes.moments(held.numbers::<f32>()?) };
        let (mean, variance) = moments.into_iter().unzip();
        Ok(Self { mean, variance, count })
    }

    /// Given ones, a number each for every channel: constants, through which no gradient goes.
    ///
    /// # Errors
    ///
    /// Where they are not two rows of one length.
    pub fn given(mean: &Tensor, variance: &Tensor) -> Result<Self> {
        let [mean, variance] = [mean, variance].map(|row| row.to_dtype(DType::F64)?.to_vec1::<f64>());
        let (mean, variance) = (mean?, variance?);
        if mean.len() != variance.len() {
            bail!("batch_norm: {} means and {} variances; expected one of each for every channel", mean.len(), variance.len());
        }
        Ok(Self { mean, variance, count: 0 })
    }

    /// Moves running moments towards these, in place: `running <- (1 - momentum) running + momentum new`, the variance as that of a sample, divided by one less, as other
    /// frameworks do. Given ones move nothing.
    ///
    /// # Errors
    ///
    /// Where a row has another length.
    pub fn lead(&self, momentum: f64, mean: &Tensor, variance: &Tensor) -> Result<()> {
        if self.count < 2 {
            return Ok(());
        }
        let of_sample = self.count as f64 / (self.count - 1) as f64;
        for (running, new, factor) in [(mean, &self.mean, 1.0), (variance, &self.variance, of_sample)] {
            if running.dims() != [new.len()] {
                bail!("batch_norm: running moments {:?} for {} channels", running.dims(), new.len());
            }
            if running.dtype() == DType::F64 { lead::<f64>(running, new, momentum, factor)? } else { lead::<f32>(running, new, momentum, factor)? }
        }
        Ok(())
    }
}

fn lead<T: Number>(running: &Tensor, new: &[f64], momentum: f64, factor: f64) -> Result<()> {
    #[cfg(feature = "cuda")]
    if running.device().is_cuda() {
        return with_places("batch_norm", [running], |card, [running]| {
            cuda::lead(card, card.dtype(), running, card.given(new)?, new.len(), [1.0 - momentum, momentum * factor])
        });
    }
    mutate(running, 0..new.len(), |running: &mut [T]| {
        running.iter_mut().zip(new).for_each(|(running, new)| *running = T::of((1.0 - momentum) * wide(*running) + momentum * factor * new));
        Ok(())
    })
}

/// `w (x - mean) / sqrt(variance + epsilon) + b`, on candle's tape: for [`Moments::of`] the gradient goes through the moments too.
///
/// `x` is `N x C x ...`, `weight` and `bias` are a number a channel.
///
/// # Errors
///
/// Where a shape or type does not fit.
pub fn batch_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, moments: Moments, epsilon: f64) -> Result<Tensor> {
    let block = BatchNorm { epsilon, rectified: false };
    block.check(x, [weight, bias], &moments)?;
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, Taped { block, moments: Arc::new(moments) })
}

/// Batch normalisation and what follows it, without candle's tape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether a rectification follows.
    pub rectified: bool,
}

/// The gradients of a [`BatchNorm`].
#[derive(Debug)]
pub struct BatchNormGradients {
    /// That to the input, where it was asked for.
    pub input: Option<Tensor>,
    /// That to the weight.
    pub weight: Tensor,
    /// That to the bias.
    pub bias: Tensor,
}

impl BatchNorm {
    /// The output, of the input's shape.
    ///
    /// # Errors
    ///
    /// Where a shape or type does not fit.
    pub fn forward(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, moments: &Moments) -> Result<Tensor> {
        let planes = self.check(x, [weight, bias], moments)?;
        let (x, weight, bias) = (x.contiguous()?, weight.contiguous()?, bias.contiguous()?);
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            let y = unset_like(&x, x.shape())?;
            with_places("batch_norm", [&x, &weight, &bias, &y], |card, [x, weight, bias, y]| self.on_card(card, planes, [x, weight, bias], moments, y))?;
            return Ok(y);
        }
        let (held, weight, bias) = (Held::new("batch_norm", &x)?, Held::new("batch_norm", &weight)?, Held::new("batch_norm", &bias)?);
        if x.dtype() == DType::F64 {
            Tensor::from_vec(self.apply::<f64>(planes, held.numbers()?, [weight.numbers()?, bias.numbers()?], moments), x.shape(), x.device())
        } else {
            Tensor::from_vec(self.apply::<f32>(planes, held.numbers()?, [weight.numbers()?, bias.numbers()?], moments), x.shape(), x.device())
        }
    }

    /// The gradients, from the input, the output and the gradient to it; that to the input where `tracked` says that it is wanted.
    ///
    /// # Errors
    ///
    /// Where a shape or type does not fit.
    pub fn backward(&self, x: &Tensor, weight: &Tensor, output: &Tensor, moments: &Moments, upstream: &Tensor, tracked: bool) -> Result<BatchNormGradients> {
        let planes = self.check(x, [weight, weight], moments)?;
        if [output, upstream].iter().any(|tensor| tensor.dims() != x.dims() || tensor.dtype() != x.dtype()) {
            bail!("batch_norm gradient: x is {:?}, the output {:?}, the gradient to it {:?}; expected the same", x.dims(), output.dims(), upstream.dims());
        }
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return self.gradients_on_card(planes, [x, output, upstream, weight], moments, tracked);
        }
        if x.dtype() == DType::F64 {
            self.gradients::<f64>(planes, [x, output, upstream], weight, moments, tracked)
        } else {
            self.gradients::<f32>(planes, [x, output, upstream], weight, moments, tracked)
        }
    }

    #[cfg(feature = "cuda")]
    fn on_card(&self, card: &OnCard, planes: Planes, from: [crate::cuda::Address; 3], moments: &Moments, y: crate::cuda::Address) -> Result<()> {
        let rows = self.rows_on_card(card, moments)?;
        cuda::forward(card, card.dtype(), from, rows, y, planes, self.floor())
    }

    /// The means, and the inverse roots of the variances.
    #[cfg(feature = "cuda")]
    fn rows_on_card(&self, card: &OnCard, moments: &Moments) -> Result<[crate::cuda::Address; 2]> {
        let inverse: Vec<f64> = (0..moments.mean.len()).map(|channel| self.inverse(moments, channel)).collect();
        Ok([card.given(&moments.mean)?, card.given(&inverse)?])
    }

    #[cfg(feature = "cuda")]
    fn gradients_on_card(&self, planes: Planes, tensors: [&Tensor; 4], moments: &Moments, tracked: bool) -> Result<BatchNormGradients> {
        let [x, output, upstream, weight] = tensors.map(Tensor::contiguous);
        let (x, weight) = (x?, weight?);
        let input = tracked.then(|| unset_like(&x, x.shape())).transpose()?;
        let [to_weight, to_bias] = [unset_like(&weight, weight.shape())?, unset_like(&weight, weight.shape())?];
        let through = if moments.count > 0 { 1.0 / (planes.samples * planes.plane) as f64 } else { 0.0 };
        with_places("batch_norm gradient", [&x, &output?, &upstream?, &weight, &to_weight, &to_bias], |card, [x, y, upstream, weight, to_weight, to_bias]| {
            let rows = self.rows_on_card(card, moments)?;
            let to_x = input.as_ref().map(|input| card.place_of(input)).transpose()?;
            cuda::backward(card, card.dtype(), [x, y, upstream, weight], rows, (to_x, [to_weight, to_bias]), planes, (through, self.floor()))
        })?;
        Ok(BatchNormGradients { input, weight: to_weight, bias: to_bias })
    }

    fn check(&self, x: &Tensor, rows: [&Tensor; 2], moments: &Moments) -> Result<Planes> {
        expect_numbers("batch_norm", &[("x", x), ("weight", rows[0]), ("bias", rows[1])])?;
        let planes = Planes::of(x)?;
        let channels = planes.channels;
        if rows.iter().any(|row| row.dims() != [channels]) || moments.mean.len() != channels {
            let [weight, bias] = rows.map(Tensor::dims);
            bail!("batch_norm: x has {channels} channels, weight is {weight:?}, bias {bias:?}, moments are of {}", moments.mean.len());
        }
        Ok(planes)
    }

    /// What is not above this is rectified; minus infinity where nothing is.
    fn floor<T: Number>(&self) -> T {
        if self.rectified { T::zero() } else { T::neg_infinity() }
    }

    fn inverse(&self, moments: &Moments, channel: usize) -> f64 {
        1.0 / (moments.variance[channel] + self.epsilon).sqrt()
    }

    fn apply<T: Number>(&self, planes: Planes, x: &[T], [weight, bias]: [&[T]; 2], moments: &Moments) -> Vec<T> {
        let floor = self.floor::<T>();
        planes.mapped([x], |channel| {
            let (mean, scale, bias) = (T::of(moments.mean[channel]), T::of(wide(weight[channel]) * self.inverse(moments, channel)), bias[channel]);
            move |[x]: [T; 1]| {
                let y = (x - mean) * scale + bias;
                // Not `y > floor`, which would turn NaN into 0.
                if y <= floor { floor } else { y }
            }
        })
    }

    fn gradients<T: Number>(
        &self,
        planes: Planes,
        [x, output, upstream]: [&Tensor; 3],
        weight: &Tensor,
        moments: &Moments,
        tracked: bool,
    ) -> Result<BatchNormGradients> {
        let (x, output, upstream, weight) = (x.contiguous()?, output.contiguous()?, upstream.contiguous()?, weight.contiguous()?);
        let [held_x, held_y, held_g, held_w] = [&x, &output, &upstream, &weight].map(|tensor| Held::new("batch_norm gradient", tensor));
        let (held_x, held_y, held_g, held_w) = (held_x?, held_y?, held_g?, held_w?);
        let (numbers, weights) = ([held_x.numbers::<T>()?, held_y.numbers::<T>()?, held_g.numbers::<T>()?], held_w.numbers::<T>()?);
        let floor = self.floor::<T>();
        // Of each channel: the sum of the gradient, and of the gradient times the difference from the mean.
        let sums: Vec<[f64; 2]> = planes.each_channel(|channel, place| {
            let mean = T::of(moments.mean[channel]);
            let parts = numbers.map(|numbers| &numbers[place.clone()]);
            let passed = move |y: T, g: T| if y <= floor { T::zero() } else { g };
            [total(parts, move |[_, y, g]| passed(y, g)), total(parts, move |[x, y, g]| passed(y, g) * (x - mean))]
        });
        let count = (planes.samples * planes.plane) as f64;
        let through = if moments.count > 0 { 1.0 / count } else { 0.0 };
        let input = tracked.then(|| {
            planes.mapped(numbers, |channel| {
                let (inverse, [sum, product]) = (self.inverse(moments, channel), sums[channel]);
                let scale = wide(weights[channel]) * inverse;
                let (mean, slope, shift) = (T::of(moments.mean[channel]), T::of(scale * inverse * inverse * product * through), T::of(scale * sum * through));
                let scale = T::of(scale);
                move |[x, y, g]: [T; 3]| {
                    let g = if y <= floor { T::zero() } else { g };
                    scale * g - shift - (x - mean) * slope
                }
            })
        });
        let row = |of: &dyn Fn(usize) -> f64| Tensor::from_vec((0..planes.channels).map(|channel| T::of(of(channel))).collect(), planes.channels, x.device());
        Ok(BatchNormGradients {
            input: input.map(|numbers| Tensor::from_vec(numbers, x.shape(), x.device())).transpose()?,
            weight: row(&|channel| sums[channel][1] * self.inverse(moments, channel))?,
            bias: row(&|channel| sums[channel][0])?,
        })
    }
}

struct Taped {
    block: BatchNorm,
    moments: Arc<Moments>,
}

impl CustomOp3 for Taped {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        weight: &CpuStorage,
        of_weight: &Layout,
        bias: &CpuStorage,
        of_bias: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::of_dims(layout.dims())?;
        let y = by_number!(self.name(), x, T => {
            let rows = [numbers::<T>(weight, of_weight)?, numbers::<T>(bias, of_bias)?];
            T::to_cpu_storage_owned(self.block.apply(planes, numbers::<T>(x, layout)?, rows, &self.moments))
        });
        Ok((y, layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        weight: &CudaStorage,
        of_weight: &Layout,
        bias: &CudaStorage,
        of_bias: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(x);
        let from = [card.place(x, layout)?, card.place(weight, of_weight)?, card.place(bias, of_bias)?];
        card.make(card.dtype(), layout.shape(), |y| self.block.on_card(&card, Planes::of_dims(layout.dims())?, from, &self.moments, y))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradients = self.block.backward(&x.detach(), &weight.detach(), &y.detach(), &self.moments, gradient, x.track_op())?;
        Ok((gradients.input, weight.track_op().then_some(gradients.weight), bias.track_op().then_some(gradients.bias)))
    }
}

/// How the numbers of channels lie in a tensor: `samples` times `channels` times `plane` of them.
#[derive(Debug, Clone, Copy)]
struct Planes {
    samples: usize,
    channels: usize,
    plane: usize,
}

impl Planes {
    fn of(x: &Tensor) -> Result<Self> {
        Self::of_dims(x.dims())
    }

    fn of_dims(dims: &[usize]) -> Result<Self> {
        match dims {
            [samples, channels, plane @ ..] if elements("batch_norm", dims)? > 0 => {
                Ok(Self { samples: *samples, channels: *channels, plane: plane.iter().product() })
            }
            other => bail!("batch_norm: x has shape {other:?}; expected N x C x ..., with no axis of length 0"),
        }
    }

    /// Mean and variance of every channel.
    fn moments<T: Number>(self, x: &[T]) -> Vec<(f64, f64)> {
        let count = (self.samples * self.plane) as f64;
        let sums = self.each_channel(|_, place| [total([&x[place]], |[x]| x)]);
        let means: Vec<f64> = sums.into_iter().map(|[sum]| sum / count).collect();
        let squares = self.each_channel(|channel, place| {
            let mean = T::of(means[channel]);
            [total([&x[place]], move |[x]| (x - mean) * (x - mean))]
        });
        means.iter().zip(squares).map(|(mean, [sum])| (*mean, sum / count)).collect()
    }

    /// Sums over every channel what `sums(channel, place)` gives for its numbers in one sample, `place` being where those lie; channels in parallel, samples in order.
    fn each_channel<const N: usize>(self, sums: impl Fn(usize, Range<usize>) -> [f64; N] + Sync) -> Vec<[f64; N]> {
        let Self { samples, channels, plane } = self;
        let one = |channel: usize| {
            arch().dispatch(
                #[inline(always)]
                || {
                    let mut all = [0.0; N];
                    for sample in 0..samples {
                        let start = (sample * channels + channel) * plane;
                        all.iter_mut().zip(sums(channel, start..start + plane)).for_each(|(all, part)| *all += part);
                    }
                    all
                },
            )
        };
        (0..channels).into_par_iter().map(one).collect()
    }

    /// A new tensor whose every number follows from those of `sources` at its place, by the function that `of_channel` gives for its channel.
    fn mapped<T: Number, const N: usize, F: Fn([T; N]) -> T>(self, sources: [&[T]; N], of_channel: impl Fn(usize) -> F + Sync) -> Vec<T> {
        let Self { samples, channels, plane } = self;
        filled(samples * channels * plane, channels * plane, |sample, target| {
            arch().dispatch(
                #[inline(always)]
                || {
                    for (channel, target) in target.chunks_exact_mut(plane).enumerate() {
                        let (term, start) = (of_channel(channel), (sample * channels + channel) * plane);
                        let parts = sources.map(|source| &source[start..start + target.len()]);
                        for (i, target) in target.iter_mut().enumerate() {
                            *target = term(parts.map(|part| part[i]));
                        }
                    }
                },
            );
        })
    }
}

/// In 64 bits.
fn wide<T: Number>(number: T) -> f64 {
    WithDType::to_f64(number)
}

/// Sums that run side by side in one vector register or a few.
const LANES: usize = 32;

/// The sum of `term` over numbers that lie at the same place of each part.
#[inline(always)]
fn total<T: Number, const N: usize>(parts: [&[T]; N], term: impl Fn([T; N]) -> T) -> f64 {
    let length = parts.first().map_or(0, |part| part.len());
    let whole = length - length % LANES;
    let mut lanes = [T::zero(); LANES];
    for start in (0..whole).step_by(LANES) {
        let parts = parts.map(|part| &part[start..start + LANES]);
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane += term(parts.map(|part| part[i]));
        }
    }
    let rest: f64 = (whole..length).map(|i| wide(term(parts.map(|part| part[i])))).sum();
    if whole == 0 { rest } else { lanes.iter().map(|lane| wide(*lane)).sum::<f64>() + rest }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::cuda::emulated::Emulated;

    fn tensor(count: usize, factor: f32) -> Tensor {
        Tensor::from_vec((0..count).map(|i| (i * 37 % 23) as f32 * factor - 1.0).collect::<Vec<f32>>(), count, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_card_computes_the_same() {
        let (x, upstream) = (tensor(4 * 3 * 50, 0.2).reshape((4, 3, 50)).unwrap(), tensor(4 * 3 * 50, 0.11).reshape((4, 3, 50)).unwrap());
        let (weight, bias, planes) = (tensor(3, 0.3), tensor(3, 0.05), Planes { samples: 4, channels: 3, plane: 50 });
        let batch = Moments::of(&x).unwrap();
        for (rectified, count) in [(false, batch.count), (true, batch.count), (true, 0)] {
            let (block, moments) = (BatchNorm { epsilon: 1e-5, rectified }, Moments { count, ..batch.clone() });
            let y = block.forward(&x, &weight, &bias, &moments).unwrap();
            let expected = block.backward(&x, &weight, &y, &moments, &upstream, true).unwrap();
            let inverse: Vec<f64> = (0..3).map(|channel| block.inverse(&moments, channel)).collect();
            let (floor, through) = (if rectified { 0.0 } else { f64::NEG_INFINITY }, if count > 0 { 1.0 / 200.0 } else { 0.0 });
            Emulated::both(|card| {
                let (mean, variance) = (card.output::<f64>(3), card.output::<f64>(3));
                let [of_x, of_weight, of_bias, of_upstream] = [&x, &weight, &bias, &upstream].map(|tensor| card.tensor(tensor));
                cuda::moments(card, DType::F32, of_x, [mean, variance], planes).unwrap();
                for (found, expected) in [(mean, &moments.mean), (variance, &moments.variance)] {
                    card.numbers::<f64>(found, 3).iter().zip(expected).for_each(|(found, expected)| assert!((found - expected).abs() < 1e-5));
                }
                let rows = [card.given(&moments.mean), card.given(&inverse)];
                let [on_card, to_x] = [(); 2].map(|()| card.output::<f32>(600));
                let [to_weight, to_bias] = [(); 2].map(|()| card.output::<f32>(3));
                cuda::forward(card, DType::F32, [of_x, of_weight, of_bias], rows, on_card, planes, floor).unwrap();
                let from = [of_x, on_card, of_upstream, of_weight];
                cuda::backward(card, DType::F32, from, rows, (Some(to_x), [to_weight, to_bias]), planes, (through, floor)).unwrap();
                card.assert_close(on_card, &y, 1e-6);
                card.assert_close(to_x, expected.input.as_ref().unwrap(), 1e-5);
                card.assert_close(to_weight, &expected.weight, 1e-5);
                card.assert_close(to_bias, &expected.bias, 1e-5);

                let (running, moved) = (tensor(3, 0.4), card.tensor(&tensor(3, 0.4)));
                lead::<f32>(&running, &moments.mean, 0.1, 1.5).unwrap();
                cuda::lead(card, DType::F32, moved, rows[0], 3, [0.9, 0.1 * 1.5]).unwrap();
                card.assert_close(moved, &running, 1e-6);
            });
        }
    }
}
