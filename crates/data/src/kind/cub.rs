//! CUB-200-2011: photographs of 200 species of birds (Wah et al., *The Caltech-UCSD Birds-200-2011 Dataset*, 2011).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use image::imageops::FilterType;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::{Loaded, Opened, Source};
use crate::checksum::Checksum;
use crate::pictures::Pictures;
use crate::spec::Declared;
use crate::{Error, Provenance, Result, decode, split};

/// The species of the published data set.
const SPECIES: usize = 200;

/// The largest side of an image.
const LONGEST: usize = 2048;

/// A part whose scaled images take no more bytes than this keeps them in memory once they have been seen.
const KEPT_BYTES: usize = 1 << 29;

/// `kind = "cub"`: a folder as CUB-200-2011 unpacks, with `images.txt`, `image_class_labels.txt`, `train_test_split.txt`, `classes.txt` and `images/CLASS/NAME.jpg`.
///
/// An image is scaled so that its shorter side is `size`, with a filter that takes in every pixel, and cut to a square: from the middle for testing, as usual for networks of the Inception
/// family; for training at a place drawn anew at every visit, and mirrored at every second one. Images are read as they are needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CubSpec {
    /// The folder: `CUB_200_2011` of the published archive.
    pub dir: PathBuf,
    /// The side of the square images in pixels; the paper's are 224 and 448.
    pub size: usize,
    /// Only so many classes, the first of `classes.txt`.
    pub classes: usize,
    /// Whether training images are cut at random places and mirrored at random.
    pub augment: bool,
    /// Which number of `train_test_split.txt` marks images for training: 1 as published; 0 for a folder that has it the other way round.
    pub train_flag: u8,
}

impl Default for CubSpec {
    fn default() -> Self {
        Self { dir: PathBuf::new(), size: 224, classes: SPECIES, augment: true, train_flag: 1 }
    }
}

impl Declared for CubSpec {
    const NAME: &'static str = "cub";
    const SUMMARY: &'static str = "Caltech-UCSD Birds-200-2011: photographs of 200 species of birds, from its folder; for non-commercial research.";
}

impl Source for CubSpec {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !(1..=LONGEST).contains(&self.size) {
            faults.push(Fault::at(["size"], format!("must be from 1 to {LONGEST} pixels; it is {}", self.size)));
        }
        if self.classes == 0 {
            faults.push(Fault::at(["classes"], "must be at least 1").help("leave the key out for all 200 classes"));
        }
        if self.train_flag > 1 {
            faults.push(Fault::at(["train_flag"], format!("must be 0 or 1; it is {}", self.train_flag)));
        }
        faults
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        Some((vec![3, self.size, self.size], self.classes))
    }

    fn open(&self) -> Result<Opened> {
        if !self.dir.join("images.txt").is_file() {
            return Err(self.not_found());
        }
        let mut sum = Checksum::default();
        let class_names = self.class_names(&mut sum)?;
        let [mut train, mut test] = [Vec::new(), Vec::new()];
        for (photograph, for_training) in self.photographs(&class_names, &mut sum)? {
            sum.add_file(&photograph.path)?;
            if for_training { train.push(photograph) } else { test.push(photograph) }
        }
        if train.is_empty() || test.is_empty() {
            let message = format!("marks {} images for training and {} for testing; there must be some of both", train.len(), test.len());
            return Err(Error::file(self.dir.join("train_test_split.txt"), message));
        }
        let source = format!("CUB-200-2011, {} classes, {} + {} images", class_names.len(), train.len(), test.len());
        let provenance = Provenance { source, sha256: sum.finish(), synthetic: false, licence: "non-commercial research".into() };
        let part = |photographs, augment| Box::new(Photographs::new(photographs, self.size, augment)) as Box<dyn Pictures>;
        let class_names = class_names.into_values().map(|(name, _)| name).collect();
        Ok(Loaded { train: part(train, self.augment), test: part(test, false), class_names, provenance })
    }
}

impl CubSpec {
    fn not_found(&self) -> Error {
        let tried = if self.dir.as_os_str().is_empty() { "no folder was given".to_owned() } else { format!("{} holds no images.txt", self.dir.display()) };
        let advice = "Unpack CUB_200_2011.tgz (1.1 GB, for non-commercial research, from https://data.caltech.edu/records/65de6-vp158) and give its folder: \
            dataset.dir=CUB_200_2011. A folder of fewer classes says so with dataset.classes=100.";
        Error::NotFound { name: "CUB-200-2011".into(), tried: vec![tried], advice: advice.into() }
    }

    /// The first classes: by id, the name and the number from 0.
    fn class_names(&self, sum: &mut Checksum) -> Result<BTreeMap<u64, (String, u32)>> {
        let list = List::read(&self.dir, "classes.txt", sum)?;
        let found = list.entries::<String>()?;
        if found.len() < self.classes {
            return Err(Error::file(list.path, format!("names {} classes, not {}; set classes = {}", found.len(), self.classes, found.len())));
        }
        // "001.Black_footed_Albatross"
        let name = |name: String| name.split_once('.').map_or(name.as_str(), |(_, name)| name).replace('_', " ");
        Ok(found.into_iter().take(self.classes).zip(0..).map(|((id, text), number)| (id, (name(text), number))).collect())
    }

    /// The images of these classes in the order of their ids, each with whether it is for training.
    fn photographs(&self, classes: &BTreeMap<u64, (String, u32)>, sum: &mut Checksum) -> Result<Vec<(Photograph, bool)>> {
        let [images, labels, split] = ["images.txt", "image_class_labels.txt", "train_test_split.txt"].map(|name| List::read(&self.dir, name, sum));
        let (images, labels, split) = (images?, labels?, split?);
        let (mut class_of, mut flag_of) = (labels.entries::<u64>()?, split.entries::<u8>()?);
        let mut photographs = Vec::new();
        for (id, file) in images.entries::<String>()? {
            let missing = |list: &List| Error::file(&list.path, format!("has no line for image {id}, {file}"));
            let class = class_of.remove(&id).ok_or_else(|| missing(&labels))?;
            let flag = flag_of.remove(&id).ok_or_else(|| missing(&split))?;
            if let Some((_, label)) = classes.get(&class) {
                photographs.push((Photograph { path: self.dir.join("images").join(&file), label: *label }, flag == self.train_flag));
            }
        }
        Ok(photographs)
    }
}

/// One of the lists: an id and something on each line, parted by a space or a comma.
struct List {
    path: PathBuf,
    text: String,
}

impl List {
    fn read(dir: &Path, name: &str, sum: &mut Checksum) -> Result<Self> {
        let path = dir.join(name);
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        sum.add(&bytes);
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path, text }),
            Err(_) => Err(Error::file(path, "is no text; put the published file there again")),
        }
    }

    /// What stands on the lines, by id.
    fn entries<T: FromStr>(&self) -> Result<BTreeMap<u64, T>> {
        let mut entries = BTreeMap::new();
        for (number, line) in self.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let parts = line.trim().split_once([' ', ',', '\t']);
            let entry = parts.and_then(|(id, rest)| Some((id.parse::<u64>().ok()?, rest.trim().parse::<T>().ok()?)));
            let Some((id, value)) = entry else {
                return Err(Error::file(&self.path, format!("line {}: expected an id and a value, found \"{}\"", number + 1, line.trim())));
            };
            if entries.insert(id, value).is_some() {
                return Err(Error::file(&self.path, format!("line {}: the id {id} stands there twice", number + 1)));
            }
        }
        Ok(entries)
    }
}

/// An image's file and class.
#[derive(Debug, Clone)]
struct Photograph {
    path: PathBuf,
    label: u32,
}

/// One part, read image by image.
#[derive(Debug)]
struct Photographs {
    photographs: Vec<Photograph>,
    shape: [usize; 3],
    augment: bool,
    /// Images that were read; none where they would take too much memory.
    kept: Vec<OnceLock<Scaled>>,
}

/// An image whose shorter side has the size asked for, pixel after pixel in red, green and blue.
#[derive(Debug)]
struct Scaled {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Photographs {
    fn new(photographs: Vec<Photograph>, size: usize, augment: bool) -> Self {
        // Photographs are up to about half as long again as they are wide.
        let bytes = photographs.len().saturating_mul(3 * size * size * 3 / 2);
        let kept = if bytes <= KEPT_BYTES { photographs.iter().map(|_| OnceLock::new()).collect() } else { Vec::new() };
        Self { photographs, shape: [3, size, size], augment, kept }
    }

    /// Writes the square whose corner is at (left, top).
    fn cut(&self, image: &Scaled, [left, top]: [usize; 2], mirrored: bool, values: &mut [f32]) {
        let size = self.shape[1];
        for (channel, plane) in values.chunks_exact_mut(size * size).enumerate() {
            for (y, row) in plane.chunks_exact_mut(size).enumerate() {
                let pixels = &image.pixels[((top + y) * image.width + left) * 3..][..size * 3];
                let value = |pixel: &[u8]| f32::from(pixel[channel]) / 255.0;
                if mirrored {
                    row.iter_mut().zip(pixels.rchunks_exact(3)).for_each(|(target, pixel)| *target = value(pixel));
                } else {
                    row.iter_mut().zip(pixels.chunks_exact(3)).for_each(|(target, pixel)| *target = value(pixel));
                }
            }
        }
    }
}

/// Reads an image and scales it.
fn scaled(path: &Path, size: usize) -> Result<Scaled> {
    let encoded = std::fs::read(path).map_err(Error::io("read", path))?;
    let image = decode::image(path, &encoded)?;
    let (width, height) = (image.width().max(1), image.height().max(1));
    let shorter = f64::from(width.min(height));
    let side = |length: u32| ((f64::from(length) * size as f64 / shorter).round() as u32).max(size as u32);
    let (wide, high) = (side(width), side(height));
    if u64::from(wide) * u64::from(high) > (LONGEST * LONGEST * 16) as u64 {
        return Err(Error::file(path, format!("is {height} x {width} pixels, which is too long to be cut to a square")));
    }
    let image = if (wide, high) == (width, height) { image } else { image.resize_exact(wide, high, FilterType::Triangle) };
    Ok(Scaled { width: wide as usize, height: high as usize, pixels: image.to_rgb8().into_raw() })
}

impl Pictures for Photographs {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn len(&self) -> usize {
        self.photographs.len()
    }

    fn draw(&self, index: usize, random: &mut ChaCha8Rng, values: &mut [f32], labels: &mut [u32]) -> Result<()> {
        let missing = || Error::Unsupported(format!("there is no image {index}: this part has {}", self.photographs.len()));
        let Photograph { path, label } = self.photographs.get(index).ok_or_else(missing)?;
        labels.fill(*label);
        let place = self.kept.get(index);
        let new = match place.and_then(OnceLock::get) {
            Some(_) => None,
            None => Some(scaled(path, self.shape[1])?),
        };
        let new = match (place, new) {
            (Some(place), Some(new)) => place.set(new).err(),
            (_, new) => new,
        };
        let Some(image) = place.and_then(OnceLock::get).or(new.as_ref()) else { return Err(missing()) };
        let slack = [image.width - self.shape[2], image.height - self.shape[1]];
        let (corner, mirrored) =
            if self.augment { (slack.map(|slack| random.random_range(0..=slack)), random.random_bool(0.5)) } else { (slack.map(|slack| slack / 2), false) };
        self.cut(image, corner, mirrored, values);
        Ok(())
    }

    fn limited(mut self: Box<Self>, count: usize) -> Box<dyn Pictures> {
        if count < self.photographs.len() {
            let chosen = split::chosen(self.photographs.len(), count);
            self.photographs = chosen.into_iter().filter_map(|index| self.photographs.get(index).cloned()).collect();
            return Box::new(Self::new(self.photographs, self.shape[1], self.augment));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, Rgb, RgbImage};
    use stn_core::stream::stream;

    use super::*;

    /// An image whose left half is of one colour and whose right half is of another.
    fn photograph(path: &Path, (width, height): (u32, u32), halves: [[u8; 3]; 2]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_fn(width, height, |x, _| Rgb(halves[usize::from(x >= width / 2)])).save_with_format(path, ImageFormat::Jpeg).unwrap();
    }

    const RED: [u8; 3] = [220, 20, 20];
    const BLUE: [u8; 3] = [20, 20, 220];

    /// Three classes with two images each; `published` as the published folder writes its lists, else with commas, ids from 0 and the flag the other way round.
    fn folder(published: bool) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let (first, comma) = if published { (1, "") } else { (0, ",") };
        let [mut classes, mut images, mut labels, mut split] = [const { String::new() }; 4];
        for (class, name) in ["Black_footed_Albatross", "Laysan_Albatross", "Sooty_Albatross"].iter().enumerate() {
            let folder = if published { format!("{:03}.{name}", class + 1) } else { (*name).to_owned() };
            classes += &format!("{}{comma} {folder}\n", class + first);
            for i in 0..2 {
                let (id, file) = (2 * class + i + first, format!("{folder}/{i:04}.jpg"));
                images += &format!("{id}{comma} {file}\n");
                labels += &format!("{id}{comma} {}\n", class + first);
                split += &format!("{id}{comma} {}\n", usize::from((i == 0) == published));
                photograph(&dir.path().join("images").join(file), (48, 24), [RED, BLUE]);
            }
        }
        for (name, text) in [("classes.txt", classes), ("images.txt", images), ("image_class_labels.txt", labels), ("train_test_split.txt", split)] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn spec(dir: &Path) -> CubSpec {
        CubSpec { dir: dir.to_owned(), size: 12, classes: 3, ..CubSpec::default() }
    }

    fn draw(pictures: &dyn Pictures, index: usize, key: u64) -> (Vec<f32>, u32) {
        let (mut values, mut labels) = (vec![9.0; pictures.size()], [99]);
        pictures.draw(index, &mut stream(0, "test", key), &mut values, &mut labels).unwrap();
        (values, labels[0])
    }

    fn message(spec: &CubSpec) -> String {
        spec.open().map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn both_ways_to_write_the_lists_give_the_same() {
        for published in [true, false] {
            let dir = folder(published);
            let opened = CubSpec { train_flag: u8::from(published), ..spec(dir.path()) }.open().unwrap();
            assert_eq!(opened.class_names, ["Black footed Albatross", "Laysan Albatross", "Sooty Albatross"]);
            assert_eq!((opened.train.len(), opened.test.len(), opened.train.shape()), (3, 3, &[3, 12, 12][..]));
            for part in [&opened.train, &opened.test] {
                let labels: Vec<u32> = (0..3).map(|index| draw(part.as_ref(), index, 0).1).collect();
                assert_eq!(labels, [0, 1, 2]);
            }
            assert_eq!(opened.provenance.source, "CUB-200-2011, 3 classes, 3 + 3 images");
        }
    }

    #[test]
    fn the_first_classes_alone_can_be_asked_for() {
        let dir = folder(true);
        let opened = CubSpec { classes: 2, ..spec(dir.path()) }.open().unwrap();
        assert_eq!((opened.train.len(), opened.test.len(), opened.class_names.len()), (2, 2, 2));
        assert_eq!(spec(dir.path()).hint(), Some((vec![3, 12, 12], 3)));
    }

    /// Where the red of a drawn image goes over into blue: the number of red columns of its first row.
    fn red_columns(values: &[f32]) -> usize {
        (0..12).filter(|x| values[*x] > values[2 * 144 + x]).count()
    }

    #[test]
    fn test_images_are_cut_from_the_middle_and_are_the_same_at_every_visit() {
        let dir = folder(true);
        let opened = spec(dir.path()).open().unwrap();
        let (values, _) = draw(opened.test.as_ref(), 1, 0);
        assert_eq!(red_columns(&values), 6);
        // JPEG loses a little.
        assert!((values[0] - 220.0 / 255.0).abs() < 0.05 && (values[144] - 20.0 / 255.0).abs() < 0.05, "{values:?}");
        assert_eq!(draw(opened.test.as_ref(), 1, 5).0, values);
        let plain = CubSpec { augment: false, ..spec(dir.path()) }.open().unwrap();
        assert_eq!(draw(plain.train.as_ref(), 0, 1).0, draw(plain.train.as_ref(), 0, 2).0);
    }

    #[test]
    fn training_images_are_cut_at_random_places_and_mirrored_by_the_visit_alone() {
        let dir = folder(true);
        let opened = spec(dir.path()).open().unwrap();
        let drawn: Vec<Vec<f32>> = (0..40).map(|key| draw(opened.train.as_ref(), 0, key).0).collect();
        let mirrored = drawn.iter().filter(|values| values[0] < values[2 * 144]).count();
        assert!((5..35).contains(&mirrored), "{mirrored}");
        let columns: std::collections::BTreeSet<usize> = drawn.iter().map(|values| red_columns(values)).collect();
        assert!(columns.len() > 5, "{columns:?}");
        let again = spec(dir.path()).open().unwrap();
        assert_eq!(draw(again.train.as_ref(), 0, 7).0, drawn[7]);
    }

    #[test]
    fn a_part_too_large_for_memory_is_read_at_every_visit_with_the_same_values() {
        let dir = folder(true);
        let path = dir.path().join("images/001.Black_footed_Albatross/0000.jpg");
        let mut part = Photographs::new(vec![Photograph { path: path.clone(), label: 4 }], 12, false);
        let kept = draw(&part, 0, 0);
        std::fs::rename(&path, path.with_extension("gone")).unwrap();
        assert_eq!(draw(&part, 0, 0), kept);
        std::fs::rename(path.with_extension("gone"), &path).unwrap();
        part.kept.clear();
        assert_eq!(draw(&part, 0, 0), kept);
        assert!(Photographs::new(vec![Photograph { path, label: 0 }; 6000], 448, true).kept.is_empty());
    }

    #[test]
    fn limits_choose_images_with_their_labels() {
        let dir = folder(true);
        let limited = spec(dir.path()).open().unwrap().test.limited(2);
        assert_eq!(limited.len(), 2);
        assert!(draw(limited.as_ref(), 0, 0).1 < draw(limited.as_ref(), 1, 0).1);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let dir = folder(true);
        let said = message(&CubSpec::default());
        assert!(said.contains("no folder was given") && said.contains("dataset.dir=CUB_200_2011"), "{said}");
        assert!(message(&CubSpec { classes: 200, ..spec(dir.path()) }).contains("classes.txt: names 3 classes, not 200; set classes = 3"));
        let lists = dir.path().join("image_class_labels.txt");
        let whole = std::fs::read_to_string(&lists).unwrap();
        std::fs::write(&lists, whole.replace("2 1\n", "")).unwrap();
        assert!(message(&spec(dir.path())).contains("has no line for image 2, 001.Black_footed_Albatross/0001.jpg"));
        std::fs::write(&lists, whole.replace("2 1\n", "2 one\n")).unwrap();
        assert!(message(&spec(dir.path())).contains("line 2: expected an id and a value, found \"2 one\""));
        std::fs::write(&lists, whole).unwrap();
        std::fs::write(dir.path().join("images/001.Black_footed_Albatross/0000.jpg"), "no image").unwrap();
        let opened = spec(dir.path()).open().unwrap();
        let error = opened.train.draw(0, &mut stream(0, "test", 0), &mut [0.0; 432], &mut [0]).unwrap_err().to_string();
        assert!(error.contains("0000.jpg: cannot be read as PNG or JPEG"), "{error}");
        std::fs::remove_file(dir.path().join("images/001.Black_footed_Albatross/0000.jpg")).unwrap();
        assert!(message(&spec(dir.path())).starts_with("cannot read "));
    }
}
