//! One trial from its start to its facts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use candle_core::Device;
use stn_data::Dataset;
use stn_nn::Plan;

use super::pruning::Pruner;
use super::{DeviceName, RunOptions};
use crate::spec::sections::WithoutCuda;
use crate::store::{CONFUSION, FACTS, LOG, Lease, METRICS, Store, THETAS, WARPS, WEIGHTS, WORST, checkpoint, facts, files, frame, metrics, weights};
use crate::trainer::{Evaluation, Keeper, Measured, Objective, Stop, Trainer};
use crate::trial_log::TrialLog;
use crate::{Error, Experiment, Observer, Precision, Result, Trial, machine};

/// A trial about to run.
pub(crate) struct TrialRun<'a> {
    pub experiment: &'a Experiment,
    pub trial: &'a Trial,
    pub dataset: &'a Arc<Dataset>,
    pub plan: &'a Plan,
    pub objective: &'a Objective,
    pub observer: &'a dyn Observer,
    pub options: &'a RunOptions,
    pub threads: usize,
    pub device: &'a (DeviceName, Device),
    pub pruner: Option<&'a Pruner>,
}

/// How a trial ended.
pub(crate) enum Ended {
    /// With a test error, in words.
    Well(String),
    /// With a reason; whether the same would come of trying again.
    Failed { reason: String, for_good: bool },
    /// Stopped early, for a reason.
    Pruned(String),
    /// Stopped from outside; it can go on from where it was.
    Cancelled,
    /// Somebody else has taken it over.
    TakenOver,
}

impl TrialRun<'_> {
    /// Trains and stores, in the folder of the lease.
    pub fn run(&self, lease: Lease, store: &Store) -> Ended {
        match self.attempt(&lease) {
            Err(_) if lease.is_lost() && lease.is_elsewhere() => Ended::TakenOver,
            Err(_) if lease.is_lost() => Ended::Failed { reason: format!("its folder {} was deleted while it ran", lease.dir().display()), for_good: false },
            Err(Error::Cancelled) => Ended::Cancelled,
            // What cannot be stored is told, and what there is of the trial stays for the next attempt.
            Err(error) => Ended::Failed { reason: error.to_string(), for_good: false },
            Ok(ended) => match lease.commit() {
                Ok(true) => {
                    // Not before: what is not yet stored can still be gone on with. Left behind, they take room and do no harm.
                    if let Ended::Well(_) | Ended::Failed { for_good: true, .. } = ended {
                        let _ = checkpoint::clear(&store.trial(self.trial));
                    }
                    ended
                }
                Ok(false) => Ended::TakenOver,
                Err(error) => Ended::Failed { reason: error.to_string(), for_good: false },
            },
        }
    }

    /// Leaves everything in the folder that belongs to a trial that has ended, well or not.
    fn attempt(&self, lease: &Lease) -> Result<Ended> {
        let folder = lease.dir();
        for name in [FACTS, METRICS, CONFUSION, THETAS, WARPS, WORST, WEIGHTS] {
            files::remove(&folder.join(name))?;
        }
        let log = TrialLog::open(&folder.join(LOG))?;
        let device = self.device.0.to_string();
        let mut facts = facts::Facts { started: machine::now(), threads: self.threads as i64, device, ..facts::Facts::default() };
        let trained = log.record(|| {
            // A panic is a mistake of ours or of a plugin's; the other trials are run all the same.
            let trained = catch_unwind(AssertUnwindSafe(|| self.train(lease, &mut facts)));
            let trained = trained.unwrap_or_else(|panic| Err(Error::Other(format!("a mistake in the program: {}", panic_text(panic.as_ref())))));
            match &trained {
                Ok(evaluation) => tracing::info!(error = evaluation.error, seconds = facts.wall_seconds, "done"),
                Err(error @ (Error::Pruned(_) | Error::Cancelled)) => tracing::info!("{error}"),
                Err(error) => tracing::error!("{error}"),
            }
            trained
        });
        if lease.is_lost() || matches!(trained, Err(Error::Cancelled)) {
            return Err(Error::Cancelled);
        }
        facts.peak_memory_bytes = machine::peak_memory();
        let for_good = matches!(trained, Err(Error::NonFinite { .. }));
        facts.status = match &trained {
            Ok(_) => facts::DONE.to_owned(),
            Err(Error::Pruned(reason)) => format!("{}{reason}", facts::PRUNED),
            Err(error) => format!("{}{error}", if for_good { facts::DIVERGED } else { facts::FAILED }),
        };
        // A log that is not whole is a pity, and no reason to lose the trial.
        if let Err(error) = log.finish(&folder.join(LOG)) {
            tracing::warn!(trial = self.trial.id, "{error}");
        }
        facts::write(&folder.join(FACTS), self.trial, self.dataset.provenance(), &facts)?;
        Ok(match trained {
            Ok(evaluation) => Ended::Well(format!("test error {:.2} % after {} steps, {:.0} s", evaluation.error, facts.steps, facts.wall_seconds)),
            Err(Error::Pruned(reason)) => Ended::Pruned(reason),
            Err(error) => Ended::Failed { reason: error.to_string(), for_good },
        })
    }

    fn train(&self, lease: &Lease, facts: &mut facts::Facts) -> Result<Evaluation> {
        let (trial, folder, provenance) = (self.trial, lease.dir(), self.dataset.provenance());
        tracing::info!(trial = trial.id, experiment = self.experiment.name(), revision = machine::REVISION, threads = self.threads, "{}", trial.describe());
        tracing::info!(source = provenance.source, sha256 = provenance.sha256, "data");
        for line in self.plan.describe() {
            tracing::info!(parameters = line.parameters, "{}: {} -> {}", line.name, line.layer, line.output);
        }
        if self.device.0 != DeviceName::Cpu
            && let Some(warning) = on_processor(&self.plan.transformers_without_cuda(), self.experiment.without_cuda())?
        {
            tracing::warn!("{warning}");
        }
        facts.labels = Some(self.dataset.heads() as i64);
        facts.parameters = Some(self.plan.parameters() as i64);
        facts.width = self.plan.width().map(|width| width as i64);
        // One thread prepares batches while the others compute; two where there are many. Where a graphics card computes, the others have nothing else to do.
        let workers = match self.device.0 {
            DeviceName::Cpu if self.threads > 4 => 2,
            DeviceName::Cpu => 1,
            DeviceName::Cuda(_) => self.threads.clamp(1, 4),
        };
        let stop = Stop { cancel: &self.options.cancel, lost: lease.lost() };
        let observer = Reporting { lease, observer: self.observer };
        let trainer = Trainer {
            trial,
            plan: self.plan,
            dataset: self.dataset,
            objective: self.objective,
            observer: &observer,
            pruner: self.pruner,
            stop,
            device: &self.device.1,
            workers,
        };
        let mut keeper = Keeper::new(folder, &trial.id, &provenance.sha256, self.experiment.checkpoint_every());
        let mut measured = Measured::default();
        let tensor_float = self.trial.config.train.precision == Precision::Tf32;
        let trained = stn_ops::with_tensor_float(tensor_float, || trainer.train(&mut keeper, &mut measured));
        facts.steps = measured.steps as i64;
        facts.step_ms = measured.timing.step_ms();
        facts.data_wait_ms = measured.timing.data_wait_ms();
        facts.train_seconds = measured.timing.train_seconds();
        facts.wall_seconds = keeper.elapsed().as_secs_f64();
        tracing::info!(steps = facts.steps, step_ms = facts.step_ms, data_wait_ms = facts.data_wait_ms, seconds = facts.train_seconds, "trained");
        if matches!(trained, Err(Error::Cancelled)) {
            return Err(Error::Cancelled);
        }
        metrics::write(&folder.join(METRICS), &measured.rows)?;
        let trained = trained.map_err(|error| error.on(&self.device.1))?;
        frame::write_frame(&folder.join(CONFUSION), trained.confusion.frame()?, frame::ARRAYS)?;
        frame::write_frame(&folder.join(THETAS), trained.thetas, frame::ARRAYS)?;
        frame::write_frame(&folder.join(WARPS), trained.warps, frame::ARRAYS)?;
        frame::write_frame(&folder.join(WORST), trained.worst, frame::ARRAYS)?;
        weights::write(&folder.join(WEIGHTS), &trained.network)?;
        facts.test_error = Some(trained.evaluation.error);
        facts.test_loss = Some(trained.evaluation.loss);
        Ok(trained.evaluation)
    }
}

/// Passes on what an observer hears, and tells the lease how far the trial is.
struct Reporting<'a> {
    lease: &'a Lease,
    observer: &'a dyn Observer,
}

impl Observer for Reporting<'_> {
    fn trial_resumed(&self, trial: &Trial, step: u64) {
        self.lease.progress().step(step, trial.config.train.steps, None);
        self.observer.trial_resumed(trial, step);
    }

    fn step(&self, trial: &Trial, step: u64, steps: u64, loss: f64) {
        self.lease.progress().step(step, steps, Some(loss));
        self.observer.step(trial, step, steps, loss);
    }

    fn evaluated(&self, trial: &Trial, step: u64, error: f64) {
        self.observer.evaluated(trial, step, error);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Refuses transformers whose kernels have no code for graphics cards, or says that they read on the processor, as was chosen.
fn on_processor(transformers: &[String], chosen: WithoutCuda) -> Result<Option<String>> {
    if transformers.is_empty() {
        return Ok(None);
    }
    let names = transformers.join(", ");
    match chosen {
        WithoutCuda::Refuse => Err(Error::Other(format!(
            "{names}: the sampling kernel has no code for graphics cards. Use --device cpu; or let it read on the processor, which is slow, by run.without_cuda=\"processor\"; or give the kernel a `cuda_source`"
        ))),
        WithoutCuda::Processor => Ok(Some(format!("{names}: the sampling kernel has no code for graphics cards and reads on the processor, which is slow"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_code_for_cards_is_refused_or_reads_on_the_processor_as_chosen() {
        let names = ["st (affine, own, zeros)".to_owned()];
        let refused = on_processor(&names, WithoutCuda::Refuse).unwrap_err().to_string();
        assert!(["st (affine, own, zeros)", "--device cpu", "run.without_cuda", "cuda_source"].iter().all(|part| refused.contains(part)), "{refused}");
        assert!(on_processor(&names, WithoutCuda::Processor).unwrap().unwrap().contains("processor"));
        assert_eq!(on_processor(&[], WithoutCuda::Refuse).unwrap(), None);
    }
}
