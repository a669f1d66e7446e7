//! The results folder.
//!
//! ```text
//! OUT/EXPERIMENT/experiment.toml    the file as it was run
//! OUT/EXPERIMENT/plan.parquet       the trials of the latest run, in order
//! OUT/EXPERIMENT/slurm/N/           what was submitted to a cluster: see `executor::slurm`
//! OUT/trials/ID/trial.log           what happened, with times
//! OUT/trials/ID/metrics.parquet     loss and error over the steps
//! OUT/trials/ID/confusion.parquet   which classes are taken for which
//! OUT/trials/ID/thetas.parquet      parameters of the transformations for some test images over the training
//! OUT/trials/ID/warps.parquet       some test images before and after each transformer
//! OUT/trials/ID/worst.parquet       the same of those that are wrong by most
//! OUT/trials/ID/weights.safetensors
//! OUT/trials/ID/facts.parquet       one row
//! OUT/work/ID.N/                    a trial at work: see `lease` and `checkpoint`
//! ```
//!
//! A trial's ID follows from its configuration alone, so every experiment in one OUT shares the trials. Every file appears whole under its name or not at all, and so does a
//! trial that has ended.

pub(crate) mod checkpoint;
pub(crate) mod confusion;
pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod frame;
pub(crate) mod holder;
pub(crate) mod lease;
pub(crate) mod metrics;
pub(crate) mod overview;
pub(crate) mod plan;
pub(crate) mod schema;
pub(crate) mod tensors;
pub(crate) mod warps;
pub(crate) mod weights;
pub(crate) mod worst;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

pub use holder::Holder;
pub use lease::Said;
pub(crate) use lease::{Lease, Taken};

use crate::{Error, Experiment, Result, Trial, machine};

/// The folders of one experiment's results.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    out: PathBuf,
    dir: PathBuf,
}

/// What is known of a trial from its folders.
#[derive(Debug, Clone, PartialEq)]
pub enum TrialState {
    /// It has ended well.
    Done {
        /// The SHA-256 of the data that it ran on.
        data_sha256: String,
    },
    /// It was stopped early, as it was worse than others.
    Pruned {
        /// Why.
        reason: String,
        /// The SHA-256 of the data that it ran on.
        data_sha256: String,
    },
    /// It has failed.
    Failed {
        /// Why.
        reason: String,
        /// Whether the same would come of trying again on the same data.
        for_good: bool,
        /// The SHA-256 of the data that it ran on.
        data_sha256: String,
    },
    /// Somebody works at it.
    Running(Box<Said>),
    /// It was begun, and can go on after so many steps.
    PartDone(u64),
    /// Nothing is there of it.
    ToDo,
}

/// A trial that has ended well, of whatever experiment: what it was, and how long it took.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// The canonical configuration.
    pub config: String,
    pub steps: u64,
    pub seconds: f64,
}

impl Measured {
    /// What facts say of a trial that ended well; `None` of any other.
    fn of(ended: facts::Ended) -> Option<Self> {
        (ended.status == facts::DONE).then_some(Self { config: ended.config, steps: ended.steps, seconds: ended.wall_seconds })
    }
}

impl Store {
    /// The folders of an experiment, there or not.
    pub fn new(out: &Path, experiment: &Experiment) -> Self {
        Self { out: out.to_owned(), dir: out.join(experiment.name()) }
    }

    /// Makes the folders, and writes the experiment's file and plan.
    pub fn create(out: &Path, experiment: &Experiment) -> Result<Self> {
        let store = Self::new(out, experiment);
        files::create_folder(&store.dir)?;
        files::create_folder(&out.join(TRIALS))?;
        files::write_bytes(&store.dir.join("experiment.toml"), experiment.as_run().as_bytes())?;
        plan::write(&store.dir.join("plan.parquet"), experiment)?;
        Ok(store)
    }

    /// The folders that `OUT/EXPERIMENT` is one of.
    pub fn at(dir: &Path) -> Self {
        let out = dir.parent().filter(|out| !out.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { out: out.to_owned(), dir: dir.to_owned() }
    }

    /// `OUT/EXPERIMENT`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `OUT/trials/ID`.
    pub fn trial(&self, trial: &Trial) -> PathBuf {
        self.out.join(TRIALS).join(&trial.id)
    }

    /// The state of every trial, in order.
    pub fn states(&self, trials: &[Trial]) -> Result<Vec<TrialState>> {
        self.states_of(&trials.iter().map(|trial| trial.id.as_str()).collect::<Vec<_>>())
    }

    /// The state of every trial, in order; and every trial in the folder that has ended well, where one of these has not. Each file of facts is read once.
    pub fn states_and_measured(&self, trials: &[Trial]) -> Result<(Vec<TrialState>, Vec<Measured>)> {
        let ids: Vec<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
        let (states, mut measured): (Vec<_>, Vec<_>) = self.look_at(&ids)?.into_iter().unzip();
        if states.iter().all(|state| matches!(state, TrialState::Done { .. } | TrialState::Pruned { .. })) {
            return Ok((states, Vec::new()));
        }
        let known: BTreeSet<&str> = ids.into_iter().collect();
        let folders = std::fs::read_dir(self.out.join(TRIALS)).into_iter().flatten().flatten();
        let others: Vec<PathBuf> = folders.filter(|entry| entry.file_name().to_str().is_none_or(|id| !known.contains(id))).map(|entry| entry.path()).collect();
        measured.extend(on_threads(&others, |folder| facts::status(&folder.join(FACTS)).and_then(Measured::of))?);
        Ok((states, measured.into_iter().flatten().collect()))
    }

    /// The state of the trial of every id, in order.
    pub fn states_of(&self, ids: &[&str]) -> Result<Vec<TrialState>> {
        Ok(self.look_at(ids)?.into_iter().map(|(state, _)| state).collect())
    }

    /// The state of the trial of every id, in order, and what was measured of it where it has ended well.
    fn look_at(&self, ids: &[&str]) -> Result<Vec<(TrialState, Option<Measured>)>> {
        let mut unfinished: BTreeMap<String, PathBuf> = lease::all_unfinished(&self.out.join(WORK))?.into_iter().map(|(id, _, dir)| (id, dir)).collect();
        let unfinished: Vec<Option<PathBuf>> = ids.iter().map(|id| unfinished.remove(*id)).collect();
        let todo: Vec<_> = ids.iter().zip(unfinished).collect();
        on_threads(&todo, |(id, unfinished)| self.look(id, unfinished.as_deref()))
    }

    fn look(&self, id: &str, unfinished: Option<&Path>) -> (TrialState, Option<Measured>) {
        let ended = self.out.join(TRIALS).join(id);
        // Where both are there, one was killed just after it had begun a folder for a trial that had ended meanwhile.
        if let Some(dir) = unfinished.filter(|_| !ended.is_dir()) {
            let begun = || checkpoint::latest_step(dir).map_or(TrialState::ToDo, TrialState::PartDone);
            return (lease::living(dir).map_or_else(begun, |said| TrialState::Running(Box::new(said))), None);
        }
        let state = match facts::status(&ended.join(FACTS)) {
            Some(ended) if ended.status == facts::DONE => {
                return (TrialState::Done { data_sha256: ended.data_sha256.clone() }, Measured::of(ended));
            }
            Some(ended) if ended.status.starts_with(facts::PRUNED) => {
                TrialState::Pruned { reason: ended.status[facts::PRUNED.len()..].to_owned(), data_sha256: ended.data_sha256 }
            }
            // Numbers that left the finite ones do so again, but perhaps not in another revision of the program.
            Some(ended) => TrialState::Failed {
                data_sha256: ended.data_sha256,
                for_good: ended.status.starts_with(facts::DIVERGED) && ended.revision == machine::REVISION,
                reason: ended.status.trim_start_matches(facts::DIVERGED).trim_start_matches(facts::FAILED).to_owned(),
            },
            None if ended.is_dir() => TrialState::Failed { reason: "its facts cannot be read".into(), for_good: false, data_sha256: String::new() },
            None => TrialState::ToDo,
        };
        (state, None)
    }

    /// Reaches for a trial; one that has ended is reopened where what it has come to by now asks for it.
    pub fn take(&self, trial: &Trial, reopens: impl Fn(&TrialState) -> bool) -> Result<Taken> {
        let (work, ended) = (self.out.join(WORK), self.trial(trial));
        if ended.is_dir() && reopens(&self.ended(trial)) {
            files::create_folder(&work)?;
            // A number that no folder of the trial had before: whoever still knows one of those must not find it again.
            let number = machine::milliseconds();
            match std::fs::rename(&ended, work.join(format!("{}.{number}", trial.id))) {
                Ok(()) => {}
                // Somebody else has reopened it, or works at it already.
                Err(error) if lease::lost_race(&error) => {}
                Err(error) => return Err(Error::file("reopen", &ended)(error)),
            }
        }
        Lease::take(&work, &trial.id, &ended)
    }

    /// Reaches for a trial as [`take`](Self::take) does, and where it is held, waits until it is known whether its holder lives.
    pub fn take_from_silent(&self, trial: &Trial, reopens: impl Fn(&TrialState) -> bool, cancel: &AtomicBool) -> Result<Taken> {
        lease::outwait(lease::PATIENCE, cancel, || self.take(trial, &reopens))
    }

    /// What a trial that has ended has come to.
    pub fn ended(&self, trial: &Trial) -> TrialState {
        self.look(&trial.id, None).0
    }

    /// Removes what one who was killed just after a trial had ended has left in its folder.
    pub fn tidy(&self, trial: &Trial) -> Result<()> {
        let folder = self.trial(trial);
        checkpoint::clear(&folder)?;
        files::remove(&folder.join(lease::LEASE))
    }
}

/// What comes of each item, in order.
///
/// Threads of their own: within a pool, one that waits for Parquet's own pool would take up the next file on top of the one it waits for, until its stack is full.
fn on_threads<T: Sync, R: Send>(items: &[T], of: impl Fn(&T) -> R + Sync) -> Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let of = &of;
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            items.chunks(items.len().div_ceil(threads).max(1)).map(|part| scope.spawn(move || part.iter().map(of).collect::<Vec<_>>())).collect();
        let joined = parts.into_iter().map(|thread| thread.join().map_err(|_| Error::Other("the results could not be read: a mistake in the program".into())));
        Ok(joined.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    })
}

/// The folder of the trials that have ended.
const TRIALS: &str = "trials";
/// The folder of the trials at work.
const WORK: &str = "work";
/// The file of a trial's facts.
pub(crate) const FACTS: &str = "facts.parquet";
/// The file of a trial's metrics.
pub(crate) const METRICS: &str = "metrics.parquet";
/// The file of the classes that a trial's network takes for others.
pub(crate) const CONFUSION: &str = "confusion.parquet";
/// The file of a trial's parameters of transformations.
pub(crate) const THETAS: &str = "thetas.parquet";
/// The file of a trial's warps.
pub(crate) const WARPS: &str = "warps.parquet";
/// The file of a trial's worst test images.
pub(crate) const WORST: &str = "worst.parquet";
/// The file of a trial's weights.
pub(crate) const WEIGHTS: &str = "weights.safetensors";
/// The file of a trial's log.
pub(crate) const LOG: &str = "trial.log";

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[dataset]\nkind = \"mnist\"\nsource = \"embedded\"\n[models.fcn]\nlayers = [{ fc = \"classes\" }]\n";

    #[test]
    fn a_trial_that_is_reopened_has_a_folder_that_no_late_writer_knows() {
        let out = tempfile::tempdir().unwrap();
        let experiment = Experiment::parse(FILE, "x.toml", "x", &[], &stn_plugins::standard().unwrap()).unwrap();
        let (store, trial) = (Store::create(out.path(), &experiment).unwrap(), &experiment.trials()[0]);
        let reach = || match store.take(trial, |_| true).unwrap() {
            Taken::Mine(lease) => lease,
            other => panic!("{other:?}"),
        };
        // The second to hold it: a reopened folder is taken over as well, so the number after its own counts.
        drop(reach());
        let late = reach();
        // Somebody else has taken over, and brought the trial to its end.
        files::remove(&late.dir().join(lease::LEASE)).unwrap();
        std::fs::rename(late.dir(), store.trial(trial)).unwrap();
        let again = reach();
        assert!(late.is_lost() && !again.is_lost());
        assert!(!late.commit().unwrap() && again.commit().unwrap());
    }
}
