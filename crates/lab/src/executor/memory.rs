//! How much memory trials need, and how much they may take together.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytesize::ByteSize;
use candle_core::Device;
use stn_nn::Plan;

use crate::trainer::Objective;
use crate::{TrainSpec, Trial};

/// What a trial holds beside what is counted: code, threads, batches ahead.
const BESIDE: u64 = 64 << 20;
/// How often a trial that waits for memory looks whether the run was stopped.
const LOOK: Duration = Duration::from_millis(100);

/// The memory that a trial needs at most, in bytes, by its networks and batches; the data set, which trials share, is not in it.
///
/// An encoder is trained before the trial's network is; afterwards it sees two pieces of every image, and one of them on the way back, too.
pub(crate) fn need(trial: &Trial, plan: &Plan, objective: &Objective) -> u64 {
    let train = &trial.config.train;
    let size = train.precision.dtype().size_in_bytes() as u64;
    let own = training(plan, train);
    let numbers = match objective.encoder() {
        None => own,
        Some((encoder, encoder_train)) => {
            let judging = encoder.parameters() as u64 + 3 * outputs(encoder, train.batch);
            own.saturating_add(judging).max(training(encoder, encoder_train))
        }
    };
    BESIDE + numbers.saturating_mul(size)
}

/// The numbers that training takes: parameters are there once themselves, once for each number that the optimiser keeps of them, and once more while a checkpoint is written; what
/// every layer gives for a batch is there once forward and at most once more as its gradient.
fn training(plan: &Plan, train: &TrainSpec) -> u64 {
    let copies = 2 * (1 + train.optimizer.kept().len() as u64);
    plan.parameters() as u64 * copies + 2 * outputs(plan, train.batch)
}

/// The numbers that all layers give for a batch.
fn outputs(plan: &Plan, batch: usize) -> u64 {
    plan.outputs() as u64 * batch as u64
}

/// The memory that trials may take together on a device.
#[derive(Debug)]
pub(crate) struct Budget {
    /// `None` where system or card does not say how much there is.
    limit: Option<u64>,
    used: Mutex<u64>,
    freed: Condvar,
}

/// A trial's part of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    /// So many bytes, or what is free on the device now.
    pub fn new(limit: Option<u64>, device: &Device) -> Self {
        let free = || if device.is_cpu() { free() } else { stn_ops::free_memory(device) };
        Self { limit: limit.or_else(free), used: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits until so much is left; `None` where there is never so much, or the run is stopped.
    pub fn hold(&self, bytes: u64, cancel: &AtomicBool) -> Option<Held<'_>> {
        if self.limit.is_some_and(|limit| bytes > limit) {
            return None;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while self.limit.is_some_and(|limit| *used + bytes > limit) {
            if cancel.load(Ordering::Relaxed) {
                return None;
            }
            used = self.freed.wait_timeout(used, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *used += bytes;
        Some(Held { budget: self, bytes })
    }

    /// Why a trial of so many bytes is not run.
    pub fn refusal(&self, bytes: u64) -> String {
        let limit = self.limit.unwrap_or_default();
        format!(
            "it needs about {} of memory and {} may be used: take a smaller train.batch or network, or allow more with --memory",
            ByteSize(bytes),
            ByteSize(limit)
        )
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.budget.used.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.budget.freed.notify_all();
    }
}

/// The memory that is free now: the machine's, or what is left of the group's that the process is in.
fn free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10;
    let number = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    // The group that the process is in, and those around it: a scheduler's limit may stand on any.
    let of_process = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = of_process.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let left = |group: &Path| Some(number(group.join("memory.max"))?.saturating_sub(number(group.join("memory.current"))?));
    let groups = Path::new("/sys/fs/cgroup").join(path);
    Some(groups.ancestors().take_while(|group| group.starts_with("/sys/fs/cgroup")).filter_map(left).fold(machine, u64::min))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        let budget = Budget::new(Some(10), &Device::Cpu);
        let cancel = AtomicBool::new(false);
        let first = budget.hold(6, &cancel).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| budget.hold(6, &cancel).is_some());
            std::thread::sleep(Duration::from_millis(10));
            drop(first);
            assert!(second.join().unwrap());
        });
        assert_eq!(*budget.used.lock().unwrap(), 0);
    }

    #[test]
    fn what_never_fits_is_refused_with_the_figures() {
        let budget = Budget::new(Some(1 << 30), &Device::Cpu);
        assert!(budget.hold(3 << 30, &AtomicBool::new(false)).is_none());
        let words = budget.refusal(3 << 30);
        assert!(budget.refusal(70 << 20).contains("70.0 MiB"));
        assert!(words.contains("3.0 GiB") && words.contains("1.0 GiB") && words.contains("--memory"), "{words}");
    }

    #[test]
    fn one_that_waits_hears_of_the_end() {
        let budget = Budget::new(Some(10), &Device::Cpu);
        let cancel = AtomicBool::new(true);
        let _first = budget.hold(6, &cancel).unwrap();
        assert!(budget.hold(6, &cancel).is_none());
    }
}
