//! Data frames as Parquet files.

use std::path::Path;

use polars::prelude::{Column, DataFrame, ParquetCompression, ParquetWriter};

use super::files;
use crate::{Error, Result};

/// Writes a frame of these columns.
pub(crate) fn write(path: &Path, columns: Vec<Column>) -> Result<()> {
    let failed = |source| Error::Table { path: path.to_owned(), source };
    let mut frame = DataFrame::new_infer_height(columns).map_err(failed)?;
    // In memory first, so that an error of the disk is told as one. One row group, written by one thread: the same frame gives the same bytes.
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Snappy)
        .with_row_group_size(Some(frame.height().max(1)))
        .set_parallel(false)
        .finish(&mut frame)
        .map_err(failed)?;
    files::write_bytes(path, &bytes)
}
