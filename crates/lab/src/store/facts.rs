//! `facts.parquet`: one row about a trial.

use std::fs::File;
use std::path::Path;

use polars::prelude::{Column, NamedFrom, ParquetReader, SerReader, Series};
use stn_data::Provenance;

use super::frame;
use crate::machine::{CANDLE_VERSION, REVISION, STN_VERSION, cpu_features};
use crate::{Result, Trial};

/// The status of a trial that ended well.
pub(crate) const DONE: &str = "done";

/// What stands before the reason in the status of a trial that failed.
pub(crate) const FAILED: &str = "failed: ";

/// What stands there where its numbers left the finite ones.
pub(crate) const DIVERGED: &str = "diverged: ";

/// What stands there where it was stopped early, as it was worse than others.
pub(crate) const PRUNED: &str = "pruned: ";

/// What is known of a trial when it ends, beside the trial itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub labels: Option<i64>,
    pub parameters: Option<i64>,
    pub width: Option<i64>,
    pub steps: i64,
    pub test_error: Option<f64>,
    pub test_loss: Option<f64>,
    pub step_ms: Option<f64>,
    pub data_wait_ms: Option<f64>,
    pub train_seconds: f64,
    pub wall_seconds: f64,
    pub peak_memory_bytes: Option<i64>,
    pub threads: i64,
    pub device: String,
    pub started: String,
    pub status: String,
}

/// Writes the row.
pub(crate) fn write(path: &Path, trial: &Trial, provenance: &Provenance, facts: &Facts) -> Result<()> {
    frame::write(path, columns(trial, provenance, facts))
}

fn columns(trial: &Trial, provenance: &Provenance, facts: &Facts) -> Vec<Column> {
    let dataset = serde_json::to_value(&trial.config.dataset).unwrap_or_default();
    let distortion = dataset.get("distortion").map(kind).unwrap_or_default();
    vec![
        text("trial", &trial.id),
        integer("seed", Some(trial.seed as i64)),
        text("dataset", &kind(&dataset)),
        text("distortion", &distortion),
        text("config", &trial.config.canonical()),
        integer("labels", facts.labels),
        integer("parameters", facts.parameters),
        integer("width", facts.width),
        integer("steps", Some(facts.steps)),
        number("test_error", facts.test_error),
        number("test_loss", facts.test_loss),
        number("step_ms", facts.step_ms),
        number("data_wait_ms", facts.data_wait_ms),
        number("train_seconds", Some(facts.train_seconds)),
        number("wall_seconds", Some(facts.wall_seconds)),
        integer("peak_memory_bytes", facts.peak_memory_bytes),
        integer("threads", Some(facts.threads)),
        text("device", &facts.device),
        text("cpu_features", &cpu_features()),
        text("data_source", &provenance.source),
        text("data_sha256", &provenance.sha256),
        text("data_licence", &provenance.licence),
        Column::new("synthetic".into(), [provenance.synthetic]),
        text("stn_version", STN_VERSION),
        text("revision", REVISION),
        text("candle_version", CANDLE_VERSION),
        text("started", &facts.started),
        text("status", &facts.status),
    ]
}

fn text(name: &str, value: &str) -> Column {
    Series::new(name.into(), [value]).into()
}

fn integer(name: &str, value: Option<i64>) -> Column {
    Series::new(name.into(), [value]).into()
}

fn number(name: &str, value: Option<f64>) -> Column {
    Series::new(name.into(), [value]).into()
}

/// The name of a choice: itself, or its table's `kind`.
fn kind(value: &serde_json::Value) -> String {
    value.as_str().or_else(|| value.get("kind").and_then(|kind| kind.as_str())).unwrap_or_default().to_owned()
}

/// How a trial ended, from a file of facts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    pub status: String,
    pub data_sha256: String,
    pub revision: String,
    pub steps: u64,
    pub wall_seconds: f64,
    pub config: String,
}

/// How a trial ended; `None` where the file is not there or cannot be read.
pub(crate) fn status(path: &Path) -> Option<Ended> {
    let columns = ["config", "steps", "wall_seconds", "data_sha256", "revision", "status"].map(String::from).to_vec();
    let frame = ParquetReader::new(File::open(path).ok()?).with_columns(Some(columns)).finish().ok()?;
    let text = |name: &str| frame.column(name).ok()?.str().ok()?.get(0).map(str::to_owned);
    let (steps, wall_seconds) = (frame.column("steps").ok()?.i64().ok()?.get(0)?, frame.column("wall_seconds").ok()?.f64().ok()?.get(0)?);
    Some(Ended {
        status: text("status")?,
        data_sha256: text("data_sha256")?,
        revision: text("revision")?,
        steps: steps.unsigned_abs(),
        wall_seconds,
        config: text("config")?,
    })
}
