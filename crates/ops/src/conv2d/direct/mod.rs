//! Convolution of f32 images at stride 1: vectors chosen at run time, patches never copied, what follows the convolution done while its output is in the cache.
//!
//! Forward and to the input it is one [`correlate`]d product, to the filters another, [`filters`]; both read images through a [`layout`]. The plain convolution beside it is
//! the reference it is tested against.

mod correlate;
mod filters;
mod following;
mod layout;
mod upstream;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::patches::Geometry;
use crate::cpu::{elements, with_scratch};
use crate::fresh::{filled, filled_both};
use crate::transpose::transpose_padded;
use candle_core::Result;
use correlate::{Correlation, Panels};
use filters::FilterSums;
pub(crate) use following::Following;
use layout::{Choice, Layout, Sizes};
use upstream::Upstream;

/// A convolution that the direct kernels can do, with what follows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Direct {
    geometry: Geometry,
    following: Following,
}

/// What the backward pass reads.
#[derive(Clone, Copy)]
pub(crate) struct Saved<'a> {
    pub input: &'a [f32],
    pub weight: &'a [f32],
    /// The output, where it was rectified.
    pub output: &'a [f32],
    /// The pixel that won each pooling window.
    pub winners: &'a [u8],
    /// The gradient to the output.
    pub upstream: &'a [f32],
}

/// Gradients of a convolution; empty where they were not asked for.
#[derive(Debug, Default)]
pub(crate) struct Gradients {
    pub input: Vec<f32>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Direct {
    /// `None` where the plain convolution has to do it: at another stride, or with more padding than the kernel reaches.
    pub fn new(geometry: Geometry, following: Following) -> Option<Self> {
        let fits = [geometry.vertical, geometry.horizontal].iter().all(|axis| axis.stride == 1 && axis.padding < axis.kernel);
        let small = geometry.samples > 0 && geometry.channels > 0 && geometry.filters > 0;
        // Places in working memory are 32 bits wide.
        let places = 16 * (geometry.padded_image() + geometry.filters * (geometry.positions() + geometry.padded_image() / geometry.channels.max(1))) < 1 << 31;
        let winners = following.pool.is_none_or(|(h, w)| h * w <= 256);
        (fits && small && places && winners).then_some(Self { geometry, following })
    }

    /// Height and width of an output image.
    fn output(&self) -> (usize, usize) {
        self.following.output((self.geometry.vertical.output, self.geometry.horizontal.output))
    }

    /// The shape of the output.
    pub fn output_shape(&self) -> [usize; 4] {
        let (height, width) = self.output();
        [self.geometry.samples, self.geometry.filters, height, width]
    }

    fn sizes(&self) -> Sizes {
        let Geometry { vertical, horizontal, .. } = self.geometry;
        Sizes { image: (vertical.input, horizontal.input), padding: (vertical.padding, horizontal.padding), kernel: (vertical.kernel, horizontal.kernel) }
    }

    /// The same of the correlation that leads back to the input.
    fn back_sizes(&self) -> Sizes {
        let Sizes { padding, kernel, .. } = self.sizes();
        let image = (self.geometry.vertical.output, self.geometry.horizontal.output);
        Sizes { image, padding: (kernel.0 - 1 - padding.0, kernel.1 - 1 - padding.1), kernel }
    }

    /// The output and, where it was pooled, the pixel that won each window.
    pub fn forward(&self, input: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Result<(Vec<f32>, Vec<u8>)> {
        let Geometry { samples, channels, filters, .. } = self.geometry;
        let (sizes, patch, image) = (self.sizes(), self.geometry.patch(), self.geometry.image());
        let layout = Choice { samples, channels, filters, lanes: lanes() }.layout(sizes);
        let taps = layout.taps(channels, sizes.kernel);
        let panels = Panels::pack(filters, patch, |filter, tap| weight[filter * patch + tap]);
        let length = elements("conv2d", &self.output_shape())?;
        let (plane, output) = (length / samples / filters, length / samples);
        let winners = if self.following.pool.is_some() { length } else { 0 };
        let group = layout.images * output;
        Ok(filled_both((length, group), (winners, if winners > 0 { group } else { 1 }), |number, outputs: &mut [f32], winners: &mut [u8]| {
            let images = &input[number * layout.images * image..][..outputs.len() / output * image];
            with_scratch([layout.len(channels), panels.tallest() * layout.product()], |[source, product]| {
                source.fill(0.0);
                images.chunks_exact(image).enumerate().for_each(|(i, image)| layout.place(image, i, source));
                let finish = |filter: usize, row: &[f32]| {
                    let bias = bias.map_or(0.0, |bias| bias[filter]);
                    let first = filter * plane;
                    let winners = if winners.is_empty() { &mut [] } else { &mut winners[first..] };
                    self.following.store(row, &layout, bias, &mut outputs[first..], winners, (output, plane));
                };
                Arch::new().dispatch(Correlation { layout: &layout, taps: &taps, kernel: sizes.kernel, panels: &panels, source, product, finish });
            });
        }))
    }

    /// The gradients to the input, where it is wanted, and to filters and bias, where they are.
    ///
    /// Groups of images are dealt to a number of parts that depends on the sizes only; each part sums its groups in order, and the parts are summed in order.
    pub fn backward(&self, saved: Saved<'_>, input_wanted: bool, filters_wanted: bool) -> Result<Gradients> {
        let Geometry { samples, filters, .. } = self.geometry;
        let (patch, image) = (self.geometry.patch(), self.geometry.image());
        let back = input_wanted.then(|| Back::new(self, saved.weight));
        let images = back.as_ref().map_or(1, |back| back.layout.images);
        let groups = samples.div_ceil(images);
        let pitch = filters.next_multiple_of(lanes());
        let sums = if filters_wanted { (patch + 1) * pitch } else { 0 };
        let part = groups.div_ceil(parts(sums)).max(1) * images;
        let count = samples.div_ceil(part);
        let input_length = if input_wanted { elements("conv2d", &[samples, image])? } else { 0 };
        let task = Part { direct: self, saved, back: back.as_ref(), layout: Layout::new(self.sizes(), 1, lanes()), pitch };
        let (input, sums) = match (input_wanted, filters_wanted) {
            (true, true) => {
                filled_both((input_length, part * image), (count * sums, sums), |i, input, sums| task.run(i * part..samples.min((i + 1) * part), input, sums))
            }
            (true, false) => (filled(input_length, part * image, |i, input| task.run(i * part..samples.min((i + 1) * part), input, &mut [])), Vec::new()),
            (false, true) => (Vec::new(), filled(count * sums, sums, |i, sums| task.run(i * part..samples.min((i + 1) * part), &mut [], sums))),
            (false, false) => return Ok(Gradients::default()),
        };
        let (weight, bias) = if filters_wanted { sum_parts(sums, count, filters, pitch, patch) } else { (Vec::new(), Vec::new()) };
        Ok(Gradients { input, weight, bias })
    }
}

/// The correlation of the output's gradient with the filters turned round, which gives the input's.
struct Back {
    layout: Layout,
    taps: Vec<u32>,
    panels: Panels,
}

impl Back {
    fn new(direct: &Direct, weight: &[f32]) -> Self {
        let Geometry { samples, channels, filters, .. } = direct.geometry;
        let sizes = direct.back_sizes();
        let layout = Choice { samples, channels: filters, filters: channels, lanes: lanes() }.layout(sizes);
        let area = sizes.kernel.0 * sizes.kernel.1;
        let panels = Panels::pack(channels, filters * area, |channel, tap| weight[(tap / area * channels + channel) * area + (area - 1 - tap % area)]);
        Self { taps: layout.taps(filters, sizes.kernel), layout, panels }
    }
}

/// What the images of one part share.
struct Part<'a> {
    direct: &'a Direct,
    saved: Saved<'a>,
    back: Option<&'a Back>,
    /// How the input lies for the gradient to the filters.
    layout: Layout,
    /// Filters rounded up to whole vectors.
    pitch: usize,
}

impl Part<'_> {
    fn run(&self, samples: std::ops::Range<usize>, input: &mut [f32], sums: &mut [f32]) {
        let Geometry { channels, filters, .. } = self.direct.geometry;
        let positions = self.direct.geometry.positions();
        let filters_wanted = !sums.is_empty();
        let lengths = [
            if filters_wanted { self.layout.len(channels) } else { 0 },
            filters * positions,
            if filters_wanted { self.pitch * positions } else { 0 },
            self.back.map_or(0, |back| back.layout.len(filters)),
            self.back.map_or(0, |back| back.panels.tallest() * back.layout.product()),
        ];
        let images = self.back.map_or(1, |back| back.layout.images);
        with_scratch(lengths, |[source, upstream, columns, planes, product]| {
            // Padding stays zero from one image to the next.
            source.fill(0.0);
            planes.fill(0.0);
            columns.fill(0.0);
            for first in samples.clone().step_by(images) {
                let last = samples.end.min(first + images);
                for n in first..last {
                    Arch::new().dispatch(Image { part: self, n, slot: n - first, source, upstream, columns, planes, sums });
                }
                if let Some(back) = self.back {
                    let image = self.direct.geometry.image();
                    let start = (first - samples.start) * image;
                    let gradients = &mut input[start..start + (last - first) * image];
                    back.run(self.direct, planes, product, gradients);
                }
            }
        });
    }
}

impl Back {
    /// From a group's gradients to those of its inputs.
    fn run(&self, direct: &Direct, planes: &[f32], product: &mut [f32], gradients: &mut [f32]) {
        let Geometry { vertical, horizontal, .. } = direct.geometry;
        let (plane, image) = (vertical.input * horizontal.input, direct.geometry.image());
        let finish = |channel: usize, row: &[f32]| {
            Following::default().store(row, &self.layout, 0.0, &mut gradients[channel * plane..], &mut [], (image, plane));
        };
        Arch::new().dispatch(Correlation {
            layout: &self.layout,
            taps: &self.taps,
            kernel: direct.sizes().kernel,
            panels: &self.panels,
            source: planes,
            product,
            finish,
        });
    }
}

/// The part of the backward pass that goes image by image.
struct Image<'a, 'b> {
    part: &'a Part<'b>,
    n: usize,
    /// Its place in its group.
    slot: usize,
    source: &'a mut [f32],
    upstream: &'a mut [f32],
    columns: &'a mut [f32],
    planes: &'a mut [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Image<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { part, n, slot, source, upstream, columns, planes, sums } = self;
        let Geometry { channels, filters, .. } = part.direct.geometry;
        let (positions, image) = (part.direct.geometry.positions(), part.direct.geometry.image());
        Upstream { following: part.direct.following, saved: part.saved, geometry: part.direct.geometry }.spread(n, upstream);
        if let Some(back) = part.back {
            back.layout.place(upstream, slot, planes);
        }
        if sums.is_empty() {
            return;
        }
        let (weight_sums, bias_sums) = sums.split_at_mut(sums.len() - part.pitch);
        for (sum, plane) in bias_sums.iter_mut().zip(upstream.chunks_exact(positions)) {
            *sum += upstream::sum(plane);
        }
        transpose_padded(upstream, positions, columns, part.pitch, (filters, positions));
        part.layout.place(&part.saved.input[n * image..(n + 1) * image], 0, source);
        let sizes = part.direct.sizes();
        let sums = FilterSums { layout: &part.layout, kernel: sizes.kernel, channels, source, upstream: columns, pitch: part.pitch, sums: weight_sums };
        simd.vectorize(sums);
    }
}

/// Adds the parts in order and gives the gradients to the filters, filters x patch, and to the bias.
fn sum_parts(mut parts: Vec<f32>, count: usize, filters: usize, pitch: usize, patch: usize) -> (Vec<f32>, Vec<f32>) {
    let length = parts.len() / count.max(1);
    let (total, others) = parts.split_at_mut(length);
    let block = crate::cpu::BLOCK;
    total.par_chunks_mut(block).enumerate().for_each(|(i, total)| {
        for part in others.chunks_exact(length) {
            total.iter_mut().zip(&part[i * block..]).for_each(|(total, &number)| *total += number);
        }
    });
    let bias = total[patch * pitch..][..filters].to_vec();
    let rows = 8;
    let weight = filled(filters * patch, rows * patch, |i, weight| {
        for (r, row) in weight.chunks_exact_mut(patch).enumerate() {
            row.iter_mut().zip(total[i * rows + r..].iter().step_by(pitch)).for_each(|(to, &from)| *to = from);
        }
    });
    (weight, bias)
}

/// In how many parts a gradient of `length` numbers is summed: many for many threads, fewer where each part is large.
fn parts(length: usize) -> usize {
    ((1 << 22) / length.max(1)).clamp(4, 32).next_power_of_two()
}

/// Numbers of a vector.
fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}
