//! The kinds of data sets, one file each.

pub(crate) mod cub;
pub(crate) mod folder;
mod interpolation;
pub(crate) mod mnist;
pub(crate) mod mnist_3d;
pub(crate) mod mnist_addition;
pub(crate) mod mnist_colocalise;
pub(crate) mod mnist_pieces;
pub(crate) mod npz;
pub(crate) mod parquet;
pub(crate) mod street;
pub(crate) mod svhn;

use std::path::Path;

use stn_core::Fault;

use crate::images::Images;
use crate::pictures::Pictures;
use crate::{Error, Provenance, Result};

/// A data set in memory.
pub(crate) struct Loaded<P = Images> {
    pub(crate) train: P,
    pub(crate) test: P,
    pub(crate) class_names: Vec<String>,
    pub(crate) provenance: Provenance,
}

/// What a source gives: recorded images, or pictures that are drawn.
pub(crate) type Opened = Loaded<Box<dyn Pictures>>;

impl Loaded {
    /// The recorded images as a data set shows them.
    fn shown(self) -> Opened {
        let Self { train, test, class_names, provenance } = self;
        Loaded { train: Box::new(train), test: Box::new(test), class_names, provenance }
    }
}

#[cfg(test)]
impl Loaded {
    /// That training and test images, whose first bytes are 0, 1 ... `count` - 1 in some order, are all there and none is in both.
    pub(crate) fn assert_parted(&self, count: u8) {
        let (train, test) = (self.train.first_bytes(), self.test.first_bytes());
        assert!(!train.is_empty() && !test.is_empty());
        let mut all = [train, test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..count).collect::<Vec<_>>());
    }
}

/// Where a data set comes from.
pub(crate) trait Source {
    /// Values that are out of range.
    fn faults(&self) -> Vec<Fault>;

    /// Whether the images may be others the next time: those in files of the user's own.
    fn changes(&self) -> bool {
        true
    }

    /// The shape of an image, C H W or C D H W, and the numbers that a network gives, classes times labels of an image, where both are known beforehand.
    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        None
    }

    /// Reads all of it.
    fn open(&self) -> Result<Opened>;
}

/// A missing `path`, or a test fraction that leaves a part empty.
fn path_and_fraction(path: &Path, test: f64) -> Vec<Fault> {
    let mut faults = Vec::new();
    if path.as_os_str().is_empty() {
        faults.push(Fault::at([""; 0], "this table needs a `path`").help("write for example path = \"digits\""));
    }
    if !(test > 0.0 && test < 1.0) {
        faults.push(Fault::at(["test"], format!("must be between 0 and 1, both excluded; it is {test}")));
    }
    faults
}

/// The names of classes that are numbers: "0", "1" ... up to the largest label of both parts.
fn numbered_classes(parts: [&Images; 2]) -> Vec<String> {
    let largest = parts.iter().flat_map(|part| part.labels()).max().copied().unwrap_or(0);
    (0..=largest).map(|label| label.to_string()).collect()
}

/// A label from here on was never meant as a class number.
const MOST_CLASSES: u32 = 100_000;

/// Labels as class numbers.
fn class_numbers(origin: &Path, labels: impl IntoIterator<Item = i64>) -> Result<Vec<u32>> {
    let wrong = |label: i64| Error::file(origin, format!("has a label {label}; labels are class numbers from 0, below {MOST_CLASSES}"));
    labels.into_iter().map(|label| u32::try_from(label).ok().filter(|&class| class < MOST_CLASSES).ok_or_else(|| wrong(label))).collect()
}

/// Training and test images must be alike.
fn same_shape(origin: &Path, train: &Images, test: &Images) -> Result<()> {
    if train.shape() == test.shape() {
        return Ok(());
    }
    Err(Error::file(
        origin,
        format!("test images are {:?} (channels, height, width), training images {:?}; they must be of one size", test.shape(), train.shape()),
    ))
}
