//! What the transformers did to test images over the training, small enough for a page.

use super::pictures::Pictures;
use crate::figures::worst::words;
use crate::query::recordings::{Wrong, worst};
use crate::query::{Array, Store, Warp, moments};
use crate::summary::Summary;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// About as many characters the pictures and grids take together.
const BUDGET: usize = 2_000_000;
/// The most models: those of the least errors where there are more.
pub const MODELS: usize = 30;
/// The most models on all distortions together.
const BLOCKS: usize = 90;
/// The most images of a model.
const IMAGES: usize = 10;
/// Points of a grid that are kept, each way.
const LATTICE: usize = 7;
/// Units of kept points: a 500th of half the image.
const UNITS: f64 = 500.0;
/// How many moments and images are kept, the first that keep to the budget.
const STEPS: [(usize, usize); 8] = [(8, IMAGES), (5, IMAGES), (5, 6), (3, 6), (3, 4), (2, 3), (1, 3), (1, 1)];

/// The pictures of one trial.
#[derive(Debug)]
struct Block {
    /// Index of the trial.
    trial: usize,
    /// Training steps done, ascending.
    moments: Vec<i64>,
    /// Class and number of each image, by class; of the worst images worst first.
    samples: Vec<(i64, i64)>,
    /// How each of the worst images was misread: classes, what they were read as, loss. Empty for images of each class.
    wrong: Vec<[String; 3]>,
    /// Transformers that have their input in common.
    groups: Vec<Group>,
}

/// Transformers of one model that have their input in common, or steps of one.
#[derive(Debug)]
struct Group {
    /// Their layers, and how many times each had been applied.
    stages: Vec<(String, i64)>,
    /// Moment by moment, image by image.
    cells: Vec<Vec<Option<Cell>>>,
}

/// An image and what the stages of a group made of it.
#[derive(Debug)]
struct Cell {
    input: Option<usize>,
    predicted: i64,
    /// Output and grid of each stage.
    stages: Vec<(Option<usize>, Value)>,
}

/// Everything that is shown.
#[derive(Debug, Default)]
pub struct Montage {
    blocks: Vec<Block>,
    pictures: Pictures,
    /// What is not shown, and how.
    notes: Vec<String>,
}

/// Gathers the pictures of every model on every distortion: of the trial with the lowest seed.
pub fn gather(summary: &Summary, store: &Store) -> Montage {
    // The montages of the figures have read the same files, and named the bad ones.
    let mut bad = Vec::new();
    let mut montage = Montage::default();
    let leading = summary.leading(MODELS);
    montage.notes.extend(leading.best_of_words().map(|words| format!("These are {words} models.")));
    let mut misread = Vec::new();
    for row in &leading.rows {
        for &trial in &row.trials {
            let found = if montage.blocks.len() < BLOCKS { moments(&store.trials[trial], &mut bad) } else { Vec::new() };
            if !found.is_empty() {
                let samples = samples(&found);
                montage.blocks.push(block(trial, &found, samples, &mut montage.pictures));
                misread.extend(of_worst(trial, worst(&store.trials[trial], &mut bad), &mut montage.pictures));
                break;
            }
        }
    }
    if montage.blocks.len() == BLOCKS {
        montage.notes.push(format!("No more than {BLOCKS} models on all data together are looked at."));
    }
    // Where there is no room for all, the worst go first.
    montage.blocks.append(&mut misread);
    montage.fit(BUDGET);
    if montage.pictures.smaller {
        montage.notes.push("Large images are shown smaller than they are.".into());
    }
    montage
}

impl Montage {
    /// Takes moments and images away until the rest keeps to the budget.
    fn fit(&mut self, budget: usize) {
        let fits = STEPS.into_iter().find(|&(moments, images)| self.size(moments, images) <= budget);
        let (moments, images) = fits.unwrap_or(STEPS[STEPS.len() - 1]);
        let (most_moments, most_images) =
            self.blocks.iter().fold((0, 0), |(moments, images), block| (block.moments.len().max(moments), block.samples.len().max(images)));
        if moments < most_moments || images < most_images {
            let (moments, images) = (moments.min(most_moments), images.min(most_images));
            self.notes.push(format!("To keep this page small, {moments} of {most_moments} moments and {images} of {most_images} images are shown."));
        }
        self.blocks.iter_mut().for_each(|block| block.keep(moments, images));
        let mut size = 0;
        let mut seen = BTreeSet::new();
        let fitting = self.blocks.iter().take_while(|block| {
            size += block.size(&self.pictures, &mut seen, 1, 1);
            size <= budget
        });
        let fitting = if fits.is_some() { self.blocks.len() } else { fitting.count() };
        if fitting < self.blocks.len() {
            self.notes.push(format!("Only the first {fitting} of {} series of pictures are shown, for the same reason.", self.blocks.len()));
            self.blocks.truncate(fitting);
        }
    }

    /// Characters that so many moments and images take.
    fn size(&self, moments: usize, images: usize) -> usize {
        let mut seen = BTreeSet::new();
        self.blocks.iter().map(|block| block.size(&self.pictures, &mut seen, moments, images)).sum()
    }

    /// All of it, with the pictures that are shown and no others.
    pub fn json(&self) -> Value {
        let mut used = BTreeSet::new();
        self.blocks.iter().flat_map(|block| &block.groups).flat_map(Group::cells).for_each(|cell| used.extend(cell.pictures()));
        let used: Vec<usize> = used.into_iter().collect();
        let number = |picture: Option<usize>| picture.and_then(|picture| used.binary_search(&picture).ok());
        let stage = |(output, grid): &(Option<usize>, Value)| json!([number(*output), grid]);
        let cell = |cell: &Option<Cell>| {
            let Some(cell) = cell else { return Value::Null };
            json!([number(cell.input), cell.predicted, cell.stages.iter().map(stage).collect::<Vec<_>>()])
        };
        let group = |group: &Group| {
            let cells: Vec<Vec<Value>> = group.cells.iter().map(|moment| moment.iter().map(cell).collect()).collect();
            json!({ "stages": group.stages, "cells": cells })
        };
        let block = |block: &Block| {
            let groups: Vec<Value> = block.groups.iter().map(group).collect();
            json!({ "trial": block.trial, "moments": block.moments, "samples": block.samples, "wrong": block.wrong, "groups": groups })
        };
        json!({
            "notes": self.notes,
            "units": UNITS,
            "lattice": LATTICE,
            "pictures": used.iter().map(|&picture| &self.pictures.files[picture]).collect::<Vec<_>>(),
            "blocks": self.blocks.iter().map(block).collect::<Vec<_>>(),
        })
    }
}

impl Block {
    /// Keeps `images` of the images, and of the moments the first, the last and what lies evenly between.
    fn keep(&mut self, moments: usize, images: usize) {
        let kept = spread(self.moments.len(), moments);
        self.moments = kept.iter().map(|&i| self.moments[i]).collect();
        self.samples.truncate(images);
        self.wrong.truncate(images);
        for group in &mut self.groups {
            let mut cells = std::mem::take(&mut group.cells);
            group.cells = kept.iter().map(|&i| std::mem::take(&mut cells[i]).into_iter().take(images).collect()).collect();
        }
    }

    /// Characters that it takes besides the pictures that others have shown.
    fn size(&self, pictures: &Pictures, seen: &mut BTreeSet<usize>, moments: usize, images: usize) -> usize {
        let kept = spread(self.moments.len(), moments);
        let cells = self.groups.iter().flat_map(|group| kept.iter().flat_map(|&i| group.cells[i].iter().take(images).flatten()));
        let each = |cell: &Cell| {
            let new: usize = cell.pictures().filter(|picture| seen.insert(*picture)).map(|picture| pictures.files[picture].len() + 3).sum();
            new + cell.stages.iter().map(|(_, grid)| grid.to_string().len() + 12).sum::<usize>() + 16
        };
        cells.map(each).sum()
    }
}

impl Group {
    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().flatten().flatten()
    }
}

impl Cell {
    fn pictures(&self) -> impl Iterator<Item = usize> {
        self.input.into_iter().chain(self.stages.iter().filter_map(|(output, _)| *output))
    }
}

/// `most` of `n` places, evenly spread from the first to the last; the last alone where there is one.
fn spread(n: usize, most: usize) -> Vec<usize> {
    match most {
        _ if n <= most => (0..n).collect(),
        1 => vec![n - 1],
        _ => (0..most).map(|i| i * (n - 1) / (most - 1)).collect(),
    }
}

/// The pictures of the images that a trial misread with the largest losses.
fn of_worst(trial: usize, images: Vec<Wrong>, pictures: &mut Pictures) -> Option<Block> {
    let wrong = images.iter().map(words).collect();
    let samples = images.iter().filter_map(|image| image.warps.first().map(|warp| (warp.class, warp.sample))).collect();
    let warps: Vec<Warp> = images.into_iter().flat_map(|image| image.warps).collect();
    (!warps.is_empty()).then(|| Block { wrong, ..block(trial, &warps, samples, pictures) })
}

fn block(trial: usize, warps: &[Warp], samples: Vec<(i64, i64)>, pictures: &mut Pictures) -> Block {
    let moments: Vec<i64> = warps.iter().map(|warp| warp.trained).collect::<BTreeSet<_>>().into_iter().collect();
    let mut stages: Vec<(String, i64)> = Vec::new();
    for warp in warps {
        let stage = (warp.layer.clone(), warp.step);
        if !stages.contains(&stage) {
            stages.push(stage);
        }
    }
    let find = |stage: &(String, i64), moment: i64, sample: i64| {
        warps.iter().find(|warp| warp.trained == moment && warp.sample == sample && warp.layer == stage.0 && warp.step == stage.1)
    };
    let input = |stage: &(String, i64)| find(stage, *moments.last()?, samples.first()?.1).map(|warp| &warp.input);
    let mut groups: Vec<Vec<(String, i64)>> = Vec::new();
    for stage in &stages {
        match groups.last_mut().filter(|group| input(&group[0]) == input(stage)) {
            Some(group) => group.push(stage.clone()),
            None => groups.push(vec![stage.clone()]),
        }
    }
    let mut cell = |stages: &[(String, i64)], moment: i64, sample: i64| {
        let found = stages.iter().map(|stage| find(stage, moment, sample)).collect::<Option<Vec<_>>>()?;
        let first = found.first()?;
        let stages = found.iter().map(|warp| (pictures.number(&warp.output), lattice(&warp.grid))).collect();
        Some(Cell { input: pictures.number(&first.input), predicted: first.predicted, stages })
    };
    let mut group = |stages: Vec<(String, i64)>| {
        let cells = moments.iter().map(|&moment| samples.iter().map(|&(_, sample)| cell(&stages, moment, sample)).collect()).collect();
        Group { stages, cells }
    };
    Block { trial, groups: groups.into_iter().map(&mut group).collect(), moments, samples, wrong: Vec::new() }
}

/// Class and number of the images: at first those that are there at every moment, then one of each class before a second; by class.
fn samples(warps: &[Warp]) -> Vec<(i64, i64)> {
    let all: BTreeSet<(i64, i64)> = warps.iter().map(|warp| (warp.class, warp.sample)).collect();
    let moments = |sample: i64| warps.iter().filter(|warp| warp.sample == sample).map(|warp| warp.trained).collect::<BTreeSet<_>>().len();
    let nth = |&(class, sample): &(i64, i64)| all.iter().filter(|(other, earlier)| *other == class && *earlier < sample).count();
    let mut ordered: Vec<(i64, i64)> = all.iter().copied().collect();
    ordered.sort_by_key(|of| (std::cmp::Reverse(moments(of.1)), nth(of), of.0));
    ordered.truncate(IMAGES);
    ordered
}

/// Points of a grid `H W 2` (of a volume's `D H W 3` those of its middle slice, along the depth) in [`UNITS`]: three corners of one that is affine, else a lattice.
fn lattice(grid: &Array) -> Value {
    let (from, rows, columns, each) = match *grid.shape.as_slice() {
        [h, w, 2] => (0, h, w, 2),
        [d, h, w, 3] => ((d / 2) * h * w * 3, h, w, 3),
        _ => return Value::Null,
    };
    let at = |row: usize, column: usize, axis: usize| f64::from(grid.data[from + (row * columns + column) * each + axis]);
    let place = |i: usize, n: usize| i * (n - 1) / (LATTICE - 1);
    let share = |i: usize, n: usize| if n > 1 { i as f64 / (n - 1) as f64 } else { 0.0 };
    let units = |value: f64| value.is_finite().then(|| (value * UNITS).round().clamp(-1e6, 1e6) as i64);
    let mut points = Vec::new();
    let mut affine = true;
    for (row, column) in (0..LATTICE).flat_map(|row| (0..LATTICE).map(move |column| (row, column))) {
        let (row, column) = (place(row, rows), place(column, columns));
        for axis in 0..2 {
            let value = at(row, column, axis);
            let origin = at(0, 0, axis);
            let straight = origin + share(column, columns) * (at(0, columns - 1, axis) - origin) + share(row, rows) * (at(rows - 1, 0, axis) - origin);
            affine &= (value - straight).abs() * UNITS < 1.0;
            points.push(units(value));
        }
    }
    if affine {
        let corners = [(0, 0), (0, columns - 1), (rows - 1, 0)];
        points = corners.iter().flat_map(|&(row, column)| [at(row, column, 0), at(row, column, 1)]).map(units).collect();
    }
    json!(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_affine_grid_is_three_corners_and_a_bent_one_a_lattice() {
        let grid = |bend: f32| {
            let n = 13usize;
            let axis = |i: usize| (2 * i + 1) as f32 / n as f32 - 1.0;
            let points = (0..n * n).flat_map(|i| [axis(i % n) + bend * axis(i / n).powi(2), 0.5 * axis(i / n)]);
            Array { shape: vec![n, n, 2], data: points.collect() }
        };
        assert_eq!(lattice(&grid(0.0)).to_string(), "[-462,-231,462,-231,-462,231]");
        assert_eq!(lattice(&grid(0.3)).as_array().unwrap().len(), 2 * LATTICE * LATTICE);
        let mut hollow = grid(0.3);
        hollow.data[0] = f32::NAN;
        assert!(lattice(&hollow)[0].is_null());
        assert!(lattice(&Array::default()).is_null());
    }

    #[test]
    fn places_are_spread_from_the_first_to_the_last() {
        assert_eq!((spread(7, 3), spread(7, 1), spread(2, 8), spread(0, 3)), (vec![0, 3, 6], vec![6], vec![0, 1], vec![]));
    }

    #[test]
    fn what_is_too_much_is_thinned_and_said() {
        let mut pictures = Pictures::default();
        let warp = |i: i64| Warp {
            trained: i / 10,
            sample: i % 10,
            layer: "st".into(),
            step: 1,
            class: i % 10,
            predicted: 0,
            theta: vec![],
            input: Array { shape: vec![1, 2, 2], data: vec![i as f32 / 80.0, 0.0, 1.0, 0.0] },
            grid: Array { shape: vec![1, 1, 2], data: vec![0.0, 0.0] },
            output: Array { shape: vec![1, 2, 2], data: vec![0.0, i as f32 / 80.0, 1.0, 0.0] },
        };
        let warps: Vec<Warp> = (0..70).map(warp).collect();
        let blocks = vec![block(0, &warps, samples(&warps), &mut pictures)];
        let mut montage = Montage { blocks, pictures, notes: vec![] };
        assert_eq!((montage.blocks[0].moments.len(), montage.blocks[0].samples.len()), (7, 10));
        let size = montage.size(8, 10);
        montage.fit(size / 4);
        assert_eq!(montage.blocks[0].moments, [0, 3, 6]);
        assert!(montage.json().to_string().len() < size / 2);
        assert_eq!(montage.notes, ["To keep this page small, 3 of 7 moments and 4 of 10 images are shown."]);
    }
}
