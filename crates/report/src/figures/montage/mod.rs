//! The paper's picture: test images, one a class; the sampling grid of each transformer drawn over them; and what the transformer made of them.

pub mod grid;
pub mod pictures;

use grid::Cell;

use super::legend::BESIDE;
use super::legend::label_of;
use super::shown::{Gallery, Shown};
use super::{Figure, Kind, Press, draw_notes, notes_height};
use crate::canvas::{Anchor, Canvas, Stroke};
use crate::error::{Result, count};
use crate::output::name_of;
use crate::query::Warp;
use crate::style::{GREY, INK, RULE, Style, Type, WRONG};
use crate::summary::Summary;
use crate::table::csv_line;
use std::collections::{BTreeMap, BTreeSet};

/// Most columns of images.
pub const COLUMNS: usize = 10;
/// Most rows of grids and outputs on a sheet: with more, it no longer fits a page.
const ROWS: usize = 16;
/// Room for the names at the left, mm.
const NAMES: f64 = 29.0;
/// Room for the words for the rows alone, where the names stand above, mm.
const WORDS: f64 = 12.5;
/// Room for a name above its block, mm.
const HEAD: f64 = 4.2;
const GAP: f64 = 0.7;
const BETWEEN: f64 = 2.4;
const LARGEST_CELL: f64 = 16.0;
/// Type of what a small image is misread as.
const READ: Type = Type { size: 5.5, bold: true };

/// What one transformer of one model did to the images of a sheet.
struct Block<'a> {
    series: usize,
    /// The transformer's layer, where the model has several.
    layer: Option<&'a str>,
    trial: &'a str,
    /// One a column, the last step's; `None` where the trial has no such sample.
    warps: Vec<Option<&'a Warp>>,
    /// The same for each step before the last.
    earlier: Vec<Vec<Option<&'a Warp>>>,
    /// Whether the images are not those of the block before: then they are shown.
    new_input: bool,
}

impl<'a> Block<'a> {
    /// Every warp, step by step.
    fn every(&self) -> impl Iterator<Item = &'a Warp> {
        self.earlier.iter().chain([&self.warps]).flatten().flatten().copied()
    }
}

/// One sheet for each distortion that has a model with transformers.
pub fn figures(press: Press, summary: &Summary, gallery: &Gallery) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (d, distortion) in summary.distortions.iter().enumerate() {
        let chosen: Vec<&Shown> = gallery.of(d).collect();
        let blocks = blocks(&chosen, &by_class(&chosen));
        if blocks.is_empty() {
            continue;
        }
        let sheet = Sheet::new(press.style, summary, &blocks, gallery.more.contains(&d));
        figures.push(press.figure(&name_of(Kind::Montage, distortion), sheet.size, csv(summary, &blocks), |canvas| sheet.draw(canvas, summary, &blocks))?);
    }
    Ok(figures)
}

/// The samples shown: the first of each class, then the second, as far as there are columns; ordered by class.
pub fn by_class(chosen: &[&Shown]) -> Vec<i64> {
    let mut samples: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for warp in chosen.first().iter().flat_map(|shown| &shown.end) {
        samples.entry(warp.class).or_default().insert(warp.sample);
    }
    let longest = samples.values().map(BTreeSet::len).max().unwrap_or(0);
    let rounds = (0..longest).flat_map(|round| samples.iter().filter_map(move |(class, of_class)| of_class.iter().nth(round).map(|sample| (*class, *sample))));
    let mut shown: Vec<(i64, i64)> = rounds.take(COLUMNS).collect();
    shown.sort_unstable();
    shown.into_iter().map(|(_, sample)| sample).collect()
}

fn blocks<'a>(chosen: &[&'a Shown], columns: &[i64]) -> Vec<Block<'a>> {
    let mut blocks: Vec<Block> = Vec::new();
    for &shown in chosen {
        let layers = layers(&shown.end);
        for &layer in &layers {
            let of = |sample: i64, step: i64| shown.end.iter().find(|w| w.sample == sample && w.layer == layer && w.step == step);
            let last = shown.end.iter().filter(|w| w.layer == layer).map(|w| w.step).max().unwrap_or(1);
            let at = |step: i64| columns.iter().map(|sample| of(*sample, step)).collect::<Vec<_>>();
            let (row, earlier) = (at(last), (1..last).map(at).collect());
            let inputs = |row: &[Option<&'a Warp>]| row.iter().map(|w| w.map(|w| &w.input)).collect::<Vec<_>>();
            let new_input = blocks.last().is_none_or(|before| inputs(&before.warps) != inputs(&row));
            if row.iter().any(Option::is_some) {
                let layer = (layers.len() > 1).then_some(layer);
                blocks.push(Block { series: shown.series, layer, trial: &shown.trial, warps: row, earlier, new_input });
            }
        }
    }
    blocks
}

/// The transformers of one trial, in the order in which they stand.
pub fn layers(warps: &[Warp]) -> Vec<&str> {
    let mut layers: Vec<&str> = Vec::new();
    for warp in warps {
        if !layers.contains(&warp.layer.as_str()) {
            layers.push(&warp.layer);
        }
    }
    layers
}

/// Sizes of a sheet.
struct Sheet<'a> {
    style: &'a Style,
    /// Room at the left, mm.
    names: f64,
    cell: f64,
    size: (f64, f64),
    /// Whether names stand above their blocks, for want of room beside them.
    headed: bool,
    /// How far the pictures with a grid reach, in normalised coordinates: 1 is the edge of the image.
    extent: f64,
    shown: usize,
    notes: Vec<String>,
}

impl<'a> Sheet<'a> {
    fn new(style: &'a Style, summary: &Summary, blocks: &[Block], more: bool) -> Self {
        let columns = blocks.first().map_or(1, |block| block.warps.len());
        let beside = |block: &Block| {
            let lines = Type::NAME.wrap(&label_of(&summary.series[block.series]), name_room());
            lines.len() <= 3 && lines.iter().all(|line| Type::NAME.width(line) <= name_room())
        };
        let headed = style.narrow() || !blocks.iter().all(beside);
        let (names, width) = (if headed { WORDS } else { NAMES }, style.width());
        let room = width - names - 1.0;
        let cell = ((room - GAP * (columns as f64 - 1.0)) / columns as f64).min(LARGEST_CELL);
        let pictures = names + columns as f64 * (cell + GAP) - GAP + 1.0;
        let mut rows = 0;
        let fits = |block: &&Block| {
            rows += 2 + block.earlier.len();
            rows <= ROWS
        };
        let shown = blocks.iter().take_while(fits).count().max(1);
        let mut notes = vec!["Dot: upper left corner of the output.".to_string()];
        if blocks.iter().take(shown).any(|block| !block.earlier.is_empty()) {
            notes.push("Lighter outlines: earlier steps.".into());
        }
        let wrong =
            |what: fn(&Warp) -> bool| blocks.iter().take(shown).flat_map(|b| b.warps.iter().copied().flatten()).any(|w| w.predicted != w.class && what(w));
        if wrong(|warp| warp.predicted >= 0) {
            notes.push("Red frame: misread, as the class in its corner.".into());
        }
        if wrong(|warp| warp.predicted < 0) {
            notes.push("Red frame: not found.".into());
        }
        if more {
            notes.push("Not shown: more models.".into());
        } else if shown < blocks.len() {
            notes.push(format!("Not shown: {}.", count(blocks.len() - shown, "more transformer")));
        }
        let extent = grid::extent(blocks.iter().take(shown).flat_map(Block::every).map(|w| &w.grid));
        let lines = super::notes(&(notes.join(" ") + &super::remark_as_sentences(summary)), width - 4.0);
        let longest = lines.iter().map(|line| Type::TINY.width(line)).fold(0.0, f64::max);
        let mut sheet = Self { style, names, cell, size: (pictures.max(longest + 4.0).min(width), 0.0), headed, extent, shown, notes: lines };
        sheet.size.1 = sheet.rows(blocks).last().map_or(0.0, |(_, top)| top + cell) + notes_height(&sheet.notes);
        sheet
    }

    /// What each row of pictures shows, and where its upper edge lies.
    fn rows(&self, blocks: &[Block]) -> Vec<((usize, Part), f64)> {
        let mut rows = Vec::new();
        let mut top = 4.6;
        for (i, block) in blocks.iter().enumerate().take(self.shown) {
            let steps = (0..block.earlier.len()).map(Part::Step);
            for part in block.new_input.then_some(Part::Input).into_iter().chain([Part::Grid]).chain(steps).chain([Part::Output]) {
                if self.headed && part == Part::Grid {
                    top += HEAD;
                }
                rows.push(((i, part), top));
                // The images stand apart from the transformers that share them.
                top += self.cell + if part == Part::Input { BETWEEN } else { GAP };
            }
            top += BETWEEN - GAP;
        }
        rows
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, blocks: &[Block]) {
        let left = |column: usize| self.names + column as f64 * (self.cell + GAP);
        for (column, class) in self.classes(blocks).into_iter().enumerate() {
            canvas.text((left(column) + self.cell / 2.0, 3.4), &class, Type::SMALL, INK, Anchor::Middle);
        }
        for ((i, part), top) in self.rows(blocks) {
            let block = &blocks[i];
            self.draw_names(canvas, summary, block, part, top);
            for (column, warp) in block.warps.iter().enumerate() {
                let corner = (left(column), top);
                match (warp, part) {
                    (None, _) => canvas.frame(corner, (self.cell, self.cell), Stroke { colour: RULE, width: 0.15 }),
                    (Some(warp), Part::Input) => self.draw_image(canvas, &warp.input, corner),
                    (Some(warp), Part::Grid) => {
                        let earlier: Vec<&Warp> = block.earlier.iter().filter_map(|step| step[column]).collect();
                        let cell = Cell { corner, size: self.cell, extent: self.extent };
                        grid::draw(canvas, (warp, &earlier), cell, self.style.colour(block.series));
                    }
                    (Some(_), Part::Step(step)) => {
                        if let Some(warp) = block.earlier[step][column] {
                            self.draw_image(canvas, &warp.output, corner);
                        }
                    }
                    (Some(warp), Part::Output) => self.draw_output(canvas, warp, corner),
                }
            }
        }
        let left = if Type::TINY.width(self.notes.first().map_or("", String::as_str)) + self.names + 1.0 <= self.size.0 { self.names } else { 2.0 };
        draw_notes(canvas, (left, self.size.1), &self.notes);
    }

    fn draw_image(&self, canvas: &mut Canvas, image: &crate::query::Array, corner: (f64, f64)) {
        if let Some(picture) = pictures::picture(image) {
            canvas.picture(corner, (self.cell, self.cell), &picture);
        }
        canvas.frame(corner, (self.cell, self.cell), Stroke { colour: RULE, width: 0.15 });
    }

    fn draw_output(&self, canvas: &mut Canvas, warp: &Warp, corner: (f64, f64)) {
        self.draw_image(canvas, &warp.output, corner);
        if warp.predicted != warp.class {
            canvas.frame(corner, (self.cell, self.cell), Stroke { colour: WRONG, width: 0.4 });
            if warp.predicted >= 0 {
                let read = warp.predicted.to_string();
                let kind = if self.cell < 9.0 { READ } else { Type::NAME };
                canvas.text((corner.0 + self.cell - 0.7, corner.1 + 0.7 + kind.cap()), &read, kind, WRONG, Anchor::End);
            }
        }
    }

    /// The class of each column.
    fn classes(&self, blocks: &[Block]) -> Vec<String> {
        let columns = blocks.first().map_or(0, |block| block.warps.len());
        let class = |column: usize| blocks.iter().find_map(|block| block.warps[column]).map(|warp| warp.class.to_string()).unwrap_or_default();
        (0..columns).map(class).collect()
    }

    fn draw_names(&self, canvas: &mut Canvas, summary: &Summary, block: &Block, part: Part, top: f64) {
        let middle = top + self.cell / 2.0 + Type::SMALL.cap() / 2.0;
        let word = match part {
            Part::Input => "input".to_owned(),
            Part::Grid => "grid".to_owned(),
            Part::Step(step) => format!("step {}", step + 1),
            Part::Output => "output".to_owned(),
        };
        let edge = self.names - 2.0;
        canvas.text((edge, middle), &word, Type::SMALL, GREY, Anchor::End);
        if part != Part::Grid {
            return;
        }
        let label = &label_of(&summary.series[block.series]);
        let head = if self.headed { HEAD } else { 0.0 };
        let parts = 2.0 + block.earlier.len() as f64;
        canvas.rectangle((0.6, top - head), (0.8, parts * self.cell + (parts - 1.0) * GAP + head), self.style.colour(block.series));
        if self.headed {
            let layer = block.layer.unwrap_or_default();
            let label = Type::NAME.shortened(label, self.size.0 - 4.0 - Type::TINY.width(layer) - BESIDE);
            canvas.text((2.4, top - 1.3), &label, Type::NAME, INK, Anchor::Start);
            canvas.text((2.4 + Type::NAME.width(&label) + BESIDE, top - 1.3), layer, Type::TINY, GREY, Anchor::Start);
            return;
        }
        let mut baseline = top + Type::NAME.cap() + 0.4;
        for line in Type::NAME.wrap(label, name_room()) {
            canvas.text((2.4, baseline), &line, Type::NAME, INK, Anchor::Start);
            baseline += 3.2;
        }
        for line in block.layer.iter().flat_map(|layer| Type::TINY.wrap(layer, name_room())) {
            canvas.text((2.4, baseline), &line, Type::TINY, GREY, Anchor::Start);
            baseline += 2.8;
        }
    }
}

/// Width that a name has beside its block, left of the words for the rows.
fn name_room() -> f64 {
    NAMES - 5.0 - Type::SMALL.width("output")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Input,
    Grid,
    /// What came out before the last step.
    Step(usize),
    Output,
}

fn csv(summary: &Summary, blocks: &[Block]) -> String {
    let mut text = String::from("model,trial,layer,step,sample,class,predicted,theta\n");
    for block in blocks.iter() {
        for warp in block.every() {
            let theta = warp.theta.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let label = summary.series[block.series].label.clone();
            let numbers = [warp.step, warp.sample, warp.class, warp.predicted].map(|n| n.to_string());
            text.push_str(&csv_line(&[vec![label, block.trial.to_string(), warp.layer.clone()], numbers.to_vec(), vec![theta]].concat()));
        }
    }
    text
}
