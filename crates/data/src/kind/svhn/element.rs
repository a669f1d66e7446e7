//! Tagged elements, the pieces a MATLAB 5 file is made of.
//!
//! *MAT-File Format*, The MathWorks, chapter "Level 5 MAT-Files": a tag of 8 bytes (type, length), the data, and filling up to a multiple of 8 bytes. Data of at most
//! 4 bytes may stand within the tag. Numbers are stored in the smallest type that holds them all, whatever the class of the array.

use std::io::{Error, ErrorKind, Read, Result};

pub(super) const INT8: u32 = 1;
pub(super) const UINT8: u32 = 2;
pub(super) const INT32: u32 = 5;
pub(super) const UINT32: u32 = 6;
pub(super) const MATRIX: u32 = 14;
pub(super) const COMPRESSED: u32 = 15;

/// The first of every element: what it holds, and how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) kind: u32,
    pub(super) size: u64,
    /// The data, where they stand within the tag.
    small: Option<[u8; 4]>,
}

impl Tag {
    pub(super) fn read(reader: &mut dyn Read) -> Result<Self> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        let [a, b, c, d, rest @ ..] = bytes;
        Ok(match u16::from_le_bytes([c, d]) {
            0 => Self { kind: u32::from_le_bytes([a, b, c, d]), size: u64::from(u32::from_le_bytes(rest)), small: None },
            size @ 1..=4 => Self { kind: u32::from(u16::from_le_bytes([a, b])), size: u64::from(size), small: Some(rest) },
            size => return Err(damaged(format!("a tag that holds {size} bytes"))),
        })
    }

    /// Bytes that fill up after the data.
    pub(super) fn filling(&self) -> u64 {
        if self.small.is_some() { 0 } else { self.size.next_multiple_of(8) - self.size }
    }

    /// The data of an element of at most `most` bytes, and past its filling.
    pub(super) fn data(&self, reader: &mut dyn Read, most: u64) -> Result<Vec<u8>> {
        if self.size > most {
            return Err(damaged(format!("{} bytes where at most {most} are expected", self.size)));
        }
        if let Some(small) = self.small {
            return Ok(small.into_iter().take(self.size as usize).collect());
        }
        let mut data = vec![0; (self.size + self.filling()) as usize];
        reader.read_exact(&mut data)?;
        data.truncate(self.size as usize);
        Ok(data)
    }

    /// The same as numbers.
    pub(super) fn numbers(&self, reader: &mut dyn Read, most: u64) -> Result<Vec<f64>> {
        let data = self.data(reader, most)?;
        Ok(match self.kind {
            INT8 => numbers(&data, |[a]| f64::from(a as i8)),
            UINT8 => numbers(&data, |[a]| f64::from(a)),
            3 => numbers(&data, |bytes| f64::from(i16::from_le_bytes(bytes))),
            4 => numbers(&data, |bytes| f64::from(u16::from_le_bytes(bytes))),
            INT32 => numbers(&data, |bytes| f64::from(i32::from_le_bytes(bytes))),
            UINT32 => numbers(&data, |bytes| f64::from(u32::from_le_bytes(bytes))),
            7 => numbers(&data, |bytes| f64::from(f32::from_le_bytes(bytes))),
            9 => numbers(&data, f64::from_le_bytes),
            kind => return Err(damaged(format!("numbers of type {kind}"))),
        })
    }
}

fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.as_chunks().0.iter().map(|&bytes| number(bytes)).collect()
}

/// An error of the file's own.
pub(super) fn damaged(what: String) -> Error {
    Error::new(ErrorKind::InvalidData, format!("it holds {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Result<Vec<f64>> {
        let tag = Tag::read(&mut bytes)?;
        tag.numbers(&mut bytes, 64)
    }

    #[test]
    fn numbers_of_every_type_are_read() {
        assert_eq!(read(&[1, 0, 1, 0, 254, 0, 0, 0]).unwrap(), [-2.0]);
        assert_eq!(read(&[2, 0, 2, 0, 254, 3, 0, 0]).unwrap(), [254.0, 3.0]);
        assert_eq!(read(&[3, 0, 2, 0, 255, 255, 0, 0]).unwrap(), [-1.0]);
        assert_eq!(read(&[4, 0, 4, 0, 0, 1, 1, 0]).unwrap(), [256.0, 1.0]);
        assert_eq!(read(&[5, 0, 4, 0, 255, 255, 255, 255]).unwrap(), [-1.0]);
        assert_eq!(read(&[6, 0, 4, 0, 0, 0, 1, 0]).unwrap(), [65536.0]);
        assert_eq!(read(&[7, 0, 4, 0, 0, 0, 128, 63]).unwrap(), [1.0]);
        assert_eq!(read(&[9, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 240, 63]).unwrap(), [1.0]);
        assert!(read(&[17, 0, 1, 0, 1, 0, 0, 0]).is_err());
    }

    #[test]
    fn an_element_is_read_with_its_filling() {
        let bytes = [2, 0, 0, 0, 3, 0, 0, 0, 7, 8, 9, 0, 0, 0, 0, 0, 55];
        let mut rest = &bytes[..];
        let tag = Tag::read(&mut rest).unwrap();
        assert_eq!((tag.data(&mut rest, 3).unwrap(), rest), (vec![7, 8, 9], &[55][..]));
    }

    #[test]
    fn more_data_than_expected_is_an_error_before_any_is_read() {
        let error = read(&[2, 0, 0, 0, 255, 255, 255, 255]).unwrap_err().to_string();
        assert_eq!(error, "it holds 4294967295 bytes where at most 64 are expected");
    }
}
