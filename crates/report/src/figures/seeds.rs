//! Final test errors seed by seed: a box from quartile to quartile with the median, whiskers to the least and the greatest, and a point a seed.

use super::axis::Axis;
use super::legend::{Entry, Mark, label_of};
use super::panels::Panels;
use super::{Area, Figure, Kind, Press, remark};
use crate::canvas::{Canvas, Stroke};
use crate::error::Result;
use crate::statistics::quantile;
use crate::style::{INK, PAPER, Style, tint};
use crate::summary::{Row, Summary};
use crate::table::csv_line;

/// The fewest seeds that a box says something of.
const FEWEST: usize = 3;

/// Draws the figure; `None` where no model has as many seeds as a box needs, or, where it is asked for, two.
pub fn figure(press: Press, summary: &Summary, asked: bool) -> Result<Option<Figure>> {
    let needed = if asked { 2 } else { FEWEST };
    if summary.rows.iter().all(|row| row.error.is_none() || row.errors.len() < needed) {
        return Ok(None);
    }
    let style = press.style;
    let across = Axis::nothing();
    let up = Axis::of_errors(summary.rows.iter().flat_map(|row| row.errors.iter().map(|(_, error)| *error)));
    let panels = Panels::new(style, summary.distortions.len(), (&across, &up), -4.0, entries(style, summary), remark(summary));
    let figure = press.figure(Kind::Seeds.name(), panels.size, csv(summary), |canvas| {
        panels.draw_axes(canvas, &summary.distortions, (&across, &up), ("", "test error (%)"));
        for (d, &area) in panels.areas.iter().enumerate() {
            let rows: Vec<&Row> = summary.rows.iter().filter(|row| row.distortion == d).collect();
            for (i, row) in rows.iter().enumerate() {
                draw_box(canvas, (area, i as f64 + 0.5, rows.len() as f64), style, &up, row);
            }
        }
        panels.draw_legend(canvas);
    })?;
    Ok(Some(figure))
}

fn draw_box(canvas: &mut Canvas, (area, i, count): (Area, f64, f64), style: &Style, up: &Axis, row: &Row) {
    let slot = (area.width / count).min(16.0);
    let centre = area.left + area.width / 2.0 + (i - count / 2.0) * slot;
    let y = |error: f64| area.bottom() - up.share(error).clamp(0.0, 1.0) * area.height;
    let mut errors: Vec<f64> = row.errors.iter().map(|(_, error)| *error).collect();
    errors.sort_by(f64::total_cmp);
    let (Some(&least), Some(&greatest)) = (errors.first(), errors.last()) else { return };
    let [lower, median, upper] = [0.25, 0.5, 0.75].map(|share| quantile(&errors, share));
    let (colour, half) = (style.colour(row.series), (slot * 0.34).min(3.2));
    let line = Stroke { colour, width: 0.3 };
    canvas.line(&[(centre, y(least)), (centre, y(lower))], line);
    canvas.line(&[(centre, y(upper)), (centre, y(greatest))], line);
    for end in [least, greatest] {
        canvas.line(&[(centre - half * 0.5, y(end)), (centre + half * 0.5, y(end))], line);
    }
    canvas.rectangle((centre - half, y(upper)), (2.0 * half, y(lower) - y(upper)), tint(colour, 0.25));
    canvas.frame((centre - half, y(upper)), (2.0 * half, y(lower) - y(upper)), line);
    canvas.line(&[(centre - half, y(median)), (centre + half, y(median))], Stroke { colour: INK, width: 0.5_f64.min(0.2 * half) });
    // Small beside a small box, which they would hide.
    let dot = (0.2 * half).clamp(0.28, 0.45);
    for (k, (_, error)) in row.errors.iter().enumerate() {
        // Beside each other, so that seeds with one error are seen to be several; always in the same places.
        let aside = (k as f64 * 0.618_033_988_75).fract() - 0.5;
        let at = (centre + aside * half * 1.2, y(*error));
        canvas.disc(at, dot + 0.15, PAPER);
        canvas.disc(at, dot, colour);
    }
}

fn entries(style: &Style, summary: &Summary) -> Vec<Entry> {
    summary.series.iter().enumerate().map(|(i, series)| (Mark::Patch(style.colour(i)), label_of(series))).collect()
}

fn csv(summary: &Summary) -> String {
    let mut text = String::from("distortion,model,seed,test_error_percent\n");
    for row in &summary.rows {
        for (seed, error) in &row.errors {
            let names = [summary.distortions[row.distortion].clone(), summary.series[row.series].label.clone()];
            text.push_str(&csv_line(&[names.to_vec(), vec![seed.to_string(), error.to_string()]].concat()));
        }
    }
    text
}
