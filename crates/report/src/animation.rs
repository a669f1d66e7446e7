//! GIF files: pictures shown one after the other, again and again.

use crate::canvas::Picture;
use gif::{Encoder, Frame, Repeat};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Colours that a GIF has room for beside the one that stands for "as before".
const COLOURS: usize = 255;

/// How far apart colours are told apart, where there are too many.
const STEPS: [u8; 4] = [1, 2, 4, 8];

/// Pictures of one size, each with how long it is shown, in hundredths of a second. Of more colours than a GIF holds, rare ones become the next of the others.
pub fn encode(pictures: &[(Picture, u16)]) -> Result<Vec<u8>, String> {
    let Some((first, _)) = pictures.first() else { return Err("an animation of nothing".into()) };
    let size = |length: u32| u16::try_from(length).map_err(|_| format!("{length} pixels are more than a GIF can be wide"));
    let (width, height) = (size(first.width)?, size(first.height)?);
    let (palette, numbers) = palette(pictures);
    let colours: Vec<u8> = palette.iter().flatten().copied().chain([0, 0, 0]).collect();
    let before = palette.len() as u8;
    let mut encoder = Encoder::new(Vec::new(), width, height, &colours).map_err(|error| error.to_string())?;
    encoder.set_repeat(Repeat::Infinite).map_err(|error| error.to_string())?;
    let mut last: Vec<u8> = Vec::new();
    for (picture, delay) in pictures {
        let pixels: Vec<u8> = picture.rgb.as_chunks::<3>().0.iter().map(|rgb| numbers.get(rgb).copied().unwrap_or(0)).collect();
        let changed = pixels.iter().enumerate().map(|(i, &pixel)| if last.get(i) == Some(&pixel) { before } else { pixel }).collect();
        let frame = Frame { delay: *delay, width, height, transparent: Some(before), buffer: Cow::Owned(changed), ..Frame::default() };
        encoder.write_frame(&frame).map_err(|error| error.to_string())?;
        last = pixels;
    }
    encoder.into_inner().map_err(|error| error.to_string())
}

/// The colours that are kept, and for every colour of the pictures the number of the next of them.
fn palette(pictures: &[(Picture, u16)]) -> (Vec<[u8; 3]>, BTreeMap<[u8; 3], u8>) {
    let mut all: BTreeMap<[u8; 3], usize> = BTreeMap::new();
    for (picture, _) in pictures {
        picture.rgb.as_chunks::<3>().0.iter().for_each(|rgb| *all.entry(*rgb).or_default() += 1);
    }
    let mut kept: Vec<([u8; 3], usize)> = Vec::new();
    for step in STEPS {
        let mut coarser: BTreeMap<[u8; 3], usize> = BTreeMap::new();
        all.iter().for_each(|(rgb, count)| *coarser.entry(coarse(*rgb, step)).or_default() += count);
        kept = coarser.into_iter().collect();
        if kept.len() <= COLOURS {
            break;
        }
    }
    kept.sort_by_key(|&(rgb, count)| (std::cmp::Reverse(count), rgb));
    let palette: Vec<[u8; 3]> = kept.into_iter().take(COLOURS).map(|(rgb, _)| rgb).collect();
    let distance = |a: [u8; 3], b: [u8; 3]| (0..3).map(|i| u32::from(a[i].abs_diff(b[i])).pow(2)).sum::<u32>();
    let next = |rgb: [u8; 3]| (0..palette.len()).min_by_key(|&i| distance(palette[i], rgb)).unwrap_or(0) as u8;
    let numbers = all.keys().map(|&rgb| (rgb, next(rgb))).collect();
    (palette, numbers)
}

/// A colour on a lattice through white.
fn coarse(rgb: [u8; 3], step: u8) -> [u8; 3] {
    rgb.map(|channel| 255u8.saturating_sub((255 - channel).saturating_add(step / 2) / step * step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(bytes).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            frames.push((frame.delay, frame.buffer.to_vec()));
        }
        frames
    }

    #[test]
    fn what_stays_as_it_was_is_left_out() {
        let picture = |rgb: [u8; 6]| Picture { width: 2, height: 1, rgb: rgb.to_vec() };
        let bytes = encode(&[(picture([255, 255, 255, 10, 20, 30]), 50), (picture([0, 0, 0, 10, 20, 30]), 200)]).unwrap();
        assert_eq!(read(&bytes), [(50, vec![255, 255, 255, 255, 10, 20, 30, 255]), (200, vec![0, 0, 0, 255, 0, 0, 0, 0])]);
        assert!(bytes.windows(11).any(|w| w == b"NETSCAPE2.0"), "it is shown again and again");
    }

    #[test]
    fn more_colours_than_there_is_room_for_become_fewer_and_white_stays_white() {
        let rgb: Vec<u8> = (0..1000u32).flat_map(|i| [(i % 256) as u8, (i / 4) as u8, (i * 7 % 256) as u8]).chain([255; 9]).collect();
        let frames = read(&encode(&[(Picture { width: 1003, height: 1, rgb: rgb.clone() }, 1)]).unwrap());
        let shown: Vec<u8> = frames[0].1.chunks(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        let away: u32 = rgb.iter().zip(&shown).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        assert!(away / (rgb.len() as u32) < 16 && shown.ends_with(&[255; 3]), "{away}");
        assert!(encode(&[]).is_err());
    }
}
