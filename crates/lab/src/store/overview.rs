//! How far an experiment is, from its folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use polars::prelude::{ParquetReader, SerReader};

use super::{Store, TrialState};
use crate::executor::slurm::{QueuedTask, submission};
use crate::{Error, Result};

/// A trial of the latest run, and how far it is.
#[derive(Debug, Clone)]
pub struct TrialStatus {
    /// Which configuration it is.
    pub id: String,
    /// The model's name as tables show it.
    pub label: String,
    /// The seed.
    pub seed: i64,
    /// The swept keys and this trial's values for them.
    pub differs: BTreeMap<String, String>,
    /// How far it is.
    pub state: TrialState,
    /// Its task in Slurm's queue, where there is one.
    pub task: Option<QueuedTask>,
}

/// How far an experiment is.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Its trials, in order.
    pub trials: Vec<TrialStatus>,
    /// Why Slurm's queue could not be asked, where something was submitted.
    pub queue_silent: Option<String>,
}

/// How far every trial of an experiment is, from `OUT/EXPERIMENT` alone: neither the file nor the program that ran it is needed, and Slurm only for what its queue says.
///
/// # Errors
///
/// Where the folder is none of an experiment that was run.
pub fn overview(dir: &Path) -> Result<Overview> {
    let full = dir.canonicalize().map_err(Error::file("find", dir))?;
    let mut trials = plan(&dir.join("plan.parquet"))?;
    let store = Store::at(&full);
    let ids: Vec<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let states = store.states_of(&ids)?;
    trials.iter_mut().zip(states).for_each(|(trial, state)| trial.state = state);
    let unfinished = trials.iter().filter(|trial| !matches!(trial.state, TrialState::Done { .. })).map(|trial| trial.id.as_str());
    let name = full.file_name().unwrap_or_default().to_string_lossy();
    let (mut queued, queue_silent) = submission::queued(&store, &name, unfinished)?;
    trials.iter_mut().for_each(|trial| trial.task = queued.remove(&trial.id));
    Ok(Overview { trials, queue_silent })
}

fn plan(path: &Path) -> Result<Vec<TrialStatus>> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    let failed = |source| Error::Unreadable { path: path.to_owned(), source };
    let frame = ParquetReader::new(file).finish().map_err(failed)?;
    let text = |name: &str| frame.column(name).and_then(|column| column.str()).map_err(failed);
    let (ids, labels, differs) = (text("trial")?, text("label")?, text("differs")?);
    let seeds = frame.column("seed").and_then(|column| column.i64()).map_err(failed)?;
    let trial = |row: usize| TrialStatus {
        id: ids.get(row).unwrap_or_default().to_owned(),
        label: labels.get(row).unwrap_or_default().to_owned(),
        seed: seeds.get(row).unwrap_or_default(),
        differs: differs.get(row).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        state: TrialState::ToDo,
        task: None,
    };
    Ok((0..frame.height()).map(trial).collect())
}
