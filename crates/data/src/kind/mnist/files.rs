//! The four idx files and their published checksums.

use std::path::Path;

use crate::checksum::{Checksum, sha256};
use crate::{Error, Result, idx};

/// One of the four files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub(crate) name: &'static str,
    /// Of the raw file, not gzipped.
    pub(crate) sha256: &'static str,
}

/// The four files: training images and labels, test images and labels.
pub(crate) const PUBLISHED: [Published; 4] = [
    Published { name: "train-images-idx3-ubyte", sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db" },
    Published { name: "train-labels-idx1-ubyte", sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5" },
    Published { name: "t10k-images-idx3-ubyte", sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7" },
    Published { name: "t10k-labels-idx1-ubyte", sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2" },
];

/// The contents of the four files, raw, in the order of [`PUBLISHED`].
pub(crate) struct Files {
    pub(crate) contents: [Vec<u8>; 4],
}

impl Files {
    /// Compares every content with its published checksum; `origin` is where the files came from.
    pub(crate) fn check(&self, origin: &Path) -> Result<()> {
        for (file, content) in PUBLISHED.iter().zip(&self.contents) {
            let found = sha256(content);
            if found != file.sha256 {
                return Err(Error::Checksum { path: origin.join(file.name), expected: file.sha256.into(), found });
            }
        }
        Ok(())
    }

    /// The SHA-256 of the four contents, one after another.
    pub(crate) fn sha256(&self) -> String {
        let mut sum = Checksum::default();
        for content in &self.contents {
            sum.add(content);
        }
        sum.finish()
    }
}

/// The four files of a folder, gzipped or not, unchecked; `None` where one is missing.
pub(crate) fn read(dir: &Path) -> Result<Option<Files>> {
    let mut contents = [const { Vec::new() }; 4];
    for (file, content) in PUBLISHED.iter().zip(&mut contents) {
        match idx::read_maybe_gzipped(&dir.join(file.name))? {
            Some((_, bytes)) => *content = bytes,
            None => return Ok(None),
        }
    }
    Ok(Some(Files { contents }))
}
