//! House numbers cut out of photographs.
//!
//! Goodfellow, Bulatov, Ibarz, Arnoud, Shet, *Multi-digit Number Recognition from Street View Imagery using Deep Convolutional Neural Networks*, 2014
//! (arXiv 1312.6082): the smallest rectangle that holds the boxes of all digits is made 30 % wider and 30 % higher, cut out, and resized to 64 x 64 pixels,
//! whatever its aspect. (From these they train on random pieces of 54 x 54.)
//!
//! Two things are a choice of ours, since the paper is silent about them:
//!
//! - The rectangle grows by the same length on both sides, its edges are rounded to whole pixels, and what would be outside of the photograph is not cut.
//! - Resizing is bilinear with anti-aliasing: a triangle filter that widens where the crop shrinks, as Pillow's.
//!
//! Jaderberg et al. 2015 train on looser crops of 128 x 128 pixels too, without a word on how loose. Here ([`Crop::LOOSE`]) the rectangle is made 160 % larger,
//! that is twice the side of the tight one: a digit then has as many pixels as in a tight crop of 64 x 64, with four times the area around.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::{Bounds, Sequence};
use crate::decode::channels_first;

/// How a house number is cut out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Crop {
    /// Height and width of the result in pixels.
    pub(crate) size: usize,
    /// By how much of its width and height the rectangle around the digits is enlarged: 0.3 makes it 1.3 times as wide and as high.
    pub(crate) widen: f32,
}

/// A rectangle of whole pixels within an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Crop {
    /// As Goodfellow et al. 2014 cut.
    pub(crate) const TIGHT: Self = Self { size: 64, widen: 0.3 };
    /// The looser crops of Jaderberg et al. 2015.
    pub(crate) const LOOSE: Self = Self { size: 128, widen: 1.6 };

    /// How images of a size are cut; `None` for a size of which there are none.
    pub(crate) fn of_size(size: usize) -> Option<Self> {
        [Self::TIGHT, Self::LOOSE].into_iter().find(|crop| crop.size == size)
    }

    /// Cuts a house number out: its pixels, channel after channel, row after row, and its digits with their boxes in the pixels of the result. `None` where
    /// there is no digit, or none within the image.
    pub(crate) fn cut(&self, image: &RgbImage, sequence: &Sequence) -> Option<(Vec<u8>, Sequence)> {
        let window = self.window(sequence, image.dimensions())?;
        Some((resize(image, window, self.size), moved(sequence, window, self.size)))
    }

    /// What is cut out of an image of the given width and height.
    pub(crate) fn window(&self, sequence: &Sequence, (width, height): (u32, u32)) -> Option<Window> {
        let around = Bounds::around(sequence.digits().map(|digit| digit.bounds))?;
        let (left, width) = side(around.left, around.width, self.widen, width)?;
        let (top, height) = side(around.top, around.height, self.widen, height)?;
        Some(Window { left, top, width, height })
    }
}

/// Start and length of one side of the window, enlarged about its middle, rounded and clipped to `limit` pixels.
fn side(start: f32, length: f32, widen: f32, limit: u32) -> Option<(u32, u32)> {
    let end = start + length;
    let inside = length > 0.0 && end > 0.0 && start < limit as f32;
    let grow = 0.5 * widen * length;
    let (first, last) = ((start - grow).round().max(0.0) as u32, (end + grow).round().max(0.0) as u32);
    // Less than half a pixel would be rounded to nothing.
    let first = first.min(limit.saturating_sub(1));
    let last = last.clamp(first + 1, limit.max(first + 1));
    (inside && limit > 0).then_some((first, last - first))
}

/// A piece of an image as `size` x `size` pixels, channel after channel.
pub(crate) fn resize(image: &RgbImage, window: Window, size: usize) -> Vec<u8> {
    let piece = imageops::crop_imm(image, window.left, window.top, window.width, window.height);
    channels_first(&imageops::resize(&*piece, size as u32, size as u32, FilterType::Triangle).into_raw(), 3)
}

/// The digits with their boxes in the pixels of the result.
fn moved(sequence: &Sequence, window: Window, size: usize) -> Sequence {
    let (across, down) = (size as f32 / window.width as f32, size as f32 / window.height as f32);
    sequence.map_bounds(|bounds| Bounds {
        left: (bounds.left - window.left as f32) * across,
        top: (bounds.top - window.top as f32) * down,
        width: bounds.width * across,
        height: bounds.height * down,
    })
}

#[cfg(test)]
mod tests {
    use npyz::npz::NpzArchive;

    use super::*;
    use crate::kind::svhn::{Digit, samples};

    fn sequence(bounds: &[[f32; 4]]) -> Sequence {
        let digit = |&[left, top, width, height]: &[f32; 4]| Digit { value: 1, bounds: Bounds { left, top, width, height } };
        Sequence::new(&bounds.iter().map(digit).collect::<Vec<_>>()).unwrap()
    }

    fn window(left: u32, top: u32, width: u32, height: u32) -> Option<Window> {
        Some(Window { left, top, width, height })
    }

    fn array<T: npyz::Deserialize>(name: &str) -> Vec<T> {
        let mut vectors = NpzArchive::new(std::io::Cursor::new(samples::RESIZED)).unwrap();
        vectors.by_name(name).unwrap().unwrap().into_vec().unwrap()
    }

    #[test]
    fn the_rectangle_around_all_digits_grows_by_30_per_cent() {
        let digits = sequence(&[[100.0, 50.0, 20.0, 40.0], [130.0, 60.0, 30.0, 30.0]]);
        // 100 to 160 and 50 to 90: 60 x 40, enlarged to 78 x 52.
        assert_eq!(Crop::TIGHT.window(&digits, (400, 300)), window(91, 44, 78, 52));
    }

    #[test]
    fn a_loose_crop_has_twice_the_side_of_a_tight_one() {
        let digits = sequence(&[[100.0, 80.0, 60.0, 40.0]]);
        assert_eq!(Crop::LOOSE.window(&digits, (400, 300)), window(52, 48, 156, 104));
    }

    #[test]
    fn what_sticks_out_is_not_cut() {
        let digits = sequence(&[[-2.0, -1.0, 14.0, 20.0], [27.0, 4.0, 16.0, 22.0]]);
        assert_eq!(Crop::TIGHT.window(&digits, (40, 24)), window(0, 0, 40, 24));
    }

    #[test]
    fn a_box_smaller_than_a_pixel_gives_a_pixel() {
        assert_eq!(Crop::TIGHT.window(&sequence(&[[10.1, 10.1, 0.1, 0.1]]), (40, 24)), window(10, 10, 1, 1));
        assert_eq!(Crop::TIGHT.window(&sequence(&[[39.8, 23.8, 0.1, 0.1]]), (40, 24)), window(39, 23, 1, 1));
    }

    #[test]
    fn nothing_is_cut_where_no_digit_is_within_the_image() {
        for outside in [[40.0, 3.0, 5.0, 5.0], [-9.0, 3.0, 5.0, 5.0], [3.0, 24.0, 5.0, 5.0], [3.0, 3.0, 0.0, 5.0], [f32::NAN, 0.0, 5.0, 5.0]] {
            assert_eq!(Crop::TIGHT.window(&sequence(&[outside]), (40, 24)), None, "{outside:?}");
        }
        assert_eq!(Crop::TIGHT.window(&sequence(&[]), (40, 24)), None);
    }

    #[test]
    fn boxes_move_with_the_pixels() {
        let image = RgbImage::new(100, 100);
        let (_, digits) = Crop { size: 26, widen: 0.3 }.cut(&image, &sequence(&[[40.0, 30.0, 10.0, 40.0]])).unwrap();
        // The window is 39 to 52 (38.5 and 51.5, rounded away from zero) by 24 to 76.
        assert_eq!(digits, sequence(&[[2.0, 3.0, 20.0, 20.0]]));
    }

    #[test]
    fn resizing_is_pillows() {
        let (_, image) = samples::picture(0);
        for (name, size) in [("shrunk", 16), ("grown", 32), ("mixed", 20)] {
            let corners: Vec<i64> = array(&format!("{name}_box"));
            let [left, top, right, bottom] = corners.as_slice().try_into().map(|c: [i64; 4]| c.map(|value| value as u32)).unwrap();
            let ours = resize(&image, Window { left, top, width: right - left, height: bottom - top }, size);
            let theirs = channels_first(&array::<u8>(name), 3);
            assert_eq!(ours.len(), theirs.len());
            let worst = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max();
            // Pillow rounds to whole numbers between its two passes.
            assert!(worst <= Some(1), "{name}: {worst:?}");
        }
    }
}
