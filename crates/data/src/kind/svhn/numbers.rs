//! House numbers of one size, collected in memory.

use std::path::PathBuf;

use image::RgbImage;
use rayon::prelude::*;

use super::crop::Crop;
use super::{Digit, Sequence};
use crate::{Error, Result, decode};

/// So many photographs are decoded and cut at a time, on all threads.
const BLOCK: usize = 512;

/// House numbers cut out of their photographs.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Numbers {
    /// 3, H, W.
    pub(crate) shape: [usize; 3],
    /// Image after image, channel after channel, row after row.
    pub(crate) pixels: Vec<u8>,
    /// The digits of each image, with their boxes in its pixels.
    pub(crate) sequences: Vec<Sequence>,
    /// How many were left out because they have more than five digits.
    pub(crate) too_long: usize,
}

impl Numbers {
    /// Puts the images into the order of `ranks`, which are all different, without a second copy of their pixels.
    fn sort(&mut self, ranks: Vec<usize>) {
        let mut order: Vec<usize> = (0..ranks.len()).collect();
        order.sort_unstable_by_key(|&index| ranks[index]);
        // Where each image has to go.
        let mut goals = vec![0; order.len()];
        for (goal, &index) in order.iter().enumerate() {
            goals[index] = goal;
        }
        for index in 0..goals.len() {
            while goals[index] != index {
                let goal = goals[index];
                self.swap(index, goal);
                goals.swap(index, goal);
            }
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        let size = self.shape.iter().product();
        let (first, second) = self.pixels.split_at_mut(a.max(b) * size);
        first[a.min(b) * size..][..size].swap_with_slice(&mut second[..size]);
        self.sequences.swap(a, b);
    }
}

/// A photograph that waits to be cut.
struct Waiting {
    /// The file, or the place in it.
    name: PathBuf,
    encoded: Vec<u8>,
    sequence: Sequence,
}

/// Decodes and cuts photographs, a block at a time; what it makes does not depend on the number of threads.
pub(crate) struct Cutter {
    crop: Crop,
    waiting: Vec<Waiting>,
    numbers: Numbers,
    /// The rank of each image that was not left out.
    ranks: Vec<usize>,
}

impl Cutter {
    pub(crate) fn new(crop: Crop) -> Self {
        Self { crop, waiting: Vec::new(), ranks: Vec::new(), numbers: Numbers { shape: [3, crop.size, crop.size], ..Numbers::default() } }
    }

    /// Adds a photograph, PNG or JPEG; `rank` is its place among all, of which each is given once; `name` is the file, or the place in it.
    pub(crate) fn add(&mut self, rank: usize, name: PathBuf, encoded: Vec<u8>, digits: &[Digit]) -> Result<()> {
        let Some(sequence) = Sequence::new(digits) else {
            self.numbers.too_long += 1;
            return Ok(());
        };
        self.ranks.push(rank);
        self.waiting.push(Waiting { name, encoded, sequence });
        if self.waiting.len() >= BLOCK { self.cut() } else { Ok(()) }
    }

    /// All of them, in the order of their ranks.
    pub(crate) fn finish(mut self) -> Result<Numbers> {
        self.cut()?;
        self.numbers.sort(self.ranks);
        Ok(self.numbers)
    }

    fn cut(&mut self) -> Result<()> {
        let crop = self.crop;
        let done: Vec<Result<(Vec<u8>, Sequence)>> = std::mem::take(&mut self.waiting).par_iter().map(|photograph| photograph.cut(crop)).collect();
        for cut in done {
            let (pixels, sequence) = cut?;
            self.numbers.pixels.extend(pixels);
            self.numbers.sequences.push(sequence);
        }
        Ok(())
    }
}

impl Waiting {
    fn cut(&self, crop: Crop) -> Result<(Vec<u8>, Sequence)> {
        let image: RgbImage = decode::image(&self.name, &self.encoded)?.into_rgb8();
        let outside = || Error::file(&self.name, format!("is {} x {} pixels, and none of its digits is within it", image.height(), image.width()));
        crop.cut(&image, &self.sequence).ok_or_else(outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::svhn::{Bounds, samples};

    #[test]
    fn order_is_kept_beyond_a_block() {
        let mut cutter = Cutter::new(Crop { size: 1, widen: 0.0 });
        for index in 0..BLOCK + 10 {
            let image = RgbImage::from_pixel(2, 2, image::Rgb([(index % 251) as u8, 0, 9]));
            let digit = Digit { value: (index % 10) as u8, bounds: Bounds { left: 0.0, top: 0.0, width: 2.0, height: 2.0 } };
            cutter.add(index, format!("{index}.png").into(), decode::tests::png(image), &[digit]).unwrap();
        }
        let numbers = cutter.finish().unwrap();
        assert_eq!((numbers.shape, numbers.sequences.len()), ([3, 1, 1], BLOCK + 10));
        for (index, (pixels, sequence)) in numbers.pixels.chunks(3).zip(&numbers.sequences).enumerate() {
            assert_eq!((pixels, sequence.classes()[0]), (&[(index % 251) as u8, 0, 9][..], (index % 10) as u32));
        }
    }

    #[test]
    fn images_are_put_in_order_by_their_ranks() {
        let classes = |value| Sequence::new(&[Digit { value, bounds: Bounds::default() }]).unwrap();
        let mut numbers = Numbers { shape: [1, 1, 2], pixels: vec![7, 7, 1, 1, 9, 9, 4, 4], sequences: [7, 1, 9, 4].map(classes).to_vec(), too_long: 0 };
        numbers.sort(vec![70, 10, 90, 40]);
        assert_eq!((numbers.pixels, numbers.sequences), (vec![1, 1, 4, 4, 7, 7, 9, 9], [1, 4, 7, 9].map(classes).to_vec()));
    }

    #[test]
    fn numbers_of_more_than_five_digits_are_left_out_and_counted() {
        let (digits, image) = samples::picture(2);
        assert_eq!(digits.len(), 6);
        let mut cutter = Cutter::new(Crop::TIGHT);
        cutter.add(0, "3.png".into(), decode::tests::png(image.clone()), &digits).unwrap();
        cutter.add(1, "4.png".into(), decode::tests::png(image), &digits[..5]).unwrap();
        let numbers = cutter.finish().unwrap();
        assert_eq!((numbers.too_long, numbers.sequences.len(), numbers.pixels.len()), (1, 1, 3 * 64 * 64));
    }

    #[test]
    fn a_number_outside_its_photograph_is_named() {
        let (_, image) = samples::picture(3);
        let digit = Digit { value: 1, bounds: Bounds { left: 99.0, top: 0.0, width: 2.0, height: 2.0 } };
        let mut cutter = Cutter::new(Crop::TIGHT);
        cutter.add(0, "train/4.png".into(), decode::tests::png(image), &[digit]).unwrap();
        assert_eq!(cutter.finish().unwrap_err().to_string(), "train/4.png: is 31 x 24 pixels, and none of its digits is within it");
    }
}
