//! Loss and error on the test part, and the images that show what the transformers do.

use candle_core::{DType, Tensor};
use stn_data::Dataset;

use super::Stop;
use super::objective::{Judge, Seen};
use super::shown::{Shown, Worst};
use super::state::TrainingState;
use crate::store::confusion::Confusion;
use crate::store::warps::Row;
use crate::store::worst::Misread;
use crate::{Error, Result, TrainSpec};

/// Mean loss and error in percent over the whole test part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Evaluation {
    pub loss: f64,
    pub error: f64,
}

/// What was seen of the whole test part.
#[derive(Debug)]
pub(crate) struct Evaluated {
    pub evaluation: Evaluation,
    pub confusion: Confusion,
    /// What each transformer did to the first images of each class, by class.
    pub shown: Vec<Row>,
    /// The images of the whole test part that were wrong with the largest losses, worst first; none where they were not asked for.
    pub worst: Vec<Misread>,
}

/// An evaluation on the way, or the last one, which keeps the worst images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    OnTheWay,
    End,
}

/// The most batches that are looked through for images of every class before the first step.
const MOST_BATCHES: usize = 10;

/// Evaluates the network on the whole test part, guarding its numbers; at the end of the training the worst images are kept.
pub(crate) fn evaluate(
    state: &mut TrainingState,
    dataset: &Dataset,
    train: &TrainSpec,
    seed: u64,
    judge: &Judge,
    stop: Stop<'_>,
    moment: Moment,
) -> Result<Evaluated> {
    let (mut loss, mut wrong_images, mut images) = (0.0, 0usize, 0usize);
    let (mut shown, mut worst, mut confusion) = (Shown::of(dataset), Worst::default(), Confusion::default());
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
        for verdict in &verdicts {
            verdict.named.iter().enumerate().for_each(|(label, (class, predicted))| confusion.count(label, *class, *predicted));
        }
        shown.add(&batch, &outcome, &verdicts, state.step)?;
        if moment == Moment::End && !outcome.warps.is_empty() {
            worst.add(&batch, &outcome, &verdicts, &judge.losses(&outcome.logits, &seen)?, state.step)?;
        }
    }
    if images == 0 {
        return Err(Error::Other("the test part holds no image, so there is nothing to evaluate on".into()));
    }
    let loss = loss / images as f64;
    if !loss.is_finite() {
        return Err(state.guard.not_finite("the test loss".into(), state.step, loss, &state.network));
    }
    let evaluation = Evaluation { loss, error: 100.0 * wrong_images as f64 / images as f64 };
    Ok(Evaluated { evaluation, confusion, shown: shown.rows(), worst: worst.images() })
}

/// What each transformer does to the first images of each class before the first step; of classes that come late in the test part, nothing.
pub(crate) fn look(state: &TrainingState, dataset: &Dataset, train: &TrainSpec, seed: u64, judge: &Judge, stop: Stop<'_>) -> Result<Vec<Row>> {
    let mut shown = Shown::of(dataset);
    for (number, batch) in dataset.test_batches(train.batch).enumerate().take(MOST_BATCHES) {
        stop.check()?;
        let batch = batch?;
        let inputs = state.placed(&batch, train.precision.dtype())?;
        let outcome = state.network.infer(&inputs)?;
        if outcome.warps.is_empty() {
            break;
        }
        let seen = Seen { batch: &batch, images: &inputs, warps: &outcome.warps, key: (seed, "random test pieces", number as u64) };
        shown.add(&batch, &outcome, &judge.verdicts(&outcome.logits, &seen)?, state.step)?;
        if shown.is_whole() {
            break;
        }
    }
    Ok(shown.rows())
}

/// A tensor of one number.
pub(super) fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.to_scalar::<f64>()?)
}
