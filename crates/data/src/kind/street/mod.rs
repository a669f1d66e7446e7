//! Street numbers: house numbers drawn on the fly, with the boxes of real ones, as a stand-in for SVHN.
//!
//! A number's length, its digits, their boxes and the edges of its photograph are drawn from [`statistics`]; what is cut out of the photograph, as SVHN's protocols
//! cut, is painted by [`scene`] in the resolution of the photograph, from the outlines of free fonts ([`face`]), and resized. Every number comes from the stream
//! of the visit alone.

mod canvas;
mod digits;
mod face;
mod jpeg;
mod numbers;
mod scene;
mod statistics;
mod surface;

pub use digits::StreetDigitsSpec;
pub use numbers::StreetNumbersSpec;

use crate::Provenance;
use crate::checksum::Checksum;

/// The fonts' licences, and where the statistics are from.
const LICENCE: &str = "synthetic; fonts: Foxit's of PDFium (BSD-3-Clause), DejaVu (Bitstream Vera licence)";

/// Where drawn pictures come from; the checksum is that of the statistics and the fonts.
fn provenance(source: &str) -> Provenance {
    let mut sum = Checksum::default();
    sum.add(statistics::TABLE.as_bytes());
    face::files().iter().for_each(|file| sum.add(file));
    Provenance { source: source.into(), sha256: sum.finish(), synthetic: true, licence: LICENCE.into() }
}
