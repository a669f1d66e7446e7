//! The gradient to the filters: every tap's pixel times every window's gradient.
//!
//! A vector holds neighbouring filters at one tap, so that no sum runs across a vector. Every sum runs over the windows in order.

use pulp::{Simd, WithSimd};

use super::layout::Layout;

/// Adds what one image contributes to the gradient to all filters, stored taps x [`Self::pitch`] filters.
pub(super) struct FilterSums<'a> {
    /// How `source` lies, images one by one.
    pub layout: &'a Layout,
    pub kernel: (usize, usize),
    pub channels: usize,
    pub source: &'a [f32],
    /// The gradient, windows x [`Self::pitch`] filters.
    pub upstream: &'a [f32],
    /// Filters rounded up to whole vectors.
    pub pitch: usize,
    pub sums: &'a mut [f32],
}

/// Numbers of the gradient that stay in the first cache while all taps go over them.
const CACHED: usize = 1 << 12;

/// The most taps in a line, and the most vectors of filters, of a tile.
const LONGEST: usize = 9;
const WIDEST: usize = 4;

impl WithSimd for FilterSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (height, width) = self.layout.output;
        let (rows, lanes) = (self.rows(), S::F32_LANES);
        let vectors = self.pitch / lanes;
        assert!(self.layout.images == 1 && self.pitch == vectors * lanes, "whole vectors of one image");
        assert!(self.upstream.len() >= height * width * self.pitch && self.sums.len() >= rows.len() * self.kernel.1 * self.pitch, "the gradients");
        let farthest = rows.last().map_or(0, |&row| row as usize) + (height - 1) * self.layout.line() + width - 1 + self.kernel.1;
        assert!(farthest <= self.source.len(), "the image");
        // A long line of taps is cut into pieces of nearly the same length, and so are the filters and the lines of the image.
        let pieces = self.kernel.1.div_ceil(LONGEST);
        let sums_kept = S::REGISTER_COUNT.saturating_sub(5);
        let groups = vectors.div_ceil((sums_kept / self.kernel.1.div_ceil(pieces)).clamp(1, WIDEST));
        let lines = (CACHED / (width * lanes * vectors.div_ceil(groups))).clamp(1, height);
        for first_line in (0..height).step_by(lines) {
            for group in 0..groups {
                let (start, end) = (vectors * group / groups, vectors * (group + 1) / groups);
                for piece in 0..pieces {
                    let (first_tap, end_tap) = (self.kernel.1 * piece / pieces, self.kernel.1 * (piece + 1) / pieces);
                    let block = Block {
                        rows: &rows,
                        row_taps: self.kernel.1,
                        source: &self.source[first_line * self.layout.line() + first_tap..],
                        line: self.layout.line(),
                        upstream: &self.upstream[first_line * width * self.pitch + start * lanes..],
                        windows: (lines.min(height - first_line), width),
                        pitch: self.pitch,
                        sums: &mut self.sums[first_tap * self.pitch + start * lanes..],
                    };
                    block.run(simd, end_tap - first_tap, end - start);
                }
            }
        }
    }
}

impl FilterSums<'_> {
    /// Where each line of the kernel starts, channel by channel.
    fn rows(&self) -> Vec<u32> {
        (0..self.channels).flat_map(|c| (0..self.kernel.0).map(move |y| (c * self.layout.plane + y * self.layout.line()) as u32)).collect()
    }
}

/// Some lines of an image, some taps of every line of the kernel, some filters.
struct Block<'a> {
    rows: &'a [u32],
    row_taps: usize,
    source: &'a [f32],
    line: usize,
    upstream: &'a [f32],
    windows: (usize, usize),
    pitch: usize,
    sums: &'a mut [f32],
}

impl Block<'_> {
    /// Finds the tile for some taps and vectors: as many lines of the kernel at once as leave the sums in registers.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S, taps: usize, vectors: usize) {
        match (taps, vectors) {
            (1, 1) => self.tiles::<S, 4, 1, 1>(simd),
            (1, 2) => self.tiles::<S, 4, 1, 2>(simd),
            (1, 3) => self.tiles::<S, 4, 1, 3>(simd),
            (1, 4) => self.tiles::<S, 4, 1, 4>(simd),
            (2, 1) => self.tiles::<S, 4, 2, 1>(simd),
            (2, 2) => self.tiles::<S, 4, 2, 2>(simd),
            (2, 3) => self.tiles::<S, 4, 2, 3>(simd),
            (2, 4) => self.tiles::<S, 2, 2, 4>(simd),
            (3, 1) => self.tiles::<S, 4, 3, 1>(simd),
            (3, 2) => self.tiles::<S, 4, 3, 2>(simd),
            (3, 3) => self.tiles::<S, 2, 3, 3>(simd),
            (3, 4) => self.tiles::<S, 2, 3, 4>(simd),
            (4, 1) => self.tiles::<S, 4, 4, 1>(simd),
            (4, 2) => self.tiles::<S, 2, 4, 2>(simd),
            (4, 3) => self.tiles::<S, 2, 4, 3>(simd),
            (4, 4) => self.tiles::<S, 1, 4, 4>(simd),
            (5, 1) => self.tiles::<S, 4, 5, 1>(simd),
            (5, 2) => self.tiles::<S, 2, 5, 2>(simd),
            (5, 3) => self.tiles::<S, 1, 5, 3>(simd),
            (5, 4) => self.tiles::<S, 1, 5, 4>(simd),
            (6, 1) => self.tiles::<S, 4, 6, 1>(simd),
            (6, 2) => self.tiles::<S, 2, 6, 2>(simd),
            (6, 3) => self.tiles::<S, 1, 6, 3>(simd),
            (6, 4) => self.tiles::<S, 1, 6, 4>(simd),
            (7, 1) => self.tiles::<S, 2, 7, 1>(simd),
            (7, 2) => self.tiles::<S, 1, 7, 2>(simd),
            (7, 3) => self.tiles::<S, 1, 7, 3>(simd),
            (8, 1) => self.tiles::<S, 2, 8, 1>(simd),
            (8, 2) => self.tiles::<S, 1, 8, 2>(simd),
            (8, 3) => self.tiles::<S, 1, 8, 3>(simd),
            (9, 1) => self.tiles::<S, 2, 9, 1>(simd),
            (9, 2) => self.tiles::<S, 1, 9, 2>(simd),
            (9, 3) => self.tiles::<S, 1, 9, 3>(simd),
            _ => unreachable!("no tile is longer or wider"),
        }
    }

    #[inline(always)]
    fn tiles<S: Simd, const R: usize, const M: usize, const N: usize>(mut self, simd: S) {
        let (whole, rest) = self.rows.as_chunks::<R>();
        for (i, &rows) in whole.iter().enumerate() {
            simd.vectorize(Tile::<R, M, N> { block: &mut self, rows, first: i * R });
        }
        for (i, &row) in rest.iter().enumerate() {
            simd.vectorize(Tile::<1, M, N> { block: &mut self, rows: [row], first: whole.len() * R + i });
        }
    }
}

/// R lines of the kernel, M taps of each, N vectors of filters: sums that stay in registers over all windows of the block.
struct Tile<'a, 'b, const R: usize, const M: usize, const N: usize> {
    block: &'a mut Block<'b>,
    rows: [u32; R],
    /// The number of the first line of the kernel.
    first: usize,
}

impl<const R: usize, const M: usize, const N: usize> WithSimd for Tile<'_, '_, R, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { block, rows, first } = self;
        let lanes = S::F32_LANES;
        let place = |r: usize, m: usize| ((first + r) * block.row_taps + m) * block.pitch;
        // Plain loops over arrays throughout: `array::map` is not always inlined, and then passes vectors through memory.
        let mut sums = [[[simd.splat_f32s(0.0); N]; M]; R];
        for (r, sums) in sums.iter_mut().enumerate() {
            for (m, sums) in sums.iter_mut().enumerate() {
                let (vectors, _) = S::as_simd_f32s(&block.sums[place(r, m)..place(r, m) + N * lanes]);
                sums.copy_from_slice(vectors);
            }
        }
        let mut gradients = [simd.splat_f32s(0.0); N];
        let mut sources = [block.source.as_ptr(); R];
        for y in 0..block.windows.0 {
            for (source, &row) in sources.iter_mut().zip(&rows) {
                *source = block.source.as_ptr().wrapping_add(row as usize + y * block.line);
            }
            let mut upstream = block.upstream.as_ptr().wrapping_add(y * block.windows.1 * block.pitch);
            for _ in 0..block.windows.1 {
                for (n, gradient) in gradients.iter_mut().enumerate() {
                    // SAFETY: `FilterSums` has checked that the last window's gradient lies inside `upstream`.
                    *gradient = unsafe { upstream.add(n * lanes).cast::<S::f32s>().read_unaligned() };
                }
                for (sums, source) in sums.iter_mut().zip(&mut sources) {
                    for (m, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: `FilterSums` has checked that the last tap of the last window, at the last line of the kernel, lies inside `source`.
                        let pixel = simd.splat_f32s(unsafe { *source.add(m) });
                        for (sum, &gradient) in sums.iter_mut().zip(&gradients) {
                            *sum = simd.mul_add_e_f32s(pixel, gradient, *sum);
                        }
                    }
                    *source = source.wrapping_add(1);
                }
                upstream = upstream.wrapping_add(block.pitch);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (m, sums) in sums.iter().enumerate() {
                let start = place(r, m);
                let (vectors, _) = S::as_mut_simd_f32s(&mut block.sums[start..start + N * lanes]);
                vectors.copy_from_slice(sums);
            }
        }
    }
}
