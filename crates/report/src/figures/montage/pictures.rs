//! Arrays as pictures: ink on paper for one channel, two inks for two, colours for three.

use crate::canvas::Picture;
use crate::query::Array;
use plotters::style::RGBColor;

/// The inks of two channels: the first colours of the palette.
const INKS: [RGBColor; 2] = [RGBColor(0x00, 0x72, 0xB2), RGBColor(0xE6, 0x9F, 0x00)];

/// An image `C H W`, or a volume `C D H W` seen along its depth (its greatest value); `None` where there is nothing to see.
///
/// Three channels are red, green and blue; two are a blue and an orange ink, darker where both are; of any other number the mean is shown, dark on white. Values
/// outside 0..1 (feature maps) are scaled to the image's range.
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
    let apart = [2, 3].contains(&channels);
    let mut planes: Vec<f32> = Vec::with_capacity(area * if apart { channels } else { 1 });
    for pixel in 0..area {
        if apart {
            planes.extend((0..channels).map(|channel| value(channel, pixel)));
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
    let rgb = match channels {
        3 => bytes.collect(),
        2 => bytes.collect::<Vec<u8>>().chunks_exact(2).flat_map(|inks| printed([inks[0], inks[1]])).collect(),
        _ => bytes.flat_map(|ink| [255 - ink; 3]).collect(),
    };
    Some(Picture { width: u32::try_from(width).ok()?, height: u32::try_from(height).ok()?, rgb })
}

/// White paper with so much of each of [`INKS`]: each takes from the light what it does not reflect.
fn printed(inks: [u8; 2]) -> [u8; 3] {
    let taken = |of: fn(RGBColor) -> u8| inks.iter().zip(INKS).map(|(&ink, colour)| u32::from(ink) * u32::from(255 - of(colour)) / 255).sum::<u32>();
    [taken(|c| c.0), taken(|c| c.1), taken(|c| c.2)].map(|taken| 255 - taken.min(255) as u8)
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
    fn two_channels_are_two_inks() {
        let inks = array(&[2, 1, 4], &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(picture(&inks).unwrap().rgb, [255, 255, 255, 0x00, 0x72, 0xB2, 0xE6, 0x9F, 0x00, 0x00, 0x12, 0x00]);
    }

    #[test]
    fn other_channels_are_averaged_and_a_wide_range_is_scaled() {
        assert_eq!(picture(&array(&[4, 1, 2], &[-2.0, 2.0, 0.0, 6.0, -1.0, 4.0, -1.0, 4.0])).unwrap().rgb, [255, 255, 255, 0, 0, 0]);
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
