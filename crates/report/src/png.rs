//! PNG files in memory, and base64 to put them into an SVG.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

/// RGB pixels as a PNG; `dpi` is noted in the file, so that a page gives it its size.
pub fn encode(rgb: &[u8], width: u32, height: u32, dpi: Option<u32>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(rgb, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| error.to_string())?;
    if let Some(dpi) = dpi {
        let end_of_header = 8 + 25;
        bytes.splice(end_of_header..end_of_header, density(dpi));
    }
    Ok(bytes)
}

/// The `pHYs` chunk: pixels a metre across and down.
fn density(dpi: u32) -> Vec<u8> {
    let a_metre = (f64::from(dpi) / 0.0254).round() as u32;
    let mut chunk = b"pHYs".to_vec();
    chunk.extend(a_metre.to_be_bytes());
    chunk.extend(a_metre.to_be_bytes());
    chunk.push(1);
    let check = crc32(&chunk);
    [9u32.to_be_bytes().to_vec(), chunk, check.to_be_bytes().to_vec()].concat()
}

/// CRC-32 of the PNG specification, bit by bit: chunks here are short.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }))
}

/// Means over `factor` x `factor` blocks of RGB pixels.
pub fn shrink(rgb: &[u8], (width, height): (u32, u32), factor: u32) -> Vec<u8> {
    let (width, height, factor) = (width as usize, height as usize, factor as usize);
    let count = (factor * factor) as u32;
    let mut small = Vec::with_capacity(rgb.len() / (factor * factor));
    for y in 0..height / factor {
        for x in 0..width / factor {
            for channel in 0..3 {
                let sum: u32 = (0..factor * factor).map(|i| u32::from(rgb[3 * ((y * factor + i / factor) * width + x * factor + i % factor) + channel])).sum();
                small.push(((sum + count / 2) / count) as u8);
            }
        }
    }
    small
}

/// Base64 with padding (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0u32, |bits, (i, &byte)| bits | u32::from(byte) << (16 - 8 * i));
        for i in 0..4 {
            text.push(if i <= group.len() { DIGITS[(bits >> (18 - 6 * i)) as usize & 63] as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        // The end chunk of every PNG: no data, only its type and this sum.
        assert_eq!(crc32(b"IEND"), 0xAE42_6082);
    }

    #[test]
    fn a_png_with_a_density_can_be_read_again() {
        let bytes = encode(&[10, 20, 30], 1, 1, Some(300)).unwrap();
        assert!(bytes.windows(4).any(|w| w == b"pHYs"));
        assert_eq!(image::load_from_memory(&bytes).unwrap().to_rgb8().into_raw(), [10, 20, 30]);
    }

    #[test]
    fn shrinking_takes_means() {
        let rgb = [0, 0, 0, 100, 0, 0, 200, 0, 0, 100, 0, 0];
        assert_eq!(shrink(&rgb, (2, 2), 2), [100, 0, 0]);
    }
}
