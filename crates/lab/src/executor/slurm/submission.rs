//! `OUT/EXPERIMENT/slurm/N`: an array that was submitted, as its tasks and those who ask for it later find it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::queue::{self, QueuedTask};
use super::script::TRIALS;
use crate::store::{Store, files};
use crate::{Error, Result};

/// The folder of the submissions.
const FOLDER: &str = "slurm";
/// The record in a submission's folder; without it nothing was submitted.
const RECORD: &str = "job.json";

/// What is kept of a submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Slurm's number.
    pub job: String,
    /// When: RFC 3339, UTC.
    pub submitted: String,
    /// The arguments of sbatch.
    pub sbatch: Vec<String>,
}

/// A submission and its trials, by the number of the task.
#[derive(Debug)]
pub(crate) struct Submission {
    pub record: Record,
    pub trials: Vec<String>,
}

/// A new folder for a submission, which nobody else has.
pub(crate) fn folder(store: &Store) -> Result<PathBuf> {
    let around = store.dir().join(FOLDER);
    files::create_folder(&around)?;
    let mut number = numbers(&around)?.last().map_or(1, |last| last + 1);
    loop {
        let folder = around.join(number.to_string());
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(Error::file("create the folder", &folder)(error)),
        }
    }
}

/// Writes the record.
pub(crate) fn record(folder: &Path, record: &Record) -> Result<()> {
    let text = serde_json::to_vec_pretty(record).map_err(|error| Error::Other(error.to_string()))?;
    files::write_bytes(&folder.join(RECORD), &text)
}

/// The tasks in the queue, by trial, of every submission that holds one of these trials. The second is why the queue could not be asked.
pub(crate) fn queued<'a>(store: &Store, name: &str, wanted: impl IntoIterator<Item = &'a str>) -> Result<(BTreeMap<String, QueuedTask>, Option<String>)> {
    let wanted: BTreeSet<&str> = wanted.into_iter().collect();
    let mut submissions = all(store)?;
    submissions.retain(|submission| submission.trials.iter().any(|trial| wanted.contains(trial.as_str())));
    let jobs: Vec<&str> = submissions.iter().map(|submission| submission.record.job.as_str()).collect();
    let tasks = match queue::tasks(name, &jobs) {
        Ok(tasks) => tasks,
        Err(error) => return Ok((BTreeMap::new(), Some(error.to_string()))),
    };
    let mut found: BTreeMap<String, QueuedTask> = BTreeMap::new();
    for submission in submissions {
        for (number, trial) in submission.trials.into_iter().enumerate() {
            let Some(task) = tasks.get(&format!("{}_{number}", submission.record.job)) else { continue };
            // The latest that will still run counts.
            if task.is_alive() || !found.get(&trial).is_some_and(QueuedTask::is_alive) {
                found.insert(trial, task.clone());
            }
        }
    }
    Ok((found, None))
}

/// Every submission, the earliest first. One that cannot be read was cut off before it came to anything.
fn all(store: &Store) -> Result<Vec<Submission>> {
    let around = store.dir().join(FOLDER);
    let read = |number: u64| {
        let folder = around.join(number.to_string());
        let record = serde_json::from_slice(&std::fs::read(folder.join(RECORD)).ok()?).ok()?;
        let trials = std::fs::read_to_string(folder.join(TRIALS)).ok()?.lines().map(str::to_owned).collect();
        Some(Submission { record, trials })
    };
    Ok(numbers(&around)?.into_iter().filter_map(read).collect())
}

fn numbers(around: &Path) -> Result<Vec<u64>> {
    let entries = match std::fs::read_dir(around) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", around)(error)),
    };
    let mut numbers: Vec<u64> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_are_found_in_order_and_one_cut_off_is_not() {
        let out = tempfile::tempdir().unwrap();
        let store = Store::at(&out.path().join("a"));
        assert!(all(&store).unwrap().is_empty());
        for job in ["7", "", "9"] {
            let folder = folder(&store).unwrap();
            files::write_bytes(&folder.join(TRIALS), b"abc\ndef\n").unwrap();
            if !job.is_empty() {
                record(&folder, &Record { job: job.into(), submitted: "now".into(), sbatch: Vec::new() }).unwrap();
            }
        }
        let found = all(&store).unwrap();
        assert_eq!(found.iter().map(|submission| submission.record.job.as_str()).collect::<Vec<_>>(), ["7", "9"]);
        assert_eq!(found[0].trials, ["abc", "def"]);
    }
}
