//! MNIST addition: two digits, and what they add up to.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::mnist::MnistSpec;
use super::{Loaded, Opened, Source};
use crate::images::Images;
use crate::pictures::Pictures;
use crate::spec::Declared;
use crate::{Provenance, Result};

/// `kind = "mnist_addition"`: an image of two MNIST digits in a channel each, distorted on their own, and their sum, 0 to 18 (section A.1 of the paper).
///
/// The first digit goes through the data set, the second is drawn with it: anew at every visit in training, once and for all in the test part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MnistAdditionSpec {
    /// Where the digits are read from.
    #[serde(flatten)]
    pub digits: MnistSpec,
}

impl Declared for MnistAdditionSpec {
    const NAME: &'static str = "mnist_addition";
    const SUMMARY: &'static str = "Two handwritten digits, a channel each, labelled with their sum: 19 classes.";
}

impl Source for MnistAdditionSpec {
    fn faults(&self) -> Vec<Fault> {
        self.digits.faults()
    }

    fn changes(&self) -> bool {
        false
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        let (mut shape, _) = self.digits.hint()?;
        shape[0] *= 2;
        Some((shape, SUMS))
    }

    fn open(&self) -> Result<Opened> {
        let Loaded { train, test, provenance: Provenance { source, sha256, synthetic, licence }, .. } = self.digits.load()?;
        let class_names = (0..SUMS).map(|sum| sum.to_string()).collect();
        let provenance = Provenance { source: format!("{source}, added in pairs"), sha256, synthetic, licence };
        Ok(Loaded { train: Box::new(Pairs(train)), test: Box::new(Pairs(test)), class_names, provenance })
    }
}

/// 0 + 0 to 9 + 9.
const SUMS: usize = 19;

/// A digit and another one drawn at random, which may be itself.
#[derive(Debug)]
struct Pairs(Images);

impl Pictures for Pairs {
    fn shape(&self) -> &[usize] {
        Pictures::shape(&self.0)
    }

    fn pictures(&self) -> usize {
        2
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn draw(&self, index: usize, random: &mut ChaCha8Rng, values: &mut [f32], labels: &mut [u32]) -> Result<()> {
        let digits = [index, random.random_range(0..self.0.len())];
        for (digit, values) in digits.iter().zip(values.chunks_exact_mut(self.0.size())) {
            self.0.read(*digit, values)?;
        }
        labels.fill(digits.iter().flat_map(|&digit| self.0.labels_of(digit).unwrap_or_default()).sum());
        Ok(())
    }

    fn limited(self: Box<Self>, count: usize) -> Box<dyn Pictures> {
        Box::new(Self(crate::split::limited(self.0, count)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::images::Pixels;
    use stn_core::stream::stream;

    fn pairs() -> Pairs {
        let digits: Vec<u8> = (0..10).collect();
        Pairs(Images::new(Path::new("x"), [1, 1, 1], Pixels::Bytes(digits.clone()), digits.into_iter().map(u32::from).collect()).unwrap())
    }

    fn draw(index: usize, key: u64) -> ([u32; 2], u32) {
        let (mut values, mut labels) = ([0.0; 2], [99]);
        pairs().draw(index, &mut stream(0, "test", key), &mut values, &mut labels).unwrap();
        (values.map(|value| (value * 255.0).round() as u32), labels[0])
    }

    #[test]
    fn the_label_is_the_sum_of_both_digits() {
        for key in 0..50 {
            let (digits, label) = draw(7, key);
            assert_eq!((digits[0], label), (7, digits[0] + digits[1]));
        }
    }

    #[test]
    fn every_digit_is_drawn_as_the_second() {
        let mut seen = [false; 10];
        (0..200).for_each(|key| seen[draw(3, key).0[1] as usize] = true);
        assert_eq!(seen, [true; 10]);
    }

    #[test]
    fn the_embedded_digits_are_enough() {
        let digits = MnistSpec { source: crate::MnistSource::Embedded, dir: None };
        let opened = MnistAdditionSpec { digits }.open().unwrap();
        assert_eq!((opened.train.len(), opened.test.len(), opened.class_names.len()), (8000, 2000, 19));
        assert!(opened.provenance.source.ends_with("sample of 8,000 + 2,000, added in pairs"));
    }
}
