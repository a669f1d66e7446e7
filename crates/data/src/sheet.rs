//! A contact sheet: what the training images look like.

use image::{Rgb, RgbImage};

use crate::{Dataset, Error, Part, Result, permutation};

/// Pixels between images.
const GAP: usize = 2;

/// The longest side of a sheet.
const MOST_PIXELS: usize = 20_000;

/// `rows` x `columns` training images, distorted as in the first epoch of `seed`, in that epoch's order; fewer images leave cells empty.
///
/// The pictures of an image stand side by side; of a volume the brightest value along its depth is seen.
///
/// # Errors
///
/// Where the sheet would have no cell or more than 20,000 pixels a side.
pub fn contact_sheet(dataset: &Dataset, columns: usize, rows: usize, seed: u64) -> Result<RgbImage> {
    let picture = Picture::of(dataset);
    let (height, width) = (picture.height, dataset.pictures() * picture.width);
    let side = |count: usize, size: usize| count.checked_mul(size + GAP).and_then(|n| n.checked_add(GAP)).filter(|&n| n <= MOST_PIXELS);
    let (Some(sheet_width), Some(sheet_height)) = (side(columns, width), side(rows, height)) else {
        return Err(Error::Unsupported(format!("a sheet of {columns} x {rows} images is larger than {MOST_PIXELS} pixels a side; ask for fewer")));
    };
    if columns == 0 || rows == 0 {
        return Err(Error::Unsupported("a sheet needs at least one column and one row".into()));
    }
    let order = permutation(dataset.len(Part::Train), seed, "shuffle", 0);
    let indices: Vec<usize> = order.into_iter().take(columns * rows).map(|index| index as usize).collect();
    let values = dataset.batch(Part::Train, &indices, seed, 0)?.images.flatten_all()?.to_vec1::<f32>()?;
    let mut sheet = RgbImage::from_pixel(sheet_width as u32, sheet_height as u32, Rgb([70, 70, 90]));
    for (i, values) in values.chunks_exact(picture.size()).enumerate() {
        let (cell, place) = (i / dataset.pictures(), i % dataset.pictures());
        let (left, top) = (GAP + cell % columns * (width + GAP) + place * picture.width, GAP + cell / columns * (height + GAP));
        for y in 0..picture.height {
            for x in 0..picture.width {
                sheet.put_pixel((left + x) as u32, (top + y) as u32, picture.colour(values, y * picture.width + x));
            }
        }
    }
    Ok(sheet)
}

/// The shape of a picture; the depth of what is no volume is 1.
struct Picture {
    channels: usize,
    depth: usize,
    height: usize,
    width: usize,
}

impl Picture {
    fn of(dataset: &Dataset) -> Self {
        let side = |from_last: usize| dataset.shape().iter().rev().nth(from_last).copied().unwrap_or(1);
        let volume = dataset.shape().len() > 3;
        let channels = dataset.shape().first().map_or(1, |channels| channels / dataset.pictures());
        Self { channels, depth: if volume { side(2) } else { 1 }, height: side(1), width: side(0) }
    }

    fn size(&self) -> usize {
        self.channels * self.depth * self.height * self.width
    }

    /// Grey for one or two channels, the first three otherwise.
    fn colour(&self, values: &[f32], pixel: usize) -> Rgb<u8> {
        let plane = self.height * self.width;
        let brightest = |channel: usize| (0..self.depth).map(|z| values[(channel * self.depth + z) * plane + pixel]).fold(0.0, f32::max);
        let value = |channel: usize| (brightest(channel).min(1.0) * 255.0).round() as u8;
        if self.channels < 3 { Rgb([value(0); 3]) } else { Rgb([value(0), value(1), value(2)]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DistortionSpec;

    fn dataset(channels: usize) -> std::sync::Arc<Dataset> {
        let pixels = (0..3 * channels * 4).map(|i| i as u8 * 5).collect();
        Dataset::for_test([channels, 2, 2], pixels, vec![0, 1, 2], &DistortionSpec::None, &stn_core::Registry::new())
    }

    #[test]
    fn a_sheet_has_a_cell_for_each_image() {
        for channels in [1, 2, 3] {
            let sheet = contact_sheet(&dataset(channels), 2, 3, 0).unwrap();
            assert_eq!(sheet.dimensions(), (10, 14));
        }
    }

    #[test]
    fn a_sheet_without_cells_or_without_end_is_an_error() {
        assert!(contact_sheet(&dataset(1), 0, 3, 0).is_err());
        assert!(contact_sheet(&dataset(1), 2, usize::MAX, 0).is_err());
        assert!(contact_sheet(&dataset(1), 2, 100_000, 0).is_err());
    }
}
