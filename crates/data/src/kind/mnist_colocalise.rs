//! Co-localisation: images that have one thing in common, which is to be found in each.

use std::path::Path;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;
use stn_core::stream::stream;

use super::mnist::MnistSpec;
use super::{Loaded, Opened, Source};
use crate::distortion::{Clutter, Draw, Frame};
use crate::images::{Images, Pixels};
use crate::pictures::Pictures;
use crate::spec::Declared;
use crate::split::FIXED_SEED;
use crate::{Error, Provenance, Result, permutation};

/// `kind = "mnist_colocalise"`: images with a digit of one class each, at a random place of a black canvas, with or without clutter (section A.2 of the paper).
///
/// They are drawn once and for all, the same in every trial. The training and the test part are the same images: nothing says where the digit is but that it is in all of them,
/// and the test asks whether it was found. A digit's place is the 28 x 28 pixels of its MNIST image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MnistColocaliseSpec {
    /// Where the digits are read from.
    #[serde(flatten)]
    pub digits: MnistSpec,
    /// The digit that the images have in common, 0 to 9.
    pub class: u32,
    /// How many images, taken from the training digits of that class.
    pub images: usize,
    /// Height and width of an image.
    pub canvas: [usize; 2],
    /// How many 6 x 6 pieces of other digits lie about; 0 for none.
    pub clutter: usize,
}

impl Default for MnistColocaliseSpec {
    fn default() -> Self {
        Self { digits: MnistSpec::default(), class: 0, images: 100, canvas: [84, 84], clutter: 0 }
    }
}

impl Declared for MnistColocaliseSpec {
    const NAME: &'static str = "mnist_colocalise";
    const SUMMARY: &'static str = "Images of one handwritten digit at unknown places, to be found in each without labels.";
}

/// The side of a piece of clutter.
pub(super) const PIECE: usize = 6;
/// The most pixels of all images together: 1 GiB.
const MOST_PIXELS: usize = 1 << 28;
/// The most pieces.
pub(super) const MOST_PIECES: usize = 10_000;

/// Sides that are too short or too long.
pub(super) fn side_faults(key: &str, sides: [usize; 2], least: usize) -> Option<Fault> {
    const MOST: usize = 4096;
    let fault = || Fault::at([key], format!("height and width must be from {least} to {MOST}; they are {sides:?}"));
    (!sides.iter().all(|side| (least..=MOST).contains(side))).then(fault)
}

impl Source for MnistColocaliseSpec {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = self.digits.faults();
        let mut check = |right: bool, key: &str, message: String| {
            if !right {
                faults.push(Fault::at([key], message));
            }
        };
        check(self.class < 10, "class", format!("must be a digit from 0 to 9; it is {}", self.class));
        check(self.images >= 2, "images", format!("must be at least 2, so that there is something to compare; it is {}", self.images));
        let pixels = self.canvas.iter().try_fold(self.images, |product, side| product.checked_mul(*side));
        check(
            pixels.is_some_and(|pixels| pixels <= MOST_PIXELS),
            "images",
            format!("{} images of {:?} have more than {MOST_PIXELS} pixels; ask for fewer", self.images, self.canvas),
        );
        check(self.clutter <= MOST_PIECES, "clutter", format!("must be at most {MOST_PIECES}; it is {}", self.clutter));
        faults.extend(side_faults("canvas", self.canvas, 28));
        faults
    }

    fn changes(&self) -> bool {
        false
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        Some((vec![1, self.canvas[0], self.canvas[1]], 1))
    }

    fn open(&self) -> Result<Opened> {
        let Loaded { train: digits, provenance: Provenance { source, sha256, synthetic, licence }, .. } = self.digits.load()?;
        let scenes = self.scenes(&digits)?;
        let provenance = Provenance { source: format!("{source}, placed to be found"), sha256, synthetic, licence };
        Ok(Loaded { train: Box::new(scenes.clone()), test: Box::new(scenes), class_names: vec![self.class.to_string()], provenance })
    }
}

impl MnistColocaliseSpec {
    fn scenes(&self, digits: &Images) -> Result<Scenes> {
        let members: Vec<usize> = (0..digits.len()).filter(|&index| digits.labels_of(index) == Some(&[self.class])).collect();
        if members.len() < self.images {
            let found = members.len();
            return Err(Error::Unsupported(format!("there are {found} training digits of class {}; ask for at most as many with `images`", self.class)));
        }
        let [_, height, width] = digits.shape();
        let clutter = Clutter { patches: self.clutter, patch: PIECE, canvas: self.canvas };
        let frame = Frame { image: [height, width], canvas: self.canvas };
        let (mut pixels, mut places) = (Vec::new(), Vec::new());
        for place in permutation(members.len(), FIXED_SEED, "co-localised digits", self.class.into()).into_iter().take(self.images) {
            let index = members[place as usize];
            let mut digit = vec![0.0; digits.size()];
            digits.read(index, &mut digit)?;
            let mut canvas = vec![0.0; self.canvas.iter().product()];
            let random = stream(FIXED_SEED, "co-localised place", index as u64);
            let corner = clutter.scatter(digits, Draw { index, random }, frame, &digit, &mut canvas)?;
            pixels.extend(canvas);
            places.push(frame.place(corner));
        }
        let images = Images::new(Path::new(Self::NAME), [1, self.canvas[0], self.canvas[1]], Pixels::Floats(pixels), vec![0; self.images])?;
        Ok(Scenes { images: Arc::new(images), places, count: self.images })
    }
}

/// The images and where their digits stand.
#[derive(Debug, Clone)]
struct Scenes {
    images: Arc<Images>,
    places: Vec<[f64; 4]>,
    count: usize,
}

impl Pictures for Scenes {
    fn shape(&self) -> &[usize] {
        Pictures::shape(self.images.as_ref())
    }

    fn len(&self) -> usize {
        self.count
    }

    fn draw(&self, index: usize, random: &mut ChaCha8Rng, values: &mut [f32], labels: &mut [u32]) -> Result<()> {
        self.images.draw(index, random, values, labels)
    }

    fn place(&self, index: usize) -> Option<[f64; 4]> {
        self.places.get(index).copied()
    }

    fn limited(self: Box<Self>, count: usize) -> Box<dyn Pictures> {
        Box::new(Self { count: self.count.min(count), ..*self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MnistSource;

    fn opened(clutter: usize) -> Opened {
        let digits = MnistSpec { source: MnistSource::Embedded, dir: None };
        MnistColocaliseSpec { digits, class: 7, images: 20, clutter, ..MnistColocaliseSpec::default() }.open().unwrap()
    }

    fn image(pictures: &dyn Pictures, index: usize) -> (Vec<f32>, u32) {
        let (mut values, mut labels) = (vec![0.0; 84 * 84], [9]);
        pictures.draw(index, &mut stream(0, "test", 0), &mut values, &mut labels).unwrap();
        (values, labels[0])
    }

    #[test]
    fn every_digit_stands_in_its_place() {
        let opened = opened(0);
        assert_eq!((opened.train.len(), opened.class_names), (20, vec!["7".to_owned()]));
        for index in 0..20 {
            let (values, label) = image(opened.train.as_ref(), index);
            let [left, top, right, bottom] = opened.train.place(index).unwrap().map(|edge| ((edge + 1.0) * 42.0).round() as usize);
            assert_eq!((label, right - left, bottom - top), (0, 28, 28));
            let inside = |i: usize| (left..right).contains(&(i % 84)) && (top..bottom).contains(&(i / 84));
            assert!(values.iter().enumerate().all(|(i, value)| *value == 0.0 || inside(i)));
            assert!(values.iter().sum::<f32>() > 10.0);
        }
    }

    #[test]
    fn both_parts_are_the_same_images() {
        let opened = opened(0);
        assert_eq!(image(opened.train.as_ref(), 3), image(opened.test.as_ref(), 3));
        assert_eq!(opened.train.place(3), opened.test.place(3));
    }

    #[test]
    fn clutter_lies_about_the_same_digits() {
        let (plain, cluttered) = (opened(0), opened(16));
        for index in 0..20 {
            assert_eq!(plain.train.place(index), cluttered.train.place(index));
            let brighter =
                image(cluttered.train.as_ref(), index).0.iter().zip(image(plain.train.as_ref(), index).0).filter(|(with, without)| *with > without).count();
            assert!(brighter > 10, "{brighter}");
        }
    }

    #[test]
    fn more_images_than_digits_are_an_error() {
        let digits = MnistSpec { source: MnistSource::Embedded, dir: None };
        let error = MnistColocaliseSpec { digits, images: 5000, ..MnistColocaliseSpec::default() }.open().err().unwrap().to_string();
        assert!(error.starts_with("there are ") && error.ends_with("training digits of class 0; ask for at most as many with `images`"), "{error}");
    }
}
