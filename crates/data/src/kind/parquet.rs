//! A Parquet file with an image column and a label column.

use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, DataType, ParquetReader, SerReader};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::{Loaded, Opened, Source, numbered_classes, path_and_fraction, same_shape};
use crate::checksum::Checksum;
use crate::decode::Collector;
use crate::images::{Images, Pixels};
use crate::spec::Declared;
use crate::{Error, Provenance, Result, split};

/// `kind = "parquet"`: images encoded as PNG or JPEG, either bytes or a struct with a field `bytes` (as on the Hugging Face hub), and labels that are class
/// numbers from 0 or class names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ParquetSpec {
    /// The file of training images, or a folder of .parquet files, read in the order of their names.
    pub path: PathBuf,
    /// The same for test images. Without it a part of each class is taken from the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_path: Option<PathBuf>,
    /// The part of each class that is for testing, where there is no `test_path`.
    pub test: f64,
    /// The name of the image column.
    pub image: String,
    /// The name of the label column.
    pub label: String,
}

impl Default for ParquetSpec {
    fn default() -> Self {
        Self { path: PathBuf::new(), test_path: None, test: 0.2, image: "image".into(), label: "label".into() }
    }
}

impl Declared for ParquetSpec {
    const NAME: &'static str = "parquet";
    const SUMMARY: &'static str = "A Parquet file of your own: a column of PNG or JPEG images and a column of labels.";
}

impl Source for ParquetSpec {
    fn faults(&self) -> Vec<Fault> {
        path_and_fraction(&self.path, self.test)
    }

    fn open(&self) -> Result<Opened> {
        Ok(self.load()?.shown())
    }
}

impl ParquetSpec {
    /// Reads it whole.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let mut sum = Checksum::default();
        let train = self.table(&self.path, &mut sum)?;
        let test = self.test_path.as_deref().map(|path| self.table(path, &mut sum)).transpose()?;
        let names = class_names(&train.labels);
        let train = train.images(&self.path, names.as_deref())?;
        let (train, test) = match (test, &self.test_path) {
            (Some(test), Some(path)) => {
                let test = test.images(path, names.as_deref())?;
                same_shape(path, &train, &test)?;
                (train, test)
            }
            _ => split::images(&self.path, &train, self.test)?,
        };
        let class_names = names.unwrap_or_else(|| numbered_classes([&train, &test]));
        let provenance = Provenance { source: format!("Parquet {}", self.path.display()), sha256: sum.finish(), synthetic: false, licence: "unknown".into() };
        Ok(Loaded { train, test, class_names, provenance })
    }

    fn table(&self, path: &Path, sum: &mut Checksum) -> Result<Table> {
        let files = parquet_files(path)?;
        for file in &files {
            sum.add_file(file)?;
        }
        read(&files, &self.image, &self.label)
    }
}

/// A label column.
pub(crate) enum Labels {
    Numbers(Vec<i64>),
    Names(Vec<String>),
}

/// Images and labels as they are in the files.
pub(crate) struct Table {
    /// C H W.
    pub(crate) shape: [usize; 3],
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Labels,
}

impl Table {
    /// With labels as class numbers; `names` are the classes where labels are names.
    fn images(self, origin: &Path, names: Option<&[String]>) -> Result<Images> {
        let labels = match (self.labels, names) {
            (Labels::Numbers(numbers), None) => super::class_numbers(origin, numbers)?,
            (Labels::Names(labels), Some(names)) => {
                let unknown = |label: &str| Error::file(origin, format!("has a label `{label}` that no training image has"));
                labels.iter().map(|label| names.binary_search(label).map(|class| class as u32).map_err(|_| unknown(label))).collect::<Result<_>>()?
            }
            _ => return Err(Error::file(origin, "has labels of another type than the training images")),
        };
        Images::new(origin, self.shape, Pixels::Bytes(self.pixels), labels)
    }
}

/// The class names, sorted, where labels are names.
fn class_names(labels: &Labels) -> Option<Vec<String>> {
    let Labels::Names(labels) = labels else {
        return None;
    };
    let mut names = labels.clone();
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// The file itself, or a folder's .parquet files by name.
fn parquet_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io("list", path))? {
        let file = entry.map_err(Error::io("list", path))?.path();
        if file.extension().is_some_and(|extension| extension == "parquet") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(Error::file(path, "holds no .parquet file")) } else { Ok(files) }
}

/// Reads the two columns of each file.
pub(crate) fn read(paths: &[PathBuf], image: &str, label: &str) -> Result<Table> {
    let mut collector = Collector::default();
    let (mut numbers, mut names) = (Vec::new(), Vec::new());
    let origin = paths.first().cloned().unwrap_or_default();
    for path in paths {
        let frame = open(path, image, label)?;
        collect_images(path, column(path, &frame, image)?, &mut collector)?;
        collect_labels(path, column(path, &frame, label)?, &mut numbers, &mut names)?;
    }
    let labels = match (numbers.is_empty(), names.is_empty()) {
        (_, true) => Labels::Numbers(numbers),
        (true, _) => Labels::Names(names),
        _ => return Err(Error::file(origin, "and the files beside it have labels of different types")),
    };
    let (shape, pixels) = collector.finish().ok_or_else(|| Error::file(&origin, "holds no images"))?;
    Ok(Table { shape, pixels, labels })
}

fn open(path: &Path, image: &str, label: &str) -> Result<DataFrame> {
    let broken = |e: polars::error::PolarsError| Error::file(path, format!("cannot be read as Parquet ({e}); it is cut off or something else"));
    let mut reader = ParquetReader::new(File::open(path).map_err(Error::io("read", path))?);
    let schema = reader.schema().map_err(broken)?;
    for wanted in [image, label] {
        if !schema.contains(wanted) {
            let known: Vec<&str> = schema.iter_names().map(|name| name.as_str()).collect();
            return Err(Error::file(path, Fault::unknown([""; 0], "column", wanted, &known).to_string()));
        }
    }
    // A file with a sound schema that fails here is cut off further in, or holds a type of number that this build does not read, such as Int8.
    let unread = |e: polars::error::PolarsError| {
        Error::file(
            path,
            format!("cannot be read as Parquet ({e}); it is cut off, or a column has a type that is not read: labels may be int32, int64 or text"),
        )
    };
    reader.with_columns(Some(vec![image.into(), label.into()])).finish().map_err(unread)
}

fn column<'a>(path: &Path, frame: &'a DataFrame, name: &str) -> Result<&'a Column> {
    frame.column(name).map_err(|e| Error::file(path, e.to_string()))
}

fn collect_images(path: &Path, column: &Column, collector: &mut Collector) -> Result<()> {
    let wrong = || Error::file(path, format!("column `{}` is {}, not binary nor a struct with a binary field `bytes`", column.name(), column.dtype()));
    let series = column.as_materialized_series();
    let bytes = match series.dtype() {
        DataType::Struct(_) => series.struct_().and_then(|fields| fields.field_by_name("bytes")).map_err(|_| wrong())?,
        _ => series.clone(),
    };
    for (row, encoded) in bytes.binary().map_err(|_| wrong())?.iter().enumerate() {
        let name = PathBuf::from(format!("{}, row {row}", path.display()));
        collector.add(&name, encoded.ok_or_else(|| Error::file(&name, "has no image"))?)?;
    }
    Ok(())
}

fn collect_labels(path: &Path, column: &Column, numbers: &mut Vec<i64>, names: &mut Vec<String>) -> Result<()> {
    let missing = |row: usize| Error::file(path, format!("row {row} has no label"));
    let wrong = || Error::file(path, format!("column `{}` is {}, neither whole numbers nor text", column.name(), column.dtype()));
    let series = column.as_materialized_series();
    if let Ok(text) = series.str() {
        for (row, name) in text.iter().enumerate() {
            names.push(name.ok_or_else(|| missing(row))?.to_owned());
        }
    } else if series.dtype().is_integer() {
        let cast = series.cast(&DataType::Int64).map_err(|_| wrong())?;
        for (row, number) in cast.i64().map_err(|_| wrong())?.iter().enumerate() {
            numbers.push(number.ok_or_else(|| missing(row))?);
        }
    } else {
        return Err(wrong());
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use polars::prelude::*;

    use super::*;
    use crate::decode::tests::grey;

    /// Writes 2 x 2 grey images, each of one value, with labels; bytes alone or within a struct.
    pub(crate) fn write(path: &Path, rows: &[(u8, i64)], within_struct: bool) {
        let bytes: Vec<Vec<u8>> = rows.iter().map(|(value, _)| grey(2, 2, *value)).collect();
        let labels: Vec<i64> = rows.iter().map(|(_, label)| *label).collect();
        save(path, Series::new("image".into(), bytes), Series::new("label".into(), labels), within_struct);
    }

    fn save(path: &Path, image: Series, label: Series, within_struct: bool) {
        let rows = image.len();
        let image: Column = if within_struct {
            let fields = [image.with_name("bytes".into()), Series::new("path".into(), vec!["x.png"; rows])];
            StructChunked::from_series("image".into(), rows, fields.iter()).unwrap().into_series().into()
        } else {
            image.into()
        };
        let mut frame = DataFrame::new(rows, vec![image, label.into()]).unwrap();
        ParquetWriter::new(File::create(path).unwrap()).finish(&mut frame).unwrap();
    }

    fn spec(path: &Path) -> ParquetSpec {
        ParquetSpec { path: path.into(), test: 0.5, ..ParquetSpec::default() }
    }

    #[test]
    fn bytes_and_structs_of_bytes_are_read() {
        let dir = tempfile::tempdir().unwrap();
        for within_struct in [false, true] {
            let path = dir.path().join("a.parquet");
            write(&path, &[(10, 0), (20, 0), (30, 1), (40, 1)], within_struct);
            let loaded = spec(&path).load().unwrap();
            assert_eq!((loaded.train.labels(), loaded.test.labels(), loaded.train.shape()), (&[0, 1][..], &[0, 1][..], [1, 2, 2]));
            assert_eq!(loaded.class_names, ["0", "1"]);
        }
    }

    #[test]
    fn no_image_is_for_training_and_for_testing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        write(&path, &(0..30).map(|i| (i, i64::from(i % 4))).collect::<Vec<_>>(), false);
        for test in [0.1, 0.2, 0.5, 0.9] {
            ParquetSpec { test, ..spec(&path) }.load().unwrap().assert_parted(30);
        }
    }

    #[test]
    fn names_become_classes_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let bytes: Vec<Vec<u8>> = (0..4).map(|value| grey(2, 2, value)).collect();
        save(&path, Series::new("image".into(), bytes), Series::new("label".into(), ["wren", "owl", "owl", "wren"]), false);
        let loaded = spec(&path).load().unwrap();
        assert_eq!(loaded.class_names, ["owl", "wren"]);
        assert_eq!(loaded.train.len() + loaded.test.len(), 4);
    }

    #[test]
    fn a_folder_of_files_and_a_test_file_are_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("train")).unwrap();
        write(&dir.path().join("train/b.parquet"), &[(2, 1)], true);
        write(&dir.path().join("train/a.parquet"), &[(1, 0)], false);
        write(&dir.path().join("test.parquet"), &[(9, 1)], false);
        let spec = ParquetSpec { test_path: Some(dir.path().join("test.parquet")), ..spec(&dir.path().join("train")) };
        let loaded = spec.load().unwrap();
        assert_eq!((loaded.train.labels(), loaded.test.labels()), (&[0, 1][..], &[1][..]));
    }

    #[test]
    fn wrong_columns_are_answered_with_those_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        write(&path, &[(10, 0)], false);
        let error = ParquetSpec { label: "lable".into(), ..spec(&path) }.load().err().unwrap().to_string();
        assert!(error.ends_with("unknown column `lable`; did you mean `label`? (known: image, label)"), "{error}");
        let error = ParquetSpec { image: "label".into(), ..spec(&path) }.load().err().unwrap().to_string();
        assert!(error.contains("column `label` is i64, not binary"), "{error}");
    }

    #[test]
    fn negative_labels_and_lone_images_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        write(&path, &[(10, -1), (10, 0)], false);
        assert!(spec(&path).load().err().unwrap().to_string().contains("label -1"));
        write(&path, &[(10, 0)], false);
        assert!(spec(&path).load().err().unwrap().to_string().contains("cannot be parted"));
        write(&path, &[], false);
        assert!(spec(&path).load().err().unwrap().to_string().contains("holds no images"));
    }

    #[test]
    fn a_file_that_is_cut_off_or_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        assert!(spec(&path).load().err().unwrap().to_string().starts_with("cannot read"));
        write(&path, &[(10, 0), (20, 1)], false);
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 3, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = spec(&path).load().err().unwrap().to_string();
            assert!(error.contains("a.parquet: cannot be read as Parquet"), "{error}");
        }
    }
}
