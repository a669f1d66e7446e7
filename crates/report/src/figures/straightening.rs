//! An animated picture: test images and the sampling grids over them, and what comes out, at moments of the training one after the other; volumes as they are seen from three
//! sides, with the boxes of the grids.

use super::legend::BESIDE;
use super::legend::label_of;
use super::montage::grid::{self, Cell};
use super::montage::{by_class, layers, pictures};
use super::shown::{Gallery, Shown};
use super::volumes::{self, SIDES, Side};
use super::{Figure, Kind, Press, draw_note, remark};
use crate::animation;
use crate::canvas::{Anchor, Canvas, Picture, Point, Stroke, pixels};
use crate::error::{Error, Result};
use crate::output::name_of;
use crate::query::Warp;
use crate::style::{GREY, INK, RULE, Style, Type};
use crate::summary::{Summary, thousands};
use crate::table::csv_line;
use plotters::style::RGBColor;
use std::collections::BTreeSet;

/// Pixels a millimetre: a wide figure is some 800 wide.
const PIXELS: f64 = 4.5;
/// How long each moment is shown, and the last, hundredths of a second.
const MOMENT: u16 = 80;
const END: u16 = 300;
/// Most models, and most images beside each other in a wide figure and in a narrow one.
const MODELS: usize = 3;
const COLUMNS: [usize; 2] = [10, 6];
const LEFT: f64 = 3.0;
const TOP: f64 = 8.0;
const HEAD: f64 = 4.6;
const GAP: f64 = 0.8;
const LARGEST: f64 = 18.0;
/// Room for the names of sides, mm.
const WORDS: f64 = 3.0;

/// One transformer of a model at every moment.
struct Block<'a> {
    series: usize,
    trial: &'a str,
    layer: Option<&'a str>,
    columns: Vec<Column<'a>>,
}

/// An image, or a volume as it is seen from a side.
struct Column<'a> {
    side: Option<Side>,
    /// In order.
    moments: Vec<&'a Warp>,
}

/// A figure for each distortion whose trials kept the images at several moments.
pub fn figures(press: Press, summary: &Summary, gallery: &Gallery) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (d, distortion) in summary.distortions.iter().enumerate() {
        let chosen: Vec<&Shown> = gallery.of(d).filter(|shown| !shown.before.is_empty()).collect();
        let kept = |sample: &i64| chosen.iter().all(|shown| shown.before.iter().any(|warp| warp.sample == *sample));
        let volumes = chosen.iter().flat_map(|shown| &shown.end).any(|warp| warp.grid.shape.len() == 4);
        let most = COLUMNS[usize::from(press.style.narrow())] / if volumes { SIDES.len() } else { 1 };
        let samples: Vec<i64> = by_class(&chosen).into_iter().filter(kept).take(most).collect();
        let blocks: Vec<Block> = chosen.iter().flat_map(|shown| blocks(shown, &samples)).take(MODELS).collect();
        if blocks.is_empty() || samples.is_empty() {
            continue;
        }
        let name = name_of(Kind::Straightening, distortion);
        let sheet = Sheet::new(press.style, summary, &blocks);
        let gif = sheet.animate(summary, &blocks).map_err(|reason| Error::Drawing { figure: name.clone(), reason })?;
        figures.push(Figure { name, drawings: vec![("gif", gif)], csv: csv(summary, &blocks) });
    }
    Ok(figures)
}

fn blocks<'a>(shown: &'a Shown, samples: &[i64]) -> Vec<Block<'a>> {
    let names = layers(&shown.end);
    let several = names.len() > 1;
    let block = |layer: &'a str| {
        let last = shown.end.iter().filter(|warp| warp.layer == layer).map(|warp| warp.step).max()?;
        let moments = |sample: i64| shown.before.iter().chain(&shown.end).filter(move |warp| warp.sample == sample && warp.layer == layer && warp.step == last);
        let columns: Vec<Column> = samples.iter().flat_map(|&sample| columns(moments(sample).collect())).collect();
        let whole = columns.iter().all(|column| !column.moments.is_empty());
        whole.then_some(Block { series: shown.series, trial: &shown.trial, layer: several.then_some(layer), columns })
    };
    names.into_iter().filter_map(block).collect()
}

/// The columns of an image: of a volume one a side.
fn columns(moments: Vec<&Warp>) -> Vec<Column<'_>> {
    if moments.iter().any(|warp| warp.grid.shape.len() == 4) {
        return SIDES.map(|side| Column { side: Some(side), moments: moments.clone() }).into();
    }
    vec![Column { side: None, moments }]
}

struct Sheet<'a> {
    style: &'a Style,
    /// Training steps at which something changes.
    moments: Vec<i64>,
    cell: f64,
    extent: f64,
    /// Height of a block.
    high: f64,
    size: (f64, f64),
}

impl<'a> Sheet<'a> {
    fn new(style: &'a Style, summary: &Summary, blocks: &[Block]) -> Self {
        let all = || blocks.iter().flat_map(|block| &block.columns);
        let warps = || all().flat_map(|column| column.moments.iter());
        let moments = warps().map(|warp| warp.trained).collect::<BTreeSet<_>>().into_iter().collect();
        let columns = blocks.first().map_or(1, |block| block.columns.len()) as f64;
        let cell = ((style.width() - 2.0 * LEFT - GAP * (columns - 1.0)) / columns).min(LARGEST);
        let width = (2.0 * LEFT + columns * (cell + GAP) - GAP).max(60.0);
        let volumes = all().any(|column| column.side.is_some());
        let high = HEAD + 2.0 * (cell + GAP) + 1.0 + if volumes { WORDS } else { 0.0 };
        let height = TOP + blocks.len() as f64 * high + if remark(summary).is_some() { 4.0 } else { 0.5 };
        let grids = warps().map(|warp| &warp.grid);
        let extent = if volumes { volumes::extent(grids) } else { grid::extent(grids) };
        Self { style, moments, cell, extent, high, size: (width, height) }
    }

    fn animate(&self, summary: &Summary, blocks: &[Block]) -> std::result::Result<Vec<u8>, String> {
        let last = self.moments.last().copied().unwrap_or(0);
        let frame = |&moment: &i64| -> std::result::Result<(Picture, u16), String> {
            let picture = pixels(self.size, self.style.enlargement(), PIXELS, |canvas| self.draw(canvas, summary, blocks, moment))?;
            Ok((picture, if moment == last { END } else { MOMENT }))
        };
        animation::encode(&self.moments.iter().map(frame).collect::<std::result::Result<Vec<_>, _>>()?)
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary, blocks: &[Block], moment: i64) {
        let last = self.moments.last().copied().unwrap_or(0).max(1);
        let word = if moment == 0 { "before the training".to_string() } else { format!("after {} training steps", thousands(moment)) };
        canvas.text((LEFT, 4.2), &word, Type::LABEL, INK, Anchor::Start);
        let (right, bar) = (self.size.0 - LEFT, 6.0);
        canvas.line(&[(LEFT, bar), (right, bar)], Stroke { colour: RULE, width: 0.7 });
        canvas.line(&[(LEFT, bar), (LEFT + (right - LEFT) * moment as f64 / last as f64, bar)], Stroke { colour: GREY, width: 0.7 });
        for (i, block) in blocks.iter().enumerate() {
            let top = TOP + i as f64 * self.high;
            let colour = self.style.colour(block.series);
            let layer = block.layer.unwrap_or_default();
            let label = Type::NAME.shortened(&label_of(&summary.series[block.series]), right - LEFT - Type::TINY.width(layer) - BESIDE);
            canvas.text((LEFT, top + 3.2), &label, Type::NAME, INK, Anchor::Start);
            canvas.text((LEFT + Type::NAME.width(&label) + BESIDE, top + 3.2), layer, Type::TINY, GREY, Anchor::Start);
            for (i, column) in block.columns.iter().enumerate() {
                // Where another model was looked at more often, what was seen last.
                let Some(warp) = column.moments.iter().rev().find(|warp| warp.trained <= moment).or(column.moments.first()) else { continue };
                self.draw_column(canvas, warp, column.side, (LEFT + i as f64 * (self.cell + GAP), top + HEAD), colour);
            }
        }
        if let Some(remark) = remark(summary) {
            draw_note(canvas, (right, self.size.1 - 1.2), &remark);
        }
    }
}

impl Sheet<'_> {
    /// An input with the grid over it, and below it what comes out.
    fn draw_column(&self, canvas: &mut Canvas, warp: &Warp, side: Option<Side>, corner: Point, colour: RGBColor) {
        let cell = Cell { corner, size: self.cell, extent: self.extent };
        let below = (corner.0, corner.1 + self.cell + GAP);
        let output = match side {
            Some(side) => {
                volumes::draw_input(canvas, warp, side, cell, Stroke { colour, width: 0.3 });
                canvas.text((corner.0 + self.cell / 2.0, below.1 + self.cell + 2.4), side.0, Type::TINY, GREY, Anchor::Middle);
                pictures::picture(&volumes::projected(&warp.output, side))
            }
            None => {
                grid::draw(canvas, (warp, &[]), cell, colour);
                pictures::picture(&warp.output)
            }
        };
        if let Some(picture) = output {
            canvas.picture(below, (self.cell, self.cell), &picture);
        }
        canvas.frame(below, (self.cell, self.cell), Stroke { colour: RULE, width: 0.15 });
    }
}

fn csv(summary: &Summary, blocks: &[Block]) -> String {
    let mut text = String::from("model,trial,layer,step,training_steps,sample,class,predicted,theta\n");
    for block in blocks {
        // A volume has a column a side, but stands here once.
        let once = block.columns.iter().filter(|column| column.side.is_none_or(|side| side == SIDES[0]));
        for warp in once.flat_map(|column| &column.moments) {
            let theta = warp.theta.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let names = [summary.series[block.series].label.clone(), block.trial.to_string(), warp.layer.clone()];
            let numbers = [warp.step, warp.trained, warp.sample, warp.class, warp.predicted].map(|number| number.to_string());
            text.push_str(&csv_line(&[names.to_vec(), numbers.to_vec(), vec![theta]].concat()));
        }
    }
    text
}
