//! Data frames as Parquet files.

use std::io::Cursor;
use std::path::Path;

use polars::prelude::{Column, DataFrame, ParquetCompression, ParquetReader, ParquetWriter, PolarsResult, SerReader};

use super::files;
use crate::{Error, Result};

/// Writes a frame of these columns.
pub(crate) fn write(path: &Path, columns: Vec<Column>) -> Result<()> {
    let frame = DataFrame::new_infer_height(columns).map_err(|source| Error::Table { path: path.to_owned(), source })?;
    write_frame(path, frame, ParquetCompression::Snappy)
}

/// Writes a frame. [`ARRAYS`] is for long lists of numbers.
pub(crate) fn write_frame(path: &Path, frame: DataFrame, compression: ParquetCompression) -> Result<()> {
    // In memory first, so that an error of the disk is told as one.
    let bytes = to_bytes(frame, compression).map_err(|source| Error::Table { path: path.to_owned(), source })?;
    files::write_bytes(path, &bytes)
}

/// How long lists of numbers are compressed: images that come again and again, such as the input of a transformer at several moments, are found again.
pub(crate) const ARRAYS: ParquetCompression = ParquetCompression::Zstd(None);

/// A frame as the bytes of a Parquet file. One row group, written by one thread: the same frame gives the same bytes.
pub(crate) fn to_bytes(mut frame: DataFrame, compression: ParquetCompression) -> PolarsResult<Vec<u8>> {
    // However the frame was put together.
    frame.rechunk_mut();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).with_compression(compression).with_row_group_size(Some(frame.height().max(1))).set_parallel(false).finish(&mut frame)?;
    Ok(bytes)
}

/// The frame that [`to_bytes`] was given.
pub(crate) fn from_bytes(bytes: &[u8]) -> PolarsResult<DataFrame> {
    ParquetReader::new(Cursor::new(bytes)).set_rechunk(true).finish()
}
