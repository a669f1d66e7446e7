//! Labelled images in memory.

use rand_chacha::ChaCha8Rng;

use crate::pictures::Pictures;
use crate::{Error, Result, split};

/// The most channels an image may have: grey, colour, colour with alpha.
pub(crate) const MOST_CHANNELS: usize = 4;

/// Pixel values, image after image, channel after channel, row after row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pixels {
    /// 0 to 255, read as 0 to 1.
    Bytes(Vec<u8>),
    /// 0 to 1.
    Floats(Vec<f32>),
}

impl Pixels {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(floats) => floats.len(),
        }
    }
}

/// Images of one size with their labels, as many for each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Images {
    /// C, H, W.
    shape: [usize; 3],
    pixels: Pixels,
    /// Image after image.
    labels: Vec<u32>,
    /// The labels of an image.
    heads: usize,
}

impl Images {
    /// Images of shape C H W with a label each; `origin` names the file in errors.
    pub(crate) fn new(origin: &std::path::Path, shape: [usize; 3], pixels: Pixels, labels: Vec<u32>) -> Result<Self> {
        Self::with_heads(origin, shape, pixels, labels, 1)
    }

    /// Images of shape C H W with `heads` labels each, image after image; `origin` names the file in errors.
    pub(crate) fn with_heads(origin: &std::path::Path, shape: [usize; 3], pixels: Pixels, labels: Vec<u32>, heads: usize) -> Result<Self> {
        let size = shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)).unwrap_or(0);
        if size == 0 {
            return Err(Error::file(origin, format!("images of {shape:?} (channels, height, width) have no pixels")));
        }
        if shape[0] > MOST_CHANNELS {
            return Err(Error::file(origin, format!("images have {} channels; at most {MOST_CHANNELS} are read", shape[0])));
        }
        if labels.is_empty() {
            return Err(Error::file(origin, "holds no images"));
        }
        if !pixels.len().is_multiple_of(size) || (pixels.len() / size).checked_mul(heads) != Some(labels.len()) {
            let (found, each) = (pixels.len() / size, if heads == 1 { "one label".into() } else { format!("{heads} labels") });
            return Err(Error::file(origin, format!("{found} images but {} labels; there must be {each} for each image", labels.len())));
        }
        Ok(Self { shape, pixels, labels, heads })
    }

    /// C, H, W.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len() / self.heads
    }

    /// The values of one image.
    pub(crate) fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// All labels, image after image.
    pub(crate) fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The labels of image `index`.
    pub(crate) fn labels_of(&self, index: usize) -> Option<&[u32]> {
        self.labels.chunks_exact(self.heads).nth(index)
    }

    /// Writes image `index` into `out`, which is [`size`](Self::size) long.
    pub(crate) fn read(&self, index: usize, out: &mut [f32]) -> Result<()> {
        let range = index * self.size()..(index + 1) * self.size();
        let missing = || Error::Unsupported(format!("there is no image {index}: this part has {}", self.len()));
        match &self.pixels {
            Pixels::Bytes(bytes) => {
                for (value, byte) in out.iter_mut().zip(bytes.get(range).ok_or_else(missing)?) {
                    *value = f32::from(*byte) / 255.0;
                }
            }
            Pixels::Floats(floats) => out.copy_from_slice(floats.get(range).ok_or_else(missing)?),
        }
        Ok(())
    }

    /// These images and then `others`; `origin` names the file of the others in errors.
    pub(crate) fn followed_by(mut self, origin: &std::path::Path, others: Self) -> Result<Self> {
        match (&mut self.pixels, others.pixels) {
            (Pixels::Bytes(ours), Pixels::Bytes(theirs)) if (self.shape, self.heads) == (others.shape, others.heads) => ours.extend_from_slice(&theirs),
            (Pixels::Floats(ours), Pixels::Floats(theirs)) if (self.shape, self.heads) == (others.shape, others.heads) => ours.extend_from_slice(&theirs),
            _ => return Err(Error::file(origin, format!("images are {:?} (channels, height, width), those before {:?}", others.shape, self.shape))),
        }
        self.labels.extend(others.labels);
        Ok(self)
    }

    /// The first value of every image, as a byte.
    #[cfg(test)]
    pub(crate) fn first_bytes(&self) -> Vec<u8> {
        let mut image = vec![0.0; self.size()];
        (0..self.len())
            .map(|index| {
                self.read(index, &mut image).unwrap();
                (image[0] * 255.0).round() as u8
            })
            .collect()
    }

    /// The images at `indices`, in that order.
    pub(crate) fn select(&self, indices: &[usize]) -> Self {
        let size = self.size();
        let pixels = match &self.pixels {
            Pixels::Bytes(bytes) => Pixels::Bytes(gather(bytes, size, indices)),
            Pixels::Floats(floats) => Pixels::Floats(gather(floats, size, indices)),
        };
        Self { shape: self.shape, pixels, labels: gather(&self.labels, self.heads, indices), heads: self.heads }
    }
}

impl Pictures for Images {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn heads(&self) -> usize {
        self.heads
    }

    fn draw(&self, index: usize, _: &mut ChaCha8Rng, values: &mut [f32], labels: &mut [u32]) -> Result<()> {
        self.read(index, values)?;
        labels.copy_from_slice(self.labels_of(index).unwrap_or_default());
        Ok(())
    }

    fn limited(self: Box<Self>, count: usize) -> Box<dyn Pictures> {
        Box::new(split::limited(*self, count))
    }
}

fn gather<T: Copy>(values: &[T], size: usize, indices: &[usize]) -> Vec<T> {
    indices.iter().filter_map(|&i| values.get(i * size..(i + 1) * size)).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_image_may_have_several_labels() {
        let labels = vec![1, 2, 3, 4, 5, 6];
        let images = Images::with_heads(Path::new("x"), [1, 1, 1], Pixels::Bytes(vec![7, 8, 9]), labels.clone(), 2).unwrap();
        assert_eq!((images.len(), images.labels_of(1), images.labels_of(3)), (3, Some(&[3, 4][..]), None));
        assert_eq!(images.select(&[2, 0]).labels(), [5, 6, 1, 2]);
        let error = Images::with_heads(Path::new("x"), [1, 1, 1], Pixels::Bytes(vec![7, 8]), labels, 2).unwrap_err().to_string();
        assert!(error.contains("2 images but 6 labels; there must be 2 labels for each image"), "{error}");
    }

    #[test]
    fn bytes_become_values_between_zero_and_one() {
        let images = Images::new(Path::new("x"), [1, 1, 2], Pixels::Bytes(vec![0, 255, 51, 0]), vec![0, 1]).unwrap();
        let mut out = [9.0; 2];
        images.read(1, &mut out).unwrap();
        assert_eq!(out, [0.2, 0.0]);
    }

    #[test]
    fn labels_and_images_must_be_as_many() {
        let error = Images::new(Path::new("x.npz"), [1, 1, 2], Pixels::Bytes(vec![0; 6]), vec![0, 1]).unwrap_err();
        assert_eq!(error.to_string(), "x.npz: 3 images but 2 labels; there must be one label for each image");
    }

    #[test]
    fn an_index_that_is_not_there_is_an_error() {
        let images = Images::new(Path::new("x"), [1, 1, 1], Pixels::Floats(vec![0.5]), vec![0]).unwrap();
        assert!(images.read(1, &mut [0.0]).is_err());
    }

    #[test]
    fn images_follow_one_another_with_their_labels() {
        let images = |bytes: &[u8], width| Images::new(Path::new("x"), [1, 1, width], Pixels::Bytes(bytes.to_vec()), vec![bytes[0].into()]).unwrap();
        let both = images(&[1, 2], 2).followed_by(Path::new("y"), images(&[3, 4], 2)).unwrap();
        assert_eq!((both.labels(), &both.pixels), (&[1, 3][..], &Pixels::Bytes(vec![1, 2, 3, 4])));
        let error = images(&[1, 2], 2).followed_by(Path::new("y"), images(&[3], 1)).unwrap_err().to_string();
        assert_eq!(error, "y: images are [1, 1, 1] (channels, height, width), those before [1, 1, 2]");
    }

    #[test]
    fn selected_images_keep_their_labels() {
        let images = Images::new(Path::new("x"), [1, 1, 1], Pixels::Bytes(vec![1, 2, 3]), vec![7, 8, 9]).unwrap();
        let chosen = images.select(&[2, 0]);
        assert_eq!((chosen.labels(), &chosen.pixels), (&[9, 7][..], &Pixels::Bytes(vec![3, 1])));
    }
}
