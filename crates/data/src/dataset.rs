//! A data set that is open: images in memory, distorted batch by batch.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use stn_core::Registry;
use stn_core::stream::stream;

use crate::distortion::{Distortion, Draw};
use crate::pictures::Pictures;
use crate::split::FIXED_SEED;
use crate::{DatasetSpec, DistortionSpec, Error, Result};

/// Which images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Those to train on.
    Train,
    /// Those to measure the error on.
    Test,
}

/// Where data came from: what every row of results says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// In words: "MNIST, embedded sample of 8,000 + 2,000".
    pub source: String,
    /// SHA-256 of the data as it was read, before any limit: of the files' contents one after another, unpacked where they were gzipped.
    pub sha256: String,
    /// Whether the images were made up rather than contents.
    pub synthetic: bool,
    /// The data's licence, "unknown" for the user's own.
    pub licence: String,
}

/// A batch of images with their labels.
#[derive(Debug, Clone)]
pub struct Batch {
    /// N x C x H x W, f32 from 0 to 1, on the CPU.
    pub images: Tensor,
    /// N x H class numbers, u32: the H [labels](Dataset::heads) of every image.
    pub labels: Tensor,
    /// Which images of their part these are.
    pub indices: Vec<usize>,
    /// Where what the labels name stands in every image: left, top, right and bottom in normalised coordinates, -1 to 1 from edge to edge. `None` where that is not known,
    /// or a distortion has moved it.
    pub places: Option<Vec<[f64; 4]>>,
}

/// Both parts before any distortion, with their limits kept: what data sets that differ in their distortion alone have in common.
#[derive(Debug)]
struct Contents {
    train: Box<dyn Pictures>,
    test: Box<dyn Pictures>,
    class_names: Vec<String>,
    provenance: Provenance,
}

/// What is in memory now, by its spec without a distortion.
static CONTENTS: Mutex<Vec<(DatasetSpec, Weak<Contents>)>> = Mutex::new(Vec::new());

impl Contents {
    /// From memory where another data set holds it, else loaded. Loading waits for loading, so that the same is not loaded twice.
    fn shared(spec: &DatasetSpec) -> Result<Arc<Self>> {
        let key = DatasetSpec { distortion: DistortionSpec::None, ..spec.clone() };
        let mut all = CONTENTS.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, contents)| contents.strong_count() > 0);
        if let Some(contents) = all.iter().find(|(known, _)| *known == key).and_then(|(_, contents)| contents.upgrade()) {
            return Ok(contents);
        }
        let contents = Arc::new(Self::load(spec)?);
        all.push((key, Arc::downgrade(&contents)));
        Ok(contents)
    }

    fn load(spec: &DatasetSpec) -> Result<Self> {
        let loaded = spec.open()?;
        let limited = |pictures: Box<dyn Pictures>, limit: Option<usize>| if let Some(limit) = limit { pictures.limited(limit) } else { pictures };
        let (train, test) = (limited(loaded.train, spec.train_limit), limited(loaded.test, spec.test_limit));
        tracing::info!(source = loaded.provenance.source, train = train.len(), test = test.len(), "loaded data set");
        Ok(Self { train, test, class_names: loaded.class_names, provenance: loaded.provenance })
    }
}

/// A data set in memory with its distortion.
#[derive(Debug)]
pub struct Dataset {
    contents: Arc<Contents>,
    /// Of an image, after the distortion.
    shape: Vec<usize>,
    distortion: Distortion,
}

impl Dataset {
    /// Loads a data set, fetching it where that is what the spec says. As long as another is open whose spec differs in the distortion alone, both share their
    /// images, as they were read for the first.
    ///
    /// # Errors
    ///
    /// Where a file is missing, damaged or not what it should be; where a part is empty; where the distortion does not fit the images.
    pub fn open(spec: &DatasetSpec, registry: &Registry) -> Result<Arc<Self>> {
        let contents = Contents::shared(spec)?;
        let distortion = spec.distortion.prepare(contents.train.shape(), registry)?;
        Ok(Arc::new(Self::new(contents, &spec.distortion, distortion)))
    }

    fn new(contents: Arc<Contents>, spec: &DistortionSpec, distortion: Distortion) -> Self {
        let mut shape = spec.shape(contents.train.shape());
        if let Some(channels) = shape.first_mut() {
            *channels *= contents.train.pictures();
        }
        Self { contents, shape, distortion }
    }

    /// The shape of the images after the distortion: C H W, or C D H W of volumes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many pictures an image is made of, their channels one after another's.
    pub fn pictures(&self) -> usize {
        self.contents.train.pictures()
    }

    /// Whether batches say where the things are that labels name.
    pub fn has_places(&self) -> bool {
        self.distortion.is_none() && self.contents.train.place(0).is_some() && self.contents.test.place(0).is_some()
    }

    /// The number of classes that a label may name.
    pub fn classes(&self) -> usize {
        self.contents.class_names.len()
    }

    /// The labels of an image: one, or several such as the digits of a house number.
    pub fn heads(&self) -> usize {
        self.contents.train.heads()
    }

    /// The numbers that a network gives for an image: one for each class of each label.
    pub fn outputs(&self) -> usize {
        self.heads() * self.classes()
    }

    /// The name of each class.
    pub fn class_names(&self) -> &[String] {
        &self.contents.class_names
    }

    /// The number of images of a part; never 0.
    pub fn len(&self, part: Part) -> usize {
        self.part(part).len()
    }

    /// Where the data came from.
    pub fn provenance(&self) -> &Provenance {
        &self.contents.provenance
    }

    /// The images at `indices` of a part, distorted.
    ///
    /// A training image's distortion is a pure function of (seed, epoch, index). A test image's is one and the same for every seed and epoch.
    ///
    /// # Errors
    ///
    /// Where there is no index, or one that is not there.
    pub fn batch(&self, part: Part, indices: &[usize], seed: u64, epoch: u64) -> Result<Batch> {
        let visits: Vec<(usize, u64)> = indices.iter().map(|&index| (index, epoch)).collect();
        self.prepare(part, &visits, seed)
    }

    /// [`batch`](Self::batch), with an epoch for each index.
    pub(crate) fn prepare(&self, part: Part, visits: &[(usize, u64)], seed: u64) -> Result<Batch> {
        if visits.is_empty() {
            return Err(Error::Unsupported("a batch needs at least one image".into()));
        }
        let (pictures, seen) = (self.part(part), self.pictures());
        let (size, heads) = (seen * pictures.size(), pictures.heads());
        let (mut values, mut labels) = (vec![0.0; visits.len() * size], vec![0; visits.len() * heads]);
        let slots = values.chunks_exact_mut(size).zip(labels.chunks_exact_mut(heads));
        for (&(index, epoch), (values, labels)) in visits.iter().zip(slots) {
            if index >= pictures.len() {
                return Err(Error::Unsupported(format!("there is no image {index}: this part has {}", pictures.len())));
            }
            pictures.draw(index, &mut visit("picture", part, seed, epoch, index), values, labels)?;
        }
        let draws = visits
            .iter()
            .flat_map(|&(index, epoch)| (0..seen).map(move |picture| Draw { index, random: visit(&distortion_of(picture), part, seed, epoch, index) }));
        let input = Tensor::from_vec(values, [&[visits.len() * seen], pictures.shape()].concat(), &Device::Cpu)?;
        let images = self.distortion.apply(pictures, input, draws.collect())?.reshape([&[visits.len()], self.shape.as_slice()].concat())?;
        let labels = Tensor::from_vec(labels, (visits.len(), heads), &Device::Cpu)?;
        let indices: Vec<usize> = visits.iter().map(|&(index, _)| index).collect();
        let places = indices.iter().map(|&index| pictures.place(index)).collect::<Option<Vec<_>>>().filter(|_| self.distortion.is_none());
        Ok(Batch { images, labels, indices, places })
    }

    /// The whole test part in order, `batch` images at a time; the last batch may be smaller. A `batch` of 0 counts as 1.
    pub fn test_batches(&self, batch: usize) -> TestBatches<'_> {
        TestBatches { dataset: self, next: 0, batch: batch.max(1) }
    }

    fn part(&self, part: Part) -> &dyn Pictures {
        match part {
            Part::Train => self.contents.train.as_ref(),
            Part::Test => self.contents.test.as_ref(),
        }
    }

    /// Two images of 4 x 4 whose distortion panics.
    #[cfg(test)]
    pub(crate) fn panicking(registry: &Registry) -> Arc<Self> {
        let sound = Self::for_test([1, 4, 4], vec![0; 32], vec![0, 1], &DistortionSpec::None, registry);
        Arc::new(Self::new(sound.contents.clone(), &DistortionSpec::None, Distortion::panicking([4, 4], registry)))
    }

    #[cfg(test)]
    pub(crate) fn for_test(shape: [usize; 3], train: Vec<u8>, labels: Vec<u32>, spec: &DistortionSpec, registry: &Registry) -> Arc<Self> {
        let images = crate::images::Images::new(std::path::Path::new("test"), shape, crate::images::Pixels::Bytes(train), labels).unwrap();
        let distortion = spec.prepare(&shape, registry).unwrap();
        let provenance = Provenance { source: "test".into(), sha256: String::new(), synthetic: true, licence: "none".into() };
        let class_names = (0..=images.labels().iter().max().copied().unwrap_or(0)).map(|c| c.to_string()).collect();
        let contents = Arc::new(Contents { train: Box::new(images.clone()), test: Box::new(images), class_names, provenance });
        Arc::new(Self::new(contents, spec, distortion))
    }
}

/// The stream of a visit of an image; a test image is the same at every visit.
fn visit(purpose: &str, part: Part, seed: u64, epoch: u64, index: usize) -> ChaCha8Rng {
    match part {
        Part::Train => stream(seed, purpose, epoch << 32 | index as u64),
        Part::Test => stream(FIXED_SEED, &format!("test {purpose}"), index as u64),
    }
}

/// The purpose of the stream that distorts a picture of an image.
fn distortion_of(picture: usize) -> Cow<'static, str> {
    if picture == 0 { "distortion".into() } else { format!("distortion of picture {picture}").into() }
}

/// The batches of the test part; see [`Dataset::test_batches`].
#[derive(Debug)]
pub struct TestBatches<'a> {
    dataset: &'a Dataset,
    next: usize,
    batch: usize,
}

impl Iterator for TestBatches<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.next.saturating_add(self.batch).min(self.dataset.len(Part::Test));
        let indices: Vec<usize> = (self.next..end).collect();
        self.next = end;
        (!indices.is_empty()).then(|| self.dataset.batch(Part::Test, &indices, FIXED_SEED, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, NpzSpec, ParquetSpec};

    #[test]
    fn data_sets_that_differ_in_their_distortion_share_their_images() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        crate::kind::parquet::tests::write(&path, &[(10, 0), (20, 0), (30, 1), (40, 1)], false);
        let registry = stn_plugins::standard().unwrap();
        let kind = Kind::Parquet(ParquetSpec { path, test: 0.5, ..ParquetSpec::default() });
        let plain = DatasetSpec { kind, distortion: DistortionSpec::None, train_limit: None, test_limit: None };
        let first = Dataset::open(&plain, &registry).unwrap();
        let rotated = Dataset::open(&DatasetSpec { distortion: DistortionSpec::R(Default::default()), ..plain.clone() }, &registry).unwrap();
        assert!(Arc::ptr_eq(&first.contents, &rotated.contents));
        let limited = Dataset::open(&DatasetSpec { train_limit: Some(1), ..plain.clone() }, &registry).unwrap();
        assert!(!Arc::ptr_eq(&first.contents, &limited.contents) && limited.len(Part::Train) == 1);
        let before = Arc::downgrade(&first.contents);
        drop((first, rotated));
        assert!(before.upgrade().is_none(), "nothing is kept that nobody uses");
        assert!(Dataset::open(&plain, &registry).is_ok());
    }

    #[test]
    fn each_picture_of_an_image_is_distorted_on_its_own() {
        let spec =
            DatasetSpec::from_value(&toml::Value::Table("kind = \"mnist_addition\"\nsource = \"embedded\"\ndistortion = \"RTS\"".parse().unwrap())).unwrap();
        let dataset = Dataset::open(&spec, &stn_plugins::standard().unwrap()).unwrap();
        assert_eq!((dataset.shape(), dataset.pictures(), dataset.outputs()), (&[2, 42, 42][..], 2, 19));
        assert_eq!(Some((dataset.shape().to_vec(), 19)), spec.shape_hint());
        let centre = |picture: &[f32]| {
            let (sum, weighted) = picture.iter().enumerate().fold((0.0, 0.0), |(sum, weighted), (i, value)| (sum + value, weighted + value * (i % 42) as f32));
            weighted / sum
        };
        let values = dataset.batch(Part::Train, &[0, 1, 2, 3, 4, 5, 6, 7], 0, 0).unwrap().images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let apart = values.chunks_exact(2 * 42 * 42).filter(|image| (centre(&image[..42 * 42]) - centre(&image[42 * 42..])).abs() > 2.0).count();
        assert!(apart >= 4, "{apart} of 8 images have their digits at places of their own");
    }

    #[test]
    fn what_could_not_be_loaded_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let kind = Kind::Npz(NpzSpec { path: dir.path().join("missing.npz"), test: 0.5 });
        let spec = DatasetSpec { kind, distortion: DistortionSpec::None, train_limit: None, test_limit: None };
        let registry = stn_plugins::standard().unwrap();
        for _ in 0..2 {
            assert!(Dataset::open(&spec, &registry).unwrap_err().to_string().starts_with("cannot read"));
        }
    }
}
