//! The sampling grid over its image: the outline of its points and a sparse lattice of them.

use super::pictures;
use crate::canvas::{Canvas, Point, Stroke};
use crate::figures::Area;
use crate::figures::clip::{clipped, inside};
use crate::query::{Array, Warp};
use crate::style::{MARGIN, RULE, tint};
use plotters::style::RGBColor;

/// Lines of the lattice each way, the outline's included.
const LATTICE: usize = 7;
/// The widest margin around an image, for grids that leave it.
const WIDEST: f64 = 1.4;

/// How far to draw, in normalised coordinates: to the edge of the image (1), or as far as the grids reach.
pub fn extent<'a>(grids: impl Iterator<Item = &'a Array>) -> f64 {
    let reach = grids.flat_map(|grid| Lattice::of(grid).map(|lattice| lattice.reach())).fold(0.0, f64::max);
    if reach <= 1.0 { 1.0 } else { (reach + 0.05).min(WIDEST) }
}

/// Draws the input of a warp in a cell of `size` mm that reaches to `extent`, and the grid over it; of earlier steps the outlines, the lighter the earlier.
pub fn draw(canvas: &mut Canvas, (warp, earlier): (&Warp, &[&Warp]), (left, top): Point, size: f64, extent: f64, colour: RGBColor) {
    canvas.rectangle((left, top), (size, size), MARGIN);
    let inner = size / extent;
    let margin = (size - inner) / 2.0;
    if let Some(picture) = pictures::picture(&warp.input) {
        canvas.picture((left + margin, top + margin), (inner, inner), &picture);
    }
    canvas.frame((left + margin, top + margin), (inner, inner), Stroke { colour: RULE, width: 0.15 });
    let Some(lattice) = Lattice::of(&warp.grid) else { return };
    // A grid's coordinate g lies at pixel ((g + 1) n - 1) / 2 of n, whose centre is half a pixel further: at (g + 1) / 2 of the image.
    let place = |(x, y): Point| (left + (x / extent + 1.0) / 2.0 * size, top + (y / extent + 1.0) / 2.0 * size);
    let window = Area { left, top, width: size, height: size };
    let stroke = |canvas: &mut Canvas, points: Vec<Point>, stroke: Stroke| {
        for piece in clipped(&points.into_iter().map(place).collect::<Vec<_>>(), window) {
            canvas.line(&piece, stroke);
        }
    };
    for (step, before) in earlier.iter().enumerate() {
        let Some(before) = Lattice::of(&before.grid) else { continue };
        let share = 0.2 + 0.6 * (step + 1) as f64 / (earlier.len() + 1) as f64;
        stroke(canvas, before.outline(), Stroke { colour: tint(colour, share), width: 0.24 });
    }
    for line in lattice.inner_lines() {
        stroke(canvas, line, Stroke { colour: tint(colour, 0.75), width: 0.14 });
    }
    stroke(canvas, lattice.outline(), Stroke { colour, width: 0.36 });
    let corner = place(lattice.at(0, 0));
    if corner.0.is_finite() && corner.1.is_finite() && inside(corner, window) {
        canvas.disc(corner, 0.65, colour);
    }
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
