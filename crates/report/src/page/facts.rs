//! What the trials' facts say of configuration, environment and data: every column as text.

use crate::error::Result;
use crate::query::{PATH, Store, Trial, scan};
use polars::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

/// Reads the facts; of files that cannot be read, nothing more than the store knows.
pub fn read(store: &Store) -> Result<Facts> {
    let Some(first) = store.trials.first() else { return Ok(Facts::default()) };
    let paths: Vec<PathBuf> = store.trials.iter().map(|trial| trial.folder.join("facts.parquet")).collect();
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).filter(|name| known(first, name).is_none()).chain([CONFIG]).collect();
    let texts = |names: &[&str]| names.iter().map(|name| col(*name).cast(DataType::String)).collect::<Vec<_>>();
    let mut found = BTreeMap::new();
    match scan(&paths, texts(&names).into_iter()) {
        Ok(frame) => take(&frame, &names, &mut found)?,
        // Some lack a column, or cannot be read: one by one, each with what it has.
        Err(_) => {
            for path in &paths {
                let schema = PlRefPath::try_from_path(path).and_then(|path| LazyFrame::scan_parquet(path, ScanArgsParquet::default())?.collect_schema());
                let has = |schema: SchemaRef| names.iter().copied().filter(|name| schema.contains(name)).collect::<Vec<_>>();
                if let Ok(frame) = schema.and_then(|schema| scan(std::slice::from_ref(path), texts(&has(schema)).into_iter())) {
                    take(&frame, &names, &mut found)?;
                }
            }
        }
    }
    let mut facts = Facts::default();
    for (trial, path) in store.trials.iter().zip(&paths) {
        let mut read = found.remove(path).unwrap_or_default();
        let text = |(name, _): &(&'static str, &str)| known(trial, name).or_else(|| read.remove(name));
        facts.texts.push(COLUMNS.iter().map(text).collect());
        facts.configs.push(read.remove(CONFIG));
    }
    Ok(facts)
}

/// Takes the texts of a frame, file by file.
fn take(frame: &DataFrame, names: &[&'static str], found: &mut BTreeMap<PathBuf, BTreeMap<&'static str, String>>) -> PolarsResult<()> {
    let there = names.iter().filter_map(|name| Some((*name, frame.column(name).ok()?)));
    let columns = there.map(|(name, column)| Ok((name, column.str()?))).collect::<PolarsResult<Vec<_>>>()?;
    let paths = frame.column(PATH)?.str()?;
    for row in 0..frame.height() {
        let texts = columns.iter().filter_map(|(name, column)| Some((*name, column.get(row)?.to_string()))).collect();
        found.insert(Path::new(paths.get(row).unwrap_or_default()).to_path_buf(), texts);
    }
    Ok(())
}
