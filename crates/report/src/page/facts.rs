//! What the trials' facts say of configuration, environment and data: every column as text.

use crate::error::Result;
use crate::query::Store;
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

/// Reads the facts; of files that cannot be read, nothing.
pub fn read(store: &Store) -> Result<Facts> {
    let paths: Vec<PathBuf> = store.trials.iter().map(|trial| trial.folder.join("facts.parquet")).collect();
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).chain([CONFIG]).collect();
    let mut found: BTreeMap<PathBuf, Vec<Option<String>>> = BTreeMap::new();
    match scan(&paths, &names) {
        Ok(frame) => take(&frame, &names, &mut found)?,
        // Some lack a column, or cannot be read: one by one, each with what it has.
        Err(_) => {
            for path in &paths {
                let has = |schema: &Schema| names.iter().copied().filter(|name| schema.contains(name)).collect::<Vec<_>>();
                let schema = PlRefPath::try_from_path(path).and_then(|path| LazyFrame::scan_parquet(path, ScanArgsParquet::default())?.collect_schema());
                if let Ok(frame) = schema.and_then(|schema| scan(std::slice::from_ref(path), &has(&schema))) {
                    take(&frame, &names, &mut found)?;
                }
            }
        }
    }
    let mut facts = Facts::default();
    for path in &paths {
        let mut texts = found.remove(path).unwrap_or_else(|| vec![None; names.len()]);
        facts.configs.push(texts.pop().flatten());
        facts.texts.push(texts);
    }
    Ok(facts)
}

const PATH: &str = "path";

fn scan(paths: &[PathBuf], names: &[&str]) -> PolarsResult<DataFrame> {
    let sources = paths.iter().map(|path| PlRefPath::try_from_path(path)).collect::<PolarsResult<Vec<_>>>()?;
    let arguments = ScanArgsParquet { include_file_paths: Some(PATH.into()), glob: false, cache: false, ..Default::default() };
    let columns: Vec<Expr> = names.iter().map(|name| col(*name).cast(DataType::String)).chain([col(PATH)]).collect();
    LazyFrame::scan_parquet_files(sources.into(), arguments)?.select(columns).collect()
}

fn take(frame: &DataFrame, names: &[&str], found: &mut BTreeMap<PathBuf, Vec<Option<String>>>) -> PolarsResult<()> {
    let columns = names.iter().map(|name| frame.column(name).ok().map(Column::str).transpose()).collect::<PolarsResult<Vec<_>>>()?;
    let paths = frame.column(PATH)?.str()?;
    for row in 0..frame.height() {
        let texts = columns.iter().map(|column| column.and_then(|column| column.get(row)).map(str::to_string)).collect();
        found.insert(Path::new(paths.get(row).unwrap_or_default()).to_path_buf(), texts);
    }
    Ok(())
}
