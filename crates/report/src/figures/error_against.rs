//! Final test error against a key of the sweep that is a number: one line a model with whatever else is swept, one panel a distortion.

use super::axis::{Axis, plain};
use super::clip::clipped;
use super::legend::{self, Entry, Mark};
use super::panels::Panels;
use super::{Area, Figure, Kind, MOST_SERIES, Press, remark};
use crate::canvas::{Canvas, Point, Stroke};
use crate::error::Result;
use crate::output::name_of;
use crate::statistics::{Spread, Width};
use crate::style::Style;
use crate::summary::Summary;
use crate::table::csv_line;
use std::collections::{BTreeMap, BTreeSet};

/// A model and what else is swept, over the values of the key.
struct Line {
    distortion: usize,
    /// Index into the names; also its colour.
    name: usize,
    /// Value and error, in order of the values.
    points: Vec<(f64, Spread)>,
}

struct Chart {
    key: String,
    names: Vec<String>,
    lines: Vec<Line>,
    /// Whether points are joined: of a random search no two differ in this key alone.
    joined: bool,
}

/// One figure for each numeric key with two values or more.
pub fn figures(press: Press, summary: &Summary) -> Result<Vec<Figure>> {
    let keys: BTreeSet<&str> = summary.series.iter().flat_map(|series| &series.swept).map(|(key, _)| key.as_str()).collect();
    let charts = keys.into_iter().filter_map(|key| chart(summary, key));
    charts.map(|chart| draw(press, summary, &chart)).collect()
}

/// The test error of a row of the table, and the key's value there.
struct Measured {
    distortion: usize,
    series: usize,
    value: f64,
    error: Spread,
}

/// `None` where the key has values that are no numbers, or one alone.
fn chart(summary: &Summary, key: &str) -> Option<Chart> {
    let mut points: Vec<Measured> = Vec::new();
    for row in &summary.rows {
        let Some((_, value)) = summary.series[row.series].swept.iter().find(|(name, _)| name == key) else { continue };
        let value: f64 = value.parse().ok()?;
        if let Some(error) = row.error.filter(|_| value.is_finite()) {
            points.push(Measured { distortion: row.distortion, series: row.series, value, error });
        }
    }
    let values: BTreeSet<u64> = points.iter().map(|point| point.value.to_bits()).collect();
    let apart = lines(summary, key, &points, true);
    // In a grid, each line has every value; of a random search, few have two. More lines than can be told apart are not drawn as lines either.
    let joined =
        apart.0.len() <= MOST_SERIES && apart.1.iter().map(|line| line.points.len()).sum::<usize>() as f64 > 0.6 * (apart.1.len() * values.len()) as f64;
    let (names, lines) = if joined { apart } else { lines(summary, key, &points, false) };
    (values.len() > 1).then(|| Chart { key: key.to_string(), names, lines, joined })
}

/// The points by line: those that differ in the key alone, or those of a model.
fn lines(summary: &Summary, key: &str, points: &[Measured], apart: bool) -> (Vec<String>, Vec<Line>) {
    let (mut names, mut lines): (Vec<String>, Vec<Line>) = (Vec::new(), Vec::new());
    let (mut places, mut line_of) = (BTreeMap::new(), BTreeMap::new());
    for &Measured { distortion, series, value, error } in points {
        let series = &summary.series[series];
        let rest: Vec<(String, String)> = series.swept.iter().filter(|(name, _)| apart && name != key).cloned().collect();
        let name = *places.entry((&series.model, rest)).or_insert_with_key(|(model, rest)| {
            names.push(legend::named(model, rest));
            names.len() - 1
        });
        let line = *line_of.entry((distortion, name)).or_insert_with(|| {
            lines.push(Line { distortion, name, points: Vec::new() });
            lines.len() - 1
        });
        lines[line].points.push((value, error));
    }
    lines.iter_mut().for_each(|line| line.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    (names, lines)
}

fn draw(press: Press, summary: &Summary, chart: &Chart) -> Result<Figure> {
    let style = press.style;
    let shown: BTreeSet<usize> = chart.lines.iter().map(|line| line.distortion).collect();
    let titles: Vec<String> = shown.iter().map(|&d| summary.distortions[d].clone()).collect();
    let values: Vec<f64> = chart.lines.iter().flat_map(|line| line.points.iter().map(|(value, _)| *value)).collect();
    let room = style.width() / Panels::columns(style, titles.len()) as f64 - 16.0;
    let across = Axis::of_values(&values, room);
    let up = Axis::of_errors(chart.lines.iter().flat_map(|line| line.points.iter().flat_map(|(_, error)| [error.least, error.greatest])));
    let mark = |i| if chart.joined { Mark::Line(style.colour(i), style.shape(i)) } else { Mark::Marker(style.colour(i), style.shape(i)) };
    let mut entries: Vec<Entry> = chart.names.iter().enumerate().map(|(i, name)| (mark(i), name.clone())).collect();
    if chart.joined && chart.lines.iter().any(|line| line.points.iter().any(|(_, error)| error.n > 1)) {
        entries.push(legend::of_band(summary.width));
    }
    let panels = Panels::new(style, titles.len(), (&across, &up), 0.0, entries, remark(summary));
    press.figure(&name_of(Kind::ErrorAgainst, &chart.key), panels.size, csv(summary, chart), |canvas| {
        panels.draw_axes(canvas, &titles, (&across, &up), (&chart.key, "test error (%)"));
        for (&area, &d) in panels.areas.iter().zip(&shown) {
            let place = |value: f64, error: f64| (area.left + across.share(value) * area.width, area.bottom() - up.share(error) * area.height);
            let here = || chart.lines.iter().filter(|line| line.distortion == d);
            if chart.joined {
                here().for_each(|line| draw_band(canvas, area, style, line, summary.width, &place));
            }
            here().for_each(|line| draw_line(canvas, area, style, line, chart.joined, &place));
        }
        panels.draw_legend(canvas);
    })
}

fn draw_band(canvas: &mut Canvas, area: Area, style: &Style, line: &Line, width: Width, place: &impl Fn(f64, f64) -> Point) {
    let within = |(x, y): Point| (x, y.clamp(area.top, area.bottom()));
    for piece in line.points.split(|(_, error)| error.width(width).is_none()) {
        let widths: Vec<(f64, f64, f64)> = piece.iter().filter_map(|(value, error)| Some((*value, error.mean, error.width(width)?))).collect();
        let upper = widths.iter().map(|(value, mean, width)| within(place(*value, mean + width)));
        let lower = widths.iter().rev().map(|(value, mean, width)| within(place(*value, mean - width)));
        canvas.polygon(&upper.chain(lower).collect::<Vec<_>>(), style.colour(line.name), 0.16);
    }
}

fn draw_line(canvas: &mut Canvas, area: Area, style: &Style, line: &Line, joined: bool, place: &impl Fn(f64, f64) -> Point) {
    let colour = style.colour(line.name);
    let points: Vec<Point> = line.points.iter().map(|(value, error)| place(*value, error.mean)).collect();
    for piece in clipped(&points, area).iter().filter(|_| joined) {
        canvas.line(piece, Stroke { colour, width: 0.5 });
    }
    for point in points {
        legend::draw_marker(canvas, style.shape(line.name), point, colour);
    }
}

fn csv(summary: &Summary, chart: &Chart) -> String {
    let mut text = csv_line(&["distortion", "model", &chart.key, "n", "test_error_percent", "standard_deviation", "interval_95"].map(str::to_string));
    for line in &chart.lines {
        for (value, error) in &line.points {
            let widths = [Width::Deviation, Width::Interval].map(|width| error.width(width).map_or(String::new(), |width| width.to_string()));
            let [deviation, interval] = widths;
            let names = [summary.distortions[line.distortion].clone(), chart.names[line.name].clone()];
            let numbers = [plain(*value), error.n.to_string(), error.mean.to_string(), deviation, interval];
            text.push_str(&csv_line(&[names.to_vec(), numbers.to_vec()].concat()));
        }
    }
    text
}
