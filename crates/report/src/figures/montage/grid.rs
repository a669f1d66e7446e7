//! The sampling grid over its image: the outline of its points and a sparse lattice of them.

use super::pictures;
use crate::canvas::{Canvas, Point, Stroke};
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

/// Draws the input of a warp in a cell of `size` mm that reaches to `extent`, and the grid over it.
pub fn draw(canvas: &mut Canvas, warp: &Warp, (left, top): Point, size: f64, extent: f64, colour: RGBColor) {
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
    let window = [left, top, left + size, top + size];
    let stroke = |canvas: &mut Canvas, points: Vec<Point>, stroke: Stroke| {
        for piece in clipped(&points.into_iter().map(place).collect::<Vec<_>>(), window) {
            canvas.line(&piece, stroke);
        }
    };
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

fn inside((x, y): Point, [left, top, right, bottom]: [f64; 4]) -> bool {
    (left..=right).contains(&x) && (top..=bottom).contains(&y)
}

/// The parts of a line inside a window. Points that are not finite break it.
fn clipped(points: &[Point], window: [f64; 4]) -> Vec<Vec<Point>> {
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    for pair in points.windows(2) {
        let Some((from, to)) = clip(pair[0], pair[1], window) else { continue };
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&from) => piece.push(to),
            _ => pieces.push(vec![from, to]),
        }
    }
    pieces
}

/// A segment cut to a window (Liang and Barsky).
fn clip(from: Point, to: Point, [left, top, right, bottom]: [f64; 4]) -> Option<(Point, Point)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    if !(dx.is_finite() && dy.is_finite() && from.0.is_finite() && from.1.is_finite()) {
        return None;
    }
    let (mut enter, mut leave) = (0.0, 1.0);
    for (step, room) in [(-dx, from.0 - left), (dx, right - from.0), (-dy, from.1 - top), (dy, bottom - from.1)] {
        if step == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if step < 0.0 {
            enter = f64::max(enter, room / step);
        } else {
            leave = f64::min(leave, room / step);
        }
    }
    let at = |t: f64| if t == 0.0 { from } else if t == 1.0 { to } else { (from.0 + t * dx, from.1 + t * dy) };
    (enter <= leave).then(|| (at(enter), at(leave)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: [f64; 4] = [0.0, 0.0, 10.0, 10.0];

    #[test]
    fn a_line_is_cut_at_the_window_and_broken_where_it_leaves() {
        let pieces = clipped(&[(-5.0, 5.0), (5.0, 5.0), (5.0, 15.0), (8.0, 15.0), (8.0, 5.0)], WINDOW);
        assert_eq!(pieces, [vec![(0.0, 5.0), (5.0, 5.0), (5.0, 10.0)], vec![(8.0, 10.0), (8.0, 5.0)]]);
    }

    #[test]
    fn a_point_that_is_not_a_number_breaks_a_line() {
        assert_eq!(clipped(&[(1.0, 1.0), (f64::NAN, 2.0), (3.0, 3.0), (4.0, 4.0)], WINDOW), [vec![(3.0, 3.0), (4.0, 4.0)]]);
    }

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
