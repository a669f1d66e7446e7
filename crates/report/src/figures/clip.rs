//! Lines cut to a window.

use super::Area;
use crate::canvas::Point;

/// Whether a point lies in a window.
pub fn inside((x, y): Point, window: Area) -> bool {
    (window.left..=window.right()).contains(&x) && (window.top..=window.bottom()).contains(&y)
}

/// The parts of a line inside a window. Points that are not finite break it.
pub fn clipped(points: &[Point], window: Area) -> Vec<Vec<Point>> {
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
fn clip(from: Point, to: Point, window: Area) -> Option<(Point, Point)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    if !(dx.is_finite() && dy.is_finite() && from.0.is_finite() && from.1.is_finite()) {
        return None;
    }
    let (mut enter, mut leave) = (0.0, 1.0);
    for (step, room) in [(-dx, from.0 - window.left), (dx, window.right() - from.0), (-dy, from.1 - window.top), (dy, window.bottom() - from.1)] {
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
    let at = |t: f64| {
        if t == 0.0 {
            from
        } else if t == 1.0 {
            to
        } else {
            (from.0 + t * dx, from.1 + t * dy)
        }
    };
    (enter <= leave).then(|| (at(enter), at(leave)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Area = Area { left: 0.0, top: 0.0, width: 10.0, height: 10.0 };

    #[test]
    fn a_line_is_cut_at_the_window_and_broken_where_it_leaves() {
        let pieces = clipped(&[(-5.0, 5.0), (5.0, 5.0), (5.0, 15.0), (8.0, 15.0), (8.0, 5.0)], WINDOW);
        assert_eq!(pieces, [vec![(0.0, 5.0), (5.0, 5.0), (5.0, 10.0)], vec![(8.0, 10.0), (8.0, 5.0)]]);
    }

    #[test]
    fn a_point_that_is_not_a_number_breaks_a_line() {
        assert_eq!(clipped(&[(1.0, 1.0), (f64::NAN, 2.0), (3.0, 3.0), (4.0, 4.0)], WINDOW), [vec![(3.0, 3.0), (4.0, 4.0)]]);
    }
}
