//! A contact sheet: what the training images look like.

use image::{Rgb, RgbImage};

use crate::{Dataset, Error, Part, Result, permutation};

/// Pixels between images.
const GAP: usize = 2;

/// The longest side of a sheet.
const MOST_PIXELS: usize = 20_000;

/// `rows` x `columns` training images, distorted as in the first epoch of `seed`, in that epoch's order; fewer images leave cells empty.
///
/// # Errors
///
/// Where the sheet would have no cell or more than 20,000 pixels a side.
pub fn contact_sheet(dataset: &Dataset, columns: usize, rows: usize, seed: u64) -> Result<RgbImage> {
    let [channels, height, width] = dataset.shape();
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
    for (cell, image) in values.chunks_exact(channels * height * width).enumerate() {
        let (left, top) = (GAP + cell % columns * (width + GAP), GAP + cell / columns * (height + GAP));
        for y in 0..height {
            for x in 0..width {
                let pixel = colour(image, channels, height * width, y * width + x);
                sheet.put_pixel((left + x) as u32, (top + y) as u32, pixel);
            }
        }
    }
    Ok(sheet)
}

/// Grey for one or two channels, the first three otherwise.
fn colour(image: &[f32], channels: usize, plane: usize, pixel: usize) -> Rgb<u8> {
    let value = |channel: usize| (image[channel * plane + pixel].clamp(0.0, 1.0) * 255.0).round() as u8;
    if channels < 3 { Rgb([value(0); 3]) } else { Rgb([value(0), value(1), value(2)]) }
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
