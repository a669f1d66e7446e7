//! Photographs with their boxes: `train.tar.gz`, `test.tar.gz`, `extra.tar.gz`, or a folder into which one of them was unpacked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::Numbers;
use super::crop::Crop;
use super::digit_struct::{self, Annotation};
use super::numbers::Cutter;
use crate::checksum::Checksum;
use crate::{Error, Result};

/// The boxes of all images.
const BOXES: &str = "digitStruct.mat";
/// No photograph is as large, in bytes.
const LARGEST: u64 = 1 << 26;

/// Reads an archive or a folder whole and cuts its house numbers out. They come in the order of the annotations, wherever the files lie.
pub(crate) fn read(path: &Path, crop: Crop) -> Result<Numbers> {
    if !path.is_dir() {
        return packed(path, crop);
    }
    let mut cutter = Cutter::new(crop);
    for (position, annotation) in annotations_beside(path, &mut Checksum::default())?.iter().enumerate() {
        let image = path.join(&annotation.name);
        let encoded = std::fs::read(&image).map_err(Error::io("read", &image))?;
        cutter.add(position, image, encoded, &annotation.digits)?;
    }
    cutter.finish()
}

/// Adds an archive to the checksum, or of a folder the annotations and then the images in their order.
pub(crate) fn add_to(sum: &mut Checksum, path: &Path) -> Result<()> {
    if !path.is_dir() {
        return sum.add_file(path);
    }
    annotations_beside(path, sum)?.iter().try_for_each(|annotation| sum.add_file(&path.join(&annotation.name)))
}

/// The annotations of a folder, which are added to the checksum.
fn annotations_beside(path: &Path, sum: &mut Checksum) -> Result<Vec<Annotation>> {
    let boxes = path.join(BOXES);
    if !boxes.is_file() {
        return Err(Error::file(path, format!("holds no {BOXES}; it must be there beside 1.png, 2.png ..., as in SVHN's train.tar.gz")));
    }
    let bytes = std::fs::read(&boxes).map_err(Error::io("read", &boxes))?;
    sum.add(&bytes);
    digit_struct::read(&boxes, bytes)
}

/// Goes through the archive twice, since the boxes may come after the images.
fn packed(path: &Path, crop: Crop) -> Result<Numbers> {
    let annotations = annotations(path)?;
    let mut places: HashMap<&str, (usize, &Annotation)> = annotations.iter().enumerate().map(|(place, a)| (a.name.as_str(), (place, a))).collect();
    let mut cutter = Cutter::new(crop);
    entries(path, |name, entry| {
        let file = name.file_name().map(|file| file.to_string_lossy()).unwrap_or_default();
        let Some((position, annotation)) = places.remove(file.as_ref()) else {
            return Ok(true);
        };
        let place = path.join(name);
        let mut encoded = Vec::new();
        entry.take(LARGEST).read_to_end(&mut encoded).map_err(broken(path))?;
        cutter.add(position, place, encoded, &annotation.digits)?;
        Ok(!places.is_empty())
    })?;
    match places.values().min_by_key(|(position, _)| position) {
        Some((_, first)) => Err(Error::file(path, format!("does not hold {} of its {} images, among them {}", places.len(), annotations.len(), first.name))),
        None => cutter.finish(),
    }
}

/// The annotations of an archive.
fn annotations(path: &Path) -> Result<Vec<Annotation>> {
    let mut found = None;
    entries(path, |name, entry| {
        if name.file_name().is_none_or(|file| file != BOXES) {
            return Ok(true);
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken(path))?;
        found = Some(digit_struct::read(&path.join(name), bytes)?);
        Ok(false)
    })?;
    found.ok_or_else(|| Error::file(path, format!("holds no {BOXES}; it is none of SVHN's train.tar.gz, test.tar.gz, extra.tar.gz")))
}

/// Shows every entry until `visit` says that it has seen enough.
fn entries(path: &Path, mut visit: impl FnMut(&Path, &mut dyn Read) -> Result<bool>) -> Result<()> {
    let file = BufReader::with_capacity(1 << 20, File::open(path).map_err(Error::io("read", path))?);
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    for entry in archive.entries().map_err(broken(path))? {
        let mut entry = entry.map_err(broken(path))?;
        let name = PathBuf::from(entry.path().map_err(broken(path))?);
        if !visit(&name, &mut entry)? {
            break;
        }
    }
    Ok(())
}

/// An archive that ends too early or is none.
fn broken(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |e| {
        let length = std::fs::metadata(path).map_or(0, |data| data.len());
        let message = format!("cannot be read as .tar.gz ({e}); it has {length} bytes: it is cut off or something else; download it again");
        Error::file(path, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::sha256;
    use crate::kind::svhn::samples;

    const SMALL: Crop = Crop { size: 8, widen: 0.3 };

    fn folder_with(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    /// The archive's files below the folder `train`, without those that `keep` refuses.
    fn unpacked(keep: impl Fn(&str) -> bool) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("train")).unwrap();
        for (name, bytes) in samples::archive().into_iter().filter(|(name, _)| keep(name)) {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    /// An archive of these files.
    fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn error(path: &Path) -> String {
        read(path, SMALL).unwrap_err().to_string()
    }

    #[test]
    fn an_archive_is_read_with_its_boxes() {
        let (_folder, path) = folder_with("train.tar.gz", samples::ARCHIVE);
        let numbers = read(&path, SMALL).unwrap();
        assert_eq!((numbers.shape, numbers.too_long, numbers.pixels.len()), ([3, 8, 8], 1, 4 * 3 * 64));
        let classes: Vec<_> = numbers.sequences.iter().map(|sequence| sequence.classes()).collect();
        assert_eq!(classes, [[1, 9, 10, 10, 10], [2, 3, 7, 10, 10], [0, 10, 10, 10, 10], [8, 0, 5, 0, 4]]);
    }

    #[test]
    fn the_checksum_is_that_of_the_archive_or_of_the_files_of_a_folder() {
        let (_folder, path) = folder_with("train.tar.gz", samples::ARCHIVE);
        let unpacked = unpacked(|_| true);
        let sum_of = |path: &Path| {
            let mut sum = Checksum::default();
            add_to(&mut sum, path).unwrap();
            sum.finish()
        };
        assert_eq!(sum_of(&path), sha256(samples::ARCHIVE));
        let file = |name: &str| std::fs::read(unpacked.path().join("train").join(name)).unwrap();
        let files = ["digitStruct.mat", "1.png", "2.png", "3.png", "4.png", "5.png"].map(file).concat();
        assert_eq!(sum_of(&unpacked.path().join("train")), sha256(&files));
    }

    #[test]
    fn a_folder_gives_the_same_as_the_archive() {
        let (_folder, path) = folder_with("train.tar.gz", samples::ARCHIVE);
        let packed = read(&path, SMALL).unwrap();
        let folder = unpacked(|_| true);
        assert_eq!(read(&folder.path().join("train"), SMALL).unwrap(), packed);
    }

    #[test]
    fn the_order_is_that_of_the_annotations() {
        let mut files = samples::archive();
        files.reverse();
        let (_folder, path) = folder_with("train.tar.gz", &pack(&files));
        let (_other, first) = folder_with("train.tar.gz", samples::ARCHIVE);
        assert_eq!(read(&path, SMALL).unwrap(), read(&first, SMALL).unwrap());
    }

    #[test]
    fn a_missing_image_is_named() {
        let files: Vec<_> = samples::archive().into_iter().filter(|(name, _)| !name.ends_with("2.png") && !name.ends_with("5.png")).collect();
        let (_folder, path) = folder_with("train.tar.gz", &pack(&files));
        assert!(error(&path).ends_with("train.tar.gz: does not hold 2 of its 5 images, among them 2.png"), "{}", error(&path));
        let folder = unpacked(|name| !name.ends_with("4.png"));
        assert!(error(&folder.path().join("train")).starts_with("cannot read "), "{}", error(&folder.path().join("train")));
    }

    #[test]
    fn missing_boxes_are_named() {
        let files: Vec<_> = samples::archive().into_iter().filter(|(name, _)| name.ends_with(".png")).collect();
        let (_folder, path) = folder_with("train.tar.gz", &pack(&files));
        assert!(error(&path).contains("holds no digitStruct.mat"));
        let folder = unpacked(|name| name.ends_with(".png"));
        assert!(error(&folder.path().join("train")).contains("holds no digitStruct.mat"));
    }

    #[test]
    fn an_archive_is_cut_off_at_any_length() {
        for length in (0..samples::ARCHIVE.len() - 100).step_by(61) {
            let (_folder, path) = folder_with("train.tar.gz", &samples::ARCHIVE[..length]);
            let found = error(&path);
            assert!(found.contains(&format!("it has {length} bytes: it is cut off")), "{length}: {found}");
        }
    }

    #[test]
    fn an_image_that_is_cut_off_is_named_with_its_place() {
        let mut files = samples::archive();
        files[0].1.truncate(60);
        let (_folder, path) = folder_with("train.tar.gz", &pack(&files));
        assert!(error(&path).contains("train.tar.gz/train/1.png: cannot be read as PNG or JPEG"), "{}", error(&path));
    }
}
