//! The `[sweep]` section: what varies, and in which order.
//!
//! A sweep is one block or several, one after another. A block is a list of axes and a list of seeds. An axis is a list of points, and a point assigns values to keys:
//! one key for an axis of the grid, several for a zip and for random draws. The points of a block are all combinations of its axes' points.

mod lists;
mod random;

use std::collections::BTreeSet;
use std::rc::Rc;

use stn_core::{Fault, parameters};
use toml::{Table, Value};

use super::overrides::{block_paths, split_key};
use super::sections::{Seeds, SweepSection};
pub(crate) use random::DISTRIBUTIONS;

/// The most trials a sweep may have.
const MOST_TRIALS: usize = 1_000_000;
/// The sections whose keys can be swept.
const SWEPT: [&str; 4] = ["dataset", "model", "models", "train"];

/// A key that an axis varies.
#[derive(Debug)]
pub(crate) struct SweptKey {
    /// As written in the sweep.
    pub name: String,
    /// Its path.
    pub path: Vec<String>,
    /// Where in the document it is given values.
    pub origin: Vec<String>,
}

impl SweptKey {
    /// The key of this name, of those that can be swept; `example` is what could be written for one.
    fn read(name: &str, origin: Vec<String>, example: &str) -> Result<Rc<Self>, Fault> {
        let Some(path) = split_key(name) else {
            let fault = Fault::at(origin, format!("unknown key `{name}`: not a dotted key"));
            return Err(fault.help(format!("write for example \"train.lr\" = {example}")));
        };
        if !path.first().is_some_and(|section| SWEPT.contains(&section.as_str())) {
            return Err(Fault::unknown(origin, "key", name, &SWEPT).help(format!("keys of these can be swept: {}", SWEPT.join(", "))));
        }
        Ok(Rc::new(Self { name: name.to_owned(), path, origin }))
    }
}

/// A value for a key.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    /// The key.
    pub key: Rc<SweptKey>,
    /// The value.
    pub value: Value,
    /// Where below the key the value stands in the document, or the bounds that it was drawn from.
    inner: Vec<String>,
    /// Whether it was drawn between bounds, and stands nowhere in the document.
    pub between: bool,
}

impl Assignment {
    /// Where in the document the value stands.
    pub fn origin(&self) -> Vec<String> {
        self.key.origin.iter().chain(&self.inner).cloned().collect()
    }
}

/// Point by point, the assignments. Every point is for the same keys.
type Axis = Vec<Vec<Assignment>>;

/// One block of the sweep.
#[derive(Debug)]
pub(crate) struct Block {
    axes: Vec<Axis>,
    /// The seeds.
    pub seeds: Vec<u64>,
}

impl Block {
    /// Every combination of the axes' points, the first axis varying slowest; without the seeds.
    pub fn points(&self) -> impl Iterator<Item = Vec<&Assignment>> {
        let total: usize = self.axes.iter().map(Vec::len).product();
        (0..total).map(move |number| {
            let mut below = total;
            let chosen = self.axes.iter().flat_map(|axis| {
                below /= axis.len();
                &axis[number / below % axis.len()]
            });
            chosen.collect()
        })
    }

    /// The number of trials; `None` where there are too many to list.
    fn trials(&self) -> Option<usize> {
        self.axes.iter().try_fold(self.seeds.len(), |count, points| count.checked_mul(points.len()).filter(|count| *count <= MOST_TRIALS))
    }
}

/// A mistake in the sweep.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// What is wrong, with its path in the document.
    pub fault: Fault,
    /// Another path that it is about, and a word on what is there.
    pub also: Option<(Vec<String>, &'static str)>,
}

impl From<Fault> for Mistake {
    fn from(fault: Fault) -> Self {
        Self { fault, also: None }
    }
}

/// Reads every block of the document's sweep.
///
/// # Errors
///
/// Every mistake.
pub(crate) fn read(document: &Table) -> Result<Vec<Block>, Vec<Mistake>> {
    let (mut blocks, mut mistakes) = (Vec::new(), Vec::<Mistake>::new());
    let paths = block_paths(document);
    if paths.is_empty() {
        let fault = Fault::at(["sweep"], "there is no block in this sweep, so nothing to train").help("take `sweep` out for a single trial");
        mistakes.push(fault.into());
    }
    for path in paths {
        let value = match (document.get("sweep"), path.get(1).and_then(|i| i.parse::<usize>().ok())) {
            (Some(Value::Array(blocks)), Some(i)) => blocks.get(i),
            (value, _) => value,
        };
        let empty = Table::new();
        let table = match value {
            Some(Value::Table(table)) => table,
            None => &empty,
            Some(other) => {
                let fault = Fault::at(path, format!("expected a table, found {}", other.type_str())).help("write [sweep] with seeds = [0, 1, 2] below it");
                mistakes.push(fault.into());
                continue;
            }
        };
        match block(table, &path) {
            Ok(block) => blocks.push(block),
            Err(found) => mistakes.extend(found),
        }
    }
    let total = blocks.iter().try_fold(0usize, |sum, block| block.trials().map(|count| sum + count)).filter(|total| *total <= MOST_TRIALS);
    if total.is_none() {
        mistakes.push(too_many(vec!["sweep".into()]).into());
    }
    if mistakes.is_empty() { Ok(blocks) } else { Err(mistakes) }
}

fn too_many(path: Vec<String>) -> Fault {
    Fault::at(path, format!("this sweep has more than {MOST_TRIALS} trials")).help("sweep fewer values at a time")
}

fn block(table: &Table, at: &[String]) -> Result<Block, Vec<Mistake>> {
    let section: SweepSection =
        parameters::decode(table).map_err(|faults| faults.into_iter().map(|fault| with_example(fault).below(at.to_vec()).into()).collect::<Vec<_>>())?;
    let mut faults = Vec::new();
    let seeds = seeds(section.seeds, &below(at, ["seeds"]), &mut faults);
    let mut axes = lists::grid(&section.grid.0, &below(at, ["grid"]), &mut faults);
    for (i, zip) in section.zip.iter().enumerate() {
        axes.extend(lists::zip(&zip.0, &below(at, ["zip", &i.to_string()]), &mut faults));
    }
    if let Some(section) = &section.random {
        axes.extend(random::axis(&section.0, &below(at, ["random"]), &mut faults));
    }
    let mut mistakes: Vec<Mistake> = faults.into_iter().map(Mistake::from).collect();
    mistakes.extend(keys_twice(&axes));
    if mistakes.is_empty() { Ok(Block { axes, seeds }) } else { Err(mistakes) }
}

/// A fault of the block's table as a whole, with what to write instead.
fn with_example(fault: Fault) -> Fault {
    let example = match fault.path.first().map(String::as_str) {
        _ if fault.help.is_some() => return fault,
        Some("seeds") => "list the seeds, seeds = [0, 1, 2], or say how many: seeds = 3",
        Some("grid") => "write [sweep.grid] with a list for each key below it: \"train.lr\" = [0.01, 0.1]",
        Some("zip") => "write [[sweep.zip]], in two brackets, with lists of one length below it: \"train.lr\" = [0.01, 0.1]",
        Some("random") => "write [sweep.random] with count = 10 below it, and [sweep.random.keys]",
        _ => return fault,
    };
    fault.help(example)
}

fn seeds(given: Seeds, at: &[String], faults: &mut Vec<Fault>) -> Vec<u64> {
    let seeds = match given {
        Seeds::Count(count) if count > MOST_TRIALS as u64 => {
            faults.push(too_many(at.to_vec()));
            return Vec::new();
        }
        Seeds::Count(count) => (0..count).collect(),
        Seeds::List(seeds) => seeds,
    };
    if seeds.is_empty() {
        faults.push(Fault::at(at.to_vec(), "there is no seed here, so nothing to train").help("list at least one: seeds = [0]"));
    }
    let mut seen = BTreeSet::new();
    let twice = seeds.iter().enumerate().filter(|(_, seed)| !seen.insert(**seed));
    faults.extend(twice.map(|(i, seed)| Fault::at(below(at, [&i.to_string()]), format!("the seed {seed} stands here twice"))));
    seeds
}

/// Keys that two axes of a block vary.
fn keys_twice(axes: &[Axis]) -> Vec<Mistake> {
    let keys: Vec<&SweptKey> = axes.iter().filter_map(|axis| axis.first()).flatten().map(|assignment| &*assignment.key).collect();
    let mut mistakes = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        if let Some(first) = keys[..i].iter().find(|first| first.path == key.path) {
            let by = |key: &SweptKey| key.origin[..key.origin.len().saturating_sub(1)].join(".");
            let message = format!("`{}` is varied twice in this block: by `{}` and by `{}`", key.name, by(first), by(key));
            let fault = Fault::at(key.origin.clone(), message).help("take it out of one of them, or write a second block: [[sweep]]");
            mistakes.push(Mistake { fault, also: Some((first.origin.clone(), "and here")) });
        }
    }
    mistakes
}

/// A path with names added.
fn below<'a>(path: &[String], names: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> Vec<String> {
    path.iter().cloned().chain(names.into_iter().map(|name| name.as_ref().to_owned())).collect()
}

/// Which elements of a list stood in it before, and where.
fn repeated<T: std::fmt::Display>(elements: impl IntoIterator<Item = T>) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    elements.into_iter().enumerate().filter(|(_, element)| !seen.insert(element.to_string())).map(|(i, _)| i).collect()
}
