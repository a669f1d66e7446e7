//! The homography through four points.

/// The least corner of a well-formed quadrilateral, as a part of the undistorted area: beyond a flatter one the digit shrinks to a sliver that nobody can read.
const LEAST_CORNER: f64 = 0.1;

/// The least |t33| relative to the other coefficients that is divided by.
const LEAST_DIVISOR: f64 = 1e-6;

/// Whether a quadrilateral (clockwise as seen, y down) is convex with every corner well away from flat; `area` is that of the undistorted one.
pub(crate) fn is_well_formed(corners: &[[f64; 2]; 4], area: f64) -> bool {
    (0..4).all(|i| {
        let (before, here, after) = (corners[(i + 3) % 4], corners[i], corners[(i + 1) % 4]);
        let (a, b) = ([here[0] - before[0], here[1] - before[1]], [after[0] - here[0], after[1] - here[1]]);
        a[0] * b[1] - a[1] * b[0] > LEAST_CORNER * area
    })
}

/// t11 t12 t13 t21 t22 t23 t31 t32 (t33 = 1) of the homography that maps `from[i]` to `to[i]`; `None` where there is none, or t33 would be 0.
///
/// From `X (t31 x + t32 y + t33) = t11 x + t12 y + t13` and the same for Y: eight linear equations, solved by elimination with row exchange.
pub(crate) fn homography(from: &[[f64; 2]; 4], to: &[[f64; 2]; 4]) -> Option<[f64; 8]> {
    let mut rows = [[0.0; 9]; 8];
    for (i, (&[x, y], &[u, v])) in from.iter().zip(to).enumerate() {
        rows[2 * i] = [x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u];
        rows[2 * i + 1] = [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v];
    }
    for column in 0..8 {
        let pivot = (column..8).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        if rows[pivot][column].abs() < LEAST_DIVISOR {
            return None;
        }
        rows.swap(column, pivot);
        let top = rows[column];
        for row in rows.iter_mut().skip(column + 1) {
            let factor = row[column] / top[column];
            for (value, above) in row.iter_mut().zip(top).skip(column) {
                *value -= factor * above;
            }
        }
    }
    let mut theta = [0.0; 8];
    for i in (0..8).rev() {
        let known: f64 = (i + 1..8).map(|j| rows[i][j] * theta[j]).sum();
        theta[i] = (rows[i][8] - known) / rows[i][i];
    }
    theta.iter().all(|t| t.is_finite() && t.abs() < 1.0 / LEAST_DIVISOR).then_some(theta)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [[f64; 2]; 4] = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];

    #[test]
    fn the_square_onto_itself_is_the_identity() {
        assert_eq!(homography(&SQUARE, &SQUARE), Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn three_points_on_a_line_have_none() {
        let flat = [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        assert_eq!(homography(&flat, &SQUARE), None);
    }

    #[test]
    fn folded_quadrilaterals_are_not_well_formed() {
        assert!(is_well_formed(&SQUARE, 4.0));
        assert!(!is_well_formed(&[SQUARE[0], SQUARE[1], [-0.5, -0.5], SQUARE[3]], 4.0));
        assert!(!is_well_formed(&[SQUARE[0], SQUARE[1], SQUARE[3], SQUARE[2]], 4.0));
        let mirrored = [SQUARE[3], SQUARE[2], SQUARE[1], SQUARE[0]];
        assert!(!is_well_formed(&mirrored, 4.0));
    }
}
