//! The digits of free fonts, as distances from their outlines.

use std::sync::OnceLock;

use rayon::prelude::*;
use ttf_parser::{Face as TrueType, OutlineBuilder, cff};

use crate::{Error, Result};

/// What a font is read for: the digits, and letters that stand beside them.
pub(crate) const SIGNS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'E', 'N', 'R'];

/// Steps in the height of a digit.
const STEPS: f32 = 40.0;
/// How far around a sign distances are known, in heights.
const MARGIN: f32 = 0.25;

/// A sign: how far each point is within its outline.
#[derive(Debug)]
pub(crate) struct Glyph {
    /// Width and height of the ink, in heights of a digit.
    pub(crate) width: f32,
    pub(crate) height: f32,
    columns: usize,
    rows: usize,
    /// Row after row, from [`MARGIN`] beyond the ink's upper left corner; in heights, positive within.
    depths: Vec<f32>,
}

/// A font's signs, as [`SIGNS`].
#[derive(Debug)]
pub(crate) struct Face {
    pub(crate) glyphs: Vec<Glyph>,
}

impl Glyph {
    /// How far a point is within the ink, in heights; (0, 0) is the middle of the ink, x to the right and y down. `None` further outside than is known.
    pub(crate) fn depth(&self, x: f32, y: f32) -> Option<f32> {
        let (column, row) = ((x + 0.5 * self.width + MARGIN) * STEPS, (y + 0.5 * self.height + MARGIN) * STEPS);
        if !(column >= 0.0 && row >= 0.0 && column < (self.columns - 1) as f32 && row < (self.rows - 1) as f32) {
            return None;
        }
        let (left, top) = (column as usize, row as usize);
        let (across, down) = (column - left as f32, row - top as f32);
        let above = &self.depths[top * self.columns + left..][..2];
        let below = &self.depths[(top + 1) * self.columns + left..][..2];
        let (above, below) = (above[0] + across * (above[1] - above[0]), below[0] + across * (below[1] - below[0]));
        Some(above + down * (below - above))
    }

    /// From the segments of its outline, and the height of a digit in their units.
    fn new(segments: &[Segment], unit: f32) -> Option<Self> {
        let fold = |of: fn(&Segment) -> f32, with: fn(f32, f32) -> f32| segments.iter().map(of).reduce(with);
        let (left, right) = (fold(|s| s[0], f32::min)?, fold(|s| s[0], f32::max)?);
        let (bottom, top) = (fold(|s| s[1], f32::min)?, fold(|s| s[1], f32::max)?);
        let (width, height) = ((right - left) / unit, (top - bottom) / unit);
        let count = |length: f32| ((length + 2.0 * MARGIN) * STEPS).ceil() as usize + 1;
        let (columns, rows) = (count(width), count(height));
        let place = |index: usize| (index as f32 / STEPS - MARGIN) * unit;
        // Fonts have y upwards.
        let depths = (0..rows * columns).map(|cell| depth(segments, left + place(cell % columns), top - place(cell / columns)) / unit).collect();
        Some(Self { width, height, columns, rows, depths })
    }
}

/// x and y of its two ends, in the units of a font.
type Segment = [f32; 4];

/// How far a point is within an outline: the distance to the nearest segment, negative outside.
fn depth(segments: &[Segment], x: f32, y: f32) -> f32 {
    let (mut nearest, mut turns) = (f32::INFINITY, 0);
    for &[x0, y0, x1, y1] in segments {
        let (across, up) = (x1 - x0, y1 - y0);
        let length = across * across + up * up;
        let along = if length > 0.0 { (((x - x0) * across + (y - y0) * up) / length).clamp(0.0, 1.0) } else { 0.0 };
        nearest = nearest.min((x - x0 - along * across).powi(2) + (y - y0 - along * up).powi(2));
        if (y0 <= y) != (y1 <= y) {
            let right = across * (y - y0) - (x - x0) * up;
            turns += if up > 0.0 { i32::from(right > 0.0) } else { -i32::from(right < 0.0) };
        }
    }
    if turns == 0 { -nearest.sqrt() } else { nearest.sqrt() }
}

/// An outline as segments; a curve is cut into 8.
#[derive(Default)]
struct Outline {
    segments: Vec<Segment>,
    start: [f32; 2],
    here: [f32; 2],
}

impl Outline {
    fn curve(&mut self, at: impl Fn(f32) -> [f32; 2]) {
        for step in 1..=8 {
            let [x, y] = at(step as f32 / 8.0);
            self.line_to(x, y);
        }
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        (self.start, self.here) = ([x, y], [x, y]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.segments.push([self.here[0], self.here[1], x, y]);
        self.here = [x, y];
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let [x0, y0] = self.here;
        let at = |t: f32, a: f32, b: f32, c: f32| (1.0 - t).powi(2) * a + 2.0 * t * (1.0 - t) * b + t * t * c;
        self.curve(|t| [at(t, x0, x1, x), at(t, y0, y1, y)]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let [x0, y0] = self.here;
        let at = |t: f32, a: f32, b: f32, c: f32, d: f32| (1.0 - t).powi(3) * a + 3.0 * t * (1.0 - t).powi(2) * b + 3.0 * t * t * (1.0 - t) * c + t.powi(3) * d;
        self.curve(|t| [at(t, x0, x1, x2, x), at(t, y0, y1, y2, y)]);
    }

    fn close(&mut self) {
        let [x, y] = self.start;
        self.line_to(x, y);
    }
}

/// The fonts: Foxit's of PDFium in CFF, and DejaVu in TrueType.
const FILES: [fn() -> &'static [u8]; 14] = [
    || typst_assets::pdf::SANS,
    || typst_assets::pdf::SANS_BOLD,
    || typst_assets::pdf::SANS_ITALIC,
    || typst_assets::pdf::SANS_BOLD_ITALIC,
    || typst_assets::pdf::SERIF,
    || typst_assets::pdf::SERIF_BOLD,
    || typst_assets::pdf::SERIF_ITALIC,
    || typst_assets::pdf::SERIF_BOLD_ITALIC,
    || typst_assets::pdf::FIXED,
    || typst_assets::pdf::FIXED_BOLD,
    dejavu::sans_condensed::regular,
    dejavu::sans_condensed::bold,
    dejavu::serif_condensed::regular,
    dejavu::serif_condensed::bold,
];

/// The fonts' files.
pub(crate) fn files() -> Vec<&'static [u8]> {
    FILES.iter().map(|file| file()).collect()
}

/// Every font, read once in a process.
pub(crate) fn faces() -> Result<&'static [Face]> {
    static FACES: OnceLock<Option<Vec<Face>>> = OnceLock::new();
    let read = || FILES.par_iter().map(|file| read(file())).collect();
    FACES.get_or_init(read).as_deref().ok_or_else(|| Error::Unsupported("a font of the street numbers cannot be read".into()))
}

fn read(file: &[u8]) -> Option<Face> {
    let outlines: Vec<Vec<Segment>> = SIGNS.iter().map(|&sign| outline(file, sign)).collect::<Option<_>>()?;
    let heights = |segments: &[Segment]| segments.iter().map(|s| s[1]).fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    // A 1 has no curves that go beyond the line.
    let (low, high) = heights(&outlines[1]);
    Some(Face { glyphs: outlines.iter().map(|segments| Glyph::new(segments, high - low)).collect::<Option<_>>()? })
}

fn outline(file: &[u8], sign: char) -> Option<Vec<Segment>> {
    let mut outline = Outline::default();
    if let Ok(face) = TrueType::parse(file, 0) {
        face.outline_glyph(face.glyph_index(sign)?, &mut outline)?;
    } else {
        let table = cff::Table::parse(file)?;
        table.outline(table.glyph_index(u8::try_from(sign).ok()?)?, &mut outline).ok()?;
    }
    Some(outline.segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_font_has_every_sign() {
        for (index, face) in faces().unwrap().iter().enumerate() {
            for (sign, glyph) in SIGNS.iter().zip(&face.glyphs) {
                assert!((0.8..1.2).contains(&glyph.height) && (0.15..1.2).contains(&glyph.width), "font {index}, {sign}: {} x {}", glyph.height, glyph.width);
                let ink = glyph.depths.iter().filter(|depth| **depth > 0.0).count() as f32 / (STEPS * STEPS * glyph.height * glyph.width);
                assert!((0.1..0.9).contains(&ink), "font {index}, {sign}: {ink} of it is ink");
            }
        }
    }

    #[test]
    fn depth_is_the_distance_from_the_outline() {
        let square = [[0.0, 0.0, 10.0, 0.0], [10.0, 0.0, 10.0, 10.0], [10.0, 10.0, 0.0, 10.0], [0.0, 10.0, 0.0, 0.0]];
        let glyph = Glyph::new(&square, 10.0).unwrap();
        assert_eq!((glyph.width, glyph.height), (1.0, 1.0));
        for (x, y, depth) in [(0.0, 0.0, 0.5), (0.3, 0.0, 0.2), (0.0, -0.6, -0.1), (0.65, 0.1, -0.15)] {
            assert!((glyph.depth(x, y).unwrap() - depth).abs() < 1e-3, "{x} {y}: {:?}", glyph.depth(x, y));
        }
        assert_eq!(glyph.depth(0.8, 0.0), None);
    }

    #[test]
    fn a_hole_is_outside() {
        for face in faces().unwrap() {
            assert!(face.glyphs[0].depth(0.0, 0.0).unwrap() < 0.0, "the middle of a 0");
        }
    }
}
