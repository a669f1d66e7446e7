//! A sheet as PDF: paths, pictures, and text that stays text, in the embedded fonts.

use super::{Anchor, Picture, Point, Stroke};
use crate::style::{POINT, Type, face};
use pdf_writer::types::{CidFontType, FontFlags, LineCapStyle, LineJoinStyle, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};
use plotters::style::RGBColor;
use std::collections::{BTreeMap, BTreeSet};
use ttf_parser::{Face, GlyphId};

/// Bézier handles of a quarter of a circle, in radii.
const HANDLE: f64 = 0.552_284_75;
/// How both fonts number their glyphs: as the font files do.
const GLYPHS: SystemInfo = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

const CATALOG: i32 = 1;
const PAGES: i32 = 2;
const PAGE: i32 = 3;
const CONTENT: i32 = 4;
/// The first number that is not taken.
const FREE: i32 = 5;

/// A page being drawn.
pub struct Sheet {
    content: Content,
    /// Width and height in points.
    size: (f32, f32),
    /// The glyphs used of the regular and of the bold font, and what they are.
    glyphs: [BTreeMap<u16, char>; 2],
    /// Opacities used, in thousandths.
    opacities: BTreeSet<u32>,
    pictures: Vec<Picture>,
}

impl Sheet {
    /// An empty page of `width` x `height` units of `unit` mm each.
    pub fn new(width: f64, height: f64, unit: f64) -> Self {
        let points = unit / POINT;
        let size = (round(width * points), round(height * points));
        let mut content = Content::new();
        // Down is down from here on, and lengths are in the canvas's units.
        content.transform([round(points), 0.0, 0.0, -round(points), 0.0, size.1]);
        content.set_line_cap(LineCapStyle::RoundCap).set_line_join(LineJoinStyle::RoundJoin);
        Self { content, size, glyphs: Default::default(), opacities: BTreeSet::new(), pictures: Vec::new() }
    }

    pub fn line(&mut self, points: &[Point], stroke: Stroke) {
        let [r, g, b] = shares(stroke.colour);
        self.content.set_stroke_rgb(r, g, b).set_line_width(round(stroke.width));
        if self.path(points) {
            self.content.stroke();
        }
    }

    pub fn polygon(&mut self, points: &[Point], colour: RGBColor, alpha: f64) {
        let opacity = (alpha.clamp(0.0, 1.0) * 1000.0).round() as u32;
        self.fill(colour);
        if opacity < 1000 {
            self.opacities.insert(opacity);
            self.content.save_state().set_parameters(Name(opacity_name(opacity).as_bytes()));
        }
        if self.path(points) {
            self.content.close_path().fill_nonzero();
        }
        if opacity < 1000 {
            self.content.restore_state();
        }
    }

    pub fn rectangle(&mut self, (x, y): Point, (width, height): Point, colour: RGBColor) {
        self.fill(colour);
        self.content.rect(round(x), round(y), round(width), round(height)).fill_nonzero();
    }

    pub fn disc(&mut self, (x, y): Point, radius: f64, colour: RGBColor) {
        self.fill(colour);
        let at = |dx: f64, dy: f64| (round(x + dx * radius), round(y + dy * radius));
        let start = at(1.0, 0.0);
        self.content.move_to(start.0, start.1);
        for (from, to) in [((1.0, 0.0), (0.0, 1.0)), ((0.0, 1.0), (-1.0, 0.0)), ((-1.0, 0.0), (0.0, -1.0)), ((0.0, -1.0), (1.0, 0.0))] {
            let (first, second) = (at(from.0 + HANDLE * to.0, from.1 + HANDLE * to.1), at(to.0 + HANDLE * from.0, to.1 + HANDLE * from.1));
            let end = at(to.0, to.1);
            self.content.cubic_to(first.0, first.1, second.0, second.1, end.0, end.1);
        }
        self.content.fill_nonzero();
    }

    pub fn text(&mut self, at: Point, text: &str, kind: Type, colour: RGBColor, anchor: Anchor, upwards: bool) {
        let Some(face) = face(kind.bold) else { return };
        let (mut codes, mut units) = (Vec::new(), 0.0);
        for letter in text.chars() {
            let glyph = face.glyph_index(letter).unwrap_or_default();
            self.glyphs[usize::from(kind.bold)].entry(glyph.0).or_insert(letter);
            codes.extend(glyph.0.to_be_bytes());
            units += f64::from(face.glyph_hor_advance(glyph).unwrap_or(0));
        }
        let back = units / f64::from(face.units_per_em()) * kind.em() * [0.0, 0.5, 1.0][anchor as usize];
        let matrix = if upwards { [0.0, -1.0, -1.0, 0.0, round(at.0), round(at.1 + back)] } else { [1.0, 0.0, 0.0, -1.0, round(at.0 - back), round(at.1)] };
        self.fill(colour);
        let font = font_name(kind.bold);
        self.content.begin_text().set_font(Name(font.as_bytes()), round(kind.em())).set_text_matrix(matrix).show(Str(&codes)).end_text();
    }

    pub fn picture(&mut self, (x, y): Point, (width, height): Point, picture: &Picture) {
        let known = self.pictures.iter().position(|other| other == picture);
        let number = known.unwrap_or_else(|| {
            self.pictures.push(picture.clone());
            self.pictures.len() - 1
        });
        // A picture fills the square from (0, 0) to (1, 1), its upper edge at 1.
        self.content.save_state().transform([round(width), 0.0, 0.0, -round(height), round(x), round(y + height)]);
        self.content.x_object(Name(picture_name(number).as_bytes())).restore_state();
    }

    /// The bytes of the file. It has no date and no name of a program, so that the same drawing is the same file.
    pub fn finish(self) -> Vec<u8> {
        let mut pdf = Pdf::new();
        // Nothing here is newer, and TeX warns of figures that are newer than its own files.
        pdf.set_version(1, 4);
        let mut next = FREE;
        let mut number = |count: i32| {
            next += count;
            Ref::new(next - count)
        };
        let fonts: Vec<(bool, Ref)> =
            [false, true].into_iter().filter(|bold| !self.glyphs[usize::from(*bold)].is_empty()).map(|bold| (bold, number(5))).collect();
        let pictures: Vec<Ref> = self.pictures.iter().map(|_| number(1)).collect();
        pdf.catalog(Ref::new(CATALOG)).pages(Ref::new(PAGES));
        pdf.pages(Ref::new(PAGES)).kids([Ref::new(PAGE)]).count(1);
        let mut page = pdf.page(Ref::new(PAGE));
        page.parent(Ref::new(PAGES)).media_box(Rect::new(0.0, 0.0, self.size.0, self.size.1)).contents(Ref::new(CONTENT));
        let mut resources = page.resources();
        let mut names = resources.fonts();
        for (bold, font) in &fonts {
            names.pair(Name(font_name(*bold).as_bytes()), *font);
        }
        names.finish();
        let mut names = resources.x_objects();
        for (i, picture) in pictures.iter().enumerate() {
            names.pair(Name(picture_name(i).as_bytes()), *picture);
        }
        names.finish();
        let mut states = resources.ext_g_states();
        for &opacity in &self.opacities {
            states.insert(Name(opacity_name(opacity).as_bytes())).start::<pdf_writer::writers::ExtGraphicsState>().non_stroking_alpha(opacity as f32 / 1000.0);
        }
        states.finish();
        resources.finish();
        page.finish();
        pdf.stream(Ref::new(CONTENT), &deflated(&self.content.finish())).filter(Filter::FlateDecode);
        for (bold, font) in fonts {
            if let Some(face) = face(bold) {
                embed(&mut pdf, font.get(), bold, &face, &self.glyphs[usize::from(bold)]);
            }
        }
        for (picture, reference) in self.pictures.iter().zip(pictures) {
            let bytes = deflated(&picture.rgb);
            let mut image = pdf.image_xobject(reference, &bytes);
            image.filter(Filter::FlateDecode);
            image.width(picture.width as i32).height(picture.height as i32).bits_per_component(8).interpolate(false);
            image.color_space().device_rgb();
        }
        pdf.finish()
    }

    fn fill(&mut self, colour: RGBColor) {
        let [r, g, b] = shares(colour);
        self.content.set_fill_rgb(r, g, b);
    }

    /// Begins a path through `points`; `false`, and nothing, where there are too few.
    fn path(&mut self, points: &[Point]) -> bool {
        let [first, rest @ ..] = points else { return false };
        self.content.move_to(round(first.0), round(first.1));
        for point in rest {
            self.content.line_to(round(point.0), round(point.1));
        }
        // A path of one point is a dot under round caps.
        if rest.is_empty() {
            self.content.line_to(round(first.0), round(first.1));
        }
        true
    }
}

/// Writes a font as five objects from number `first`: the font, its glyphs' font, its descriptor, what its glyphs mean, and the file.
fn embed(pdf: &mut Pdf, first: i32, bold: bool, face: &Face, glyphs: &BTreeMap<u16, char>) {
    let [font, cid, descriptor, meaning, file] = [0, 1, 2, 3, 4].map(|i| Ref::new(first + i));
    let name = if bold { "DejaVuSans-Bold" } else { "DejaVuSans" };
    // Of what the font has, the figure uses a part: six capitals and a plus say so.
    let name = format!("AAAAAA+{name}");
    let name = Name(name.as_bytes());
    let thousandths = |units: f64| round(units * 1000.0 / f64::from(face.units_per_em()));
    pdf.type0_font(font).base_font(name).encoding_predefined(Name(b"Identity-H")).descendant_font(cid).to_unicode(meaning);
    let mut of_glyphs = pdf.cid_font(cid);
    of_glyphs.subtype(CidFontType::Type2).base_font(name).system_info(GLYPHS).font_descriptor(descriptor).default_width(0.0);
    of_glyphs.cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = of_glyphs.widths();
    for &glyph in glyphs.keys() {
        widths.consecutive(glyph, [thousandths(f64::from(face.glyph_hor_advance(GlyphId(glyph)).unwrap_or(0)))]);
    }
    widths.finish();
    of_glyphs.finish();
    let bounds = face.global_bounding_box();
    let [left, bottom, right, top] = [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(|units| thousandths(f64::from(units)));
    let mut about = pdf.font_descriptor(descriptor);
    about.name(name).flags(FontFlags::NON_SYMBOLIC).bbox(Rect::new(left, bottom, right, top)).italic_angle(0.0).stem_v(if bold { 160.0 } else { 90.0 });
    about.ascent(thousandths(f64::from(face.ascender()))).descent(thousandths(f64::from(face.descender()))).cap_height(730.0).font_file2(file);
    about.finish();
    let mut unicode = UnicodeCmap::new(Name(b"Meaning"), GLYPHS);
    for (&glyph, &letter) in glyphs {
        unicode.pair(glyph, letter);
    }
    pdf.cmap(meaning, &unicode.finish());
    let bytes = face.raw_face().data;
    pdf.stream(file, &deflated(bytes)).filter(Filter::FlateDecode).pair(Name(b"Length1"), bytes.len() as i32);
}

fn font_name(bold: bool) -> &'static str {
    if bold { "B" } else { "R" }
}

fn picture_name(number: usize) -> String {
    format!("P{number}")
}

fn opacity_name(opacity: u32) -> String {
    format!("O{opacity}")
}

/// Always with the same library, whose bytes do not depend on the processor.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(bytes, 6)
}

fn shares(colour: RGBColor) -> [f32; 3] {
    [colour.0, colour.1, colour.2].map(|channel| round(f64::from(channel) / 255.0))
}

/// To a ten-thousandth: fewer digits, and fewer bytes.
fn round(value: f64) -> f32 {
    ((value * 1e4).round() / 1e4) as f32
}
