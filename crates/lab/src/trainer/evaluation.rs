//! Loss and error on the test part, and the images that show what the transformers do.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use stn_data::{Batch, Dataset};
use stn_nn::Outcome;

use super::state::TrainingState;
use super::{Stop, heads};
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

/// Evaluates the network on the whole test part, guarding its numbers. Where `warps` is asked for, it receives what each transformer did to the first image of each class, by class.
pub(crate) fn evaluate(state: &mut TrainingState, dataset: &Dataset, train: &TrainSpec, stop: Stop<'_>, warps: &mut Option<Vec<Row>>) -> Result<Evaluation> {
    let (mut loss, mut wrong_images, mut images) = (0.0, 0usize, 0usize);
    let mut shown: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for batch in dataset.test_batches(train.batch) {
        stop.check()?;
        let batch = batch?;
        let (inputs, labels) = state.placed(&batch, train.precision.dtype())?;
        let outcome = state.network.infer(&inputs)?;
        let wrong = heads::wrong(&outcome.logits, &labels)?;
        let mean = scalar(&heads::loss(&outcome.logits, &labels)?)?;
        state.guard.check_thetas(state.step, mean, &outcome.warps, &state.network)?;
        loss += mean * wrong.len() as f64;
        wrong_images += wrong.iter().filter(|wrong| **wrong).count();
        images += wrong.len();
        if warps.is_some() {
            show(&batch, &outcome, &mut shown)?;
        }
    }
    if images == 0 {
        return Err(Error::Other("the test part holds no image, so there is nothing to evaluate on".into()));
    }
    if let Some(warps) = warps {
        *warps = shown.into_values().take(MOST_SAMPLES).flatten().collect();
    }
    let loss = loss / images as f64;
    if !loss.is_finite() {
        return Err(state.guard.not_finite("the test loss".into(), state.step, loss, &state.network));
    }
    Ok(Evaluation { loss, error: 100.0 * wrong_images as f64 / images as f64 })
}

/// Keeps what the transformers did to the images of classes that were not seen before.
fn show(batch: &Batch, outcome: &Outcome, shown: &mut BTreeMap<u32, Vec<Row>>) -> Result<()> {
    // Of several labels the first stands for the image.
    let (heads, labels) = (batch.labels.dim(1)?, batch.labels.narrow(1, 0, 1)?.flatten_all()?.to_vec1::<u32>()?);
    let mut new: Vec<usize> = Vec::new();
    for (i, class) in labels.iter().enumerate() {
        if !shown.contains_key(class) {
            shown.insert(*class, Vec::new());
            new.push(i);
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let predicted = heads::predictions(&outcome.logits, heads)?;
    for warp in &outcome.warps {
        let grid = warp.grid()?;
        let (Some(input), Some(output)) = (&warp.input, &warp.output) else { continue };
        for &i in &new {
            let theta = warp.theta.to_dtype(DType::F64)?.get(i)?.to_vec1::<f64>()?;
            let (sample, predicted) =
                (batch.indices.get(i).copied().unwrap_or(i) as i64, predicted.get(i).and_then(|classes| classes.first()).map_or(-1, |class| *class as i64));
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
            shown.entry(labels[i]).or_default().push(row);
        }
    }
    Ok(())
}

/// A tensor of one number.
pub(super) fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.to_scalar::<f64>()?)
}
