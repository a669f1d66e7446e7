//! The parameters of the transformations over the training: a line a test image and their mean, a panel a parameter; of many control points, the way of each.

use super::axis::Axis;
use super::clip::clipped;
use super::legend::BESIDE;
use super::legend::label_of;
use super::{Area, Figure, Kind, Press, draw_notes, draw_vertical, notes};
use crate::canvas::{Anchor, Canvas, Point, Stroke};
use crate::error::{Result, count};
use crate::output::name_of;
use crate::query::Store;
use crate::query::recordings::{Theta, thetas};
use crate::statistics::quantile;
use crate::style::{GREY, INK, PAPER, RULE, Style, Type, tint};
use crate::summary::{Summary, thousands};
use crate::table::csv_line;
use std::collections::{BTreeMap, BTreeSet};

/// More parameters than this are drawn as points on their way, where they are pairs of x and y.
const APART: usize = 12;
/// The highest sheet that still fits a page, mm.
const HIGHEST: f64 = 235.0;
const LEFT: f64 = 9.5;
const RIGHT: f64 = 4.0;
/// Above a block, for its name; above a panel, for its parameter; below the last panels, for the steps; mm.
const HEAD: f64 = 5.0;
const TITLE: f64 = 3.6;
const BELOW: f64 = 4.6;
const BETWEEN: f64 = 2.5;
/// Between lines of panels, for the halves of labels, mm.
const LINE: f64 = 2.0;
/// Side of the panel with the ways of control points, mm.
const WAYS: f64 = 44.0;

/// One transformer of one model.
struct Block {
    series: usize,
    trial: String,
    /// The layer, where the model has several.
    layer: Option<String>,
    /// Moments in order, of each image.
    images: BTreeMap<i64, Vec<Theta>>,
    names: Vec<String>,
}

/// A figure for each distortion whose trials recorded parameters at several moments.
pub fn figures(press: Press, summary: &Summary, store: &mut Store) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (d, distortion) in summary.distortions.iter().enumerate() {
        let mut blocks = Vec::new();
        let mut height = 0.0;
        let mut left_out = 0;
        for row in summary.rows.iter().filter(|row| row.distortion == d) {
            if height > HIGHEST {
                left_out += 1;
                continue;
            }
            let Some(&trial) = row.trials.first() else { continue };
            let read = thetas(&store.trials[trial], &mut store.bad);
            for block in of_trial(read, row.series, &store.trials[trial].id) {
                height += Shape::of(&block, press.style).height();
                if height <= HIGHEST || blocks.is_empty() { blocks.push(block) } else { left_out += 1 }
            }
        }
        if !blocks.is_empty() {
            let sheet = Sheet::new(press.style, summary, blocks, left_out);
            figures.push(press.figure(&name_of(Kind::Theta, distortion), sheet.size, csv(summary, &sheet.blocks), |canvas| sheet.draw(canvas, summary))?);
        }
    }
    Ok(figures)
}

/// The transformers of a trial, each as it was applied last.
fn of_trial(read: Vec<Theta>, series: usize, trial: &str) -> Vec<Block> {
    let mut layers: Vec<String> = Vec::new();
    for theta in &read {
        if !layers.contains(&theta.layer) {
            layers.push(theta.layer.clone());
        }
    }
    let several = layers.len() > 1;
    let block = |layer: String| {
        let last = read.iter().filter(|theta| theta.layer == layer).map(|theta| theta.step).max()?;
        let mut images: BTreeMap<i64, Vec<Theta>> = BTreeMap::new();
        for theta in read.iter().filter(|theta| theta.layer == layer && theta.step == last && !theta.values.is_empty()) {
            images.entry(theta.sample).or_default().push(theta.clone());
        }
        images.values_mut().for_each(|moments| moments.sort_by_key(|theta| theta.trained));
        let names = images.values().next()?.first()?.names.clone();
        let fit = |theta: &Theta| theta.values.len() == names.len();
        let whole = !names.is_empty() && images.values().any(|moments| moments.len() > 1) && images.values().flatten().all(fit);
        whole.then(|| Block { series, trial: trial.to_string(), layer: several.then_some(layer), images, names })
    };
    layers.into_iter().filter_map(block).collect()
}

/// How the panels of a block stand.
struct Shape {
    columns: usize,
    lines: usize,
    width: f64,
    high: f64,
}

impl Shape {
    fn of(block: &Block, style: &Style) -> Self {
        let room = style.width() - LEFT - RIGHT;
        if pairs(block) {
            return Self { columns: 1, lines: 1, width: WAYS, high: WAYS };
        }
        let most = if style.narrow() { 4 } else { 8 };
        let lines = block.names.len().div_ceil(most);
        let columns = block.names.len().div_ceil(lines);
        let width = ((room + BETWEEN) / columns as f64 - BETWEEN).min(40.0);
        Self { columns, lines, width, high: (width * 0.8).clamp(14.0, 22.0) }
    }

    fn height(&self) -> f64 {
        HEAD + self.lines as f64 * (TITLE + self.high + LINE) - LINE + BELOW
    }
}

/// Whether the parameters are many points' x and y by turns.
fn pairs(block: &Block) -> bool {
    let turns = |pair: &[String]| pair.len() == 2 && pair[0].starts_with('x') && pair[1].starts_with('y');
    block.names.len() > APART && block.names.chunks(2).all(turns)
}

struct Sheet<'a> {
    style: &'a Style,
    blocks: Vec<Block>,
    notes: Vec<String>,
    size: (f64, f64),
}

impl<'a> Sheet<'a> {
    fn new(style: &'a Style, summary: &Summary, blocks: Vec<Block>, left_out: usize) -> Self {
        let mut text = String::from("Thin: one test image each; thick: their mean.");
        if blocks.iter().any(|block| !pairs(block)) {
            text = format!("Parameters over the training steps. {text}");
        }
        if blocks.iter().any(pairs) {
            text.push_str(" Control points: the way of each from before the training (ring) to its end (dot), mean over the images; the frame is the image.");
        }
        if left_out > 0 {
            text.push_str(&format!(" Not shown: {}.", count(left_out, "more model")));
        }
        text.push_str(&super::remark_as_sentences(summary));
        let notes = notes(&text, style.width() - 6.0);
        let height = blocks.iter().map(|block| Shape::of(block, style).height()).sum::<f64>() + 0.5 + super::notes_height(&notes);
        Self { style, blocks, notes, size: (style.width(), height) }
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary) {
        let mut top = 0.5;
        for block in &self.blocks {
            let shape = Shape::of(block, self.style);
            canvas.rectangle((0.6, top + 0.6), (0.8, shape.height() - 2.0), self.style.colour(block.series));
            let layer = block.layer.as_deref().unwrap_or_default();
            let label = Type::NAME.shortened(&label_of(&summary.series[block.series]), self.size.0 - 6.0 - Type::TINY.width(layer) - BESIDE);
            canvas.text((2.4, top + 3.2), &label, Type::NAME, INK, Anchor::Start);
            canvas.text((2.4 + Type::NAME.width(&label) + BESIDE, top + 3.2), layer, Type::TINY, GREY, Anchor::Start);
            if pairs(block) {
                let side = shape.width;
                self.draw_ways(canvas, block, Area { left: (self.size.0 - side) / 2.0, top: top + HEAD + TITLE - 2.0, width: side, height: side });
            } else {
                self.draw_parameters(canvas, block, &shape, top + HEAD);
            }
            top += shape.height();
        }
        draw_notes(canvas, (3.0, self.size.1), &self.notes);
    }

    fn draw_parameters(&self, canvas: &mut Canvas, block: &Block, shape: &Shape, top: f64) {
        let values = || block.images.values().flatten().flat_map(|theta| theta.values.iter().copied()).filter(|value| value.is_finite());
        let mut sorted: Vec<f64> = values().collect();
        sorted.sort_by(f64::total_cmp);
        // A parameter that ran away would flatten all others.
        let (least, greatest) = if sorted.is_empty() { (0.0, 1.0) } else { (quantile(&sorted, 0.005), quantile(&sorted, 0.995)) };
        let up = Axis::linear(least, greatest, 3, true);
        let last = block.images.values().flatten().map(|theta| theta.trained).max().unwrap_or(1).max(1);
        for (k, name) in block.names.iter().enumerate() {
            let (line, column) = (k / shape.columns, k % shape.columns);
            let left = LEFT + column as f64 * (shape.width + BETWEEN);
            let area = Area { left, top: top + TITLE + line as f64 * (TITLE + shape.high + LINE), width: shape.width, height: shape.high };
            canvas.text((area.left, area.top - 1.0), name, Type::SMALL, INK, Anchor::Start);
            draw_vertical(canvas, area, &up, column == 0);
            canvas.line(&[(area.left, area.bottom()), (area.right(), area.bottom())], Stroke { colour: INK, width: 0.2 });
            let place = |(step, value): (i64, f64)| (area.left + step as f64 / last as f64 * area.width, area.bottom() - up.share(value) * area.height);
            let colour = self.style.colour(block.series);
            for moments in block.images.values() {
                let way: Vec<Point> = moments.iter().map(|theta| place((theta.trained, theta.values[k]))).collect();
                clipped(&way, area).iter().for_each(|piece| canvas.line(piece, Stroke { colour: tint(colour, 0.4), width: 0.15 }));
            }
            let mean: Vec<Point> = means(block, k).into_iter().map(place).collect();
            clipped(&mean, area).iter().for_each(|piece| canvas.line(piece, Stroke { colour, width: 0.5 }));
            let lowest = line + 1 == shape.lines || k + shape.columns >= block.names.len();
            if lowest {
                let baseline = area.bottom() + 0.9 + Type::TINY.cap();
                canvas.text((area.left, baseline), "0", Type::TINY, INK, Anchor::Start);
                canvas.text((area.right(), baseline), &thousands(last), Type::TINY, INK, Anchor::End);
            }
        }
    }

    /// The way of each control point through the image.
    fn draw_ways(&self, canvas: &mut Canvas, block: &Block, area: Area) {
        let ways: Vec<Vec<Point>> = (0..block.names.len() / 2)
            .map(|point| means(block, 2 * point).into_iter().zip(means(block, 2 * point + 1)).map(|((_, x), (_, y))| (x, y)).collect())
            .collect();
        let reach = ways.iter().flatten().flat_map(|(x, y)| [x.abs(), y.abs()]).filter(|v| v.is_finite()).fold(1.0, f64::max).min(3.0) * 1.04;
        let place = |(x, y): Point| (area.left + (x / reach + 1.0) / 2.0 * area.width, area.top + (y / reach + 1.0) / 2.0 * area.height);
        let (from, to) = (place((-1.0, -1.0)), place((1.0, 1.0)));
        canvas.frame(from, (to.0 - from.0, to.1 - from.1), Stroke { colour: RULE, width: 0.3 });
        let colour = self.style.colour(block.series);
        for way in &ways {
            let way: Vec<Point> = way.iter().map(|point| place(*point)).collect();
            clipped(&way, area).iter().for_each(|piece| canvas.line(piece, Stroke { colour, width: 0.35 }));
            for (point, inner) in [(way.first(), PAPER), (way.last(), colour)] {
                if let Some(point) = point.filter(|point| super::clip::inside(**point, area)) {
                    canvas.disc(*point, 0.75, colour);
                    canvas.disc(*point, 0.5, inner);
                }
            }
        }
    }
}

/// The mean of a parameter over the images at each moment that all of them have.
fn means(block: &Block, parameter: usize) -> Vec<(i64, f64)> {
    let steps: BTreeSet<i64> = block.images.values().flatten().map(|theta| theta.trained).collect();
    let mean = |step: i64| {
        let at = |moments: &Vec<Theta>| moments.iter().find(|theta| theta.trained == step).map(|theta| theta.values[parameter]);
        let values = block.images.values().map(at).collect::<Option<Vec<f64>>>()?;
        Some((step, values.iter().sum::<f64>() / values.len() as f64))
    };
    steps.into_iter().filter_map(mean).collect()
}

fn csv(summary: &Summary, blocks: &[Block]) -> String {
    let mut text = String::from("model,trial,layer,step,sample,class,training_steps,parameter,value\n");
    for block in blocks {
        for theta in block.images.values().flatten() {
            let names = [summary.series[block.series].label.clone(), block.trial.clone(), theta.layer.clone()];
            let numbers = [theta.step, theta.sample, theta.class, theta.trained].map(|number| number.to_string());
            for (name, value) in block.names.iter().zip(&theta.values) {
                text.push_str(&csv_line(&[names.to_vec(), numbers.to_vec(), vec![name.clone(), value.to_string()]].concat()));
            }
        }
    }
    text
}
