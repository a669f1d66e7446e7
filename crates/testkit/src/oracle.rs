//! Vectors made by something we did not write.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;

use crate::mismatch::{Heading, Mismatch, Outcome};

/// The arrays of an `.npz` file, by name.
#[derive(Debug)]
pub struct Oracle {
    file: String,
    arrays: BTreeMap<String, Tensor>,
}

/// Opens an `.npz` file that a script made with NumPy (`numpy.savez`, not compressed, C order).
///
/// ```no_run
/// let oracle = stn_testkit::oracle(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/affine_grid.npz"));
/// let theta = oracle.get("theta");
/// ```
///
/// # Panics
///
/// Where the file cannot be read.
#[track_caller]
pub fn oracle(path: impl AsRef<Path>) -> Oracle {
    match open(path.as_ref()) {
        Ok(oracle) => oracle,
        Err(mismatch) => panic!("{mismatch}"),
    }
}

fn open(path: &Path) -> Outcome<Oracle> {
    let file = path.display().to_string();
    let arrays = Tensor::read_npz(path).map_err(Mismatch::from).heading(&file)?;
    Ok(Oracle { file, arrays: arrays.into_iter().collect() })
}

impl Oracle {
    /// The array of this name, of the type it was saved with.
    ///
    /// # Panics
    ///
    /// Where there is none; lists those there are.
    #[track_caller]
    pub fn get(&self, name: &str) -> &Tensor {
        match self.arrays.get(name) {
            Some(array) => array,
            None => panic!("{} holds no array `{name}`, only {}", self.file, self.arrays.keys().cloned().collect::<Vec<_>>().join(", ")),
        }
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        assert!(open(Path::new("nowhere.npz")).unwrap_err().to_string().starts_with("nowhere.npz: "));
    }

    #[test]
    #[should_panic(expected = "holds no array `c`, only a, b")]
    fn an_array_that_is_not_there_is_named() {
        let array = crate::uniform("oracle", 2, 0.0, 1.0);
        let arrays = ["a", "b"].map(|name| (name.to_owned(), array.clone())).into();
        Oracle { file: "vectors.npz".into(), arrays }.get("c");
    }
}
