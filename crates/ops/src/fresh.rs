//! New vectors, filled in parallel.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::deal::deal;

/// A vector whose parts are set to zero, or written, by the tasks that fill them, each its own, so that no task waits for one that clears the whole.
pub(crate) struct Fresh<T> {
    values: Vec<T>,
    length: usize,
    /// How many of them belong to parts.
    parted: usize,
    /// Which parts were set. A mark each that only the part's task writes: a count of all would go from thread to thread with every part.
    set: Vec<AtomicBool>,
}

/// A part of a [`Fresh`] vector.
pub(crate) struct Part<'a, T> {
    room: &'a mut [MaybeUninit<T>],
    set: &'a AtomicBool,
}

impl<T: Copy + Default> Fresh<T> {
    /// Room for so many numbers.
    pub(crate) fn new(length: usize) -> Self {
        Self { values: Vec::with_capacity(length), length, parted: 0, set: Vec::new() }
    }

    /// The vector in parts of these lengths, one after the other; what is beyond its end is left out.
    pub(crate) fn parts(&mut self, lengths: impl Iterator<Item = usize>) -> Vec<Part<'_, T>> {
        let mut rest = &mut self.values.spare_capacity_mut()[..self.length];
        let rooms: Vec<_> = lengths.map(|length| rest.split_off_mut(..length.min(rest.len())).unwrap_or_default()).collect();
        self.parted = self.length - rest.len();
        // One without numbers has nothing to be written.
        self.set = rooms.iter().map(|room| AtomicBool::new(room.is_empty())).collect();
        rooms.into_iter().zip(&self.set).map(|(room, set)| Part { room, set }).collect()
    }

    /// The vector. Parts that no task asked for are set to zero here.
    pub(crate) fn finish(mut self) -> Vec<T> {
        if self.parted != self.length || !self.set.iter_mut().all(|set| *set.get_mut()) {
            self.values.resize(self.length, T::default());
        }
        // SAFETY: `length` numbers are within the capacity. Either they were all written just above, or the parts of the last call of `parts` are all of them, and each
        // was written.
        unsafe { self.values.set_len(self.length) };
        self.values
    }
}

impl<'a, T: Copy + Default> Part<'a, T> {
    /// The part, set to zero.
    pub(crate) fn zeroed(self) -> &'a mut [T] {
        self.room.fill(MaybeUninit::new(T::default()));
        self.set.store(true, Ordering::Relaxed);
        // SAFETY: every number was just written, and `MaybeUninit<T>` has the layout of `T`.
        unsafe { &mut *(std::ptr::from_mut(self.room) as *mut [T]) }
    }

    /// The part as it is.
    ///
    /// # Safety
    ///
    /// Every number must be written, and before it is read.
    pub(crate) unsafe fn unset(self) -> &'a mut [T] {
        self.set.store(true, Ordering::Relaxed);
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

/// Some rows and columns of a matrix, which one task writes.
pub(crate) struct Block<'a, T> {
    /// The first number.
    place: *mut T,
    /// Numbers from one row of the matrix to the next.
    pitch: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    lent: PhantomData<&'a mut [T]>,
}

// SAFETY: a block is a mutable loan of its numbers, which no other has.
unsafe impl<T: Send> Send for Block<'_, T> {}

impl<'a, T> Block<'a, T> {
    /// Room for a block of another matrix, row by row from the first of `numbers` on.
    pub(crate) fn beside(numbers: &'a mut [T], rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.len() * columns.len() <= numbers.len(), "the block's room");
        Self { place: numbers.as_mut_ptr(), pitch: columns.len(), rows, columns, lent: PhantomData }
    }

    /// Which rows of the matrix.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Which columns of the matrix.
    pub(crate) fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// A row of the block, counted from its first.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows.len(), "the block's rows");
        // SAFETY: the row lies inside the matrix, its columns are this block's alone, and the block is borrowed for as long as the row is.
        unsafe { std::slice::from_raw_parts_mut(self.place.add(row * self.pitch), self.columns.len()) }
    }
}

impl<T> Block<'_, T> {
    /// Has some numbers of a row of the block brought nearer.
    #[inline(always)]
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub(crate) fn fetch(&self, row: usize, columns: Range<usize>) {
        #[cfg(target_arch = "x86_64")]
        for place in columns.step_by(64 / size_of::<T>()) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint, which no address makes wrong.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.place.wrapping_add(row * self.pitch + place).cast()) };
        }
    }
}

/// Makes `rows x columns` numbers, a block of at most `size` rows and columns a task, in parallel.
///
/// # Safety
///
/// `fill` must write every number of its block before it reads it.
pub(crate) unsafe fn filled_by_blocks<T: Send>(rows: usize, columns: usize, size: (usize, usize), fill: impl Fn(&mut Block<T>) + Sync) -> Vec<T> {
    let mut numbers = Vec::<T>::with_capacity(rows * columns);
    // SAFETY: the capacity is the matrix, and the caller promises that nothing is read before it is written.
    let blocks = unsafe { blocks([numbers.as_mut_ptr()], rows, columns, size) };
    deal(blocks, 1, || (), |(), tasks| tasks.into_iter().for_each(|[mut block]| fill(&mut block)));
    // SAFETY: the blocks are the whole matrix, and the caller promises that each was written.
    unsafe { numbers.set_len(rows * columns) };
    numbers
}

/// Has numbers that there are, `columns` a row, changed in blocks: see [`filled_by_blocks`].
pub(crate) fn changed_by_blocks<T: Send>(numbers: &mut [T], columns: usize, size: (usize, usize), change: impl Fn(&mut Block<T>) + Sync) {
    deal(blocks_of([numbers], columns, size), 1, || (), |(), tasks| tasks.into_iter().for_each(|[mut block]| change(&mut block)));
}

/// Matrices of one size, `columns` a row, in blocks of at most `size` rows and columns: the same block of each, row of blocks by row of blocks.
pub(crate) fn blocks_of<T, const N: usize>(matrices: [&mut [T]; N], columns: usize, size: (usize, usize)) -> Vec<[Block<'_, T>; N]> {
    let rows = matrices.iter().map(|numbers| numbers.len() / columns.max(1)).min().unwrap_or(0);
    let places = matrices.map(|numbers| numbers.as_mut_ptr());
    // SAFETY: whole rows of the numbers lent, which those of the blocks are lent from.
    unsafe { blocks(places, rows, columns, size) }
}

/// # Safety
///
/// From each of `places` on there is room for `rows x columns` numbers that nobody else uses while the blocks live.
unsafe fn blocks<'a, T, const N: usize>(places: [*mut T; N], rows: usize, columns: usize, (height, width): (usize, usize)) -> Vec<[Block<'a, T>; N]> {
    let (height, width) = (height.max(1), width.max(1));
    let across = columns.div_ceil(width);
    let part = |number: usize, size: usize, all: usize| number * size..all.min((number + 1) * size);
    let block = |task: usize| {
        let (rows, own) = (part(task / across, height, rows), part(task % across, width, columns));
        places.map(|place| {
            // SAFETY: the block's first number lies inside the matrix.
            let first = unsafe { place.add(rows.start * columns + own.start) };
            Block { place: first, pitch: columns, rows: rows.clone(), columns: own.clone(), lent: PhantomData }
        })
    };
    (0..rows.div_ceil(height) * across).map(block).collect()
}

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

    /// Writes to every number of a block where it lies: 10 a row, 1 a column.
    fn number(block: &mut Block<usize>, write: impl Fn(&mut usize, usize)) {
        let (rows, columns) = (block.rows(), block.columns());
        for (i, row) in rows.enumerate() {
            block.row(i).iter_mut().zip(columns.clone()).for_each(|(number, column)| write(number, 10 * row + column));
        }
    }

    #[test]
    fn blocks_of_tasks_make_a_whole_matrix() {
        for size in [(2, 2), (1, 5), (9, 9), (3, 1), (0, 0)] {
            // SAFETY: `number` writes all of a block.
            let numbers = unsafe { filled_by_blocks(3, 5, size, |block| number(block, |to, value| *to = value)) };
            assert_eq!(numbers, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24]);
        }
        for (rows, columns) in [(0, 4), (3, 0)] {
            // SAFETY: there is no block.
            assert!(unsafe { filled_by_blocks::<f32>(rows, columns, (2, 3), |_| unreachable!("no number")) }.is_empty());
        }
    }

    #[test]
    fn blocks_of_what_there_is_are_changed() {
        let mut numbers = [100, 200, 300, 400, 500, 600];
        changed_by_blocks(&mut numbers, 3, (1, 2), |block| number(block, |to, value| *to += value));
        assert_eq!(numbers, [100, 201, 302, 410, 511, 612]);
        changed_by_blocks::<i32>(&mut [], 0, (3, 3), |_| unreachable!("no number"));
    }

    #[test]
    fn the_same_block_of_several_matrices_and_room_beside_them() {
        let (mut ones, mut tens, mut room) = ([0; 6], [0; 6], [0; 4]);
        for [mut one, mut ten] in blocks_of([&mut ones, &mut tens], 3, (2, 2)) {
            assert_eq!((one.rows(), one.columns()), (ten.rows(), ten.columns()));
            let mut beside = Block::beside(&mut room, one.rows(), one.columns());
            number(&mut beside, |to, value| *to = value);
            for row in 0..beside.rows().len() {
                one.row(row).copy_from_slice(beside.row(row));
                ten.row(row).iter_mut().zip(beside.row(row)).for_each(|(ten, &mut one)| *ten = 10 * one);
            }
        }
        assert_eq!((ones, tens), ([0, 1, 2, 10, 11, 12], [0, 10, 20, 100, 110, 120]));
    }

    #[test]
    #[should_panic(expected = "the block's room")]
    fn a_block_needs_its_room() {
        Block::beside(&mut [0; 5], 0..2, 4..7);
    }

    #[test]
    #[should_panic(expected = "the block's rows")]
    fn a_block_has_no_rows_but_its_own() {
        changed_by_blocks(&mut [0; 6], 3, (1, 3), |block| block.row(1).fill(1));
    }

    #[test]
    fn an_empty_part_that_no_task_asks_for_changes_nothing() {
        let mut fresh = Fresh::new(3);
        let parts = fresh.parts([0, 3, 0, 5].into_iter());
        parts.into_iter().nth(1).unwrap().zeroed().fill(2.0_f32);
        assert_eq!(fresh.finish(), [2.0; 3]);
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
