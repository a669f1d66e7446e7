//! What can go wrong while trials run.

use std::path::{Path, PathBuf};

/// The result of every fallible function of this crate that runs or stores trials.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a run: the trial, the data set, or the results folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that cannot be read or written.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    File {
        /// "write", "create the folder" ...
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A loss or theta that is infinite or not a number.
    #[error(
        "{what} is not finite at step {step}: loss {loss}, before that {}; {layer}; {theta}. Try a smaller train.lr, train.clip = 1.0, or a smaller lr_factor for the localisation network",
        last_loss.map_or("none".to_owned(), |loss| format!("{loss:.4}"))
    )]
    NonFinite {
        /// "the loss", "the test loss" or "theta of st1".
        what: String,
        /// The step, counted from 1.
        step: u64,
        /// Its loss.
        loss: f64,
        /// The last loss that was finite.
        last_loss: Option<f64>,
        /// The first layer whose weights are not finite, in words.
        layer: String,
        /// The largest finite |theta| and where it was, in words.
        theta: String,
    },
    /// A data set that cannot be opened or read.
    #[error(transparent)]
    Data(#[from] stn_data::Error),
    /// A network that cannot be built or computed.
    #[error(transparent)]
    Network(#[from] stn_nn::Error),
    /// A tensor operation, for example out of memory.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A table that cannot be put together.
    #[error("a table cannot be put together: {0}")]
    Frame(#[from] polars::error::PolarsError),
    /// A transformation or sampling kernel.
    #[error(transparent)]
    Core(#[from] stn_core::Error),
    /// Networks that do not fit the data that was opened; every mistake, with its line in the experiment file.
    #[error("a network does not fit its data\n{0}")]
    Misfit(crate::Diagnostics),
    /// A table that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Table {
        /// The Parquet file.
        path: PathBuf,
        /// What polars said.
        source: polars::error::PolarsError,
    },
    /// A table that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The Parquet file.
        path: PathBuf,
        /// What polars said.
        source: polars::error::PolarsError,
    },
    /// Threads that cannot be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many.
        threads: usize,
        /// What the thread pool said.
        source: rayon::ThreadPoolBuildError,
    },
    /// A device that is not there.
    #[error("cannot compute on {device}: {reason}")]
    Device {
        /// Which.
        device: crate::DeviceName,
        /// Why not.
        reason: String,
    },
    /// Slurm has taken a job that could not be written down here.
    #[error("Slurm has taken the job {job}, but it could not be written down: {reason}; its tasks run all the same, and `scancel` ends them")]
    Submitted {
        /// Its number, or what sbatch said.
        job: String,
        /// Why not.
        reason: String,
    },
    /// The trial was worse than others.
    #[error("pruned: {0}")]
    Pruned(String),
    /// The run was stopped from outside.
    #[error("stopped")]
    Cancelled,
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// The same, in words of the device's where it was full.
    pub(crate) fn on(self, device: &candle_core::Device) -> Self {
        let (place, cause) = match &self {
            Self::Tensor(cause) | Self::Network(stn_nn::Error::Tensor(cause)) => (String::new(), cause),
            Self::Network(stn_nn::Error::Layer { layer, source }) => (format!("layer `{layer}`: "), source),
            _ => return self,
        };
        match stn_ops::full_card(cause, device) {
            Some(words) => Self::Other(place + &words),
            None => self,
        }
    }

    /// A [`File`](Self::File) error.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

fn advice(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => "; choose a folder that can be written with --out",
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "; free some space or choose another folder with --out, then run the same command again"
        }
        std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
            "; a file stands where the results folder should be: choose another folder with --out"
        }
        _ => "",
    }
}
