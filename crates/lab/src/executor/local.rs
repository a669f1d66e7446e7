//! On this machine, one trial after another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rayon::{ThreadPool, ThreadPoolBuilder};
use stn_core::Registry;
use stn_data::Dataset;

use super::trial::{Ended, TrialRun};
use super::{RunOptions, RunSummary};
use crate::store::Store;
use crate::{Error, Experiment, Observer, Result, Trial};

/// Runs what is to do.
pub(crate) fn run(experiment: &Experiment, options: &RunOptions, registry: &Registry, observer: &dyn Observer) -> Result<RunSummary> {
    let store = Store::create(&options.out, experiment)?;
    let pool = pool(options.threads)?;
    let mut summary = RunSummary { dir: store.dir().to_owned(), ..RunSummary::default() };
    let to_do: Vec<bool> = experiment.trials().iter().map(|trial| !store.is_done(trial)).collect();
    let waiting = experiment.trials().iter().zip(&to_do).filter(|(_, to_do)| **to_do).map(|(trial, _)| trial);
    let datasets = pool.install(|| open(waiting, registry))?;
    for (index, (trial, to_do)) in experiment.trials().iter().zip(to_do).enumerate() {
        if options.cancel.load(Ordering::Relaxed) {
            summary.cancelled = true;
            break;
        }
        let dataset = match datasets.get(&dataset_key(trial)) {
            Some(dataset) if to_do => dataset,
            _ => {
                summary.already_done.push(trial.id.clone());
                observer.trial_finished(trial, index, "done already");
                continue;
            }
        };
        observer.trial_started(trial, index, trial.config.train.steps);
        let run = TrialRun { experiment: experiment.name(), trial, dataset, registry, observer, options, threads: pool.current_num_threads() };
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

/// Opens every data set that the trials need, each once, so that one that is missing is known before anything is trained.
fn open<'a>(trials: impl Iterator<Item = &'a Trial>, registry: &Registry) -> Result<BTreeMap<String, Arc<Dataset>>> {
    let mut datasets = BTreeMap::new();
    for trial in trials {
        if let Entry::Vacant(place) = datasets.entry(dataset_key(trial)) {
            place.insert(Dataset::open(&trial.config.dataset, registry)?);
        }
    }
    Ok(datasets)
}

fn dataset_key(trial: &Trial) -> String {
    serde_json::to_string(&trial.config.dataset).unwrap_or_default()
}
