//! On this machine, one trial after another.

use std::sync::atomic::Ordering;

use rayon::{ThreadPool, ThreadPoolBuilder};
use stn_core::Registry;

use super::preparation::{Prepared, prepare};
use super::trial::{Ended, TrialRun};
use super::{RunOptions, RunSummary};
use crate::store::Store;
use crate::{Error, Experiment, Observer, Result};

/// Runs what is to do.
pub(crate) fn run(experiment: &Experiment, options: &RunOptions, registry: &Registry, observer: &dyn Observer) -> Result<RunSummary> {
    let store = Store::create(&options.out, experiment)?;
    let pool = pool(options.threads)?;
    let mut summary = RunSummary { dir: store.dir().to_owned(), ..RunSummary::default() };
    let prepared = pool.install(|| prepare(experiment, &store, registry))?;
    for (index, (trial, prepared)) in experiment.trials().iter().zip(&prepared).enumerate() {
        if options.cancel.load(Ordering::Relaxed) {
            summary.cancelled = true;
            break;
        }
        let Prepared::Waiting { dataset, plan } = prepared else {
            summary.already_done.push(trial.id.clone());
            observer.trial_finished(trial, index, "done already");
            continue;
        };
        observer.trial_started(trial, index, trial.config.train.steps);
        let run = TrialRun { experiment: experiment.name(), trial, dataset, plan, observer, options, threads: pool.current_num_threads() };
        match pool.install(|| run.run(&store)) {
            Ended::Well(words) => {
                summary.trained.push(trial.id.clone());
                observer.trial_finished(trial, index, &words);
            }
            Ended::Failed(reason) => {
                observer.trial_finished(trial, index, &format!("failed: {reason}"));
                summary.failed.push((format!("{} ({})", trial.id, trial.describe()), reason));
            }
            Ended::Cancelled => {
                observer.trial_finished(trial, index, "stopped; it will start anew");
                summary.cancelled = true;
                break;
            }
        }
    }
    Ok(summary)
}

fn pool(threads: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(threads).build().map_err(|source| Error::Threads { threads, source })
}
