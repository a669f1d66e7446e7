//! The small files of tests/svhn, and what is in them.

use std::io::Read;

use flate2::read::GzDecoder;
use image::RgbImage;

use super::{Bounds, Digit};
use crate::decode;

pub(crate) const ARCHIVE: &[u8] = include_bytes!("../../../tests/svhn/train.tar.gz");
pub(crate) const DIGITS: &[u8] = include_bytes!("../../../tests/svhn/digits_32x32.mat");
pub(crate) const PLAIN: &[u8] = include_bytes!("../../../tests/svhn/plain_32x32.mat");
pub(crate) const RESIZED: &[u8] = include_bytes!("../../../tests/svhn/resized.npz");
pub(crate) const FULL_NUMBERS: &[u8] = include_bytes!("../../../tests/svhn/full_numbers.parquet");
pub(crate) const CROPPED_DIGITS: &[u8] = include_bytes!("../../../tests/svhn/cropped_digits.parquet");

/// How many photographs there are.
pub(crate) const COUNT: usize = 5;

/// A folder with these files, whose names may lead into folders of it.
pub(crate) fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// The archive's files.
pub(crate) fn archive() -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(GzDecoder::new(ARCHIVE));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
    });
    entries.filter(|(name, _)| !name.ends_with('/')).collect()
}

fn file(name: &str) -> Vec<u8> {
    archive().into_iter().find(|(path, _)| path == name).unwrap().1
}

/// digitStruct.mat.
pub(crate) fn digit_struct() -> Vec<u8> {
    file("train/digitStruct.mat")
}

/// Photograph `index` and its digits, as the script that made the files has them.
pub(crate) fn picture(index: usize) -> (Vec<Digit>, RgbImage) {
    let boxes: &[[i16; 5]] = match index {
        0 => &[[1, 12, 5, 10, 19], [9, 24, 6, 11, 18]],
        1 => &[[2, -2, -1, 14, 20], [3, 13, 3, 12, 19], [7, 27, 4, 16, 22]],
        2 => &[[0, 6, 5, 11, 20], [1, 19, 5, 11, 20], [2, 32, 5, 11, 20], [3, 45, 5, 11, 20], [4, 58, 5, 11, 20], [5, 71, 5, 11, 20]],
        3 => &[[0, 6, 7, 11, 17]],
        _ => &[[8, 8, 4, 12, 18], [0, 22, 5, 12, 18], [5, 36, 6, 12, 18], [0, 50, 7, 12, 18], [4, 64, 8, 12, 18]],
    };
    let digit = |&[value, left, top, width, height]: &[i16; 5]| Digit {
        value: value as u8,
        bounds: Bounds { left: left.into(), top: top.into(), width: width.into(), height: height.into() },
    };
    let name = format!("train/{}.png", index + 1);
    let image = decode::image(name.as_ref(), &file(&name)).unwrap().into_rgb8();
    (boxes.iter().map(digit).collect(), image)
}
