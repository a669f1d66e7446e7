//! What the trials' facts say of configuration, environment and data: every column as text.

use crate::query::facts::CONFIG;
use crate::query::{Store, Trial};

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
/// The facts of every trial of a store, in its order.
#[derive(Debug, Default)]
pub struct Facts {
    /// Of each trial the texts of [`COLUMNS`]; `None` for what is null, or lacks in a file from before.
    pub texts: Vec<Vec<Option<String>>>,
    /// Of each trial its configuration as JSON.
    pub configs: Vec<Option<String>>,
}

/// What a column of the facts says of a trial.
fn text(trial: &Trial, column: &str) -> Option<String> {
    match column {
        "dataset" => Some(trial.dataset.clone()),
        "data_source" => Some(trial.data_source.clone()),
        "device" => Some(trial.device.clone()),
        "threads" => Some(trial.threads.to_string()),
        "synthetic" => Some(trial.synthetic.to_string()),
        column => trial.facts.text(column).map(str::to_string),
    }
}

/// Gathers the facts of a store.
pub fn gather(store: &Store) -> Facts {
    let texts = |trial: &Trial| COLUMNS.iter().map(|(name, _)| text(trial, name)).collect();
    Facts { texts: store.trials.iter().map(texts).collect(), configs: store.trials.iter().map(|trial| text(trial, CONFIG)).collect() }
}
