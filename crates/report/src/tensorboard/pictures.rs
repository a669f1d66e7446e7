//! What went into a transformer and what came out, side by side.

use crate::error::{Error, Result};
use crate::png;
use crate::query::{Array, Warp};

use super::event::{Image, Value};

/// Pixels between the two.
const GAP: usize = 2;
/// Their grey.
const GAP_GREY: u8 = 128;

/// The picture of a warp, under the transformer's name and the image's class and number.
pub fn value(warp: &Warp) -> Result<Value> {
    let step = if warp.step > 1 { format!(" step {}", warp.step) } else { String::new() };
    let tag = format!("{}{step}/class {}, image {}", warp.layer, warp.class, warp.sample);
    let (left, right) = (Picture::of(&warp.input), Picture::of(&warp.output));
    let (width, height) = (left.width + GAP + right.width, left.height.max(right.height));
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        rgb.extend((0..left.width).flat_map(|x| left.at(x, y)));
        rgb.extend([GAP_GREY; 3 * GAP]);
        rgb.extend((0..right.width).flat_map(|x| right.at(x, y)));
    }
    let encoded = png::encode(&rgb, width as u32, height as u32, None).map_err(|reason| Error::Drawing { figure: tag.clone(), reason })?;
    let image = Image { height: height as i32, width: width as i32, colorspace: 3, encoded_image_string: encoded };
    Ok(Value { tag, image: Some(image), ..Value::default() })
}

/// An image in red, green and blue.
struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<[u8; 3]>,
}

impl Picture {
    /// Three channels are colours, of others the brightest counts; of a volume the brightest value along its depth.
    fn of(array: &Array) -> Self {
        let &[channels, .., height, width] = array.shape.as_slice() else { return Self { width: 0, height: 0, rgb: Vec::new() } };
        let (pixels, slices) = (height * width, array.data.len() / (channels * height * width).max(1));
        let brightest = |channel: usize, pixel: usize| (0..slices).map(|slice| array.data[(channel * slices + slice) * pixels + pixel]).fold(0.0, f32::max);
        let byte = |value: f32| (255.0 * value.clamp(0.0, 1.0)).round() as u8;
        let colour = |pixel: usize| match channels {
            3 => [0, 1, 2].map(|channel| byte(brightest(channel, pixel))),
            _ => [byte((0..channels).map(|channel| brightest(channel, pixel)).fold(0.0, f32::max)); 3],
        };
        Self { width, height, rgb: (0..pixels).map(colour).collect() }
    }

    /// Grey where the picture does not reach.
    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        if y < self.height { self.rgb[y * self.width + x] } else { [GAP_GREY; 3] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], data: &[f32]) -> Array {
        Array { shape: shape.to_vec(), data: data.to_vec() }
    }

    #[test]
    fn colours_stay_and_other_channels_and_slices_give_their_brightest() {
        assert_eq!(Picture::of(&array(&[3, 1, 1], &[0.0, 0.5, 1.0])).rgb, [[0, 128, 255]]);
        assert_eq!(Picture::of(&array(&[2, 1, 2], &[0.0, 1.0, 0.5, 0.25])).rgb, [[128; 3], [255; 3]]);
        assert_eq!(Picture::of(&array(&[1, 2, 1, 1], &[0.25, 0.5])).rgb, [[128; 3]]);
    }

    #[test]
    fn input_and_output_stand_side_by_side() {
        let one = array(&[1, 1, 2], &[0.0, 1.0]);
        let warp = Warp {
            trained: 5,
            sample: 7,
            layer: "st1".into(),
            step: 1,
            class: 3,
            predicted: 3,
            theta: Vec::new(),
            input: one,
            grid: Array::default(),
            output: array(&[1, 2, 1], &[1.0, 0.0]),
        };
        let value = value(&warp).unwrap();
        assert_eq!(value.tag, "st1/class 3, image 7");
        let image = image::load_from_memory(&value.image.unwrap().encoded_image_string).unwrap().to_luma8();
        assert_eq!(image.dimensions(), (5, 2));
        assert_eq!(image.into_raw(), [0, 255, 128, 128, 255, 128, 128, 128, 128, 0]);
    }
}
