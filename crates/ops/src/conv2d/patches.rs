//! The patches that a convolution's windows cover, laid out as a matrix (im2col), and back (col2im).

use crate::cpu::Number;
use crate::window::Axis;

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Geometry {
    pub samples: usize,
    pub channels: usize,
    pub filters: usize,
    pub vertical: Axis,
    pub horizontal: Axis,
}

impl Geometry {
    /// Numbers that one window covers: channels x kernel height x kernel width, which is also the length of a filter.
    pub fn patch(&self) -> usize {
        self.channels * self.vertical.kernel * self.horizontal.kernel
    }

    /// Windows an image has.
    pub fn positions(&self) -> usize {
        self.vertical.output * self.horizontal.output
    }

    /// Numbers in one input image.
    pub fn image(&self) -> usize {
        self.channels * self.vertical.input * self.horizontal.input
    }

    /// Height and width with padding.
    fn padded(&self) -> (usize, usize) {
        (self.vertical.input + 2 * self.vertical.padding, self.horizontal.input + 2 * self.horizontal.padding)
    }

    /// Numbers in one padded input image.
    pub fn padded_image(&self) -> usize {
        let (height, width) = self.padded();
        self.channels * height * width
    }

    /// Copies an image into the middle of its padded place; the padding itself is left as it is.
    fn pad<T: Copy>(&self, image: &[T], padded: &mut [T]) {
        for (line, start) in self.lines() {
            padded[start..start + self.horizontal.input].copy_from_slice(&image[line..line + self.horizontal.input]);
        }
    }

    /// Copies the middle of a padded image out.
    fn crop<T: Copy>(&self, padded: &[T], image: &mut [T]) {
        for (line, start) in self.lines() {
            image[line..line + self.horizontal.input].copy_from_slice(&padded[start..start + self.horizontal.input]);
        }
    }

    /// Where every line of an image starts, in the image and in its padded copy.
    fn lines(&self) -> impl Iterator<Item = (usize, usize)> {
        let geometry = *self;
        let (height, width) = self.padded();
        (0..self.channels).flat_map(move |channel| {
            (0..geometry.vertical.input).map(move |y| {
                let line = (channel * geometry.vertical.input + y) * geometry.horizontal.input;
                (line, (channel * height + y + geometry.vertical.padding) * width + geometry.horizontal.padding)
            })
        })
    }

    /// See [`Tiling::taps`].
    fn taps(&self) -> impl Iterator<Item = usize> {
        let geometry = *self;
        let (height, width) = self.padded();
        (0..self.channels).flat_map(move |channel| {
            (0..geometry.vertical.kernel).flat_map(move |y| (0..geometry.horizontal.kernel).map(move |x| (channel * height + y) * width + x))
        })
    }
}

/// A run of windows in one output row.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The image of the group.
    sample: usize,
    /// The first window, counted row by row over the image's output.
    position: usize,
    /// The first window's column in the tile.
    column: usize,
    /// The first window's origin in the group's padded images.
    origin: usize,
    length: usize,
}

/// Windows that are worked on together: columns of the patch matrix, few enough that it stays in cache.
#[derive(Debug)]
pub(crate) struct Tile {
    runs: Vec<Run>,
}

/// The whole convolution cut into groups of images, and every group into tiles. The cut depends on the sizes only, never on the threads.
#[derive(Debug)]
pub(crate) struct Tiling {
    pub geometry: Geometry,
    /// Images in a group; the last group may have fewer.
    pub group: usize,
    /// The tiles of a full group.
    pub tiles: Vec<Tile>,
    /// Columns of the widest tile, rounded up to whole vectors: the distance between two rows of a patch matrix.
    pub pitch: usize,
    /// Where the element of every row of the patch matrix lies in a padded image, for the window at its origin.
    taps: Vec<usize>,
    /// Rows of the patch matrix that are worked on together.
    depth: usize,
}

/// Columns are rounded up to this, the widest vector there is.
const VECTOR: usize = 16;

/// Numbers of a block of the patch matrix: it stays in the first cache.
const CACHED: usize = 1 << 13;

/// At least this many groups, where there are as many images, so that many threads find work.
const GROUPS: usize = 64;

impl Tiling {
    /// Cuts a convolution into tiles of about `columns` windows: several small images a tile, or several tiles a large image.
    pub fn new(geometry: Geometry, columns: usize) -> Self {
        let positions = geometry.positions();
        let group = (columns / positions).clamp(1, geometry.samples.div_ceil(GROUPS).max(1));
        let total = group * positions;
        let count = total.div_ceil(columns.max(1));
        let pitch = total.div_ceil(count).next_multiple_of(VECTOR);
        let tiles = (0..total).step_by(pitch).map(|start| Tile::new(&geometry, start, pitch.min(total - start))).collect();
        let depth = (CACHED / pitch).clamp(1, geometry.patch().max(1));
        Self { geometry, group, tiles, pitch, taps: geometry.taps().collect(), depth }
    }

    /// The rows of the patch matrix, a block at a time: the first row's number and the taps of the block.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, &[usize])> {
        self.taps.chunks(self.depth).enumerate().map(|(block, taps)| (block * self.depth, taps))
    }

    /// Working memory for a block of the patch matrix.
    pub fn block(&self) -> usize {
        self.depth * self.pitch
    }

    /// Working memory for a group's padded images; none where nothing is padded.
    pub fn padded(&self) -> usize {
        if self.is_padded() { self.group * self.geometry.padded_image() } else { 0 }
    }

    fn is_padded(&self) -> bool {
        self.geometry.padded_image() != self.geometry.image()
    }

    /// A group's images with padding around them: in `memory`, or where they are if there is none.
    pub fn pad<'a, T: Number>(&self, images: &'a [T], memory: &'a mut [T]) -> &'a [T] {
        if !self.is_padded() {
            return images;
        }
        memory.fill(T::zero());
        for (image, padded) in images.chunks(self.geometry.image()).zip(memory.chunks_mut(self.geometry.padded_image())) {
            self.geometry.pad(image, padded);
        }
        memory
    }

    /// Lets `work` add to a group's padded images, all zero at first, and stores them without the padding.
    pub fn accumulate<T: Number>(&self, images: &mut [T], memory: &mut [T], work: impl FnOnce(&mut [T])) {
        if !self.is_padded() {
            images.fill(T::zero());
            return work(images);
        }
        memory.fill(T::zero());
        work(memory);
        for (image, padded) in images.chunks_mut(self.geometry.image()).zip(memory.chunks(self.geometry.padded_image())) {
            self.geometry.crop(padded, image);
        }
    }
}

impl Tile {
    fn new(geometry: &Geometry, start: usize, columns: usize) -> Self {
        let (positions, width) = (geometry.positions(), geometry.horizontal.output);
        let mut runs = Vec::new();
        let mut column = 0;
        while column < columns {
            let (sample, position) = ((start + column) / positions, (start + column) % positions);
            let (y, x) = (position / width, position % width);
            let length = (width - x).min(columns - column);
            let inside = y * geometry.vertical.stride * geometry.padded().1 + x * geometry.horizontal.stride;
            runs.push(Run { sample, position, column, origin: sample * geometry.padded_image() + inside, length });
            column += length;
        }
        Self { runs }
    }

    /// The runs of the first `samples` images of the group.
    fn runs(&self, samples: usize) -> &[Run] {
        &self.runs[..self.runs.partition_point(|run| run.sample < samples)]
    }

    /// The columns that the first `samples` images of the group fill.
    pub fn filled(&self, samples: usize) -> usize {
        self.runs(samples).last().map_or(0, |run| run.column + run.length)
    }

    /// Fills the rows `taps` of the patch matrix, `pitch` apart, from the group's padded images.
    pub fn gather<T: Copy>(&self, geometry: &Geometry, samples: usize, padded: &[T], taps: &[usize], patches: &mut [T], pitch: usize) {
        let runs = self.runs(samples);
        let stride = geometry.horizontal.stride;
        for (row, &tap) in taps.iter().enumerate() {
            let row = &mut patches[row * pitch..];
            for run in runs {
                let source = &padded[run.origin + tap..];
                if stride == 1 {
                    copy(source, &mut row[run.column..], run.length);
                } else {
                    row[run.column..run.column + run.length].iter_mut().zip(source.iter().step_by(stride)).for_each(|(to, &from)| *to = from);
                }
            }
        }
    }

    /// The transpose of [`gather`](Self::gather): adds every column of the patch matrix to the pixels that it came from.
    pub fn scatter<T: Copy + std::ops::AddAssign>(&self, geometry: &Geometry, samples: usize, taps: &[usize], patches: &[T], pitch: usize, padded: &mut [T]) {
        let runs = self.runs(samples);
        let stride = geometry.horizontal.stride;
        for (row, &tap) in patches.chunks(pitch).zip(taps) {
            for run in runs {
                let (target, row) = (&mut padded[run.origin + tap..], &row[run.column..run.column + run.length]);
                if stride == 1 {
                    target.iter_mut().zip(row).for_each(|(to, &from)| *to += from);
                } else {
                    target.iter_mut().step_by(stride).zip(row).for_each(|(to, &from)| *to += from);
                }
            }
        }
    }

    /// Every piece of an output of filters x windows that this tile holds of row `filter`: (place in the group's output, columns of the tile).
    pub fn pieces(&self, geometry: &Geometry, samples: usize, filter: usize) -> impl Iterator<Item = (std::ops::Range<usize>, std::ops::Range<usize>)> {
        let (positions, filters) = (geometry.positions(), geometry.filters);
        self.runs(samples).chunk_by(|a, b| a.sample == b.sample).filter_map(move |runs| {
            let (first, last) = (runs.first()?, runs.last()?);
            let columns = first.column..last.column + last.length;
            let start = (first.sample * filters + filter) * positions + first.position;
            Some((start..start + columns.len(), columns))
        })
    }
}

/// Copies `length` numbers, and often some more behind them: a fixed length is a few instructions where a short copy of any length is a call.
///
/// Runs are copied row by row in the order of their columns, so what was too much is overwritten by a later run or lies beyond the filled columns.
fn copy<T: Copy>(from: &[T], to: &mut [T], length: usize) {
    let copied = match length {
        0..=8 => copy_fixed::<T, 8>(from, to),
        9..=16 => copy_fixed::<T, 16>(from, to),
        17..=32 => copy_fixed::<T, 32>(from, to),
        _ => false,
    };
    if !copied {
        to[..length].copy_from_slice(&from[..length]);
    }
}

/// Copies N numbers, if there are as many on both sides.
fn copy_fixed<T: Copy, const N: usize>(from: &[T], to: &mut [T]) -> bool {
    let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) else { return false };
    *to = *from;
    true
}
