//! A dense system of linear equations.

/// Solves `A X = B` by Gaussian elimination with partial pivoting; A is `order x order` and B `order x m`, both row by row. `None` where A is singular.
pub fn solve(mut a: Vec<f64>, mut b: Vec<f64>, order: usize) -> Option<Vec<f64>> {
    let m = b.len() / order;
    for k in 0..order {
        let size = |row: &usize| a[row * order + k].abs();
        let pivot = (k..order).max_by(|i, j| size(i).total_cmp(&size(j)))?;
        if !(size(&pivot) > 0.0 && size(&pivot).is_finite()) {
            return None;
        }
        swap_rows(&mut a, order, k, pivot);
        swap_rows(&mut b, m, k, pivot);
        let (a_above, a_below) = a.split_at_mut((k + 1) * order);
        let (b_above, b_below) = b.split_at_mut((k + 1) * m);
        let (a_row, b_row) = (&a_above[k * order..], &b_above[k * m..]);
        for (a_lower, b_lower) in a_below.chunks_exact_mut(order).zip(b_below.chunks_exact_mut(m)) {
            let factor = a_lower[k] / a_row[k];
            subtract(&mut a_lower[k..], factor, &a_row[k..]);
            subtract(b_lower, factor, b_row);
        }
    }
    for k in (0..order).rev() {
        let (above, below) = b.split_at_mut((k + 1) * m);
        let row = &mut above[k * m..];
        for (solved, factor) in below.chunks_exact(m).zip(&a[k * order + k + 1..(k + 1) * order]) {
            subtract(row, *factor, solved);
        }
        row.iter_mut().for_each(|value| *value /= a[k * order + k]);
    }
    b.iter().all(|value| value.is_finite()).then_some(b)
}

fn swap_rows(matrix: &mut [f64], width: usize, i: usize, j: usize) {
    for column in 0..width {
        matrix.swap(i * width + column, j * width + column);
    }
}

fn subtract(row: &mut [f64], factor: f64, other: &[f64]) {
    row.iter_mut().zip(other).for_each(|(value, subtracted)| *value -= factor * subtracted);
}

#[cfg(test)]
mod tests {
    use super::solve;

    #[test]
    fn a_system_that_needs_pivoting_is_solved() {
        // 2 y + z = 7, x + y + z = 6, 2 x - z = -1: (1, 2, 3).
        let a = vec![0.0, 2.0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.0, -1.0];
        let x = solve(a, vec![7.0, 6.0, -1.0], 3).unwrap();
        for (value, expected) in x.iter().zip([1.0, 2.0, 3.0]) {
            assert!((value - expected).abs() < 1e-14, "{x:?}");
        }
    }

    #[test]
    fn several_right_hand_sides_are_solved_at_once() {
        let x = solve(vec![2.0, 0.0, 0.0, 4.0], vec![2.0, 4.0, 4.0, 8.0], 2).unwrap();
        assert_eq!(x, [1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn a_singular_system_has_no_solution() {
        assert_eq!(solve(vec![1.0, 2.0, 2.0, 4.0], vec![1.0, 1.0], 2), None);
    }

    #[test]
    fn a_system_that_is_not_finite_has_no_solution() {
        assert_eq!(solve(vec![f64::NAN, 2.0, 2.0, 4.0], vec![1.0, 1.0], 2), None);
    }
}
