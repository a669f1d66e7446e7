//! What a part of a data set shows: recorded images, or pictures drawn anew at every visit.

use std::fmt::Debug;

use rand_chacha::ChaCha8Rng;

use crate::Result;

/// One part of a data set: so many images of one shape, each with its labels.
///
/// Recorded images are the same at every visit; others are put together or drawn from the stream of the visit, which is keyed by seed, epoch and index, so that a
/// batch stays a pure function of them. An image may be made of several pictures of one shape, whose channels follow one another: each is distorted on its own.
pub(crate) trait Pictures: Debug + Send + Sync {
    /// The shape of one picture: C H W, or C D H W of a volume.
    fn shape(&self) -> &[usize];

    /// How many pictures an image is made of.
    fn pictures(&self) -> usize {
        1
    }

    /// How many images there are.
    fn len(&self) -> usize;

    /// How many labels an image has.
    fn heads(&self) -> usize {
        1
    }

    /// Writes the values of image `index`, from 0 to 1, picture after picture, and its labels.
    ///
    /// # Errors
    ///
    /// Where there is no such image, or it cannot be read.
    fn draw(&self, index: usize, random: &mut ChaCha8Rng, values: &mut [f32], labels: &mut [u32]) -> Result<()>;

    /// Where what the labels name stands in image `index`, before any distortion: left, top, right and bottom in normalised coordinates, -1 to 1 from edge to edge; `None` where
    /// that is not known.
    fn place(&self, _index: usize) -> Option<[f64; 4]> {
        None
    }

    /// At most `count` of these images.
    fn limited(self: Box<Self>, count: usize) -> Box<dyn Pictures>;

    /// The values of one picture.
    fn size(&self) -> usize {
        self.shape().iter().product()
    }
}
