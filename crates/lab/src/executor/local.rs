//! On this machine, several trials at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};
use stn_core::Registry;

use super::memory::{Budget, need};
use super::preparation::{Prepared, prepare};
use super::pruning::{Pruner, stays_pruned};
use super::trial::{Ended, TrialRun};
use super::waiting::Waiting;
use super::{DeviceName, RunOptions, RunSummary, device};
use crate::store::{METRICS, Said, Store, Taken, TrialState};
use crate::{Error, Experiment, Observer, Result, Trial};

/// Runs what is to do.
pub(crate) fn run(experiment: &Experiment, options: &RunOptions, registry: &Registry, observer: &dyn Observer) -> Result<RunSummary> {
    let store = if options.task { Store::new(&options.out, experiment) } else { Store::create(&options.out, experiment)? };
    let threads = if options.threads == 0 { std::thread::available_parallelism().map_or(1, Into::into) } else { options.threads };
    let devices = device::open(&options.devices)?;
    let budgets: Vec<Budget> = devices.iter().map(|(_, device)| Budget::new(options.memory, device)).collect();
    let prepared = pool(threads)?.install(|| prepare(experiment, &store, options.only.as_deref(), registry))?;
    let waiting = prepared.iter().filter(|prepared| matches!(prepared, Prepared::Waiting { .. })).count();
    let jobs = options.jobs.clamp(1, waiting.max(1)).min(threads);
    let devices = device::for_jobs(devices, jobs, DeviceName::open)?;
    // As jobs take the devices in turn.
    let places = devices.into_iter().zip(budgets.iter().cycle()).enumerate();
    let places = places.map(|(job, (device, budget))| Place::new(job, jobs, threads, device, budget)).collect::<Result<Vec<_>>>()?;
    let summary = Mutex::new(RunSummary { dir: store.dir().to_owned(), ..RunSummary::default() });
    let pruner = Pruner::new(experiment, store.dir());
    let (next, held, waits) = (AtomicUsize::new(0), Waiting::default(), AtomicBool::new(false));
    let queue = Queue { experiment, options, store: &store, prepared: &prepared, next, held, waits, pruner, observer, summary };
    queue.learn();
    std::thread::scope(|scope| {
        for place in &places {
            scope.spawn(|| queue.work(place));
        }
    });
    // Left where the run was stopped while it waited.
    let left = queue.held.left();
    let mut summary = queue.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.elsewhere.extend(left.into_iter().filter_map(|index| experiment.trials().get(index)).map(Trial::describe));
    Ok(summary)
}

fn pool(threads: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(threads).build().map_err(|source| Error::Threads { threads, source })
}

/// What one job of several computes with: its share of the threads, and a device with its memory.
struct Place<'a> {
    pool: ThreadPool,
    device: (DeviceName, Device),
    budget: &'a Budget,
}

impl<'a> Place<'a> {
    fn new(job: usize, jobs: usize, threads: usize, device: (DeviceName, Device), budget: &'a Budget) -> Result<Self> {
        Ok(Self { pool: pool(threads / jobs + usize::from(job < threads % jobs))?, device, budget })
    }
}

/// The trials of a run, handed out in order; those that others work at come last.
struct Queue<'a> {
    experiment: &'a Experiment,
    options: &'a RunOptions,
    store: &'a Store,
    prepared: &'a [Prepared],
    next: AtomicUsize,
    held: Waiting,
    /// Whether it was told that the run waits.
    waits: AtomicBool,
    pruner: Option<Pruner>,
    observer: &'a dyn Observer,
    summary: Mutex<RunSummary>,
}

impl Queue<'_> {
    /// Takes trials until every one has ended or the run is stopped.
    fn work(&self, place: &Place) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((trial, prepared)) = self.experiment.trials().get(index).zip(self.prepared.get(index)) else { break };
            if self.options.cancel.load(Ordering::Relaxed) {
                self.summarise(|summary| summary.cancelled = true);
                return;
            }
            match prepared {
                Prepared::NotAsked => {}
                Prepared::Done { .. } => self.done(trial, index, "done already"),
                Prepared::Pruned(reason) => self.pruned(trial, index, reason),
                Prepared::Failed(reason) => self.failed(trial, index, reason, "failed before"),
                Prepared::Waiting { .. } => self.trial(trial, index, place, false),
            }
        }
        let held = self.held.left().len();
        if held > 0 && !self.waits.swap(true, Ordering::Relaxed) {
            self.observer.waiting(held);
        }
        while let Some((trial, index)) = self.held.next(&self.options.cancel).and_then(|index| Some((self.experiment.trials().get(index)?, index))) {
            self.trial(trial, index, place, true);
        }
        if !self.held.left().is_empty() {
            self.summarise(|summary| summary.cancelled = true);
        }
    }

    /// Runs a trial, again where it fails and the file says so; `waited` for where somebody else was at work at it.
    fn trial(&self, trial: &Trial, index: usize, place: &Place, waited: bool) {
        let Some(Prepared::Waiting { dataset, plan, objective }) = self.prepared.get(index) else { return };
        let bytes = need(trial, plan, objective);
        let Some(_held) = place.budget.hold(bytes, &self.options.cancel) else {
            if self.options.cancel.load(Ordering::Relaxed) {
                return self.summarise(|summary| summary.cancelled = true);
            }
            let reason = place.budget.refusal(bytes);
            return self.failed(trial, index, &reason, "not run");
        };
        // As it is now, and not as it was when this run began: somebody else may have brought it to its end.
        let other_data = |sha256: &str| sha256 != dataset.provenance().sha256;
        let reopens = |state: &TrialState, attempt: u64| match state {
            TrialState::Done { data_sha256 } => other_data(data_sha256),
            TrialState::Pruned { data_sha256, .. } => other_data(data_sha256) || !stays_pruned(self.pruner.as_ref(), trial, state),
            // What has failed elsewhere while this run waited was tried just now.
            TrialState::Failed { for_good, data_sha256, .. } => !(*for_good || waited && attempt == 0) || other_data(data_sha256),
            _ => true,
        };
        for attempt in 0..=self.experiment.retries() {
            let reopens = |state: &TrialState| reopens(state, attempt);
            let taken = if self.options.task { self.store.take_from_silent(trial, reopens, &self.options.cancel) } else { self.store.take(trial, reopens) };
            let lease = match taken {
                Ok(Taken::Mine(lease)) => lease,
                Ok(Taken::Ended) => return self.ended_elsewhere(trial, index),
                Ok(Taken::Held(said)) => return self.held(trial, index, &who(&said), waited),
                Err(error) => return self.failed(trial, index, &error.to_string(), "failed"),
            };
            self.observer.trial_started(trial, index, trial.config.train.steps);
            let threads = place.pool.current_num_threads();
            let run = TrialRun {
                experiment: self.experiment,
                trial,
                dataset,
                plan,
                objective,
                observer: self.observer,
                options: self.options,
                threads,
                device: &place.device,
                pruner: self.pruner.as_ref(),
            };
            match place.pool.install(|| run.run(lease, self.store)) {
                Ended::Well(words) => {
                    self.observer.trial_finished(trial, index, &words);
                    return self.summarise(|summary| summary.trained.push(trial.id.clone()));
                }
                Ended::Pruned(reason) => return self.pruned(trial, index, &reason),
                Ended::Failed { reason, for_good } if for_good || attempt == self.experiment.retries() => return self.failed(trial, index, &reason, "failed"),
                Ended::Failed { reason, .. } => self.observer.trial_retried(trial, index, &reason),
                Ended::Cancelled => {
                    self.observer.trial_finished(trial, index, "stopped; the same command goes on with it");
                    return self.summarise(|summary| summary.cancelled = true);
                }
                Ended::TakenOver => return self.held(trial, index, "another run, which took it over", false),
            }
        }
    }

    /// Puts off a trial that somebody else works at. A task of many has no other trial, and has waited for as long as it should.
    fn held(&self, trial: &Trial, index: usize, by: &str, told: bool) {
        if self.options.task {
            self.observer.trial_finished(trial, index, &format!("at work elsewhere: {by}"));
            return self.summarise(|summary| summary.elsewhere.push(format!("{} ({by})", trial.describe())));
        }
        if !told {
            self.observer.trial_held(trial, index, by);
        }
        self.held.put(index);
    }

    /// Tells what a trial has come to that another run has brought to its end.
    fn ended_elsewhere(&self, trial: &Trial, index: usize) {
        match self.store.ended(trial) {
            TrialState::Pruned { reason, .. } => self.pruned(trial, index, &reason),
            TrialState::Failed { reason, .. } => self.failed(trial, index, &reason, "failed elsewhere"),
            _ => self.done(trial, index, "done elsewhere"),
        }
    }

    fn done(&self, trial: &Trial, index: usize, how: &str) {
        if let Err(error) = self.store.tidy(trial) {
            tracing::warn!(trial = trial.id, "what a killed run left is still there: {error}");
        }
        self.observer.trial_finished(trial, index, how);
        self.summarise(|summary| summary.already_done.push(trial.id.clone()));
    }

    /// Those that come are compared with the trials that are done, too.
    fn learn(&self) {
        let Some(pruner) = &self.pruner else { return };
        for (trial, prepared) in self.experiment.trials().iter().zip(self.prepared) {
            let Prepared::Done { data_sha256 } = prepared else { continue };
            if let Err(error) = pruner.learn(trial, data_sha256, &self.store.trial(trial).join(METRICS)) {
                tracing::warn!(trial = trial.id, "others are not compared with it: {error}");
            }
        }
    }

    fn pruned(&self, trial: &Trial, index: usize, reason: &str) {
        self.observer.trial_finished(trial, index, &format!("pruned: {reason}"));
        self.summarise(|summary| summary.pruned.push((format!("{} ({})", trial.id, trial.describe()), reason.to_owned())));
    }

    fn failed(&self, trial: &Trial, index: usize, reason: &str, how: &str) {
        self.observer.trial_finished(trial, index, &format!("{how}: {reason}"));
        self.summarise(|summary| summary.failed.push((format!("{} ({})", trial.id, trial.describe()), reason.to_owned())));
    }

    fn summarise(&self, note: impl FnOnce(&mut RunSummary)) {
        // A poisoned lock only means that another thread panicked between two notes.
        note(&mut self.summary.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Who works at a trial, in words.
fn who(said: &Said) -> String {
    if said.holder.pid == 0 { "another run".into() } else { format!("process {} on {}", said.holder.pid, said.holder.host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_share_the_threads_and_take_the_devices_in_turn() {
        let devices = [(DeviceName::Cuda(0), Device::Cpu), (DeviceName::Cuda(1), Device::Cpu)];
        let devices = device::for_jobs(devices.into(), 3, |_| Ok(Device::Cpu)).unwrap();
        let budget = Budget::new(Some(1), &Device::Cpu);
        let places: Vec<_> = devices.into_iter().enumerate().map(|(job, device)| Place::new(job, 3, 4, device, &budget).unwrap()).collect();
        let shares: Vec<_> = places.iter().map(|place| (place.pool.current_num_threads(), place.device.0)).collect();
        assert_eq!(shares, [(2, DeviceName::Cuda(0)), (1, DeviceName::Cuda(1)), (1, DeviceName::Cuda(0))]);
    }
}
