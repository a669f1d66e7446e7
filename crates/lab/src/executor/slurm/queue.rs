//! Slurm's own programs, asked as any user would: what they print is read, and what they will not do is told in their words.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::Command;

use crate::{Error, Result};

/// What stands between the fields that squeue prints.
const BETWEEN: char = '|';
/// The length of the longest array where the cluster does not say: Slurm's own default.
const ARRAY: usize = 1001;
/// What the environment of a job hands down to those submitted from it, and what they must not take for their own.
const OF_A_JOB: [&str; 4] = ["SLURM_JOB", "SLURM_ARRAY", "SLURM_RESTART_COUNT", "SLURM_CPUS"];

/// A task as the queue knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedTask {
    /// The array's job and the task's number in it: `123_4`.
    pub job: String,
    /// Slurm's word: `PENDING`, `RUNNING`, `COMPLETING` ...
    pub state: String,
    /// Why it waits, or where it runs.
    pub reason: String,
}

impl QueuedTask {
    /// Whether it will run, or runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.state != "COMPLETING"
    }
}

/// What a program printed.
pub(crate) fn ask<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    // A name or a list of steps of an outer job is not the new one's.
    if program == "sbatch" {
        std::env::vars_os().filter(|(name, _)| OF_A_JOB.iter().any(|prefix| name.to_string_lossy().starts_with(prefix))).for_each(|(name, _)| {
            command.env_remove(name);
        });
    }
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Other(format!("there is no {program} here: is Slurm installed, and is this a machine of the cluster?")),
        _ => Error::Other(format!("cannot start {program}: {error}")),
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(Error::Other(format!(
            "{program}: {}",
            text(&output.stderr).lines().map(|line| line.trim_start_matches(&format!("{program}: "))).collect::<Vec<_>>().join("; ")
        )))
    }
}

/// The tasks of these jobs that the queue still knows, by job and number.
pub(crate) fn tasks(name: &str, jobs: &[&str]) -> Result<BTreeMap<String, QueuedTask>> {
    if jobs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let jobs = jobs.join(",");
    match ask("squeue", ["--noheader", "--array", "--jobs", &jobs, "--format=%F|%K|%T|%j|%R"]) {
        Ok(text) => Ok(read(name, &text)),
        // So it says where it knows none of them any more.
        Err(error) if error.to_string().contains("Invalid job id") => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// Reads squeue's lines; a job of another name is another cluster's, or the number was given again.
fn read(name: &str, text: &str) -> BTreeMap<String, QueuedTask> {
    let task = |line: &str| {
        let fields: Vec<&str> = line.splitn(5, BETWEEN).collect();
        let [job, number, state, of, reason] = fields.as_slice() else { return None };
        let task = QueuedTask { job: format!("{job}_{number}"), state: (*state).to_owned(), reason: reason.trim_matches(['(', ')']).to_owned() };
        (*of == job_name(name)).then_some((task.job.clone(), task))
    };
    text.lines().filter_map(task).collect()
}

/// What the jobs of an experiment are called.
pub(crate) fn job_name(experiment: &str) -> String {
    format!("stn-{experiment}")
}

/// How many tasks an array of this cluster can have.
pub(crate) fn longest_array() -> usize {
    let config = ask("scontrol", ["show", "config"]).unwrap_or_default();
    let line = config.lines().find_map(|line| line.strip_prefix("MaxArraySize")).and_then(|line| line.split_once('='));
    line.and_then(|(_, number)| number.trim().parse().ok()).filter(|number| *number > 0).unwrap_or(ARRAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_read_by_job_and_number() {
        let text = "12|0|RUNNING|stn-a|n1\n12|3|PENDING|stn-a|(Resources)\n13|0|RUNNING|stn-b|n2\n14|1|COMPLETING|stn-a|n2\nodd";
        let tasks = read("a", text);
        assert_eq!(tasks.keys().collect::<Vec<_>>(), ["12_0", "12_3", "14_1"]);
        assert_eq!(tasks["12_3"], QueuedTask { job: "12_3".into(), state: "PENDING".into(), reason: "Resources".into() });
        assert!(tasks["12_0"].is_alive() && !tasks["14_1"].is_alive());
    }

    #[test]
    fn a_program_that_is_not_there_is_told() {
        let error = ask("no-such-program", ["x"]).unwrap_err().to_string();
        assert!(error.contains("no-such-program") && error.contains("cluster"), "{error}");
    }
}
