//! What can go wrong when results are read and drawn, as values that say what to do.

use crate::Report;
use std::fmt::Write as _;
use std::path::PathBuf;

use stn_core::Fault;

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A file of the store that could not be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// What the reader said of it, on one line.
    pub reason: String,
}

/// An error of the report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder of the experiment is not there.
    #[error("no results at {}: there is no such folder. Results appear there once the experiment has run: `stn run EXPERIMENT.toml`", .0.display())]
    NoFolder(PathBuf),
    /// The folder is there, but no trial in it is finished.
    #[error(
        "no finished trial under {}{}. Run the experiment first: `stn run EXPERIMENT.toml`",
        folder.display(),
        if *started == 0 { String::new() } else { format!(" ({started} started, none finished)") }
    )]
    NoTrials {
        /// `OUT/trials`.
        folder: PathBuf,
        /// How many trials have a folder, but no facts.
        started: usize,
    },
    /// Some files could not be read. Everything that could be made from the others was made, and is here.
    #[error("{}", unreadable(files, report))]
    Unreadable {
        /// The files, in order of their names.
        files: Vec<BadFile>,
        /// What was written from the rest; `None` when no facts could be read at all.
        report: Option<Box<Report>>,
    },
    /// A mistake in the `[report]` table of `experiment.toml`; every mistake found, one a line.
    #[error("{}:\n{}", path.display(), faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Settings {
        /// The file.
        path: PathBuf,
        /// The mistakes, at their paths in the file.
        faults: Vec<Fault>,
    },
    /// A file could not be written or read.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// "read", "write", "list", "remove", "make the folder".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The drawing library refused.
    #[error("cannot draw {figure}: {reason}")]
    Drawing {
        /// The figure's file name without its ending.
        figure: String,
        /// What the library said.
        reason: String,
    },
}

fn unreadable(files: &[BadFile], report: &Option<Box<Report>>) -> String {
    let mut text = format!("{} could not be read; delete the folder of its trial and run the experiment again to make it anew:", count(files.len(), "file"));
    for file in files {
        let _ = write!(text, "\n  {}: {}", file.path.display(), file.reason);
    }
    match report {
        Some(_) => text.push_str("\nThe report was made from the other trials."),
        None => text.push_str("\nNo trial is left to report."),
    }
    text
}

/// "1 file", "2 files".
pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
