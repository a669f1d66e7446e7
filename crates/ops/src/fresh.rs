//! New vectors, filled in parallel.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use rayon::prelude::*;

use crate::deal::deal;

/// A vector whose parts are set to zero, or written, by the tasks that fill them, each its own, so that no task waits for one that clears the whole.
pub(crate) struct Fresh<T> {
    values: Vec<T>,
    /// Where the numbers begin.
    first: *mut T,
    length: usize,
    /// Where the first parts end, after which the lengths come again.
    ends: Vec<usize>,
    /// What became of each part. A mark each that only the part's task writes: a count of all would go from thread to thread with every part.
    marks: Vec<AtomicU8>,
}

// SAFETY: what threads share gives every part to one of them only.
unsafe impl<T: Send> Sync for Fresh<T> {}

/// The mark of a part that nobody has.
const FREE: u8 = 0;
/// The mark of a part that a task took, but has not set.
const TAKEN: u8 = 1;
/// The mark of a part whose numbers were set.
const SET: u8 = 2;

/// A part of a [`Fresh`] vector.
pub(crate) struct Part<'a, T> {
    room: &'a mut [MaybeUninit<T>],
    mark: &'a AtomicU8,
}

impl<T: Copy + Default> Fresh<T> {
    /// Room for so many numbers, in so many parts of these lengths, one after the other and then from the first again; what is beyond the end is left out.
    pub(crate) fn new(length: usize, parts: usize, lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut values = Vec::with_capacity(length);
        let ends = lengths.into_iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        Self { first: values.as_mut_ptr(), values, length, ends: ends.collect(), marks: std::iter::repeat_with(|| AtomicU8::new(FREE)).take(parts).collect() }
    }

    /// Where a part lies.
    fn range(&self, part: usize) -> Range<usize> {
        let (again, nth) = (part / self.ends.len(), part % self.ends.len());
        let before = again * self.ends.last().unwrap_or(&0);
        let start = if nth == 0 { 0 } else { self.ends[nth - 1] };
        self.length.min(before + start)..self.length.min(before + self.ends[nth])
    }

    /// A part, for whoever asks first.
    ///
    /// # Panics
    ///
    /// Where there is no such part, or somebody has it.
    pub(crate) fn part(&self, part: usize) -> Part<'_, T> {
        let mark = &self.marks[part];
        assert!(mark.swap(TAKEN, Ordering::Relaxed) == FREE, "part {part} was taken before");
        let range = self.range(part);
        // SAFETY: the range lies within the capacity; those of parts do not overlap, and this one was not taken before.
        Part { room: unsafe { std::slice::from_raw_parts_mut(self.first.add(range.start).cast(), range.len()) }, mark }
    }

    /// The vector. If a part was not set, all of them are set to zero here.
    pub(crate) fn finish(mut self) -> Vec<T> {
        let whole = self.marks.is_empty() && self.length == 0 || !self.marks.is_empty() && self.range(self.marks.len() - 1).end == self.length;
        // One without numbers has nothing to be written.
        let set = |(part, mark): (usize, &AtomicU8)| mark.load(Ordering::Relaxed) == SET || self.range(part).is_empty();
        if !whole || !self.marks.iter().enumerate().all(set) {
            self.values.resize(self.length, T::default());
        }
        // SAFETY: `length` numbers are within the capacity. Either they were all written just above, or the parts are all of them, and each was written.
        unsafe { self.values.set_len(self.length) };
        self.values
    }
}

impl<'a, T: Copy + Default> Part<'a, T> {
    /// The part, set to zero.
    pub(crate) fn zeroed(self) -> &'a mut [T] {
        self.room.fill(MaybeUninit::new(T::default()));
        self.mark.store(SET, Ordering::Relaxed);
        // SAFETY: every number was just written, and `MaybeUninit<T>` has the layout of `T`.
        unsafe { &mut *(std::ptr::from_mut(self.room) as *mut [T]) }
    }

    /// The part as it is.
    ///
    /// # Safety
    ///
    /// Every number must be written, and before it is read.
    pub(crate) unsafe fn unset(self) -> &'a mut [T] {
        self.mark.store(SET, Ordering::Relaxed);
        // SAFETY: the caller promises that nothing is read before it is written, and `MaybeUninit<T>` has the layout of `T`.
        unsafe { &mut *(std::ptr::from_mut(self.room) as *mut [T]) }
    }
}

/// Makes `length` numbers, `chunk` at a time and in parallel: `fill(i, numbers)` gets chunk `i`, all zero.
///
/// Zeroed by the task that fills it, a chunk is still in its cache; zeroed at once, all of it would go through memory twice, on one thread.
pub(crate) fn filled<T: Copy + Default + Send + Sync>(length: usize, chunk: usize, fill: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let chunks = length.div_ceil(chunk.max(1));
    let fresh = Fresh::new(length, chunks, [chunk]);
    (0..chunks).into_par_iter().for_each(|i| fill(i, fresh.part(i).zeroed()));
    fresh.finish()
}

/// [`filled`] for two vectors at once, each given as (length, chunk), with as many chunks of both; the second may be empty.
pub(crate) fn filled_both<A: Copy + Default + Send + Sync, B: Copy + Default + Send + Sync>(
    (length_a, chunk_a): (usize, usize),
    (length_b, chunk_b): (usize, usize),
    fill: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) -> (Vec<A>, Vec<B>) {
    let chunks = length_a.div_ceil(chunk_a.max(1));
    let (a, b) = (Fresh::new(length_a, chunks, [chunk_a]), Fresh::new(length_b, chunks, [chunk_b]));
    (0..chunks).into_par_iter().for_each(|i| fill(i, a.part(i).zeroed(), b.part(i).zeroed()));
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
    let blocks = Blocks { places: [numbers.as_mut_ptr()], rows, columns, size };
    // SAFETY: the capacity is the matrix, and the caller promises that nothing is read before it is written.
    unsafe { blocks.deal(|| (), |(), [mut block]| fill(&mut block)) };
    // SAFETY: the blocks are the whole matrix, and the caller promises that each was written.
    unsafe { numbers.set_len(rows * columns) };
    numbers
}

/// Has numbers that there are, `columns` a row, changed in blocks: see [`filled_by_blocks`]. Of several matrices of one size the same block of each at once. Each thread
/// makes itself `memory` once.
pub(crate) fn changed_by_blocks<T: Send, S, const N: usize>(
    matrices: [&mut [T]; N],
    columns: usize,
    size: (usize, usize),
    memory: impl Fn() -> S + Sync,
    change: impl Fn(&mut S, [Block<T>; N]) + Sync,
) {
    let rows = matrices.iter().map(|numbers| numbers.len() / columns.max(1)).min().unwrap_or(0);
    let blocks = Blocks { places: matrices.map(|numbers| numbers.as_mut_ptr()), rows, columns, size };
    // SAFETY: whole rows of the numbers lent, which those of the blocks are lent from.
    unsafe { blocks.deal(memory, change) }
}

/// Matrices of one size in blocks: the same block of each, row of blocks by row of blocks.
struct Blocks<T, const N: usize> {
    /// The first number of each matrix.
    places: [*mut T; N],
    rows: usize,
    columns: usize,
    /// At most so many rows and columns a block.
    size: (usize, usize),
}

// SAFETY: what threads share gives every block to one of them only.
unsafe impl<T: Send, const N: usize> Sync for Blocks<T, N> {}

impl<T: Send, const N: usize> Blocks<T, N> {
    /// Has every block worked on, in parallel.
    ///
    /// # Safety
    ///
    /// From each of `places` on there is room for `rows x columns` numbers that nobody else uses meanwhile.
    unsafe fn deal<S>(&self, memory: impl Fn() -> S + Sync, work: impl Fn(&mut S, [Block<T>; N]) + Sync) {
        let (height, width) = (self.size.0.max(1), self.size.1.max(1));
        let across = self.columns.div_ceil(width);
        deal(self.rows.div_ceil(height) * across, 1, |dealt| {
            let mut memory = memory();
            for task in dealt.flatten() {
                // SAFETY: as the caller promises; and every task is dealt once.
                work(&mut memory, unsafe { self.block((task / across * height, height), (task % across * width, width)) });
            }
        });
    }

    /// The block from a row and a column on, of at most so many of them.
    ///
    /// # Safety
    ///
    /// It lies within the room there is, and nobody else uses it while it lives.
    unsafe fn block<'a>(&self, (row, height): (usize, usize), (column, width): (usize, usize)) -> [Block<'a, T>; N] {
        let (rows, columns) = (row..self.rows.min(row + height), column..self.columns.min(column + width));
        self.places.map(|place| {
            // SAFETY: the block's first number lies inside the matrix.
            let first = unsafe { place.add(row * self.columns + column) };
            Block { place: first, pitch: self.columns, rows: rows.clone(), columns: columns.clone(), lent: PhantomData }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_vector_holds_what_its_parts_were_filled_with() {
        let fresh = Fresh::new(9, 6, [3, 0, 2]);
        for i in [4, 0, 5, 1, 3, 2] {
            fresh.part(i).zeroed().fill(i as f32);
        }
        // The last is cut short.
        assert_eq!(fresh.finish(), [0.0, 0.0, 0.0, 2.0, 2.0, 3.0, 3.0, 3.0, 5.0]);
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
        changed_by_blocks([&mut numbers], 3, (1, 2), || (), |(), [mut block]| number(&mut block, |to, value| *to += value));
        assert_eq!(numbers, [100, 201, 302, 410, 511, 612]);
        changed_by_blocks([&mut [0_usize; 0]], 0, (3, 3), || (), |(), _| unreachable!("no number"));
    }

    #[test]
    fn the_same_block_of_several_matrices_and_room_beside_them() {
        let (mut ones, mut tens) = ([0; 6], [0; 6]);
        changed_by_blocks(
            [&mut ones, &mut tens],
            3,
            (2, 2),
            || [0; 4],
            |room, [mut one, mut ten]| {
                assert_eq!((one.rows(), one.columns()), (ten.rows(), ten.columns()));
                let mut beside = Block::beside(room, one.rows(), one.columns());
                number(&mut beside, |to, value| *to = value);
                for row in 0..beside.rows().len() {
                    one.row(row).copy_from_slice(beside.row(row));
                    ten.row(row).iter_mut().zip(beside.row(row)).for_each(|(ten, &mut one)| *ten = 10 * one);
                }
            },
        );
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
        changed_by_blocks([&mut [0; 6]], 3, (1, 3), || (), |(), [mut block]| block.row(1).fill(1));
    }

    #[test]
    fn an_empty_part_that_no_task_asks_for_changes_nothing() {
        let fresh = Fresh::new(3, 4, [0, 3]);
        fresh.part(1).zeroed().fill(2.0_f32);
        assert_eq!(fresh.finish(), [2.0; 3]);
        assert_eq!(Fresh::<f32>::new(0, 2, [0]).finish(), [0.0; 0]);
        assert_eq!(Fresh::<f32>::new(0, 0, []).finish(), [0.0; 0]);
    }

    #[test]
    fn where_a_part_was_not_set_all_is_zero() {
        let fresh = Fresh::new(5, 2, [2, 9]);
        fresh.part(0).zeroed().fill(1.0_f64);
        fresh.part(1);
        assert_eq!(fresh.finish(), [0.0; 5]);
        let too_few = Fresh::new(5, 2, [2]);
        (0..2).for_each(|part| too_few.part(part).zeroed().fill(1.0_f64));
        assert_eq!(too_few.finish(), [0.0; 5]);
    }

    #[test]
    #[should_panic(expected = "part 1 was taken before")]
    fn a_part_is_taken_once() {
        let fresh = Fresh::<f32>::new(4, 2, [2]);
        let _part = fresh.part(1);
        fresh.part(1);
    }
}
