//! Data frames as Parquet files.

use std::path::Path;

use polars::prelude::{Column, DataFrame, ParquetCompression, ParquetWriter, PolarsResult};

use super::files;
use crate::{Error, Result};

/// Writes a frame of these columns.
pub(crate) fn write(path: &Path, columns: PolarsResult<Vec<Column>>) -> Result<()> {
    let mut file = files::begin(path)?;
    let failed = |source| match source {
        polars::error::PolarsError::IO { error, .. } => Error::file("write", path)(std::io::Error::new(error.kind(), error.to_string())),
        source => Error::Table { path: path.to_owned(), source },
    };
    let mut frame = columns.and_then(DataFrame::new_infer_height).map_err(failed)?;
    // One row group, written by one thread: the same frame gives the same bytes.
    ParquetWriter::new(file.as_file_mut())
        .with_compression(ParquetCompression::Snappy)
        .with_row_group_size(Some(frame.height().max(1)))
        .set_parallel(false)
        .finish(&mut frame)
        .map_err(failed)?;
    files::finish(file, path)
}
