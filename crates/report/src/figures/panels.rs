//! Panels beside and below each other on one sheet, with titles, shared axes' labels and a legend below.

use super::axis::Axis;
use super::legend::{self, Entry};
use super::{Area, draw_horizontal, draw_note, draw_title, draw_vertical};
use crate::canvas::{Anchor, Canvas};
use crate::style::{INK, Style, Type};

/// Above each panel, for its title, mm.
const TITLE: f64 = 6.0;
/// Below each panel, for the labels of its ticks, mm.
const BELOW: f64 = 7.0;
/// At the sheet's sides beside the legend, mm.
const SIDE: f64 = 4.0;

/// Where the panels of a figure lie.
#[derive(Debug)]
pub struct Panels {
    /// The panels, row by row.
    pub areas: Vec<Area>,
    /// Width and height of the sheet, mm.
    pub size: (f64, f64),
    columns: usize,
    entries: Vec<Entry>,
    remark: Option<String>,
}

impl Panels {
    /// How many of `count` panels stand beside each other.
    pub fn columns(style: &Style, count: usize) -> usize {
        match count {
            0 | 1 => 1,
            2 | 4 => 2,
            _ if style.narrow() => 2,
            _ => 3,
        }
    }

    /// About how many ticks an axis along the width of one of `count` panels has room for.
    pub fn ticks(style: &Style, count: usize) -> usize {
        let columns = Self::columns(style, count);
        ((style.width() / columns as f64 - 14.0) / 15.0).clamp(2.0, 6.0) as usize
    }

    /// `count` panels, with room for the labels of `across` and of `up`, and `under` mm more below each panel.
    pub fn new(style: &Style, count: usize, (across, up): (&Axis, &Axis), under: f64, entries: Vec<Entry>, remark: Option<String>) -> Self {
        let columns = Self::columns(style, count);
        // The last label stands under the end of its panel: half of it lies beyond.
        let beyond = across.ticks.last().map_or(0.0, |(_, label)| Type::SMALL.width(label) / 2.0);
        let widest = up.ticks.iter().map(|(_, label)| Type::SMALL.width(label)).fold(4.0, f64::max);
        let before = across.ticks.first().map_or(0.0, |(value, label)| Type::SMALL.width(label) / 2.0 - across.share(*value) * style.width() / columns as f64);
        let (left, right, between) = (7.2 + widest, (beyond + 0.8).max(2.5), (beyond + before + 2.0).max(4.0));
        let width = (style.width() - left - right - between * (columns as f64 - 1.0)) / columns as f64;
        let height = match columns {
            1 => (width * 0.62).min(82.0),
            2 => (width * 0.75).clamp(34.0, 58.0),
            _ => (width * 0.85).min(44.0),
        };
        let below = BELOW + under;
        let areas: Vec<Area> = (0..count)
            .map(|i| {
                let (row, column) = ((i / columns) as f64, (i % columns) as f64);
                Area { left: left + column * (width + between), top: 1.0 + TITLE + row * (TITLE + height + below), width, height }
            })
            .collect();
        let bottom = areas.iter().map(Area::bottom).fold(0.0, f64::max);
        let height = bottom + below + 4.0 + legend::height(&entries, style.width() - 2.0 * SIDE) + if remark.is_some() { 5.0 } else { 1.5 };
        Self { areas, size: (style.width(), height), columns, entries, remark }
    }

    /// Titles, rules, ticks and what the axes show; of the axis across, no ticks where it has none.
    pub fn draw_axes(&self, canvas: &mut Canvas, titles: &[String], (across, up): (&Axis, &Axis), (across_shows, up_shows): (&str, &str)) {
        for (i, (&area, title)) in self.areas.iter().zip(titles).enumerate() {
            draw_vertical(canvas, area, up, i % self.columns == 0);
            draw_horizontal(canvas, area, across);
            draw_title(canvas, (area.left, area.top - 2.2), title, area.width);
            if i % self.columns == 0 {
                canvas.text_upwards((3.6, area.top + area.height / 2.0), up_shows, Type::LABEL, INK, Anchor::Middle);
            }
            if i + self.columns >= self.areas.len() {
                let shown = Type::LABEL.shortened(across_shows, area.width);
                canvas.text((area.left + area.width / 2.0, area.bottom() + 7.8), &shown, Type::LABEL, INK, Anchor::Middle);
            }
        }
    }

    /// The legend, and what is to be said of the data as a whole.
    pub fn draw_legend(&self, canvas: &mut Canvas) {
        let (width, height) = self.size;
        let bottom = if self.remark.is_some() { 5.0 } else { 1.5 };
        legend::draw(canvas, &self.entries, (SIDE, height - bottom - legend::height(&self.entries, width - 2.0 * SIDE)), width - 2.0 * SIDE);
        if let Some(remark) = &self.remark {
            draw_note(canvas, (width - 3.0, height - 1.5), remark);
        }
    }
}
