//! `kind = "street_digits"`: single digits of house numbers.

use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::numbers::counts_out_of_range;
use super::scene::photograph;
use super::statistics::{Layout, Statistics};
use crate::checksum::{Checksum, sha256};
use crate::images::Images;
use crate::kind::npz::NpzSpec;
use crate::kind::svhn::{self, Bounds, Window};
use crate::kind::{Loaded, Opened, Source};
use crate::pictures::Pictures;
use crate::spec::Declared;
use crate::{Error, Provenance, Result};

/// Height and width of a picture.
const SIZE: usize = 32;
/// The digits.
const CLASSES: usize = 10;

/// `kind = "street_digits"`: single digits cut out of `street_numbers`, 3 x 32 x 32, with their neighbours at the sides like those of SVHN's cropped digits. Training
/// images are new at every visit; the test part is always the same, or real: see `test_path`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StreetDigitsSpec {
    /// How many training images an epoch has.
    pub train: usize,
    /// How many test images there are.
    pub test: usize,
    /// A file of real digits to test on instead: SVHN's test_32x32.mat; or an .npz file of images N x 32 x 32 x 3 and labels 0 to 9, its arrays `x_test` and
    /// `y_test`, or all of `x` and `y` where it has no test part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_path: Option<PathBuf>,
}

impl Default for StreetDigitsSpec {
    /// As many as SVHN has without its extra set.
    fn default() -> Self {
        Self { train: 73_257, test: 26_032, test_path: None }
    }
}

impl Declared for StreetDigitsSpec {
    const NAME: &'static str = "street_digits";
    const SUMMARY: &'static str = "Digits of house numbers drawn on the fly, synthetic, 3 x 32 x 32; tested on drawn or on real ones.";
}

impl Source for StreetDigitsSpec {
    fn faults(&self) -> Vec<Fault> {
        counts_out_of_range(self.train, self.test)
    }

    fn changes(&self) -> bool {
        self.test_path.is_some()
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        Some((vec![3, SIZE, SIZE], CLASSES))
    }

    fn open(&self) -> Result<Opened> {
        let train = Digits { statistics: Statistics::fitted()?, count: self.train };
        let mut provenance = super::provenance("street digits, synthetic");
        let test: Box<dyn Pictures> = match &self.test_path {
            None => Box::new(Digits { statistics: Statistics::fitted()?, count: self.test }),
            Some(path) => {
                let (images, real) = real(path)?;
                fit(path, &images)?;
                provenance = Provenance {
                    source: format!("{}; tested on {}", provenance.source, real.source),
                    sha256: sha256(format!("{}{}", provenance.sha256, real.sha256).as_bytes()),
                    licence: format!("{}; test images: {}", provenance.licence, real.licence),
                    ..provenance
                };
                Box::new(images)
            }
        };
        Ok(Loaded { train: Box::new(train), test, class_names: (0..CLASSES).map(|digit| digit.to_string()).collect(), provenance })
    }
}

/// Recorded images, and where they came from.
fn real(path: &Path) -> Result<(Images, Provenance)> {
    if path.extension().is_none_or(|extension| extension != "mat") {
        return NpzSpec::test_images(path);
    }
    let mut sum = Checksum::default();
    let images = svhn::read_digits(path, &mut sum)?;
    let source = format!("SVHN digits of {}", path.display());
    Ok((images, Provenance { source, sha256: sum.finish(), synthetic: false, licence: svhn::LICENCE.into() }))
}

/// That images are of the size and the classes of drawn ones.
fn fit(path: &Path, images: &Images) -> Result<()> {
    if images.shape() != [3, SIZE, SIZE] {
        let message = format!("has images of {:?} (channels, height, width); those drawn are of [3, {SIZE}, {SIZE}]", images.shape());
        return Err(Error::file(path, message));
    }
    match images.labels().iter().find(|&&label| label as usize >= CLASSES) {
        Some(label) => Err(Error::file(path, format!("has a label {label}; labels of digits are 0 to 9"))),
        None => Ok(()),
    }
}

#[derive(Debug)]
struct Digits {
    statistics: Statistics,
    count: usize,
}

impl Pictures for Digits {
    fn shape(&self) -> &[usize] {
        &[3, SIZE, SIZE]
    }

    fn len(&self) -> usize {
        self.count
    }

    fn draw(&self, _: usize, random: &mut ChaCha8Rng, values: &mut [f32], labels: &mut [u32]) -> Result<()> {
        let (layout, place) = self.statistics.draw_digit(random);
        if let Some(digit) = layout.number.digits().nth(place) {
            labels.fill(digit.value.into());
            photograph(&layout, window(digit.bounds, &layout), SIZE, random, values)?;
        }
        Ok(())
    }

    fn limited(self: Box<Self>, count: usize) -> Box<dyn Pictures> {
        Box::new(Self { count: self.count.min(count), ..*self })
    }
}

/// The box of a digit made square by its shorter side, as SVHN's cropped digits are, and moved into the photograph.
fn window(bounds: Bounds, layout: &Layout) -> Window {
    let (width, height) = layout.photograph;
    let side = (bounds.width.max(bounds.height).round() as u32).clamp(1, width.min(height));
    let start = |middle: f32, limit: u32| ((middle - 0.5 * side as f32).round().max(0.0) as u32).min(limit - side);
    Window { left: start(bounds.left + 0.5 * bounds.width, width), top: start(bounds.top + 0.5 * bounds.height, height), width: side, height: side }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::BufWriter;

    use npyz::WriterBuilder;
    use npyz::npz::NpzWriter;

    use super::*;
    use crate::kind::svhn::{Digit, Sequence};
    use stn_core::stream::stream;

    #[test]
    fn every_digit_is_drawn_and_the_one_most_often() {
        let opened = StreetDigitsSpec::default().open().unwrap();
        let (mut values, mut counts) = (vec![0.0; 3 * 32 * 32], [0; 10]);
        for key in 0..400 {
            let mut label = [99];
            opened.train.draw(0, &mut stream(0, "test", key), &mut values, &mut label).unwrap();
            counts[label[0] as usize] += 1;
        }
        assert!(counts.iter().all(|&count| count > 0) && counts.iter().max() == Some(&counts[1]), "{counts:?}");
    }

    #[test]
    fn a_digit_is_in_the_middle_of_a_square() {
        let bounds = |left, top| Bounds { left, top, width: 10.0, height: 20.0 };
        let layout = Layout { photograph: (60, 30), number: Sequence::default(), height: 20.0, slope: 0.0 };
        assert_eq!(window(bounds(25.0, 6.0), &layout), Window { left: 20, top: 6, width: 20, height: 20 });
        assert_eq!(window(bounds(52.0, 14.0), &layout), Window { left: 40, top: 10, width: 20, height: 20 });
        assert!(Sequence::new(&[Digit { value: 1, bounds: bounds(0.0, 0.0) }]).is_some());
    }

    fn npz(path: &Path, side: u64, label: i64) {
        let mut writer = NpzWriter::<BufWriter<File>>::create(path).unwrap();
        let mut x = writer.array("x", Default::default()).unwrap().default_dtype().shape(&[2, side, side, 3]).begin_nd().unwrap();
        x.extend(std::iter::repeat_n(51_u8, (2 * side * side * 3) as usize)).unwrap();
        x.finish().unwrap();
        let mut y = writer.array("y", Default::default()).unwrap().default_dtype().shape(&[2]).begin_nd().unwrap();
        y.extend([3, label]).unwrap();
        y.finish().unwrap();
    }

    fn tested_on(path: &Path) -> Result<Opened> {
        StreetDigitsSpec { test_path: Some(path.into()), ..StreetDigitsSpec::default() }.open()
    }

    #[test]
    fn all_images_of_a_file_are_for_testing_and_its_name_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("real.npz");
        npz(&path, 32, 7);
        let opened = tested_on(&path).unwrap();
        let (mut values, mut label) = (vec![0.0; 3 * 32 * 32], [99]);
        opened.test.draw(1, &mut stream(0, "test", 0), &mut values, &mut label).unwrap();
        assert_eq!((opened.test.len(), label, values[0]), (2, [7], 0.2));
        let Provenance { source, sha256, synthetic, .. } = opened.provenance;
        assert!(source.starts_with("street digits, synthetic; tested on npz ") && source.ends_with("real.npz") && synthetic, "{source}");
        assert_ne!(sha256, StreetDigitsSpec::default().open().unwrap().provenance.sha256);
    }

    #[test]
    fn the_published_test_file_is_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test_32x32.mat");
        std::fs::write(&path, include_bytes!("../../../tests/svhn/digits_32x32.mat")).unwrap();
        let opened = tested_on(&path).unwrap();
        assert_eq!((opened.test.len(), opened.train.len()), (4, 73_257));
        assert!(opened.provenance.licence.contains("non-commercial") && opened.provenance.source.contains("SVHN digits of"));
    }

    #[test]
    fn images_that_do_not_fit_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("real.npz");
        npz(&path, 28, 7);
        assert!(tested_on(&path).err().unwrap().to_string().ends_with("has images of [3, 28, 28] (channels, height, width); those drawn are of [3, 32, 32]"));
        npz(&path, 32, 10);
        assert!(tested_on(&path).err().unwrap().to_string().ends_with("has a label 10; labels of digits are 0 to 9"));
        assert!(tested_on(&dir.path().join("none.npz")).err().unwrap().to_string().starts_with("cannot read"));
    }
}
