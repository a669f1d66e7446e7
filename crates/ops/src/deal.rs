//! Tasks dealt to the threads of the pool.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Has the threads of the pool do tasks, so many at a time: each first those of a run of its own, the same one whenever as many are dealt, for what they read and write is in
/// its cache; then what others have left. Each thread makes itself `memory` once.
///
/// A parallel iterator makes a few large parts of many small tasks, and a thread whose part ends early falls asleep: to be woken takes as long as some tasks.
pub(crate) fn deal<I: Send, S>(tasks: Vec<I>, at_a_time: usize, memory: impl Fn() -> S + Sync, work: impl Fn(&mut S, Vec<I>) + Sync) {
    let (threads, at_a_time) = (rayon::current_num_threads(), at_a_time.max(1));
    let parts = tasks.len().div_ceil(at_a_time);
    let run = parts.div_ceil(threads) * at_a_time;
    let mut tasks = tasks.into_iter();
    let hands: Vec<_> = (0..threads).map(|_| Hand(Mutex::new(tasks.by_ref().take(run).collect()))).collect();
    let next = |own: usize| {
        (own..own + threads).find_map(|hand| {
            let mut tasks = hands[hand % threads].0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = at_a_time.min(tasks.len());
            // Another's from the far end.
            let first = if hand == own { 0 } else { tasks.len() - count };
            (count > 0).then(|| tasks.drain(first..first + count).collect::<Vec<_>>())
        })
    };
    let help = || {
        let own = rayon::current_thread_index().unwrap_or(0) % threads;
        if let Some(first) = next(own) {
            let mut memory = memory();
            work(&mut memory, first);
            while let Some(tasks) = next(own) {
                work(&mut memory, tasks);
            }
        }
    };
    rayon::scope(|scope| {
        for _ in 1..threads.min(parts) {
            scope.spawn(|_| help());
        }
        help();
    });
}

/// The tasks of a thread, in cache lines of their own: those of another come and go as often as these.
#[repr(align(128))]
struct Hand<I>(Mutex<VecDeque<I>>);

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
            on(threads, || deal((0..count).collect(), at_a_time, || (), |(), tasks| done.lock().unwrap().push(tasks)));
            let mut done = done.into_inner().unwrap();
            assert!(done.iter().all(|tasks| (1..=at_a_time.max(1)).contains(&tasks.len()) && tasks.is_sorted_by(|a, b| a + 1 == *b)), "{done:?}");
            done.sort();
            assert_eq!(done.concat(), (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_thread_makes_its_memory_once_and_not_for_nothing() {
        let made = AtomicUsize::new(0);
        let make = || made.fetch_add(1, Ordering::SeqCst);
        on(3, || deal((0..100).collect(), 1, make, |_, _| std::thread::yield_now()));
        assert!((1..=3).contains(&made.load(Ordering::SeqCst)));
        on(3, || deal(Vec::<()>::new(), 1, || unreachable!("no task"), |(), _| ()));
    }

    #[test]
    fn a_thread_that_is_done_helps_the_others() {
        // The first task of all waits for every other one, those of its own run among them.
        let done = AtomicUsize::new(0);
        on(2, || {
            deal(
                (0..20).collect(),
                1,
                || (),
                |(), tasks| {
                    while tasks == [0] && done.load(Ordering::SeqCst) < 19 {
                        std::hint::spin_loop();
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                },
            );
        });
        assert_eq!(done.load(Ordering::SeqCst), 20);
    }
}
