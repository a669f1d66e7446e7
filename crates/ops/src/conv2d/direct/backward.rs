//! The backward pass: over the images, each in the cache while its gradient goes to the input and to the filters.

use std::ops::Range;

use candle_core::Result;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::correlate::{Correlation, Panels};
use super::filters::FilterSums;
use super::layout::{Choice, Layout};
use super::upstream::{self, Upstream};
use super::{Direct, Following, Gradients, Saved, lanes};
use crate::conv2d::patches::Geometry;
use crate::cpu::{BLOCK, arch, elements, with_scratch};
use crate::fresh::{Fresh, filled};
use crate::transpose::{transpose, transpose_padded};

/// Numbers in all parts together from which their memory counts.
const LARGE: usize = 1 << 20;

impl Direct {
    /// The gradients to the input, where it is wanted, and to filters and bias, where they are.
    ///
    /// Every sum has an order that depends on the sizes only: see [`Pass::by_parts`] and [`Pass::by_channels`], of which the second is taken where it needs less memory and that counts.
    pub fn backward(&self, saved: Saved<'_>, input_wanted: bool, filters_wanted: bool) -> Result<Gradients> {
        let Geometry { samples, filters, .. } = self.geometry;
        let back = input_wanted.then(|| Back::new(self, saved.weight));
        let pitch = filters.next_multiple_of(lanes());
        let pass = Pass { direct: self, saved, back, layout: Layout::new(self.sizes(), 1, lanes()), pitch };
        let input = if input_wanted { elements("conv2d", &[samples, self.geometry.image()])? } else { 0 };
        let sums = (self.geometry.patch() + 1) * pitch;
        Ok(if !filters_wanted {
            Gradients { input: pass.to_input(input), ..Gradients::default() }
        } else if parts(sums) * sums > LARGE && samples * self.geometry.positions() * pitch < parts(sums) * sums {
            pass.by_channels(input)
        } else {
            pass.by_parts(input, sums)
        })
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

/// What all images share.
struct Pass<'a> {
    direct: &'a Direct,
    saved: Saved<'a>,
    /// As large as the filters: given back as soon as all images have gone back to the input.
    back: Option<Back>,
    /// How the input lies for the gradient to the filters.
    layout: Layout,
    /// Filters rounded up to whole vectors.
    pitch: usize,
}

impl Pass<'_> {
    /// Images that go back to the input side by side.
    fn images(&self) -> usize {
        self.back.as_ref().map_or(1, |back| back.layout.images)
    }

    /// The gradient to the input alone.
    fn to_input(&self, length: usize) -> Vec<f32> {
        let group = self.images();
        filled(length, group * self.direct.geometry.image(), |i, input| self.run(self.samples(i, group), input, Filters::Unwanted))
    }

    fn samples(&self, chunk: usize, size: usize) -> Range<usize> {
        chunk * size..self.direct.geometry.samples.min((chunk + 1) * size)
    }

    /// Groups of images are dealt to a number of parts that depends on the sizes only; each part sums its groups in order, and the parts are summed in order. Where their memory
    /// counts, only as many parts as keep the threads busy have sums at a time.
    fn by_parts(mut self, input: usize, sums: usize) -> Gradients {
        let Geometry { samples, filters, .. } = self.direct.geometry;
        let groups = samples.div_ceil(self.images());
        let part = groups.div_ceil(parts(sums)) * self.images();
        let count = samples.div_ceil(part);
        let at_once = if count * sums > LARGE { count.min(2 * rayon::current_num_threads()) } else { count };
        let input = Fresh::new(input, count, [part * self.direct.geometry.image()]);
        let (mut total, mut several) = (vec![0.0; sums], vec![0.0; at_once * sums]);
        for first in (0..count).step_by(at_once) {
            let several = &mut several[..at_once.min(count - first) * sums];
            several.par_chunks_mut(sums).enumerate().for_each(|(i, sums)| {
                sums.fill(0.0);
                self.run(self.samples(first + i, part), input.part(first + i).zeroed(), Filters::Sums(sums));
            });
            total.par_chunks_mut(BLOCK).enumerate().for_each(|(block, total)| {
                for (i, part) in several.chunks_exact(sums).enumerate() {
                    let numbers = &part[block * BLOCK..][..total.len()];
                    match first + i {
                        0 => total.copy_from_slice(numbers),
                        _ => total.iter_mut().zip(numbers).for_each(|(total, &number)| *total += number),
                    }
                }
            });
        }
        drop(several);
        self.back = None;
        let bias = total[sums - self.pitch..][..filters].to_vec();
        Gradients { input: input.finish(), weight: self.by_filters(&total), bias }
    }

    /// All gradients are turned first; then every task goes over all images with a few channels of its own, in order. Nothing is summed twice, which serves many filters over
    /// small images.
    fn by_channels(mut self, input: usize) -> Gradients {
        let Geometry { samples, channels, filters, vertical, horizontal } = self.direct.geometry;
        let (group, length) = (self.images(), self.direct.geometry.positions() * self.pitch);
        let groups = samples.div_ceil(group);
        // What stays is made first: what is given back before it would leave a hole.
        let input = Fresh::new(input, groups, [group * self.direct.geometry.image()]);
        let turned = filled(samples * length, group * length, |i, turned| {
            self.run(self.samples(i, group), input.part(i).zeroed(), Filters::Turned(turned));
        });
        let input = input.finish();
        self.back = None;
        let (plane, image) = (vertical.input * horizontal.input, self.direct.geometry.image());
        let kernel = self.direct.sizes().kernel;
        let channel = kernel.0 * kernel.1 * self.pitch;
        let several = channels.div_ceil(32);
        let sums = filled(channels * channel, several * channel, |task, sums| {
            let channels = sums.len() / channel;
            with_scratch([self.layout.len(channels)], |[source]| {
                source.fill(0.0);
                for n in 0..samples {
                    self.layout.place(&self.saved.input[n * image + task * several * plane..][..channels * plane], 0, source);
                    let upstream = &turned[n * length..][..length];
                    arch().dispatch(FilterSums { layout: &self.layout, kernel, channels, source, upstream, pitch: self.pitch, sums: &mut *sums });
                }
            });
        });
        // The sum of every image, then these in order.
        let images: Vec<Vec<f32>> = turned.par_chunks(length).map(|image| upstream::sum_rows(image, self.pitch)).collect();
        let bias = upstream::sum_rows(&images.concat(), self.pitch)[..filters].to_vec();
        drop(turned);
        Gradients { input, weight: self.by_filters(&sums), bias }
    }

    /// The gradient to the weight, filters x patch, from sums taps x [`pitch`](Self::pitch).
    fn by_filters(&self, sums: &[f32]) -> Vec<f32> {
        let (patch, rows) = (self.direct.geometry.patch(), 8);
        filled(self.direct.geometry.filters * patch, rows * patch, |i, weight| {
            arch().dispatch(
                #[inline(always)]
                || transpose(&sums[i * rows..], self.pitch, weight, patch, weight.len() / patch),
            );
        })
    }

    /// Goes over some images.
    fn run(&self, samples: Range<usize>, input: &mut [f32], mut filters: Filters) {
        let Geometry { channels, filters: count, .. } = self.direct.geometry;
        let (positions, image) = (self.direct.geometry.positions(), self.direct.geometry.image());
        let sums = matches!(filters, Filters::Sums(_));
        let lengths = [
            if sums { self.layout.len(channels) } else { 0 },
            count * positions,
            if sums { self.pitch * positions } else { 0 },
            self.back.as_ref().map_or(0, |back| back.layout.len(count)),
            self.back.as_ref().map_or(0, |back| back.panels.tallest() * back.layout.product()),
        ];
        with_scratch(lengths, |[source, upstream, turned, planes, product]| {
            // Padding stays zero from one image to the next.
            source.fill(0.0);
            planes.fill(0.0);
            turned.fill(0.0);
            for first in samples.clone().step_by(self.images()) {
                let last = samples.end.min(first + self.images());
                for n in first..last {
                    let filters = match &mut filters {
                        Filters::Unwanted => Filters::Unwanted,
                        Filters::Sums(sums) => Filters::Sums(sums),
                        Filters::Turned(all) => Filters::Turned(&mut all[(n - samples.start) * positions * self.pitch..][..positions * self.pitch]),
                    };
                    arch().dispatch(Image { pass: self, n, slot: n - first, source, upstream, turned, planes, filters });
                }
                if let Some(back) = &self.back {
                    back.run(self.direct, planes, product, &mut input[(first - samples.start) * image..(last - samples.start) * image]);
                }
            }
        });
    }
}

/// What becomes of the gradient to the filters.
enum Filters<'a> {
    Unwanted,
    /// It is summed here: taps x pitch, and the bias's behind them.
    Sums(&'a mut [f32]),
    /// The gradient to the output is turned for a later pass: windows x pitch.
    Turned(&'a mut [f32]),
}

impl Back {
    /// From a group's gradients to those of its inputs.
    fn run(&self, direct: &Direct, planes: &[f32], product: &mut [f32], gradients: &mut [f32]) {
        let Geometry { vertical, horizontal, .. } = direct.geometry;
        let (plane, image) = (vertical.input * horizontal.input, direct.geometry.image());
        let finish = |channel: usize, row: &[f32]| {
            Following::default().store(row, &self.layout, 0.0, &mut gradients[channel * plane..], &mut [], (image, plane));
        };
        arch().dispatch(Correlation {
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

/// One image.
struct Image<'a, 'b> {
    pass: &'a Pass<'b>,
    n: usize,
    /// Its place in its group.
    slot: usize,
    source: &'a mut [f32],
    upstream: &'a mut [f32],
    turned: &'a mut [f32],
    planes: &'a mut [f32],
    filters: Filters<'a>,
}

impl WithSimd for Image<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pass, n, slot, source, upstream, turned, planes, filters } = self;
        let Geometry { channels, filters: count, .. } = pass.direct.geometry;
        let (positions, image) = (pass.direct.geometry.positions(), pass.direct.geometry.image());
        Upstream { following: pass.direct.following, saved: pass.saved, geometry: pass.direct.geometry }.spread(n, upstream);
        if let Some(back) = &pass.back {
            back.layout.place(upstream, slot, planes);
        }
        match filters {
            Filters::Unwanted => {}
            Filters::Turned(turned) => transpose_padded(upstream, positions, turned, pass.pitch, (count, positions)),
            Filters::Sums(sums) => {
                let (sums, bias_sums) = sums.split_at_mut(sums.len() - pass.pitch);
                for (sum, plane) in bias_sums.iter_mut().zip(upstream.chunks_exact(positions)) {
                    *sum += upstream::sum(plane);
                }
                transpose_padded(upstream, positions, turned, pass.pitch, (count, positions));
                pass.layout.place(&pass.saved.input[n * image..(n + 1) * image], 0, source);
                let kernel = pass.direct.sizes().kernel;
                simd.vectorize(FilterSums { layout: &pass.layout, kernel, channels, source, upstream: turned, pitch: pass.pitch, sums });
            }
        }
    }
}

/// In how many parts a gradient of `length` numbers is summed: many for many threads, fewer where each part is large.
fn parts(length: usize) -> usize {
    1 << ((1 << 22) / length.max(1)).clamp(4, 32).ilog2()
}
