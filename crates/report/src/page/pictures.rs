//! Arrays as small PNG files, each kept once.

use crate::canvas::Picture;
use crate::figures::montage::pictures::picture;
use crate::png::{base64, shrink};
use crate::query::Array;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use std::collections::HashMap;

/// The most pixels a side.
const SIDE: u32 = 96;

/// Pictures by their numbers.
#[derive(Debug, Default)]
pub struct Pictures {
    /// Width and pixels of each.
    known: HashMap<(u32, Vec<u8>), usize>,
    /// PNG files in base64.
    pub files: Vec<String>,
    /// Whether any is shown smaller than it is.
    pub smaller: bool,
}

impl Pictures {
    /// The number of an array's picture; `None` where there is nothing to see.
    pub fn number(&mut self, array: &Array) -> Option<usize> {
        let Picture { width, height, rgb } = self.small(picture(array)?);
        let grey = rgb.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
        let (pixels, kind) = if grey { (rgb.chunks_exact(3).map(|pixel| pixel[0]).collect(), ExtendedColorType::L8) } else { (rgb, ExtendedColorType::Rgb8) };
        let key = (width, pixels);
        if let Some(&number) = self.known.get(&key) {
            return Some(number);
        }
        let mut file = Vec::new();
        let filter = if grey { FilterType::NoFilter } else { FilterType::Adaptive };
        PngEncoder::new_with_quality(&mut file, CompressionType::Default, filter).write_image(&key.1, width, height, kind).ok()?;
        let number = self.files.len();
        self.files.push(base64(&file));
        self.known.insert(key, number);
        Some(number)
    }

    /// A picture, made smaller by a whole factor where it is large.
    fn small(&mut self, picture: Picture) -> Picture {
        let factor = picture.width.max(picture.height).div_ceil(SIDE).min(picture.width).min(picture.height);
        if factor < 2 {
            return picture;
        }
        self.smaller = true;
        let (width, height) = (picture.width / factor, picture.height / factor);
        // Whole blocks alone: what is left over at the right and at the bottom goes.
        let row = 3 * picture.width as usize;
        let kept: Vec<u8> =
            picture.rgb.chunks_exact(row).take((height * factor) as usize).flat_map(|line| &line[..3 * (width * factor) as usize]).copied().collect();
        Picture { width, height, rgb: shrink(&kept, (width * factor, height * factor), factor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_picture_is_kept_once_and_grey_ones_take_a_byte_a_pixel() {
        let mut pictures = Pictures::default();
        let array = |v: f32| Array { shape: vec![1, 2, 2], data: vec![0.0, v, 1.0, 0.5] };
        assert_eq!([pictures.number(&array(0.3)), pictures.number(&array(0.6)), pictures.number(&array(0.3))], [Some(0), Some(1), Some(0)]);
        assert_eq!(pictures.files.len(), 2);
        assert!(pictures.files[0].starts_with("iVBORw0KGgo"));
    }

    #[test]
    fn large_pictures_are_made_smaller_and_that_is_known() {
        let mut pictures = Pictures::default();
        pictures.number(&Array { shape: vec![1, 10, 10], data: vec![0.5; 100] }).unwrap();
        assert!(!pictures.smaller);
        pictures.number(&Array { shape: vec![1, 130, 193], data: vec![0.5; 130 * 193] }).unwrap();
        assert!(pictures.smaller);
    }
}
