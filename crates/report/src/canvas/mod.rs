//! A sheet of paper in millimetres, drawn as SVG or as pixels through plotters' two backends, or as PDF.
//!
//! The backends place text differently and know no pictures; here all do, so that a figure is drawn once and looks the same either way. PNGs are drawn at twice
//! their size and averaged: even edges.

mod pdf;

use crate::png;
use crate::style::{LINE_HEIGHT, PAPER, Type, font};
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, RGBAColor, RGBColor, ShapeStyle, TextStyle};

/// Lengths right and down from the sheet's upper left corner.
pub type Point = (f64, f64);

/// Units of the SVG a millimetre.
const SVG_UNITS: f64 = 100.0;
/// Pixels a millimetre at 300 dpi.
const PIXELS: f64 = 300.0 / 25.4;
/// Every pixel of a PNG is the mean of this many squared.
const OVERSAMPLING: u32 = 2;

/// A line's colour and width in millimetres.
#[derive(Debug, Clone, Copy)]
pub struct Stroke {
    /// Colour, opaque.
    pub colour: RGBColor,
    /// Millimetres.
    pub width: f64,
}

/// Where a text's anchor is along the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At its beginning.
    Start,
    /// In its middle.
    Middle,
    /// At its end.
    End,
}

/// A small picture to be shown large: RGB, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

/// What a figure is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Vectors, for pages.
    Svg,
    /// Pixels, 300 an inch.
    Png,
    /// Vectors, for papers.
    Pdf,
}

impl Format {
    /// All, in the order in which they are named.
    pub const ALL: [Format; 3] = [Format::Svg, Format::Png, Format::Pdf];

    /// The ending of a file's name, which is also what the format is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Pdf => "pdf",
        }
    }
}

enum Surface {
    /// The elements so far, without the outer tag.
    Svg(String),
    /// RGB at `OVERSAMPLING` times the final size.
    Pixels(Vec<u8>),
    Pdf(Box<pdf::Sheet>),
}

/// A sheet being drawn. Its lengths are millimetres, or as many times that as the sheet is enlarged. The first refusal of a backend is kept and reported by
/// [`Canvas::finish`].
pub struct Canvas {
    size: (u32, u32),
    scale: f64,
    surface: Surface,
    refusal: Option<String>,
}

impl Canvas {
    /// An empty sheet of `width` x `height` lengths of `unit` mm each.
    pub fn new(format: Format, width: f64, height: f64, unit: f64) -> Self {
        let (size, scale, surface) = match format {
            Format::Png => return Self::in_pixels(width, height, PIXELS * unit),
            Format::Svg => (extent(width, height, SVG_UNITS * unit), SVG_UNITS * unit, Surface::Svg(String::new())),
            Format::Pdf => ((0, 0), 1.0, Surface::Pdf(Box::new(pdf::Sheet::new(width, height, unit)))),
        };
        Self { size, scale, surface, refusal: None }
    }

    /// An empty sheet of `width` x `height` lengths of `density` pixels each.
    fn in_pixels(width: f64, height: f64, density: f64) -> Self {
        let (w, h) = extent(width, height, density);
        let size = (w * OVERSAMPLING, h * OVERSAMPLING);
        let white = vec![255; 3 * size.0 as usize * size.1 as usize];
        Self { size, scale: density * f64::from(OVERSAMPLING), surface: Surface::Pixels(white), refusal: None }
    }

    /// The finished file.
    pub fn finish(self) -> Result<Vec<u8>, String> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let (w, h) = self.size;
        match self.surface {
            Surface::Svg(body) => {
                let (wide, high) = (f64::from(w) / SVG_UNITS, f64::from(h) / SVG_UNITS);
                let head = format!(
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"{wide}mm\" height=\"{high}mm\" \
                     viewBox=\"0 0 {w} {h}\" stroke-linecap=\"round\" stroke-linejoin=\"round\">\n<rect width=\"{w}\" height=\"{h}\" fill=\"#FFFFFF\"/>\n"
                );
                Ok([head.as_str(), &body, "</svg>\n"].concat().into_bytes())
            }
            Surface::Pdf(sheet) => Ok(sheet.finish()),
            Surface::Pixels(rgb) => png::encode(&png::shrink(&rgb, self.size, OVERSAMPLING), w / OVERSAMPLING, h / OVERSAMPLING, Some(300)),
        }
    }

    /// A line through `points`, with round joints.
    pub fn line(&mut self, points: &[Point], stroke: Stroke) {
        if let Surface::Pdf(sheet) = &mut self.surface {
            return sheet.line(points, stroke);
        }
        let points = self.places(points);
        let width = self.length(stroke.width).max(1);
        let style = ShapeStyle { color: stroke.colour.to_rgba(), filled: true, stroke_width: width };
        if matches!(self.surface, Surface::Svg(_)) {
            self.draw_svg(|svg| svg.draw_path(points, &style));
            return;
        }
        // Plotters fills a thick path as one polygon, which fails where a path crosses itself: one bar a segment and a disc a joint instead.
        self.draw_pixels(|bitmap| {
            for pair in points.windows(2) {
                bitmap.draw_path([pair[0], pair[1]], &style).map_err(|e| e.to_string())?;
            }
            if width > 2 {
                for &point in &points {
                    bitmap.draw_circle(point, (width / 2).saturating_sub(1).max(1), &style, true).map_err(|e| e.to_string())?;
                }
            }
            Ok::<_, String>(())
        });
    }

    /// A filled polygon; `alpha` of 1 is opaque.
    pub fn polygon(&mut self, points: &[Point], colour: RGBColor, alpha: f64) {
        if let Surface::Pdf(sheet) = &mut self.surface {
            return sheet.polygon(points, colour, alpha);
        }
        let points = self.places(points);
        let style = fill(colour.mix(alpha));
        if points.len() > 2 {
            self.draw(|svg| svg.fill_polygon(points.clone(), &style), |bitmap| bitmap.fill_polygon(points.clone(), &style));
        }
    }

    /// A filled rectangle with its upper left corner at `at`.
    pub fn rectangle(&mut self, at: Point, (width, height): Point, colour: RGBColor) {
        if let Surface::Pdf(sheet) = &mut self.surface {
            return sheet.rectangle(at, (width, height), colour);
        }
        let (from, to) = (self.place(at), self.place((at.0 + width, at.1 + height)));
        let style = fill(colour.to_rgba());
        self.draw(|svg| svg.draw_rect(from, to, &style, true), |bitmap| bitmap.draw_rect(from, to, &style, true));
    }

    /// The outline of a rectangle.
    pub fn frame(&mut self, (x, y): Point, (width, height): Point, stroke: Stroke) {
        self.line(&[(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)], stroke);
    }

    /// A filled disc.
    pub fn disc(&mut self, centre: Point, radius: f64, colour: RGBColor) {
        if let Surface::Pdf(sheet) = &mut self.surface {
            return sheet.disc(centre, radius, colour);
        }
        let (centre, radius) = (self.place(centre), self.length(radius).max(1));
        let style = fill(colour.to_rgba());
        self.draw(|svg| svg.draw_circle(centre, radius, &style, true), |bitmap| bitmap.draw_circle(centre, radius, &style, true));
    }

    /// Text on one line, its baseline at `at`.
    pub fn text(&mut self, at: Point, text: &str, kind: Type, colour: RGBColor, anchor: Anchor) {
        self.write(at, text, kind, colour, anchor, false);
    }

    /// Text that reads upwards, its baseline at `at`.
    pub fn text_upwards(&mut self, at: Point, text: &str, kind: Type, colour: RGBColor, anchor: Anchor) {
        self.write(at, text, kind, colour, anchor, true);
    }

    fn write(&mut self, at: Point, text: &str, kind: Type, colour: RGBColor, anchor: Anchor, upwards: bool) {
        if text.is_empty() {
            return;
        }
        if let Surface::Pdf(sheet) = &mut self.surface {
            return sheet.text(at, text, kind, colour, anchor, upwards);
        }
        let em = (kind.em() * self.scale).round();
        // How far below the given point each backend puts the baseline of a text anchored at its top.
        let drop = match self.surface {
            Surface::Svg(_) => 0.76 * em,
            _ => LINE_HEIGHT * em / 2.0,
        };
        let (x, y) = (at.0 * self.scale, at.1 * self.scale);
        let place = if upwards { ((x - drop).round() as i32, y.round() as i32) } else { (x.round() as i32, (y - drop).round() as i32) };
        let h_pos = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let turned = font(kind.bold, em).transform(if upwards { FontTransform::Rotate270 } else { FontTransform::None });
        let style = TextStyle::from(turned).pos(Pos::new(h_pos, VPos::Top)).color(&colour);
        self.draw(|svg| svg.draw_text(text, &style, place), |bitmap| bitmap.draw_text(text, &style, place));
    }

    /// A picture stretched over a rectangle, its pixels kept square-edged.
    pub fn picture(&mut self, at: Point, (width, height): Point, picture: &Picture) {
        if let Surface::Pdf(sheet) = &mut self.surface {
            return sheet.picture(at, (width, height), picture);
        }
        let (from, to) = (self.place(at), self.place((at.0 + width, at.1 + height)));
        let (wide, high) = ((to.0 - from.0).max(1) as u32, (to.1 - from.1).max(1) as u32);
        match &mut self.surface {
            Surface::Svg(body) => match png::encode(&picture.rgb, picture.width, picture.height, None) {
                Ok(bytes) => body.push_str(&format!(
                    "<image x=\"{}\" y=\"{}\" width=\"{wide}\" height=\"{high}\" preserveAspectRatio=\"none\" image-rendering=\"optimizeSpeed\" \
                     style=\"image-rendering:pixelated\" xlink:href=\"data:image/png;base64,{}\"/>\n",
                    from.0,
                    from.1,
                    png::base64(&bytes)
                )),
                Err(reason) => self.refusal = Some(reason),
            },
            _ => {
                let large = enlarge(picture, wide, high);
                self.draw_pixels(|bitmap| bitmap.blit_bitmap(from, (wide, high), &large));
            }
        }
    }

    fn draw<A: std::fmt::Display, B: std::fmt::Display>(
        &mut self,
        svg: impl FnOnce(&mut SVGBackend) -> Result<(), A>,
        bitmap: impl FnOnce(&mut BitMapBackend) -> Result<(), B>,
    ) {
        match self.surface {
            Surface::Svg(_) => self.draw_svg(svg),
            _ => self.draw_pixels(bitmap),
        }
    }

    fn draw_svg<E: std::fmt::Display>(&mut self, draw: impl FnOnce(&mut SVGBackend) -> Result<(), E>) {
        let Surface::Svg(body) = &mut self.surface else { return };
        let mut piece = String::new();
        let outcome = draw(&mut SVGBackend::with_string(&mut piece, self.size));
        if let Err(error) = outcome {
            self.refusal.get_or_insert(error.to_string());
        }
        // The backend wraps what it draws in a document of its own.
        let inner = piece.split_once(">\n").map_or("", |(_, rest)| rest);
        body.push_str(inner.strip_suffix("</svg>\n").unwrap_or(inner));
    }

    fn draw_pixels<E: std::fmt::Display>(&mut self, draw: impl FnOnce(&mut BitMapBackend) -> Result<(), E>) {
        let Surface::Pixels(rgb) = &mut self.surface else { return };
        if let Err(error) = draw(&mut BitMapBackend::with_buffer(rgb, self.size)) {
            self.refusal.get_or_insert(error.to_string());
        }
    }

    fn place(&self, (x, y): Point) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn places(&self, points: &[Point]) -> Vec<(i32, i32)> {
        let mut places: Vec<_> = points.iter().map(|&point| self.place(point)).collect();
        places.dedup();
        places
    }

    fn length(&self, millimetres: f64) -> u32 {
        (millimetres * self.scale).round() as u32
    }
}

/// Draws one figure in a format, on a sheet of `size` lengths of `unit` mm each.
pub fn render(format: Format, size: (f64, f64), unit: f64, draw: impl Fn(&mut Canvas)) -> Result<Vec<u8>, String> {
    let mut canvas = Canvas::new(format, size.0, size.1, unit);
    draw(&mut canvas);
    canvas.finish()
}

/// Draws one figure as a picture of `density` pixels a millimetre, for a screen.
pub fn pixels(size: (f64, f64), unit: f64, density: f64, draw: impl Fn(&mut Canvas)) -> Result<Picture, String> {
    let mut canvas = Canvas::in_pixels(size.0, size.1, density * unit);
    draw(&mut canvas);
    let (Surface::Pixels(rgb), None) = (&canvas.surface, &canvas.refusal) else { return Err(canvas.refusal.unwrap_or_default()) };
    let (width, height) = (canvas.size.0 / OVERSAMPLING, canvas.size.1 / OVERSAMPLING);
    Ok(Picture { width, height, rgb: png::shrink(rgb, canvas.size, OVERSAMPLING) })
}

fn extent(width: f64, height: f64, scale: f64) -> (u32, u32) {
    ((width * scale).round().max(1.0) as u32, (height * scale).round().max(1.0) as u32)
}

fn fill(colour: RGBAColor) -> ShapeStyle {
    ShapeStyle { color: colour, filled: true, stroke_width: 1 }
}

fn enlarge(picture: &Picture, width: u32, height: u32) -> Vec<u8> {
    let mut large = Vec::with_capacity(3 * width as usize * height as usize);
    for y in 0..height {
        let row = (u64::from(y) * u64::from(picture.height) / u64::from(height)) as usize;
        for x in 0..width {
            let column = (u64::from(x) * u64::from(picture.width) / u64::from(width)) as usize;
            let at = 3 * (row * picture.width as usize + column);
            large.extend_from_slice(picture.rgb.get(at..at + 3).unwrap_or(&[PAPER.0, PAPER.1, PAPER.2]));
        }
    }
    large
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::INK;

    fn sheet(canvas: &mut Canvas) {
        canvas.text((5.0, 10.0), "a < b & \"c\"", Type::LABEL, INK, Anchor::Start);
        canvas.picture((20.0, 2.0), (8.0, 8.0), &Picture { width: 1, height: 1, rgb: vec![1, 2, 3] });
        canvas.line(&[(1.0, 1.0), (3.0, 1.0), (1.0, 1.0)], Stroke { colour: INK, width: 0.3 });
    }

    #[test]
    fn an_svg_is_one_document_with_its_size_in_millimetres_and_its_text_escaped() {
        let svg = render(Format::Svg, (30.0, 15.0), 1.0, sheet).unwrap();
        let svg = String::from_utf8(svg).unwrap();
        assert_eq!(svg.matches("<svg").count(), 1);
        assert_eq!(svg.matches("</svg>").count(), 1);
        assert!(svg.contains("width=\"30mm\" height=\"15mm\" viewBox=\"0 0 3000 1500\""), "{svg}");
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;"), "{svg}");
        assert!(svg.contains("data:image/png;base64,iVBORw0KGgo"), "{svg}");
    }

    #[test]
    fn a_png_has_300_dots_an_inch() {
        let png = render(Format::Png, (30.0, 15.0), 1.0, sheet).unwrap();
        let image = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (354, 177));
        assert_eq!(image.get_pixel(280, 70).0, [1, 2, 3], "inside the picture");
    }

    #[test]
    fn text_stands_on_its_baseline_in_a_png() {
        let mut canvas = Canvas::new(Format::Png, 20.0, 10.0, 1.0);
        canvas.text((2.0, 6.0), "HHH", Type::LABEL, INK, Anchor::Start);
        let image = image::load_from_memory(&canvas.finish().unwrap()).unwrap().to_luma8();
        let dark: Vec<u32> = (0..image.height()).filter(|&y| (0..image.width()).any(|x| image.get_pixel(x, y).0[0] < 128)).collect();
        let (top, bottom) = (f64::from(dark[0]) / PIXELS, f64::from(dark[dark.len() - 1] + 1) / PIXELS);
        assert!((bottom - 6.0).abs() < 0.12, "baseline at {bottom} mm");
        assert!((bottom - top - Type::LABEL.cap()).abs() < 0.15, "capitals {} mm high", bottom - top);
    }

    #[test]
    fn an_enlarged_sheet_is_enlarged_in_every_part() {
        let svg = String::from_utf8(render(Format::Svg, (30.0, 15.0), 2.0, sheet).unwrap()).unwrap();
        assert!(svg.contains("width=\"60mm\" height=\"30mm\"") && svg.contains("font-size=\"564\""), "{svg}");
    }

    #[test]
    fn a_pdf_keeps_its_text_and_its_font_and_is_made_the_same_again() {
        let pdf = render(Format::Pdf, (30.0, 15.0), 1.0, sheet).unwrap();
        assert_eq!(pdf, render(Format::Pdf, (30.0, 15.0), 1.0, sheet).unwrap());
        let text = String::from_utf8_lossy(&pdf);
        assert!(text.starts_with("%PDF-1.4") && text.contains("/MediaBox [0 0 85.0394 42.5197]"), "{}", &text[..400]);
        assert!(text.contains("/FontFile2") && text.contains("/AAAAAA+DejaVuSans") && text.contains("/ToUnicode"));
        assert!(text.contains("<0022>") && !text.contains("/CreationDate"), "each glyph says which letter it is");
    }
}
