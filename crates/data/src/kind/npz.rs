//! NumPy arrays in an .npz file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use npyz::npz::NpzArchive;
use npyz::{Deserialize as NpyElement, NpyFile, Order};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::{Loaded, Opened, Source, class_numbers, numbered_classes, path_and_fraction, same_shape};
use crate::checksum::Checksum;
use crate::decode::channels_first;
use crate::images::{Images, MOST_CHANNELS, Pixels};
use crate::spec::Declared;
use crate::{Error, Provenance, Result, split};

/// The names under which arrays are looked for, the first that is there: training images and labels, test images and labels.
const NAMES: [&[&str]; 4] = [&["x_train", "x", "images"], &["y_train", "y", "labels"], &["x_test", "test_images"], &["y_test", "test_labels"]];

/// `kind = "npz"`: arrays of images, N x H x W or N x H x W x C with at most 4 channels, and of labels, N class numbers from 0.
///
/// Images are uint8, or float32 / float64 from 0 to 1. Arrays are named `x_train`, `x` or `images`; `y_train`, `y` or `labels`; and, where there is a test part
/// of its own, `x_test` or `test_images`; `y_test` or `test_labels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NpzSpec {
    /// The file.
    pub path: PathBuf,
    /// The part of each class that is for testing, where the file holds no test images.
    pub test: f64,
}

impl Default for NpzSpec {
    fn default() -> Self {
        Self { path: PathBuf::new(), test: 0.2 }
    }
}

impl Declared for NpzSpec {
    const NAME: &'static str = "npz";
    const SUMMARY: &'static str = "An .npz file of your own: arrays x (N H W or N H W C) and y, and x_test, y_test.";
}

impl Source for NpzSpec {
    fn faults(&self) -> Vec<Fault> {
        path_and_fraction(&self.path, self.test)
    }

    fn open(&self) -> Result<Opened> {
        Ok(self.load()?.shown())
    }
}

impl NpzSpec {
    /// The images of a file that another data set is tested on: its test images, or all of those that are for no part; and where they came from.
    pub(crate) fn test_images(path: &Path) -> Result<(Images, Provenance)> {
        let mut sum = Checksum::default();
        let mut arrays = Arrays::open_file(path, &mut sum)?;
        let [images, labels, test_images, test_labels] = arrays.find()?;
        let images = match (test_images, test_labels) {
            (Some(images), Some(labels)) => arrays.part(&Some(images), &Some(labels))?,
            _ => arrays.part(&images, &labels)?,
        };
        Ok((images, provenance(path, sum)))
    }

    /// Reads it whole.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let mut sum = Checksum::default();
        let mut arrays = Arrays::open_file(&self.path, &mut sum)?;
        let [images, labels, test_images, test_labels] = arrays.find()?;
        let train = arrays.part(&images, &labels)?;
        let (train, test) = match (test_images, test_labels) {
            (Some(images), Some(labels)) => {
                let test = arrays.part(&Some(images), &Some(labels))?;
                same_shape(&self.path, &train, &test)?;
                (train, test)
            }
            (None, None) => split::images(&self.path, &train, self.test)?,
            _ => return Err(Error::file(&self.path, "holds test images or test labels, but not both")),
        };
        let class_names = numbered_classes([&train, &test]);
        Ok(Loaded { train, test, class_names, provenance: provenance(&self.path, sum) })
    }
}

fn provenance(path: &Path, sum: Checksum) -> Provenance {
    Provenance { source: format!("npz {}", path.display()), sha256: sum.finish(), synthetic: false, licence: "unknown".into() }
}

struct Arrays<'a> {
    archive: NpzArchive<BufReader<File>>,
    path: &'a Path,
}

impl<'a> Arrays<'a> {
    /// Opens a file and adds it to the checksum.
    fn open_file(path: &'a Path, sum: &mut Checksum) -> Result<Self> {
        sum.add_file(path)?;
        let file = BufReader::new(File::open(path).map_err(Error::io("read", path))?);
        let broken = |e: std::io::Error| Error::file(path, format!("cannot be read as .npz ({e}); it is cut off or something else"));
        Ok(Self { archive: NpzArchive::new(file).map_err(broken)?, path })
    }

    /// The names the four arrays have in this file.
    fn find(&self) -> Result<[Option<String>; 4]> {
        let known: Vec<String> = self.archive.array_names().map(ToOwned::to_owned).collect();
        let found = NAMES.map(|names| names.iter().find(|name| known.iter().any(|k| k == **name)).map(|name| (*name).to_owned()));
        for (name, names) in found.iter().zip(NAMES).take(2) {
            if name.is_none() {
                let message = format!("holds no array named {}; it holds: {}", names.join(" or "), known.join(", "));
                return Err(Error::file(self.path, message));
            }
        }
        Ok(found)
    }

    fn part(&mut self, images: &Option<String>, labels: &Option<String>) -> Result<Images> {
        let (images, labels) = (images.as_deref().unwrap_or_default(), labels.as_deref().unwrap_or_default());
        let (shape, pixels) = self.images(images)?;
        let labels = self.labels(labels)?;
        Images::new(self.path, shape, pixels, labels)
    }

    fn open(&mut self, name: &str) -> Result<NpyFile<impl Read>> {
        let path = self.path;
        let array = self.archive.by_name(name).map_err(|e| Error::file(path, format!("array `{name}` cannot be read: {e}")))?;
        let array = array.ok_or_else(|| Error::file(path, format!("holds no array `{name}`")))?;
        if array.order() == Order::Fortran && array.shape().len() > 1 {
            let message = format!("array `{name}` is in Fortran order; save it as numpy.ascontiguousarray({name})");
            return Err(Error::file(path, message));
        }
        Ok(array)
    }

    /// C H W and the pixels.
    fn images(&mut self, name: &str) -> Result<([usize; 3], Pixels)> {
        let path = self.path;
        let array = self.open(name)?;
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let shape = match *array.shape() {
            [_, h, w] => [1, size(h), size(w)],
            [_, h, w, c] if (1..=MOST_CHANNELS as u64).contains(&c) => [size(c), size(h), size(w)],
            _ => {
                let message = format!("array `{name}` is {:?}; images are N x H x W, or N x H x W x C with at most {MOST_CHANNELS} channels", array.shape());
                return Err(Error::file(path, message));
            }
        };
        let dtype = array.dtype().descr();
        let pixels = match array.try_data::<u8>() {
            Ok(bytes) => Pixels::Bytes(planes(collect(path, name, bytes, |v| v)?, shape)),
            Err(array) => {
                let floats = match array.try_data::<f32>() {
                    Ok(floats) => collect(path, name, floats, |v| v)?,
                    Err(array) => match array.try_data::<f64>() {
                        Ok(floats) => collect(path, name, floats, |v| v as f32)?,
                        Err(_) => return Err(Error::file(path, format!("array `{name}` is of type {dtype}; images are uint8, float32 or float64"))),
                    },
                };
                if let Some(value) = floats.iter().find(|value| !(0.0..=1.0).contains(*value)) {
                    return Err(Error::file(
                        path,
                        format!("array `{name}` holds {value}; floating-point images run from 0 to 1: divide by 255, or save them as uint8"),
                    ));
                }
                Pixels::Floats(planes(floats, shape))
            }
        };
        Ok((shape, pixels))
    }

    fn labels(&mut self, name: &str) -> Result<Vec<u32>> {
        let path = self.path;
        let array = self.open(name)?;
        if !matches!(array.shape(), [_] | [_, 1]) {
            return Err(Error::file(path, format!("array `{name}` is {:?}; labels are N class numbers", array.shape())));
        }
        let dtype = array.dtype().descr();
        class_numbers(
            path,
            integers(path, name, array)?.ok_or_else(|| Error::file(path, format!("array `{name}` is of type {dtype}; labels are whole numbers")))?,
        )
    }
}

/// The elements of an array of any integer type; `None` for other types.
fn integers<R: Read>(path: &Path, name: &str, array: NpyFile<R>) -> Result<Option<Vec<i64>>> {
    macro_rules! first_of {
        ($array:expr, $($type:ty),+) => {{
            let array = $array;
            $(let array = match array.try_data::<$type>() {
                Ok(values) => return collect(path, name, values, |v| i64::try_from(v).unwrap_or(i64::MAX)).map(Some),
                Err(array) => array,
            };)+
            drop(array);
        }};
    }
    first_of!(array, i64, u8, i32, u32, i8, i16, u16, u64);
    Ok(None)
}

/// Every element. The header's length is not trusted: a file that is cut off must not make us take memory for what is not there.
fn collect<T: NpyElement, U, R: Read>(path: &Path, name: &str, values: npyz::NpyReader<T, R>, convert: impl Fn(T) -> U) -> Result<Vec<U>> {
    let mut out = Vec::new();
    for value in values {
        out.push(convert(value.map_err(|e| Error::file(path, format!("array `{name}` cannot be read ({e}); the file is cut off or damaged")))?));
    }
    Ok(out)
}

/// From channels last to channels first, image by image.
fn planes<T: Copy>(values: Vec<T>, shape: [usize; 3]) -> Vec<T> {
    let size: usize = shape.iter().product();
    if shape[0] == 1 || size == 0 {
        return values;
    }
    values.chunks_exact(size).flat_map(|image| channels_first(image, shape[0])).collect()
}

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder;
    use npyz::npz::NpzWriter;

    use super::*;

    /// Writes arrays into a file; each is (name, shape, values).
    struct Writer(NpzWriter<std::io::BufWriter<File>>);

    impl Writer {
        fn new(path: &Path) -> Self {
            Self(NpzWriter::create(path).unwrap())
        }

        fn array<T: npyz::AutoSerialize + Copy>(mut self, name: &str, shape: &[u64], values: &[T]) -> Self {
            let mut array = self.0.array(name, Default::default()).unwrap().default_dtype().shape(shape).begin_nd().unwrap();
            array.extend(values.iter().copied()).unwrap();
            array.finish().unwrap();
            self
        }
    }

    fn load(path: &Path) -> Result<Loaded> {
        NpzSpec { path: path.into(), test: 0.5 }.load()
    }

    fn error(path: &Path) -> String {
        load(path).err().unwrap().to_string()
    }

    #[test]
    fn bytes_with_their_own_test_part_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        Writer::new(&path)
            .array("x_train", &[2, 1, 3], &[0_u8, 51, 255, 1, 2, 3])
            .array("y_train", &[2], &[1_i64, 0])
            .array("x_test", &[1, 1, 3], &[9_u8; 3])
            .array("y_test", &[1, 1], &[2_u8]);
        let loaded = load(&path).unwrap();
        assert_eq!((loaded.train.shape(), loaded.train.labels(), loaded.test.labels()), ([1, 1, 3], &[1, 0][..], &[2][..]));
        assert_eq!(loaded.class_names, ["0", "1", "2"]);
        let mut out = [0.0; 3];
        loaded.train.read(0, &mut out).unwrap();
        assert_eq!(out, [0.0, 0.2, 1.0]);
    }

    #[test]
    fn no_image_is_for_training_and_for_testing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let labels: Vec<u8> = (0..30).map(|i| i % 4).collect();
        Writer::new(&path).array("x", &[30, 1, 1], &(0..30).collect::<Vec<u8>>()).array("y", &[30], &labels);
        for test in [0.1, 0.2, 0.5, 0.9] {
            NpzSpec { path: path.clone(), test }.load().unwrap().assert_parted(30);
        }
    }

    #[test]
    fn channels_come_first_and_floats_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let values: Vec<f64> = (0..12).map(|i| f64::from(i) / 16.0).collect();
        Writer::new(&path).array("images", &[2, 1, 2, 3], &values).array("labels", &[2], &[0_i32, 0]);
        let loaded = load(&path).unwrap();
        assert_eq!(loaded.train.shape(), [3, 1, 2]);
        let mut out = [0.0; 6];
        loaded.train.read(0, &mut out).unwrap();
        let first = out[0] * 16.0;
        assert_eq!(out.map(|v| v * 16.0 - first), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_the_arrays_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let write = || Writer::new(&path);
        write().array("x", &[2, 1, 1], &[0_u8, 1]);
        assert!(error(&path).contains("holds no array named y_train or y or labels; it holds: x"), "{}", error(&path));
        write().array("x", &[2, 1, 1], &[0_u8, 1]).array("y", &[3], &[0_u8, 1, 1]);
        assert!(error(&path).contains("2 images but 3 labels"), "{}", error(&path));
        write().array("x", &[2, 1, 1], &[0.0_f32, 255.0]).array("y", &[2], &[0_u8, 1]);
        assert!(error(&path).contains("divide by 255"), "{}", error(&path));
        write().array("x", &[2, 1, 1], &[0.0_f32, f32::NAN]).array("y", &[2], &[0_u8, 1]);
        assert!(error(&path).contains("holds NaN"), "{}", error(&path));
        write().array("x", &[1, 3, 28, 28], &[0_u8; 2352]).array("y", &[1], &[0_u8]);
        assert!(error(&path).contains("[1, 3, 28, 28]; images are N x H x W"), "{}", error(&path));
        write().array("x", &[2, 1, 1], &[0_u8, 1]).array("y", &[2], &[0.5_f32, 1.0]);
        assert!(error(&path).contains("labels are whole numbers"), "{}", error(&path));
        write().array("x", &[2, 1, 1], &[0_u8, 1]).array("y", &[2], &[-3_i8, 1]);
        assert!(error(&path).contains("label -3"), "{}", error(&path));
        write().array::<u8>("x", &[0, 1, 1], &[]).array::<u8>("y", &[0], &[]);
        assert!(error(&path).contains("holds no images"), "{}", error(&path));
        write().array("x", &[2, 1, 1], &[0_u8, 1]).array("y", &[2], &[0_u8, 1]).array("x_test", &[1, 1, 1], &[0_u8]);
        assert!(error(&path).contains("but not both"), "{}", error(&path));
    }

    #[test]
    fn a_file_that_is_cut_off_or_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        assert!(error(&path).starts_with("cannot read"));
        Writer::new(&path).array("x", &[2, 1, 1], &[0_u8, 1]).array("y", &[2], &[0_u8, 1]);
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 10, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(error(&path).contains("a.npz: cannot be read as .npz"), "{}", error(&path));
        }
    }
}
