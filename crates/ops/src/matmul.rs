//! Products of matrices, on one thread.

use gemm::Parallelism;

use crate::cpu::Number;

/// A matrix that is read: element (i, j) is at `i * row_step + j * column_step`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub numbers: &'a [T],
    pub rows: usize,
    pub columns: usize,
    pub row_step: usize,
    pub column_step: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A matrix stored row by row, `row_step` elements from one row to the next.
    pub fn by_rows(numbers: &'a [T], rows: usize, columns: usize, row_step: usize) -> Self {
        Self { numbers, rows, columns, row_step, column_step: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row_step: self.column_step, column_step: self.row_step, ..self }
    }

    /// `count` rows from row `first` on.
    pub fn rows_from(self, first: usize, count: usize) -> Self {
        Self { numbers: self.numbers.get(first * self.row_step..).unwrap_or_default(), rows: count, ..self }
    }

    /// `count` columns from column `first` on.
    pub fn columns_from(self, first: usize, count: usize) -> Self {
        self.transposed().rows_from(first, count).transposed()
    }

    /// From the first element to behind the last.
    pub fn extent(&self) -> usize {
        if self.rows == 0 || self.columns == 0 { 0 } else { (self.rows - 1) * self.row_step + (self.columns - 1) * self.column_step + 1 }
    }
}

/// What happens to the numbers that stand where a product goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// They are overwritten.
    Replace,
    /// The product is added to them.
    Add,
}

/// Stores `left right` in `out`, row by row, `row_step` elements from one row to the next.
///
/// Every element is one sum in an order that depends on the shapes only. Call it from as many threads as there are, on parts that depend on the shapes only.
///
/// # Panics
///
/// Where the shapes do not fit the slices, which is a mistake of the caller.
pub(crate) fn multiply<T: Number>(out: &mut [T], row_step: usize, left: Matrix<T>, right: Matrix<T>, store: Store) {
    let (rows, columns, depth) = (left.rows, right.columns, left.columns);
    assert_eq!(depth, right.rows, "the sizes of the factors");
    assert!(left.extent() <= left.numbers.len() && right.extent() <= right.numbers.len(), "the factors");
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns <= row_step && (rows - 1) * row_step + columns <= out.len(), "the product");
    // SAFETY: the assertions above keep every element inside its slice; `out` is borrowed mutably, so it overlaps neither factor, and its rows do not overlap each
    // other as `columns <= row_step`. Slices hold at most `isize::MAX` bytes, so no step overflows `isize`. `Number` is implemented for f32 and f64 only.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out.as_mut_ptr(),
            1,
            row_step as isize,
            store == Store::Add,
            left.numbers.as_ptr(),
            left.column_step as isize,
            left.row_step as isize,
            right.numbers.as_ptr(),
            right.column_step as isize,
            right.row_step as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(left: Matrix<f64>, right: Matrix<f64>, i: usize, j: usize) -> f64 {
        (0..left.columns).map(|k| left.numbers[i * left.row_step + k * left.column_step] * right.numbers[k * right.row_step + j * right.column_step]).sum()
    }

    #[test]
    fn any_shape_and_transposition_is_right() {
        let a: Vec<f64> = (0..400).map(|i| f64::from(i * 7 % 23) - 11.0).collect();
        let b: Vec<f64> = (0..400).map(|i| f64::from(i * 5 % 19) - 9.0).collect();
        for (m, k, n) in [(1, 1, 1), (1, 9, 17), (17, 9, 1), (3, 2, 5), (16, 20, 12), (20, 20, 20), (2, 0, 3)] {
            let left = Matrix::by_rows(&a, m, k, k);
            let right = Matrix::by_rows(&b, k, n, n);
            for (left, right) in [(left, right), (Matrix::by_rows(&a, k, m, m).transposed(), Matrix::by_rows(&b, n, k, k).transposed())] {
                let mut out = vec![1.0; m * (n + 2)];
                multiply(&mut out, n + 2, left, right, Store::Add);
                for i in 0..m {
                    for j in 0..n {
                        assert_eq!(out[i * (n + 2) + j], 1.0 + naive(left, right, i, j), "{m} {k} {n}");
                    }
                    assert_eq!(out[i * (n + 2) + n], 1.0);
                }
            }
        }
    }

    #[test]
    fn no_depth_replaces_by_zero() {
        let mut out = vec![3.0_f32; 6];
        multiply(&mut out, 3, Matrix::by_rows(&[], 2, 0, 0), Matrix::by_rows(&[], 0, 3, 3), Store::Replace);
        assert_eq!(out, [0.0; 6]);
    }
}
