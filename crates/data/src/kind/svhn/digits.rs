//! `kind = "svhn_digits"`: the single digits, from the hub or from a folder.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::form::DIGITS;
use super::{LICENCE, mat5, table};
use crate::checksum::Checksum;
use crate::images::Images;
use crate::kind::{Loaded, Opened, Source};
use crate::spec::Declared;
use crate::{Provenance, Result, cache, hub};

/// How many images are published: for training, for testing, and the extra ones.
const PUBLISHED: [usize; 3] = [73_257, 26_032, 531_131];

/// `kind = "svhn_digits"`: digits cut out of photographs of house numbers, 3 x 32 x 32, with their neighbours at the sides; 73,257 to train on and 26,032 to
/// test on. For non-commercial use only.
///
/// Netzer, Wang, Coates, Bissacco, Wu, Ng, *Reading Digits in Natural Images with Unsupervised Feature Learning*, NIPS Workshop on Deep Learning and Unsupervised
/// Feature Learning, 2011.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SvhnDigitsSpec {
    /// A folder with train_32x32.mat and test_32x32.mat, or with train-*.parquet and test-*.parquet from the Hugging Face hub: looked into first, and then nowhere
    /// else. Without it they are read from the cache, and fetched from the hub where they are not there (183 MB).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Adds the extra set's 531,131 digits, which are somewhat easier, to the training images: extra_32x32.mat or extra-*.parquet (1 GB). They are kept in memory
    /// as bytes, 1.9 GB for all instead of 0.3 GB, and up to twice as much while they are read.
    pub extra: bool,
}

impl Declared for SvhnDigitsSpec {
    const NAME: &'static str = "svhn_digits";
    const SUMMARY: &'static str = "Digits of house numbers (SVHN), 3 x 32 x 32, 10 classes; non-commercial.";
}

impl Source for SvhnDigitsSpec {
    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        Some((vec![3, 32, 32], 10))
    }

    fn open(&self) -> Result<Opened> {
        Ok(self.load()?.shown())
    }
}

impl SvhnDigitsSpec {
    /// Reads it whole.
    pub(crate) fn load(&self) -> Result<Loaded> {
        if let Some(dir) = &self.dir {
            return self.read(dir);
        }
        let folder = cache::folder(Self::NAME)?;
        DIGITS.fetch(&folder, self.extra, &hub::endpoint())?;
        self.read(&folder)
    }

    fn read(&self, folder: &Path) -> Result<Loaded> {
        let mut sum = Checksum::default();
        let train = part(folder, "train", &mut sum)?;
        let test = part(folder, "test", &mut sum)?;
        let extra = if self.extra { Some(part(folder, "extra", &mut sum)?) } else { None };
        let source = source(folder, [train.len(), test.len(), extra.as_ref().map_or(0, Images::len)]);
        // The few go behind the many, whose memory is not copied.
        let train = match extra {
            Some(extra) => extra.followed_by(folder, train)?,
            None => train,
        };
        Ok(Loaded {
            train,
            test,
            class_names: (0..10).map(|digit| digit.to_string()).collect(),
            provenance: Provenance { source, sha256: sum.finish(), synthetic: false, licence: LICENCE.into() },
        })
    }
}

/// Reads the images of a part ("train", "test" or "extra") from a folder, and adds their files to the checksum.
fn part(folder: &Path, part: &str, sum: &mut Checksum) -> Result<Images> {
    let matlab = DIGITS.original(folder, part);
    if matlab.is_file() {
        return mat5::read(&matlab, sum);
    }
    let tables = DIGITS.tables(folder, part)?;
    if tables.is_empty() { Err(DIGITS.missing(folder, part)) } else { table::cropped_digits(&tables, sum) }
}

/// Fetches the training and the test images into the cache; the folder they are in.
pub(crate) fn fetch() -> Result<PathBuf> {
    let folder = cache::folder(SvhnDigitsSpec::NAME)?;
    DIGITS.fetch(&folder, false, &hub::endpoint())?;
    Ok(folder)
}

/// What is said of the data in every row of results: other numbers of images than those published are not passed over.
fn source(folder: &Path, counts: [usize; 3]) -> String {
    let [train, test, extra] = counts;
    let with_extra = if extra > 0 { " with the extra set" } else { "" };
    let whole = counts.iter().zip(PUBLISHED).all(|(&count, published)| count == published || (count == 0 && extra == 0));
    if whole {
        return format!("SVHN digits{with_extra}");
    }
    format!("SVHN digits{with_extra}, not as published: {} + {test} images in {}", train + extra, folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::svhn::samples::{self, folder};

    fn load(folder: &Path, extra: bool) -> Result<Loaded> {
        SvhnDigitsSpec { dir: Some(folder.into()), extra }.load()
    }

    #[test]
    fn matlab_files_of_a_folder_are_read() {
        let folder = folder(&[("train_32x32.mat", samples::DIGITS), ("test_32x32.mat", samples::DIGITS)]);
        let loaded = load(folder.path(), false).unwrap();
        assert_eq!((loaded.train.shape(), loaded.train.labels(), loaded.test.labels()), ([3, 32, 32], &[1, 0, 9, 5][..], &[1, 0, 9, 5][..]));
        assert_eq!(loaded.class_names, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        assert_eq!(loaded.provenance.sha256, crate::checksum::sha256(&[samples::DIGITS; 2].concat()));
        assert_eq!(loaded.provenance.source, format!("SVHN digits, not as published: 4 + 4 images in {}", folder.path().display()));
        assert!(loaded.provenance.licence.starts_with("non-commercial") && !loaded.provenance.synthetic);
    }

    #[test]
    fn tables_of_a_folder_give_the_same_images() {
        let matlab = folder(&[("train_32x32.mat", samples::DIGITS), ("test_32x32.mat", samples::DIGITS)]);
        for below in ["", "cropped_digits/"] {
            let names = ["train", "test"].map(|part| format!("{below}{part}-00000-of-00001.parquet"));
            let tables = folder(&names.each_ref().map(|name| (name.as_str(), samples::CROPPED_DIGITS)));
            let (ours, theirs) = (load(tables.path(), false).unwrap(), load(matlab.path(), false).unwrap());
            assert_eq!((ours.train, ours.test), (theirs.train, theirs.test));
        }
    }

    #[test]
    fn the_extra_set_joins_the_training_images() {
        let folder = folder(&[
            ("train_32x32.mat", samples::DIGITS),
            ("test_32x32.mat", samples::DIGITS),
            ("extra-00000-of-00002.parquet", samples::CROPPED_DIGITS),
            ("extra-00001-of-00002.parquet", samples::CROPPED_DIGITS),
        ]);
        let loaded = load(folder.path(), true).unwrap();
        assert_eq!((loaded.train.len(), loaded.train.labels(), loaded.test.len()), (12, &[1, 0, 9, 5].repeat(3)[..], 4));
        assert!(loaded.provenance.source.starts_with("SVHN digits with the extra set, not as published: 12 + 4 images in "));
        assert_eq!(load(folder.path(), false).unwrap().train.len(), 4);
    }

    #[test]
    fn the_published_numbers_of_images_need_no_words() {
        assert_eq!(source(Path::new("x"), [73_257, 26_032, 0]), "SVHN digits");
        assert_eq!(source(Path::new("x"), [73_257, 26_032, 531_131]), "SVHN digits with the extra set");
        assert_eq!(source(Path::new("x"), [73_257, 26_032, 9]), "SVHN digits with the extra set, not as published: 73266 + 26032 images in x");
    }

    #[test]
    fn a_folder_without_a_part_says_what_is_wanted() {
        let folder = folder(&[("train_32x32.mat", samples::DIGITS)]);
        let error = load(folder.path(), false).err().unwrap().to_string();
        assert!(error.contains("holds neither test_32x32.mat nor test-*.parquet") && error.ends_with("leave out `dir` to have it fetched"), "{error}");
        let error = load(&folder.path().join("nowhere"), false).err().unwrap().to_string();
        assert!(error.contains("nowhere: holds neither train_32x32.mat"), "{error}");
    }

    #[test]
    fn a_file_that_is_cut_off_says_so() {
        let folder = folder(&[("train_32x32.mat", &samples::DIGITS[..600]), ("test_32x32.mat", samples::DIGITS)]);
        let error = load(folder.path(), false).err().unwrap().to_string();
        assert!(error.contains("train_32x32.mat: is cut off: it has 600 bytes"), "{error}");
    }
}
