//! The key of a figure: marks and labels, in centred lines below the panels, and the marks themselves.

use super::axis::plain;
use crate::canvas::{Anchor, Canvas, Point, Stroke};
use crate::query::variant;
use crate::statistics::Width;
use crate::style::{INK, PAPER, SHAPES, Style, Type, tint};
use crate::summary::{Series, Summary};
use plotters::style::RGBColor;

/// What stands before a label.
#[derive(Debug, Clone, Copy)]
pub enum Mark {
    /// A line with a marker of a shape on it.
    Line(RGBColor, usize),
    /// A marker alone.
    Marker(RGBColor, usize),
    /// A thin line.
    ThinLine(RGBColor),
    /// A patch.
    Patch(RGBColor),
    /// The diamond of a published number.
    Published,
}

impl Mark {
    fn width(self) -> f64 {
        match self {
            Mark::Line(..) | Mark::ThinLine(_) => 6.0,
            Mark::Patch(_) => 3.6,
            Mark::Published | Mark::Marker(..) => 2.6,
        }
    }
}

/// A mark and its label.
pub type Entry = (Mark, String);

/// What figures call a series: its label, of long numbers three figures.
pub fn label_of(series: &Series) -> String {
    named(&series.model, &series.swept)
}

/// A model with swept values, of long numbers three figures.
pub fn named(model: &str, swept: &[(String, String)]) -> String {
    let short = |value: &String| match value.parse::<f64>() {
        Ok(number) if value.len() > LONG => format!("{number:.2e}").parse().map_or_else(|_| value.clone(), plain),
        _ => value.clone(),
    };
    let swept: Vec<(String, String)> = swept.iter().map(|(key, value)| (key.clone(), short(value))).collect();
    if swept.is_empty() { model.to_string() } else { format!("{model}, {}", variant(&swept)) }
}

/// Letters of a number that is not long.
const LONG: usize = 7;

/// An entry a series, as it is drawn in every figure.
pub fn of_series(style: &Style, summary: &Summary) -> Vec<Entry> {
    summary.series.iter().enumerate().map(|(i, s)| (Mark::Line(style.colour(i), style.shape(i)), label_of(s))).collect()
}

/// What the band around a line is.
pub fn of_band(width: Width) -> Entry {
    let what = match width {
        Width::Deviation => "± standard deviation over seeds",
        Width::Interval => "95 % interval of the mean over seeds",
    };
    (Mark::Patch(tint(INK, 0.16)), what.into())
}

const GAP: f64 = 1.2;
/// Between the name of a model and that of its layer, mm.
pub const BESIDE: f64 = 1.4;
const BETWEEN: f64 = 5.0;
const LINE: f64 = 4.2;

/// The entries in as few lines as `width` mm allows, those of about one length.
fn balanced(entries: &[Entry], width: f64) -> Vec<&[Entry]> {
    let fewest = lines(entries, width).len();
    let narrower = (1..).map(|i| width - f64::from(i)).take_while(|w| *w > 0.0 && lines(entries, *w).len() == fewest).last();
    lines(entries, narrower.unwrap_or(width))
}

/// The entries in lines no wider than `width` mm, each as full as it goes.
fn lines(entries: &[Entry], width: f64) -> Vec<&[Entry]> {
    let mut lines = Vec::new();
    let (mut from, mut used) = (0, 0.0);
    for (i, entry) in entries.iter().enumerate() {
        let needed = entry_width(entry) + BETWEEN;
        if i > from && used + needed - BETWEEN > width {
            lines.push(&entries[from..i]);
            (from, used) = (i, 0.0);
        }
        used += needed;
    }
    if from < entries.len() {
        lines.push(&entries[from..]);
    }
    lines
}

/// Height of the legend, mm.
pub fn height(entries: &[Entry], width: f64) -> f64 {
    lines(entries, width).len() as f64 * LINE
}

/// Draws the legend from `top` down, centred between `left` and `left + width`.
pub fn draw(canvas: &mut Canvas, entries: &[Entry], (left, top): Point, width: f64) {
    for (i, line) in balanced(entries, width).into_iter().enumerate() {
        let used: f64 = line.iter().map(|entry| entry_width(entry) + BETWEEN).sum::<f64>() - BETWEEN;
        let mut x = left + ((width - used) / 2.0).max(0.0);
        let middle = top + (i as f64 + 0.5) * LINE;
        for entry in line {
            draw_mark(canvas, entry.0, x, middle);
            // A label longer than the whole line is shortened.
            let label = Type::SMALL.shortened(&entry.1, width - entry.0.width() - GAP);
            canvas.text((x + entry.0.width() + GAP, middle + Type::SMALL.cap() / 2.0), &label, Type::SMALL, INK, Anchor::Start);
            x += entry_width(entry) + BETWEEN;
        }
    }
}

fn entry_width(entry: &Entry) -> f64 {
    entry.0.width() + GAP + Type::SMALL.width(&entry.1)
}

fn draw_mark(canvas: &mut Canvas, mark: Mark, x: f64, middle: f64) {
    let width = mark.width();
    match mark {
        Mark::Line(colour, shape) => {
            canvas.line(&[(x, middle), (x + width, middle)], Stroke { colour, width: 0.5 });
            draw_marker(canvas, shape, (x + width / 2.0, middle), colour);
        }
        Mark::Marker(colour, shape) => draw_marker(canvas, shape, (x + width / 2.0, middle), colour),
        Mark::ThinLine(colour) => canvas.line(&[(x, middle), (x + width, middle)], Stroke { colour, width: 0.3 }),
        Mark::Patch(colour) => canvas.rectangle((x, middle - 1.3), (width, 2.6), colour),
        Mark::Published => draw_published(canvas, (x + width / 2.0, middle)),
    }
}

/// A marker: its shape tells models apart where its colour does not.
pub fn draw_marker(canvas: &mut Canvas, shape: usize, (x, y): Point, colour: RGBColor) {
    for (radius, colour) in [(1.15, PAPER), (0.85, colour)] {
        let scaled = |points: &[Point]| points.iter().map(|(dx, dy)| (x + dx * radius, y + dy * radius)).collect::<Vec<_>>();
        match shape % SHAPES {
            0 => canvas.disc((x, y), radius, colour),
            1 => canvas.polygon(&scaled(&[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]), colour, 1.0),
            2 => canvas.polygon(&scaled(&[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)]), colour, 1.0),
            3 => canvas.polygon(&scaled(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]), colour, 1.0),
            _ => canvas.polygon(&scaled(&[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)]), colour, 1.0),
        }
    }
}

/// A white diamond with an outline: a published number.
pub fn draw_published(canvas: &mut Canvas, (x, y): Point) {
    let corners = |r: f64| [(x, y - r), (x + r, y), (x, y + r), (x - r, y)];
    canvas.polygon(&corners(1.3), INK, 1.0);
    canvas.polygon(&corners(0.9), PAPER, 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_have_three_figures_and_all_else_stays() {
        let swept =
            [("lr", "0.000354281699870149"), ("kind", "adam with a long name"), ("size", "64"), ("steps", "1200000")].map(|(k, v)| (k.into(), v.into()));
        assert_eq!(named("CNN", &swept), "CNN, lr=3.54e-4, kind=adam with a long name, size=64, steps=1200000");
        assert_eq!(named("CNN", &[]), "CNN");
    }

    #[test]
    fn lines_are_as_few_as_possible_and_of_about_one_length() {
        let entries: Vec<Entry> = (0..7).map(|_| (Mark::Published, "a label".to_string())).collect();
        let width = 6.5 * (entry_width(&entries[0]) + BETWEEN);
        assert_eq!(lines(&entries, width).iter().map(|l| l.len()).collect::<Vec<_>>(), [6, 1]);
        assert_eq!(balanced(&entries, width).iter().map(|l| l.len()).collect::<Vec<_>>(), [4, 3]);
    }
}
