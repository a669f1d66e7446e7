//! Volumes: seen along each axis (the greatest value along it) with the box of the sampling grid over the input, and slices of what came out.

use super::legend::label_of;
use super::montage::grid::{Cell, extent_of};
use super::montage::{by_class, layers, pictures};
use super::shown::{Gallery, Shown};
use super::{Figure, Kind, Press, draw_notes, notes, notes_height};
use crate::canvas::{Anchor, Canvas, Point, Stroke};
use crate::error::{Result, count};
use crate::output::name_of;
use crate::query::{Array, Warp};
use crate::style::{GREY, INK, RULE, Style, Type, WRONG};
use crate::summary::Summary;
use crate::table::csv_line;

const LEFT: f64 = 22.0;
const HEAD: f64 = 4.6;
const GAP: f64 = 0.7;
const BETWEEN: f64 = 2.6;
const LARGEST: f64 = 15.0;
/// The highest sheet that still fits a page, mm.
const HIGHEST: f64 = 235.0;
/// Most images beside each other in a wide figure and in a narrow one.
const COLUMNS: [usize; 2] = [10, 6];
/// Most models on a sheet.
const MODELS: usize = 2;
/// How far through the depth the slices are.
const SLICES: [(f64, &str); 3] = [(0.25, "slice ¼"), (0.5, "slice ½"), (0.75, "slice ¾")];
/// A side that volumes are seen from: what it is called, and which coordinates of x, y, z stand across and down.
pub type Side = (&'static str, usize, usize);

/// All of them.
pub const SIDES: [Side; 3] = [("front", 0, 1), ("above", 0, 2), ("side", 2, 1)];

/// A model's volumes, as its last transformer made them.
struct Block<'a> {
    series: usize,
    trial: &'a str,
    warps: Vec<&'a Warp>,
}

/// A figure for each distortion that has a model with transformers of volumes.
pub fn figures(press: Press, summary: &Summary, gallery: &Gallery) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (d, distortion) in summary.distortions.iter().enumerate() {
        let chosen: Vec<&Shown> =
            gallery.of(d).filter(|shown| shown.end.iter().any(|warp| warp.input.shape.len() == 4 && warp.grid.shape.len() == 4)).collect();
        let mut samples = by_class(&chosen);
        samples.truncate(COLUMNS[usize::from(press.style.narrow())]);
        let blocks: Vec<Block> = chosen.iter().filter_map(|shown| block(shown, &samples)).collect();
        if !blocks.is_empty() {
            let sheet = Sheet::new(press.style, summary, blocks);
            figures.push(press.figure(&name_of(Kind::Volumes, distortion), sheet.size, csv(summary, &sheet.blocks), |canvas| sheet.draw(canvas, summary))?);
        }
    }
    Ok(figures)
}

fn block<'a>(shown: &'a Shown, samples: &[i64]) -> Option<Block<'a>> {
    let volume = |warp: &&Warp| warp.input.shape.len() == 4 && warp.output.shape.len() == 4 && warp.grid.shape.len() == 4;
    let layer = layers(&shown.end).into_iter().find(|layer| shown.end.iter().filter(volume).any(|warp| warp.layer == **layer))?;
    let last = |sample: i64| shown.end.iter().filter(volume).filter(|warp| warp.layer == layer && warp.sample == sample).max_by_key(|warp| warp.step);
    let warps: Vec<&Warp> = samples.iter().filter_map(|&sample| last(sample)).collect();
    (!warps.is_empty()).then_some(Block { series: shown.series, trial: &shown.trial, warps })
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
    fn new(style: &'a Style, summary: &Summary, mut blocks: Vec<Block<'a>>) -> Self {
        let all = blocks.len();
        blocks.truncate(MODELS);
        let columns = blocks.iter().map(|block| block.warps.len()).max().unwrap_or(1).max(1) as f64;
        let rows = (2 * SIDES.len() + SLICES.len()) as f64;
        let fits = ((HIGHEST / blocks.len().max(1) as f64 - HEAD - 3.0 * BETWEEN) / rows - GAP).max(5.0);
        let cell = ((style.width() - LEFT - 1.0 - GAP * (columns - 1.0)) / columns).min(LARGEST).min(fits);
        let mut text = String::from(
            "Volumes from the front, from above and from the side (the greatest value along the view), the box of the sampling grid over the input; \
             slices of the output at parts of its depth. Red frame: misread.",
        );
        if blocks.len() < all {
            text.push_str(&format!(" Not shown: {}.", count(all - blocks.len(), "more model")));
        }
        text.push_str(&super::remark_as_sentences(summary));
        let width = (LEFT + columns * (cell + GAP) - GAP + 1.0).max(style.width().min(100.0));
        let notes = notes(&text, width - 6.0);
        let extent = extent(blocks.iter().flat_map(|block| &block.warps).map(|warp| &warp.grid));
        let mut sheet = Self { style, blocks, cell, extent, notes, size: (width, 0.0) };
        sheet.size.1 = 4.6 + sheet.blocks.len() as f64 * sheet.height() - BETWEEN + notes_height(&sheet.notes);
        sheet
    }

    fn height(&self) -> f64 {
        HEAD + (2 * SIDES.len() + SLICES.len()) as f64 * (self.cell + GAP) + 3.0 * BETWEEN
    }

    fn draw(&self, canvas: &mut Canvas, summary: &Summary) {
        let left = |column: usize| LEFT + column as f64 * (self.cell + GAP);
        for (column, warp) in self.blocks.iter().max_by_key(|block| block.warps.len()).into_iter().flat_map(|block| block.warps.iter().enumerate()) {
            canvas.text((left(column) + self.cell / 2.0, 3.4), &warp.class.to_string(), Type::SMALL, INK, Anchor::Middle);
        }
        for (i, block) in self.blocks.iter().enumerate() {
            let top = 4.6 + i as f64 * self.height();
            let colour = self.style.colour(block.series);
            canvas.rectangle((0.6, top + 1.0), (0.8, self.height() - BETWEEN - 1.0), colour);
            let label = Type::NAME.shortened(&label_of(&summary.series[block.series]), self.size.0 - 4.0);
            canvas.text((2.4, top + HEAD - 1.3), &label, Type::NAME, INK, Anchor::Start);
            // Three groups of rows, a little apart.
            let row = |group: usize, k: usize| top + HEAD + (group * 3 + k) as f64 * (self.cell + GAP) + group as f64 * BETWEEN;
            for (group, words) in [["input", "", ""], ["output", "", ""], ["", "", ""]].iter().enumerate() {
                for (k, word) in words.iter().enumerate() {
                    let what = if group < 2 { SIDES[k].0 } else { SLICES[k].1 };
                    let middle = row(group, k) + self.cell / 2.0 + Type::SMALL.cap() / 2.0;
                    canvas.text((LEFT - 2.0, middle), what, Type::SMALL, GREY, Anchor::End);
                    canvas.text((2.4, middle), word, Type::SMALL, INK, Anchor::Start);
                }
            }
            for (column, warp) in block.warps.iter().enumerate() {
                for (k, &side) in SIDES.iter().enumerate() {
                    let cell = Cell { corner: (left(column), row(0, k)), size: self.cell, extent: self.extent };
                    draw_input(canvas, warp, side, cell, Stroke { colour, width: 0.3 });
                    self.draw_output(canvas, &projected(&warp.output, side), k == 0 && warp.predicted != warp.class, (left(column), row(1, k)));
                    self.draw_output(canvas, &slice(&warp.output, SLICES[k].0), false, (left(column), row(2, k)));
                }
            }
        }
        draw_notes(canvas, (3.0, self.size.1), &self.notes);
    }

    fn draw_output(&self, canvas: &mut Canvas, image: &Array, wrong: bool, corner: Point) {
        if let Some(picture) = pictures::picture(image) {
            canvas.picture(corner, (self.cell, self.cell), &picture);
        }
        let frame = if wrong { Stroke { colour: WRONG, width: 0.4 } } else { Stroke { colour: RULE, width: 0.15 } };
        canvas.frame(corner, (self.cell, self.cell), frame);
    }
}

/// Draws the input of a warp as it is seen from a side, and the box of the sampling grid over it.
pub fn draw_input(canvas: &mut Canvas, warp: &Warp, side: Side, cell: Cell, stroke: Stroke) {
    cell.image(canvas, &projected(&warp.input, side));
    for edge in edges(&warp.grid) {
        cell.line(canvas, edge.iter().map(|point| (point[side.1], point[side.2])), stroke);
    }
}

/// How far the boxes of grids reach, in normalised coordinates: 1 is the edge of the volume.
pub fn extent<'a>(grids: impl Iterator<Item = &'a Array>) -> f64 {
    extent_of(grids.flat_map(edges).flatten().flatten())
}

/// The greatest values of a volume `C D H W` along the axis that a side does not show, as an image `C H W`.
pub fn projected(volume: &Array, (_, across, down): Side) -> Array {
    let [channels, depth, height, width] = *volume.shape.as_slice() else { return Array::default() };
    let lengths = [width, height, depth];
    let (wide, high) = (lengths[across], lengths[down]);
    let mut data = vec![f32::NAN; channels * high * wide];
    for (i, value) in volume.data.iter().enumerate() {
        let at = [i % width, i / width % height, i / (width * height) % depth];
        let seen = &mut data[(i / (width * height * depth) * high + at[down]) * wide + at[across]];
        *seen = seen.max(*value);
    }
    Array { shape: vec![channels, high, wide], data }
}

/// One slice of a volume `C D H W`, `share` of its depth from the front, as an image `C H W`.
fn slice(volume: &Array, share: f64) -> Array {
    let [channels, depth, height, width] = *volume.shape.as_slice() else { return Array::default() };
    let (area, z) = (height * width, (share * depth as f64) as usize);
    let data = (0..channels).flat_map(|c| volume.data[(c * depth + z) * area..][..area].iter().copied()).collect();
    Array { shape: vec![channels, height, width], data }
}

/// The edges of the box that a grid `D H W 3` fills, as points x, y, z.
fn edges(grid: &Array) -> Vec<Vec<[f64; 3]>> {
    let [depth, height, width, 3] = *grid.shape.as_slice() else { return Vec::new() };
    if grid.data.len() != depth * height * width * 3 || grid.data.is_empty() {
        return Vec::new();
    }
    let at = |z: usize, y: usize, x: usize| {
        let from = ((z * height + y) * width + x) * 3;
        [grid.data[from], grid.data[from + 1], grid.data[from + 2]].map(f64::from)
    };
    let ends = |n: usize| [0, n - 1];
    let mut edges = Vec::new();
    for a in 0..2 {
        for b in 0..2 {
            edges.push((0..width).map(|x| at(ends(depth)[a], ends(height)[b], x)).collect());
            edges.push((0..height).map(|y| at(ends(depth)[a], y, ends(width)[b])).collect());
            edges.push((0..depth).map(|z| at(z, ends(height)[a], ends(width)[b])).collect());
        }
    }
    edges
}

fn csv(summary: &Summary, blocks: &[Block]) -> String {
    let mut text = String::from("model,trial,layer,step,sample,class,predicted,theta\n");
    for block in blocks {
        for warp in &block.warps {
            let theta = warp.theta.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let names = [summary.series[block.series].label.clone(), block.trial.to_string(), warp.layer.clone()];
            let numbers = [warp.step, warp.sample, warp.class, warp.predicted].map(|number| number.to_string());
            text.push_str(&csv_line(&[names.to_vec(), numbers.to_vec(), vec![theta]].concat()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> Array {
        Array { shape: vec![1, 2, 1, 3], data: vec![0.0, 1.0, 2.0, 3.0, 4.0, 0.5] }
    }

    #[test]
    fn a_volume_is_seen_from_three_sides() {
        let seen = SIDES.map(|side| projected(&volume(), side));
        assert_eq!((seen[0].shape.as_slice(), seen[0].data.as_slice()), ([1, 1, 3].as_slice(), [3.0, 4.0, 2.0].as_slice()));
        assert_eq!((seen[1].shape.as_slice(), seen[1].data.as_slice()), ([1, 2, 3].as_slice(), [0.0, 1.0, 2.0, 3.0, 4.0, 0.5].as_slice()));
        assert_eq!((seen[2].shape.as_slice(), seen[2].data.as_slice()), ([1, 1, 2].as_slice(), [2.0, 4.0].as_slice()));
    }

    #[test]
    fn slices_lie_within_the_volume() {
        assert_eq!(slice(&volume(), 0.25).data, [0.0, 1.0, 2.0]);
        assert_eq!(slice(&volume(), 0.75).data, [3.0, 4.0, 0.5]);
    }

    #[test]
    fn a_grid_has_the_twelve_edges_of_its_box() {
        let grid = Array { shape: vec![2, 2, 2, 3], data: (0..24).map(|i| i as f32).collect() };
        assert_eq!(edges(&grid).len(), 12);
        assert!(edges(&Array { shape: vec![2, 2, 2], data: vec![0.0; 8] }).is_empty());
    }
}
