//! The sample that the program carries; `sample/README.md` says how it was drawn and under what licence.

use std::path::Path;

use super::files::Files;
use crate::{Error, Result, idx};

/// The SHA-256 of the sample's four idx files, unpacked, one after another.
pub(crate) const SHA256: &str = "b3e9b1efa3c5280e4b8d36d93e77fbd380c15c856ea81280a14c2a08caa29568";

/// Training images and labels, test images and labels, gzipped.
const GZIPPED: [&[u8]; 4] = [
    include_bytes!("../../../sample/train-images-idx3-ubyte.gz"),
    include_bytes!("../../../sample/train-labels-idx1-ubyte.gz"),
    include_bytes!("../../../sample/t10k-images-idx3-ubyte.gz"),
    include_bytes!("../../../sample/t10k-labels-idx1-ubyte.gz"),
];

/// The sample's files, checked.
pub(crate) fn files() -> Result<Files> {
    let origin = Path::new("embedded sample");
    let mut contents = [const { Vec::new() }; 4];
    for (gzipped, content) in GZIPPED.iter().zip(&mut contents) {
        *content = idx::gunzip(origin, gzipped.to_vec())?;
    }
    let files = Files { contents };
    let found = files.sha256();
    if found == SHA256 { Ok(files) } else { Err(Error::Checksum { path: origin.into(), expected: SHA256.into(), found }) }
}
