//! A task of an array, from inside: what it may use, and how it queues again.

use std::time::Duration;

use super::queue::ask;
use crate::{Error, Result, machine};

/// How often, and how far apart, the controller is asked again where it does not answer.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(3);

/// What becomes of a task that was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It is in the queue again, and goes on from its checkpoint.
    Requeued,
    /// Somebody has cancelled it, or Slurm has queued it again already.
    Ending,
}

/// How many processors Slurm gave this task; `None` outside of one.
pub fn task_threads() -> Option<usize> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok().filter(|number| *number > 0);
    number("SLURM_CPUS_PER_TASK").or_else(|| number("SLURM_CPUS_ON_NODE"))
}

/// Queues this task again, unless it was cancelled. Its trial's checkpoint has to be written, and its lease given back.
///
/// # Errors
///
/// Where this is no task of Slurm's, or the controller does not answer, or does not want to.
pub fn requeue_task() -> Result<Stopped> {
    let Some(job) = machine::job() else { return Err(Error::Other("this is no task of a Slurm job".into())) };
    let mut tries = 0;
    loop {
        let outcome = look(&job).and_then(|ending| {
            if ending {
                return Ok(Stopped::Ending);
            }
            ask("scontrol", ["requeue", &job]).map(|_| Stopped::Requeued)
        });
        tries += 1;
        match outcome {
            Err(error) if tries < TRIES => {
                tracing::warn!("asked to queue again: {error}");
                std::thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// Whether the task is at its end for another reason than its time.
fn look(job: &str) -> Result<bool> {
    ask("squeue", ["--noheader", "--array", "--jobs", job, "--format=%T|%r"]).map(|line| is_ending(&line))
}

/// A task that was only signalled is still running, one that has used up its time says so, and any other end is somebody's wish.
fn is_ending(line: &str) -> bool {
    let (state, reason) = line.lines().next().unwrap_or_default().split_once('|').unwrap_or_default();
    state != "RUNNING" && reason != "TimeLimit"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_goes_on_after_a_signal_or_its_time_and_not_after_it_was_cancelled() {
        assert!(!is_ending("RUNNING|None"));
        assert!(!is_ending("COMPLETING|TimeLimit"));
        assert!(is_ending("COMPLETING|None"));
        assert!(is_ending("PENDING|BeginTime"));
        assert!(is_ending(""));
    }
}
