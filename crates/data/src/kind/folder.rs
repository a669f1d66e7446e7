//! A folder for each class.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::{Loaded, Opened, Source, path_and_fraction, same_shape};
use crate::checksum::Checksum;
use crate::decode::Collector;
use crate::images::{Images, Pixels};
use crate::spec::Declared;
use crate::{Error, Provenance, Result, split};

/// What is read; other files are passed over.
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// `kind = "folder"`: `PATH/train/CLASS/*.png` and `PATH/test/CLASS/*.png`, or `PATH/CLASS/*.png`; .jpg and .jpeg too. Classes are in the order of their names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FolderSpec {
    /// The folder.
    pub path: PathBuf,
    /// The part of each class that is for testing, where there is no folder `test`.
    pub test: f64,
}

impl Default for FolderSpec {
    fn default() -> Self {
        Self { path: PathBuf::new(), test: 0.2 }
    }
}

impl Declared for FolderSpec {
    const NAME: &'static str = "folder";
    const SUMMARY: &'static str = "A folder of your own, with a folder of PNG or JPEG images for each class.";
}

impl Source for FolderSpec {
    fn faults(&self) -> Vec<Fault> {
        path_and_fraction(&self.path, self.test)
    }

    fn open(&self) -> Result<Opened> {
        Ok(self.load()?.shown())
    }
}

impl FolderSpec {
    /// Reads it whole.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let (train_dir, test_dir) = (self.path.join("train"), self.path.join("test"));
        let root = if train_dir.is_dir() { &train_dir } else { &self.path };
        let classes = subfolders(root)?;
        if classes.is_empty() {
            return Err(Error::file(root, "holds no folder; there must be one for each class, with its images in it"));
        }
        let mut sum = Checksum::default();
        let train = read(root, &classes, &mut sum)?;
        let (train, test) = if train_dir.is_dir() && test_dir.is_dir() {
            if let Some(strange) = subfolders(&test_dir)?.iter().find(|name| !classes.contains(name)) {
                return Err(Error::file(test_dir.join(strange), format!("is a class that {} does not have", root.display())));
            }
            let test = read(&test_dir, &classes, &mut sum)?;
            same_shape(&test_dir, &train, &test)?;
            (train, test)
        } else {
            split::images(root, &train, self.test)?
        };
        let provenance = Provenance { source: format!("folder {}", self.path.display()), sha256: sum.finish(), synthetic: false, licence: "unknown".into() };
        Ok(Loaded { train, test, class_names: classes, provenance })
    }
}

/// The names of the folders in a folder, sorted; hidden ones are passed over.
fn subfolders(dir: &Path) -> Result<Vec<String>> {
    let names = entries(dir)?.into_iter().filter(|path| path.is_dir());
    Ok(names.filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned())).filter(|name| !name.starts_with('.')).collect())
}

/// What is in a folder, sorted.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(dir).map_err(Error::io("list", dir))?;
    let mut paths = listed.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>().map_err(Error::io("list", dir))?;
    paths.sort();
    Ok(paths)
}

/// The images of each class's folder below `root`; a class without a folder there has none.
fn read(root: &Path, classes: &[String], sum: &mut Checksum) -> Result<Images> {
    let mut collector = Collector::default();
    let mut labels = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let dir = root.join(class);
        if !dir.is_dir() {
            continue;
        }
        let files: Vec<PathBuf> = entries(&dir)?.into_iter().filter(|path| is_image(path)).collect();
        if files.is_empty() {
            return Err(Error::file(&dir, format!("holds no image ({}); put some there or delete the folder", EXTENSIONS.join(", "))));
        }
        for file in files {
            let bytes = std::fs::read(&file).map_err(Error::io("read", &file))?;
            sum.add(class.as_bytes());
            sum.add(&bytes);
            collector.add(&file, &bytes)?;
            labels.push(label as u32);
        }
    }
    let (shape, pixels) = collector.finish().ok_or_else(|| Error::file(root, "holds no images"))?;
    Images::new(root, shape, Pixels::Bytes(pixels), labels)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    path.is_file() && !hidden && extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::{grey, png};
    use tempfile::{TempDir, tempdir};

    fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
        let dir = tempdir().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        dir
    }

    fn load(dir: &TempDir) -> Result<Loaded> {
        FolderSpec { path: dir.path().into(), test: 0.5 }.load()
    }

    fn error(dir: &TempDir) -> String {
        load(dir).err().unwrap().to_string()
    }

    #[test]
    fn train_and_test_folders_are_read() {
        let dir = folder(&[
            ("train/wren/1.png", grey(3, 2, 1)),
            ("train/owl/1.PNG", grey(3, 2, 2)),
            ("train/owl/notes.txt", vec![1]),
            ("test/wren/1.png", grey(3, 2, 3)),
        ]);
        let loaded = load(&dir).unwrap();
        assert_eq!(loaded.class_names, ["owl", "wren"]);
        assert_eq!((loaded.train.labels(), loaded.test.labels(), loaded.train.shape()), (&[0, 1][..], &[1][..], [1, 2, 3]));
    }

    #[test]
    fn one_folder_is_parted_by_class() {
        let jpeg = {
            let mut bytes = std::io::Cursor::new(Vec::new());
            image::RgbImage::from_pixel(4, 4, image::Rgb([200, 0, 0])).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
            bytes.into_inner()
        };
        let red = png(image::RgbImage::from_pixel(4, 4, image::Rgb([255, 0, 0])));
        let dir = folder(&[("a/1.jpg", jpeg.clone()), ("a/2.jpeg", jpeg), ("b/1.png", red.clone()), ("b/2.png", red)]);
        let loaded = load(&dir).unwrap();
        assert_eq!((loaded.train.labels(), loaded.test.labels(), loaded.train.shape()), (&[0, 1][..], &[0, 1][..], [3, 4, 4]));
    }

    #[test]
    fn no_image_is_for_training_and_for_testing() {
        let names: Vec<String> = (0..30).map(|i| format!("class{}/{i}.png", i % 4)).collect();
        let files: Vec<(&str, Vec<u8>)> = names.iter().zip(0..).map(|(name, value)| (name.as_str(), grey(2, 2, value))).collect();
        let dir = folder(&files);
        for test in [0.1, 0.2, 0.5, 0.9] {
            FolderSpec { path: dir.path().into(), test }.load().unwrap().assert_parted(30);
        }
    }

    #[test]
    fn one_class_is_enough() {
        let dir = folder(&[("a/1.png", grey(1, 1, 1)), ("a/2.png", grey(1, 1, 2))]);
        assert_eq!(load(&dir).unwrap().class_names, ["a"]);
    }

    #[test]
    fn folders_that_are_empty_or_missing_are_named() {
        assert!(error(&folder(&[])).contains("holds no folder"));
        let dir = folder(&[("a/readme.txt", vec![])]);
        assert!(error(&dir).contains("/a: holds no image (png, jpg, jpeg)"), "{}", error(&dir));
        let missing = FolderSpec { path: dir.path().join("nowhere"), test: 0.5 }.load().err().unwrap().to_string();
        assert!(missing.starts_with("cannot list") && missing.contains("nowhere"), "{missing}");
    }

    #[test]
    fn an_image_of_another_size_or_cut_off_is_named() {
        let dir = folder(&[("a/1.png", grey(3, 3, 1)), ("b/2.png", grey(3, 4, 1))]);
        assert!(error(&dir).contains("b/2.png: is 4 x 3"), "{}", error(&dir));
        let dir = folder(&[("a/1.png", grey(3, 3, 1)), ("a/2.png", grey(3, 3, 1)[..40].to_vec())]);
        assert!(error(&dir).contains("a/2.png: cannot be read as PNG or JPEG"), "{}", error(&dir));
    }

    #[test]
    fn a_test_class_that_is_not_trained_is_an_error() {
        let dir = folder(&[("train/a/1.png", grey(1, 1, 1)), ("test/b/1.png", grey(1, 1, 1))]);
        assert!(error(&dir).contains("test/b: is a class that"), "{}", error(&dir));
    }
}
