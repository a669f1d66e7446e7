//! The results folder.
//!
//! ```text
//! OUT/EXPERIMENT/experiment.toml           the file as it was run
//! OUT/EXPERIMENT/plan.parquet              the trials of the latest run, in order
//! OUT/EXPERIMENT/trials/ID/trial.log       what happened, with times
//! OUT/EXPERIMENT/trials/ID/metrics.parquet loss and error over the steps
//! OUT/EXPERIMENT/trials/ID/warps.parquet   some test images before and after each transformer
//! OUT/EXPERIMENT/trials/ID/weights.safetensors
//! OUT/EXPERIMENT/trials/ID/facts.parquet   one row; written last: it marks the trial as ended
//! ```
//!
//! Every file appears whole under its name or not at all.

pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod frame;
pub(crate) mod metrics;
pub(crate) mod plan;
pub(crate) mod schema;
pub(crate) mod warps;
pub(crate) mod weights;

use std::path::{Path, PathBuf};

use crate::{Experiment, Result, Trial};

/// The folder of one experiment's results.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Makes the folder, and writes the experiment's file and plan into it.
    pub fn create(out: &Path, experiment: &Experiment) -> Result<Self> {
        let store = Self { dir: out.join(experiment.name()) };
        files::create_folder(&store.dir.join("trials"))?;
        files::write_bytes(&store.dir.join("experiment.toml"), experiment.as_run().as_bytes())?;
        plan::write(&store.dir.join("plan.parquet"), experiment)?;
        Ok(store)
    }

    /// `OUT/EXPERIMENT`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `OUT/EXPERIMENT/trials/ID`.
    pub fn trial(&self, trial: &Trial) -> PathBuf {
        self.dir.join("trials").join(&trial.id)
    }

    /// The SHA-256 of the data that the trial ran on, where it has ended well.
    pub fn done_on(&self, trial: &Trial) -> Option<String> {
        let (status, sha256) = facts::status(&self.trial(trial).join(FACTS))?;
        (status == facts::DONE).then_some(sha256)
    }

    /// Makes the trial's folder, or empties it of what an earlier attempt left: the facts first, so that they never stand beside files that are gone.
    pub fn prepare(&self, trial: &Trial) -> Result<PathBuf> {
        let folder = self.trial(trial);
        files::create_folder(&folder)?;
        for name in [FACTS, METRICS, WARPS, WEIGHTS, LOG] {
            files::remove(&folder.join(name))?;
        }
        files::sweep_out(&folder)?;
        Ok(folder)
    }
}

/// The file of a trial's facts.
pub(crate) const FACTS: &str = "facts.parquet";
/// The file of a trial's metrics.
pub(crate) const METRICS: &str = "metrics.parquet";
/// The file of a trial's warps.
pub(crate) const WARPS: &str = "warps.parquet";
/// The file of a trial's weights.
pub(crate) const WEIGHTS: &str = "weights.safetensors";
/// The file of a trial's log.
pub(crate) const LOG: &str = "trial.log";
