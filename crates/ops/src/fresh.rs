//! New vectors, filled in parallel.

use std::mem::MaybeUninit;
use std::ops::{AddAssign, Range};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

/// A vector whose parts are set to zero, or written, by the tasks that fill them, each its own, so that no task waits for one that clears the whole.
pub(crate) struct Fresh<T> {
    values: Vec<T>,
    length: usize,
    /// The numbers that were set.
    set: AtomicUsize,
}

/// A part of a [`Fresh`] vector.
pub(crate) struct Part<'a, T> {
    room: &'a mut [MaybeUninit<T>],
    set: &'a AtomicUsize,
}

impl<T: Copy + Default> Fresh<T> {
    /// Room for so many numbers.
    pub(crate) fn new(length: usize) -> Self {
        Self { values: Vec::with_capacity(length), length, set: AtomicUsize::new(0) }
    }

    /// The vector in parts of these lengths, one after the other; what is beyond its end is left out.
    pub(crate) fn parts(&mut self, lengths: impl Iterator<Item = usize>) -> Vec<Part<'_, T>> {
        *self.set.get_mut() = 0;
        let mut room = &mut self.values.spare_capacity_mut()[..self.length];
        let set = &self.set;
        lengths.map(|length| Part { room: room.split_off_mut(..length.min(room.len())).unwrap_or_default(), set }).collect()
    }

    /// The vector. Parts that no task asked for are set to zero here.
    pub(crate) fn finish(mut self) -> Vec<T> {
        if *self.set.get_mut() != self.length {
            self.values.resize(self.length, T::default());
        }
        // SAFETY: `length` numbers are within the capacity. Either they were all written just above, or as many were written as there are: parts do not overlap, each
        // can be written but once, as that takes it, and all are of the last call of `parts`, which counts from zero.
        unsafe { self.values.set_len(self.length) };
        self.values
    }
}

impl<'a, T: Copy + Default> Part<'a, T> {
    /// The part, set to zero.
    pub(crate) fn zeroed(self) -> &'a mut [T] {
        self.room.fill(MaybeUninit::new(T::default()));
        self.set.fetch_add(self.room.len(), Ordering::Relaxed);
        // SAFETY: every number was just written, and `MaybeUninit<T>` has the layout of `T`.
        unsafe { &mut *(std::ptr::from_mut(self.room) as *mut [T]) }
    }

    /// The part as it is.
    ///
    /// # Safety
    ///
    /// Every number must be written, and before it is read.
    pub(crate) unsafe fn unset(self) -> &'a mut [T] {
        self.set.fetch_add(self.room.len(), Ordering::Relaxed);
        // SAFETY: the caller promises that nothing is read before it is written, and `MaybeUninit<T>` has the layout of `T`.
        unsafe { &mut *(std::ptr::from_mut(self.room) as *mut [T]) }
    }
}

/// Makes `length` numbers, `chunk` at a time and in parallel: `fill(i, numbers)` gets chunk `i`, all zero.
///
/// Zeroed by the task that fills it, a chunk is still in its cache; zeroed at once, all of it would go through memory twice, on one thread.
pub(crate) fn filled<T: Copy + Default + Send + Sync>(length: usize, chunk: usize, fill: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let mut fresh = Fresh::new(length);
    let parts = fresh.parts(std::iter::repeat_n(chunk, length.div_ceil(chunk.max(1))));
    parts.into_par_iter().enumerate().for_each(|(i, part)| fill(i, part.zeroed()));
    fresh.finish()
}

/// [`filled`] for two vectors at once, each given as (length, chunk), with as many chunks of both; the second may be empty.
pub(crate) fn filled_both<A: Copy + Default + Send + Sync, B: Copy + Default + Send + Sync>(
    (length_a, chunk_a): (usize, usize),
    (length_b, chunk_b): (usize, usize),
    fill: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) -> (Vec<A>, Vec<B>) {
    let (mut a, mut b) = (Fresh::new(length_a), Fresh::new(length_b));
    let chunks = length_a.div_ceil(chunk_a.max(1));
    let parts_b = b.parts(std::iter::repeat_n(chunk_b, chunks));
    let parts = a.parts(std::iter::repeat_n(chunk_a, chunks)).into_par_iter().zip(parts_b);
    parts.enumerate().for_each(|(i, (a, b))| fill(i, a.zeroed(), b.zeroed()));
    (a.finish(), b.finish())
}

/// [`filled`] without the zeros: for results too large for a cache, which zeros would go through twice.
///
/// # Safety
///
/// `fill` must write every number of its chunk before it reads it.
pub(crate) unsafe fn filled_unset<T: Send>(length: usize, chunk: usize, fill: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let mut numbers = Vec::with_capacity(length);
    numbers.spare_capacity_mut()[..length].par_chunks_mut(chunk.max(1)).enumerate().for_each(|(i, chunk)| {
        // SAFETY: the caller promises that nothing is read before it is written.
        fill(i, unsafe { &mut *(std::ptr::from_mut(chunk) as *mut [T]) });
    });
    // SAFETY: the chunks are the whole vector, and the caller promises that each was written.
    unsafe { numbers.set_len(length) };
    numbers
}

/// Makes `rows x columns` numbers, some columns a task and in parallel: `fill(columns, numbers)` writes all of its part, row by row, in memory of its own that stays in its cache.
pub(crate) fn filled_by_columns<T: Copy + Default + Send + Sync>(
    rows: usize,
    columns: usize,
    width: usize,
    fill: impl Fn(Range<usize>, &mut [T]) + Sync,
) -> Vec<T> {
    let mut numbers = Vec::<T>::with_capacity(rows * columns);
    let place = Place(numbers.as_mut_ptr());
    by_columns(rows, columns, width, fill, |first, part| {
        // SAFETY: these numbers lie inside the capacity, they are this task's alone, and nobody reads before all tasks are done.
        unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), place.get().add(first), part.len()) };
    });
    // SAFETY: the tasks have written every column of every row.
    unsafe { numbers.set_len(rows * columns) };
    numbers
}

/// [`filled_by_columns`], added to numbers that there are, `columns` a row.
pub(crate) fn added_by_columns<T: Copy + Default + Send + Sync + AddAssign>(
    numbers: &mut [T],
    columns: usize,
    width: usize,
    fill: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    let (rows, place) = (numbers.len() / columns.max(1), Place(numbers.as_mut_ptr()));
    by_columns(rows, columns, width, fill, |first, part| {
        // SAFETY: these numbers are among those lent, and this task's alone.
        let sums = unsafe { std::slice::from_raw_parts_mut(place.get().add(first), part.len()) };
        sums.iter_mut().zip(part).for_each(|(sum, &more)| *sum += more);
    });
}

/// Has parts of `rows` rows filled, `width` columns a task, and hands on each row of each: `store(first, part)`, the number of its first among all `rows x columns`. No number is
/// handed on twice, and all are.
fn by_columns<T: Copy + Default + Send + Sync>(
    rows: usize,
    columns: usize,
    width: usize,
    fill: impl Fn(Range<usize>, &mut [T]) + Sync,
    store: impl Fn(usize, &[T]) + Sync,
) {
    let width = width.max(1);
    (0..columns.div_ceil(width)).into_par_iter().for_each_init(Vec::new, |part, task| {
        let mine = task * width..columns.min((task + 1) * width);
        part.resize(rows * mine.len(), T::default());
        fill(mine.clone(), part);
        part.chunks_exact(mine.len().max(1)).enumerate().for_each(|(row, part)| store(row * columns + mine.start, part));
    });
}

/// Where tasks write, each its own numbers.
struct Place<T>(*mut T);

impl<T> Place<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

// SAFETY: the pointer is only written through, by tasks that share no number.
unsafe impl<T: Send> Sync for Place<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_vector_holds_what_its_parts_were_filled_with() {
        let mut fresh = Fresh::new(7);
        for (i, part) in fresh.parts([3, 0, 2, 2].into_iter()).into_iter().enumerate() {
            part.zeroed().fill(i as f32);
        }
        assert_eq!(fresh.finish(), [0.0, 0.0, 0.0, 2.0, 2.0, 3.0, 3.0]);
    }

    #[test]
    fn chunks_are_zero_at_first_and_the_last_may_be_shorter() {
        let (a, b) = filled_both((7, 3), (5, 2), |i, a: &mut [f32], b: &mut [u8]| {
            assert!(a.iter().all(|&x| x == 0.0) && b.iter().all(|&x| x == 0));
            a.fill(i as f32);
            b.fill(i as u8 + 1);
        });
        assert_eq!((a.as_slice(), b.as_slice()), ([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0].as_slice(), [1, 1, 2, 2, 3].as_slice()));
        assert_eq!(filled::<f32>(0, 4, |_, _| unreachable!("no chunk")), [0.0; 0]);
    }

    #[test]
    fn columns_of_tasks_make_whole_rows() {
        let numbers = filled_by_columns(3, 5, 2, |columns, part: &mut [usize]| {
            for (row, line) in part.chunks_exact_mut(columns.len()).enumerate() {
                line.iter_mut().zip(columns.clone()).for_each(|(number, column)| *number += 10 * row + column);
            }
        });
        assert_eq!(numbers, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24]);
        assert!(filled_by_columns::<f32>(0, 4, 3, |_, part| assert!(part.is_empty())).is_empty());
        assert!(filled_by_columns::<f32>(3, 0, 3, |_, _| unreachable!("no column")).is_empty());
    }

    #[test]
    fn parts_that_were_not_asked_for_are_zero() {
        let mut fresh = Fresh::new(5);
        fresh.parts([2, 9].into_iter()).remove(0).zeroed().fill(1.0_f64);
        assert_eq!(fresh.finish(), [0.0; 5]);
        let mut twice = Fresh::new(4);
        twice.parts([4].into_iter()).remove(0).zeroed().fill(1.0_f64);
        twice.parts([2, 2].into_iter()).remove(1).zeroed().fill(2.0);
        assert_eq!(twice.finish(), [0.0; 4]);
    }
}
