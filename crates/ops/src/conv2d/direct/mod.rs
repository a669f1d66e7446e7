//! Convolution of f32 images at stride 1: vectors chosen at run time, patches never copied, what follows the convolution done while its output is in the cache.
//!
//! Forward and to the input it is one [`correlate`]d product, to the filters another, [`filters`]; both read images through a [`layout`]. [`backward`] goes over the images
//! with both. The plain convolution beside it is
//! the reference it is tested against.

mod backward;
mod correlate;
mod filters;
mod following;
mod layout;
mod upstream;

use super::patches::Geometry;
use crate::cpu::{arch, elements, with_scratch};
use crate::fresh::filled_both;
use candle_core::Result;
use correlate::{Correlation, Panels};
pub(crate) use following::Following;
use layout::{Choice, Sizes};
use pulp::{Simd, WithSimd};

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
                arch().dispatch(Correlation { layout: &layout, taps: &taps, kernel: sizes.kernel, panels: &panels, source, product, finish });
            });
        }))
    }
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
    arch().dispatch(Lanes)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::conv2d::plain;
    use crate::cpu::levels;
    use crate::window::conv2d_axes;

    /// Whole numbers from -3 to 3: every order of summation gives the same bits.
    fn whole(length: usize, seed: usize) -> Vec<f32> {
        (0..length).map(|i| ((i * 7919 + seed * 104_729) % 1009 % 7) as f32 - 3.0).collect()
    }

    #[test]
    fn every_kind_of_vectors_gives_what_the_plain_convolution_gives() {
        levels::each(|| {
            for (samples, channels, filters, size, kernel, padding) in [
                (3, 1, 10, (28, 28), (5, 5), (0, 0)),
                (20, 5, 13, (7, 9), (3, 2), (1, 0)),
                (9, 3, 33, (12, 8), (5, 5), (2, 2)),
                (2, 70, 200, (4, 4), (5, 5), (2, 2)),
                (5, 2, 3, (1, 40), (1, 11), (0, 3)),
            ] {
                let window = crate::Window2d { stride: (1, 1), padding };
                let (vertical, horizontal) = conv2d_axes(size, kernel, &window).unwrap();
                let geometry = Geometry { samples, channels, filters, vertical, horizontal };
                let direct = Direct::new(geometry, Following::default()).unwrap();
                let (input, weight) = (whole(samples * geometry.image(), 1), whole(filters * geometry.patch(), 2));
                let (bias, upstream) = (whole(filters, 3), whole(samples * filters * geometry.positions(), 4));
                assert_eq!(direct.forward(&input, &weight, Some(&bias)).unwrap().0, plain::forward(geometry, &input, &weight, Some(&bias)).unwrap());
                let saved = Saved { input: &input, weight: &weight, output: &[], winners: &[], upstream: &upstream };
                let gradients = direct.backward(saved, true, true).unwrap();
                assert_eq!(gradients.input, plain::input_gradient(geometry, &weight, &upstream).unwrap());
                assert_eq!([gradients.weight, gradients.bias].concat(), plain::filter_gradient(geometry, &input, &upstream).unwrap());
                assert_eq!(direct.backward(saved, true, false).unwrap().input, gradients.input);
            }
        });
    }
}
