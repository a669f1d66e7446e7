//! `stn run`: an experiment from its file to its figures.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use comfy_table::Table;
use signal_hook::consts::{SIGINT, SIGTERM};
use stn_core::Registry;
use stn_lab::{Experiment, RunOptions};

use crate::Failure;
use crate::arguments::Run;
use crate::progress::Progress;
use crate::terminal::answer;

pub(crate) fn run(arguments: &Run, registry: &Registry) -> Result<(), Failure> {
    let experiment = Experiment::load(&arguments.file, &arguments.overrides, registry).map_err(|d| Failure::Diagnosed(d.to_string()))?;
    let faults = stn_report::check(experiment.table());
    if !faults.is_empty() {
        return Err(Failure::Diagnosed(experiment.diagnose(&faults).to_string()));
    }
    if arguments.dry_run {
        answer(plan(&experiment));
        return Ok(());
    }
    let cancel = stop_signals()?;
    let threads = arguments.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, Into::into), usize::from);
    let only = (!arguments.trials.is_empty()).then(|| arguments.trials.clone());
    let jobs = usize::from(arguments.jobs);
    let options = RunOptions { cancel, jobs, memory: arguments.memory, only, ..RunOptions::new(&arguments.out, threads) };
    let progress = Progress::new(experiment.trials().len());
    let summary = stn_lab::run(&experiment, &options, registry, &progress).map_err(|error| match error {
        stn_lab::Error::Misfit(diagnostics) => Failure::Diagnosed(diagnostics.to_string()),
        other => Failure::message(other),
    })?;
    progress.finish();
    if summary.cancelled {
        return Err(Failure::Message("stopped before the end; the same command goes on from there".into()));
    }
    // Without a finished trial there is nothing to report but the failures.
    let reported = if summary.trained.is_empty() && summary.already_done.is_empty() { Ok(()) } else { super::report::write(&summary.dir) };
    if summary.failed.is_empty() {
        return reported;
    }
    let failures: Vec<_> = summary.failed.iter().map(|(trial, reason)| format!("\n  {trial}: {reason}")).collect();
    let report = reported.err().map(|failure| format!("\n{failure}")).unwrap_or_default();
    Err(Failure::Message(format!("{} of {} trials failed{}{report}", failures.len(), experiment.trials().len(), failures.concat())))
}

/// SIGINT or SIGTERM once asks the trainer to stop after its step; twice ends the process.
fn stop_signals() -> Result<Arc<AtomicBool>, Failure> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag false and only sets it.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancel)).map_err(Failure::message)?;
        signal_hook::flag::register(signal, Arc::clone(&cancel)).map_err(Failure::message)?;
    }
    Ok(cancel)
}

fn plan(experiment: &Experiment) -> Table {
    let mut table = super::table(["trial", "model", "seed", "differs"]);
    for trial in experiment.trials() {
        let differs: Vec<_> = trial.differs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        table.add_row([trial.id.clone(), trial.label.clone(), trial.seed.to_string(), differs.join(" ")]);
    }
    table
}
