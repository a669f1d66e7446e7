//! Products of filters with the pixels of every window, read where they lie: no patch is ever copied.
//!
//! A vector holds neighbouring outputs of one filter. A tile of several filters times several vectors stays in registers over all taps, so every sum runs over the taps in
//! order, whatever the width of a vector. Lines of the kernel that only see padding are skipped.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::layout::Layout;

/// Filters in the order in which tiles read them: a panel holds up to [`TALLEST`] filters, tap by tap.
pub(super) struct Panels {
    numbers: Vec<f32>,
    taps: usize,
    heights: Vec<usize>,
}

/// The most filters of a tile.
const TALLEST: usize = 12;

impl Panels {
    /// Packs `filters` of `taps` numbers each, `weight(filter, tap)`.
    pub fn pack(filters: usize, taps: usize, weight: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let heights = heights(filters);
        let mut numbers = vec![0.0; filters * taps];
        let mut rest = numbers.as_mut_slice();
        let mut first = 0;
        let mut panels = Vec::with_capacity(heights.len());
        for &height in &heights {
            let (panel, tail) = rest.split_at_mut(height * taps);
            panels.push((first, height, panel));
            rest = tail;
            first += height;
        }
        panels.into_par_iter().for_each(|(first, height, panel)| {
            for (tap, numbers) in panel.chunks_exact_mut(height).enumerate() {
                for (i, number) in numbers.iter_mut().enumerate() {
                    *number = weight(first + i, tap);
                }
            }
        });
        Self { numbers, taps, heights }
    }

    /// Filters of the tallest panel.
    pub fn tallest(&self) -> usize {
        self.heights.iter().copied().max().unwrap_or(0)
    }

    fn iter(&self) -> impl Iterator<Item = (usize, usize, &[f32])> {
        let mut first = 0;
        self.heights.iter().map(move |&height| {
            let panel = &self.numbers[first * self.taps..(first + height) * self.taps];
            first += height;
            (first - height, height, panel)
        })
    }
}

/// How many filters each panel holds: one panel for few filters, else panels of nearly the same height.
fn heights(filters: usize) -> Vec<usize> {
    let count = if filters <= TALLEST { 1 } else { filters.div_ceil(if filters.is_multiple_of(10) && !filters.is_multiple_of(8) { 10 } else { 8 }) };
    (0..count).map(|i| (filters * (i + 1)) / count - (filters * i) / count).filter(|&height| height > 0).collect()
}

/// A group of images times all filters. `finish(filter, row)` gets every filter's outputs, laid out as the layout says.
pub(super) struct Correlation<'a, F> {
    pub layout: &'a Layout,
    pub taps: &'a [u32],
    /// Lines of the kernel and taps of a line.
    pub kernel: (usize, usize),
    pub panels: &'a Panels,
    pub source: &'a [f32],
    /// Working memory: [`Layout::product`] numbers for each of [`Panels::tallest`] filters.
    pub product: &'a mut [f32],
    pub finish: F,
}

impl<F: FnMut(usize, &[f32])> WithSimd for Correlation<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let row = self.layout.product();
        let last_vector = self.layout.vectors.iter().max().map_or(0, |&v| v as usize);
        let last_tap = self.taps.iter().max().map_or(0, |&tap| tap as usize);
        assert!(last_vector + last_tap + S::F32_LANES <= self.source.len(), "the images");
        assert!(row >= self.layout.vectors.len() * S::F32_LANES && self.panels.tallest() * row <= self.product.len(), "the product");
        for (first, height, weights) in self.panels.iter() {
            assert_eq!(weights.len(), self.taps.len() * height, "the filters");
            let widest = widest(S::REGISTER_COUNT, height);
            let count = self.layout.vectors.len().div_ceil(widest);
            for i in 0..count {
                // Tiles of nearly the same width: a last one of a single vector would leave the arithmetic idle.
                let (start, end) = (i * self.layout.vectors.len() / count, (i + 1) * self.layout.vectors.len() / count);
                let tile = Tile {
                    taps: self.taps,
                    lines: self.layout.lines(start, end - 1),
                    kernel: self.kernel,
                    weights,
                    source: self.source,
                    vectors: &self.layout.vectors[start..end],
                    product: &mut self.product[start * S::F32_LANES..],
                    row,
                };
                tile.run(simd, height);
            }
            for (i, row) in self.product.chunks_exact(row).take(height).enumerate() {
                (self.finish)(first + i, row);
            }
        }
    }
}

/// The most vectors of a tile of `height` filters whose sums stay in registers.
fn widest(registers: usize, height: usize) -> usize {
    ((registers.saturating_sub(5)) / height.max(1)).clamp(1, 6)
}

struct Tile<'a> {
    taps: &'a [u32],
    /// The lines of the kernel that see more than padding: the others add zeros.
    lines: Range<usize>,
    kernel: (usize, usize),
    weights: &'a [f32],
    source: &'a [f32],
    vectors: &'a [u32],
    product: &'a mut [f32],
    row: usize,
}

impl Tile<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S, height: usize) {
        macro_rules! by_width {
            ($height:literal: $($width:literal),*) => {
                match self.vectors.len() {
                    $($width => simd.vectorize(Sized::<$height, $width>(self)),)*
                    _ => unreachable!("no tile is wider"),
                }
            };
        }
        match height {
            1 => by_width!(1: 1, 2, 3, 4, 5, 6),
            2 => by_width!(2: 1, 2, 3, 4, 5, 6),
            3 => by_width!(3: 1, 2, 3, 4, 5, 6),
            4 => by_width!(4: 1, 2, 3, 4, 5, 6),
            5 => by_width!(5: 1, 2, 3, 4, 5),
            6 => by_width!(6: 1, 2, 3, 4),
            7 => by_width!(7: 1, 2, 3),
            8 => by_width!(8: 1, 2, 3),
            9 => by_width!(9: 1, 2, 3),
            10 => by_width!(10: 1, 2),
            11 => by_width!(11: 1, 2),
            12 => by_width!(12: 1, 2),
            _ => unreachable!("no panel is taller"),
        }
    }
}

/// A tile whose height and width the compiler knows.
struct Sized<'a, const M: usize, const N: usize>(Tile<'a>);

impl<const M: usize, const N: usize> WithSimd for Sized<'_, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tile { taps, lines, kernel, weights, source, vectors, product, row } = self.0;
        let lanes = S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        // Plain loops over arrays throughout: `array::map` is not always inlined, and then passes vectors through memory.
        let mut starts = [source.as_ptr(); N];
        for (start, &vector) in starts.iter_mut().zip(vectors) {
            *start = start.wrapping_add(vector as usize);
        }
        let mut values = [simd.splat_f32s(0.0); N];
        let weights = weights.as_chunks::<M>().0;
        let whole = lines.len() == kernel.0;
        let (area, channels) = if whole { (taps.len(), 1) } else { (kernel.0 * kernel.1, taps.len() / (kernel.0 * kernel.1)) };
        let seen = if whole { 0..area } else { lines.start * kernel.1..lines.end * kernel.1 };
        for channel in 0..channels {
            let part = channel * area + seen.start..channel * area + seen.end;
            for (&tap, weights) in taps[part.clone()].iter().zip(&weights[part]) {
                for (value, start) in values.iter_mut().zip(&starts) {
                    // SAFETY: `Correlation` has checked that the farthest vector at the farthest tap ends inside the source.
                    *value = unsafe { start.add(tap as usize).cast::<S::f32s>().read_unaligned() };
                }
                for (sums, &weight) in sums.iter_mut().zip(weights) {
                    let weight = simd.splat_f32s(weight);
                    for (sum, &value) in sums.iter_mut().zip(&values) {
                        *sum = simd.mul_add_e_f32s(weight, value, *sum);
                    }
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let (vectors, _) = S::as_mut_simd_f32s(&mut product[i * row..i * row + N * lanes]);
            vectors.copy_from_slice(sums);
        }
    }
}
