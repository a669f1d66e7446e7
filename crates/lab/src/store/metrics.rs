//! `metrics.parquet`: loss and error over the steps.

use std::fs::File;
use std::path::Path;

use polars::prelude::{Column, ParquetReader, PolarsResult, SerReader};

use super::frame;
use crate::{Error, Result};

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

/// Reads the rows.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    rows(file).map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}

fn rows(file: File) -> PolarsResult<Vec<Row>> {
    let frame = ParquetReader::new(file).finish()?;
    let (steps, splits) = (frame.column("step")?.i64()?, frame.column("split")?.str()?);
    let (loss, error, lr) = (frame.column("loss")?.f64()?, frame.column("error")?.f64()?, frame.column("lr")?.f64()?);
    let row = |i: usize| {
        let split = if splits.get(i)? == TEST { TEST } else { TRAIN };
        Some(Row { step: steps.get(i)?.unsigned_abs(), split, loss: loss.get(i)?, error: error.get(i)?, lr: lr.get(i)? })
    };
    Ok((0..frame.height()).filter_map(row).collect())
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
