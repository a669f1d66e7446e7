//! One trial from its start to its facts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use stn_data::Dataset;
use stn_nn::Plan;

use super::RunOptions;
use crate::store::{FACTS, LOG, METRICS, Store, WARPS, WEIGHTS, facts, metrics, warps, weights};
use crate::trainer::{Evaluation, Measured, Trainer};
use crate::trial_log::TrialLog;
use crate::{Error, Observer, Result, Trial, machine};

/// A trial about to run.
pub(crate) struct TrialRun<'a> {
    pub experiment: &'a str,
    pub trial: &'a Trial,
    pub dataset: &'a Arc<Dataset>,
    pub plan: &'a Plan,
    pub observer: &'a dyn Observer,
    pub options: &'a RunOptions,
    pub threads: usize,
}

/// How a trial ended.
pub(crate) enum Ended {
    /// With a test error, in words.
    Well(String),
    /// With a reason.
    Failed(String),
    /// Stopped from outside; nothing is stored.
    Cancelled,
}

impl TrialRun<'_> {
    /// Trains and stores.
    pub fn run(&self, store: &Store) -> Ended {
        let begun = store.prepare(self.trial).and_then(|folder| Ok((TrialLog::begin(&folder.join(LOG))?, folder)));
        let (log, folder) = match begun {
            Ok(begun) => begun,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        let device = machine::device_name(&self.options.device);
        let mut facts = facts::Facts { started: machine::now(), threads: self.threads as i64, device, ..facts::Facts::default() };
        let begun = Instant::now();
        let trained = log.record(|| {
            // A panic is a mistake of ours or of a plugin's; the other trials are run all the same.
            let trained = catch_unwind(AssertUnwindSafe(|| self.train(&folder, &mut facts)));
            let trained = trained.unwrap_or_else(|panic| Err(Error::Other(format!("a mistake in the program: {}", panic_text(panic.as_ref())))));
            match &trained {
                Ok(evaluation) => tracing::info!(error = evaluation.error, seconds = begun.elapsed().as_secs_f64(), "done"),
                Err(error) => tracing::error!("{error}"),
            }
            trained
        });
        if matches!(trained, Err(Error::Cancelled)) {
            return Ended::Cancelled;
        }
        facts.wall_seconds = begun.elapsed().as_secs_f64();
        facts.peak_memory_bytes = machine::peak_memory();
        self.end(&folder, log, facts, trained)
    }

    fn train(&self, folder: &Path, facts: &mut facts::Facts) -> Result<Evaluation> {
        let trial = self.trial;
        tracing::info!(trial = trial.id, experiment = self.experiment, revision = machine::REVISION, threads = self.threads, "{}", trial.describe());
        tracing::info!(source = self.dataset.provenance().source, sha256 = self.dataset.provenance().sha256, "data");
        for line in self.plan.describe() {
            tracing::info!(parameters = line.parameters, "{}: {} -> {}", line.name, line.layer, line.output);
        }
        facts.parameters = Some(self.plan.parameters() as i64);
        facts.width = self.plan.width().map(|width| width as i64);
        // One thread prepares batches while the others compute; two where there are many.
        let workers = if self.threads > 4 { 2 } else { 1 };
        let RunOptions { cancel, device, .. } = self.options;
        let trainer = Trainer { trial, plan: self.plan, dataset: self.dataset, observer: self.observer, cancel, device, workers };
        let mut measured = Measured::default();
        let trained = trainer.train(&mut measured);
        facts.steps = measured.steps as i64;
        facts.step_ms = measured.timing.step_ms();
        facts.data_wait_ms = measured.timing.data_wait_ms();
        facts.train_seconds = measured.timing.train_seconds();
        tracing::info!(steps = facts.steps, step_ms = facts.step_ms, data_wait_ms = facts.data_wait_ms, seconds = facts.train_seconds, "trained");
        if matches!(trained, Err(Error::Cancelled)) {
            return Err(Error::Cancelled);
        }
        metrics::write(&folder.join(METRICS), &measured.rows)?;
        let trained = trained?;
        warps::write(&folder.join(WARPS), &trained.warps)?;
        weights::write(&folder.join(WEIGHTS), &trained.network)?;
        facts.test_error = Some(trained.evaluation.error);
        facts.test_loss = Some(trained.evaluation.loss);
        Ok(trained.evaluation)
    }

    /// Writes the log and, last of all, the facts.
    fn end(&self, folder: &Path, log: TrialLog, mut facts: facts::Facts, trained: Result<Evaluation>) -> Ended {
        facts.status = match &trained {
            Ok(_) => facts::DONE.to_owned(),
            Err(error) => format!("failed: {error}"),
        };
        let provenance = self.dataset.provenance();
        let write = |facts: &facts::Facts| facts::write(&folder.join(FACTS), self.experiment, self.trial, provenance, facts);
        let stored = log.finish(&folder.join(LOG)).and_then(|()| write(&facts));
        match (trained, stored) {
            (Ok(evaluation), Ok(())) => Ended::Well(format!("test error {:.2} % after {} steps, {:.0} s", evaluation.error, facts.steps, facts.wall_seconds)),
            (Ok(_), Err(error)) => Ended::Failed(error.to_string()),
            // The reason of the failure counts; that it could not be stored either follows from it.
            (Err(error), _) => Ended::Failed(error.to_string()),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
