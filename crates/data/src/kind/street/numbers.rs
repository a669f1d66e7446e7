//! `kind = "street_numbers"`: whole house numbers.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::scene::photograph;
use super::statistics::Statistics;
use crate::kind::svhn::{Crop, MOST_DIGITS, class_names};
use crate::kind::{Loaded, Opened, Source};
use crate::pictures::Pictures;
use crate::spec::Declared;
use crate::{Error, Result};

/// `kind = "street_numbers"`: house numbers of 1 to 5 digits drawn on the fly, 3 x `size` x `size`, labelled like SVHN's: the digit at each of five places, 0 to 9, or
/// 10 after the last. Training images are new at every visit; the test part is always the same.
///
/// Lengths, digits and boxes have the statistics of SVHN's training annotations; the pictures are painted from free fonts, and no photograph is in them. They are
/// cut out like SVHN's: see `size`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StreetNumbersSpec {
    /// Height and width: 64, the rectangle around the digits enlarged by 30 %, or 128, with twice the surroundings.
    pub size: usize,
    /// How many training images an epoch has.
    pub train: usize,
    /// How many test images there are.
    pub test: usize,
}

impl Default for StreetNumbersSpec {
    /// As many as SVHN has without its extra set.
    fn default() -> Self {
        Self { size: 64, train: 33_402, test: 13_068 }
    }
}

impl Declared for StreetNumbersSpec {
    const NAME: &'static str = "street_numbers";
    const SUMMARY: &'static str = "House numbers drawn on the fly, synthetic, in place of SVHN: five places of 11 classes.";
}

/// No part has more images: the order of an epoch is kept in memory.
const MOST_IMAGES: usize = 100_000_000;

/// Parts of no images, or of too many.
pub(super) fn counts_out_of_range(train: usize, test: usize) -> Vec<Fault> {
    let wrong = [("train", train), ("test", test)].into_iter().filter(|(_, count)| !(1..=MOST_IMAGES).contains(count));
    wrong.map(|(key, count)| Fault::at([key], format!("must be from 1 to {MOST_IMAGES}; it is {count}")).help("write how many images this part has")).collect()
}

impl Source for StreetNumbersSpec {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = counts_out_of_range(self.train, self.test);
        if Crop::of_size(self.size).is_none() {
            faults.push(Fault::at(["size"], format!("must be 64 or 128; it is {}", self.size)));
        }
        faults
    }

    fn changes(&self) -> bool {
        false
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        Some((vec![3, self.size, self.size], MOST_DIGITS * class_names().len()))
    }

    fn open(&self) -> Result<Opened> {
        let crop = Crop::of_size(self.size).ok_or_else(|| Error::Unsupported(format!("there are no street numbers of size {}", self.size)))?;
        let part =
            |count| -> Result<Box<dyn Pictures>> { Ok(Box::new(Numbers { statistics: Statistics::fitted()?, crop, shape: [3, crop.size, crop.size], count })) };
        Ok(Loaded { train: part(self.train)?, test: part(self.test)?, class_names: class_names(), provenance: super::provenance("street numbers, synthetic") })
    }
}

#[derive(Debug)]
struct Numbers {
    statistics: Statistics,
    crop: Crop,
    shape: [usize; 3],
    count: usize,
}

impl Pictures for Numbers {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn len(&self) -> usize {
        self.count
    }

    fn heads(&self) -> usize {
        MOST_DIGITS
    }

    fn draw(&self, _: usize, random: &mut ChaCha8Rng, values: &mut [f32], labels: &mut [u32]) -> Result<()> {
        let layout = self.statistics.draw(random);
        let nothing = || Error::Unsupported("a street number was drawn outside its photograph: a mistake in the program; please report it".into());
        let window = self.crop.window(&layout.number, layout.photograph).ok_or_else(nothing)?;
        labels.copy_from_slice(&layout.number.classes());
        photograph(&layout, window, self.crop.size, random, values)
    }

    fn limited(self: Box<Self>, count: usize) -> Box<dyn Pictures> {
        Box::new(Self { count: self.count.min(count), ..*self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stn_core::stream::stream;

    fn draw(size: usize, key: u64) -> (Vec<f32>, [u32; 5]) {
        let opened = StreetNumbersSpec { size, ..StreetNumbersSpec::default() }.open().unwrap();
        let (mut values, mut labels) = (vec![-1.0; 3 * size * size], [99; 5]);
        opened.train.draw(3, &mut stream(0, "test", key), &mut values, &mut labels).unwrap();
        (values, labels)
    }

    #[test]
    fn a_number_has_a_label_for_each_of_five_places() {
        for key in 0..50 {
            let (values, labels) = draw(64, key);
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
            let length = labels.iter().take_while(|&&label| label < 10).count();
            assert!(length > 0 && labels[length..].iter().all(|&label| label == 10), "{labels:?}");
        }
    }

    #[test]
    fn a_visit_is_its_stream() {
        for size in [64, 128] {
            assert_eq!(draw(size, 7), draw(size, 7));
            assert_ne!(draw(size, 7), draw(size, 8));
        }
    }

    #[test]
    fn other_sizes_and_empty_parts_are_mistakes() {
        let faults = StreetNumbersSpec { size: 32, train: 0, test: 1 }.faults();
        let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["`train`: must be from 1 to 100000000; it is 0; write how many images this part has", "`size`: must be 64 or 128; it is 32"]);
    }

    #[test]
    fn parts_can_be_limited() {
        let opened = StreetNumbersSpec::default().open().unwrap();
        assert_eq!((opened.train.len(), opened.test.len(), opened.train.heads(), opened.class_names.len()), (33_402, 13_068, 5, 11));
        assert_eq!((opened.train.limited(10).len(), opened.test.limited(20_000).len()), (10, 13_068));
    }
}
