//! Test images that are kept with what the transformers did to them: the first of each class, and the worst.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use stn_data::{Batch, Dataset};
use stn_nn::Outcome;

use super::objective::Verdict;
use crate::Result;
use crate::store::warps::{Image, Row};
use crate::store::worst::Misread;

/// The most test images of either kind.
const MOST_SAMPLES: usize = 10;

/// The first images of every class, of the first classes alone where there are many.
pub(super) struct Shown {
    classes: usize,
    /// Of each class.
    each: usize,
    /// How many images of each class there are, and their rows.
    found: BTreeMap<u32, (usize, Vec<Row>)>,
}

impl Shown {
    pub fn of(dataset: &Dataset) -> Self {
        let classes = dataset.classes();
        Self { classes: classes.min(MOST_SAMPLES), each: (MOST_SAMPLES / classes).max(1), found: BTreeMap::new() }
    }

    /// Whether every class that is kept has its images: of many classes the first, not those that happen to come first.
    pub fn is_whole(&self) -> bool {
        self.found.keys().copied().eq(0..self.classes as u32) && self.found.values().all(|(images, _)| *images == self.each)
    }

    /// By class; the rows of an image stand together.
    pub fn rows(self) -> Vec<Row> {
        self.found.into_values().flat_map(|(_, rows)| rows).collect()
    }

    /// Keeps what the transformers did to those images of a batch that belong here.
    pub fn add(&mut self, batch: &Batch, outcome: &Outcome, verdicts: &[Verdict], trained: u64) -> Result<()> {
        // Of several labels the first stands for the image.
        let labels = batch.labels.narrow(1, 0, 1)?.flatten_all()?.to_vec1::<u32>()?;
        let new = self.belonging(&labels);
        if new.is_empty() {
            return Ok(());
        }
        let grids = grids(outcome)?;
        for i in new {
            let rows = rows_of(batch, outcome, &grids, verdicts, i, trained)?;
            if let Some((_, kept)) = self.found.get_mut(&labels[i]) {
                kept.extend(rows);
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

/// The images judged wrongly that have the largest losses; of equal ones those that stand first.
#[derive(Default)]
pub(super) struct Worst {
    /// Worst first.
    images: Vec<Misread>,
}

impl Worst {
    /// Worst first.
    pub fn images(self) -> Vec<Misread> {
        self.images
    }

    /// Keeps what the transformers did to those images of a batch that are among the worst so far, given the loss of each.
    pub fn add(&mut self, batch: &Batch, outcome: &Outcome, verdicts: &[Verdict], losses: &[f64], trained: u64) -> Result<()> {
        let new = self.among_the_worst(&batch.indices, verdicts, losses);
        if new.is_empty() {
            return Ok(());
        }
        let grids = grids(outcome)?;
        for i in new {
            let rows = rows_of(batch, outcome, &grids, verdicts, i, trained)?;
            self.images.push(Misread { loss: losses[i], named: verdicts[i].named.clone(), rows });
        }
        self.images.sort_by(|a, b| order((a.loss, a.sample()), (b.loss, b.sample())));
        self.images.truncate(MOST_SAMPLES);
        Ok(())
    }

    /// The images of a batch that are worse than the last of those kept, no more than are kept.
    fn among_the_worst(&self, indices: &[usize], verdicts: &[Verdict], losses: &[f64]) -> Vec<usize> {
        let key = |i: usize| (losses[i], indices.get(i).copied().unwrap_or(i) as i64);
        let bar = self.images.get(MOST_SAMPLES - 1).map(|last| (last.loss, last.sample()));
        let worse = |i: &usize| bar.is_none_or(|bar| order(key(*i), bar) == Ordering::Less);
        let mut new: Vec<usize> = (0..verdicts.len().min(losses.len())).filter(|&i| verdicts[i].wrong).filter(worse).collect();
        new.sort_by(|&a, &b| order(key(a), key(b)));
        new.truncate(MOST_SAMPLES);
        new
    }
}

/// The larger loss first, then the lower index.
fn order(a: (f64, i64), b: (f64, i64)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

fn grids(outcome: &Outcome) -> Result<Vec<Tensor>> {
    Ok(outcome.warps.iter().map(|warp| warp.grid()).collect::<std::result::Result<Vec<_>, _>>()?)
}

/// What each transformer did to image `i` of a batch.
fn rows_of(batch: &Batch, outcome: &Outcome, grids: &[Tensor], verdicts: &[Verdict], i: usize, trained: u64) -> Result<Vec<Row>> {
    let (sample, predicted) = (batch.indices.get(i).copied().unwrap_or(i) as i64, verdicts.get(i).map_or(-1, Verdict::predicted));
    // Of several labels the first stands for the image.
    let class = i64::from(batch.labels.get(i)?.flatten_all()?.get(0)?.to_scalar::<u32>()?);
    let mut rows = Vec::with_capacity(grids.len());
    for (warp, grid) in outcome.warps.iter().zip(grids) {
        let (Some(input), Some(output)) = (&warp.input, &warp.output) else { continue };
        rows.push(Row {
            trained,
            sample,
            layer: warp.layer.clone(),
            step: warp.step as i64,
            class,
            predicted,
            theta: warp.theta.to_dtype(DType::F64)?.get(i)?.to_vec1::<f64>()?,
            theta_names: warp.theta_names.clone(),
            input: Image::of(input, i)?,
            grid: Image::of(grid, i)?,
            output: Image::of(output, i)?,
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_are_wrong_and_have_the_largest_losses_and_of_equal_ones_the_first() {
        let verdict = |wrong| Verdict { named: vec![(1, 0)], wrong };
        let (indices, losses) = ([4, 5, 6, 7, 8], [1.0, 9.0, 2.0, 3.0, 2.0]);
        let verdicts: Vec<Verdict> = [true, false, true, true, true].map(verdict).into();
        assert_eq!(Worst::default().among_the_worst(&indices, &verdicts, &losses), [3, 2, 4, 0]);
        let kept = |loss: f64, sample: i64| Misread { loss, named: vec![(1, 0)], rows: vec![Row::of_sample(sample)] };
        let full = Worst { images: (0..9).map(|i| kept(5.0, 90 + i)).chain([kept(2.0, 7)]).collect() };
        assert_eq!(full.among_the_worst(&indices, &verdicts, &losses), [3, 2], "what is as bad as the last that is kept comes in where it stands before it");
    }
}
