//! Trials that somebody else works at: they come last, and are waited for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often such a trial is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often one who waits looks whether the run was stopped.
const LOOK: Duration = Duration::from_millis(100);

/// The trials that others work at, each with the time when it is to be looked at again, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<VecDeque<(Instant, usize)>>);

impl Waiting {
    /// Puts trial number `index` off.
    pub fn put(&self, index: usize) {
        self.trials().push_back((Instant::now() + EVERY, index));
    }

    /// Waits until it is time to look at a trial again, and hands it out; `None` where no trial is left or the run is stopped.
    pub fn next(&self, cancel: &AtomicBool) -> Option<usize> {
        while !cancel.load(Ordering::Relaxed) {
            let mut trials = self.trials();
            let (due, index) = *trials.front()?;
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                trials.pop_front();
                return Some(index);
            }
            drop(trials);
            std::thread::sleep(left.min(LOOK));
        }
        None
    }

    /// The numbers of the trials that are waited for.
    pub fn left(&self) -> Vec<usize> {
        self.trials().iter().map(|(_, index)| *index).collect()
    }

    fn trials(&self) -> MutexGuard<'_, VecDeque<(Instant, usize)>> {
        // A poisoned lock only means that another thread panicked between two looks.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
