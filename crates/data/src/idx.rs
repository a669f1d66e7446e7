//! The idx files of MNIST: a big-endian header, then bytes.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::{Error, Result};

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;

/// Reads a file that may be gzipped: `path`, or `path` with `.gz` added. `None` where there is neither.
pub(crate) fn read_maybe_gzipped(path: &Path) -> Result<Option<(std::path::PathBuf, Vec<u8>)>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    for candidate in [path.to_owned(), name.into()] {
        if candidate.is_file() {
            let bytes = std::fs::read(&candidate).map_err(Error::io("read", &candidate))?;
            let bytes = gunzip(&candidate, bytes)?;
            return Ok(Some((candidate, bytes)));
        }
    }
    Ok(None)
}

/// The content of gzipped bytes; other bytes as they are.
pub(crate) fn gunzip(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut content = Vec::new();
    GzDecoder::new(bytes.as_slice())
        .read_to_end(&mut content)
        .map_err(|e| Error::file(path, format!("cannot be unpacked ({e}); the file is cut off or damaged: fetch it again")))?;
    Ok(content)
}

/// Images: their number, height, width, and the pixels.
pub(crate) fn images(path: &Path, bytes: &[u8]) -> Result<([usize; 3], Vec<u8>)> {
    let (shape, pixels) = parse::<3>(path, bytes, IMAGES, "images")?;
    Ok((shape, pixels.to_vec()))
}

/// Labels, one byte each.
pub(crate) fn labels(path: &Path, bytes: &[u8]) -> Result<Vec<u32>> {
    let (_, labels) = parse::<1>(path, bytes, LABELS, "labels")?;
    Ok(labels.iter().map(|&label| u32::from(label)).collect())
}

fn parse<'a, const N: usize>(path: &Path, bytes: &'a [u8], magic: u32, what: &str) -> Result<([usize; N], &'a [u8])> {
    let word = |i: usize| bytes.get(4 * i..4 * i + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let short = || Error::file(path, format!("is cut off: {} bytes do not hold the header of an idx file of {what}; fetch it again", bytes.len()));
    let found = word(0).ok_or_else(short)?;
    if found != magic {
        return Err(Error::file(path, format!("is no idx file of {what}: it starts with {found:#010x} instead of {magic:#010x}")));
    }
    let mut shape = [0; N];
    for (axis, n) in shape.iter_mut().enumerate() {
        *n = word(axis + 1).ok_or_else(short)? as usize;
    }
    let data = bytes.get(4 * (N + 1)..).ok_or_else(short)?;
    let expected = shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
    if expected != Some(data.len()) {
        let header = shape.map(|n| n.to_string()).join(" x ");
        return Err(Error::file(path, format!("is cut off or damaged: the header promises {header} bytes, {} follow; fetch it again", data.len())));
    }
    Ok((shape, data))
}

/// The bytes of an idx file of images.
pub(crate) fn encode_images([n, height, width]: [u32; 3], pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + pixels.len());
    for word in [IMAGES, n, height, width] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(pixels);
    bytes
}

/// The bytes of an idx file of labels.
pub(crate) fn encode_labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + labels.len());
    bytes.extend(LABELS.to_be_bytes());
    bytes.extend((labels.len() as u32).to_be_bytes());
    bytes.extend(labels);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn path() -> &'static Path {
        Path::new("train-images-idx3-ubyte")
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = encode_images([2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(images(path(), &bytes).unwrap(), ([2, 1, 3], vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(labels(path(), &encode_labels(&[7, 0])).unwrap(), [7, 0]);
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error_at_any_length() {
        let bytes = encode_images([2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        for length in 0..bytes.len() {
            let error = images(path(), &bytes[..length]).unwrap_err().to_string();
            assert!(error.starts_with("train-images-idx3-ubyte: is cut off"), "{error}");
        }
    }

    #[test]
    fn labels_are_no_images() {
        let error = images(path(), &encode_labels(&[7, 0])).unwrap_err().to_string();
        assert_eq!(error, "train-images-idx3-ubyte: is no idx file of images: it starts with 0x00000801 instead of 0x00000803");
    }

    #[test]
    fn a_gzipped_file_that_is_cut_off_is_an_error() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&[5; 1000]).unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(gunzip(path(), bytes.clone()).unwrap(), [5; 1000]);
        assert!(gunzip(path(), bytes[..bytes.len() - 4].to_vec()).unwrap_err().to_string().contains("fetch it again"));
    }
}
