//! What `facts.parquet` says of a finished trial: the one row of it.

use super::Trial;
use super::columns::{Wanted, each, wanted};
use crate::error::BadFile;
use polars::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The configuration as JSON.
pub const CONFIG: &str = "config";
/// Columns that are shown as they are, and needed by nothing. Files from before one of them came are sound.
const SHOWN: [&str; 11] = [
    CONFIG,
    "data_sha256",
    "data_licence",
    "stn_version",
    "revision",
    "candle_version",
    "cpu_features",
    "started",
    "wall_seconds",
    "data_wait_ms",
    "peak_memory_bytes",
];

/// What the facts say beside what a [`Trial`] names, as text.
#[derive(Debug, Clone, Default)]
pub struct Facts(BTreeMap<&'static str, String>);

impl Facts {
    /// What a column says; `None` where it is null, or not in the file.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(String::as_str)
    }

    /// The configuration as JSON; empty where there is none.
    pub fn config(&self) -> &str {
        self.text(CONFIG).unwrap_or_default()
    }
}

/// Reads files of facts: what they know of their trials. What is null for a failed trial is NaN or 0. Of a file that cannot be read, or has no row, `None`.
pub fn read(paths: &[PathBuf], bad: &mut Vec<BadFile>) -> Vec<Option<Trial>> {
    let texts = wanted(["distortion", "dataset", "device", "data_source", "status"], &DataType::String);
    let whole = wanted(["seed", "parameters", "steps", "threads"], &DataType::Int64);
    let real = wanted(["test_error", "step_ms"], &DataType::Float64);
    let labels = wanted(["labels"], &DataType::Int64).map(|column| column.before(AnyValue::Int64(1)));
    let shown = wanted(SHOWN, &DataType::String).map(|column| column.before(AnyValue::Null));
    let columns: Vec<Wanted> = texts.into_iter().chain(whole).chain(real).chain(labels).chain(wanted(["synthetic"], &DataType::Boolean)).chain(shown).collect();
    each(paths, &columns, bad, row)
}

fn row(frame: &DataFrame) -> PolarsResult<Trial> {
    if frame.height() == 0 {
        polars_bail!(NoData: "the file has no row");
    }
    let text = |name: &str| -> PolarsResult<Option<String>> { Ok(frame.column(name)?.str()?.get(0).map(str::to_string)) };
    let known = |name: &str| -> PolarsResult<String> { Ok(text(name)?.unwrap_or_default()) };
    let whole = |name: &str| -> PolarsResult<i64> { Ok(frame.column(name)?.i64()?.get(0).unwrap_or_default()) };
    let real = |name: &str| -> PolarsResult<f64> { Ok(frame.column(name)?.f64()?.get(0).unwrap_or(f64::NAN)) };
    let shown = |name: &'static str| text(name).map(|text| text.map(|text| (name, text))).transpose();
    Ok(Trial {
        dataset: known("dataset")?,
        distortion: known("distortion")?,
        seed: whole("seed")?,
        labels: whole("labels")?,
        parameters: whole("parameters")?,
        steps: whole("steps")?,
        test_error: real("test_error")?,
        step_ms: real("step_ms")?,
        device: known("device")?,
        threads: whole("threads")?,
        data_source: known("data_source")?,
        synthetic: frame.column("synthetic")?.bool()?.get(0).unwrap_or_default(),
        status: known("status")?,
        facts: Facts(SHOWN.into_iter().filter_map(shown).collect::<PolarsResult<_>>()?),
        ..Trial::default()
    })
}
