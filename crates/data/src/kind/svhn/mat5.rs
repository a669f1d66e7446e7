//! Single digits of 32 x 32 pixels in a MATLAB 5 file: `train_32x32.mat`, `test_32x32.mat`, `extra_32x32.mat`.
//!
//! Such a file holds `X`, 32 x 32 x 3 x N bytes with the row fastest, and `y`, N x 1 numbers from 1 to 10, of which 10 is the digit 0; each compressed on its own.
//! It is read as a stream: what is in memory is what is returned.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::element::{COMPRESSED, INT8, INT32, MATRIX, Tag, UINT8, UINT32, damaged};
use crate::checksum::Checksum;
use crate::images::{Images, Pixels};
use crate::{Error, Result};

/// Height and width of a digit.
const SIDE: usize = 32;
/// The bytes of a digit.
const BYTES: usize = 3 * SIDE * SIDE;
/// The header of a file.
const HEADER: u64 = 128;
/// So many times larger can what is unpacked be than what is packed, by the format; a little is for headers.
const MOST_UNPACKED: u64 = 1040;
/// The array class of bytes.
const CLASS_UINT8: u8 = 9;
/// The array classes of numbers: double, single and the integers.
const CLASSES_OF_NUMBERS: std::ops::RangeInclusive<u8> = 6..=15;

/// Reads a whole file and adds it to the checksum.
pub(crate) fn read(path: &Path, sum: &mut Checksum) -> Result<Images> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    sum.add_file(path)?;
    let arrays = Scan { reader: BufReader::with_capacity(1 << 20, file), position: 0, length }.arrays().map_err(|stop| stop.at(path, length))?;
    let missing = |name: &str| {
        let message =
            format!("holds no array `{name}` in its {length} bytes; it is cut off, or not one of SVHN's *_32x32.mat: delete it and download it again");
        Error::file(path, message)
    };
    let pixels = arrays.pixels.ok_or_else(|| missing("X"))?;
    let labels = arrays.labels.ok_or_else(|| missing("y"))?;
    Images::new(path, [3, SIDE, SIDE], Pixels::Bytes(pixels), labels)
}

/// The two arrays.
#[derive(Debug, Default)]
struct Arrays {
    pixels: Option<Vec<u8>>,
    labels: Option<Vec<u32>>,
}

/// A value, or why a file is read no further.
type Scanned<T> = std::result::Result<T, Stop>;

/// Why a file is read no further.
#[derive(Debug)]
enum Stop {
    /// It ends before this byte, which its own tags promise.
    Cut(u64),
    /// It is one of these, not a MATLAB 5 file.
    Other(&'static str),
    /// It holds what it should not.
    Damaged(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Damaged(error)
    }
}

impl Stop {
    fn at(self, path: &Path, length: u64) -> Error {
        let message = match self {
            Self::Cut(end) => {
                format!(
                    "is cut off: it has {length} bytes, and what is in it goes on to byte {end} at least; the download broke off: delete it and download it again"
                )
            }
            Self::Other(what) => format!("is {what}; SVHN's *_32x32.mat are MATLAB 5 files: delete it and download it again"),
            Self::Damaged(error) if error.kind() == ErrorKind::UnexpectedEof => {
                "is damaged: an array in it ends too early; delete it and download it again".into()
            }
            Self::Damaged(error) => format!("is damaged ({error}); delete it and download it again"),
        };
        Error::file(path, message)
    }
}

/// A file on the way through it.
struct Scan<R> {
    reader: BufReader<R>,
    position: u64,
    length: u64,
}

impl<R: Read + Seek> Scan<R> {
    fn arrays(&mut self) -> Scanned<Arrays> {
        self.header()?;
        let mut arrays = Arrays::default();
        while self.position < self.length && (arrays.pixels.is_none() || arrays.labels.is_none()) {
            self.promise(8)?;
            let tag = Tag::read(&mut self.reader)?;
            self.position += 8;
            self.promise(tag.size)?;
            self.element(tag, &mut arrays)?;
            self.position += tag.size;
            self.reader.seek(std::io::SeekFrom::Start(self.position))?;
        }
        Ok(arrays)
    }

    /// An error where the next `bytes` are not all there.
    fn promise(&self, bytes: u64) -> Scanned<()> {
        let end = self.position + bytes;
        if end > self.length { Err(Stop::Cut(end)) } else { Ok(()) }
    }

    fn header(&mut self) -> Scanned<()> {
        if self.length == 0 {
            return Err(Stop::Other("empty"));
        }
        let mut header = Vec::new();
        (&mut self.reader).take(HEADER).read_to_end(&mut header)?;
        let known = |text: &[u8]| text.get(..header.len().min(text.len())).is_some_and(|text| header.starts_with(text));
        if known(b"MATLAB 7.3 MAT-file") && header.len() > 8 {
            return Err(Stop::Other("a MATLAB 7.3 file, such as digitStruct.mat"));
        }
        if !known(b"MATLAB 5.0 MAT-file") {
            return Err(Stop::Other("no MATLAB file"));
        }
        self.promise(HEADER)?;
        if !header.ends_with(&[0, 1, b'I', b'M']) {
            return Err(Stop::Other("a MATLAB file of another version or byte order"));
        }
        self.position = HEADER;
        Ok(())
    }

    /// One array, packed or not; what is neither is passed over.
    fn element(&mut self, tag: Tag, arrays: &mut Arrays) -> Scanned<()> {
        let mut body = (&mut self.reader).take(tag.size);
        match tag.kind {
            COMPRESSED => {
                let mut unpacked = ZlibDecoder::new(body).take(tag.size.saturating_mul(MOST_UNPACKED) + 64);
                if Tag::read(&mut unpacked)?.kind == MATRIX && array(&mut unpacked, arrays)? {
                    // The checksum comes last.
                    std::io::copy(&mut unpacked, &mut std::io::sink())?;
                }
            }
            MATRIX => {
                array(&mut body, arrays)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads an array if it is one of the two, and says whether it was.
fn array(reader: &mut std::io::Take<impl Read>, arrays: &mut Arrays) -> std::io::Result<bool> {
    let flags = expect(reader, UINT32, 8)?;
    let class = flags.first().copied().unwrap_or_default();
    let dimensions: Vec<u64> = expect(reader, INT32, 128)?.as_chunks().0.iter().map(|&n| u64::from(u32::from_le_bytes(n))).collect();
    let name = expect(reader, INT8, 4096)?;
    match (name.as_slice(), dimensions.as_slice()) {
        // The last dimension is left out where it is 1.
        (b"X", [32, 32, 3]) if class == CLASS_UINT8 => arrays.pixels = Some(pixels(reader, 1)?),
        (b"X", &[32, 32, 3, count]) if class == CLASS_UINT8 => arrays.pixels = Some(pixels(reader, count)?),
        (b"y", &[count, 1] | &[1, count]) if CLASSES_OF_NUMBERS.contains(&class) => arrays.labels = Some(labels(reader, count)?),
        (b"X", _) => return Err(damaged(format!("an array X of {dimensions:?}, class {class}, not of 32 x 32 x 3 x N bytes"))),
        (b"y", _) => return Err(damaged(format!("an array y of {dimensions:?}, class {class}, not of N x 1 numbers"))),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The data of an element of this type.
fn expect(reader: &mut dyn Read, kind: u32, most: u64) -> std::io::Result<Vec<u8>> {
    let tag = Tag::read(reader)?;
    if tag.kind != kind {
        return Err(damaged(format!("an element of type {} where type {kind} belongs", tag.kind)));
    }
    tag.data(reader, most)
}

/// Images, channel after channel and row after row; memory is asked for only where the file can be long enough.
fn pixels(reader: &mut std::io::Take<impl Read>, count: u64) -> std::io::Result<Vec<u8>> {
    let tag = Tag::read(reader)?;
    let wanted = count.saturating_mul(BYTES as u64);
    if tag.kind != UINT8 || tag.size != wanted || wanted > reader.limit() {
        return Err(damaged(format!("{count} images in {} bytes of type {}", tag.size, tag.kind)));
    }
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(wanted as usize)?;
    let mut image = [0; BYTES];
    for _ in 0..count {
        reader.read_exact(&mut image)?;
        for plane in image.chunks_exact(SIDE * SIDE) {
            pixels.extend((0..SIDE * SIDE).map(|i| plane[(i % SIDE) * SIDE + i / SIDE]));
        }
    }
    reader.read_exact(&mut [0; 8][..tag.filling() as usize])?;
    Ok(pixels)
}

/// Digits from the numbers 1 to 10.
fn labels(reader: &mut std::io::Take<impl Read>, count: u64) -> std::io::Result<Vec<u32>> {
    let most = count.saturating_mul(8).min(reader.limit());
    let numbers = Tag::read(reader)?.numbers(reader, most)?;
    if numbers.len() as u64 != count {
        return Err(damaged(format!("{} labels in an array of {count}", numbers.len())));
    }
    let digit = |number: f64| match number {
        10.0 => Ok(0),
        1.0..10.0 if number.fract() == 0.0 => Ok(number as u32),
        _ => Err(damaged(format!("a label {number}; labels are 1 to 10, of which 10 is the digit 0"))),
    };
    numbers.into_iter().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::kind::svhn::samples::{DIGITS, PLAIN};

    fn scan(bytes: &[u8]) -> Scanned<Arrays> {
        Scan { reader: BufReader::new(Cursor::new(bytes)), position: 0, length: bytes.len() as u64 }.arrays()
    }

    fn error(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train_32x32.mat");
        std::fs::write(&path, bytes).unwrap();
        read(&path, &mut Checksum::default()).unwrap_err().to_string().split_once("train_32x32.mat: ").unwrap().1.to_owned()
    }

    /// The value the script gives to a pixel.
    fn pixel(image: usize, channel: usize, y: usize, x: usize) -> u8 {
        (x + 3 * y + 40 * image + 17 * channel) as u8
    }

    #[test]
    fn packed_arrays_are_read_channel_after_channel() {
        let arrays = scan(DIGITS).unwrap();
        let pixels = arrays.pixels.unwrap();
        assert_eq!((pixels.len(), arrays.labels), (4 * BYTES, Some(vec![1, 0, 9, 5])));
        for (i, value) in pixels.iter().enumerate() {
            assert_eq!(*value, pixel(i / BYTES, i / 1024 % 3, i / 32 % 32, i % 32));
        }
    }

    #[test]
    fn one_image_that_is_not_packed_is_read() {
        // Its labels come first, and are four.
        let arrays = scan(PLAIN).unwrap();
        assert_eq!((arrays.pixels.unwrap().len(), arrays.labels), (BYTES, Some(vec![1, 0, 9, 5])));
    }

    #[test]
    fn the_checksum_is_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digits.mat");
        std::fs::write(&path, DIGITS).unwrap();
        let mut sum = Checksum::default();
        assert_eq!(read(&path, &mut sum).unwrap().labels(), [1, 0, 9, 5]);
        assert_eq!(sum.finish(), crate::checksum::sha256(DIGITS));
    }

    #[test]
    fn a_file_that_is_cut_off_says_how_long_it_is() {
        let found = error(&DIGITS[..500]);
        assert!(found.starts_with("is cut off: it has 500 bytes, and what is in it goes on to byte ") && found.ends_with("download it again"), "{found}");
    }

    #[test]
    fn a_file_is_cut_off_or_empty_at_any_length() {
        assert!(error(b"").starts_with("is empty; "));
        for length in 1..DIGITS.len() {
            assert!(matches!(scan(&DIGITS[..length]), Err(Stop::Cut(_)) | Ok(Arrays { labels: None, .. })), "{length}");
        }
    }

    #[test]
    fn files_of_another_kind_are_told_apart() {
        assert!(error(b"MATLAB 7.3 MAT-file, Platform: GLNXA64").starts_with("is a MATLAB 7.3 file"));
        assert!(error(b"<html>404</html>").starts_with("is no MATLAB file"));
    }

    #[test]
    fn images_and_labels_must_be_as_many() {
        assert_eq!(error(PLAIN), "1 images but 4 labels; there must be one label for each image");
    }

    #[test]
    fn a_damaged_byte_of_packed_data_is_found() {
        let mut bytes = DIGITS.to_vec();
        bytes[300] ^= 4;
        assert!(error(&bytes).starts_with("is damaged"), "{}", error(&bytes));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Neither a panic nor more memory than a few images.
        #[test]
        fn damage_is_an_error_at_most(plain: bool, at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index) {
            let mut bytes = if plain { PLAIN.to_vec() } else { DIGITS.to_vec() };
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let _ = scan(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            let _ = scan(&bytes);
        }
    }
}
