//! Cut house numbers kept in files, since to decode and cut photographs takes longer by far than to read what came of it.
//!
//! A file holds a line of text (what it is of, and how many there are), five labels an image of a byte each, the pixels, and the SHA-256 of all that in
//! hexadecimal digits.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Result, Write};
use std::path::{Path, PathBuf};

use super::crop::Crop;
use super::number::MOST_DIGITS;
use super::numbers::Numbers;
use crate::checksum::Checksum;
use crate::whole_file;

/// Of this module's files and of the way in which house numbers are cut: a change of either makes the files of before worthless.
const VERSION: u32 = 1;
/// The digits of a SHA-256.
const SUM: usize = 64;
/// No line is as long.
const LONGEST_LINE: u64 = 512;

/// House numbers as a network sees them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Crops {
    /// Image after image, channel after channel, row after row.
    pub(crate) pixels: Vec<u8>,
    /// [`MOST_DIGITS`] classes of each image.
    pub(crate) labels: Vec<u8>,
    /// How many house numbers were left out because they have more digits.
    pub(crate) too_long: usize,
}

impl Crops {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.labels.len() / MOST_DIGITS
    }
}

impl From<Numbers> for Crops {
    fn from(numbers: Numbers) -> Self {
        let labels = numbers.sequences.iter().flat_map(|sequence| sequence.classes().map(|class| class as u8)).collect();
        Self { pixels: numbers.pixels, labels, too_long: numbers.too_long }
    }
}

/// The file for the crops of one part.
#[derive(Debug)]
pub(crate) struct CropFile {
    path: PathBuf,
    crop: Crop,
    /// What the line of text begins with.
    of: String,
}

impl CropFile {
    /// The file in `folder` for the crops of a part; `key` is the SHA-256 of what they are cut from.
    pub(crate) fn new(folder: &Path, part: &str, crop: Crop, key: &str) -> Self {
        let Crop { size, widen } = crop;
        let path = folder.join(format!("{part}-{size}-{}.crops", key.get(..16).unwrap_or(key)));
        Self { path, crop, of: format!("SVHN {part}, {size} x {size}, widened by {widen}, version {VERSION}, from {key}:") }
    }

    /// The crops; `None` where there are none, or none that are whole and of this key.
    pub(crate) fn read(&self) -> Option<Crops> {
        let worthless = |why: &str| tracing::warn!("{} {why}: house numbers are cut anew", self.path.display());
        match self.read_whole() {
            Ok(Some(crops)) => return Some(crops),
            Ok(None) => worthless("is damaged or of other data"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => worthless(&format!("cannot be read ({error})")),
        }
        None
    }

    /// Writes the crops, whole or not at all. Where that is impossible they are cut again the next time.
    pub(crate) fn write(&self, crops: &Crops) {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        if let Err(error) = std::fs::create_dir_all(folder).and_then(|()| self.write_whole(crops)) {
            tracing::warn!("{} cannot be written ({error}): house numbers are cut anew each time", self.path.display());
        }
    }

    fn write_whole(&self, crops: &Crops) -> Result<()> {
        let line = format!("{} {} {}\n", self.of, crops.len(), crops.too_long);
        let pieces = [line.as_bytes(), &crops.labels, &crops.pixels];
        let mut sum = Checksum::default();
        pieces.iter().for_each(|piece| sum.add(piece));
        whole_file::write_with(&self.path, |file| {
            pieces.iter().try_for_each(|piece| file.write_all(piece))?;
            file.write_all(sum.finish().as_bytes())
        })
    }

    fn read_whole(&self) -> Result<Option<Crops>> {
        let mut file = BufReader::new(File::open(&self.path)?);
        let length = file.get_ref().metadata()?.len();
        let mut line = Vec::new();
        (&mut file).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        let Some([count, too_long]) = self.counts(&line) else { return Ok(None) };
        let labels = count.checked_mul(MOST_DIGITS);
        let pixels = count.checked_mul(3 * self.crop.size * self.crop.size);
        let (Some(labels), Some(pixels)) = (labels, pixels) else { return Ok(None) };
        if [labels, pixels, SUM].into_iter().try_fold(line.len(), usize::checked_add) != usize::try_from(length).ok() {
            return Ok(None);
        }
        let mut sum = Checksum::default();
        sum.add(&line);
        let (labels, pixels) = (read_into(&mut file, labels, &mut sum)?, read_into(&mut file, pixels, &mut sum)?);
        let mut kept = [0; SUM];
        file.read_exact(&mut kept)?;
        Ok((sum.finish().as_bytes() == kept).then_some(Crops { pixels, labels, too_long }))
    }

    /// The two numbers at the end of the line, where it begins as it must.
    fn counts(&self, line: &[u8]) -> Option<[usize; 2]> {
        let numbers = std::str::from_utf8(line).ok()?.strip_prefix(&self.of)?.strip_prefix(' ')?.strip_suffix('\n')?;
        let (count, too_long) = numbers.split_once(' ')?;
        Some([count.parse().ok()?, too_long.parse().ok()?])
    }
}

/// Reads so many bytes, and adds them to the checksum while they are in the processor's cache.
fn read_into(file: &mut impl Read, length: usize, sum: &mut Checksum) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    for block in bytes.chunks_mut(1 << 20) {
        file.read_exact(block)?;
        sum.add(block);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Crop = Crop { size: 2, widen: 0.3 };

    fn crops() -> Crops {
        Crops { pixels: (0..24).collect(), labels: vec![1, 9, 10, 10, 10, 0, 10, 10, 10, 10], too_long: 3 }
    }

    fn written(folder: &Path) -> CropFile {
        let file = CropFile::new(&folder.join("crops"), "train", SMALL, &"ab".repeat(32));
        file.write(&crops());
        file
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(written(folder.path()).read(), Some(crops()));
        assert!(folder.path().join("crops/train-2-abababababababab.crops").is_file());
    }

    #[test]
    fn a_file_that_is_cut_off_is_worth_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = written(folder.path());
        let whole = std::fs::read(&file.path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&file.path, &whole[..length]).unwrap();
            assert_eq!(file.read(), None, "{length}");
        }
    }

    #[test]
    fn a_file_with_a_wrong_byte_is_worth_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = written(folder.path());
        let whole = std::fs::read(&file.path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&file.path, &damaged).unwrap();
            assert_eq!(file.read(), None, "{at}");
        }
    }

    #[test]
    fn crops_of_another_key_part_or_size_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = written(folder.path());
        let other = |part: &str, crop: Crop, key: &str| {
            let other = CropFile::new(&folder.path().join("crops"), part, crop, key);
            CropFile { path: file.path.clone(), ..other }.read()
        };
        let key = "ab".repeat(32);
        assert_eq!(other("train", SMALL, &key), Some(crops()));
        assert_eq!(other("test", SMALL, &key), None);
        assert_eq!(other("train", Crop { widen: 1.6, ..SMALL }, &key), None);
        assert_eq!(other("train", SMALL, &format!("{}cd", &key[..62])), None);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("crops"), "taken").unwrap();
        let file = written(folder.path());
        assert_eq!(file.read(), None);
    }
}
