//! Tasks dealt to the threads of the pool.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Has the threads of the pool do tasks `0..tasks`, each once. Every thread calls `work` with those that are dealt to it, up to so many neighbours at a time; one for which
/// there are none does not.
///
/// A parallel iterator makes a few large parts of many small tasks, and a thread whose part ends early falls asleep: to be woken takes as long as some tasks.
pub(crate) fn deal(tasks: usize, at_a_time: usize, work: impl Fn(Dealt<'_>) + Sync) {
    let (threads, at_a_time) = (rayon::current_num_threads(), at_a_time.max(1));
    let parts = tasks.div_ceil(at_a_time);
    let run = parts.div_ceil(threads) * at_a_time;
    let hands: Vec<_> = (0..threads).map(|own| Hand(Mutex::new(tasks.min(own * run)..tasks.min((own + 1) * run)))).collect();
    let help = || {
        let mut dealt = Dealt { hands: &hands, own: rayon::current_thread_index().unwrap_or(0) % threads, at_a_time, first: None };
        dealt.first = dealt.next();
        if dealt.first.is_some() {
            work(dealt);
        }
    };
    rayon::scope(|scope| {
        for _ in 1..threads.min(parts) {
            scope.spawn(|_| help());
        }
        help();
    });
}

/// The tasks left to a thread, in a cache line of their own: those of another come and go as often as these.
#[repr(align(128))]
struct Hand(Mutex<Range<usize>>);

/// The tasks that a thread is dealt, one after the other: first those of a run of its own, the same one whenever as many are dealt, for what they read and write is in its
/// cache; then what others have left.
pub(crate) struct Dealt<'a> {
    hands: &'a [Hand],
    own: usize,
    at_a_time: usize,
    first: Option<Range<usize>>,
}

impl Iterator for Dealt<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let taken = |hand: usize| {
            let mut left = self.hands[hand % self.hands.len()].0.lock().unwrap_or_else(PoisonError::into_inner);
            if left.is_empty() {
                return None;
            }
            if hand == self.own {
                let taken = left.start..left.end.min(left.start + self.at_a_time);
                left.start = taken.end;
                return Some(taken);
            }
            // Another's from the far end, of which there may be fewer.
            let taken = left.start + (left.len() - 1) / self.at_a_time * self.at_a_time..left.end;
            left.end = taken.start;
            Some(taken)
        };
        self.first.take().or_else(|| (self.own..self.own + self.hands.len()).find_map(taken))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn on<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    #[test]
    fn every_task_is_done_once_and_its_neighbours_with_it() {
        for (threads, count, at_a_time) in [(1, 7, 2), (2, 7, 2), (3, 40, 3), (4, 3, 2), (2, 1, 5), (2, 0, 1), (2, 3, 0)] {
            let done = Mutex::new(Vec::new());
            on(threads, || deal(count, at_a_time, |dealt| dealt.for_each(|tasks| done.lock().unwrap().push(tasks))));
            let mut done = done.into_inner().unwrap();
            assert!(done.iter().all(|tasks| (1..=at_a_time.max(1)).contains(&tasks.len()) && tasks.start % at_a_time.max(1) == 0), "{done:?}");
            done.sort_by_key(|tasks| tasks.start);
            assert_eq!(done.into_iter().flatten().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_thread_is_dealt_its_tasks_at_once_and_not_called_for_none() {
        let calls = AtomicUsize::new(0);
        on(3, || {
            deal(100, 1, |dealt| {
                calls.fetch_add(1, Ordering::SeqCst);
                assert!(dealt.inspect(|_| std::thread::yield_now()).count() > 0);
            });
        });
        assert!((1..=3).contains(&calls.load(Ordering::SeqCst)));
        on(3, || deal(0, 1, |_| unreachable!("no task")));
    }

    #[test]
    fn a_thread_that_is_done_helps_the_others() {
        // The first task of all waits for every other one, those of its own run among them.
        let done = AtomicUsize::new(0);
        on(2, || {
            deal(20, 1, |dealt| {
                for tasks in dealt {
                    while tasks == (0..1) && done.load(Ordering::SeqCst) < 19 {
                        std::hint::spin_loop();
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        });
        assert_eq!(done.load(Ordering::SeqCst), 20);
    }
}
