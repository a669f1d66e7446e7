//! Queries over the store, drawn as figures and tables.
//!
//! [`write`] reads the Parquet files of one experiment (`OUT/EXPERIMENT/trials/*/`) and writes `OUT/EXPERIMENT/report/`: the table of test errors, the learning
//! curves, the comparison and the montage of warped test images, each figure as SVG and PNG with its data as CSV beside it. Made again from the same trials, every
//! file is the same byte for byte: no clock, no random order, no font of the machine's.

mod error;

pub use error::{BadFile, Error, Result};

use std::path::{Path, PathBuf};

/// How the report is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Columns of the terminal that the table may fill.
    pub columns: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { columns: 100 }
    }
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Report {
    /// The table with its caption and notes, for a terminal.
    pub table: String,
    /// Every file written, in order of their names.
    pub files: Vec<PathBuf>,
}

/// Writes `dir/report/` from the finished trials under `dir` (`OUT/EXPERIMENT`).
///
/// # Errors
///
/// [`Error::NoFolder`] and [`Error::NoTrials`] where nothing has run yet; [`Error::Settings`] for mistakes in the `[report]` table of `experiment.toml`;
/// [`Error::Unreadable`] when files are damaged, after everything that the others allow has been written.
pub fn write(dir: &Path, options: &Options) -> Result<Report> {
    let _ = options;
    Err(Error::NoFolder(dir.into()))
}
