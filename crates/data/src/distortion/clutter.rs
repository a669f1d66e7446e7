//! TC: translated among clutter.

use candle_core::{Device, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::frame::Frame;
use super::{Declared, Draw, canvas_faults};
use crate::pictures::Pictures;
use crate::{Error, Result};

/// TC of the paper: the image at a random place of a black canvas, with `patches` square pieces cut from other images of the same part.
///
/// Pieces are cut at random places of images drawn at random (never the image itself, where there is another) and put at random places. Where two things meet,
/// the brighter pixel is seen. All places are whole pixels, so nothing is interpolated and no sampler is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Clutter {
    /// How many pieces.
    pub patches: usize,
    /// Height and width of a piece.
    pub patch: usize,
    /// Height and width of the output.
    pub canvas: [usize; 2],
}

impl Default for Clutter {
    fn default() -> Self {
        Self { patches: 6, patch: 6, canvas: [60, 60] }
    }
}

impl Declared for Clutter {
    const NAME: &'static str = "TC";
    const SUMMARY: &'static str = "At a random place of a larger canvas, among pieces of other images.";

    fn faults(&self) -> Vec<Fault> {
        let patches = (self.patches > 10_000).then(|| Fault::at(["patches"], format!("must be at most 10000; it is {}", self.patches)));
        let patch = (self.patch == 0).then(|| Fault::at(["patch"], "must be at least 1"));
        patches.into_iter().chain(patch).chain(canvas_faults(Some(self.canvas))).collect()
    }
}

impl Clutter {
    /// An error where the pieces are larger than the images they are cut from.
    pub(crate) fn check_patch(&self, image: [usize; 2]) -> Result<()> {
        if self.patches == 0 || image.iter().all(|&n| n >= self.patch) {
            return Ok(());
        }
        Err(Error::Unsupported(format!(
            "pieces of {0} x {0} cannot be cut from images of {1} x {2}; give a smaller `patch` to distortion TC",
            self.patch, image[0], image[1]
        )))
    }

    /// One picture on a canvas among pieces of others of `shown`; where its top left came to.
    pub(crate) fn scatter(&self, shown: &dyn Pictures, draw: Draw, frame: Frame, picture: &[f32], canvas: &mut [f32]) -> Result<[usize; 2]> {
        let mut others = Others::of(shown);
        self.draw_one(picture, &mut others, draw, frame, canvas)
    }

    /// Puts each of the N x C x H x W pictures on a canvas of its own, among pieces of others of `shown`.
    pub(crate) fn apply(&self, shown: &dyn Pictures, input: &Tensor, draws: Vec<Draw>, frame: Frame) -> Result<Tensor> {
        let (count, channels, _, _) = input.dims4()?;
        let [height, width] = frame.canvas;
        let mut values = vec![0.0; count * channels * height * width];
        let mut others = Others::of(shown);
        for (i, (draw, canvas)) in draws.into_iter().zip(values.chunks_exact_mut(channels * height * width)).enumerate() {
            let picture = input.get(i)?.flatten_all()?.to_vec1::<f32>()?;
            self.draw_one(&picture, &mut others, draw, frame, canvas)?;
        }
        Ok(Tensor::from_vec(values, (count, channels, height, width), &Device::Cpu)?)
    }

    fn draw_one(&self, picture: &[f32], others: &mut Others<'_>, Draw { index, mut random }: Draw, frame: Frame, canvas: &mut [f32]) -> Result<[usize; 2]> {
        let whole = frame.image;
        let stands = corner(&mut random, whole, frame.canvas);
        paste(picture, frame, [0, 0], whole, stands, canvas);
        for _ in 0..self.patches {
            let other = others.draw(index, &mut random)?;
            let piece = [self.patch; 2];
            let cut = corner(&mut random, piece, whole);
            let place = corner(&mut random, piece, frame.canvas);
            paste(other, frame, cut, piece, place, canvas);
        }
        Ok(stands)
    }
}

/// The images that pieces are cut from.
struct Others<'a> {
    shown: &'a dyn Pictures,
    values: Vec<f32>,
    labels: Vec<u32>,
}

impl<'a> Others<'a> {
    fn of(shown: &'a dyn Pictures) -> Self {
        Self { shown, values: vec![0.0; shown.pictures() * shown.size()], labels: vec![0; shown.heads()] }
    }

    /// The first picture of an image drawn at random, which is not `index` where there is another.
    fn draw(&mut self, index: usize, random: &mut ChaCha8Rng) -> Result<&[f32]> {
        let other = other(random, index, self.shown.len());
        self.shown.draw(other, random, &mut self.values, &mut self.labels)?;
        Ok(&self.values[..self.shown.size()])
    }
}

/// An index other than `index`, where there is one.
fn other(random: &mut ChaCha8Rng, index: usize, count: usize) -> usize {
    if count < 2 {
        return index;
    }
    (index + random.random_range(1..count)) % count
}

/// The top left of a random place for something of `size` inside `room`.
fn corner(random: &mut ChaCha8Rng, size: [usize; 2], room: [usize; 2]) -> [usize; 2] {
    [0, 1].map(|axis| random.random_range(0..=room[axis].saturating_sub(size[axis])))
}

/// Copies the `size` piece at `cut` of the image to `place` of the canvas, the brighter pixel winning; every channel.
fn paste(image: &[f32], frame: Frame, cut: [usize; 2], size: [usize; 2], place: [usize; 2], canvas: &mut [f32]) {
    let planes = image.chunks_exact(frame.image[0] * frame.image[1]).zip(canvas.chunks_exact_mut(frame.canvas[0] * frame.canvas[1]));
    for (source, target) in planes {
        for row in 0..size[0] {
            let from = (cut[0] + row) * frame.image[1] + cut[1];
            let to = (place[0] + row) * frame.canvas[1] + place[1];
            for (out, value) in target[to..to + size[1]].iter_mut().zip(&source[from..from + size[1]]) {
                *out = out.max(*value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{Images, Pixels};
    use std::path::Path;
    use stn_core::stream::stream;

    fn apply(clutter: &Clutter, images: &Images, index: usize, key: u64) -> Vec<f32> {
        let frame = Frame { image: [images.shape()[1], images.shape()[2]], canvas: clutter.canvas };
        let draws = vec![Draw { index, random: stream(0, "test", key) }];
        let mut picture = vec![0.0; images.size()];
        images.read(index, &mut picture).unwrap();
        let input = Tensor::from_vec(picture, [&[1][..], &images.shape()].concat(), &Device::Cpu).unwrap();
        clutter.apply(images, &input, draws, frame).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_image_is_whole_somewhere_and_pieces_come_from_others() {
        // Image 0 is dim, image 1 bright: what is bright is clutter.
        let pixels = [[51; 16], [255; 16]].concat();
        let images = Images::new(Path::new("x"), [1, 4, 4], Pixels::Bytes(pixels), vec![0, 1]).unwrap();
        let clutter = Clutter { patches: 1, patch: 2, canvas: [9, 11] };
        for key in 0..50 {
            let values = apply(&clutter, &images, 0, key);
            let bright = values.iter().filter(|&&v| v == 1.0).count();
            let dim = values.iter().filter(|&&v| v == 0.2).count();
            assert_eq!(bright, 4);
            assert!((12..=16).contains(&dim));
        }
    }

    #[test]
    fn a_lone_image_gives_its_own_pieces() {
        let images = Images::new(Path::new("x"), [1, 2, 2], Pixels::Bytes(vec![255; 4]), vec![0]).unwrap();
        let values = apply(&Clutter { patches: 3, patch: 2, canvas: [2, 2] }, &images, 0, 0);
        assert_eq!(values, [1.0; 4]);
    }

    #[test]
    fn every_place_is_reached() {
        let images = Images::new(Path::new("x"), [1, 1, 1], Pixels::Bytes(vec![255]), vec![0]).unwrap();
        let mut seen = [false; 4];
        for key in 0..100 {
            let values = apply(&Clutter { patches: 0, patch: 1, canvas: [2, 2] }, &images, 0, key);
            seen[values.iter().position(|&v| v == 1.0).unwrap()] = true;
        }
        assert_eq!(seen, [true; 4]);
    }
}
