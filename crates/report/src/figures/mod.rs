//! The figures, each with its data as CSV.

pub mod axis;
pub mod clip;
pub mod comparison;
pub mod learning_curves;
pub mod legend;
pub mod montage;

use crate::canvas::{Anchor, Canvas, Point, Stroke};
use crate::style::{GREY, INK, RULE, Type};
use axis::Axis;

/// A figure ready to be written: `NAME.svg`, `NAME.png`, `NAME.csv`.
#[derive(Debug)]
pub struct Figure {
    /// File name without its ending.
    pub name: String,
    /// The drawing as SVG.
    pub svg: Vec<u8>,
    /// The drawing as PNG at 300 dpi.
    pub png: Vec<u8>,
    /// The numbers drawn.
    pub csv: String,
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

/// The title of a panel, its baseline at `at`: the distortion's name, and in grey what it does.
pub fn draw_title(canvas: &mut Canvas, at: Point, distortion: &str) {
    canvas.text(at, distortion, Type::TITLE, INK, Anchor::Start);
    canvas.text((at.0 + Type::TITLE.width(distortion) + 1.6, at.1), distortion_words(distortion), Type::LABEL, GREY, Anchor::Start);
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

/// A small grey note, right-aligned, its baseline at `at`.
pub fn draw_note(canvas: &mut Canvas, at: Point, note: &str) {
    canvas.text(at, note, Type::TINY, GREY, Anchor::End);
}
