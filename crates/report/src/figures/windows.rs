//! Where parallel transformers look: the outlines of their sampling grids over the image that they all read, a colour each, and what each takes out of it.

use super::legend::label_of;
use super::legend::{self, Entry, Mark};
use super::montage::grid::{self, Cell, corners};
use super::montage::{by_class, layers, pictures};
use super::shown::{Gallery, Shown};
use super::{Figure, Kind, Press, draw_notes, notes, notes_height};
use crate::canvas::{Anchor, Canvas, Point, Stroke};
use crate::error::{Result, count};
use crate::output::name_of;
use crate::query::Warp;
use crate::style::{GREY, INK, RULE, Style, Type};
use crate::summary::Summary;
use crate::table::csv_line;

/// Room for the words at the left, mm.
const LEFT: f64 = 16.5;
const HEAD: f64 = 4.6;
const GAP: f64 = 0.7;
const BETWEEN: f64 = 2.6;
const LARGEST: f64 = 18.0;
/// Most rows of pictures on a sheet.
const ROWS: usize = 15;

/// The transformers of a model that read the same images.
struct Block<'a> {
    series: usize,
    trial: &'a str,
    layers: Vec<&'a str>,
    /// A column an image, each transformer's as applied last.
    columns: Vec<Vec<&'a Warp>>,
}

/// A figure for each distortion that has a model with two transformers or more on the same images.
pub fn figures(press: Press, summary: &Summary, gallery: &Gallery) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (d, distortion) in summary.distortions.iter().enumerate() {
        let chosen: Vec<&Shown> = gallery.of(d).collect();
        let samples = by_class(&chosen);
        let blocks: Vec<Block> = chosen.iter().filter_map(|shown| block(shown, &samples)).collect();
        if !blocks.is_empty() {
            let sheet = Sheet::new(press.style, summary, blocks);
            figures.push(press.figure(&name_of(Kind::Windows, distortion), sheet.size, csv(summary, &sheet.blocks), |canvas| sheet.draw(canvas, summary))?);
        }
    }
    Ok(figures)
}

fn block<'a>(shown: &'a Shown, samples: &[i64]) -> Option<Block<'a>> {
    let last = |layer: &str, sample: i64| shown.end.iter().filter(|warp| warp.layer == layer && warp.sample == sample).max_by_key(|warp| warp.step);
    let all = layers(&shown.end);
    let &first = samples.first()?;
    // Those that read what the first of them reads; of several such groups the largest.
    let group = |layer: &&str| -> Vec<&'a str> {
        let Some(read) = last(layer, first) else { return Vec::new() };
        let mut group: Vec<&'a str> = all.iter().copied().filter(|other| last(other, first).is_some_and(|warp| warp.input == read.input)).collect();
        group.sort_unstable();
        group
    };
    let layers = all.iter().map(group).rev().max_by_key(Vec::len).filter(|group| group.len() > 1)?;
    let columns = samples.iter().filter_map(|&sample| layers.iter().map(|layer| last(layer, sample)).collect::<Option<Vec<_>>>()).collect();
    Some(Block { series: shown.series, trial: &shown.trial, layers, columns })
}

struct Sheet<'a> {
    style: &'a Style,
    blocks: Vec<Block<'a>>,
    cell: f64,
    extent: f64,
    entries: Vec<Entry>,
    notes: Vec<String>,
    size: (f64, f64),
}

impl<'a> Sheet<'a> {
    fn new(style: &'a Style, summary: &Summary, mut blocks: Vec<Block<'a>>) -> Self {
        let mut rows = 0;
        let fits = |block: &&Block| {
            rows += 1 + block.layers.len();
            rows <= ROWS
        };
        let (all, shown) = (blocks.len(), blocks.iter().take_while(fits).count().max(1));
        blocks.truncate(shown);
        let columns = blocks.iter().map(|block| block.columns.len()).max().unwrap_or(1).max(1) as f64;
        let cell = ((style.width() - LEFT - 1.0 - GAP * (columns - 1.0)) / columns).min(LARGEST);
        let most = blocks.iter().map(|block| block.layers.len()).max().unwrap_or(0);
        let entries: Vec<Entry> = (0..most).map(|k| (Mark::Patch(style.colour(k)), format!("transformer {}", k + 1))).collect();
        let mut text = String::from(
            "Above, the image that the transformers share and the outline of what each looks at; below, what each takes out of it. Dot: upper left corner.",
        );
        if shown < all {
            text.push_str(&format!(" Not shown: {}.", count(all - shown, "more model")));
        }
        text.push_str(&super::remark_as_sentences(summary));
        let notes = notes(&text, style.width() - 6.0);
        let extent = grid::extent(blocks.iter().flat_map(|block| block.columns.iter().flatten()).map(|warp| &warp.grid));
        let mut sheet = Self { style, blocks, cell, extent, entries, notes, size: (style.width(), 0.0) };
        let pictures: f64 = sheet.blocks.iter().map(|block| sheet.height(block)).sum();
        sheet.size.1 = 4.6 + pictures + legend::height(&sheet.entries, style.width() - 8.0) + notes_height(&sheet.notes);
        sheet
    }

    fn height(&self, block: &Block) -> f64 {
        HEAD + (1 + block.layers.len()) as f64 * (self.cell + GAP) + BETWEEN
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary) {
        let left = |column: usize| LEFT + column as f64 * (self.cell + GAP);
        for (column, warps) in self.blocks.iter().max_by_key(|block| block.columns.len()).into_iter().flat_map(|block| block.columns.iter().enumerate()) {
            canvas.text((left(column) + self.cell / 2.0, 3.4), &warps[0].class.to_string(), Type::SMALL, INK, Anchor::Middle);
        }
        let mut top = 4.6;
        for block in &self.blocks {
            let label = Type::NAME.shortened(&label_of(&summary.series[block.series]), self.size.0 - 4.0);
            canvas.text((2.4, top + HEAD - 1.3), &label, Type::NAME, INK, Anchor::Start);
            let row = |k: usize| top + HEAD + k as f64 * (self.cell + GAP);
            let middle = self.cell / 2.0 + Type::SMALL.cap() / 2.0;
            canvas.text((LEFT - 2.0, row(0) + middle), "windows", Type::SMALL, GREY, Anchor::End);
            for (k, _) in block.layers.iter().enumerate() {
                canvas.text((LEFT - 2.0, row(k + 1) + middle), &format!("output {}", k + 1), Type::SMALL, GREY, Anchor::End);
            }
            for (column, warps) in block.columns.iter().enumerate() {
                let grids: Vec<_> = warps.iter().enumerate().map(|(k, warp)| (&warp.grid, self.style.colour(k))).collect();
                grid::draw_windows(canvas, &warps[0].input, &grids, Cell { corner: (left(column), row(0)), size: self.cell, extent: self.extent });
                for (k, warp) in warps.iter().enumerate() {
                    self.draw_output(canvas, warp, k, (left(column), row(k + 1)));
                }
            }
            top += self.height(block);
        }
        legend::draw(canvas, &self.entries, (4.0, top - BETWEEN / 2.0), self.size.0 - 8.0);
        draw_notes(canvas, (3.0, self.size.1), &self.notes);
    }

    fn draw_output(&self, canvas: &mut Canvas, warp: &Warp, k: usize, corner: Point) {
        match pictures::picture(&warp.output) {
            Some(picture) => canvas.picture(corner, (self.cell, self.cell), &picture),
            None => canvas.frame(corner, (self.cell, self.cell), Stroke { colour: RULE, width: 0.15 }),
        }
        canvas.frame(corner, (self.cell, self.cell), Stroke { colour: self.style.colour(k), width: 0.42 });
    }
}

fn csv(summary: &Summary, blocks: &[Block]) -> String {
    let mut text = String::from("model,trial,transformer,layer,sample,class,predicted,x1,y1,x2,y2,x3,y3,x4,y4\n");
    for block in blocks {
        for (k, warp) in block.columns.iter().flat_map(|warps| warps.iter().enumerate()) {
            let names = [summary.series[block.series].label.clone(), block.trial.to_string(), (k + 1).to_string(), warp.layer.clone()];
            let numbers = [warp.sample, warp.class, warp.predicted].map(|number| number.to_string());
            let corners = corners(&warp.grid).unwrap_or([(f64::NAN, f64::NAN); 4]);
            let corners: Vec<String> = corners.iter().flat_map(|(x, y)| [x.to_string(), y.to_string()]).collect();
            text.push_str(&csv_line(&[names.to_vec(), numbers.to_vec(), corners].concat()));
        }
    }
    text
}
