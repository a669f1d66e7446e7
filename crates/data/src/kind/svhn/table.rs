//! The tables of `ufldl-stanford/svhn` on the Hugging Face hub, in Parquet.
//!
//! `cropped_digits` has the columns `image` {bytes, path} and `label`, a digit; `full_numbers` has `image` and `digits` {bbox: list of [left, top, width, height],
//! label: list of digits}. The 0 is the 0. Its lists of four have a type of their own, which only a reader row by row knows how to read here.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::file::reader::SerializedFileReader;
use parquet::record::{Field, Row};

use super::numbers::Cutter;
use super::{Bounds, Digit, Numbers, crop::Crop};
use crate::checksum::Checksum;
use crate::images::{Images, Pixels};
use crate::kind::parquet::{self as columns, Labels};
use crate::{Error, Result};

/// Reads the files of one part of `cropped_digits`, one after another, and adds them to the checksum.
pub(crate) fn cropped_digits(paths: &[PathBuf], sum: &mut Checksum) -> Result<Images> {
    for path in paths {
        sum.add_file(path)?;
    }
    let origin = paths.first().map(PathBuf::as_path).unwrap_or(Path::new("cropped_digits"));
    let table = columns::read(paths, "image", "label")?;
    let Labels::Numbers(labels) = table.labels else {
        return Err(Error::file(origin, "has labels that are no numbers"));
    };
    let wrong = |label: i64| Error::file(origin, format!("has a label {label}; labels are 0 to 9"));
    let labels = labels.into_iter().map(|label| u32::try_from(label).ok().filter(|&digit| digit < 10).ok_or_else(|| wrong(label)));
    Images::new(origin, table.shape, Pixels::Bytes(table.pixels), labels.collect::<Result<_>>()?)
}

/// Reads the files of one part of `full_numbers`, one after another, and cuts the house numbers out.
pub(crate) fn full_numbers(paths: &[PathBuf], crop: Crop) -> Result<Numbers> {
    let mut cutter = Cutter::new(crop);
    let mut rank = 0;
    for path in paths {
        let broken =
            |e: String| Error::file(path, format!("cannot be read as Parquet ({e}); it is cut off or something else: delete it and download it again"));
        let file = File::open(path).map_err(Error::io("read", path))?;
        let mut rows = fenced(|| SerializedFileReader::new(file).map(|reader| reader.into_iter())).map_err(broken)?;
        let mut index = 0;
        while let Some(row) = fenced(|| rows.next().transpose()).map_err(broken)? {
            let name = PathBuf::from(format!("{}, row {index}", path.display()));
            let (encoded, digits) = number(&row).map_err(|e| Error::file(&name, e))?;
            cutter.add(rank, name, encoded, &digits)?;
            (index, rank) = (index + 1, rank + 1);
        }
    }
    cutter.finish()
}

/// Runs the Parquet reader, which panics on some damaged files.
fn fenced<T>(read: impl FnOnce() -> parquet::errors::Result<T>) -> std::result::Result<T, String> {
    // Whatever is left half done is never looked at again.
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(_) => Err("it is damaged".into()),
    }
}

/// The encoded image and the digits of a row.
fn number(row: &Row) -> std::result::Result<(Vec<u8>, Vec<Digit>), String> {
    let Field::Bytes(encoded) = field(group(row, "image")?, "bytes")? else {
        return Err("has no image".into());
    };
    let digits = group(row, "digits")?;
    let (labels, boxes) = (list(digits, "label")?, list(digits, "bbox")?);
    if labels.len() != boxes.len() {
        return Err(format!("has {} labels but {} boxes", labels.len(), boxes.len()));
    }
    Ok((encoded.data().to_vec(), labels.iter().zip(boxes).map(|(label, bounds)| digit(label, bounds)).collect::<std::result::Result<_, _>>()?))
}

fn digit(label: &Field, bounds: &Field) -> std::result::Result<Digit, String> {
    let value = whole(label).and_then(|label| u8::try_from(label).ok()).filter(|&digit| digit < 10).ok_or_else(|| format!("has a label {label}"))?;
    let wrong = || format!("has a box {bounds}; boxes are left, top, width, height");
    let Field::ListInternal(numbers) = bounds else {
        return Err(wrong());
    };
    let numbers: Option<Vec<f32>> = numbers.elements().iter().map(|number| whole(number).map(|number| number as f32)).collect();
    match numbers.as_deref() {
        Some(&[left, top, width, height]) => Ok(Digit { value, bounds: Bounds { left, top, width, height } }),
        _ => Err(wrong()),
    }
}

fn whole(field: &Field) -> Option<i64> {
    match field {
        Field::Int(number) => Some(i64::from(*number)),
        Field::Long(number) => Some(*number),
        _ => None,
    }
}

fn field<'a>(row: &'a Row, name: &str) -> std::result::Result<&'a Field, String> {
    row.get_column_iter().find(|(column, _)| *column == name).map(|(_, field)| field).ok_or_else(|| format!("has no `{name}`; this is another table"))
}

fn group<'a>(row: &'a Row, name: &str) -> std::result::Result<&'a Row, String> {
    match field(row, name)? {
        Field::Group(fields) => Ok(fields),
        other => Err(format!("has {other} as `{name}`")),
    }
}

fn list<'a>(row: &'a Row, name: &str) -> std::result::Result<&'a [Field], String> {
    match field(row, name)? {
        Field::ListInternal(list) => Ok(list.elements()),
        other => Err(format!("has {other} as `{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kind::svhn::{archive, samples};

    const SMALL: Crop = Crop { size: 8, widen: 0.3 };

    fn files(contents: &[&[u8]]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..contents.len()).map(|index| folder.path().join(format!("{index}.parquet"))).collect();
        for (path, content) in paths.iter().zip(contents) {
            std::fs::write(path, content).unwrap();
        }
        (folder, paths)
    }

    fn error(content: &[u8]) -> String {
        let (_folder, paths) = files(&[content]);
        full_numbers(&paths, SMALL).unwrap_err().to_string()
    }

    #[test]
    fn full_numbers_are_those_of_the_archive() {
        let (folder, paths) = files(&[samples::FULL_NUMBERS]);
        let path = folder.path().join("train.tar.gz");
        std::fs::write(&path, samples::ARCHIVE).unwrap();
        let ours = full_numbers(&paths, SMALL).unwrap();
        assert_eq!(ours, archive::read(&path, SMALL).unwrap());
    }

    #[test]
    fn several_files_follow_one_another() {
        let (_folder, paths) = files(&[samples::FULL_NUMBERS; 2]);
        let numbers = full_numbers(&paths, SMALL).unwrap();
        assert_eq!((numbers.sequences.len(), numbers.too_long), (8, 2));
        assert_eq!(numbers.sequences[..4], numbers.sequences[4..]);
    }

    #[test]
    fn cropped_digits_are_those_of_the_matlab_file() {
        let (folder, paths) = files(&[samples::CROPPED_DIGITS]);
        let path = folder.path().join("train_32x32.mat");
        std::fs::write(&path, samples::DIGITS).unwrap();
        let ours = cropped_digits(&paths, &mut Checksum::default()).unwrap();
        assert_eq!(ours, super::super::mat5::read(&path, &mut Checksum::default()).unwrap());
    }

    #[test]
    fn a_table_of_another_kind_is_named() {
        assert!(error(samples::CROPPED_DIGITS).ends_with("0.parquet, row 0: has no `digits`; this is another table"));
    }

    #[test]
    fn a_file_that_is_cut_off_says_what_to_do() {
        let found = error(&samples::FULL_NUMBERS[..3000]);
        assert!(found.contains("cannot be read as Parquet") && found.ends_with("download it again"), "{found}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let found = full_numbers(&["nowhere.parquet".into()], SMALL).unwrap_err().to_string();
        assert!(found.starts_with("cannot read nowhere.parquet"), "{found}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn damage_is_an_error_at_most(at: prop::sample::Index, flip in 1_u8..) {
            let mut bytes = samples::FULL_NUMBERS.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let (_folder, paths) = files(&[&bytes]);
            let _ = full_numbers(&paths, SMALL);
        }
    }
}
