//! On a Slurm cluster: the trials that are to do become arrays of tasks, each of which runs one trial on the shared folder.
//!
//! ```text
//! OUT/EXPERIMENT/slurm/N/experiment.toml  the file as it was submitted; a later edit changes nothing
//! OUT/EXPERIMENT/slurm/N/trials.txt       the trials, an id a line
//! OUT/EXPERIMENT/slurm/N/task.sh          what each task runs
//! OUT/EXPERIMENT/slurm/N/job.json         the job's number, once Slurm has taken it
//! OUT/EXPERIMENT/slurm/N/task-K.log       what task K printed
//! ```
//!
//! Slurm is asked what waits in its queue, so that nothing waits twice. What is done is told by the folders alone, and leases keep two tasks from one trial.

pub(crate) mod queue;
mod script;
pub(crate) mod submission;
mod task;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stn_core::Registry;

pub use queue::QueuedTask;
pub use script::TaskCommand;
pub use task::{Stopped, requeue_task, task_threads};

use super::RunOptions;
use super::preparation::{Prepared, prepare};
use crate::store::{Store, TrialState, files};
use crate::{Error, Experiment, Result, machine};
use script::{Array, EXPERIMENT, SCRIPT, TRIALS};
use submission::Record;

/// What a submission did.
#[derive(Debug, Clone, Default)]
pub struct Submitted {
    /// `OUT/EXPERIMENT`.
    pub dir: PathBuf,
    /// The jobs, and how many tasks each has.
    pub jobs: Vec<(String, usize)>,
    /// How many trials are done.
    pub done: usize,
    /// How many were stopped early, as they were worse than others.
    pub pruned: usize,
    /// How many somebody works at now.
    pub running: usize,
    /// How many wait in the queue from before.
    pub queued: usize,
    /// The trials that have failed and would fail again, in words, and why.
    pub failed: Vec<(String, String)>,
}

/// Submits the trials of an experiment that are not done, not at work and not in the queue.
///
/// # Errors
///
/// As [`run`](crate::run), or where Slurm does not take a job. Arrays that it took before that stay.
pub fn submit(experiment: &Experiment, options: &RunOptions, task: &TaskCommand, registry: &Registry) -> Result<Submitted> {
    let store = Store::create(&options.out, experiment)?;
    let mut submitted = Submitted { dir: store.dir().to_owned(), ..Submitted::default() };
    let waiting = to_submit(experiment, &store, options, registry, &mut submitted)?;
    if waiting.is_empty() {
        return Ok(submitted);
    }
    same_trials(experiment, registry)?;
    let (out, from) = (absolute(&options.out)?, absolute(Path::new("."))?);
    for trials in waiting.chunks(queue::longest_array()) {
        let folder = absolute(&submission::folder(&store)?)?;
        let setup = &experiment.slurm().setup;
        let array = Array { experiment: experiment.name(), folder: &folder, out: &out, from: &from, task, setup };
        match submit_array(experiment, &array, trials) {
            Ok(job) => submitted.jobs.push((job, trials.len())),
            Err(error) => {
                // Nothing came of it, unless Slurm has it: then its tasks read the folder.
                if !matches!(error, Error::Submitted { .. }) {
                    let _ = std::fs::remove_dir_all(&folder);
                }
                let before: Vec<&str> = submitted.jobs.iter().map(|(job, _)| job.as_str()).collect();
                let before = if before.is_empty() { String::new() } else { format!("; submitted before that: {}", before.join(", ")) };
                return Err(Error::Other(format!("{error}{before}")));
            }
        }
    }
    Ok(submitted)
}

/// The trials to submit; the others are counted.
fn to_submit<'a>(experiment: &'a Experiment, store: &Store, options: &RunOptions, registry: &Registry, submitted: &mut Submitted) -> Result<Vec<&'a str>> {
    let trials = experiment.trials();
    let prepared = prepare(experiment, store, options.only.as_deref(), registry)?;
    let states = store.states(trials)?;
    let mut waiting = Vec::new();
    for ((trial, prepared), state) in trials.iter().zip(&prepared).zip(&states) {
        match (prepared, state) {
            (Prepared::NotAsked, _) => {}
            (Prepared::Done { .. }, _) => submitted.done += 1,
            (Prepared::Pruned(_), _) => submitted.pruned += 1,
            (Prepared::Failed(reason), _) => submitted.failed.push((format!("{} ({})", trial.id, trial.describe()), reason.clone())),
            (Prepared::Waiting { .. }, TrialState::Running(_)) => submitted.running += 1,
            (Prepared::Waiting { .. }, _) => waiting.push(trial.id.as_str()),
        }
    }
    let (queued, unknown) = submission::queued(store, experiment.name(), waiting.iter().copied())?;
    if let Some(reason) = unknown {
        tracing::warn!("which trials are in the queue already cannot be told: {reason}");
    }
    let before = waiting.len();
    waiting.retain(|id| !queued.get(*id).is_some_and(QueuedTask::is_alive));
    submitted.queued = before - waiting.len();
    Ok(waiting)
}

/// Writes what the tasks read, and submits them.
fn submit_array(experiment: &Experiment, array: &Array<'_>, trials: &[&str]) -> Result<String> {
    let lines: String = trials.iter().map(|id| format!("{id}\n")).collect();
    files::write_bytes(&array.folder.join(EXPERIMENT), experiment.as_run().as_bytes())?;
    files::write_bytes(&array.folder.join(TRIALS), lines.as_bytes())?;
    files::write_bytes(&array.folder.join(SCRIPT), script::script(array)?.as_bytes())?;
    let sbatch = script::options(array, experiment.slurm(), trials.len())?;
    let answer = queue::ask("sbatch", &sbatch)?;
    // In a federation the cluster's name stands behind the number.
    let job = answer.lines().last().unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
    if job.is_empty() || !job.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Submitted { job: answer, reason: "sbatch gave no number".into() });
    }
    let recorded = submission::record(array.folder, &Record { job: job.clone(), submitted: machine::now(), sbatch });
    recorded.map_err(|error| Error::Submitted { job: job.clone(), reason: error.to_string() })?;
    Ok(job)
}

/// The copy that the tasks read must have the trials of the file itself.
fn same_trials(experiment: &Experiment, registry: &Registry) -> Result<()> {
    let again = Experiment::parse(experiment.as_run(), EXPERIMENT, experiment.name(), &[], registry).map_err(|mistakes| Error::Other(mistakes.to_string()))?;
    let ids = |experiment: &Experiment| experiment.trials().iter().map(|trial| trial.id.clone()).collect::<BTreeSet<_>>();
    if ids(&again) == ids(experiment) {
        return Ok(());
    }
    Err(Error::Other("the file with these arguments laid over it has other trials; please write the changes into the file".into()))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(Error::file("find", path))
}
