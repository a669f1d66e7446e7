//! Test error against training steps: one line a model, one panel a distortion.

use super::axis::Axis;
use super::clip::{clipped, inside};
use super::legend::{self, Entry, Mark};
use super::panels::Panels;
use super::{Area, Figure, Press, remark};
use crate::canvas::{Canvas, Point, Stroke};
use crate::error::Result;
use crate::query::Measurement;
use crate::statistics::{Spread, Width};
use crate::style::{INK, Style, tint};
use crate::summary::{CurvePoint, Summary, curve};
use crate::table::csv_line;

/// The curves of one row of the table.
struct Curves {
    distortion: usize,
    series: usize,
    test: Vec<CurvePoint>,
    train: Vec<CurvePoint>,
}

/// Most points of a training curve; more are averaged in bins.
const BINS: usize = 60;
/// Most models whose training curves are drawn: more would hide the test errors.
const TRAINED: usize = 6;
/// Most markers on a line.
const MARKERS: usize = 12;

/// Draws the figure; `None` where there are no metrics.
pub fn figure(press: Press, summary: &Summary, measurements: &[Measurement]) -> Result<Option<Figure>> {
    let curves: Vec<Curves> = summary
        .rows
        .iter()
        .map(|row| Curves { distortion: row.distortion, series: row.series, test: curve(row, measurements, true), train: curve(row, measurements, false) })
        .collect();
    if curves.iter().all(|c| c.test.iter().all(|p| p.error.is_none())) {
        return Ok(None);
    }
    let layout = Layout::new(press.style, summary, &curves);
    press.figure("learning_curves", layout.panels.size, csv(summary, &curves), |canvas| layout.draw(canvas, summary, &curves)).map(Some)
}

struct Layout<'a> {
    style: &'a Style,
    panels: Panels,
    steps: Axis,
    errors: Axis,
    /// What the bands show.
    band: Width,
}

impl<'a> Layout<'a> {
    fn new(style: &'a Style, summary: &Summary, curves: &[Curves]) -> Self {
        let count = summary.distortions.len();
        let last = curves.iter().flat_map(|c| &c.test).map(|p| p.step).max().unwrap_or(1).max(1);
        let steps = Axis::linear(0.0, last as f64, Panels::ticks(style, count), false);
        let errors = Axis::of_errors(curves.iter().flat_map(|c| &c.test).filter_map(|p| p.error).flat_map(|e| [e.least, e.greatest]));
        let panels = Panels::new(style, count, (&steps, &errors), 0.0, entries(style, summary, curves), remark(summary));
        Self { style, panels, steps, errors, band: summary.width }
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, curves: &[Curves]) {
        self.panels.draw_axes(canvas, &summary.distortions, (&self.steps, &self.errors), ("training steps", "test error (%)"));
        for (i, &area) in self.panels.areas.iter().enumerate() {
            let here = || curves.iter().filter(move |c| c.distortion == i);
            here().filter(|_| summary.series.len() <= TRAINED).for_each(|c| self.draw_train(canvas, area, c));
            here().for_each(|c| self.draw_band(canvas, area, c));
            here().for_each(|c| self.draw_test(canvas, area, c));
        }
        self.panels.draw_legend(canvas);
    }

    fn place(&self, area: Area, step: i64, error: f64) -> Point {
        (area.left + self.steps.share(step as f64) * area.width, area.bottom() - self.errors.share(error) * area.height)
    }

    fn draw_train(&self, canvas: &mut Canvas, area: Area, curves: &Curves) {
        let binned = bins(&curves.train);
        for piece in pieces(&binned) {
            let points: Vec<Point> = piece.iter().map(|(step, error)| self.place(area, *step, *error)).collect();
            // The scale is that of the test errors; a training curve may leave it.
            for shown in clipped(&points, area) {
                canvas.line(&shown, Stroke { colour: tint(self.style.colour(curves.series), 0.4), width: 0.2 });
            }
        }
    }

    fn draw_band(&self, canvas: &mut Canvas, area: Area, curves: &Curves) {
        for piece in curves.test.split(|p| p.error.is_none()) {
            let widths = piece.iter().filter_map(|p| p.error.and_then(|e| Some((p.step, e.mean, e.width(self.band)?))));
            let widths: Vec<(i64, f64, f64)> = widths.collect();
            let within = |(x, y): Point| (x, y.clamp(area.top, area.bottom()));
            let upper = widths.iter().map(|(step, mean, width)| within(self.place(area, *step, mean + width)));
            let lower = widths.iter().rev().map(|(step, mean, width)| within(self.place(area, *step, mean - width)));
            canvas.polygon(&upper.chain(lower).collect::<Vec<_>>(), self.style.colour(curves.series), 0.16);
        }
    }

    fn draw_test(&self, canvas: &mut Canvas, area: Area, curves: &Curves) {
        let means: Vec<(i64, Option<f64>)> = curves.test.iter().map(|p| (p.step, p.error.map(|e| e.mean))).collect();
        let (colour, shape) = (self.style.colour(curves.series), self.style.shape(curves.series));
        let every = means.len().div_ceil(MARKERS).max(1);
        // Counted from the end, so that the final error always has its marker.
        let marked = |i: usize| (means.len() - 1 - i).is_multiple_of(every);
        for piece in pieces(&means) {
            let points: Vec<Point> = piece.iter().map(|(step, error)| self.place(area, *step, *error)).collect();
            for shown in clipped(&points, area) {
                canvas.line(&shown, Stroke { colour, width: 0.5 });
            }
        }
        for (i, (step, error)) in means.iter().enumerate() {
            let place = error.filter(|_| marked(i)).map(|error| self.place(area, *step, error));
            if let Some(place) = place.filter(|place| inside(*place, area)) {
                legend::draw_marker(canvas, shape, place, colour);
            }
        }
    }
}

/// The unbroken stretches of a curve.
fn pieces(points: &[(i64, Option<f64>)]) -> Vec<Vec<(i64, f64)>> {
    points.split(|(_, error)| error.is_none()).map(|piece| piece.iter().filter_map(|(step, error)| error.map(|e| (*step, e))).collect()).collect()
}

/// A training curve in at most [`BINS`] points: means over neighbours, at their middle step.
fn bins(points: &[CurvePoint]) -> Vec<(i64, Option<f64>)> {
    let size = points.len().div_ceil(BINS).max(1);
    let mean = |bin: &[CurvePoint]| bin.iter().map(|p| p.error.map(|e| e.mean)).sum::<Option<f64>>().map(|sum| sum / bin.len() as f64);
    points.chunks(size).map(|bin| (bin[bin.len() / 2].step, mean(bin))).collect()
}

fn entries(style: &Style, summary: &Summary, curves: &[Curves]) -> Vec<Entry> {
    let mut entries = legend::of_series(style, summary);
    if summary.series.len() <= TRAINED && curves.iter().any(|c| c.train.iter().any(|p| p.error.is_some())) {
        entries.push((Mark::ThinLine(tint(INK, 0.4)), "on training batches".into()));
    }
    if curves.iter().any(|c| c.test.iter().any(|p| p.error.is_some_and(|e| e.n > 1))) {
        entries.push(legend::of_band(summary.width));
    }
    entries
}

fn csv(summary: &Summary, curves: &[Curves]) -> String {
    let mut text = String::from("distortion,model,split,step,n,mean_error_percent,least,greatest,standard_deviation,interval_95\n");
    for curves in curves {
        let (distortion, series) = (&summary.distortions[curves.distortion], &summary.series[curves.series]);
        for (split, points) in [("test", &curves.test), ("train", &curves.train)] {
            for point in points {
                let nothing = || ["", "NaN", "NaN", "NaN", "", ""].map(str::to_string);
                let width = |e: Spread, width| e.width(width).map_or(String::new(), |width| width.to_string());
                let numbers = point.error.map_or_else(nothing, |e| {
                    let widths = [width(e, Width::Deviation), width(e, Width::Interval)];
                    let [deviation, interval] = widths;
                    [e.n.to_string(), e.mean.to_string(), e.least.to_string(), e.greatest.to_string(), deviation, interval]
                });
                let fields = [vec![distortion.clone(), series.label.clone(), split.into(), point.step.to_string()], numbers.to_vec()].concat();
                text.push_str(&csv_line(&fields));
            }
        }
    }
    text
}
