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

/// The layout of the system's block for one of ours: with room for a line's start before it, which the C library's own aligned blocks would leave in pieces.
fn outer(layout: Layout) -> Option<Layout> {
    let large = layout.size() >= LEAST && layout.align() <= LINE;
    if large { Layout::from_size_align(layout.size().checked_add(LINE)?, layout.align().max(align_of::<usize>())).ok() } else { None }
}

/// From the system's block to ours: the next start of a line. How far that is stands just before it.
///
/// # Safety
///
/// The block has [the layout](outer) for one of ours, or is null.
unsafe fn inner(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        return block;
    }
    let skipped = LINE - block.addr() % LINE;
    // SAFETY: the block is longer than ours by a line, and as it begins where a number may, at least one lies before the line's start.
    unsafe {
        let inner = block.add(skipped);
        inner.cast::<usize>().sub(1).write(skipped);
        inner
    }
}

/// How far our block is from the beginning of the system's.
///
/// # Safety
///
/// The block comes from [`inner`].
unsafe fn skipped(block: *mut u8) -> usize {
    // SAFETY: `inner` wrote it.
    unsafe { block.cast::<usize>().sub(1).read() }
}

// SAFETY: a block is the system's own, or lies within one of the system's that is larger by a line, and which of the two depends on the block's layout alone.
unsafe impl GlobalAlloc for Aligned {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe {
            match outer(layout) {
                Some(outer) => inner(System.alloc(outer)),
                None => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe {
            match outer(layout) {
                Some(outer) => inner(System.alloc_zeroed(outer)),
                None => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; the layout is that of the block, and so is what was made of it.
        unsafe {
            match outer(layout) {
                Some(outer) => System.dealloc(block.sub(skipped(block)), outer),
                None => System.dealloc(block, layout),
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises; a block keeps its numbers up to the lesser of both sizes, and these are moved to where a line now begins.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (outer(layout), outer(wanted)) {
                (None, None) => System.realloc(block, layout, size),
                (Some(before), Some(after)) => {
                    let skipped = skipped(block);
                    let moved = System.realloc(block.sub(skipped), before, after.size());
                    let next = LINE - moved.addr() % LINE;
                    if !moved.is_null() && next != skipped {
                        std::ptr::copy(moved.add(skipped), moved.add(next), size.min(layout.size()));
                    }
                    inner(moved)
                }
                _ => {
                    let other = self.alloc(wanted);
                    if !other.is_null() {
                        std::ptr::copy_nonoverlapping(block, other, size.min(layout.size()));
                        self.dealloc(block, layout);
                    }
                    other
                }
            }
        }
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
    fn a_vector_keeps_its_numbers_while_it_grows_and_shrinks() {
        let (mut numbers, mut between) = (Vec::<u32>::with_capacity(10), Vec::new());
        for i in 0..200_000 {
            numbers.push(i);
            // Other blocks come to lie behind it, so that it must move.
            if i % 1000 == 0 {
                between.push(vec![i; 1 + i as usize % 5000]);
                assert_eq!(numbers.as_ptr().align_offset(if 4 * numbers.capacity() < LEAST { 4 } else { LINE }), 0);
            }
        }
        assert!(numbers.iter().copied().eq(0..200_000));
        for length in [150_000, 2000, 1024, 1023, 10] {
            numbers.truncate(length);
            numbers.shrink_to_fit();
            assert!(numbers.iter().copied().eq(0..length as u32), "{length}");
        }
    }

    #[test]
    fn a_block_with_a_wider_alignment_has_it() {
        #[repr(align(256))]
        struct Wide([u8; 256]);
        let blocks: Vec<Wide> = (0..100).map(|i| Wide([i; 256])).collect();
        assert_eq!(blocks.as_ptr().align_offset(256), 0);
        assert!(blocks.iter().enumerate().all(|(i, block)| block.0 == [i as u8; 256]));
    }
}
