//! `report.seeds`, `report.draws`: the report over 10,000 trials with 200 rows of metrics each.

use std::fs::{File, create_dir_all};
use std::path::Path;

use polars::prelude::{Column, DataFrame, NamedFrom, ParquetReader, ParquetWriter, SerReader, Series};
use rand::RngExt;
use stn_core::Registry;
use stn_lab::{Experiment, RunOptions, Silent};
use tempfile::TempDir;

use crate::{Error, Job, Result};

/// The file of the trial whose facts the others have.
const FILE: &str = include_str!("../experiments/small_trials.toml");
/// The name of the experiment that is reported.
const NAME: &str = "large";
const TRIALS: usize = 10_000;
/// Rows of metrics a trial, half of them on the test part.
const ROWS: usize = 200;

/// What tells the trials apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// 100 models with 100 seeds.
    Seeds,
    /// A draw of the learning rate for each.
    Draws,
}

impl Sweep {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seeds => "report.seeds",
            Self::Draws => "report.draws",
        }
    }

    /// Model, seed and swept values of a trial.
    fn trial(self, number: usize) -> (String, i64, String) {
        match self {
            Self::Seeds => (format!("model {:02}", number / 100), (number % 100) as i64, "{}".into()),
            Self::Draws => ("model".into(), 0, format!(r#"{{"train.lr":"{}"}}"#, 1e-4 * (1.0 + number as f64))),
        }
    }
}

/// A folder of made-up results, gone afterwards.
pub(crate) struct Reporting(TempDir);

impl Reporting {
    pub(crate) fn new(sweep: Sweep, registry: &Registry) -> Result<Self> {
        Self::with(sweep, TRIALS, registry)
    }

    fn with(sweep: Sweep, trials: usize, registry: &Registry) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(Error::Folder)?;
        let mut facts = facts(registry)?;
        let mut random = stn_core::stream::stream(0, "errors of a report that is timed", 0);
        let mut plan = Vec::with_capacity(trials);
        for number in 0..trials {
            let (model, seed, differs) = sweep.trial(number);
            let id = format!("{number:016x}");
            let trial = folder.path().join("trials").join(&id);
            let floor = random.random_range(1.0..20.0);
            facts.with_column(Column::new("seed".into(), [seed]))?.with_column(Column::new("test_error".into(), [floor]))?;
            write(&trial.join("facts.parquet"), &mut facts)?;
            write(&trial.join("metrics.parquet"), &mut metrics(floor)?)?;
            plan.push((id, model, seed, differs));
        }
        let texts = |name: &str, of: fn(&(String, String, i64, String)) -> &String| {
            Column::new(name.into(), plan.iter().map(|row| of(row).as_str()).collect::<Vec<_>>())
        };
        let seeds = Column::new("seed".into(), plan.iter().map(|row| row.2).collect::<Vec<_>>());
        let columns = vec![texts("trial", |row| &row.0), texts("model", |row| &row.1), texts("label", |row| &row.1), seeds, texts("differs", |row| &row.3)];
        write(&folder.path().join(NAME).join("plan.parquet"), &mut DataFrame::new_infer_height(columns)?)?;
        Ok(Self(folder))
    }
}

impl Job for Reporting {
    fn run(&mut self) -> Result<()> {
        stn_report::write(&self.0.path().join(NAME), &stn_report::Options::default())?;
        Ok(())
    }
}

/// The facts of a real trial of one step.
fn facts(registry: &Registry) -> Result<DataFrame> {
    let short = ["train.steps=1", "sweep.seeds=1", "sweep.grid.model=[\"fcn\"]", "dataset.train_limit=100", "dataset.test_limit=100"].map(String::from);
    let experiment = Experiment::parse(FILE, "small_trials.toml", "small_trials", &short, registry).map_err(Error::Experiment)?;
    let out = tempfile::tempdir().map_err(Error::Folder)?;
    stn_lab::run(&experiment, &RunOptions::new(out.path(), 1), registry, &Silent)?;
    let path = out.path().join("trials").join(&experiment.trials()[0].id).join("facts.parquet");
    Ok(ParquetReader::new(File::open(path).map_err(Error::Folder)?).finish()?)
}

/// Errors that fall to a floor.
fn metrics(floor: f64) -> Result<DataFrame> {
    let rows = |of: &dyn Fn(usize) -> f64| (0..ROWS).map(|row| of(row / 2)).collect::<Vec<f64>>();
    let steps: Vec<i64> = (0..ROWS).map(|row| 50 * (row as i64 / 2 + 1)).collect();
    let splits: Vec<&str> = (0..ROWS).map(|row| ["train", "test"][row % 2]).collect();
    let columns = vec![
        Series::new("step".into(), steps).into(),
        Series::new("split".into(), splits).into(),
        Series::new("loss".into(), rows(&|i| 0.97f64.powi(i as i32))).into(),
        Series::new("error".into(), rows(&|i| floor + 80.0 * 0.95f64.powi(i as i32))).into(),
        Series::new("lr".into(), rows(&|_| 0.01)).into(),
    ];
    Ok(DataFrame::new_infer_height(columns)?)
}

fn write(path: &Path, frame: &mut DataFrame) -> Result<()> {
    create_dir_all(path.parent().unwrap_or(path)).map_err(Error::Folder)?;
    ParquetWriter::new(File::create(path).map_err(Error::Folder)?).finish(frame)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_can_be_reported() {
        let registry = stn_plugins::standard().unwrap();
        for sweep in [Sweep::Seeds, Sweep::Draws] {
            let mut job = Reporting::with(sweep, 101, &registry).unwrap();
            job.run().unwrap();
            let table = std::fs::read_to_string(job.0.path().join(NAME).join("report/table.csv")).unwrap();
            assert_eq!(table.lines().count(), 1 + if sweep == Sweep::Seeds { 2 } else { 101 });
        }
    }
}
