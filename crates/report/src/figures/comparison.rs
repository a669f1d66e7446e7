//! Final test errors side by side: one bar a model, one group a distortion, published numbers as diamonds.

use super::axis::Axis;
use super::legend::label_of;
use super::legend::{self, Entry, Mark};
use super::{Area, Figure, Press, distortion_words, draw_note, draw_vertical, remark};
use crate::canvas::{Anchor, Canvas, Stroke};
use crate::error::Result;
use crate::statistics::Width;
use crate::style::{GREY, INK, PAPER, Style, Type};
use crate::summary::{Row, Summary};
use crate::table;

/// Room for the bars, mm, in a wide and in a narrow figure.
const HEIGHTS: [f64; 2] = [62.0, 46.0];
const LEFT: f64 = 13.0;
const RIGHT: f64 = 2.0;
const TOP: f64 = 4.0;
/// Groups stand below each other rather than leave a bar less than this, mm.
const NARROWEST: f64 = 3.4;
/// Intervals that reach further are cut, percent.
const HIGHEST: f64 = 110.0;
/// Type of the values above the bars.
const VALUE: Type = Type { size: 6.5, bold: false };

/// Draws the figure; `None` where no trial succeeded.
pub fn figure(press: Press, summary: &Summary) -> Result<Option<Figure>> {
    if summary.rows.iter().all(|row| row.error.is_none()) {
        return Ok(None);
    }
    let layout = Layout::new(press.style, summary);
    press.figure("comparison", (press.style.width(), layout.height), table::csv(summary, None), |canvas| layout.draw(canvas, summary)).map(Some)
}

struct Layout<'a> {
    style: &'a Style,
    /// Lines of groups.
    lines: Vec<Area>,
    /// Groups in a line.
    per_line: usize,
    errors: Axis,
    /// Width of a group with the gap after it.
    group: f64,
    /// Width that a bar has, with the gap after it.
    slot: f64,
    /// Names under the bars of a single group, where they fit.
    names: Option<Vec<Vec<String>>>,
    entries: Vec<Entry>,
    /// Decimals of the values above the bars (see [`value`]); `None` where even the shortest would touch.
    decimals: Option<usize>,
    height: f64,
    /// What the whiskers show.
    whisker: Width,
}

impl<'a> Layout<'a> {
    fn new(style: &'a Style, summary: &Summary) -> Self {
        let groups = summary.distortions.len();
        let bars = (0..groups).map(|d| summary.rows.iter().filter(|r| r.distortion == d).count()).max().unwrap_or(1).max(1) as f64;
        let width = style.width() - LEFT - RIGHT;
        let fit = ((width * 0.9 / bars / NARROWEST) as usize).clamp(1, groups.max(1));
        let per_line = groups.div_ceil(groups.div_ceil(fit).max(1)).max(1);
        let group = width / per_line as f64;
        let slot = (group * 0.9 / bars).min(24.0);
        let tops = summary.rows.iter().flat_map(|row| [row.error.map(|e| e.mean + e.width(summary.width).unwrap_or(0.0)), row.published]);
        let greatest = tops.flatten().fold(0.0, f64::max).min(HIGHEST);
        let names = names(summary, slot);
        let mut entries: Vec<Entry> = Vec::new();
        if names.is_none() {
            entries.extend(summary.series.iter().enumerate().map(|(i, s)| (Mark::Patch(style.colour(i)), label_of(s))));
        }
        if summary.rows.iter().any(|row| row.published.is_some()) {
            entries.push((Mark::Published, "published".into()));
        }
        let under = names.iter().flatten().map(Vec::len).max().unwrap_or(0) as f64 * 3.2;
        let words = summary.distortions.iter().map(|d| Type::TINY.wrap(distortion_words(d), group - 2.0).len()).max().unwrap_or(0) as f64 * 2.7;
        let (high, below) = (HEIGHTS[usize::from(style.narrow())], 3.0 + under + 4.5 + words);
        let line = |i: usize| Area { left: LEFT, top: TOP + i as f64 * (high + below + TOP), width, height: high };
        let lines: Vec<Area> = (0..groups.div_ceil(per_line)).map(line).collect();
        let bottom = lines.last().map_or(0.0, Area::bottom) + below;
        let height = bottom + legend::height(&entries, style.width() - 8.0) + if remark(summary).is_some() { 5.0 } else { 1.5 };
        let fits = |d: &usize| summary.rows.iter().filter_map(|r| r.error).all(|e| VALUE.width(&value(e.mean, *d)) + 0.4 < slot);
        let decimals = [2, 1, 0].into_iter().find(fits);
        // Room above the highest bar for its value.
        let errors = Axis::linear(0.0, (greatest * 1.09).max(0.1), 5, false);
        Self { style, lines, per_line, decimals, errors, group, slot, names, entries, height, whisker: summary.width }
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary) {
        for area in &self.lines {
            draw_vertical(canvas, *area, &self.errors, true);
            canvas.text_upwards((3.6, area.top + area.height / 2.0), "test error (%)", Type::LABEL, INK, Anchor::Middle);
        }
        for (d, distortion) in summary.distortions.iter().enumerate() {
            self.draw_group(canvas, summary, d, distortion);
        }
        for area in &self.lines {
            canvas.line(&[(area.left, area.bottom()), (area.right(), area.bottom())], Stroke { colour: INK, width: 0.2 });
        }
        let (bottom, width) = (if remark(summary).is_some() { 5.0 } else { 1.5 }, self.style.width());
        legend::draw(canvas, &self.entries, (4.0, self.height - bottom - legend::height(&self.entries, width - 8.0)), width - 8.0);
        if let Some(remark) = remark(summary) {
            draw_note(canvas, (width - 3.0, self.height - 1.5), &remark);
        }
    }

    fn draw_group(&self, canvas: &mut Canvas, summary: &Summary, d: usize, distortion: &str) {
        let area = self.lines[d / self.per_line];
        let rows: Vec<&Row> = summary.rows.iter().filter(|row| row.distortion == d).collect();
        let centre = area.left + ((d % self.per_line) as f64 + 0.5) * self.group;
        let first = centre - self.slot * rows.len() as f64 / 2.0;
        for (i, row) in rows.iter().enumerate() {
            self.draw_bar(canvas, area, row, first + (i as f64 + 0.5) * self.slot);
        }
        let mut baseline = area.bottom() + 2.0 + Type::SMALL.cap();
        if let Some(names) = &self.names {
            for (i, lines) in names.iter().enumerate() {
                for (k, line) in lines.iter().enumerate() {
                    canvas.text((first + (i as f64 + 0.5) * self.slot, baseline + 3.2 * k as f64), line, Type::SMALL, INK, Anchor::Middle);
                }
            }
            baseline += 3.2 * names.iter().map(Vec::len).max().unwrap_or(0) as f64 + 1.0;
        }
        canvas.text((centre, baseline + 1.0), &Type::TITLE.shortened(distortion, self.group - 1.0), Type::TITLE, INK, Anchor::Middle);
        for (k, line) in Type::TINY.wrap(distortion_words(distortion), self.group - 2.0).iter().enumerate() {
            canvas.text((centre, baseline + 4.0 + 2.7 * k as f64), line, Type::TINY, GREY, Anchor::Middle);
        }
    }

    fn draw_bar(&self, canvas: &mut Canvas, area: Area, row: &Row, centre: f64) {
        let y = |percent: f64| area.bottom() - self.errors.share(percent).clamp(0.0, 1.0) * area.height;
        let width = self.slot * 0.82;
        let mut top = area.bottom();
        if let Some(error) = row.error {
            canvas.rectangle((centre - width / 2.0, y(error.mean)), (width, area.bottom() - y(error.mean)), self.style.colour(row.series));
            top = y(error.mean);
            if let Some(deviation) = error.width(self.whisker) {
                let (low, high, cap) = (y(error.mean - deviation), y(error.mean + deviation), (width * 0.22).min(1.3));
                let whisker = Stroke { colour: INK, width: 0.22 };
                canvas.line(&[(centre, low), (centre, high)], whisker);
                canvas.line(&[(centre - cap, low), (centre + cap, low)], whisker);
                canvas.line(&[(centre - cap, high), (centre + cap, high)], whisker);
                top = high;
            }
        }
        let published = row.published.map(y);
        if let Some(y) = published {
            legend::draw_published(canvas, (centre, y));
        }
        let (Some(error), Some(decimals)) = (row.error, self.decimals) else { return };
        // Above whatever stands on the bar, so that nothing covers the number.
        let covered = |base: f64| published.is_some_and(|p| p + 1.5 > base - VALUE.cap() - 0.5 && p - 1.5 < base);
        let base = if covered(top - 1.0) { published.unwrap_or(top).min(top) - 2.2 } else { top - 1.0 };
        let text = value(error.mean, decimals);
        let width = VALUE.width(&text) + 0.4;
        // No rule runs through the number.
        canvas.rectangle((centre - width / 2.0, base - VALUE.cap() - 0.4), (width, VALUE.cap() + 0.7), PAPER);
        canvas.text((centre, base), &text, VALUE, INK, Anchor::Middle);
    }
}

/// An error with so many decimals, and one less from ten upwards: "0.52", "9.1" or "14".
fn value(percent: f64, decimals: usize) -> String {
    let decimals = if percent < 9.95 { decimals } else { decimals.saturating_sub(1) };
    format!("{percent:.decimals$}")
}

/// Names under the bars of a single group; `None` with several groups, or where a name does not fit.
fn names(summary: &Summary, slot: f64) -> Option<Vec<Vec<String>>> {
    let [_] = summary.distortions.as_slice() else { return None };
    let names: Vec<Vec<String>> = summary.rows.iter().map(|row| Type::SMALL.wrap(&label_of(&summary.series[row.series]), slot - 1.0)).collect();
    names.iter().flatten().all(|line| Type::SMALL.width(line) <= slot - 0.6).then_some(names).filter(|names| names.iter().all(|lines| lines.len() <= 3))
}
