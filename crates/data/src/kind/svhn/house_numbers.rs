//! `kind = "svhn"`: whole house numbers, from the hub or from a folder.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::crop::Crop;
use super::crop_file::{CropFile, Crops};
use super::form::NUMBERS;
use super::number::{MOST_DIGITS, NO_DIGIT};
use super::{LICENCE, Numbers, archive, table};
use crate::checksum::Checksum;
use crate::images::{Images, Pixels};
use crate::kind::{Loaded, Opened, Source};
use crate::spec::Declared;
use crate::{Provenance, Result, cache, hub};

/// How many photographs are published: for training, for testing, and the extra ones.
const PUBLISHED: [usize; 3] = [33_402, 13_068, 202_353];

/// `kind = "svhn"`: house numbers of one to five digits cut out of photographs, in colour, with five labels an image: its digits, and then that there is none
/// any more. An image is right where all five are. 33,402 photographs to train on, of which one has six digits and is left out, and 13,068 to test on.
/// For non-commercial use only.
///
/// Netzer, Wang, Coates, Bissacco, Wu, Ng, *Reading Digits in Natural Images with Unsupervised Feature Learning*, NIPS Workshop on Deep Learning and Unsupervised
/// Feature Learning, 2011; cut as in Goodfellow, Bulatov, Ibarz, Arnoud, Shet, *Multi-digit Number Recognition from Street View Imagery using Deep Convolutional
/// Neural Networks*, 2014.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SvhnSpec {
    /// A folder with train.tar.gz and test.tar.gz, with folders train and test into which these were unpacked, or with train-*.parquet and test-*.parquet from
    /// the Hugging Face hub: looked into first, and then nowhere else. Without it they are read from the cache, and fetched from the hub where they are not there
    /// (about 0.7 GB).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Adds the extra set's 202,353 house numbers, which are somewhat easier, to the training images: extra.tar.gz or extra-*.parquet (about 2 GB).
    pub extra: bool,
    /// Height and width of the crops: 64 for the rectangle around the digits made 30 % larger, 128 for looser ones, 160 % larger. They are kept in memory as
    /// bytes: 0.6 GB at 64 and 2.3 GB at 128, with the extra set 3.1 GB and 12.3 GB, and up to twice as much while they are read. What was cut is kept in the
    /// cache, as large as in memory.
    pub size: usize,
}

impl Default for SvhnSpec {
    fn default() -> Self {
        Self { dir: None, extra: false, size: Crop::TIGHT.size }
    }
}

impl Declared for SvhnSpec {
    const NAME: &'static str = "svhn";
    const SUMMARY: &'static str = "House numbers of one to five digits (SVHN), 3 x 64 x 64 or 3 x 128 x 128, five labels of 11 classes; non-commercial.";
}

impl Source for SvhnSpec {
    fn faults(&self) -> Vec<Fault> {
        if Crop::of_size(self.size).is_some() {
            return Vec::new();
        }
        let fault = Fault::at(["size"], format!("house numbers are cut at 64 or 128 pixels, not {}", self.size));
        vec![fault.help("write size = 64 for tight crops, or size = 128 for looser ones")]
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        Some((vec![3, self.size, self.size], MOST_DIGITS * class_names().len()))
    }

    fn open(&self) -> Result<Opened> {
        Ok(self.load()?.shown())
    }
}

impl SvhnSpec {
    /// Reads it whole.
    fn load(&self) -> Result<Loaded> {
        let cache = cache::folder(Self::NAME);
        let kept = cache.as_ref().ok().map(|cache| cache.join("crops"));
        match &self.dir {
            Some(dir) => self.read(dir, kept.as_deref()),
            None => {
                let folder = cache?;
                NUMBERS.fetch(&folder, self.extra, &hub::endpoint())?;
                self.read(&folder, kept.as_deref())
            }
        }
    }

    /// Reads from a folder; what is cut is kept in the folder `kept`, where there is one.
    fn read(&self, folder: &Path, kept: Option<&Path>) -> Result<Loaded> {
        let crop = Crop::of_size(self.size).unwrap_or(Crop::TIGHT);
        let mut sum = Checksum::default();
        let mut part = |part: &str| Photographs::of(folder, part)?.cut(crop, part, kept, &mut sum);
        let (train, test) = (part("train")?, part("test")?);
        let extra = if self.extra { Some(part("extra")?) } else { None };
        let source = source(folder, crop, [Some(&train), Some(&test), extra.as_ref()]);
        let images = |crops: Crops| {
            let labels = crops.labels.into_iter().map(u32::from).collect();
            Images::with_heads(folder, [3, crop.size, crop.size], Pixels::Bytes(crops.pixels), labels, MOST_DIGITS)
        };
        // The few go behind the many, whose memory is not copied.
        let train = match extra {
            Some(extra) => images(extra)?.followed_by(folder, images(train)?)?,
            None => images(train)?,
        };
        Ok(Loaded {
            train,
            test: images(test)?,
            class_names: class_names(),
            provenance: Provenance { source, sha256: sum.finish(), synthetic: false, licence: LICENCE.into() },
        })
    }
}

/// What a part is read from.
enum Photographs {
    /// An archive, or a folder into which it was unpacked.
    Archive(PathBuf),
    /// The hub's tables.
    Tables(Vec<PathBuf>),
}

impl Photographs {
    /// Those of a part ("train", "test" or "extra") in a folder.
    fn of(folder: &Path, part: &str) -> Result<Self> {
        let (archive, unpacked) = (NUMBERS.original(folder, part), folder.join(part));
        if archive.is_file() {
            return Ok(Self::Archive(archive));
        }
        if unpacked.is_dir() {
            return Ok(Self::Archive(unpacked));
        }
        let tables = NUMBERS.tables(folder, part)?;
        if tables.is_empty() { Err(NUMBERS.missing(folder, part)) } else { Ok(Self::Tables(tables)) }
    }

    /// Adds them to the checksum, and cuts the house numbers out where the folder `kept` does not hold them already.
    fn cut(&self, crop: Crop, part: &str, kept: Option<&Path>, sum: &mut Checksum) -> Result<Crops> {
        match self {
            Self::Archive(path) => archive::add_to(sum, path)?,
            Self::Tables(paths) => paths.iter().try_for_each(|path| sum.add_file(path))?,
        }
        // The key is the sum of all that was read so far, this part last: one pass over the files gives every part's.
        let file = kept.map(|folder| CropFile::new(folder, part, crop, &sum.clone().finish()));
        if let Some(crops) = file.as_ref().and_then(CropFile::read) {
            return Ok(crops);
        }
        tracing::info!(part, size = crop.size, "cutting house numbers out of their photographs");
        let numbers: Numbers = match self {
            Self::Archive(path) => archive::read(path, crop)?,
            Self::Tables(paths) => table::full_numbers(paths, crop)?,
        };
        let crops = Crops::from(numbers);
        if let Some(file) = file {
            file.write(&crops);
        }
        Ok(crops)
    }
}

/// The ten digits, and the class after the last one.
pub(crate) fn class_names() -> Vec<String> {
    (0..NO_DIGIT).map(|digit| digit.to_string()).chain(["none".to_owned()]).collect()
}

/// Fetches the training and the test images into the cache; the folder they are in.
pub(crate) fn fetch() -> Result<PathBuf> {
    let folder = cache::folder(SvhnSpec::NAME)?;
    NUMBERS.fetch(&folder, false, &hub::endpoint())?;
    Ok(folder)
}

/// What is said of the data in every row of results: other numbers of photographs than those published are not passed over.
fn source(folder: &Path, crop: Crop, parts: [Option<&Crops>; 3]) -> String {
    let with_extra = if parts[2].is_some() { " with the extra set" } else { "" };
    let name = format!("SVHN house numbers{with_extra}, {0} x {0}", crop.size);
    let whole = parts.iter().zip(PUBLISHED).all(|(part, published)| part.is_none_or(|crops| crops.len() + crops.too_long == published));
    if whole {
        return name;
    }
    let [train, test, extra] = parts.map(|part| part.map_or(0, Crops::len));
    format!("{name}, not as published: {} + {test} images in {}", train + extra, folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::svhn::samples::{self, folder};
    use crate::pictures::Pictures;

    fn archives() -> tempfile::TempDir {
        folder(&[("train.tar.gz", samples::ARCHIVE), ("test.tar.gz", samples::ARCHIVE)])
    }

    fn spec(extra: bool, size: usize) -> SvhnSpec {
        SvhnSpec { dir: None, extra, size }
    }

    fn load(folder: &Path) -> Result<Loaded> {
        spec(false, 64).read(folder, None)
    }

    const LABELS: [u32; 20] = [1, 9, 10, 10, 10, 2, 3, 7, 10, 10, 0, 10, 10, 10, 10, 8, 0, 5, 0, 4];

    #[test]
    fn archives_of_a_folder_are_read() {
        let folder = archives();
        let loaded = load(folder.path()).unwrap();
        assert_eq!((loaded.train.shape(), loaded.train.len(), loaded.train.heads()), ([3, 64, 64], 4, 5));
        assert_eq!((loaded.train.labels(), loaded.test.labels()), (&LABELS[..], &LABELS[..]));
        assert_eq!(loaded.class_names, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "none"]);
        assert_eq!(loaded.provenance.sha256, crate::checksum::sha256(&[samples::ARCHIVE; 2].concat()));
        assert_eq!(loaded.provenance.source, format!("SVHN house numbers, 64 x 64, not as published: 4 + 4 images in {}", folder.path().display()));
        assert!(loaded.provenance.licence.starts_with("non-commercial") && !loaded.provenance.synthetic);
    }

    #[test]
    fn tables_and_unpacked_archives_give_the_same_images() {
        let archives = archives();
        let theirs = load(archives.path()).unwrap();
        let unpacked = tempfile::tempdir().unwrap();
        for (name, bytes) in samples::archive() {
            for part in ["train", "test"] {
                let path = unpacked.path().join(name.replace("train/", &format!("{part}/")));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, &bytes).unwrap();
            }
        }
        let tables = |below: &str| {
            let names = ["train", "test"].map(|part| format!("{below}{part}-00000-of-00001.parquet"));
            folder(&names.each_ref().map(|name| (name.as_str(), samples::FULL_NUMBERS)))
        };
        for folder in [unpacked, tables(""), tables("full_numbers/")] {
            let ours = load(folder.path()).unwrap();
            assert_eq!((ours.train, ours.test), (theirs.train.clone(), theirs.test.clone()));
        }
    }

    #[test]
    fn the_extra_set_joins_the_training_images() {
        let folder = archives();
        std::fs::write(folder.path().join("extra-00000-of-00001.parquet"), samples::FULL_NUMBERS).unwrap();
        let loaded = spec(true, 64).read(folder.path(), None).unwrap();
        assert_eq!((loaded.train.labels(), loaded.test.len()), (&LABELS.repeat(2)[..], 4));
        assert!(loaded.provenance.source.starts_with("SVHN house numbers with the extra set, 64 x 64, not as published: 8 + 4 images in "));
    }

    #[test]
    fn looser_crops_are_larger_and_show_more() {
        let folder = archives();
        let loose = spec(false, 128).read(folder.path(), None).unwrap().train;
        assert_eq!((loose.shape(), loose.labels()), ([3, 128, 128], &LABELS[..]));
        let small = load(folder.path()).unwrap().train;
        let mean = |images: &Images| {
            let mut values = vec![0.0; images.size()];
            images.read(0, &mut values).unwrap();
            values.iter().sum::<f32>() / values.len() as f32
        };
        // The digits are bright and what is around them is not.
        assert!(mean(&loose) < 0.9 * mean(&small), "{} {}", mean(&loose), mean(&small));
    }

    #[test]
    fn what_was_cut_is_read_the_next_time_and_made_anew_where_it_is_damaged() {
        let (folder, kept) = (archives(), tempfile::tempdir().unwrap());
        let read = || spec(false, 64).read(folder.path(), Some(kept.path())).unwrap();
        let first = read();
        let mut files: Vec<PathBuf> = std::fs::read_dir(kept.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let [test, train] = &files[..] else { panic!("a file for each part: {files:?}") };
        let whole = std::fs::read(train).unwrap();
        std::fs::write(train, &whole[..whole.len() / 2]).unwrap();
        let made_before = std::fs::metadata(test).unwrap().modified().unwrap();
        let second = read();
        assert_eq!((first.train, first.test), (second.train, second.test));
        assert_eq!(std::fs::read(train).unwrap(), whole);
        assert_eq!(std::fs::metadata(test).unwrap().modified().unwrap(), made_before);
    }

    #[test]
    fn other_photographs_are_not_mixed_up_with_those_that_were_cut() {
        let (folder, kept) = (archives(), tempfile::tempdir().unwrap());
        let labels = || spec(false, 64).read(folder.path(), Some(kept.path())).unwrap().train.labels().to_vec();
        assert_eq!(labels(), LABELS);
        std::fs::remove_file(folder.path().join("train.tar.gz")).unwrap();
        for index in 0..2 {
            std::fs::write(folder.path().join(format!("train-0000{index}-of-00002.parquet")), samples::FULL_NUMBERS).unwrap();
        }
        assert_eq!(labels(), LABELS.repeat(2));
    }

    #[test]
    fn the_published_numbers_of_images_need_no_words() {
        let crops = |count: usize, too_long| Crops { pixels: Vec::new(), labels: vec![0; count * MOST_DIGITS], too_long };
        let (train, test, extra) = (crops(33_401, 1), crops(13_068, 0), crops(202_353, 0));
        assert_eq!(source(Path::new("x"), Crop::TIGHT, [Some(&train), Some(&test), None]), "SVHN house numbers, 64 x 64");
        assert_eq!(source(Path::new("x"), Crop::LOOSE, [Some(&train), Some(&test), Some(&extra)]), "SVHN house numbers with the extra set, 128 x 128");
        let few = source(Path::new("x"), Crop::TIGHT, [Some(&train), Some(&extra), None]);
        assert_eq!(few, "SVHN house numbers, 64 x 64, not as published: 33401 + 202353 images in x");
    }

    #[test]
    fn an_archive_that_is_cut_off_says_so() {
        let folder = folder(&[("train.tar.gz", &samples::ARCHIVE[..600]), ("test.tar.gz", samples::ARCHIVE)]);
        let error = load(folder.path()).err().unwrap().to_string();
        assert!(error.contains("train.tar.gz: cannot be read as .tar.gz") && error.contains("it has 600 bytes: it is cut off"), "{error}");
    }

    #[test]
    fn a_folder_without_a_part_says_what_is_wanted() {
        let folder = folder(&[("train.tar.gz", samples::ARCHIVE)]);
        let error = load(folder.path()).err().unwrap().to_string();
        assert!(error.contains("holds neither test.tar.gz nor test-*.parquet") && error.contains("dataset.kind=street_numbers"), "{error}");
    }
}
