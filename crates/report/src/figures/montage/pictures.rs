//! Arrays as pictures: ink on paper for one channel, colours for three.

use crate::canvas::Picture;
use crate::query::Array;

/// An image `C H W`, or a volume `C D H W` seen along its depth (its greatest value); `None` where there is nothing to see.
///
/// Three channels are red, green and blue; of any other number the mean is shown, dark on white. Values outside 0..1 (feature maps) are scaled to the image's range.
pub fn picture(array: &Array) -> Option<Picture> {
    let (channels, depth, height, width) = match array.shape.as_slice() {
        [h, w] => (1, 1, *h, *w),
        [c, h, w] => (*c, 1, *h, *w),
        [c, d, h, w] => (*c, *d, *h, *w),
        _ => return None,
    };
    let area = height * width;
    if channels * depth * area != array.data.len() || array.data.is_empty() {
        return None;
    }
    let value = |channel: usize, pixel: usize| (0..depth).map(|z| array.data[(channel * depth + z) * area + pixel]).fold(f32::NAN, f32::max);
    let rgb = channels == 3;
    let mut planes: Vec<f32> = Vec::with_capacity(area * if rgb { 3 } else { 1 });
    for pixel in 0..area {
        if rgb {
            planes.extend((0..3).map(|channel| value(channel, pixel)));
        } else {
            planes.push((0..channels).map(|channel| value(channel, pixel)).sum::<f32>() / channels as f32);
        }
    }
    let (least, greatest) = range(&planes);
    let bytes = planes.iter().map(|v| {
        let share = (v - least) / (greatest - least);
        // NaN is drawn as nothing.
        (if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 } * 255.0).round() as u8
    });
    let rgb = if rgb { bytes.collect() } else { bytes.flat_map(|ink| [255 - ink; 3]).collect() };
    Some(Picture { width: u32::try_from(width).ok()?, height: u32::try_from(height).ok()?, rgb })
}

/// 0..1, or the range of the values where they do not stay within it.
fn range(values: &[f32]) -> (f32, f32) {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (least, greatest) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    if least >= -0.01 && greatest <= 1.01 || least >= greatest { (0.0, 1.0) } else { (least, greatest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], data: &[f32]) -> Array {
        Array { shape: shape.to_vec(), data: data.to_vec() }
    }

    #[test]
    fn one_channel_is_ink_on_paper() {
        assert_eq!(picture(&array(&[1, 1, 2], &[0.0, 1.0])).unwrap().rgb, [255, 255, 255, 0, 0, 0]);
    }

    #[test]
    fn three_channels_are_colours() {
        assert_eq!(picture(&array(&[3, 1, 1], &[1.0, 0.0, 0.2])).unwrap().rgb, [255, 0, 51]);
    }

    #[test]
    fn other_channels_are_averaged_and_a_wide_range_is_scaled() {
        assert_eq!(picture(&array(&[2, 1, 2], &[-2.0, 2.0, 0.0, 6.0])).unwrap().rgb, [255, 255, 255, 0, 0, 0]);
    }

    #[test]
    fn a_volume_is_seen_along_its_depth() {
        assert_eq!(picture(&array(&[1, 2, 1, 1], &[0.0, 1.0])).unwrap().rgb, [0, 0, 0]);
    }

    #[test]
    fn nan_and_misfits_draw_nothing() {
        assert_eq!(picture(&array(&[1, 1, 1], &[f32::NAN])).unwrap().rgb, [255, 255, 255]);
        assert_eq!(picture(&array(&[1, 2, 2], &[0.0])), None);
        assert_eq!(picture(&array(&[], &[])), None);
    }
}
