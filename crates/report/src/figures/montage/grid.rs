//! The sampling grid over its image: the outline of its points and a sparse lattice of them.

use super::pictures;
use crate::canvas::{Canvas, Point, Stroke};
use crate::figures::Area;
use crate::figures::clip::{clipped, inside};
use crate::query::{Array, Warp};
use crate::style::{MARGIN, PAPER, RULE, tint};
use plotters::style::RGBColor;

/// Lines of the lattice each way, the outline's included.
const LATTICE: usize = 7;
/// The widest margin around an image, for grids that leave it.
const WIDEST: f64 = 1.4;

/// How far to draw, in normalised coordinates: to the edge of the image (1), or as far as the grids reach.
pub fn extent<'a>(grids: impl Iterator<Item = &'a Array>) -> f64 {
    extent_of(grids.flat_map(|grid| Lattice::of(grid).map(|lattice| lattice.reach())))
}

/// The same for single coordinates.
pub fn extent_of(coordinates: impl Iterator<Item = f64>) -> f64 {
    let reach = coordinates.map(f64::abs).filter(|reach| reach.is_finite()).fold(0.0, f64::max);
    if reach <= 1.0 { 1.0 } else { (reach + 0.05).min(WIDEST) }
}

/// An image in a cell of `size` mm that reaches to `extent` in normalised coordinates.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Upper left corner.
    pub corner: Point,
    /// Side, mm.
    pub size: f64,
    /// 1 is the edge of the image.
    pub extent: f64,
}

impl Cell {
    /// The image with its edge, and a margin around it.
    pub fn image(&self, canvas: &mut Canvas, image: &Array) {
        let (left, top) = self.corner;
        canvas.rectangle((left, top), (self.size, self.size), MARGIN);
        let inner = self.size / self.extent;
        let margin = (self.size - inner) / 2.0;
        if let Some(picture) = pictures::picture(image) {
            canvas.picture((left + margin, top + margin), (inner, inner), &picture);
        }
        canvas.frame((left + margin, top + margin), (inner, inner), Stroke { colour: RULE, width: 0.15 });
    }

    /// Where a normalised coordinate lies. A grid's coordinate g lies at pixel ((g + 1) n - 1) / 2 of n, whose centre is half a pixel further: at (g + 1) / 2 of the image.
    fn place(&self, (x, y): Point) -> Point {
        (self.corner.0 + (x / self.extent + 1.0) / 2.0 * self.size, self.corner.1 + (y / self.extent + 1.0) / 2.0 * self.size)
    }

    fn window(&self) -> Area {
        Area { left: self.corner.0, top: self.corner.1, width: self.size, height: self.size }
    }

    /// A line through normalised coordinates, cut at the cell's edge.
    pub fn line(&self, canvas: &mut Canvas, points: impl IntoIterator<Item = Point>, stroke: Stroke) {
        let places: Vec<Point> = points.into_iter().map(|point| self.place(point)).collect();
        clipped(&places, self.window()).iter().for_each(|piece| canvas.line(piece, stroke));
    }

    /// The outline of a grid, and a dot where the output's upper left corner comes from.
    fn outline(&self, canvas: &mut Canvas, lattice: &Lattice, stroke: Stroke) {
        self.line(canvas, lattice.outline(), stroke);
        let corner = self.place(lattice.at(0, 0));
        if corner.0.is_finite() && corner.1.is_finite() && inside(corner, self.window()) {
            canvas.disc(corner, 0.65, stroke.colour);
        }
    }
}

/// Draws the input of a warp in a cell, and the grid over it; of earlier steps the outlines, the lighter the earlier.
pub fn draw(canvas: &mut Canvas, (warp, earlier): (&Warp, &[&Warp]), cell: Cell, colour: RGBColor) {
    cell.image(canvas, &warp.input);
    let Some(lattice) = Lattice::of(&warp.grid) else { return };
    for (step, before) in earlier.iter().enumerate() {
        let Some(before) = Lattice::of(&before.grid) else { continue };
        let share = 0.2 + 0.6 * (step + 1) as f64 / (earlier.len() + 1) as f64;
        cell.line(canvas, before.outline(), Stroke { colour: tint(colour, share), width: 0.24 });
    }
    for line in lattice.inner_lines() {
        cell.line(canvas, line, Stroke { colour: tint(colour, 0.75), width: 0.14 });
    }
    cell.outline(canvas, &lattice, Stroke { colour, width: 0.36 });
}

/// Draws an image in a cell, and the outlines of several grids over it.
pub fn draw_windows(canvas: &mut Canvas, image: &Array, grids: &[(&Array, RGBColor)], cell: Cell) {
    cell.image(canvas, image);
    for (grid, colour) in grids {
        if let Some(lattice) = Lattice::of(grid) {
            cell.line(canvas, lattice.outline(), Stroke { colour: PAPER, width: 0.8 });
            cell.outline(canvas, &lattice, Stroke { colour: *colour, width: 0.42 });
        }
    }
}

/// The corners of a grid, clockwise from that of the output's upper left: x and y in normalised coordinates.
pub fn corners(grid: &Array) -> Option<[Point; 4]> {
    let lattice = Lattice::of(grid)?;
    let (bottom, right) = (lattice.rows - 1, lattice.columns - 1);
    Some([(0, 0), (0, right), (bottom, right), (bottom, 0)].map(|(row, column)| lattice.at(row, column)))
}

/// A grid of `rows` x `columns` points.
struct Lattice {
    rows: usize,
    columns: usize,
    points: Vec<Point>,
}

impl Lattice {
    /// The points of a grid `H W 2`; of a volume's `D H W 3` those of its middle slice, seen along the depth.
    fn of(grid: &Array) -> Option<Self> {
        let (from, rows, columns, each) = match *grid.shape.as_slice() {
            [h, w, 2] => (0, h, w, 2),
            [d, h, w, 3] => ((d / 2) * h * w * 3, h, w, 3),
            _ => return None,
        };
        let slice = grid.data.get(from..from + rows * columns * each)?;
        let points = slice.chunks_exact(each).map(|p| (f64::from(p[0]), f64::from(p[1]))).collect::<Vec<_>>();
        (rows > 0 && columns > 0).then_some(Self { rows, columns, points })
    }

    fn at(&self, row: usize, column: usize) -> Point {
        self.points[row * self.columns + column]
    }

    /// The greatest coordinate, either way.
    fn reach(&self) -> f64 {
        self.outline().iter().flat_map(|(x, y)| [x.abs(), y.abs()]).filter(|v| v.is_finite()).fold(0.0, f64::max)
    }

    /// Once around.
    fn outline(&self) -> Vec<Point> {
        let (last_row, last_column) = (self.rows - 1, self.columns - 1);
        let top = (0..=last_column).map(|c| self.at(0, c));
        let right = (0..=last_row).map(|r| self.at(r, last_column));
        let bottom = (0..=last_column).rev().map(|c| self.at(last_row, c));
        let left = (0..=last_row).rev().map(|r| self.at(r, 0));
        top.chain(right).chain(bottom).chain(left).collect()
    }

    /// Evenly spread rows and columns between the outline's.
    fn inner_lines(&self) -> Vec<Vec<Point>> {
        let spread = |n: usize| {
            let lines = LATTICE.min(n);
            (1..lines.saturating_sub(1)).map(move |i| (i * (n - 1) + (lines - 1) / 2) / (lines - 1))
        };
        let rows = spread(self.rows).map(|r| (0..self.columns).map(|c| self.at(r, c)).collect());
        let columns = spread(self.columns).map(|c| (0..self.rows).map(|r| self.at(r, c)).collect());
        rows.chain(columns).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lattice_of_one_point_has_an_outline_and_no_lines() {
        let lattice = Lattice::of(&Array { shape: vec![1, 1, 2], data: vec![0.5, 0.5] }).unwrap();
        assert!(lattice.inner_lines().is_empty());
        assert_eq!(lattice.reach(), 0.5);
    }

    #[test]
    fn grids_within_the_image_need_no_margin_and_wild_ones_no_more_than_the_widest() {
        let grid = |v: f32| Array { shape: vec![1, 2, 2], data: vec![-0.2, v, 0.2, v] };
        assert_eq!(extent([grid(0.9)].iter()), 1.0);
        assert_eq!(extent([grid(1.2), grid(0.1)].iter()), f64::from(1.2f32) + 0.05);
        assert_eq!(extent([grid(50.0), grid(f32::NAN)].iter()), WIDEST);
    }
}
