//! Runs the trials of an experiment.

pub(crate) mod device;
mod forecast;
mod local;
mod memory;
mod preparation;
pub(crate) mod pruning;
pub(crate) mod slurm;
mod trial;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use stn_core::Registry;

use crate::{Experiment, Observer, Result};

pub use device::DeviceName;
pub(crate) use forecast::forecast;

/// How and where to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The results folder; trials go to `out/trials/ID`.
    pub out: PathBuf,
    /// Threads to compute with, all trials together; 0 for as many as the machine has. Never changes a result.
    pub threads: usize,
    /// Trials to run at once, each with its share of the threads and one of the devices; at least 1.
    pub jobs: usize,
    /// Bytes of memory that the trials may take together; what is free when the run begins unless given.
    pub memory: Option<u64>,
    /// Only the trials with these ids; all unless given.
    pub only: Option<Vec<String>>,
    /// Whether this is one task of many that run the experiment: it leaves the experiment's own files alone, and waits for a holder of its trial that may be dead.
    pub task: bool,
    /// Set it from anywhere to stop the run; it is looked at every step.
    pub cancel: Arc<AtomicBool>,
    /// The devices to compute on: the jobs take them in turn, so that each serves as many jobs as the next, or one more.
    pub devices: Vec<DeviceName>,
}

impl RunOptions {
    /// Into `out`, with `threads` threads (0 for all), on the CPU.
    pub fn new(out: impl Into<PathBuf>, threads: usize) -> Self {
        Self { out: out.into(), threads, jobs: 1, memory: None, only: None, task: false, cancel: Arc::default(), devices: vec![DeviceName::Cpu] }
    }
}

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct RunSummary {
    /// `out/EXPERIMENT`.
    pub dir: PathBuf,
    /// Ids of the trials that were trained now.
    pub trained: Vec<String>,
    /// Ids of the trials that were done before, or meanwhile by somebody else.
    pub already_done: Vec<String>,
    /// The trials that failed, in words, and why.
    pub failed: Vec<(String, String)>,
    /// The trials that were stopped early, as they were worse than others, and why.
    pub pruned: Vec<(String, String)>,
    /// The trials that somebody else works at, in words: of a run that was stopped while it waited for them, or of a task that waits for a limited time.
    pub elsewhere: Vec<String>,
    /// Whether the run was stopped before its end.
    pub cancelled: bool,
}

/// Runs every trial of the experiment that is not done yet, or was done on data that is not the same any more, and stores what it measures. Trials that others work at come last: the
/// run waits until they have ended, or goes on with them where whoever worked at them has stopped or is dead.
///
/// # Errors
///
/// Where the results folder cannot be written, a data set cannot be opened, or a network does not fit its data ([`Error::Misfit`](crate::Error::Misfit)). A trial that fails is in the summary, and the others are run.
pub fn run(experiment: &Experiment, options: &RunOptions, registry: &Registry, observer: &dyn Observer) -> Result<RunSummary> {
    local::run(experiment, options, registry, observer)
}
