//! What a model costs against what it gets wrong: a point a model, and a line through those that none beats in both.

use super::axis::Axis;
use super::legend::{self, Entry, Mark};
use super::panels::Panels;
use super::{Figure, Kind, Press, remark};
use crate::canvas::{Canvas, Point, Stroke};
use crate::error::Result;
use crate::output::name_of;
use crate::style::{GREY, RULE, Style};
use crate::summary::{Row, Summary};
use crate::table::csv_line;

/// What is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    Parameters,
    StepTime,
}

/// Costs that differ by less than this say nothing.
const ALIKE: f64 = 1.05;

impl Cost {
    fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::StepTime => "step_time",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::StepTime => "step time (ms)",
        }
    }

    fn of(self, row: &Row) -> Option<f64> {
        match self {
            Self::Parameters => row.parameters.map(|parameters| parameters as f64),
            Self::StepTime => row.step_ms,
        }
        .filter(|cost| cost.is_finite() && *cost > 0.0)
    }
}

/// A model on a distortion.
struct Dot {
    distortion: usize,
    series: usize,
    cost: f64,
    error: f64,
    /// Whether no model on the same distortion costs less and errs less.
    unbeaten: bool,
}

/// A figure for each cost that the models differ in, or, where the figures are asked for, for each that is known.
pub fn figures(press: Press, summary: &Summary, asked: bool) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for cost in [Cost::Parameters, Cost::StepTime] {
        let dots = dots(summary, cost);
        let (least, greatest) = dots.iter().fold((f64::INFINITY, 0.0), |(l, g), dot| (dot.cost.min(l), dot.cost.max(g)));
        if dots.len() > 1 && (asked || greatest > least * ALIKE) {
            figures.push(draw(press, summary, cost, &dots)?);
        }
    }
    Ok(figures)
}

fn dots(summary: &Summary, cost: Cost) -> Vec<Dot> {
    let known = summary.rows.iter().filter_map(|row| Some((row.distortion, row.series, cost.of(row)?, row.error?.mean)));
    let known: Vec<(usize, usize, f64, f64)> = known.collect();
    let beats = |a: &(usize, usize, f64, f64), b: &(usize, usize, f64, f64)| a.0 == b.0 && a.2 <= b.2 && a.3 <= b.3 && (a.2 < b.2 || a.3 < b.3);
    let dot =
        |of: &(usize, usize, f64, f64)| Dot { distortion: of.0, series: of.1, cost: of.2, error: of.3, unbeaten: !known.iter().any(|other| beats(other, of)) };
    known.iter().map(dot).collect()
}

fn draw(press: Press, summary: &Summary, cost: Cost, dots: &[Dot]) -> Result<Figure> {
    let style = press.style;
    let count = summary.distortions.len();
    let (least, greatest) = dots.iter().fold((f64::INFINITY, 0.0), |(l, g), dot| (dot.cost.min(l), dot.cost.max(g)));
    let margin = ((greatest - least) * 0.06).max(least * 0.05);
    let ticks = Panels::ticks(style, count);
    let across =
        if greatest / least > 8.0 { Axis::logarithmic(least, greatest) } else { Axis::linear((least - margin).max(0.0), greatest + margin, ticks, false) };
    let up = Axis::of_errors(dots.iter().map(|dot| dot.error));
    let panels = Panels::new(style, count, (&across, &up), 0.0, entries(style, summary), remark(summary));
    press.figure(&name_of(Kind::Cost, cost.name()), panels.size, csv(summary, cost, dots), |canvas| {
        panels.draw_axes(canvas, &summary.distortions, (&across, &up), (cost.label(), "test error (%)"));
        for (d, &area) in panels.areas.iter().enumerate() {
            let place = |dot: &Dot| (area.left + across.share(dot.cost) * area.width, area.bottom() - up.share(dot.error) * area.height);
            let here: Vec<&Dot> = dots.iter().filter(|dot| dot.distortion == d).collect();
            draw_front(canvas, &here, area.right(), &place);
            for dot in here {
                legend::draw_marker(canvas, style.shape(dot.series), place(dot), style.colour(dot.series));
            }
        }
        panels.draw_legend(canvas);
    })
}

/// The staircase through the unbeaten: left of it and below it is no model.
fn draw_front(canvas: &mut Canvas, dots: &[&Dot], right: f64, place: &impl Fn(&Dot) -> Point) {
    let mut unbeaten: Vec<&&Dot> = dots.iter().filter(|dot| dot.unbeaten).collect();
    unbeaten.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(b.error.total_cmp(&a.error)));
    let mut stairs: Vec<Point> = Vec::new();
    for dot in unbeaten {
        let (x, y) = place(dot);
        if let Some(&(_, before)) = stairs.last() {
            stairs.push((x, before));
        }
        stairs.push((x, y));
    }
    if let Some(&(_, y)) = stairs.last() {
        stairs.push((right, y));
        canvas.line(&stairs, Stroke { colour: RULE, width: 0.9 });
        canvas.line(&stairs, Stroke { colour: GREY, width: 0.3 });
    }
}

fn entries(style: &Style, summary: &Summary) -> Vec<Entry> {
    let models = summary.series.iter().enumerate().map(|(i, series)| (Mark::Marker(style.colour(i), style.shape(i)), legend::label_of(series)));
    models.chain([(Mark::ThinLine(GREY), "Pareto front: none costs less and errs less".to_string())]).collect()
}

fn csv(summary: &Summary, cost: Cost, dots: &[Dot]) -> String {
    let mut text =
        csv_line(&["distortion", "model", if cost == Cost::StepTime { "step_ms" } else { "parameters" }, "test_error_percent", "pareto"].map(str::to_string));
    for dot in dots {
        let names = [summary.distortions[dot.distortion].clone(), summary.series[dot.series].label.clone()];
        text.push_str(&csv_line(&[names.to_vec(), vec![dot.cost.to_string(), dot.error.to_string(), dot.unbeaten.to_string()]].concat()));
    }
    text
}
