//! `stn run`: an experiment from its file to its figures.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use indicatif::HumanDuration;
use signal_hook::consts::{SIGINT, SIGTERM};
use stn_core::Registry;
use stn_lab::{Experiment, RunOptions, TrialState};

use crate::Failure;
use crate::arguments::{Executor, Run};
use crate::progress::Progress;
use crate::terminal::{answer, tell};

pub(crate) fn run(arguments: &Run, registry: &Registry) -> Result<(), Failure> {
    let experiment = Experiment::load(&arguments.file, &overrides(arguments)?, registry).map_err(|d| Failure::Diagnosed(d.to_string()))?;
    let faults = stn_report::check(experiment.table());
    if !faults.is_empty() {
        return Err(Failure::Diagnosed(experiment.diagnose(&faults).to_string()));
    }
    if arguments.dry_run {
        return dry_run(&experiment, arguments);
    }
    if arguments.tensorboard && arguments.executor != Executor::Local {
        return Err(Failure::Message(
            "--tensorboard comes with the report, which a submission does not make; give it to `stn report` once trials have ended".into(),
        ));
    }
    if arguments.executor == Executor::Slurm {
        return super::slurm::submit(arguments, &experiment, registry);
    }
    let task = arguments.executor == Executor::SlurmTask;
    let cancel = stop_signals(task)?;
    let given = arguments.threads.map(usize::from).or_else(|| stn_lab::task_threads().filter(|_| task));
    let threads = given.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    let only = (!arguments.trials.is_empty()).then(|| arguments.trials.clone());
    let devices = arguments.devices.clone();
    let jobs = arguments.jobs.map_or(devices.len(), usize::from);
    let options = RunOptions { cancel, jobs, devices, memory: arguments.memory, only, task, ..RunOptions::new(&arguments.out, threads) };
    let progress = Progress::new(&experiment);
    let summary = stn_lab::run(&experiment, &options, registry, &progress).map_err(failure)?;
    progress.finish();
    if task {
        return super::slurm::end_task(&summary);
    }
    if summary.cancelled {
        summary.elsewhere.iter().for_each(|trial| tell(format!("still at work elsewhere: {trial}")));
        return Err(Failure::Message("stopped before the end; the same command goes on from there".into()));
    }
    // Without a finished trial there is nothing to report but the failures.
    let reported =
        if summary.trained.is_empty() && summary.already_done.is_empty() { Ok(()) } else { super::report::write(&summary.dir, arguments.tensorboard) };
    if summary.failed.is_empty() {
        return reported;
    }
    let failures: Vec<_> = summary.failed.iter().map(|(trial, reason)| format!("\n  {trial}: {reason}")).collect();
    let report = reported.err().map(|failure| format!("\n{failure}")).unwrap_or_default();
    Err(Failure::Message(format!("{} of {} trials failed{}{report}", failures.len(), experiment.trials().len(), failures.concat())))
}

/// An error of a run in words.
pub(crate) fn failure(error: stn_lab::Error) -> Failure {
    match error {
        stn_lab::Error::Misfit(diagnostics) => Failure::Diagnosed(diagnostics.to_string()),
        other => Failure::message(other),
    }
}

/// The arguments that change keys, the flags for Slurm among them.
fn overrides(arguments: &Run) -> Result<Vec<String>, Failure> {
    let flags = arguments.slurm.given();
    match flags.first() {
        Some((key, _)) if arguments.executor != Executor::Slurm => {
            Err(Failure::Message(format!("--{} is for a cluster; add --executor slurm", key.replace('_', "-"))))
        }
        _ => Ok(arguments.overrides.iter().cloned().chain(flags.into_iter().map(|(key, value)| format!("slurm.{key}={value}"))).collect()),
    }
}

/// SIGINT or SIGTERM once asks the trainer to stop after its step; twice ends the process. A scheduler's `task` only stops: it is signalled again at its end, which must not keep it
/// from its checkpoint, and killed soon after.
fn stop_signals(task: bool) -> Result<Arc<AtomicBool>, Failure> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        if !task {
            // Before the flag: the first signal finds it false and only sets it.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancel)).map_err(Failure::message)?;
        }
        signal_hook::flag::register(signal, Arc::clone(&cancel)).map_err(Failure::message)?;
    }
    Ok(cancel)
}

/// Every trial, how far it is, and how long it should take.
fn dry_run(experiment: &Experiment, arguments: &Run) -> Result<(), Failure> {
    let (states, times) = experiment.forecast(&arguments.out).map_err(Failure::message)?;
    let mut table = super::table(["trial", "model", "seed", "differs", "state", "time left"]);
    for ((trial, state), time) in experiment.trials().iter().zip(&states).zip(&times) {
        let differs: Vec<_> = trial.differs.iter().filter(|(key, _)| *key != "model").map(|(key, value)| format!("{key}={value}")).collect();
        let time = match (state, time) {
            (TrialState::Done { .. }, _) => String::new(),
            (_, Some(time)) => HumanDuration(*time).to_string(),
            (_, None) => "unknown".into(),
        };
        table.add_row([trial.id.clone(), trial.label.clone(), trial.seed.to_string(), differs.join(" "), in_words(state), time]);
    }
    answer(table);
    answer(all_together(&states, &times));
    Ok(())
}

fn in_words(state: &TrialState) -> String {
    match state {
        TrialState::Done { .. } => "done".into(),
        TrialState::Pruned { reason, .. } => format!("pruned: {reason}"),
        TrialState::Failed { reason, for_good: true, .. } => format!("failed: {reason}"),
        TrialState::Failed { reason, .. } => format!("failed, and will be tried again: {reason}"),
        TrialState::Running(said) => format!("at work at step {} (process {} on {})", said.step, said.holder.pid, said.holder.host),
        TrialState::PartDone(step) => format!("part-done at step {step}"),
        TrialState::ToDo => "to do".into(),
    }
}

/// How many trials are in each state, and the time that those left need one after another.
fn all_together(states: &[TrialState], times: &[Option<Duration>]) -> String {
    let count = |of: fn(&TrialState) -> bool| states.iter().filter(|state| of(state)).count();
    let counts = [
        (count(|state| matches!(state, TrialState::Done { .. })), "done"),
        (count(|state| matches!(state, TrialState::Running(_))), "at work"),
        (count(|state| matches!(state, TrialState::PartDone(_))), "part-done"),
        (count(|state| matches!(state, TrialState::Pruned { .. })), "pruned"),
        (count(|state| matches!(state, TrialState::Failed { .. })), "failed"),
        (count(|state| matches!(state, TrialState::ToDo)), "to do"),
    ];
    let counts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let total: Duration = times.iter().flatten().sum();
    let unknown = times.iter().filter(|time| time.is_none()).count();
    let left = match (total.is_zero(), unknown) {
        (true, 0) => String::new(),
        (true, _) => "; no trial like those left has been measured".into(),
        (false, 0) => format!("; about {} left, one after another", HumanDuration(total)),
        (false, unknown) => format!("; about {} left, one after another, and {unknown} trials like none measured", HumanDuration(total)),
    };
    format!("{} trials: {}{left}", states.len(), counts.join(", "))
}
