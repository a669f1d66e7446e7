//! Encoded images (PNG, JPEG) of one size, collected.

use std::path::Path;

use image::{ColorType, DynamicImage};

use crate::{Error, Result};

/// Decoded images one after another; all of the size and kind of the first.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// The shape of all, and the name of the first.
    first: Option<([usize; 3], String)>,
    pixels: Vec<u8>,
}

impl Collector {
    /// Decodes one more; `name` is the file, or the place in it.
    pub(crate) fn add(&mut self, name: &Path, encoded: &[u8]) -> Result<()> {
        let image = image(name, encoded)?;
        let (shape, values) = planes(&image);
        match &self.first {
            None => self.first = Some((shape, name.display().to_string())),
            Some((wanted, first)) if *wanted != shape => {
                let [c, h, w] = shape;
                let [wc, wh, ww] = *wanted;
                let message =
                    format!("is {h} x {w} with {c} channels, but {first} is {wh} x {ww} with {wc}; bring all images to one size and one colour type first");
                return Err(Error::file(name, message));
            }
            Some(_) => {}
        }
        self.pixels.extend(values);
        Ok(())
    }

    /// C H W and the values; `None` where nothing was added.
    pub(crate) fn finish(self) -> Option<([usize; 3], Vec<u8>)> {
        self.first.map(|(shape, _)| (shape, self.pixels))
    }
}

/// Decodes one image; `name` is the file, or the place in it.
pub(crate) fn image(name: &Path, encoded: &[u8]) -> Result<DynamicImage> {
    if encoded.is_empty() {
        return Err(Error::file(name, "is empty; delete it or put the image there again"));
    }
    image::load_from_memory(encoded)
        .map_err(|e| Error::file(name, format!("cannot be read as PNG or JPEG ({e}); it is cut off or no image: delete it or put it there again")))
}

/// Channels first: one channel for grey images, three for all others; transparency is dropped.
fn planes(image: &DynamicImage) -> ([usize; 3], Vec<u8>) {
    let (width, height) = (image.width() as usize, image.height() as usize);
    match image.color() {
        ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16 => ([1, height, width], image.to_luma8().into_raw()),
        _ => ([3, height, width], channels_first(&image.to_rgb8().into_raw(), 3)),
    }
}

/// From pixel after pixel to plane after plane, for one image of `channels`.
pub(crate) fn channels_first<T: Copy>(interleaved: &[T], channels: usize) -> Vec<T> {
    (0..channels).flat_map(|channel| interleaved.iter().skip(channel).step_by(channels).copied()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    pub(crate) fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    pub(crate) fn grey(width: u32, height: u32, value: u8) -> Vec<u8> {
        png(GrayImage::from_pixel(width, height, Luma([value])))
    }

    #[test]
    fn colours_become_planes() {
        let mut image = RgbImage::from_pixel(2, 1, Rgb([1, 2, 3]));
        image.put_pixel(1, 0, Rgb([4, 5, 6]));
        let mut collector = Collector::default();
        collector.add(Path::new("a.png"), &png(image)).unwrap();
        assert_eq!(collector.finish(), Some(([3, 1, 2], vec![1, 4, 2, 5, 3, 6])));
    }

    #[test]
    fn an_image_of_another_size_is_named() {
        let mut collector = Collector::default();
        collector.add(Path::new("a.png"), &grey(3, 2, 0)).unwrap();
        let error = collector.add(Path::new("b.png"), &grey(4, 2, 0)).unwrap_err().to_string();
        assert_eq!(error, "b.png: is 2 x 4 with 1 channels, but a.png is 2 x 3 with 1; bring all images to one size and one colour type first");
    }

    #[test]
    fn a_file_that_is_cut_off_is_named_at_any_length() {
        let bytes = grey(9, 9, 100);
        for length in 0..bytes.len() - 12 {
            let error = Collector::default().add(Path::new("b.png"), &bytes[..length]).unwrap_err().to_string();
            assert!(error.starts_with("b.png: "), "{length}: {error}");
        }
    }
}
