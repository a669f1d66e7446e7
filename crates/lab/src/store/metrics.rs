//! `metrics.parquet`: loss and error over the steps.

use std::path::Path;

use polars::prelude::Column;

use super::frame;
use crate::Result;

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// Training steps done.
    pub step: u64,
    /// [`TRAIN`] or [`TEST`].
    pub split: &'static str,
    /// Mean loss.
    pub loss: f64,
    /// Error in percent.
    pub error: f64,
    /// The learning rate of the latest step.
    pub lr: f64,
}

/// The split of rows on training batches.
pub(crate) const TRAIN: &str = "train";
/// The split of rows on the test part.
pub(crate) const TEST: &str = "test";

/// Writes the rows.
pub(crate) fn write(path: &Path, rows: &[Row]) -> Result<()> {
    frame::write(path, columns(rows))
}

fn columns(rows: &[Row]) -> Vec<Column> {
    let numbers = |name: &str, of: &dyn Fn(&Row) -> f64| Column::new(name.into(), rows.iter().map(of).collect::<Vec<_>>());
    vec![
        Column::new("step".into(), rows.iter().map(|row| row.step as i64).collect::<Vec<_>>()),
        Column::new("split".into(), rows.iter().map(|row| row.split).collect::<Vec<_>>()),
        numbers("loss", &|row| row.loss),
        numbers("error", &|row| row.error),
        numbers("lr", &|row| row.lr),
    ]
}
