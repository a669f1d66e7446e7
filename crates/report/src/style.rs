//! Colours, fonts and sizes: one look for every figure.
//!
//! A figure is laid out in millimetres and points for type of the usual size ([`FONT_SIZE`]). Where [`Style::font_size`] is another, the whole sheet is enlarged
//! by as much, and laid out as much narrower: what is as wide as asked for then has type of the size asked for, and lines and gaps that suit it.

use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor, register_font};
use std::sync::OnceLock;
use ttf_parser::Face;

/// Millimetres a typographic point.
pub const POINT: f64 = 25.4 / 72.0;
/// The name that the embedded font is registered under: as an SVG's font family it also names what to take where DejaVu Sans is not installed, nearest widths first.
pub const FAMILY: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";
/// Plotters takes a font's size to be its line height, which is this many em in the embedded fonts (see fonts/subset.py).
pub const LINE_HEIGHT: f64 = 1.24;

/// Text and axes.
pub const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// What stands back: captions, row labels.
pub const GREY: RGBColor = RGBColor(0x6A, 0x6A, 0x6A);
/// Grid lines and frames of pictures.
pub const RULE: RGBColor = RGBColor(0xD9, 0xD9, 0xD9);
/// Around an image, where there is none.
pub const MARGIN: RGBColor = RGBColor(0xF0, 0xF0, 0xF0);
/// Paper.
pub const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// A wrong prediction.
pub const WRONG: RGBColor = RGBColor(0xC0, 0x1C, 0x28);

/// Colours of the models, in order: those of Okabe and Ito without the yellow, which is lost on white, then some of Paul Tol's "muted" scheme.
pub const PALETTE: [RGBColor; 10] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x33, 0x22, 0x88),
    RGBColor(0x99, 0x99, 0x33),
    RGBColor(0x88, 0x22, 0x55),
    RGBColor(0x55, 0x55, 0x55),
];

/// Size of ticks, legends and values, points; other type keeps its proportion to it.
pub const FONT_SIZE: f64 = 7.0;

/// What a journal asks of its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Columns of the page that a figure fills: 1 or 2.
    pub columns: u8,
    /// Width of one column, mm.
    pub column_width: f64,
    /// Width of the text, which is that of two columns, mm.
    pub text_width: f64,
    /// Size of ticks, legends and values, points.
    pub font_size: f64,
    /// Colours of the models, in order; not empty.
    pub palette: Vec<RGBColor>,
}

impl Default for Style {
    fn default() -> Self {
        Self { columns: 2, column_width: 88.0, text_width: 180.0, font_size: FONT_SIZE, palette: PALETTE.to_vec() }
    }
}

impl Style {
    /// How much a sheet is enlarged.
    pub fn enlargement(&self) -> f64 {
        self.font_size / FONT_SIZE
    }

    /// Width of a figure before it is enlarged, mm.
    pub fn width(&self) -> f64 {
        (if self.columns == 1 { self.column_width } else { self.text_width }) / self.enlargement()
    }

    /// Whether there is no room for much beside each other.
    pub fn narrow(&self) -> bool {
        self.width() < 125.0
    }

    /// The colour of the `index`-th model.
    pub fn colour(&self, index: usize) -> RGBColor {
        self.palette[index % self.palette.len()]
    }

    /// The shape of its markers, of [`SHAPES`]: models of one colour differ in it.
    pub fn shape(&self, index: usize) -> usize {
        (index % self.palette.len() + index / self.palette.len()) % SHAPES
    }
}

/// Shapes of markers.
pub const SHAPES: usize = 5;

/// `colour` thinned with white: `share` of it stays. Opaque, so that overlapping strokes do not add up.
pub fn tint(colour: RGBColor, share: f64) -> RGBColor {
    let mix = |c: u8| (255.0 - (255.0 - f64::from(c)) * share).round() as u8;
    RGBColor(mix(colour.0), mix(colour.1), mix(colour.2))
}

/// A size and weight of type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Type {
    /// Points.
    pub size: f64,
    /// Bold or regular.
    pub bold: bool,
}

impl Type {
    /// Tick labels, legends, values.
    pub const SMALL: Type = Type { size: 7.0, bold: false };
    /// Notes and values where room is scarce.
    pub const TINY: Type = Type { size: 6.0, bold: false };
    /// Axis labels.
    pub const LABEL: Type = Type { size: 8.0, bold: false };
    /// Panel titles.
    pub const TITLE: Type = Type { size: 8.5, bold: true };
    /// Names of models beside pictures.
    pub const NAME: Type = Type { size: 7.0, bold: true };

    /// One em in millimetres.
    pub fn em(self) -> f64 {
        self.size * POINT
    }

    /// Height of a capital in millimetres.
    pub fn cap(self) -> f64 {
        0.73 * self.em()
    }

    /// Width of a text in millimetres, in the embedded font.
    pub fn width(self, text: &str) -> f64 {
        const EM: f64 = 1000.0;
        let pixels = font(self.bold, EM).layout_box(text).map_or(0, |((left, _), (right, _))| right - left);
        f64::from(pixels) / EM * self.em()
    }

    /// `text`, shortened with an ellipsis where it is wider than `width` millimetres.
    pub fn shortened(self, text: &str, width: f64) -> String {
        if self.width(text) <= width {
            return text.to_string();
        }
        let ends = text.char_indices().map(|(end, _)| format!("{}…", &text[..end]));
        ends.take_while(|shorter| self.width(shorter) <= width).last().unwrap_or_default()
    }

    /// `text` broken at spaces, underscores, hyphens and commas into lines no wider than `width` millimetres, where its words allow.
    pub fn wrap(self, text: &str, width: f64) -> Vec<String> {
        self.broken(text.split_inclusive([' ', '_', '-', ',']), width)
    }

    /// The same broken at spaces alone.
    pub fn wrap_words(self, text: &str, width: f64) -> Vec<String> {
        self.broken(text.split_inclusive(' '), width)
    }

    fn broken<'a>(self, words: impl Iterator<Item = &'a str>, width: f64) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in words {
            let last = lines.last().map_or("", String::as_str);
            let joined = format!("{last}{word}");
            if last.is_empty() || self.width(joined.trim_end()) <= width {
                lines.pop();
                lines.push(joined);
            } else {
                lines.push(word.to_string());
            }
        }
        lines.iter().map(|line| line.trim_end().to_string()).collect()
    }
}

/// The files of the embedded font, regular and bold.
const FILES: [&[u8]; 2] = [include_bytes!("../fonts/DejaVuSans.subset.ttf"), include_bytes!("../fonts/DejaVuSans-Bold.subset.ttf")];

/// The embedded font as its file has it; `None` where that cannot be read, which a test rules out.
pub fn face(bold: bool) -> Option<Face<'static>> {
    Face::parse(FILES[usize::from(bold)], 0).ok()
}

/// The embedded font with an em of `em` pixels.
pub fn font(bold: bool, em: f64) -> FontDesc<'static> {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        for (style, bytes) in [FontStyle::Normal, FontStyle::Bold].into_iter().zip(FILES) {
            if register_font(FAMILY, style, bytes).is_err() {
                tracing::error!("the embedded font cannot be read");
            }
        }
    });
    // Of the numbers next to em * LINE_HEIGHT the one that gives em again: an SVG then says 247 and not 246.99999999999997.
    let height = em * LINE_HEIGHT;
    let height = [height, height.next_up(), height.next_down()].into_iter().find(|h| h / LINE_HEIGHT == em).unwrap_or(height);
    FontDesc::new(FontFamily::Name(FAMILY), height, if bold { FontStyle::Bold } else { FontStyle::Normal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_font_has_a_line_height_of_1_24_em_and_the_width_of_dejavu_sans() {
        // Advance of "0" in DejaVu Sans: 1303 of 2048 units an em.
        let width = Type { size: 72.0 / 25.4 * 100.0, bold: false }.width("0000000000");
        assert!((width - 10.0 * 100.0 * 1303.0 / 2048.0).abs() < 1.0, "{width}");
    }

    #[test]
    fn wrapping_breaks_at_words_and_loses_nothing() {
        let lines = Type::SMALL.wrap("ST-CNN thin_plate spline", 14.0);
        assert!(lines.len() > 1);
        assert_eq!(lines.concat().replace(' ', ""), "ST-CNNthin_platespline");
    }

    #[test]
    fn shortening_keeps_to_the_width_and_leaves_short_texts_alone() {
        assert_eq!(Type::SMALL.shortened("short", 50.0), "short");
        let shorter = Type::SMALL.shortened("a name that is far too long", 20.0);
        assert!(shorter.ends_with('…') && Type::SMALL.width(&shorter) <= 20.0, "{shorter}");
    }

    #[test]
    fn a_tint_of_nothing_is_paper_and_of_all_the_colour() {
        assert_eq!(tint(WRONG, 0.0), PAPER);
        assert_eq!(tint(WRONG, 1.0), WRONG);
    }

    #[test]
    fn the_files_of_the_embedded_font_can_be_read() {
        assert!([false, true].into_iter().all(|bold| face(bold).is_some_and(|face| face.glyph_index('±').is_some())));
    }

    #[test]
    fn larger_type_leaves_less_room_on_a_sheet_as_wide_as_before() {
        let style = Style { font_size: 2.0 * FONT_SIZE, ..Style::default() };
        assert_eq!((style.width(), style.width() * style.enlargement()), (90.0, 180.0));
        assert_eq!(Style { columns: 1, ..Style::default() }.width(), 88.0);
    }

    #[test]
    fn models_of_one_colour_have_markers_of_their_own() {
        for style in [Style::default(), Style { palette: PALETTE[..4].to_vec(), ..Style::default() }] {
            let looks: std::collections::BTreeSet<_> = (0..SHAPES * style.palette.len()).map(|i| (i % style.palette.len(), style.shape(i))).collect();
            assert_eq!(looks.len(), SHAPES * style.palette.len());
        }
    }
}
