//! Test error against training steps: one line a model, one panel a distortion.

use super::axis::Axis;
use super::clip::{clipped, inside};
use super::legend::{self, Entry, Mark};
use super::{Area, Figure, draw_horizontal, draw_note, draw_title, draw_vertical};
use crate::canvas::{Anchor, Canvas, Point, Stroke, render};
use crate::error::{Error, Result};
use crate::query::Measurement;
use crate::style::{INK, Type, WIDTH, colour, tint};
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
pub fn figure(summary: &Summary, measurements: &[Measurement]) -> Result<Option<Figure>> {
    let curves: Vec<Curves> = summary
        .rows
        .iter()
        .map(|row| Curves { distortion: row.distortion, series: row.series, test: curve(row, measurements, true), train: curve(row, measurements, false) })
        .collect();
    if curves.iter().all(|c| c.test.iter().all(|p| p.error.is_none())) {
        return Ok(None);
    }
    let layout = Layout::new(summary, &curves);
    let name = "learning_curves".to_string();
    let [svg, png] =
        render((WIDTH, layout.height), |canvas| layout.draw(canvas, summary, &curves)).map_err(|reason| Error::Drawing { figure: name.clone(), reason })?;
    Ok(Some(Figure { name, svg, png, csv: csv(summary, &curves) }))
}

struct Layout {
    panels: Vec<Area>,
    columns: usize,
    steps: Axis,
    errors: Axis,
    entries: Vec<Entry>,
    legend_top: f64,
    height: f64,
}

impl Layout {
    fn new(summary: &Summary, curves: &[Curves]) -> Self {
        let count = summary.distortions.len();
        let columns = match count {
            1 => 1,
            2 | 4 => 2,
            _ => 3,
        };
        let steps = steps(curves, columns);
        // The last label stands under the end of its panel: half of it lies beyond.
        let beyond = steps.ticks.last().map_or(0.0, |(_, label)| Type::SMALL.width(label) / 2.0);
        let (left, right, between) = (13.0, (beyond + 0.8).max(2.5), beyond + 4.0);
        let (title, below) = (6.0, 7.0);
        let width = (WIDTH - left - right - between * (columns as f64 - 1.0)) / columns as f64;
        let height = [82.0, 58.0, 44.0][columns - 1];
        let panels: Vec<Area> = (0..count)
            .map(|i| {
                let (row, column) = ((i / columns) as f64, (i % columns) as f64);
                Area { left: left + column * (width + between), top: 1.0 + title + row * (title + height + below), width, height }
            })
            .collect();
        let entries = entries(summary, curves);
        let bottom = panels.iter().map(Area::bottom).fold(0.0, f64::max);
        let legend_top = bottom + below + 4.0;
        let height = legend_top + legend::height(&entries, WIDTH - 8.0) + if summary.synthetic { 5.0 } else { 1.5 };
        Self { panels, columns, steps, errors: errors(curves), entries, legend_top, height }
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, curves: &[Curves]) {
        for (i, &area) in self.panels.iter().enumerate() {
            draw_vertical(canvas, area, &self.errors, i % self.columns == 0);
            draw_horizontal(canvas, area, &self.steps);
            draw_title(canvas, (area.left, area.top - 2.2), &summary.distortions[i]);
            if i % self.columns == 0 {
                canvas.text_upwards((3.6, area.top + area.height / 2.0), "test error (%)", Type::LABEL, INK, Anchor::Middle);
            }
            if i + self.columns >= self.panels.len() {
                canvas.text((area.left + area.width / 2.0, area.bottom() + 7.8), "training steps", Type::LABEL, INK, Anchor::Middle);
            }
            let here = || curves.iter().filter(move |c| c.distortion == i);
            here().filter(|_| summary.series.len() <= TRAINED).for_each(|c| self.draw_train(canvas, area, c));
            here().for_each(|c| self.draw_band(canvas, area, c));
            here().for_each(|c| self.draw_test(canvas, area, c));
        }
        legend::draw(canvas, &self.entries, (4.0, self.legend_top), WIDTH - 8.0);
        if summary.synthetic {
            draw_note(canvas, (WIDTH - 3.0, self.height - 1.5), "synthetic data");
        }
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
                canvas.line(&shown, Stroke { colour: tint(colour(curves.series), 0.4), width: 0.2 });
            }
        }
    }

    fn draw_band(&self, canvas: &mut Canvas, area: Area, curves: &Curves) {
        for piece in curves.test.split(|p| p.error.is_none()) {
            let spreads: Vec<_> = piece.iter().filter_map(|p| p.error.map(|e| (p.step, e))).filter(|(_, e)| e.n > 1).collect();
            let within = |(x, y): Point| (x, y.clamp(area.top, area.bottom()));
            let upper = spreads.iter().map(|(step, e)| within(self.place(area, *step, e.greatest)));
            let lower = spreads.iter().rev().map(|(step, e)| within(self.place(area, *step, e.least)));
            canvas.polygon(&upper.chain(lower).collect::<Vec<_>>(), colour(curves.series), 0.16);
        }
    }

    fn draw_test(&self, canvas: &mut Canvas, area: Area, curves: &Curves) {
        let means: Vec<(i64, Option<f64>)> = curves.test.iter().map(|p| (p.step, p.error.map(|e| e.mean))).collect();
        let colour = colour(curves.series);
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
                legend::draw_marker(canvas, curves.series, place, colour);
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

fn entries(summary: &Summary, curves: &[Curves]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = summary.series.iter().enumerate().map(|(i, s)| (Mark::Line(colour(i), i), s.label.clone())).collect();
    if summary.series.len() <= TRAINED && curves.iter().any(|c| c.train.iter().any(|p| p.error.is_some())) {
        entries.push((Mark::ThinLine(tint(INK, 0.4)), "on training batches".into()));
    }
    if curves.iter().any(|c| c.test.iter().any(|p| p.error.is_some_and(|e| e.n > 1))) {
        entries.push((Mark::Patch(tint(INK, 0.16)), "range over seeds".into()));
    }
    entries
}

fn steps(curves: &[Curves], columns: usize) -> Axis {
    let last = curves.iter().flat_map(|c| &c.test).map(|p| p.step).max().unwrap_or(1).max(1);
    Axis::linear(0.0, last as f64, [6, 4, 3][columns - 1], false)
}

/// One scale for all panels: logarithmic where the test errors span more than a factor of eight.
fn errors(curves: &[Curves]) -> Axis {
    let spreads = || curves.iter().flat_map(|c| &c.test).filter_map(|p| p.error);
    let greatest = spreads().map(|e| e.greatest).fold(0.0, f64::max);
    let least = spreads().map(|e| e.least).filter(|v| *v > 0.0).fold(greatest, f64::min);
    if least > 0.0 && greatest / least > 8.0 { Axis::logarithmic(least, greatest) } else { Axis::linear(0.0, greatest, 5, true) }
}

fn csv(summary: &Summary, curves: &[Curves]) -> String {
    let mut text = String::from("distortion,model,split,step,n,mean_error_percent,least,greatest\n");
    for curves in curves {
        let (distortion, series) = (&summary.distortions[curves.distortion], &summary.series[curves.series]);
        for (split, points) in [("test", &curves.test), ("train", &curves.train)] {
            for point in points {
                let numbers = point.error.map_or([String::new(), "NaN".into(), "NaN".into(), "NaN".into()], |e| {
                    [e.n.to_string(), e.mean.to_string(), e.least.to_string(), e.greatest.to_string()]
                });
                let fields = [vec![distortion.clone(), series.label.clone(), split.into(), point.step.to_string()], numbers.to_vec()].concat();
                text.push_str(&csv_line(&fields));
            }
        }
    }
    text
}
