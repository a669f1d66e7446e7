//! SHA-256 of files and bytes.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// SHA-256 over several pieces, one after another.
#[derive(Clone, Default)]
pub(crate) struct Checksum(Sha256);

impl Checksum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds a file's content.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<()> {
        let mut reader = BufReader::new(File::open(path).map_err(Error::io("read", path))?);
        let mut block = vec![0; 1 << 20];
        loop {
            match reader.read(&mut block).map_err(Error::io("read", path))? {
                0 => return Ok(()),
                n => self.0.update(&block[..n]),
            }
        }
    }

    /// The sum as 64 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The SHA-256 of `bytes` as 64 hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut sum = Checksum::default();
    sum.add(bytes);
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_published_one() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
