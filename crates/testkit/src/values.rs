//! Values to test with, and values compared.

use candle_core::{DType, Device, Shape, Tensor};
use rand::RngExt;
use stn_core::stream::stream;

use crate::mismatch::{Outcome, expect};

/// An f64 tensor of uniform numbers in `low..high`, always the same for one `purpose` and shape.
///
/// # Panics
///
/// Where `low..high` is empty or the tensor cannot be made.
#[track_caller]
pub fn uniform(purpose: &str, shape: impl Into<Shape>, low: f64, high: f64) -> Tensor {
    match random(purpose, shape.into(), low, high) {
        Ok(tensor) => tensor,
        Err(mismatch) => panic!("uniform `{purpose}`: {mismatch}"),
    }
}

pub(crate) fn random(purpose: &str, shape: Shape, low: f64, high: f64) -> Outcome<Tensor> {
    expect(low < high, || format!("no number lies in {low}..{high}"))?;
    let mut rng = stream(0, purpose, 0);
    let values: Vec<f64> = (0..shape.elem_count()).map(|_| rng.random_range(low..high)).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Compares two tensors: the same shape, and every difference at most `tolerance` times the larger of 1 and the expected magnitude. The types may differ.
///
/// # Panics
///
/// With the worst element, both values and how many are off. A NaN differs from everything.
#[track_caller]
pub fn assert_close(actual: &Tensor, expected: &Tensor, tolerance: f64) {
    if let Err(mismatch) = close(actual, expected, tolerance) {
        panic!("{mismatch}");
    }
}

pub(crate) fn close(actual: &Tensor, expected: &Tensor, tolerance: f64) -> Outcome {
    expect(actual.dims() == expected.dims(), || format!("expected the shape {:?}, found {:?}", expected.dims(), actual.dims()))?;
    let (found, wanted) = (numbers(actual)?, numbers(expected)?);
    let excess = |i: usize| {
        let off = (found[i] - wanted[i]).abs() / wanted[i].abs().max(1.0);
        if off.is_nan() { f64::INFINITY } else { off }
    };
    let off: Vec<usize> = (0..found.len()).filter(|&i| excess(i) > tolerance).collect();
    let Some(&worst) = off.iter().max_by(|&&a, &&b| excess(a).total_cmp(&excess(b))) else { return Ok(()) };
    expect(false, || {
        let (place, count, total) = (place(worst, actual.dims()), off.len(), found.len());
        format!("{count} of {total} values are off by more than {tolerance:e}; the worst at {place:?}: expected {:?}, found {:?}", wanted[worst], found[worst])
    })
}

/// Every element as f64, in row-major order.
pub(crate) fn numbers(tensor: &Tensor) -> Outcome<Vec<f64>> {
    Ok(tensor.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// The index on every axis of element `flat`.
pub(crate) fn place(flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut rest = flat;
    let mut place = Vec::with_capacity(dims.len());
    for &n in dims.iter().rev() {
        place.push(rest % n);
        rest /= n;
    }
    place.reverse();
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(actual: &[f64], expected: &[f64]) -> String {
        let tensor = |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap().reshape((2, ())).unwrap();
        close(&tensor(actual), &tensor(expected), 1e-3).map_or_else(|mismatch| mismatch.to_string(), |()| String::new())
    }

    #[test]
    fn equal_values_are_close() {
        assert_eq!(message(&[1.0, 2.0, 3.0, 4000.5], &[1.0, 2.0, 3.0, 4000.0]), "");
    }

    #[test]
    fn the_worst_value_is_named() {
        let expected = "2 of 4 values are off by more than 1e-3; the worst at [1, 0]: expected 3.0, found 3.5";
        assert_eq!(message(&[1.0, 2.1, 3.5, 4.0], &[1.0, 2.0, 3.0, 4.0]), expected);
    }

    #[test]
    fn nan_is_never_close() {
        assert!(message(&[f64::NAN, 0.0], &[f64::NAN, 0.0]).contains("the worst at [0, 0]"));
    }

    #[test]
    fn another_shape_is_never_close() {
        let [a, b] = [(2, 3), (3, 2)].map(|shape| Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap());
        assert_eq!(close(&a, &b, 1.0).unwrap_err().to_string(), "expected the shape [3, 2], found [2, 3]");
    }

    #[test]
    fn random_values_depend_on_the_purpose_alone() {
        let values = |purpose| numbers(&uniform(purpose, 5, -1.0, 1.0)).unwrap();
        assert_eq!(values("a"), values("a"));
        assert_ne!(values("a"), values("b"));
    }
}
