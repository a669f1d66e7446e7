//! `stn run --executor slurm`: trials as tasks of a cluster, and the end of such a task.

use stn_core::Registry;
use stn_lab::{DeviceName, Experiment, RunOptions, RunSummary, Stopped, TaskCommand};

use crate::Failure;
use crate::arguments::Run;
use crate::terminal::{answer, tell};

/// Submits what is to do, and says what to type next.
pub(crate) fn submit(arguments: &Run, experiment: &Experiment, registry: &Registry) -> Result<(), Failure> {
    if arguments.jobs.is_some_and(|jobs| jobs != 1) {
        return Err(Failure::Message("each task of a cluster runs one trial: leave --jobs out, and bound the tasks at once with --throttle".into()));
    }
    let [device] = arguments.devices.as_slice() else {
        return Err(Failure::Message("each task of a cluster runs one trial, on one device: give --device one name, as a task sees it".into()));
    };
    let program = std::env::current_exe().map_err(Failure::message)?;
    let threads = arguments.threads.map(|threads| ["--threads".to_owned(), threads.to_string()]);
    let memory = arguments.memory.map(|bytes| ["--memory".to_owned(), format!("{bytes}B")]);
    let device = (*device != DeviceName::Cpu).then(|| ["--device".to_owned(), device.to_string()]);
    let task = TaskCommand { program, arguments: threads.into_iter().chain(memory).chain(device).flatten().collect() };
    let only = (!arguments.trials.is_empty()).then(|| arguments.trials.clone());
    let options = RunOptions { only, ..RunOptions::new(&arguments.out, 0) };
    let submitted = stn_lab::submit(experiment, &options, &task, registry).map_err(super::run::failure)?;
    for (job, tasks) in &submitted.jobs {
        answer(format!("job {job}: {tasks} {}", if *tasks == 1 { "trial" } else { "trials" }));
    }
    let before = [
        (submitted.done, "done"),
        (submitted.pruned, "pruned"),
        (submitted.running, "at work"),
        (submitted.queued, "in the queue already"),
        (submitted.failed.len(), "failed for good"),
    ];
    let before: Vec<String> = before.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if !before.is_empty() {
        answer(format!("not submitted: {}", before.join(", ")));
    }
    let dir = submitted.dir.display();
    if submitted.jobs.is_empty() && submitted.running + submitted.queued == 0 {
        answer(format!("nothing is left to do; `stn report {dir}` makes the tables and figures"));
    } else {
        answer(format!("`stn status {dir}` shows how far they are; the same command submits what was cancelled or lost"));
        answer(format!("when they are done, `stn run` without --executor, or `stn report {dir}`, makes the tables and figures"));
    }
    match submitted.failed.as_slice() {
        [] => Ok(()),
        failed => {
            let lines: Vec<String> = failed.iter().map(|(trial, reason)| format!("\n  {trial}: {reason}")).collect();
            Err(Failure::Message(format!("{} trials failed and would fail again{}", failed.len(), lines.concat())))
        }
    }
}

/// The end of a task: no report, and where it was told to stop, back into the queue.
pub(crate) fn end_task(summary: &RunSummary) -> Result<(), Failure> {
    if summary.cancelled {
        return match stn_lab::requeue_task() {
            Ok(Stopped::Requeued) => {
                tell("stopped, and in the queue again; the task goes on from its checkpoint");
                Ok(())
            }
            Ok(Stopped::Ending) => Err(Failure::Message("stopped; its checkpoint is kept".into())),
            Err(error) => Err(Failure::Message(format!("stopped, and not in the queue again: {error}"))),
        };
    }
    summary.elsewhere.iter().for_each(|trial| tell(format!("left to another run: {trial}")));
    let failed: Vec<String> = summary.failed.iter().map(|(trial, reason)| format!("{trial}: {reason}")).collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Message(failed.join("\n"))) }
}
