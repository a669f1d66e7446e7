//! The rows of a summary crossed: lines by some keys of the sweep, columns by others, the best of each column marked.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::query::ends_with;
use crate::settings::Settings;
use crate::statistics::paired_test;
use crate::summary::{Row, Series, Summary};

/// Test errors by lines and columns. Every cell is one [`Row`]: nothing that the sweep tells apart is averaged.
#[derive(Debug)]
pub struct Crosstab<'a> {
    /// What the parts of the lines' names are.
    pub headings: Vec<String>,
    /// Names of the columns; one without a name where nothing stands across.
    pub columns: Vec<String>,
    /// The lines.
    pub lines: Vec<Line<'a>>,
}

/// A line of the table.
#[derive(Debug)]
pub struct Line<'a> {
    /// Its name, as many parts as there are headings.
    pub names: Vec<String>,
    /// A cell for each column, where there are trials.
    pub cells: Vec<Option<Cell<'a>>>,
}

/// A cell of the table.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// The trials of the cell, summed up.
    pub row: &'a Row,
    /// How it stands to the best of its column.
    pub rank: Rank,
}

/// How a mean stands to the least of its column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rank {
    /// It is the least.
    Best,
    /// It is not, and a paired test over the seeds gives this probability.
    Behind(f64),
    /// There is nothing to compare, or are too few seeds that both have.
    Untested,
}

/// Differences that are more probable than this by chance alone are ties.
pub const SIGNIFICANT: f64 = 0.05;

impl Rank {
    /// Whether the test cannot tell it from the best.
    pub fn tied(self) -> bool {
        matches!(self, Self::Behind(p) if p > SIGNIFICANT)
    }
}

/// A key of the sweep that trials are told apart by.
#[derive(Debug, Clone, PartialEq)]
enum Key {
    Model,
    Distortion,
    /// Any other, as [`Series::swept`] calls it.
    Swept(String),
}

/// The value of a key, in its place among the others.
#[derive(Debug, Clone)]
struct Value {
    place: usize,
    number: f64,
    text: String,
}

impl Key {
    fn heading(&self) -> &str {
        match self {
            Self::Model => "model",
            Self::Distortion => "distortion",
            Self::Swept(key) => key,
        }
    }

    /// The value in a row; `models` in their order.
    fn value(&self, row: &Row, summary: &Summary, models: &BTreeMap<&str, usize>) -> Value {
        let series = &summary.series[row.series];
        match self {
            Self::Model => Value { place: models.get(series.model.as_str()).copied().unwrap_or_default(), number: 0.0, text: series.model.clone() },
            Self::Distortion => Value { place: row.distortion, number: 0.0, text: summary.distortions[row.distortion].clone() },
            Self::Swept(key) => {
                let text = series.swept.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone()).unwrap_or_default();
                Value { place: 0, number: text.parse().unwrap_or(f64::INFINITY), text }
            }
        }
    }

    /// The value with what it is a value of, where that does not say it.
    fn named(&self, value: &Value) -> String {
        match self {
            Self::Swept(key) if !value.text.is_empty() => format!("{key}={}", value.text),
            _ => value.text.clone(),
        }
    }
}

impl<'a> Crosstab<'a> {
    /// Crosses a summary as `[report]` says: by default models stand in the lines and distortions across, where there are several.
    pub fn new(summary: &'a Summary, settings: &Settings) -> Self {
        let Arrangement { lines: named, joined, columns } = Arrangement::new(summary, settings);
        let lines = [named.as_slice(), &joined].concat();
        let mut models = BTreeMap::new();
        summary.series.iter().enumerate().for_each(|(place, series)| _ = models.entry(series.model.as_str()).or_insert(place));
        let values = |keys: &[Key], row: &Row| keys.iter().map(|key| key.value(row, summary, &models)).collect::<Vec<_>>();
        let ordered = |keys: &[Key]| {
            let mut all: Vec<_> = summary.rows.iter().map(|row| values(keys, row)).collect();
            all.sort_by(|a, b| compare(a, b));
            all.dedup_by(|a, b| compare(a, b).is_eq());
            all
        };
        let (of_lines, of_columns) = (ordered(&lines), ordered(&columns));
        let mut cells: Vec<Vec<Option<Cell>>> = vec![vec![None; of_columns.len()]; of_lines.len()];
        for row in &summary.rows {
            let place = |keys: &[Key], all: &[Vec<Value>]| {
                let own = values(keys, row);
                all.binary_search_by(|other| compare(other, &own))
            };
            if let (Ok(line), Ok(column)) = (place(&lines, &of_lines), place(&columns, &of_columns)) {
                cells[line][column] = Some(Cell { row, rank: Rank::Untested });
            }
        }
        for column in 0..of_columns.len() {
            rank(cells.iter_mut().filter_map(|line| line[column].as_mut()).collect());
        }
        let name = |values: &Vec<Value>| columns.iter().zip(values).map(|(key, value)| key.named(value)).collect::<Vec<_>>().join(", ");
        let line = |(values, cells): (&Vec<Value>, Vec<Option<Cell<'a>>>)| {
            let (values, rest) = values.split_at(named.len());
            let mut names: Vec<String> = values.iter().map(|value| value.text.clone()).collect();
            let rest = joined.iter().zip(rest).map(|(key, value)| key.named(value)).filter(|name| !name.is_empty());
            if let Some(last) = names.last_mut() {
                rest.for_each(|name| *last += &format!(", {name}"));
            }
            Line { names, cells }
        };
        Self {
            headings: named.iter().map(|key| key.heading().to_string()).collect(),
            columns: of_columns.iter().map(name).collect(),
            lines: of_lines.iter().zip(cells).map(line).collect(),
        }
    }

    /// Whether there is more than one column of errors.
    pub fn across(&self) -> bool {
        self.columns.len() > 1
    }

    /// The cells, line by line.
    pub fn cells(&self) -> impl Iterator<Item = &Cell<'a>> {
        self.lines.iter().flat_map(|line| line.cells.iter().flatten())
    }
}

/// Which keys stand where.
struct Arrangement {
    /// Those that the lines have names for, outermost first.
    lines: Vec<Key>,
    /// Those that were asked for nowhere: they stand behind the last name of a line, "CNN, lr=0.1".
    joined: Vec<Key>,
    columns: Vec<Key>,
}

impl Arrangement {
    fn new(summary: &Summary, settings: &Settings) -> Self {
        let asked = |names: &[String]| names.iter().filter_map(|name| key(name, &summary.series)).collect::<Vec<_>>();
        let mut lines = asked(&settings.rows);
        let columns = match &settings.columns {
            Some(columns) => asked(columns).into_iter().filter(|key| !lines.contains(key)).collect(),
            None if summary.distortions.len() > 1 && !lines.contains(&Key::Distortion) => vec![Key::Distortion],
            None => Vec::new(),
        };
        // Whatever varies stands somewhere.
        let models = summary.series.iter().any(|series| series.model != summary.series[0].model);
        for (key, varies) in [(Key::Model, models || lines.is_empty()), (Key::Distortion, summary.distortions.len() > 1)] {
            if varies && !lines.contains(&key) && !columns.contains(&key) {
                lines.insert(0, key);
            }
        }
        let mut joined: Vec<Key> = Vec::new();
        for key in summary.series.iter().flat_map(|series| &series.swept).map(|(key, _)| Key::Swept(key.clone())) {
            if ![&lines, &columns, &joined].into_iter().any(|known| known.contains(&key)) {
                joined.push(key);
            }
        }
        if lines.is_empty() {
            std::mem::swap(&mut lines, &mut joined);
        }
        Self { lines, joined, columns }
    }
}

/// The key of a name in `[report]`; `None` for one that these trials were not swept over.
fn key(name: &str, series: &[Series]) -> Option<Key> {
    if name == "model" {
        return Some(Key::Model);
    }
    if ends_with(name, "distortion") || ends_with(name, "distortion.kind") {
        return Some(Key::Distortion);
    }
    let mut swept = series.iter().flat_map(|series| &series.swept).map(|(key, _)| key);
    swept.find(|key| ends_with(name, key) || ends_with(key, name)).map(|key| Key::Swept(key.clone()))
}

fn compare(a: &[Value], b: &[Value]) -> Ordering {
    let one = |(a, b): (&Value, &Value)| a.place.cmp(&b.place).then(a.number.total_cmp(&b.number)).then_with(|| a.text.cmp(&b.text));
    a.iter().zip(b).map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Marks the cell of the least mean, and compares the others with it, seed by seed.
fn rank(mut cells: Vec<&mut Cell<'_>>) {
    let mean = |cell: &Cell| cell.row.error.map_or(f64::INFINITY, |error| error.mean);
    let with_errors = cells.iter().filter(|cell| cell.row.error.is_some()).count();
    let Some(best) = (0..cells.len()).min_by(|&a, &b| mean(cells[a]).total_cmp(&mean(cells[b]))).filter(|_| with_errors > 1) else { return };
    let of_best = cells[best].row;
    for (i, cell) in cells.iter_mut().enumerate() {
        let seed_by_seed = |&(seed, error): &(i64, f64)| Some((error, of_best.errors.iter().find(|(other, _)| *other == seed)?.1));
        let (own, others): (Vec<f64>, Vec<f64>) = cell.row.errors.iter().filter_map(seed_by_seed).unzip();
        let least = i == best || mean(cell) == of_best.error.map_or(f64::NAN, |error| error.mean);
        cell.rank = if least { Rank::Best } else { paired_test(&own, &others).map_or(Rank::Untested, Rank::Behind) };
    }
}
