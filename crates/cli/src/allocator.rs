//! The allocator of the program, and advice to the C allocator behind it.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, with blocks that hold many numbers from a cache line's start on.
///
/// Where a tensor begins in the middle of a line, every vector of 64 bytes straddles two: a sampler that mostly reads and writes takes a tenth longer. Results do not change.
pub(crate) struct Aligned;

#[global_allocator]
static ALIGNED: Aligned = Aligned;

/// A cache line.
const LINE: usize = 64;

/// Smaller blocks lie where they come to lie.
const LEAST: usize = 4096;

/// The layout that a block is taken with, and handed back.
fn aligned(layout: Layout) -> Layout {
    if layout.size() < LEAST { layout } else { layout.align_to(LINE).unwrap_or(layout) }
}

// SAFETY: every block comes from the system's allocator, with a layout that depends on the block's own alone, is at least as large and aligned, and goes back there with the
// same one.
unsafe impl GlobalAlloc for Aligned {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc(aligned(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(aligned(layout)) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; and the block was taken with this layout.
        unsafe { System.dealloc(block, aligned(layout)) }
    }
}

/// Asks the allocator to keep large blocks instead of giving them back to the system after every training step.
///
/// Each step frees and takes the same tens of megabytes again. Handed back and mapped anew, every page of them costs a fault; kept, a step of a small convolutional
/// network takes a fraction of the time. Results do not change. Only glibc needs to be told.
pub(crate) fn keep_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets parameters of the allocator; it is called once, before any other thread of this program is started.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        // One heap: with a heap a thread, what one of them has freed another cannot take.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_numbers_begin_where_a_cache_line_does() {
        for length in [LEAST, LEAST + 1, 100_000] {
            let (written, zeroed) = (vec![1_u8; length], vec![0_u8; length]);
            assert_eq!([written.as_ptr().align_offset(LINE), zeroed.as_ptr().align_offset(LINE)], [0, 0]);
        }
    }

    #[test]
    fn a_vector_grows_from_a_small_block_to_a_large_one_and_back() {
        let mut numbers: Vec<u32> = Vec::with_capacity(10);
        numbers.extend(0..100_000);
        numbers.truncate(10);
        numbers.shrink_to_fit();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    }
}
