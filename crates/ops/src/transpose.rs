//! Transposition.

/// The side of a square that is transposed at once.
const SQUARE: usize = 8;

/// Copies the first `columns` columns of a matrix whose rows are `step` apart to its transpose: row `j` of `to`, `rows` long, is column `j`.
#[inline(always)]
pub(crate) fn transpose<T: Copy>(from: &[T], step: usize, to: &mut [T], rows: usize, columns: usize) {
    transpose_padded(from, step, to, rows, (rows, columns));
}

/// [`transpose`] to rows that are `pitch` apart.
#[inline(always)]
pub(crate) fn transpose_padded<T: Copy>(from: &[T], step: usize, to: &mut [T], pitch: usize, (rows, columns): (usize, usize)) {
    let squares = (rows - rows % SQUARE, columns - columns % SQUARE);
    // A square at a time, which the compiler keeps in registers; then the rows and columns that are left.
    for row in (0..squares.0).step_by(SQUARE) {
        for column in (0..squares.1).step_by(SQUARE) {
            let first = from[row * step + column];
            let mut square = [[first; SQUARE]; SQUARE];
            for (i, line) in square.iter_mut().enumerate() {
                line.copy_from_slice(&from[(row + i) * step + column..][..SQUARE]);
            }
            for j in 0..SQUARE {
                let mut line = [first; SQUARE];
                for (i, number) in line.iter_mut().enumerate() {
                    *number = square[i][j];
                }
                to[(column + j) * pitch + row..][..SQUARE].copy_from_slice(&line);
            }
        }
    }
    for row in 0..rows {
        for column in if row < squares.0 { squares.1..columns } else { 0..columns } {
            to[column * pitch + row] = from[row * step + column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns_at_any_size() {
        for (rows, columns, step, pitch) in [(1, 1, 1, 1), (8, 8, 8, 8), (17, 9, 11, 20), (3, 40, 40, 3), (16, 16, 19, 24)] {
            let from: Vec<usize> = (0..rows * step).collect();
            let mut to = vec![usize::MAX; columns * pitch];
            transpose_padded(&from, step, &mut to, pitch, (rows, columns));
            for j in 0..columns {
                for i in 0..pitch {
                    assert_eq!(to[j * pitch + i], if i < rows { i * step + j } else { usize::MAX });
                }
            }
        }
    }
}
