//! Parquet files read one by one, on all cores. A store has thousands of small ones: a scan over all of them at once spends its time between the files.

use crate::error::BadFile;
use polars::prelude::*;
use rayon::prelude::*;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// A column that is wanted of a file.
#[derive(Debug, Clone)]
pub struct Wanted {
    name: &'static str,
    /// What it is read as.
    dtype: DataType,
    /// What stands in its place in files from before it came; without it, such a file is a bad one.
    before: Option<AnyValue<'static>>,
}

impl Wanted {
    /// The same column, which came later: in files from before, every row has this value.
    pub fn before(self, value: AnyValue<'static>) -> Self {
        Self { before: Some(value), ..self }
    }
}

/// Columns read as one type.
pub fn wanted<const N: usize>(names: [&'static str; N], dtype: &DataType) -> [Wanted; N] {
    names.map(|name| Wanted { name, dtype: dtype.clone(), before: None })
}

/// Reads the wanted columns of every file and makes of each what `of_file` says. A file that cannot be read, or not understood, goes to `bad`, and is `None`.
pub fn each<T: Send>(paths: &[PathBuf], columns: &[Wanted], bad: &mut Vec<BadFile>, of_file: impl Fn(&DataFrame) -> PolarsResult<T> + Sync) -> Vec<Option<T>> {
    let read: Vec<PolarsResult<T>> = paths.par_iter().map(|path| of_file(&frame(path, columns)?)).collect();
    let sound = |(path, read): (&PathBuf, PolarsResult<T>)| match read {
        Ok(read) => Some(read),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "cannot be read");
            bad.push(BadFile { path: path.clone(), reason: reason(path, &error) });
            None
        }
    };
    paths.iter().zip(read).map(sound).collect()
}

/// As [`each`], of one file.
pub fn one<T: Send>(path: &Path, columns: &[Wanted], bad: &mut Vec<BadFile>, of_file: impl Fn(&DataFrame) -> PolarsResult<T> + Sync) -> Option<T> {
    each(&[path.to_path_buf()], columns, bad, of_file).pop().flatten()
}

/// The wanted columns of a file, each as the type it is wanted as.
fn frame(path: &Path, columns: &[Wanted]) -> PolarsResult<DataFrame> {
    // Whole: to map a small file into memory takes longer than to read it.
    let mut reader = ParquetReader::new(Cursor::new(std::fs::read(path)?)).read_parallel(ParallelStrategy::None);
    let schema = reader.schema()?;
    let there = columns.iter().filter(|column| column.before.is_none() || schema.contains(column.name));
    let frame = reader.with_columns(Some(there.map(|column| column.name.to_string()).collect())).finish()?;
    let height = frame.height();
    let column = |wanted: &Wanted| match (&wanted.before, frame.column(wanted.name)) {
        (Some(value), Err(_)) => Ok(Scalar::new(wanted.dtype.clone(), value.clone()).into_column(wanted.name.into()).new_from_index(0, height)),
        (_, column) => column?.cast(&wanted.dtype),
    };
    DataFrame::new(height, columns.iter().map(column).collect::<PolarsResult<_>>()?)
}

/// The first line of what polars says, without its tail of query plans.
fn reason(path: &Path, error: &PolarsError) -> String {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() == 0 => "the file is empty".into(),
        Err(error) => error.to_string(),
        Ok(_) => error.to_string().lines().next().unwrap_or_default().trim().to_string(),
    }
}

/// The list in a row; empty where there is none.
pub fn list_at<T>(lists: &ListChunked, row: usize, of: impl Fn(&Series) -> PolarsResult<Vec<T>>) -> PolarsResult<Vec<T>> {
    lists.get_as_series(row).map_or(Ok(Vec::new()), |list| of(&list))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one column of whole numbers.
    fn file(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let mut frame = DataFrame::new_infer_height(vec![Column::new("step".into(), [1i32, 2])]).unwrap();
        ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
        path
    }

    #[test]
    fn a_bad_file_leaves_the_others_in_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [file(folder.path(), "a"), folder.path().join("none"), file(folder.path(), "b")];
        let mut bad = Vec::new();
        let read = each(&paths, &wanted(["step"], &DataType::Int64), &mut bad, |frame| Ok(frame.column("step")?.i64()?.sum()));
        assert_eq!(read, [Some(Some(3)), None, Some(Some(3))]);
        assert_eq!(bad.iter().map(|file| &file.path).collect::<Vec<_>>(), [&paths[1]]);
    }

    #[test]
    fn a_column_that_came_later_has_its_value_in_files_from_before_and_any_other_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "a");
        let later = wanted(["trained"], &DataType::Int64);
        let mut bad = Vec::new();
        assert_eq!(one(&path, &later, &mut bad, |_| Ok(())), None);
        assert!(bad[0].reason.contains("trained"), "{}", bad[0].reason);
        let later = later.map(|column| column.before(AnyValue::Int64(1)));
        assert_eq!(one(&path, &later, &mut bad, |frame| Ok(frame.column("trained")?.i64()?.to_vec())), Some(vec![Some(1), Some(1)]));
    }
}
