//! The loss of a classifier.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::cpu::{Number, by_number, expect_numbers, numbers};
#[cfg(feature = "cuda")]
use crate::cuda::candle::OnCard;
use crate::softmax::{normalise, rows_block};

/// Mean over the batch of `log sum_j exp(logit_j) - logit_label`: the negative log-likelihood of the right class under a softmax.
///
/// `logits` is N x C, `labels` N class numbers (u32) from 0 to C - 1; the result is a scalar. The gradient is `(softmax - one-hot) / N`.
///
/// # Errors
///
/// Where a shape or type does not fit, the batch is empty, or a label is not below C; the message names the sample.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    expect_numbers("cross_entropy", &[("logits", logits)])?;
    let [samples, classes] = *logits.dims() else { bail!("cross_entropy: logits have shape {:?}; expected N x C", logits.dims()) };
    if labels.dims() != [samples] {
        bail!("cross_entropy: labels have shape {:?} beside logits of {samples} x {classes}; expected one label a sample", labels.dims());
    }
    if labels.dtype() != DType::U32 {
        bail!("cross_entropy: labels are {:?}; convert them to u32", labels.dtype());
    }
    if samples == 0 {
        bail!("cross_entropy: the batch is empty; its mean loss is not a number. Leave empty batches out");
    }
    logits.contiguous()?.apply_op2(&labels.contiguous()?, CrossEntropy)
}

struct CrossEntropy;

struct CrossEntropyGradient;

impl CustomOp2 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, logits_layout: &Layout, labels: &CpuStorage, labels_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), logits, T => forward::<T>(logits, logits_layout, labels, labels_layout))
    }

    /// A label that is no class makes the loss NaN: to look at them would be to wait for the card.
    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, logits: &CudaStorage, logits_layout: &Layout, labels: &CudaStorage, labels_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(logits);
        let from = [card.place(logits, logits_layout)?, card.place(labels, labels_layout)?];
        let sizes = logits_layout.shape().dims2()?;
        card.make(card.dtype(), &Shape::from(()), |loss| cuda::forward(&card, card.dtype(), from, loss, sizes))
    }

    fn bwd(&self, logits: &Tensor, labels: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !logits.track_op() {
            return Ok((None, None));
        }
        Ok((Some(logits.apply_op3_no_bwd(labels, &gradient.contiguous()?, &CrossEntropyGradient)?), None))
    }
}

impl CustomOp3 for CrossEntropyGradient {
    fn name(&self) -> &'static str {
        "cross_entropy gradient"
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        logits_layout: &Layout,
        labels: &CpuStorage,
        labels_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), logits, T => {
            let gradient = numbers::<T>(gradient, gradient_layout)?.first().copied().unwrap_or_else(num_traits::Zero::zero);
            backward::<T>(numbers(logits, logits_layout)?, numbers(labels, labels_layout)?, gradient, logits_layout.shape())
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        logits: &CudaStorage,
        logits_layout: &Layout,
        labels: &CudaStorage,
        labels_layout: &Layout,
        gradient: &CudaStorage,
        gradient_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(logits);
        let from = [card.place(logits, logits_layout)?, card.place(labels, labels_layout)?, card.place(gradient, gradient_layout)?];
        let sizes = logits_layout.shape().dims2()?;
        card.make(card.dtype(), logits_layout.shape(), |to_logits| cuda::backward(&card, card.dtype(), from, to_logits, sizes))
    }
}

fn forward<T: Number>(logits: &CpuStorage, logits_layout: &Layout, labels: &CpuStorage, labels_layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let (samples, classes) = logits_layout.shape().dims2()?;
    let (logits, labels) = (numbers::<T>(logits, logits_layout)?, numbers::<u32>(labels, labels_layout)?);
    if let Some((sample, label)) = labels.iter().enumerate().find(|&(_, &label)| label as usize >= classes) {
        bail!("cross_entropy: sample {sample} has label {label}, but there are {classes} classes, numbered from 0");
    }
    let mut rows = logits.to_vec();
    let losses: Vec<T> = (rows.par_chunks_mut(classes), logits.par_chunks(classes), labels)
        .into_par_iter()
        .map(|(row, logits, &label)| normalise(row) - logits[label as usize])
        .collect();
    let mean = losses.iter().copied().sum::<T>() / T::of(samples as f64);
    Ok((T::to_cpu_storage_owned(vec![mean]), Shape::from(())))
}

fn backward<T: Number>(logits: &[T], labels: &[u32], gradient: T, shape: &Shape) -> Result<(CpuStorage, Shape)> {
    let (samples, classes) = shape.dims2()?;
    let scale = gradient / T::of(samples as f64);
    let mut result = logits.to_vec();
    let block = rows_block(classes);
    result.par_chunks_mut(block).zip(labels.par_chunks(block / classes.max(1))).for_each(|(rows, labels)| {
        for (row, &label) in rows.chunks_mut(classes).zip(labels) {
            normalise(row);
            for (class, value) in row.iter_mut().enumerate() {
                let target = if class == label as usize { T::one() } else { T::zero() };
                *value = (*value - target) * scale;
            }
        }
    });
    Ok((T::to_cpu_storage_owned(result), shape.clone()))
}

/// The same on a graphics card: `softmax.cu`.
#[cfg(any(feature = "cuda", test))]
mod cuda {
    use candle_core::{DType, Result};

    use crate::cuda::{Address, Card, Launch};
    use crate::softmax::cuda::program;

    pub(super) fn forward(card: &impl Card, dtype: DType, [logits, labels]: [Address; 2], loss: Address, (samples, classes): (usize, usize)) -> Result<()> {
        let launch = Launch::blocks("cross_entropy", 1).with(logits).with(labels).with(loss);
        card.launch(&program(dtype)?.for_count(samples), &launch.with_length(samples).with_length(classes))
    }

    pub(super) fn backward(card: &impl Card, dtype: DType, from: [Address; 3], to_logits: Address, (samples, classes): (usize, usize)) -> Result<()> {
        let launch = from.into_iter().fold(Launch::each("cross_entropy_gradient", samples), Launch::with);
        card.launch(&program(dtype)?.for_count(samples), &launch.with(to_logits).with_length(samples).with_length(classes))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::cuda::emulated::Emulated;

    #[test]
    fn a_card_computes_the_same() {
        let (samples, classes) = (300, 7);
        let numbers: Vec<f32> = (0..samples * classes).map(|i| (i * 37 % 101) as f32 / 9.0 - 5.0).collect();
        let classes_of: Vec<u32> = (0..samples).map(|i| (i * 5 % classes) as u32).collect();
        let logits = Var::from_vec(numbers, (samples, classes), &Device::Cpu).unwrap();
        let loss = cross_entropy(&logits, &Tensor::new(classes_of.as_slice(), &Device::Cpu).unwrap()).unwrap();
        let expected = loss.affine(0.5, 0.0).unwrap().backward().unwrap().remove(&logits).unwrap();
        Emulated::both(|card| {
            let (of_logits, of_labels) = (card.tensor(&logits), card.given(&classes_of));
            let (on_card, to_logits) = (card.output::<f32>(1), card.output::<f32>(samples * classes));
            cuda::forward(card, DType::F32, [of_logits, of_labels], on_card, (samples, classes)).unwrap();
            cuda::backward(card, DType::F32, [of_logits, of_labels, card.given(&[0.5_f32])], to_logits, (samples, classes)).unwrap();
            card.assert_close(on_card, &loss, 1e-6);
            card.assert_close(to_logits, &expected, 1e-7);
        });
    }
}
