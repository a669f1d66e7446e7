//! The sampler against PyTorch's `grid_sample` and `affine_grid`: see vectors/sample/generate.py.

use std::ops::Range;

use candle_core::{DType, Result, Var};
use stn_core::TargetGrid;
use stn_ops::{sample_grid, structured_grid};
use stn_testkit::{Oracle, assert_close, oracle};

use crate::{basis, kernels, numbers, samplers_of};

fn vectors(name: &str) -> Oracle {
    oracle(format!("{}/tests/vectors/sample/{name}.npz", env!("CARGO_MANIFEST_DIR")))
}

/// `wanted` are kernels by their number: nearest, bilinear, bicubic.
fn compare(dims: &str, wanted: Range<usize>, dtype: DType, tolerance: f64) -> Result<()> {
    let vectors = vectors("grid_sample");
    let get = |what: &str| vectors.get(&format!("{dims}.{what}")).clone();
    let (input, grid) = (Var::from_tensor(&get("input").to_dtype(dtype)?)?, Var::from_tensor(&get("grid").to_dtype(dtype)?)?);
    let (outputs, input_gradients, grid_gradients) = (get("output"), get("input_gradient"), get("grid_gradient"));
    for (i, sampler) in kernels().iter().flat_map(samplers_of).enumerate().filter(|(i, _)| wanted.contains(&(i / 6))) {
        eprintln!("{dims} {sampler:?} {dtype:?}");
        let output = sample_grid(&input, &grid, &sampler)?;
        assert_close(&output, &outputs.get(i)?, tolerance);
        let gradients = (output * get("upstream").to_dtype(dtype)?)?.sum_all()?.backward()?;
        assert_close(gradients.get(&input).unwrap(), &input_gradients.get(i)?, tolerance);
        assert_close(gradients.get(&grid).unwrap(), &grid_gradients.get(i)?, tolerance);
    }
    Ok(())
}

#[test]
fn images_are_sampled_as_by_grid_sample() -> Result<()> {
    compare("2d", 0..3, DType::F64, 1e-12)
}

#[test]
fn volumes_are_sampled_as_by_grid_sample() -> Result<()> {
    compare("3d", 0..2, DType::F64, 1e-12)
}

#[test]
fn single_precision_differs_by_rounding_alone() -> Result<()> {
    compare("2d", 1..3, DType::F32, 1e-4)?;
    compare("3d", 1..2, DType::F32, 1e-4)
}

#[test]
fn nearest_with_even_ties_is_exact() -> Result<()> {
    let vectors = vectors("grid_sample");
    for dims in ["2d", "3d"] {
        let get = |what: &str| vectors.get(&format!("{dims}.{what}")).clone();
        for (i, sampler) in samplers_of(&kernels()[0]).into_iter().enumerate() {
            let output = sample_grid(&get("input"), &get("grid"), &sampler)?;
            assert_eq!(numbers(&output), numbers(&get("output").get(i)?), "{dims} {sampler:?}");
        }
    }
    Ok(())
}

#[test]
fn affine_matrices_give_the_grid_of_affine_grid() -> Result<()> {
    let vectors = vectors("affine_grid");
    for (dims, size) in [("2d", vec![5, 4]), ("3d", vec![3, 4, 5])] {
        let get = |what: &str| vectors.get(&format!("{dims}.{what}")).clone();
        let theta = Var::from_tensor(&get("theta"))?;
        for (i, align_corners) in [false, true].into_iter().enumerate() {
            let target = TargetGrid::new(size.clone(), align_corners)?;
            let grid = structured_grid(&theta, &basis(&target)?, &target)?;
            assert_close(&grid, &get("grid").get(i)?, 1e-13);
            let gradients = (grid * get("upstream"))?.sum_all()?.backward()?;
            assert_close(gradients.get(&theta).unwrap(), &get("theta_gradient").get(i)?, 1e-13);
        }
    }
    Ok(())
}
