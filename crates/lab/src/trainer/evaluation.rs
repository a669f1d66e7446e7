//! Loss and error on the test part, and the images that show what the transformers do.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use stn_data::{Batch, Dataset};
use stn_nn::Outcome;

use super::Stop;
use super::objective::{Judge, Seen, Verdict};
use super::state::TrainingState;
use crate::store::confusion::Confusion;
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

/// What was seen of the whole test part.
#[derive(Debug)]
pub(crate) struct Evaluated {
    pub evaluation: Evaluation,
    pub confusion: Confusion,
    /// What each transformer did to the first images of each class, by class.
    pub shown: Vec<Row>,
}

/// The most batches that are looked through for images of every class before the first step.
const MOST_BATCHES: usize = 10;

/// Evaluates the network on the whole test part, guarding its numbers.
pub(crate) fn evaluate(state: &mut TrainingState, dataset: &Dataset, train: &TrainSpec, seed: u64, judge: &Judge, stop: Stop<'_>) -> Result<Evaluated> {
    let (mut loss, mut wrong_images, mut images) = (0.0, 0usize, 0usize);
    let (mut shown, mut confusion) = (Shown::of(dataset), Confusion::default());
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
    }
    if images == 0 {
        return Err(Error::Other("the test part holds no image, so there is nothing to evaluate on".into()));
    }
    let loss = loss / images as f64;
    if !loss.is_finite() {
        return Err(state.guard.not_finite("the test loss".into(), state.step, loss, &state.network));
    }
    let evaluation = Evaluation { loss, error: 100.0 * wrong_images as f64 / images as f64 };
    Ok(Evaluated { evaluation, confusion, shown: shown.rows() })
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

/// The first images of every class, of the first classes alone where there are many.
struct Shown {
    classes: usize,
    /// Of each class.
    each: usize,
    /// How many images of each class there are, and their rows.
    found: BTreeMap<u32, (usize, Vec<Row>)>,
}

impl Shown {
    fn of(dataset: &Dataset) -> Self {
        let classes = dataset.classes();
        Self { classes: classes.min(MOST_SAMPLES), each: (MOST_SAMPLES / classes).max(1), found: BTreeMap::new() }
    }

    /// Whether every class has its images.
    fn is_whole(&self) -> bool {
        self.found.len() == self.classes && self.found.values().all(|(images, _)| *images == self.each)
    }

    /// By class; the rows of an image stand together.
    fn rows(self) -> Vec<Row> {
        self.found.into_values().flat_map(|(_, rows)| rows).collect()
    }

    /// Keeps what the transformers did to those images of a batch that belong here.
    fn add(&mut self, batch: &Batch, outcome: &Outcome, verdicts: &[Verdict], trained: u64) -> Result<()> {
        // Of several labels the first stands for the image.
        let labels = batch.labels.narrow(1, 0, 1)?.flatten_all()?.to_vec1::<u32>()?;
        let new = self.belonging(&labels);
        if new.is_empty() {
            return Ok(());
        }
        let grids = outcome.warps.iter().map(|warp| warp.grid()).collect::<std::result::Result<Vec<_>, _>>()?;
        for i in new {
            let (sample, predicted) = (batch.indices.get(i).copied().unwrap_or(i) as i64, verdicts.get(i).map_or(-1, Verdict::predicted));
            for (warp, grid) in outcome.warps.iter().zip(&grids) {
                let (Some(input), Some(output)) = (&warp.input, &warp.output) else { continue };
                let row = Row {
                    trained,
                    sample,
                    layer: warp.layer.clone(),
                    step: warp.step as i64,
                    class: i64::from(labels[i]),
                    predicted,
                    theta: warp.theta.to_dtype(DType::F64)?.get(i)?.to_vec1::<f64>()?,
                    theta_names: warp.theta_names.clone(),
                    input: Image::of(input, i)?,
                    grid: Image::of(grid, i)?,
                    output: Image::of(output, i)?,
                };
                if let Some((_, rows)) = self.found.get_mut(&labels[i]) {
                    rows.push(row);
                }
            }
        }
        Ok(())
    }

    /// The images of a batch that belong here, by their labels.
    fn belonging(&mut self, labels: &[u32]) -> Vec<usize> {
        let mut new: Vec<usize> = Vec::new();
        for (i, class) in labels.iter().enumerate() {
            let (images, _) = self.found.entry(*class).or_default();
            if *images < self.each {
                *images += 1;
                new.push(i);
            }
        }
        while self.found.len() > MOST_SAMPLES {
            self.found.pop_last();
        }
        new.retain(|&i| self.found.contains_key(&labels[i]));
        new
    }
}

/// A tensor of one number.
pub(super) fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.to_scalar::<f64>()?)
}
