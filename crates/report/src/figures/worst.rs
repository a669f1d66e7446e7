//! The test images that each model misreads with the largest loss, of the whole test part: the sampling grid over them, what comes out, and how they were misread.

use super::legend::{BESIDE, label_of};
use super::montage::grid::{self, Cell};
use super::montage::pictures;
use super::shown::{Gallery, Shown};
use super::{Figure, Kind, Press, draw_notes, notes, notes_height};
use crate::canvas::{Anchor, Canvas, Point, Stroke};
use crate::error::{Result, count};
use crate::output::name_of;
use crate::query::recordings::Wrong;
use crate::query::{Array, Warp};
use crate::style::{GREY, INK, RULE, Style, Type, WRONG};
use crate::summary::Summary;
use crate::table::csv_line;

/// Room for the words at the left, mm.
const LEFT: f64 = 13.5;
const HEAD: f64 = 4.2;
const GAP: f64 = 0.7;
const BETWEEN: f64 = 2.6;
/// Sides of pictures, the first at which every model fits a page, or else the last, mm.
const SIDES: [f64; 3] = [16.0, 13.0, 10.0];
/// Height of a line of words below the pictures, mm.
const LINE: f64 = 2.7;
/// What the lines say.
const LINES: [&str; 3] = ["class", "read as", "loss"];
/// The highest sheet that still fits a page, mm.
const HIGHEST: f64 = 235.0;

/// One transformer of one model.
struct Block<'a> {
    series: usize,
    trial: &'a str,
    /// The transformer's layer, where the model has several.
    layer: Option<&'a str>,
    images: &'a [Wrong],
    /// What it did to each image, step by step.
    columns: Vec<Vec<&'a Warp>>,
    /// Whether it is the model's first, which has the images above it, and the last, which has the words below.
    first: bool,
    last: bool,
}

/// A figure for each distortion on which models with transformers misread images.
pub fn figures(press: Press, summary: &Summary, gallery: &Gallery) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (d, distortion) in summary.distortions.iter().enumerate() {
        let blocks: Vec<Block> = gallery.of(d).flat_map(blocks).collect();
        if !blocks.is_empty() {
            let sheet = Sheet::new(press.style, summary, blocks, gallery.more.contains(&d));
            figures.push(press.figure(&name_of(Kind::Worst, distortion), sheet.size, csv(summary, &sheet.blocks), |canvas| sheet.draw(canvas, summary))?);
        }
    }
    Ok(figures)
}

fn blocks<'a>(shown: &'a Shown) -> Vec<Block<'a>> {
    let layers = super::montage::layers(shown.worst.first().map_or(&[], |image| &image.warps));
    let block = |(i, &layer): (usize, &&'a str)| {
        let columns = shown.worst.iter().map(|image| image.warps.iter().filter(|warp| warp.layer == layer).collect()).collect();
        let (several, first, last) = (layers.len() > 1, i == 0, i + 1 == layers.len());
        Block { series: shown.series, trial: &shown.trial, layer: several.then_some(layer), images: &shown.worst, columns, first, last }
    };
    layers.iter().enumerate().map(block).collect()
}

struct Sheet<'a> {
    style: &'a Style,
    blocks: Vec<Block<'a>>,
    cell: f64,
    extent: f64,
    notes: Vec<String>,
    size: (f64, f64),
}

impl<'a> Sheet<'a> {
    fn new(style: &'a Style, summary: &Summary, mut blocks: Vec<Block<'a>>, more: bool) -> Self {
        let columns = blocks.iter().map(|block| block.columns.len()).max().unwrap_or(1).max(1) as f64;
        let widest = (style.width() - LEFT - 1.0 - GAP * (columns - 1.0)) / columns;
        let all = blocks.len();
        let cells = SIDES.map(|side| side.min(widest));
        let cell = cells.into_iter().find(|cell| fitting(&blocks, *cell) == all).unwrap_or(cells[SIDES.len() - 1]);
        blocks.truncate(fitting(&blocks, cell));
        let images = || blocks.iter().flat_map(|block| block.images);
        let mut text = String::from(if images().any(|image| image.predictions.contains(&-1)) {
            "The test images in which a model's first seed misses the thing by most (loss: 1 - IoU)."
        } else {
            "The test images that a model's first seed misreads with the largest loss (cross-entropy)."
        });
        if images().any(|image| image.classes.len() > 1) {
            text.push_str(" Of several labels those that are misread; their losses are added up.");
        }
        text.push_str(" Dot: upper left corner of the output.");
        if blocks.iter().flat_map(|block| &block.columns).any(|steps| steps.len() > 1) {
            text.push_str(" Lighter outlines: earlier steps.");
        }
        if more {
            text.push_str(" Not shown: more models.");
        } else if all > blocks.len() {
            text.push_str(&format!(" Not shown: {}.", count(all - blocks.len(), "more transformer")));
        }
        text.push_str(&super::remark_as_sentences(summary));
        let width = (LEFT + columns * (cell + GAP) - GAP + 1.0).max(style.width().min(100.0));
        let notes = notes(&text, width - 4.0);
        let extent = grid::extent(blocks.iter().flat_map(|block| block.columns.iter().flatten()).map(|warp| &warp.grid));
        let size = (width, blocks.iter().map(|block| height(block, cell)).sum::<f64>() + notes_height(&notes));
        Self { style, blocks, cell, extent, notes, size }
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary) {
        let mut top = 0.0;
        for block in &self.blocks {
            let colour = self.style.colour(block.series);
            canvas.rectangle((0.6, top + 0.8), (0.8, height(block, self.cell) - BETWEEN - 0.8), colour);
            let layer = block.layer.unwrap_or_default();
            let label = Type::NAME.shortened(&label_of(&summary.series[block.series]), self.size.0 - 4.0 - Type::TINY.width(layer) - BESIDE);
            canvas.text((2.4, top + HEAD - 1.2), &label, Type::NAME, INK, Anchor::Start);
            canvas.text((2.4 + Type::NAME.width(&label) + BESIDE, top + HEAD - 1.2), layer, Type::TINY, GREY, Anchor::Start);
            let above = top + HEAD;
            let rows = [0, 1].map(|row| above + (row + usize::from(block.first)) as f64 * (self.cell + GAP));
            for (row, word) in [(above, "input"), (rows[0], "grid"), (rows[1], "output")].into_iter().skip(usize::from(!block.first)) {
                canvas.text((LEFT - 1.6, row + self.cell / 2.0 + Type::SMALL.cap() / 2.0), word, Type::SMALL, GREY, Anchor::End);
            }
            let below = rows[1] + self.cell;
            for (i, word) in LINES.iter().enumerate().filter(|_| block.last) {
                canvas.text((LEFT - 1.6, below + LINE * (i + 1) as f64), word, Type::TINY, GREY, Anchor::End);
            }
            for (column, (image, steps)) in block.images.iter().zip(&block.columns).enumerate() {
                let left = LEFT + column as f64 * (self.cell + GAP);
                if let Some((last, earlier)) = steps.split_last() {
                    if block.first {
                        self.draw_image(canvas, &last.input, (left, above));
                    }
                    grid::draw(canvas, (last, earlier), Cell { corner: (left, rows[0]), size: self.cell, extent: self.extent }, colour);
                    self.draw_image(canvas, &last.output, (left, rows[1]));
                }
                for (i, word) in words(image).iter().enumerate().filter(|_| block.last) {
                    let word = Type::TINY.shortened(word, self.cell + GAP - 0.3);
                    let ink = if i == 1 { WRONG } else { INK };
                    canvas.text((left + self.cell / 2.0, below + LINE * (i + 1) as f64), &word, Type::TINY, ink, Anchor::Middle);
                }
            }
            top += height(block, self.cell);
        }
        draw_notes(canvas, (2.4, self.size.1), &self.notes);
    }

    fn draw_image(&self, canvas: &mut Canvas, image: &Array, corner: Point) {
        if let Some(picture) = pictures::picture(image) {
            canvas.picture(corner, (self.cell, self.cell), &picture);
        }
        canvas.frame(corner, (self.cell, self.cell), Stroke { colour: RULE, width: 0.15 });
    }
}

/// How high a block of pictures with sides of `cell` is, mm.
fn height(block: &Block, cell: f64) -> f64 {
    let rows = 2.0 + f64::from(u8::from(block.first));
    HEAD + rows * (cell + GAP) + if block.last { LINE * LINES.len() as f64 } else { 0.0 } + BETWEEN
}

/// How many of the blocks fit a page: whole models, one at least.
fn fitting(blocks: &[Block], cell: f64) -> usize {
    let mut used = 0.0;
    let mut fitting = 0;
    for (i, block) in blocks.iter().enumerate() {
        used += height(block, cell);
        if fitting > 0 && used > HIGHEST {
            break;
        }
        if block.last {
            fitting = i + 1;
        }
    }
    fitting
}

/// The classes of the labels that are misread, what they are read as, and the loss.
pub fn words(image: &Wrong) -> [String; 3] {
    let wrong = image.classes.iter().zip(&image.predictions).filter(|(class, predicted)| class != predicted);
    let (classes, read): (Vec<String>, Vec<String>) =
        wrong.map(|(class, predicted)| (class.to_string(), if *predicted < 0 { "–".to_owned() } else { predicted.to_string() })).unzip();
    let loss = if image.loss < 9.95 { format!("{:.2}", image.loss) } else { format!("{:.1}", image.loss) };
    [classes.join(" "), read.join(" "), loss]
}

fn csv(summary: &Summary, blocks: &[Block]) -> String {
    let mut text = String::from("model,trial,layer,step,sample,classes,predictions,loss,theta\n");
    for block in blocks {
        for (image, warp) in block.images.iter().zip(&block.columns).flat_map(|(image, steps)| steps.iter().map(move |warp| (image, warp))) {
            let listed = |numbers: &[i64]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let theta = warp.theta.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let names = [summary.series[block.series].label.clone(), block.trial.to_string(), warp.layer.clone()];
            let numbers = [warp.step.to_string(), warp.sample.to_string(), listed(&image.classes), listed(&image.predictions), image.loss.to_string(), theta];
            text.push_str(&csv_line(&[names.to_vec(), numbers.to_vec()].concat()));
        }
    }
    text
}
