//! The `[sweep]` section: what varies, and in which order.
//!
//! A sweep is one block or several, one after another. A block is a list of axes and a list of seeds. An axis is a list of points, and a point assigns values to keys:
//! one key for an axis of the grid. (Paired lists and random draws are axes as well, with several keys a point: they need a reader each and nothing else.)

use stn_core::{Fault, parameters};
use toml::{Table, Value};

use super::overrides::{block_paths, split_key};
use super::sections::SweepSection;

/// The most trials a sweep may have.
const MOST_TRIALS: usize = 1_000_000;
/// The sections whose keys can be swept.
const SWEPT: [&str; 4] = ["dataset", "model", "models", "train"];

/// A value for a key.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    /// The key as written in the sweep.
    pub name: String,
    /// The key's path.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
    /// Where in the document the value stands.
    pub origin: Vec<String>,
}

/// One block of the sweep.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Axis by axis, point by point, the assignments.
    axes: Vec<Vec<Vec<Assignment>>>,
    /// The seeds.
    pub seeds: Vec<u64>,
}

impl Block {
    /// Every point of the grid, the first axis varying slowest; without the seeds.
    pub fn points(&self) -> Vec<Vec<&Assignment>> {
        self.axes.iter().fold(vec![Vec::new()], |points, axis| {
            points.iter().flat_map(|point| axis.iter().map(move |more| point.iter().copied().chain(more).collect())).collect()
        })
    }

    /// The number of trials; `None` where there are too many to list.
    fn trials(&self) -> Option<usize> {
        self.axes.iter().try_fold(self.seeds.len(), |count, points| count.checked_mul(points.len()).filter(|count| *count <= MOST_TRIALS))
    }
}

/// Reads every block of the document's sweep.
///
/// # Errors
///
/// Every fault, with its path in the document.
pub(crate) fn read(document: &Table) -> Result<Vec<Block>, Vec<Fault>> {
    let (mut blocks, mut faults) = (Vec::new(), Vec::new());
    let paths = block_paths(document);
    if paths.is_empty() {
        faults.push(Fault::at(["sweep"], "there is no block in this sweep, so nothing to train").help("take `sweep` out for a single trial"));
    }
    for path in paths {
        let value = match (document.get("sweep"), path.get(1).and_then(|i| i.parse::<usize>().ok())) {
            (Some(Value::Array(blocks)), Some(i)) => blocks.get(i).cloned(),
            (value, _) => value.cloned(),
        };
        let table = match value {
            Some(Value::Table(table)) => table,
            None => Table::new(),
            Some(other) => {
                faults.push(Fault::at(path, format!("expected a table, found {}", other.type_str())).help("write [sweep] with seeds = [0, 1, 2] below it"));
                continue;
            }
        };
        match block(&table, &path) {
            Ok(block) => blocks.push(block),
            Err(found) => faults.extend(found.into_iter().map(|fault| fault.below(path.clone()))),
        }
    }
    let total = blocks.iter().try_fold(0usize, |sum, block| block.trials().map(|count| sum + count)).filter(|total| *total <= MOST_TRIALS);
    if total.is_none() {
        faults.push(Fault::at(["sweep"], format!("this sweep has more than {MOST_TRIALS} trials")).help("sweep fewer values at a time"));
    }
    if faults.is_empty() { Ok(blocks) } else { Err(faults) }
}

fn block(table: &Table, path: &[String]) -> Result<Block, Vec<Fault>> {
    let section: SweepSection = parameters::decode(table)?;
    let mut faults = Vec::new();
    if section.seeds.is_empty() {
        faults.push(Fault::at(["seeds"], "there is no seed in this list, so nothing to train").help("list at least one: seeds = [0]"));
    }
    for (i, seed) in section.seeds.iter().enumerate() {
        if section.seeds[..i].contains(seed) {
            faults.push(Fault::at(["seeds".to_owned(), i.to_string()], format!("the seed {seed} stands here twice")));
        }
    }
    let mut axes = Vec::new();
    for (name, values) in &section.grid.0 {
        match axis(name, values, path) {
            Ok(points) => axes.push(points),
            Err(found) => faults.extend(found.into_iter().map(|fault| fault.below(["grid", name]))),
        }
    }
    if faults.is_empty() { Ok(Block { axes, seeds: section.seeds }) } else { Err(faults) }
}

fn axis(name: &str, values: &Value, block: &[String]) -> Result<Vec<Vec<Assignment>>, Vec<Fault>> {
    let here = [""; 0];
    let Some(path) = split_key(name) else {
        return Err(vec![Fault::at(here, format!("unknown key `{name}`: not a dotted key")).help("write for example \"train.lr\" = [0.01, 0.1]")]);
    };
    if !path.first().is_some_and(|section| SWEPT.contains(&section.as_str())) {
        return Err(vec![Fault::unknown(here, "key", name, &SWEPT).help(format!("keys of these can be swept: {}", SWEPT.join(", ")))]);
    }
    let Value::Array(values) = values else {
        return Err(vec![
            Fault::at(here, format!("expected a list of values to sweep, found {}", values.type_str())).help(format!("write [{values}] for one value")),
        ]);
    };
    if values.is_empty() {
        return Err(vec![
            Fault::at(here, "there is no value in this list, so nothing to train").help("list at least one value, or take the key out of the sweep"),
        ]);
    }
    let twice = |i: usize| values[..i].contains(&values[i]);
    let faults: Vec<_> =
        (0..values.len()).filter(|i| twice(*i)).map(|i| Fault::at([i.to_string()], format!("the value {} stands here twice", values[i]))).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    let origin = |i: usize| block.iter().cloned().chain(["grid".to_owned(), name.to_owned(), i.to_string()]).collect();
    Ok(values
        .iter()
        .enumerate()
        .map(|(i, value)| vec![Assignment { name: name.to_owned(), path: path.clone(), value: value.clone(), origin: origin(i) }])
        .collect())
}
