//! Updates in place: of weights by a step of an optimiser, and of one gradient by another.
//!
//! One pass over memory each, shared out among the threads. Every number is computed by itself, so that neither threads nor vectors change a bit. A step along the gradient of
//! a fully connected layer makes that gradient block by block in the cache, just before the block is moved.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Tensor, bail};
use rayon::prelude::*;

use crate::cpu::{BLOCK, Held, Number, arch};
#[cfg(feature = "cuda")]
use crate::cuda::candle::with_places;
use crate::{Gradient, LinearGradient};

/// A step of stochastic gradient descent, `torch.optim.SGD` term by term: `g <- g + decay w`, `v <- momentum v + g`, `w <- w - lr v` (with Nesterov `w - lr (g + momentum v)`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdUpdate {
    /// The learning rate.
    pub lr: f64,
    /// How much of the last step is kept; the velocity must be given where it is not 0.
    pub momentum: f64,
    /// Whether to look one step ahead.
    pub nesterov: bool,
    /// The factor of the L2 term.
    pub decay: f64,
}

/// A step of Adam, `torch.optim.Adam` and `AdamW` term by term: `m <- b1 m + (1 - b1) g`, `v <- b2 v + (1 - b2) g^2`, `w <- w - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamUpdate {
    /// The learning rate.
    pub lr: f64,
    /// How slowly the two means move.
    pub betas: (f64, f64),
    /// Added to the divisor.
    pub epsilon: f64,
    /// The factor of the L2 term, added to the gradient.
    pub l2: f64,
    /// The share of a weight that the step takes away beforehand, times the learning rate: AdamW's weight decay.
    pub decay: f64,
    /// The number of this step, from 1.
    pub step: i64,
}

/// Runs `$body` with `$numbers` standing for the numbers of a tensor on the CPU, f32 or f64.
macro_rules! with_numbers {
    ($tensor:expr, $numbers:ident => $body:expr) => {{
        let tensor = $tensor.contiguous()?;
        let held = Held::new("an update in place", &tensor)?;
        if tensor.dtype() == DType::F64 {
            let $numbers = held.numbers::<f64>()?;
            $body
        } else {
            let $numbers = held.numbers::<f32>()?;
            $body
        }
    }};
}

impl SgdUpdate {
    /// Moves `weight` along `gradient`, and with momentum `velocity` too.
    ///
    /// # Errors
    ///
    /// Where lengths or types do not fit.
    pub fn apply(&self, weight: &Tensor, gradient: &Gradient, velocity: Option<&Tensor>) -> Result<()> {
        expect_as_many(weight, gradient)?;
        match gradient {
            Gradient::Product(product) if product.is_soon_made() => self.step(weight, 0, product, velocity),
            _ => gradient.in_parts(|first, numbers| self.along_numbers(weight, first, numbers, velocity)),
        }
    }

    /// A step of `weight` from its number `first` on.
    fn along_numbers(&self, weight: &Tensor, first: usize, gradient: &Tensor, velocity: Option<&Tensor>) -> Result<()> {
        #[cfg(feature = "cuda")]
        if weight.device().is_cuda() {
            let (weight, gradient) = (cuda::part(weight, first, gradient)?, gradient.contiguous()?);
            let velocity = velocity.map(|velocity| cuda::part(velocity, first, &gradient)).transpose()?;
            // Without momentum the gradient stands in the velocity's place, and is not looked at there.
            return with_places("the optimiser's step", [&weight, velocity.as_ref().unwrap_or(&gradient), &gradient], |card, [weight, moving, from]| {
                cuda::sgd(card, card.dtype(), self, weight, velocity.as_ref().map(|_| moving), from, gradient.elem_count())
            });
        }
        with_numbers!(gradient, numbers => self.step(weight, first, numbers, velocity))
    }

    fn step<T: Number, A: Along<T> + ?Sized>(&self, weight: &Tensor, first: usize, along: &A, velocity: Option<&Tensor>) -> Result<()> {
        let [lr, momentum, decay] = [self.lr, self.momentum, self.decay].map(T::of);
        let places = first..first + along.count();
        let Some(velocity) = velocity else {
            return mutate(weight, places, |weight: &mut [T]| {
                along.each(
                    [weight],
                    #[inline(always)]
                    |[w], g| *w -= lr * (g + decay * *w),
                )
            });
        };
        let nesterov = self.nesterov;
        mutate(weight, places.clone(), |weight: &mut [T]| {
            mutate(velocity, places, |velocity: &mut [T]| {
                along.each(
                    [weight, velocity],
                    #[inline(always)]
                    |[w, v], g| {
                        let g = g + decay * *w;
                        *v = momentum * *v + g;
                        *w -= lr * if nesterov { g + momentum * *v } else { *v };
                    },
                )
            })
        })
    }
}

impl AdamUpdate {
    /// Moves `weight` along `gradient`, with its two `means`.
    ///
    /// # Errors
    ///
    /// Where lengths or types do not fit.
    pub fn apply(&self, weight: &Tensor, gradient: &Gradient, means: [&Tensor; 2]) -> Result<()> {
        expect_as_many(weight, gradient)?;
        match gradient {
            Gradient::Product(product) if product.is_soon_made() => self.step(weight, 0, product, means),
            _ => gradient.in_parts(|first, numbers| self.along_numbers(weight, first, numbers, means)),
        }
    }

    /// A step of `weight` from its number `first` on.
    fn along_numbers(&self, weight: &Tensor, first: usize, gradient: &Tensor, means: [&Tensor; 2]) -> Result<()> {
        #[cfg(feature = "cuda")]
        if weight.device().is_cuda() {
            let gradient = gradient.contiguous()?;
            let [weight, mean, square] = [weight, means[0], means[1]].map(|tensor| cuda::part(tensor, first, &gradient));
            return with_places("the optimiser's step", [&weight?, &mean?, &square?, &gradient], |card, places| {
                cuda::adam(card, card.dtype(), self, places, gradient.elem_count())
            });
        }
        with_numbers!(gradient, numbers => self.step(weight, first, numbers, means))
    }

    /// The two factors of what is kept, those of what is new, the rate, the scale of the root, epsilon, the L2 term's factor and what shrinks the weight.
    fn factors(&self) -> [f64; 9] {
        let (beta1, beta2) = self.betas;
        let bias = |beta: f64| 1.0 - beta.powf(self.step as f64);
        let (rate, scale) = (self.lr / bias(beta1), 1.0 / bias(beta2).sqrt());
        [beta1, beta2, 1.0 - beta1, 1.0 - beta2, rate, scale, self.epsilon, self.l2, 1.0 - self.lr * self.decay]
    }

    fn step<T: Number, A: Along<T> + ?Sized>(&self, weight: &Tensor, first: usize, along: &A, means: [&Tensor; 2]) -> Result<()> {
        let [kept1, kept2, new1, new2, rate, scale, epsilon, l2, shrink] = self.factors().map(T::of);
        let places = first..first + along.count();
        mutate(weight, places.clone(), |weight: &mut [T]| {
            mutate(means[0], places.clone(), |mean: &mut [T]| {
                mutate(means[1], places, |square: &mut [T]| {
                    along.each(
                        [weight, mean, square],
                        #[inline(always)]
                        |[w, m, v], g| {
                            let g = g + l2 * *w;
                            *m = kept1 * *m + new1 * g;
                            *v = kept2 * *v + new2 * g * g;
                            *w = shrink * *w - rate * *m / (v.sqrt() * scale + epsilon);
                        },
                    )
                })
            })
        })
    }
}

/// `to += from`, in place.
///
/// # Errors
///
/// Where shapes or types differ, or `to` is not contiguous.
pub fn accumulate(to: &Tensor, from: &Tensor) -> Result<()> {
    if to.dims() != from.dims() {
        bail!("a sum of gradients of shapes {:?} and {:?}; expected the same", to.dims(), from.dims());
    }
    let from = from.contiguous()?;
    #[cfg(feature = "cuda")]
    if to.device().is_cuda() {
        return with_places("a sum of gradients", [to, &from], |card, places| cuda::accumulate(card, card.dtype(), places, from.elem_count()));
    }
    with_numbers!(from, numbers => mutate(to, 0..numbers.len(), |to| numbers.each([to], |[to], from| *to += from)))
}

fn expect_as_many(weight: &Tensor, gradient: &Gradient) -> Result<()> {
    if weight.elem_count() != gradient.count() {
        bail!("the optimiser's step: {} numbers of a gradient for a parameter of {}", gradient.count(), weight.elem_count());
    }
    Ok(())
}

/// What an update goes along: a number for each of those that are updated.
trait Along<T> {
    /// How many.
    fn count(&self) -> usize;

    /// Calls `update` with each, and the numbers of `targets` in its place.
    fn each<const N: usize>(&self, targets: [&mut [T]; N], update: impl Fn([&mut T; N], T) + Sync + Copy) -> Result<()>;
}

impl<T: Number> Along<T> for [T] {
    fn count(&self) -> usize {
        self.len()
    }

    /// In blocks that depend on the length only.
    fn each<const N: usize>(&self, mut targets: [&mut [T]; N], update: impl Fn([&mut T; N], T) + Sync + Copy) -> Result<()> {
        let mut blocks: Vec<([&mut [T]; N], &[T])> = Vec::with_capacity(self.len().div_ceil(BLOCK));
        for source in self.chunks(BLOCK) {
            let parts = targets.each_mut().map(|target| {
                let (part, rest) = std::mem::take(target).split_at_mut(source.len());
                *target = rest;
                part
            });
            blocks.push((parts, source));
        }
        blocks.into_par_iter().for_each(|(targets, source)| side_by_side(targets, source, update));
        Ok(())
    }
}

impl Along<f32> for LinearGradient {
    fn count(&self) -> usize {
        self.size().into_iter().product()
    }

    fn each<const N: usize>(&self, targets: [&mut [f32]; N], update: impl Fn([&mut f32; N], f32) + Sync + Copy) -> Result<()> {
        self.use_up(targets, |targets, row| side_by_side(targets, row, update))
    }
}

/// Numbers that are updated together.
const AT_ONCE: usize = 32;

/// Updates slices of one length.
fn side_by_side<T: Number, const N: usize>(mut targets: [&mut [T]; N], source: &[T], update: impl Fn([&mut T; N], T)) {
    arch().dispatch(
        #[inline(always)]
        || {
            let (whole, rest) = source.as_chunks::<AT_ONCE>();
            for (i, source) in whole.iter().enumerate() {
                let first = i * AT_ONCE;
                // Copies, of which the compiler knows that they do not overlap, so that it can take whole vectors.
                let mut copies = [[T::zero(); AT_ONCE]; N];
                for (copy, target) in copies.iter_mut().zip(&targets) {
                    copy.copy_from_slice(&target[first..][..AT_ONCE]);
                }
                for (i, &source) in source.iter().enumerate() {
                    update(copies.each_mut().map(|copy| &mut copy[i]), source);
                }
                for (copy, target) in copies.iter().zip(&mut targets) {
                    target[first..][..AT_ONCE].copy_from_slice(copy);
                }
            }
            let first = source.len() - rest.len();
            for (i, &source) in rest.iter().enumerate() {
                update(targets.each_mut().map(|target| &mut target[first + i]), source);
            }
        },
    );
}

/// Lends some numbers of a contiguous tensor for writing.
pub(crate) fn mutate<T: Number, R>(tensor: &Tensor, numbers: Range<usize>, work: impl FnOnce(&mut [T]) -> Result<R>) -> Result<R> {
    // An empty tensor has no strides that candle would write through.
    if tensor.elem_count() == 0 && numbers.is_empty() {
        return work(&mut []);
    }
    let op = Mutate { work: RefCell::new(Some(work)), result: RefCell::new(None), numbers, number: PhantomData::<T> };
    tensor.inplace_op1(&op)?;
    match op.result.into_inner() {
        Some(result) => Ok(result),
        None => bail!("an update in place did not run"),
    }
}

struct Mutate<T, F, R> {
    work: RefCell<Option<F>>,
    result: RefCell<Option<R>>,
    numbers: Range<usize>,
    number: PhantomData<T>,
}

impl<T: Number, R, F: FnOnce(&mut [T]) -> Result<R>> InplaceOp1 for Mutate<T, F, R> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("an update in place needs a contiguous tensor, not strides {:?}", layout.stride()) };
        let Range { start: first, end: last } = self.numbers;
        if last > end - start {
            bail!("an update in place of numbers {first} to {last} of a tensor of {}", end - start);
        }
        let Some(numbers) = T::storage_mut(storage) else { bail!("an update in place of another number type than its source's") };
        let Some(work) = self.work.take() else { bail!("an update in place ran twice") };
        self.result.replace(Some(work(&mut numbers[start + first..start + last])?));
        Ok(())
    }
}

/// The same on a graphics card: `update.cu`.
#[cfg(any(feature = "cuda", test))]
mod cuda {
    use candle_core::{DType, Result};

    use super::{AdamUpdate, SgdUpdate};
    use crate::cuda::{Address, Card, Launch, Program};

    /// The numbers of a tensor from `first` on, as many as a gradient has, in the tensor's own memory.
    #[cfg(feature = "cuda")]
    pub(super) fn part(tensor: &candle_core::Tensor, first: usize, gradient: &candle_core::Tensor) -> Result<candle_core::Tensor> {
        if !tensor.is_contiguous() {
            candle_core::bail!("an update in place needs a contiguous tensor, not strides {:?}", tensor.stride());
        }
        tensor.detach().flatten_all()?.narrow(0, first, gradient.elem_count())
    }

    fn program(dtype: DType) -> Result<Program> {
        Program::new("update", dtype, &[include_str!("update.cu")], &["accumulate", "sgd", "sgd_with_momentum", "adam"])
    }

    pub(super) fn accumulate(card: &impl Card, dtype: DType, [to, from]: [Address; 2], count: usize) -> Result<()> {
        card.launch(&program(dtype)?.for_count(count), &Launch::each("accumulate", count).with(to).with(from).with_length(count))
    }

    pub(super) fn sgd(
        card: &impl Card,
        dtype: DType,
        update: &SgdUpdate,
        weight: Address,
        velocity: Option<Address>,
        gradient: Address,
        count: usize,
    ) -> Result<()> {
        let SgdUpdate { lr, momentum, nesterov, decay } = *update;
        let launch = match velocity {
            None => Launch::each("sgd", count).with(weight).with(gradient).with_length(count).with_real(dtype, lr).with_real(dtype, decay),
            Some(velocity) => {
                let launch = Launch::each("sgd_with_momentum", count).with(weight).with(velocity).with(gradient).with_length(count);
                launch.with_real(dtype, lr).with_real(dtype, momentum).with_real(dtype, decay).with(i32::from(nesterov))
            }
        };
        card.launch(&program(dtype)?.for_count(count), &launch)
    }

    /// `places` are those of weight, mean, mean square and gradient.
    pub(super) fn adam(card: &impl Card, dtype: DType, update: &AdamUpdate, places: [Address; 4], count: usize) -> Result<()> {
        let launch = places.into_iter().fold(Launch::each("adam", count), Launch::with).with_length(count);
        card.launch(&program(dtype)?.for_count(count), &update.factors().into_iter().fold(launch, |launch, factor| launch.with_real(dtype, factor)))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::LinearBlock;
    use crate::cuda::emulated::Emulated;

    fn tensor(factor: f32) -> Tensor {
        Tensor::from_vec((0..1000).map(|i| (i * 13 % 29) as f32 * factor).collect::<Vec<f32>>(), 1000, &Device::Cpu).unwrap()
    }

    fn matrix(rows: usize, columns: usize, factor: f32) -> Tensor {
        let numbers = (0..rows * columns).map(|i| (i * 7919 % 1013) as f32 * factor).collect::<Vec<_>>();
        Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_step_along_a_product_is_that_along_its_numbers() {
        let adam = AdamUpdate { lr: 0.1, betas: (0.9, 0.999), epsilon: 1e-8, l2: 0.01, decay: 0.02, step: 3 };
        for (samples, inputs, outputs) in [(3, 5, 2), (7, 2100, 51), (60, 33, 40), (0, 4, 3), (2, 0, 3), (2, 3, 0)] {
            let product = LinearBlock { rectified: false }.weight_gradient(&matrix(samples, inputs, 1e-3), &matrix(samples, outputs, -1e-3)).unwrap();
            let product = Gradient::Product(product);
            let steps = |gradient: &Gradient| {
                let kept = [0.3, 0.05, 0.02].map(|factor| matrix(outputs, inputs, factor));
                for (momentum, nesterov) in [(0.0, false), (0.9, true)] {
                    SgdUpdate { lr: 0.1, momentum, nesterov, decay: 0.01 }.apply(&kept[0], gradient, (momentum > 0.0).then_some(&kept[1])).unwrap();
                }
                adam.apply(&kept[0], gradient, [&kept[1], &kept[2]]).unwrap();
                kept.map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            };
            assert_eq!(steps(&product), steps(&product.numbers().unwrap().into()), "{samples} {inputs} {outputs}");
        }
    }

    #[test]
    fn a_gradient_of_another_length_is_an_error() {
        let (weight, gradient) = (tensor(0.3), Gradient::from(tensor(0.1).narrow(0, 0, 999).unwrap()));
        let error = SgdUpdate { lr: 0.1, momentum: 0.0, nesterov: false, decay: 0.0 }.apply(&weight, &gradient, None).unwrap_err().to_string();
        assert!(error.contains("999 numbers of a gradient for a parameter of 1000"), "{error}");
    }

    #[test]
    fn a_card_takes_the_same_step_of_gradient_descent() {
        for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
            let update = SgdUpdate { lr: 0.1, momentum, nesterov, decay: 0.01 };
            let gradient = tensor(-0.2);
            Emulated::both(|card| {
                let (weight, velocity) = (tensor(0.3), tensor(0.05));
                let [of_weight, of_velocity, of_gradient] = [&weight, &velocity, &gradient].map(|tensor| card.tensor(tensor));
                cuda::sgd(card, DType::F32, &update, of_weight, (momentum > 0.0).then_some(of_velocity), of_gradient, 1000).unwrap();
                update.apply(&weight, &gradient.clone().into(), (momentum > 0.0).then_some(&velocity)).unwrap();
                card.assert_close(of_weight, &weight, 1e-6);
                card.assert_close(of_velocity, &velocity, 1e-6);
            });
        }
    }

    #[test]
    fn a_card_takes_the_same_step_of_adam_and_adds_up_the_same() {
        let update = AdamUpdate { lr: 0.1, betas: (0.9, 0.999), epsilon: 1e-8, l2: 0.01, decay: 0.02, step: 3 };
        let gradient = tensor(-0.2);
        Emulated::both(|card| {
            let tensors = [tensor(0.3), tensor(0.05), tensor(0.02)];
            let [weight, mean, square] = tensors.each_ref().map(|tensor| card.tensor(tensor));
            cuda::adam(card, DType::F32, &update, [weight, mean, square, card.tensor(&gradient)], 1000).unwrap();
            update.apply(&tensors[0], &gradient.clone().into(), [&tensors[1], &tensors[2]]).unwrap();
            [weight, mean, square].into_iter().zip(&tensors).for_each(|(place, tensor)| card.assert_close(place, tensor, 1e-6));

            cuda::accumulate(card, DType::F32, [weight, card.tensor(&gradient)], 1000).unwrap();
            accumulate(&tensors[0], &gradient).unwrap();
            card.assert_close(weight, &tensors[0], 1e-6);
        });
    }
}
