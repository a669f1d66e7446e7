//! The boxes around the digits: digitStruct.mat, which is MATLAB 7.3, which is HDF5.
//!
//! The group `digitStruct` has two columns of references, a row an image: `name` points at the letters of the file's name, `bbox` at a group with the columns `label`,
//! `left`, `top`, `width` and `height`. Such a column holds the number itself where there is one digit, else a reference to each digit's number.

use std::collections::HashSet;
use std::path::Path;

use hdf5_pure::{DType, Dataset, File, Group, Object};

use super::{Bounds, Digit};
use crate::{Error, Result};

/// No image has as many digits.
const MOST: usize = 1000;
/// A file's name is not as long.
const LONGEST_NAME: usize = 255;
/// A chunk of the table of references is not as large, in bytes.
const LARGEST_CHUNK: u64 = 1 << 26;
/// No coordinate is as large, in pixels.
const FARTHEST: f64 = 1e6;

/// An image's file and its digits, as they are read from left to right.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Annotation {
    pub(super) name: String,
    pub(super) digits: Vec<Digit>,
}

/// What a file is read to: a value, or what is wrong with it.
type Read<T> = std::result::Result<T, String>;

/// Reads the bytes of a whole file; `origin` names it in errors.
pub(super) fn read(origin: &Path, bytes: Vec<u8>) -> Result<Vec<Annotation>> {
    let length = bytes.len();
    parse(bytes).map_err(|e| {
        let message =
            format!("cannot be read as SVHN's digitStruct.mat ({e}); it has {length} bytes: it is cut off, damaged or another file; download it again");
        Error::file(origin, message)
    })
}

fn parse(bytes: Vec<u8>) -> Read<Vec<Annotation>> {
    let length = bytes.len() as u64;
    let file = File::from_bytes(bytes).map_err(words)?;
    if file.superblock().eof_address > length {
        return Err(format!("it should have {} bytes", file.superblock().eof_address));
    }
    let columns = Columns { length };
    let table = file.group("digitStruct").map_err(words)?;
    let names = columns.targets(&table.dataset("name").map_err(words)?, usize::MAX)?;
    let boxes = columns.targets(&table.dataset("bbox").map_err(words)?, usize::MAX)?;
    if names.len() != boxes.len() {
        return Err(format!("{} names but {} images", names.len(), boxes.len()));
    }
    let row = |(name, boxes): (&Object, &Object)| {
        let name = columns.name(name)?;
        let digits = columns.digits(boxes).map_err(|e| format!("{name}: {e}"))?;
        Ok(Annotation { name, digits })
    };
    let annotations = names.iter().zip(&boxes).map(row).collect::<Read<Vec<Annotation>>>()?;
    let mut seen = HashSet::new();
    match annotations.iter().find(|annotation| !seen.insert(annotation.name.as_str())) {
        Some(twice) => Err(format!("{} twice", twice.name)),
        None => Ok(annotations),
    }
}

fn words(error: hdf5_pure::Error) -> String {
    error.to_string()
}

/// Reads columns of a file, none longer than the file itself: a damaged length must not ask for memory.
struct Columns {
    /// The file's length in bytes.
    length: u64,
}

impl Columns {
    /// That a column has at most `most` rows, and that its length is no invention.
    fn check(&self, column: &Dataset, most: usize) -> Read<()> {
        let size = column.element_size().map_err(words)?;
        let product = |shape: &[u64]| shape.iter().try_fold(1_u64, |product, &n| product.checked_mul(n)).unwrap_or(u64::MAX);
        let rows = product(&column.shape().map_err(words)?);
        let chunk = column.chunk_shape().map_err(words)?.map_or(0, |shape| product(&shape));
        if rows > most as u64 || rows.saturating_mul(size) > self.length || chunk.saturating_mul(size) > LARGEST_CHUNK {
            return Err(format!("a column of {rows} rows"));
        }
        Ok(())
    }

    /// What a column of references points at.
    fn targets(&self, column: &Dataset, most: usize) -> Read<Vec<Object>> {
        self.check(column, most)?;
        column.dereference().map_err(words)
    }

    /// A text: a column of letters in UTF-16.
    fn name(&self, target: &Object) -> Read<String> {
        let Object::Dataset(letters) = target else {
            return Err("a name that is no text".into());
        };
        self.check(letters, LONGEST_NAME)?;
        let name = String::from_utf16(&letters.read_u16().map_err(words)?).map_err(|e| e.to_string())?;
        // It is looked for within a folder, and nowhere else.
        if name.is_empty() || name.contains(['/', '\\', ':', '\0']) || name.starts_with('.') {
            return Err(format!("a file named {name:?}"));
        }
        Ok(name)
    }

    fn digits(&self, target: &Object) -> Read<Vec<Digit>> {
        let Object::Group(group) = target else {
            return Err("boxes that are no group".into());
        };
        let [label, left, top, width, height] = ["label", "left", "top", "width", "height"].map(|name| self.numbers(group, name));
        let (label, left, top, width, height) = (label?, left?, top?, width?, height?);
        if [&left, &top, &width, &height].iter().any(|column| column.len() != label.len()) {
            return Err("columns of different lengths".into());
        }
        let place = left.iter().zip(&top).zip(width.iter().zip(&height));
        label.iter().zip(place).map(|(&label, ((&left, &top), (&width, &height)))| digit(label, [left, top, width, height])).collect()
    }

    /// A column of numbers, in place or pointed at one by one.
    fn numbers(&self, group: &Group, name: &str) -> Read<Vec<f64>> {
        let column = group.dataset(name).map_err(words)?;
        self.check(&column, MOST)?;
        if column.dtype().map_err(words)? != DType::ObjectReference {
            return column.read_f64().map_err(words);
        }
        let number = |target: Object| match target {
            Object::Dataset(number) => {
                self.check(&number, 1)?;
                number.read_f64().map_err(words)?.first().copied().ok_or_else(|| "an empty number".to_owned())
            }
            _ => Err("a group where a number belongs".into()),
        };
        column.dereference().map_err(words)?.into_iter().map(number).collect()
    }
}

/// A digit from its label, 1 to 10 of which 10 is 0, and left, top, width and height of its box.
fn digit(label: f64, place: [f64; 4]) -> Read<Digit> {
    if label.fract() != 0.0 || !(1.0..=10.0).contains(&label) {
        return Err(format!("a label {label}; labels are 1 to 10, of which 10 is the digit 0"));
    }
    if let Some(number) = place.iter().find(|number| !(-FARTHEST..=FARTHEST).contains(*number)) {
        return Err(format!("a box with {number} in it"));
    }
    let [left, top, width, height] = place.map(|number| number as f32);
    Ok(Digit { value: label as u8 % 10, bounds: Bounds { left, top, width, height } })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kind::svhn::samples;

    #[test]
    fn one_digit_in_place_and_several_pointed_at_are_read() {
        let annotations = parse(samples::digit_struct()).unwrap();
        assert_eq!(annotations.len(), samples::COUNT);
        for (index, annotation) in annotations.iter().enumerate() {
            assert_eq!((annotation.name.clone(), &annotation.digits), (format!("{}.png", index + 1), &samples::picture(index).0));
        }
    }

    #[test]
    fn a_label_of_ten_is_the_digit_zero() {
        let place = [1.0, 2.0, 3.0, 4.0];
        let bounds = Bounds { left: 1.0, top: 2.0, width: 3.0, height: 4.0 };
        assert_eq!(digit(10.0, place), Ok(Digit { value: 0, bounds }));
        assert_eq!(digit(9.0, place), Ok(Digit { value: 9, bounds }));
        for label in [0.0, 11.0, 1.5, f64::NAN] {
            assert!(digit(label, place).unwrap_err().starts_with("a label "));
        }
    }

    #[test]
    fn a_box_of_no_size_at_all_is_an_error() {
        assert_eq!(digit(1.0, [0.0, f64::NAN, 1.0, 1.0]).unwrap_err(), "a box with NaN in it");
        assert_eq!(digit(1.0, [0.0, 0.0, f64::INFINITY, 1.0]).unwrap_err(), "a box with inf in it");
    }

    #[test]
    fn a_file_is_cut_off_at_any_length() {
        let bytes = samples::digit_struct();
        for length in (0..bytes.len()).step_by(97) {
            assert!(parse(bytes[..length].to_vec()).is_err(), "{length}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_says_what_to_do() {
        let error = read(Path::new("train/digitStruct.mat"), samples::digit_struct()[..20_000].to_vec()).unwrap_err().to_string();
        assert!(error.starts_with("train/digitStruct.mat: cannot be read") && error.contains("20000 bytes") && error.ends_with("download it again"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Neither a panic nor more memory than the file has.
        #[test]
        fn damage_is_an_error_at_most(at: prop::sample::Index, flip in 1_u8..) {
            let mut bytes = samples::digit_struct();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let _ = parse(bytes);
        }
    }
}
