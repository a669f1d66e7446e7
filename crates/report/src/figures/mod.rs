//! The figures, each with its data as CSV.

pub mod axis;
pub mod clip;
pub mod comparison;
pub mod confusion;
pub mod cost;
pub mod error_against;
pub mod learning_curves;
pub mod legend;
pub mod montage;
pub mod panels;
pub mod seeds;
pub mod shown;
pub mod straightening;
pub mod theta;
pub mod volumes;
pub mod windows;
pub mod worst;

use crate::canvas::{Anchor, Canvas, Format, Point, Stroke, render};
use crate::error::{Error, Result};
use crate::query::{Measurement, Store};
use crate::style::{GREY, INK, RULE, Style, Type};
use crate::summary::Summary;
use axis::Axis;
use shown::Gallery;

/// A figure ready to be written: `NAME.svg` and as many more as it comes in, and `NAME.csv`.
#[derive(Debug)]
pub struct Figure {
    /// File name without its ending.
    pub name: String,
    /// The drawings by the endings of their names.
    pub drawings: Vec<(&'static str, Vec<u8>)>,
    /// The numbers drawn.
    pub csv: String,
}

/// The figures of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Test error against training steps.
    LearningCurves,
    /// Final test errors side by side.
    Comparison,
    /// Final test error against each numeric key of the sweep.
    ErrorAgainst,
    /// Final test error against parameters and step time.
    Cost,
    /// Final test errors seed by seed.
    Seeds,
    /// What is taken for what.
    Confusion,
    /// Parameters of the transformations over the training.
    Theta,
    /// Test images, sampling grids and outputs, by class.
    Montage,
    /// The same of the images of the whole test part that are misread with the largest loss.
    Worst,
    /// Where the transformers that read one image look.
    Windows,
    /// Volumes, seen from three sides and in slices.
    Volumes,
    /// An animated picture of images being straightened over the training.
    Straightening,
}

impl Kind {
    /// All, in the order in which they are named.
    pub const ALL: [Kind; 12] = [
        Kind::LearningCurves,
        Kind::Comparison,
        Kind::ErrorAgainst,
        Kind::Cost,
        Kind::Seeds,
        Kind::Confusion,
        Kind::Theta,
        Kind::Montage,
        Kind::Worst,
        Kind::Windows,
        Kind::Volumes,
        Kind::Straightening,
    ];

    /// What `[report] figures` calls it, and what its file's name is or begins with.
    pub fn name(self) -> &'static str {
        match self {
            Self::LearningCurves => "learning_curves",
            Self::Comparison => "comparison",
            Self::ErrorAgainst => "error_against",
            Self::Cost => "cost",
            Self::Seeds => "seeds",
            Self::Confusion => "confusion",
            Self::Theta => "theta",
            Self::Montage => "montage",
            Self::Worst => "worst",
            Self::Windows => "windows",
            Self::Volumes => "volumes",
            Self::Straightening => "straightening",
        }
    }
}

/// The most series that a figure tells apart: those of the least errors where there are more.
pub const MOST_SERIES: usize = 40;

/// The figures that an experiment asks for, or, where it names none, all that say something.
pub fn draw(press: Press, summary: &Summary, measurements: &[Measurement], asked: Option<&[Kind]>, store: &mut Store) -> Result<Vec<Figure>> {
    let kinds = asked.unwrap_or(&Kind::ALL);
    let asked = asked.is_some();
    let all = summary;
    let summary = &*all.leading(MOST_SERIES);
    let gallery = if kinds.iter().any(|kind| shown::is_needed_for(*kind)) { Gallery::read(summary, store) } else { Gallery::default() };
    let mut figures = Vec::new();
    for &kind in kinds {
        match kind {
            Kind::LearningCurves => figures.extend(learning_curves::figure(press, summary, measurements)?),
            Kind::Comparison => figures.extend(comparison::figure(press, summary)?),
            Kind::ErrorAgainst => figures.extend(error_against::figures(press, all)?),
            Kind::Cost => figures.extend(cost::figures(press, summary, asked)?),
            Kind::Seeds => figures.extend(seeds::figure(press, summary, asked)?),
            Kind::Confusion => figures.extend(confusion::figures(press, summary, store)?),
            Kind::Theta => figures.extend(theta::figures(press, summary, store)?),
            Kind::Montage => figures.extend(montage::figures(press, summary, &gallery)?),
            Kind::Worst => figures.extend(worst::figures(press, summary, &gallery)?),
            Kind::Windows => figures.extend(windows::figures(press, summary, &gallery)?),
            Kind::Volumes => figures.extend(volumes::figures(press, summary, &gallery)?),
            Kind::Straightening => figures.extend(straightening::figures(press, summary, &gallery)?),
        }
    }
    Ok(figures)
}

/// How figures are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Press<'a> {
    /// Widths, type and colours.
    pub style: &'a Style,
    /// What each is written as.
    pub formats: &'a [Format],
}

impl Press<'_> {
    /// Draws a figure of `size` mm (before it is enlarged) in every format.
    pub fn figure(&self, name: &str, size: (f64, f64), csv: String, draw: impl Fn(&mut Canvas)) -> Result<Figure> {
        let one = |&format: &Format| {
            let drawing = render(format, size, self.style.enlargement(), &draw).map_err(|reason| Error::Drawing { figure: name.into(), reason })?;
            Ok((format.name(), drawing))
        };
        Ok(Figure { name: name.into(), drawings: self.formats.iter().map(one).collect::<Result<_>>()?, csv })
    }
}

/// A rectangle on the sheet, mm.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Area {
    /// Right edge.
    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    /// Lower edge.
    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// What a distortion of the paper's does, in words; nothing for others.
pub fn distortion_words(name: &str) -> &'static str {
    match name {
        "R" => "rotation",
        "RTS" => "rotation, translation, scale",
        "P" => "projection",
        "E" => "elastic",
        "TC" => "translation, clutter",
        _ => "",
    }
}

/// The title of a panel of `width` mm, its baseline at `at`: the distortion's name, and in grey what it does where there is room.
pub fn draw_title(canvas: &mut Canvas, at: Point, distortion: &str, width: f64) {
    let title = Type::TITLE.shortened(distortion, width);
    canvas.text(at, &title, Type::TITLE, INK, Anchor::Start);
    let (words, left) = (distortion_words(distortion), at.0 + Type::TITLE.width(&title) + 1.6);
    if left + Type::LABEL.width(words) <= at.0 + width {
        canvas.text((left, at.1), words, Type::LABEL, GREY, Anchor::Start);
    }
}

/// The vertical axis of a panel: rules across, labels at the left.
pub fn draw_vertical(canvas: &mut Canvas, area: Area, axis: &Axis, labelled: bool) {
    for (value, label) in &axis.ticks {
        let y = area.bottom() - axis.share(*value) * area.height;
        canvas.line(&[(area.left, y), (area.right(), y)], Stroke { colour: RULE, width: 0.12 });
        if labelled {
            canvas.text((area.left - 1.2, y + Type::SMALL.cap() / 2.0), label, Type::SMALL, INK, Anchor::End);
        }
    }
}

/// The horizontal axis of a panel: the base line, marks and labels below.
pub fn draw_horizontal(canvas: &mut Canvas, area: Area, axis: &Axis) {
    let ink = Stroke { colour: INK, width: 0.2 };
    canvas.line(&[(area.left, area.bottom()), (area.right(), area.bottom())], ink);
    for (value, label) in &axis.ticks {
        let x = area.left + axis.share(*value) * area.width;
        canvas.line(&[(x, area.bottom()), (x, area.bottom() + 0.9)], ink);
        canvas.text((x, area.bottom() + 1.6 + Type::SMALL.cap()), label, Type::SMALL, INK, Anchor::Middle);
    }
}

/// Height of a line of notes, mm.
const NOTE: f64 = 2.7;

/// Notes below a figure in lines no wider than `width` mm.
pub fn notes(text: &str, width: f64) -> Vec<String> {
    Type::TINY.wrap_words(text.trim_start(), width)
}

/// Room that notes need, mm.
pub fn notes_height(lines: &[String]) -> f64 {
    1.8 + NOTE * lines.len() as f64
}

/// Draws notes at the lower edge of a sheet.
pub fn draw_notes(canvas: &mut Canvas, (left, bottom): Point, lines: &[String]) {
    for (i, line) in lines.iter().rev().enumerate() {
        canvas.text((left, bottom - 1.2 - NOTE * i as f64), line, Type::TINY, GREY, Anchor::Start);
    }
}

/// What a figure says of its data as a whole: that they are made up, or not all there is.
pub fn remark(summary: &Summary) -> Option<String> {
    let parts = [summary.best_of_words(), summary.synthetic.then(|| "synthetic data".to_string())];
    let said: Vec<String> = parts.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// The same behind a figure's notes.
pub fn remark_as_sentences(summary: &Summary) -> String {
    let best = summary.best_of_words().map(|words| format!(" Among {words} models."));
    best.unwrap_or_default() + if summary.synthetic { " Synthetic data." } else { "" }
}

/// A small grey note, right-aligned, its baseline at `at`.
pub fn draw_note(canvas: &mut Canvas, at: Point, note: &str) {
    canvas.text(at, note, Type::TINY, GREY, Anchor::End);
}
