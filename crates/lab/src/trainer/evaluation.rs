//! Loss and error on the test part, and the images that show what the transformers do.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use stn_data::{Batch, Dataset};
use stn_nn::Outcome;

use super::Stop;
use super::objective::{Judge, Seen, Verdict};
use super::state::TrainingState;
use crate::store::warps::{Image, Row};
use crate::{Error, Result, TrainSpec};

/// The most test images whose warps are kept.
const MOST_SAMPLES: usize = 10;

/// Mean loss and error in percent over the whole test part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Evaluation {
    pub loss: f64,
    pub error: f64,
}

/// How many images of each class are kept, and their rows.
type Shown = BTreeMap<u32, (usize, Vec<Row>)>;

/// Evaluates the network on the whole test part, guarding its numbers. Where `warps` is asked for, it receives what each transformer did to the first
/// images of each class, by class.
pub(crate) fn evaluate(
    state: &mut TrainingState,
    dataset: &Dataset,
    train: &TrainSpec,
    seed: u64,
    judge: &Judge,
    stop: Stop<'_>,
    warps: &mut Option<Vec<Row>>,
) -> Result<Evaluation> {
    let (mut loss, mut wrong_images, mut images) = (0.0, 0usize, 0usize);
    let mut shown = Shown::new();
    for (number, batch) in dataset.test_batches(train.batch).enumerate() {
        stop.check()?;
        let batch = batch?;
        let inputs = state.placed(&batch, train.precision.dtype())?;
        let outcome = state.network.infer(&inputs)?;
        let seen = Seen { batch: &batch, images: &inputs, warps: &outcome.warps, key: (seed, "random test pieces", number as u64) };
        let verdicts = judge.verdicts(&outcome.logits, &seen)?;
        let mean = scalar(&judge.loss(&outcome.logits, &seen)?)?;
        state.guard.check_thetas(state.step, mean, &outcome.warps, &state.network)?;
        loss += mean * verdicts.len() as f64;
        wrong_images += verdicts.iter().filter(|verdict| verdict.wrong).count();
        images += verdicts.len();
        if warps.is_some() {
            show(&batch, &outcome, &verdicts, (MOST_SAMPLES / dataset.classes()).max(1), &mut shown)?;
        }
    }
    if images == 0 {
        return Err(Error::Other("the test part holds no image, so there is nothing to evaluate on".into()));
    }
    if let Some(warps) = warps {
        *warps = shown.into_values().flat_map(|(_, rows)| rows).collect();
    }
    let loss = loss / images as f64;
    if !loss.is_finite() {
        return Err(state.guard.not_finite("the test loss".into(), state.step, loss, &state.network));
    }
    Ok(Evaluation { loss, error: 100.0 * wrong_images as f64 / images as f64 })
}

/// Keeps what the transformers did to the first `each` images of every class, of the first classes alone where there are many.
fn show(batch: &Batch, outcome: &Outcome, verdicts: &[Verdict], each: usize, shown: &mut Shown) -> Result<()> {
    // Of several labels the first stands for the image.
    let labels = batch.labels.narrow(1, 0, 1)?.flatten_all()?.to_vec1::<u32>()?;
    let mut new: Vec<usize> = Vec::new();
    for (i, class) in labels.iter().enumerate() {
        let (images, _) = shown.entry(*class).or_default();
        if *images < each {
            *images += 1;
            new.push(i);
        }
    }
    while shown.len() > MOST_SAMPLES {
        shown.pop_last();
    }
    new.retain(|&i| shown.contains_key(&labels[i]));
    if new.is_empty() {
        return Ok(());
    }
    for warp in &outcome.warps {
        let grid = warp.grid()?;
        let (Some(input), Some(output)) = (&warp.input, &warp.output) else { continue };
        for &i in &new {
            let theta = warp.theta.to_dtype(DType::F64)?.get(i)?.to_vec1::<f64>()?;
            let (sample, predicted) = (batch.indices.get(i).copied().unwrap_or(i) as i64, verdicts.get(i).map_or(-1, |verdict| verdict.predicted));
            let (input, grid, output) = (Image::of(input, i)?, Image::of(&grid, i)?, Image::of(output, i)?);
            let row = Row {
                sample,
                layer: warp.layer.clone(),
                step: warp.step as i64,
                class: i64::from(labels[i]),
                predicted,
                theta,
                theta_names: warp.theta_names.clone(),
                input,
                grid,
                output,
            };
            if let Some((_, rows)) = shown.get_mut(&labels[i]) {
                rows.push(row);
            }
        }
    }
    Ok(())
}

/// A tensor of one number.
pub(super) fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.to_scalar::<f64>()?)
}
