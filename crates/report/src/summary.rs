//! Trials gathered into the rows of the table and the lines of the figures.

use crate::error::count;
use crate::query::{Measurement, Store, Swept, Trial};
use crate::settings::Settings;
use crate::statistics::{Spread, Width};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The status of a trial that ended well.
const DONE: &str = "done";

/// One line of the figures: a model, with whatever else the sweep varies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The model's label.
    pub model: String,
    /// What else sets it apart, or nothing.
    pub variant: String,
    /// The same as keys and values.
    pub swept: Swept,
    /// Both in one.
    pub label: String,
}

/// One row of the table: a series on a distortion.
#[derive(Debug, Clone)]
pub struct Row {
    /// Index into [`Summary::distortions`].
    pub distortion: usize,
    /// Index into [`Summary::series`]; also its colour.
    pub series: usize,
    /// Indices of the trials averaged, in order of their seeds.
    pub trials: Vec<usize>,
    /// Their seeds and test errors in percent.
    pub errors: Vec<(i64, f64)>,
    /// Test error in percent; `None` where no trial succeeded.
    pub error: Option<Spread>,
    /// Parameters.
    pub parameters: Option<i64>,
    /// Median over the trials of the step time, ms.
    pub step_ms: Option<f64>,
    /// Step time over that of the baseline.
    pub ratio: Option<f64>,
    /// The published error, percent.
    pub published: Option<f64>,
}

/// A point of a learning curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Step.
    pub step: i64,
    /// Error over the seeds, percent; `None` where one of them is not finite.
    pub error: Option<Spread>,
}

/// Everything that is drawn and tabled.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Name of the experiment.
    pub experiment: String,
    /// Models in order.
    pub series: Vec<Series>,
    /// Distortions in order.
    pub distortions: Vec<String>,
    /// Distortion by distortion, series by series.
    pub rows: Vec<Row>,
    /// Label of the baseline.
    pub baseline: Option<String>,
    /// What the trials have in common.
    pub caption: Vec<String>,
    /// Trials that are not in the means, one a line.
    pub left_out: Vec<String>,
    /// Whether any data are made up.
    pub synthetic: bool,
    /// What stands behind the means.
    pub width: Width,
    /// Where these are the best series alone, how many there are.
    pub best_of: Option<usize>,
}

/// Gathers the trials of an experiment.
pub fn summarise(experiment: &str, store: &Store, settings: &Settings) -> Summary {
    let series = series(&store.trials, settings);
    let distortions = distortions(&store.trials, settings);
    let place_of_series: BTreeMap<_, _> = series.iter().enumerate().map(|(s, line)| ((line.model.as_str(), line.variant.as_str()), s)).collect();
    let place_of_distortion: BTreeMap<_, _> = distortions.iter().enumerate().map(|(d, distortion)| (distortion.as_str(), d)).collect();
    let mut trials: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (i, trial) in store.trials.iter().enumerate() {
        let place = (place_of_distortion[trial.distortion.as_str()], place_of_series[&(trial.label.as_str(), trial.variant.as_str())]);
        trials.entry(place).or_default().push(i);
    }
    let rows = trials.into_iter().map(|(place, of_row)| row(place, of_row, &store.trials, settings)).collect();
    let mut summary = Summary {
        experiment: experiment.into(),
        baseline: None,
        caption: caption(&store.trials, settings.width),
        left_out: left_out(store),
        synthetic: store.trials.iter().any(|t| t.synthetic),
        width: settings.width,
        best_of: None,
        series,
        distortions,
        rows,
    };
    compare_times(&mut summary, settings);
    summary
}

impl Summary {
    /// The summary of so many series at most: those of the least errors, in their order. The others cannot be told apart in a figure.
    pub fn leading(&self, most: usize) -> Cow<'_, Self> {
        if self.series.len() <= most {
            return Cow::Borrowed(self);
        }
        let mut least = vec![f64::INFINITY; self.series.len()];
        for row in &self.rows {
            least[row.series] = row.error.map_or(f64::INFINITY, |error| error.mean).min(least[row.series]);
        }
        let mut places: Vec<usize> = (0..self.series.len()).collect();
        places.sort_by(|&a, &b| least[a].total_cmp(&least[b]).then(a.cmp(&b)));
        places.truncate(most);
        places.sort_unstable();
        let rows = self.rows.iter().filter_map(|row| Some(Row { series: places.binary_search(&row.series).ok()?, ..row.clone() })).collect();
        let series = places.iter().map(|&place| self.series[place].clone()).collect();
        Cow::Owned(Self { rows, series, best_of: Some(self.series.len()), ..self.clone() })
    }

    /// What a figure says where it shows the best series alone: "the best 40 of 10,000".
    pub fn best_of_words(&self) -> Option<String> {
        self.best_of.map(|all| format!("the best {} of {}", self.series.len(), thousands(all as i64)))
    }
}

/// The learning curve of a row on the test set or on training batches, at the steps that every one of its trials has.
pub fn curve(row: &Row, measurements: &[Measurement], test: bool) -> Vec<CurvePoint> {
    let mut errors: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for &trial in &row.trials {
        let from = measurements.partition_point(|m| m.trial < trial);
        for measurement in measurements[from..].iter().take_while(|m| m.trial == trial).filter(|m| m.test == test) {
            errors.entry(measurement.step).or_default().push(measurement.error);
        }
    }
    let whole = errors.into_iter().filter(|(_, values)| values.len() == row.trials.len());
    whole.map(|(step, values)| CurvePoint { step, error: Spread::of(&values) }).collect()
}

/// A trial that may be averaged: it ended well and has a number to show.
fn sound(trial: &Trial) -> bool {
    trial.status == DONE && trial.test_error.is_finite()
}

fn series(trials: &[Trial], settings: &Settings) -> Vec<Series> {
    let place = |model: &str| settings.models.iter().position(|m| m == model).unwrap_or(usize::MAX);
    let mut places: BTreeMap<(&str, &str), (usize, &Swept)> = BTreeMap::new();
    for trial in trials {
        let (first, _) = places.entry((&trial.label, &trial.variant)).or_insert((usize::MAX, &trial.swept));
        *first = place(&trial.model).min(*first);
    }
    let mut ordered: Vec<_> = places.into_iter().map(|((model, variant), (place, swept))| (place, model, variant, swept)).collect();
    ordered.sort();
    let label = |model: &str, variant: &str| if variant.is_empty() { model.to_string() } else { format!("{model}, {variant}") };
    let series = |(_, model, variant, swept): (usize, &str, &str, &Swept)| Series {
        model: model.into(),
        variant: variant.into(),
        swept: swept.clone(),
        label: label(model, variant),
    };
    ordered.into_iter().map(series).collect()
}

/// The paper's distortions in the paper's order, then others as the sweep names them.
fn distortions(trials: &[Trial], settings: &Settings) -> Vec<String> {
    const PUBLISHED: [&str; 6] = ["none", "R", "RTS", "P", "E", "TC"];
    let key = |name: &str| {
        let published = PUBLISHED.iter().position(|d| *d == name).unwrap_or(usize::MAX);
        (published, settings.distortions.iter().position(|d| d == name).unwrap_or(usize::MAX))
    };
    let all: BTreeSet<_> = trials.iter().map(|t| (key(&t.distortion), t.distortion.clone())).collect();
    all.into_iter().map(|(_, name)| name).collect()
}

fn row((distortion, series): (usize, usize), mut trials: Vec<usize>, all: &[Trial], settings: &Settings) -> Row {
    let first = &all[trials[0]];
    let published = published(first, settings);
    trials.retain(|&i| sound(&all[i]));
    trials.sort_by_key(|&i| (all[i].seed, i));
    let numbers = |of: fn(&Trial) -> f64| trials.iter().map(|&i| of(&all[i])).collect::<Vec<f64>>();
    Row {
        distortion,
        series,
        errors: trials.iter().map(|&i| (all[i].seed, all[i].test_error)).collect(),
        error: Spread::of(&numbers(|t| t.test_error)),
        parameters: trials.first().map(|&i| all[i].parameters),
        step_ms: median(numbers(|t| t.step_ms).into_iter().filter(|ms| ms.is_finite()).collect()),
        ratio: None,
        published,
        trials,
    }
}

/// What is published of a trial's model: under a swept value such as "size=64", else under the distortion; nothing beside synthetic data, which is not what was published on.
fn published(trial: &Trial, settings: &Settings) -> Option<f64> {
    if trial.synthetic {
        return None;
    }
    let conditions = trial.variant.split(", ").chain([trial.distortion.as_str()]);
    conditions.filter_map(|condition| settings.published.get(condition)).find_map(|of| of.get(&trial.label).or_else(|| of.get(&trial.model))).copied()
}

/// Fills in the ratios of step times: to the baseline on the same distortion, of the same variant where there is one.
fn compare_times(summary: &mut Summary, settings: &Settings) {
    let stated = settings.baseline.as_deref().map(|model| settings.label(model).to_string());
    let Some(model) = stated.or_else(|| summary.series.first().map(|s| s.model.clone())) else { return };
    // The first of each distortion, and each variant's own.
    let (mut first, mut of_variant) = (BTreeMap::new(), BTreeMap::new());
    for row in summary.rows.iter().filter(|row| summary.series[row.series].model == model) {
        first.entry(row.distortion).or_insert(row.step_ms);
        of_variant.insert((row.distortion, summary.series[row.series].variant.as_str()), row.step_ms);
    }
    let base = |row: &Row| {
        let same = of_variant.get(&(row.distortion, summary.series[row.series].variant.as_str()));
        same.or_else(|| first.get(&row.distortion)).copied().flatten().filter(|ms| *ms > 0.0)
    };
    let ratios: Vec<Option<f64>> = summary.rows.iter().map(|row| Some(row.step_ms? / base(row)?)).collect();
    if summary.series.len() > 1 && ratios.iter().any(Option::is_some) {
        summary.baseline = Some(model);
        summary.rows.iter_mut().zip(ratios).for_each(|(row, ratio)| row.ratio = ratio);
    }
}

/// The one in the middle; the mean of both where there are two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// What the trials averaged have in common; where none could be averaged, all of them.
fn caption(all: &[Trial], width: Width) -> Vec<String> {
    let averaged: Vec<&Trial> = all.iter().filter(|t| sound(t)).collect();
    let trials = if averaged.is_empty() { all.iter().collect() } else { averaged };
    let distinct = |of: &dyn Fn(&Trial) -> String| {
        trials.iter().map(|t| of(t)).filter(|v| !v.is_empty()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
    };
    let range = |of: fn(&Trial) -> i64| match (trials.iter().map(|t| of(t)).min(), trials.iter().map(|t| of(t)).max()) {
        (Some(least), Some(greatest)) if least != greatest => format!("{} to {}", thousands(least), thousands(greatest)),
        (Some(only), _) => thousands(only),
        _ => String::new(),
    };
    let sources = distinct(&|t| {
        let source = if t.data_source.is_empty() || t.data_source == t.dataset { t.dataset.clone() } else { format!("{} ({})", t.dataset, t.data_source) };
        if t.synthetic { format!("SYNTHETIC: {source}") } else { source }
    });
    let threads = range(|t| t.threads);
    let several = trials.iter().any(|t| t.labels > 1).then(|| format!(" (an image counts as wrong where one of its {} labels is)", range(|t| t.labels)));
    vec![
        format!("Test error in percent{} after {} training steps: mean ± {} over n seeds.", several.unwrap_or_default(), range(|t| t.steps), width.name()),
        format!("Data: {sources}. Step time: median on {}, {threads} {}.", distinct(&|t| t.device.clone()), if threads == "1" { "thread" } else { "threads" }),
    ]
}

/// What is not in the means, one a line: failed trials, unfinished ones, files that cannot be read.
pub fn left_out(store: &Store) -> Vec<String> {
    let label = |t: &Trial| if t.variant.is_empty() { t.label.clone() } else { format!("{}, {}", t.label, t.variant) };
    let mut lines = Vec::new();
    for trial in store.trials.iter().filter(|t| !sound(t)) {
        let why = if trial.status == DONE { format!("test error is {}", trial.test_error) } else { trial.status.clone() };
        lines.push(format!("{} on {}, seed {} (trial {}): {why}", label(trial), trial.distortion, trial.seed, trial.id));
    }
    if !store.unfinished.is_empty() {
        const SHOWN: usize = 8;
        let shown = store.unfinished.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        let more = store.unfinished.len().saturating_sub(SHOWN);
        let tail = if more == 0 { String::new() } else { format!("; and {more} more") };
        lines.push(format!("not finished: {} ({shown}{tail})", count(store.unfinished.len(), "trial")));
    }
    lines.extend(store.bad.iter().map(|file| format!("unreadable: {} ({})", file.path.display(), file.reason)));
    lines
}

/// "400000" as "400,000".
pub fn thousands(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    format!("{}{}", if n < 0 { "-" } else { "" }, groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of a series with so much error.
    fn row_of(series: usize, error: f64) -> Row {
        let error = Spread::of(&[error]);
        Row { distortion: 0, series, trials: vec![series], errors: Vec::new(), error, parameters: None, step_ms: None, ratio: None, published: None }
    }

    #[test]
    fn the_leading_series_are_those_of_the_least_errors_in_their_order() {
        let series = ["a", "b", "c", "d"].map(|name| Series { model: name.into(), variant: String::new(), swept: Vec::new(), label: name.into() });
        let summary = Summary {
            experiment: "e".into(),
            series: series.to_vec(),
            distortions: vec!["R".into()],
            rows: [3.0, f64::NAN, 1.0, 2.0].into_iter().enumerate().map(|(i, error)| row_of(i, error)).collect(),
            baseline: None,
            caption: Vec::new(),
            left_out: Vec::new(),
            synthetic: false,
            width: Width::default(),
            best_of: None,
        };
        let best = summary.leading(2);
        assert_eq!(best.series.iter().map(|s| s.model.as_str()).collect::<Vec<_>>(), ["c", "d"]);
        assert_eq!(best.rows.iter().map(|row| (row.series, row.trials[0])).collect::<Vec<_>>(), [(0, 2), (1, 3)]);
        assert_eq!(best.best_of_words().unwrap(), "the best 2 of 4");
        assert!(summary.leading(4).best_of_words().is_none());
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 1234567, -1000].map(thousands), ["0", "999", "1,000", "1,234,567", "-1,000"]);
    }
}
