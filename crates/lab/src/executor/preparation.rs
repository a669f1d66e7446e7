//! Before the first trial: which trials are to run, their data sets open, their networks planned. So what is missing or does not fit is known before anything is trained.

use std::collections::BTreeMap;
use std::sync::Arc;

use stn_core::{Fault, Registry};
use stn_data::Dataset;
use stn_nn::{Ending, Plan};

use super::pruning::{Pruner, stays_pruned};
use crate::store::{Store, TrialState};
use crate::trainer::Objective;
use crate::{Error, Experiment, Result, Trial};

/// What a trial needs, or that it needs nothing.
pub(crate) enum Prepared {
    /// It was not asked for.
    NotAsked,
    /// It has run to its end on the same data, which has this SHA-256.
    Done { data_sha256: String },
    /// It was stopped early.
    Pruned(String),
    /// It has failed, and would fail in the same way.
    Failed(String),
    /// It is to run.
    Waiting { dataset: Arc<Dataset>, plan: Arc<Plan>, objective: Arc<Objective> },
}

/// Prepares every trial, in order; where some are asked for by id, only those.
pub(crate) fn prepare(experiment: &Experiment, store: &Store, only: Option<&[String]>, registry: &Registry) -> Result<Vec<Prepared>> {
    let trials = experiment.trials();
    let asked = |trial: &Trial| only.is_none_or(|only| only.contains(&trial.id));
    if let Some(unknown) = only.into_iter().flatten().find(|id| !trials.iter().any(|trial| trial.id == **id)) {
        return Err(Error::Other(format!("there is no trial {unknown} in this experiment; `stn run FILE --dry-run` lists them")));
    }
    // Of the others nothing is looked at: a task of many asks for one trial of thousands.
    let asked_for: Vec<&str> = trials.iter().filter(|trial| asked(trial)).map(|trial| trial.id.as_str()).collect();
    let mut known = store.states_of(&asked_for)?.into_iter();
    let states: Vec<TrialState> = trials.iter().map(|trial| if asked(trial) { known.next().unwrap_or(TrialState::ToDo) } else { TrialState::ToDo }).collect();
    let pruner = Pruner::new(experiment, store.dir());
    let open_for = trials.iter().zip(&states).filter(|(trial, _)| asked(trial));
    let datasets = open(open_for, registry)?;
    let mut plans = Plans { registry, known: BTreeMap::new() };
    let (mut prepared, mut misfits) = (Vec::with_capacity(trials.len()), Vec::new());
    for (trial, state) in trials.iter().zip(&states) {
        let dataset = datasets.get(&key(trial));
        prepared.push(match (state, dataset) {
            _ if !asked(trial) => Prepared::NotAsked,
            (TrialState::Done { data_sha256 }, dataset) if dataset.is_none_or(|dataset| same_data(trial, data_sha256, dataset)) => {
                Prepared::Done { data_sha256: data_sha256.clone() }
            }
            (TrialState::Pruned { reason, data_sha256 }, dataset)
                if stays_pruned(pruner.as_ref(), trial, state) && dataset.is_none_or(|dataset| same_data(trial, data_sha256, dataset)) =>
            {
                Prepared::Pruned(reason.clone())
            }
            (TrialState::Failed { reason, for_good: true, data_sha256 }, dataset) if dataset.is_none_or(|dataset| same_data(trial, data_sha256, dataset)) => {
                Prepared::Failed(reason.clone())
            }
            (_, None) => return Err(Error::Other(format!("the data set of trial {} was not opened", trial.id))),
            (_, Some(dataset)) => match plans.of(trial, dataset) {
                Ok(plan) => Prepared::Waiting {
                    dataset: Arc::clone(dataset),
                    plan,
                    objective: Arc::new(Objective::new(&trial.config.train.objective, dataset, registry)?),
                },
                Err(faults) => {
                    misfits.push((trial, faults));
                    Prepared::NotAsked
                }
            },
        });
    }
    if misfits.is_empty() { Ok(prepared) } else { Err(Error::Misfit(experiment.diagnose_networks(&misfits))) }
}

/// Opens each data set that a waiting trial needs, once. The user's own is opened for trials that are done as well, since its files may have changed.
fn open<'a>(trials: impl Iterator<Item = (&'a Trial, &'a TrialState)>, registry: &Registry) -> Result<BTreeMap<String, Arc<Dataset>>> {
    // Whether a trial waits for the data set.
    let mut needed: BTreeMap<String, (&Trial, bool)> = BTreeMap::new();
    for (trial, state) in trials {
        let waits = !matches!(state, TrialState::Done { .. } | TrialState::Failed { for_good: true, .. });
        needed.entry(key(trial)).or_insert((trial, false)).1 |= waits;
    }
    let mut datasets = BTreeMap::new();
    for (key, (trial, waits)) in needed {
        if !waits && !trial.config.dataset.changes() {
            continue;
        }
        match Dataset::open(&trial.config.dataset, registry) {
            Ok(dataset) => drop(datasets.insert(key, dataset)),
            Err(error) if waits => return Err(error.into()),
            Err(error) => tracing::warn!("whether the data of trials that are done has changed cannot be told: {error}"),
        }
    }
    Ok(datasets)
}

fn same_data(trial: &Trial, before: &str, dataset: &Dataset) -> bool {
    let now = &dataset.provenance().sha256;
    if now != before {
        tracing::warn!(trial = trial.id, before, now, "the data has changed since this trial ended: it runs again ({})", trial.describe());
    }
    now == before
}

/// A plan, or every fault found.
type Planned = std::result::Result<Arc<Plan>, Vec<Fault>>;

/// Plans with the data's real shape, each network once.
struct Plans<'a> {
    registry: &'a Registry,
    /// By network, shape and number of outputs.
    known: BTreeMap<(String, Vec<usize>, Ending), Planned>,
}

impl Plans<'_> {
    fn of(&mut self, trial: &Trial, dataset: &Dataset) -> Planned {
        if let Some(plan) = &trial.plan {
            return Ok(Arc::clone(plan));
        }
        let network = serde_json::to_string(&trial.config.network).unwrap_or_default();
        let ending = trial.config.train.objective.ending(dataset.outputs());
        let key = (network, dataset.shape().to_vec(), ending.clone());
        let plan = || Plan::new(&trial.config.network, dataset.shape(), ending, self.registry).map(Arc::new);
        let plan = self.known.entry(key).or_insert_with(plan).clone()?;
        plan.misfit_of_batch(trial.config.train.batch).map_or(Ok(plan), |fault| Err(vec![fault]))
    }
}

fn key(trial: &Trial) -> String {
    serde_json::to_string(&trial.config.dataset).unwrap_or_default()
}
