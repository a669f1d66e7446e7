//! `stn status`: how far an experiment is, from its folder.

use stn_lab::{Overview, TrialState, TrialStatus};

use crate::Failure;
use crate::arguments::Status;
use crate::terminal::{answer, tell};

pub(crate) fn run(arguments: &Status) -> Result<(), Failure> {
    let dir = &arguments.dir;
    if !dir.join("plan.parquet").is_file() {
        return Err(Failure::Message(format!("{} is no experiment's folder of results, such as results/quickstart", dir.display())));
    }
    let overview = stn_lab::overview(dir).map_err(Failure::message)?;
    if let Some(reason) = &overview.queue_silent {
        tell(format!("warning: what is in the queue is not known: {reason}"));
    }
    answer(counts(&overview));
    let unfinished: Vec<&TrialStatus> = overview.trials.iter().filter(|trial| !matches!(trial.state, TrialState::Done { .. })).collect();
    if !unfinished.is_empty() {
        let mut table = super::table(["trial", "model", "seed", "differs", "state", "steps", "loss", "held by", "job"]);
        unfinished.into_iter().for_each(|trial| {
            table.add_row(row(trial));
        });
        answer(table);
    }
    Ok(())
}

fn counts(overview: &Overview) -> String {
    let count = |is: fn(&TrialStatus) -> bool| overview.trials.iter().filter(|trial| is(trial)).count();
    let counts = [
        (count(|trial| matches!(trial.state, TrialState::Done { .. })), "done"),
        (count(|trial| matches!(trial.state, TrialState::Running(_))), "running"),
        (count(|trial| matches!(trial.state, TrialState::PartDone(_))), "part-done"),
        (count(|trial| matches!(trial.state, TrialState::Pruned { .. })), "pruned"),
        (count(|trial| matches!(trial.state, TrialState::Failed { .. })), "failed"),
        (count(|trial| matches!(trial.state, TrialState::ToDo)), "to do"),
    ];
    let words: Vec<String> = counts.iter().map(|(count, state)| format!("{count} {state}")).collect();
    let total = overview.trials.len();
    format!("{total} {}: {}", if total == 1 { "trial" } else { "trials" }, words.join(", "))
}

fn row(trial: &TrialStatus) -> [String; 9] {
    let differs: Vec<String> = trial.differs.iter().filter(|(key, _)| *key != "model").map(|(key, value)| format!("{key}={value}")).collect();
    let nothing = String::new;
    let (state, steps, loss, holder) = match &trial.state {
        TrialState::Running(said) => (
            "running".to_owned(),
            format!("{}/{}", said.step, said.steps),
            said.loss.map_or_else(nothing, |loss| format!("{loss:.4}")),
            format!("{} on {}", said.holder.pid, said.holder.host),
        ),
        TrialState::PartDone(step) => ("part-done".to_owned(), step.to_string(), nothing(), nothing()),
        TrialState::Pruned { reason, .. } => (format!("pruned: {reason}"), nothing(), nothing(), nothing()),
        TrialState::Failed { reason, .. } => (format!("failed: {reason}"), nothing(), nothing(), nothing()),
        TrialState::ToDo => ("to do".to_owned(), nothing(), nothing(), nothing()),
        TrialState::Done { .. } => ("done".to_owned(), nothing(), nothing(), nothing()),
    };
    let of_holder = if let TrialState::Running(said) = &trial.state { said.job.clone() } else { None };
    let job = match &trial.task {
        Some(task) => format!("{} {} ({})", task.job, task.state, task.reason),
        None => of_holder.unwrap_or_default(),
    };
    [trial.id.clone(), trial.label.clone(), trial.seed.to_string(), differs.join(" "), state, steps, loss, holder, job]
}
