//! Where images lie in working memory: padded, and side by side so that vectors are full.

use crate::cpu::ALIGNED;

/// A group of images as a correlation reads them, one plane a channel.
///
/// Number `((lead + y * pitch + x) * images + i)` of a plane is pixel (y, x) of image `i`. The padding at the end of a line is also the one in front of the next. With
/// several images interleaved, the outputs of a short line fill whole vectors.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Images side by side.
    pub images: usize,
    /// Height and width of an image.
    size: (usize, usize),
    /// Pixels from one line to the next.
    pitch: usize,
    /// Zero pixels in front of the first.
    lead: usize,
    /// Numbers of a plane.
    pub plane: usize,
    /// Height and width of an output.
    pub output: (usize, usize),
    /// Where each vector of outputs starts to read, at the first tap.
    pub vectors: Vec<u32>,
    /// Numbers from one line of outputs to the next, where vectors are stored one after another.
    pub product_pitch: usize,
    lanes: usize,
    /// Zero lines above an image, and the lines of the kernel.
    above: usize,
    kernel_lines: usize,
}

/// Sizes of one correlation: an image, zeros on each side of it, the kernel; each as (height, width).
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub image: (usize, usize),
    pub padding: (usize, usize),
    pub kernel: (usize, usize),
}

impl Layout {
    pub fn new(sizes: Sizes, images: usize, lanes: usize) -> Self {
        let Sizes { image, padding, kernel } = sizes;
        let output = (image.0 + 2 * padding.0 + 1 - kernel.0, image.1 + 2 * padding.1 + 1 - kernel.1);
        let pitch = image.1 + padding.1;
        let plane = (((image.0 + 2 * padding.0) * pitch + padding.1) * images).next_multiple_of(ALIGNED);
        // Line by line with the last vector partly filled, or straight through the padding: whichever has fewer vectors.
        let (line, whole) = ((output.1 * images).div_ceil(lanes), (((output.0 - 1) * pitch + output.1) * images).div_ceil(lanes));
        let (vectors, product_pitch) = if output.0 * line <= whole {
            let starts = (0..output.0).flat_map(|y| (0..line).map(move |x| (y * pitch * images + x * lanes) as u32));
            (starts.collect(), line * lanes)
        } else {
            ((0..whole).map(|i| (i * lanes) as u32).collect(), pitch * images)
        };
        Self {
            images,
            size: image,
            pitch,
            lead: padding.0 * pitch + padding.1,
            plane,
            output,
            vectors,
            product_pitch,
            lanes,
            above: padding.0,
            kernel_lines: kernel.0,
        }
    }

    /// Numbers of a group of `channels`, with what a last vector may read beyond it.
    pub fn len(&self, channels: usize) -> usize {
        channels * self.plane + self.lanes + self.product_pitch
    }

    /// Numbers of the product for one filter.
    pub fn product(&self) -> usize {
        self.vectors.len() * self.lanes
    }

    /// Where the taps of a kernel lie, channel by channel, from where a vector starts.
    pub fn taps(&self, channels: usize, kernel: (usize, usize)) -> Vec<u32> {
        let line = |c: usize, y: usize| c * self.plane + y * self.pitch * self.images;
        (0..channels).flat_map(|c| (0..kernel.0).flat_map(move |y| (0..kernel.1).map(move |x| (line(c, y) + x * self.images) as u32))).collect()
    }

    /// The lines of the kernel that meet the image, and not only its padding, in some of the vectors from `first` to `last`.
    #[inline(always)]
    pub fn lines(&self, first: usize, last: usize) -> std::ops::Range<usize> {
        let line = |place: usize| (place / self.product_pitch).min(self.output.0 - 1);
        let (top, bottom) = (line(first * self.lanes), line(last * self.lanes + self.lanes - 1));
        self.above.saturating_sub(bottom)..self.kernel_lines.min(self.size.0 + self.above - top)
    }

    /// Numbers from one pixel to that below it.
    pub fn line(&self) -> usize {
        self.pitch * self.images
    }

    /// The part of a plane where line `y` of image `i` lies; its pixels are [`images`](Self::images) apart.
    #[inline(always)]
    pub fn line_start(&self, y: usize, i: usize) -> usize {
        (self.lead + y * self.pitch) * self.images + i
    }

    /// Copies the channels of image `i` of the group into memory that is zero elsewhere.
    #[inline(always)]
    pub fn place(&self, image: &[f32], i: usize, memory: &mut [f32]) {
        let (height, width) = self.size;
        for (plane, memory) in image.chunks_exact(height * width).zip(memory.chunks_mut(self.plane)) {
            for (y, line) in plane.chunks_exact(width).enumerate() {
                let start = self.line_start(y, i);
                if self.images == 1 {
                    memory[start..start + width].copy_from_slice(line);
                } else {
                    memory[start..].iter_mut().step_by(self.images).zip(line).for_each(|(to, &from)| *to = from);
                }
            }
        }
    }
}

/// What a group of images costs, in cycles an image, by the number of images side by side.
pub(super) struct Choice {
    pub samples: usize,
    pub channels: usize,
    pub filters: usize,
    pub lanes: usize,
}

/// A group's images stay in the second cache.
const CACHED: usize = 1 << 17;

/// At least this many groups, where there are as many images, so that many threads find work.
const GROUPS: usize = 8;

impl Choice {
    /// The layout that costs least. It depends on the sizes and the width of a vector only, never on the threads.
    pub fn layout(&self, sizes: Sizes) -> Layout {
        let single = Layout::new(sizes, 1, self.lanes);
        let several = [2, 4, 8, 16].into_iter().filter(|images| self.samples.div_ceil(*images) >= GROUPS).map(|images| Layout::new(sizes, images, self.lanes));
        let fitting = several.filter(|layout| layout.len(self.channels) <= CACHED);
        fitting.fold(single, |best, layout| if self.cost(&layout, sizes) < self.cost(&best, sizes) { layout } else { best })
    }

    fn cost(&self, layout: &Layout, sizes: Sizes) -> f64 {
        let lines: usize = (0..layout.vectors.len()).map(|vector| layout.lines(vector, vector).len()).sum();
        let products = (lines * self.filters * self.channels * sizes.kernel.1) as f64 / layout.images as f64 / 2.0;
        let moved = (self.channels * sizes.image.0 * sizes.image.1 + self.filters * layout.output.0 * layout.output.1) as f64;
        products + moved * if layout.images == 1 { 0.2 } else { 1.0 }
    }
}
