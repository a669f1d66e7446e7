//! Loss and mistakes of a network that names one class for an image, or one for each of several labels such as the digits of a house number.
//!
//! A batch's logits are N x (H C), its labels N x H: the first C numbers of a row are the first label's.

use candle_core::{DType, Tensor};
use stn_ops::cross_entropy;

use super::objective::Verdict;
use crate::Result;

/// The cross-entropy of every label, summed over the labels of an image and averaged over the images.
pub(super) fn loss(logits: &Tensor, labels: &Tensor) -> candle_core::Result<Tensor> {
    let (images, heads) = labels.dims2()?;
    if heads == 1 {
        return cross_entropy(logits, &labels.flatten_all()?);
    }
    let mean = cross_entropy(&logits.reshape((images * heads, ()))?, &labels.flatten_all()?)?;
    mean * heads as f64
}

/// The class of every label, image after image: the one with the largest logit, the first of equal ones; NaN is never larger.
fn predictions(logits: &Tensor, heads: usize) -> Result<Vec<Vec<usize>>> {
    let largest = |numbers: &[f64]| numbers.iter().enumerate().fold(0, |best, (i, x)| if *x > numbers[best] { i } else { best });
    let rows = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    Ok(rows.iter().map(|row| row.chunks((row.len() / heads.max(1)).max(1)).map(largest).collect()).collect())
}

/// Which images are named wrongly: in one of their labels at least, which for a sequence is the sequence error.
pub(super) fn verdicts(logits: &Tensor, labels: &Tensor) -> Result<Vec<Verdict>> {
    let labels = labels.to_vec2::<u32>()?;
    let predicted = predictions(logits, labels.first().map_or(1, Vec::len))?;
    let verdict = |(predicted, labels): (Vec<usize>, Vec<u32>)| {
        let named: Vec<_> = labels.into_iter().zip(predicted.into_iter().map(|class| class as i64)).collect();
        Verdict { wrong: named.iter().any(|(label, predicted)| *predicted != i64::from(*label)), named }
    };
    Ok(predicted.into_iter().zip(labels).map(verdict).collect())
}

/// The cross-entropy of each image, summed over its labels: `sum over h of ln(sum over c of exp(x_hc)) - x_h,label`.
pub(super) fn losses(logits: &Tensor, labels: &Tensor) -> Result<Vec<f64>> {
    let rows = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let loss = |numbers: &[f64], label: u32| {
        let largest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = numbers.iter().map(|x| (x - largest).exp()).sum();
        largest + sum.ln() - numbers.get(label as usize).copied().unwrap_or(f64::NEG_INFINITY)
    };
    let image = |(row, labels): (&Vec<f64>, Vec<u32>)| {
        let classes = (row.len() / labels.len().max(1)).max(1);
        row.chunks(classes).zip(labels).map(|(numbers, label)| loss(numbers, label)).sum()
    };
    Ok(rows.iter().zip(labels.to_vec2::<u32>()?).map(image).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Two images with two labels of three classes each.
    fn batch() -> (Tensor, Tensor) {
        let logits = Tensor::new(&[[2.0_f64, 0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 3.0, 5.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        (logits, Tensor::new(&[[0_u32, 1], [2, 1]], &Device::Cpu).unwrap())
    }

    #[test]
    fn losses_are_summed_over_labels_and_averaged_over_images() {
        let (logits, labels) = batch();
        let alone = |image: usize, head: usize| {
            let logits = logits.narrow(0, image, 1).unwrap().narrow(1, 3 * head, 3).unwrap();
            let label = labels.narrow(0, image, 1).unwrap().narrow(1, head, 1).unwrap().flatten_all().unwrap();
            cross_entropy(&logits, &label).unwrap().to_scalar::<f64>().unwrap()
        };
        let expected = (alone(0, 0) + alone(0, 1) + alone(1, 0) + alone(1, 1)) / 2.0;
        assert!((loss(&logits, &labels).unwrap().to_scalar::<f64>().unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn the_losses_of_the_images_have_the_mean_that_is_trained_on() {
        let (logits, labels) = batch();
        let each = losses(&logits, &labels).unwrap();
        assert_eq!(each.len(), 2);
        assert!((each.iter().sum::<f64>() / 2.0 - loss(&logits, &labels).unwrap().to_scalar::<f64>().unwrap()).abs() < 1e-12);
        let far = Tensor::new(&[[1e4_f64, 0.0]], &Device::Cpu).unwrap();
        assert_eq!(losses(&far, &Tensor::new(&[[1_u32]], &Device::Cpu).unwrap()).unwrap(), [1e4]);
    }

    #[test]
    fn an_image_is_wrong_where_one_of_its_labels_is() {
        let (logits, labels) = batch();
        assert_eq!(predictions(&logits, 2).unwrap(), [[0, 1], [2, 0]]);
        assert_eq!(
            verdicts(&logits, &labels).unwrap(),
            [Verdict { named: vec![(0, 0), (1, 1)], wrong: false }, Verdict { named: vec![(2, 2), (1, 0)], wrong: true }]
        );
    }

    #[test]
    fn one_label_is_the_cross_entropy_itself() {
        let logits = Tensor::new(&[[1.0_f32, -0.5, 0.25]], &Device::Cpu).unwrap();
        let (column, row) = (Tensor::new(&[[2_u32]], &Device::Cpu).unwrap(), Tensor::new(&[2_u32], &Device::Cpu).unwrap());
        let of = |tensor: Tensor| tensor.to_scalar::<f32>().unwrap().to_bits();
        assert_eq!(of(loss(&logits, &column).unwrap()), of(cross_entropy(&logits, &row).unwrap()));
        assert_eq!(verdicts(&logits, &column).unwrap(), [Verdict { named: vec![(2, 0)], wrong: true }]);
    }
}
