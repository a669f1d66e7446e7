//! What the trials' facts say of configuration, environment and data: every column as text.

use crate::query::{Store, Trial};
use polars::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;

/// The columns of the environment and the data, in the order of the page, and what they are.
pub const COLUMNS: [(&str, &str); 15] = [
    ("dataset", "data set"),
    ("data_source", "source of the data"),
    ("data_sha256", "SHA-256 of the data"),
    ("data_licence", "licence of the data"),
    ("synthetic", "synthetic data"),
    ("stn_version", "version"),
    ("revision", "revision"),
    ("candle_version", "version of candle"),
    ("device", "device"),
    ("cpu_features", "features of the processor"),
    ("threads", "threads"),
    ("started", "started"),
    ("wall_seconds", "time of a trial (s)"),
    ("data_wait_ms", "wait for data, a step (ms)"),
    ("peak_memory_bytes", "most memory (bytes)"),
];
/// The column of the configuration.
const CONFIG: &str = "config";

/// The facts of every trial of a store, in its order.
#[derive(Debug, Default)]
pub struct Facts {
    /// Of each trial the texts of [`COLUMNS`]; `None` for what is null, or lacks in a file from before.
    pub texts: Vec<Vec<Option<String>>>,
    /// Of each trial its configuration as JSON.
    pub configs: Vec<Option<String>>,
}

/// What the store knows of a trial already; of other columns nothing.
fn known(trial: &Trial, column: &str) -> Option<String> {
    match column {
        "dataset" => Some(trial.dataset.clone()),
        "data_source" => Some(trial.data_source.clone()),
        "device" => Some(trial.device.clone()),
        "threads" => Some(trial.threads.to_string()),
        "synthetic" => Some(trial.synthetic.to_string()),
        _ => None,
    }
}

/// Reads the facts, file by file: each with the columns that it has. Of one that cannot be read there is nothing more than the store knows.
pub fn read(store: &Store) -> Facts {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let parts = store.trials.chunks(store.trials.len().div_ceil(threads).max(1));
    let texts = |trials: &[Trial]| trials.iter().map(|trial| texts(trial).unwrap_or_default()).collect::<Vec<_>>();
    let read: Vec<BTreeMap<String, String>> = std::thread::scope(|scope| {
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || texts(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut facts = Facts::default();
    for (trial, mut read) in store.trials.iter().zip(read) {
        facts.texts.push(COLUMNS.iter().map(|(name, _)| known(trial, name).or_else(|| read.remove(*name))).collect());
        facts.configs.push(read.remove(CONFIG));
    }
    facts
}

/// The texts of a trial that the store does not know, by their columns.
fn texts(trial: &Trial) -> PolarsResult<BTreeMap<String, String>> {
    let mut reader = ParquetReader::new(File::open(trial.folder.join("facts.parquet"))?);
    let schema = reader.schema()?;
    let wanted = COLUMNS.iter().map(|(name, _)| *name).filter(|name| known(trial, name).is_none()).chain([CONFIG]);
    let names: Vec<String> = wanted.filter(|name| schema.contains(name)).map(str::to_string).collect();
    let frame = reader.with_columns(Some(names)).read_parallel(ParallelStrategy::None).finish()?;
    let text = |column: &Column| Ok(column.cast(&DataType::String)?.str()?.get(0).map(|text| (column.name().to_string(), text.to_string())));
    frame.columns().iter().filter_map(|column| text(column).transpose()).collect()
}
