//! What can go wrong.

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the benchmark.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No work has this name or begins with it.
    #[error("no work is named `{name}` or begins so{}; `stn bench --list` lists them all", nearest.as_ref().map(|n| format!(". Did you mean `{n}`?")).unwrap_or_default())]
    UnknownWork {
        /// The name asked for.
        name: String,
        /// The nearest there is, where one is near.
        nearest: Option<String>,
    },
    /// A network that does not stand with the plugins at hand; every mistake.
    #[error("{work}: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Network {
        /// The work.
        work: String,
        /// What is wrong.
        faults: Vec<stn_core::Fault>,
    },
    /// A work whose numbers ran away: its time says nothing.
    #[error("{0}: the result is not a finite number, so the time it took says nothing")]
    NotFinite(String),
    /// A work of the processor's on another device.
    #[error("{0} is a work of the processor; time it with --device cpu. On a card, `step` and `sample` are timed")]
    ProcessorOnly(String),
    /// Trials that cannot be planned; a mistake in the file that comes with this crate, or a registry without its plugins.
    #[error("the trials that are timed: {0}")]
    Experiment(stn_lab::Diagnostics),
    /// A trial that failed: its time says nothing.
    #[error("the trial {trial} failed: {reason}")]
    Trial {
        /// Which.
        trial: String,
        /// Why.
        reason: String,
    },
    /// A folder for results that cannot be made.
    #[error("cannot make a folder for the results of the trials: {0}")]
    Folder(std::io::Error),
    /// An error of the trials' run.
    #[error(transparent)]
    Lab(#[from] stn_lab::Error),
    /// Results that cannot be made up.
    #[error("cannot make up results: {0}")]
    Frame(#[from] polars::error::PolarsError),
    /// A report that failed.
    #[error(transparent)]
    Report(#[from] stn_report::Error),
    /// Threads that could not be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
    /// An error of a plugin.
    #[error(transparent)]
    Core(#[from] stn_core::Error),
    /// An error of a network.
    #[error(transparent)]
    Nn(#[from] stn_nn::Error),
    /// An error of the tensor library.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
