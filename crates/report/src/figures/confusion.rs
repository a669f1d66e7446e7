//! Confusion matrices: of the images of each class, the share that is taken for each class; a panel a model, all its seeds together.

use super::legend::label_of;
use super::{Area, Figure, Kind, Press, draw_notes, notes};
use crate::canvas::{Anchor, Canvas, Picture, Stroke};
use crate::error::{Result, count};
use crate::output::name_of;
use crate::query::Store;
use crate::query::recordings::{Confused, confusion};
use crate::style::{GREY, INK, PAPER, RULE, Style, Type, tint};
use crate::summary::Summary;
use crate::table::csv_line;
use plotters::style::RGBColor;
use std::collections::{BTreeMap, BTreeSet};

/// Most models of a distortion.
const MOST: usize = 12;
/// Shades of what is right and of what is wrong: told apart by those who see no red or no green.
const RIGHT: RGBColor = RGBColor(0x00, 0x72, 0xB2);
const WRONG: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
/// Type of the numbers in the cells.
const VALUE: Type = Type { size: 5.0, bold: false };
/// Left of a matrix, below it and above it, mm.
const LEFT: f64 = 10.5;
const BELOW: f64 = 8.5;
const ABOVE: f64 = 5.5;
const SIDE: f64 = 2.0;
/// The largest matrix, mm.
const LARGEST: f64 = 84.0;

/// Every how many classes there may be a name.
const STRIDES: [usize; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// What a model took for what.
struct Matrix {
    series: usize,
    seeds: usize,
    /// Class and what it was taken for -> images.
    images: BTreeMap<(i64, i64), i64>,
}

impl Matrix {
    /// Of the images of a class, the share taken for another; `None` where there are none.
    fn share(&self, class: i64, predicted: i64) -> Option<f64> {
        let all: i64 = self.images.range((class, i64::MIN)..=(class, i64::MAX)).map(|(_, images)| images).sum();
        (all > 0).then(|| *self.images.get(&(class, predicted)).unwrap_or(&0) as f64 / all as f64)
    }
}

/// A figure for each distortion whose trials recorded it and have two classes at least.
pub fn figures(press: Press, summary: &Summary, store: &mut Store) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (d, distortion) in summary.distortions.iter().enumerate() {
        let rows: Vec<_> = summary.rows.iter().filter(|row| row.distortion == d && !row.trials.is_empty()).collect();
        let mut matrices = Vec::new();
        for row in rows.iter().take(MOST) {
            let mut matrix = Matrix { series: row.series, seeds: 0, images: BTreeMap::new() };
            for &trial in &row.trials {
                let found = confusion(&store.trials[trial], &mut store.bad);
                matrix.seeds += usize::from(!found.is_empty());
                for Confused { class, predicted, images } in found {
                    *matrix.images.entry((class, predicted)).or_default() += images;
                }
            }
            if matrix.seeds > 0 {
                matrices.push(matrix);
            }
        }
        let sheet = Sheet::new(press.style, summary, matrices, rows.len().saturating_sub(MOST));
        if sheet.classes.len() > 1 {
            figures.push(press.figure(&name_of(Kind::Confusion, distortion), sheet.size, sheet.csv(summary), |canvas| sheet.draw(canvas, summary))?);
        }
    }
    Ok(figures)
}

struct Sheet {
    matrices: Vec<Matrix>,
    /// What images are.
    classes: Vec<i64>,
    /// What they are taken for: the classes, and -1 last where something was not found.
    answers: Vec<i64>,
    columns: usize,
    /// Side of a cell, mm.
    cell: f64,
    notes: Vec<String>,
    size: (f64, f64),
}

impl Sheet {
    fn new(style: &Style, summary: &Summary, matrices: Vec<Matrix>, left_out: usize) -> Self {
        let pairs = || matrices.iter().flat_map(|matrix| matrix.images.keys());
        let classes: Vec<i64> = pairs().map(|(class, _)| *class).collect::<BTreeSet<_>>().into_iter().collect();
        let mut answers: Vec<i64> =
            pairs().flat_map(|(class, answer)| [*class, *answer]).filter(|class| *class >= 0).collect::<BTreeSet<_>>().into_iter().collect();
        if pairs().any(|(_, answer)| *answer < 0) {
            answers.push(-1);
        }
        let most = if style.narrow() { 2 } else { 3 };
        let columns = matrices.len().div_ceil(matrices.len().div_ceil(most).max(1)).max(1);
        let side = ((style.width() - SIDE) / columns as f64 - LEFT - SIDE).min(LARGEST);
        let cell = side / answers.len().max(1) as f64;
        let seeds = matrices.iter().map(|matrix| matrix.seeds).max().unwrap_or(0);
        let mut text = String::from("Of the images of each class, the percentage taken for each class: blue where rightly, orange where wrongly.");
        if seeds > 1 {
            text.push_str(&format!(" {seeds} seeds together."));
        }
        if answers.contains(&-1) {
            text.push_str(" –: not found.");
        }
        if left_out > 0 {
            text.push_str(&format!(" Not shown: {}.", count(left_out, "more model")));
        }
        text.push_str(&super::remark_as_sentences(summary));
        let notes = notes(&text, style.width() - 6.0);
        let lines = matrices.len().div_ceil(columns) as f64;
        let height = lines * (ABOVE + cell * classes.len() as f64 + BELOW) + 1.0 + super::notes_height(&notes);
        Self { matrices, classes, answers, columns, cell, notes, size: (style.width(), height) }
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary) {
        let (width, height) = (self.cell * self.answers.len() as f64, self.cell * self.classes.len() as f64);
        let across = (self.size.0 - SIDE) / self.columns as f64;
        for (i, matrix) in self.matrices.iter().enumerate() {
            let (row, column) = ((i / self.columns) as f64, (i % self.columns) as f64);
            let area = Area { left: LEFT + column * across, top: ABOVE + row * (ABOVE + height + BELOW), width, height };
            let label = &label_of(&summary.series[matrix.series]);
            canvas.text((area.left, area.top - 1.8), &Type::NAME.shortened(label, across - LEFT), Type::NAME, INK, Anchor::Start);
            self.draw_matrix(canvas, matrix, area);
            self.draw_names(canvas, area);
        }
        draw_notes(canvas, (3.0, self.size.1), &self.notes);
    }

    fn draw_matrix(&self, canvas: &mut Canvas, matrix: &Matrix, area: Area) {
        let cells = || self.classes.iter().flat_map(|&class| self.answers.iter().map(move |&answer| (class, answer, matrix.share(class, answer))));
        let shades = cells().map(|(class, answer, share)| shade(class == answer, share));
        let rgb = shades.flat_map(|RGBColor(r, g, b)| [r, g, b]).collect();
        let picture = Picture { width: self.answers.len() as u32, height: self.classes.len() as u32, rgb };
        canvas.picture((area.left, area.top), (area.width, area.height), &picture);
        canvas.frame((area.left, area.top), (area.width, area.height), Stroke { colour: RULE, width: 0.15 });
        // Where two digits have no room, those of one would be the small ones alone.
        if VALUE.cap() + 0.6 > self.cell || VALUE.width("88") + 0.2 > self.cell {
            return;
        }
        for (i, (class, answer, share)) in cells().enumerate() {
            let text = share.map(|share| format!("{:.0}", 100.0 * share)).filter(|text| text != "0").unwrap_or_default();
            if VALUE.width(&text) + 0.2 < self.cell {
                let (row, column) = ((i / self.answers.len()) as f64, (i % self.answers.len()) as f64);
                let at = (area.left + (column + 0.5) * self.cell, area.top + (row + 0.5) * self.cell + VALUE.cap() / 2.0);
                let dark = strength(class == answer, share.unwrap_or(0.0)) > 0.55;
                canvas.text(at, &text, VALUE, if dark { PAPER } else { INK }, Anchor::Middle);
            }
        }
    }

    /// Names of classes, as many as there is room for.
    fn draw_names(&self, canvas: &mut Canvas, area: Area) {
        let name = |class: i64| if class < 0 { "–".to_string() } else { class.to_string() };
        let widest = self.answers.iter().map(|&answer| Type::TINY.width(&name(answer))).fold(0.0, f64::max);
        let every = |room: f64| STRIDES.into_iter().find(|stride| *stride as f64 * self.cell >= room).unwrap_or(self.answers.len());
        for (i, &class) in self.classes.iter().enumerate().step_by(every(Type::TINY.cap() + 0.6)) {
            let y = area.top + (i as f64 + 0.5) * self.cell + Type::TINY.cap() / 2.0;
            canvas.text((area.left - 0.9, y), &name(class), Type::TINY, INK, Anchor::End);
        }
        for (i, &answer) in self.answers.iter().enumerate().step_by(every(widest + 1.0)) {
            let x = area.left + (i as f64 + 0.5) * self.cell;
            canvas.text((x, area.bottom() + 0.9 + Type::TINY.cap()), &name(answer), Type::TINY, INK, Anchor::Middle);
        }
        canvas.text((area.left + area.width / 2.0, area.bottom() + 5.8), "taken for", Type::TINY, GREY, Anchor::Middle);
        canvas.text_upwards((area.left - 1.6 - widest.max(3.0), area.top + area.height / 2.0), "class", Type::TINY, GREY, Anchor::Middle);
    }

    fn csv(&self, summary: &Summary) -> String {
        let mut text = String::from("model,class,predicted,images,percent_of_class\n");
        for matrix in &self.matrices {
            for (&(class, predicted), images) in &matrix.images {
                let percent = 100.0 * matrix.share(class, predicted).unwrap_or(f64::NAN);
                let numbers = [class.to_string(), predicted.to_string(), images.to_string(), percent.to_string()];
                text.push_str(&csv_line(&[vec![summary.series[matrix.series].label.clone()], numbers.to_vec()].concat()));
            }
        }
        text
    }
}

/// How much colour a cell has: what is wrong is rare, and its root is shown.
fn strength(right: bool, share: f64) -> f64 {
    if right { share } else { share.sqrt() }
}

fn shade(right: bool, share: Option<f64>) -> RGBColor {
    share.map_or(RULE, |share| tint(if right { RIGHT } else { WRONG }, strength(right, share)))
}
