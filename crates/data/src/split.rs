//! Parting one set of images into training and test, and limiting a part.

use std::collections::BTreeMap;

use crate::Result;
use crate::error::Error;
use crate::images::Images;
use crate::permutation::permutation;

/// The key of every draw that must not depend on a trial's seed.
pub(crate) const FIXED_SEED: u64 = 0;

/// Parts one set: of each class the `fraction` (rounded) goes to the test part, by a fixed draw; training and test indices, ascending.
pub(crate) fn by_class(labels: &[u32], fraction: f64) -> (Vec<usize>, Vec<usize>) {
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(index);
    }
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (label, members) in classes {
        let count = (members.len() as f64 * fraction).round() as usize;
        let order = permutation(members.len(), FIXED_SEED, "test split", u64::from(label));
        for (place, index) in order.into_iter().filter_map(|i| members.get(i as usize)).enumerate() {
            if place < count { test.push(*index) } else { train.push(*index) }
        }
    }
    train.sort_unstable();
    test.sort_unstable();
    (train, test)
}

/// Parts `images` by class; both parts must hold something.
pub(crate) fn images(origin: &std::path::Path, images: &Images, fraction: f64) -> Result<(Images, Images)> {
    let (train, test) = by_class(images.labels(), fraction);
    if train.is_empty() || test.is_empty() {
        let message = format!(
            "{} images cannot be parted with test = {fraction}: {} would be for training and {} for testing; give more images, another fraction or a test set",
            images.len(),
            train.len(),
            test.len()
        );
        return Err(Error::file(origin, message));
    }
    Ok((images.select(&train), images.select(&test)))
}

/// At most `limit` images, by a fixed draw, in their own order.
pub(crate) fn limited(images: Images, limit: usize) -> Images {
    if limit >= images.len() { images } else { images.select(&chosen(images.len(), limit)) }
}

/// At most `limit` of `count` indices, by a fixed draw, ascending.
pub(crate) fn chosen(count: usize, limit: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = permutation(count, FIXED_SEED, "limit", 0).into_iter().take(limit).map(|i| i as usize).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Pixels;
    use std::path::Path;

    #[test]
    fn each_class_is_parted_alike() {
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i >= 80)).collect();
        let (train, test) = by_class(&labels, 0.25);
        let ones = |part: &[usize]| part.iter().filter(|&&i| labels[i] == 1).count();
        assert_eq!((train.len(), ones(&train), test.len(), ones(&test)), (75, 15, 25, 5));
        let mut all = [train, test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn one_image_cannot_be_parted() {
        let one = Images::new(Path::new("x"), [1, 1, 1], Pixels::Bytes(vec![1]), vec![0]).unwrap();
        let error = images(Path::new("birds"), &one, 0.2).unwrap_err().to_string();
        assert!(error.starts_with("birds: 1 images cannot be parted"), "{error}");
    }

    #[test]
    fn a_limit_keeps_the_order_and_draws_from_everywhere() {
        let many = Images::new(Path::new("x"), [1, 1, 1], Pixels::Bytes((0..200).collect()), (0..200).collect()).unwrap();
        let few = limited(many.clone(), 20);
        assert_eq!(few.len(), 20);
        assert!(few.labels().is_sorted());
        assert!(few.labels().iter().any(|&l| l > 100));
        assert_eq!(limited(many.clone(), 500), many);
    }
}
