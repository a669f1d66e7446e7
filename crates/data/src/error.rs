//! What can go wrong with data, as values that say where and what to do.

use std::path::{Path, PathBuf};

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a data set: a file that is missing, cut off or wrong, or data that does not fit what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "read", "write", "list".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file whose content is not what it should be.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// A file whose bytes are not the published ones.
    #[error("{}: SHA-256 is {found}, the published file has {expected}; the file is damaged or another one: delete it and fetch it again", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The published SHA-256.
        expected: String,
        /// The file's own.
        found: String,
    },
    /// No source of a data set could serve it.
    #[error("{name} could not be found. Tried:\n{}\n{advice}", tried.iter().map(|t| format!("  - {t}")).collect::<Vec<_>>().join("\n"))]
    NotFound {
        /// The data set.
        name: String,
        /// Each source and why it did not serve.
        tried: Vec<String>,
        /// What to type.
        advice: String,
    },
    /// A request that this data set cannot serve.
    #[error("{0}")]
    Unsupported(String),
    /// The making of a batch came to a stop: a mistake of the program.
    #[error("the batch of step {step} could not be made: {message}. This is a mistake in the program; please report it")]
    Panicked {
        /// The step.
        step: u64,
        /// What the panic said.
        message: String,
    },
    /// An error of the core: a plugin that is not registered, a parameter out of range.
    #[error(transparent)]
    Core(#[from] stn_core::Error),
    /// An error of the tensor library.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// A file whose content is not what it should be.
    pub(crate) fn file(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::File { path: path.into(), message: message.into() }
    }

    /// Adds what was tried and where to an error of the operating system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// An error with everything that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Many errors quote their cause themselves.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}
