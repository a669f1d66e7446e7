//! The sampler against PyTorch's `grid_sample` and `affine_grid`: see vectors/sample/generate.py.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Var};
use stn_core::{Boundary, Sampling, TargetGrid, transformation::affine_basis};
use stn_ops::{Sampler, sample_grid, structured_grid};
use stn_sampler_bicubic::Bicubic;
use stn_sampler_bilinear::Bilinear;
use stn_sampler_integer::{Integer, Ties};
use stn_testkit::{Oracle, assert_close, oracle};

fn vectors(name: &str) -> Oracle {
    oracle(format!("{}/tests/vectors/sample/{name}.npz", env!("CARGO_MANIFEST_DIR")))
}

/// Every sampler of the vectors, in their order.
fn samplers(kernels: &[Arc<dyn Sampling>]) -> impl Iterator<Item = Sampler> {
    let boundaries = |kernel: &Arc<dyn Sampling>| {
        let kernel = kernel.clone();
        Boundary::ALL.into_iter().flat_map(move |boundary| [false, true].map(|align_corners| Sampler { kernel: kernel.clone(), boundary, align_corners }))
    };
    kernels.iter().flat_map(boundaries).collect::<Vec<_>>().into_iter()
}

fn kernels() -> Vec<Arc<dyn Sampling>> {
    vec![Arc::new(Integer::new(Ties::Even)), Arc::new(Bilinear), Arc::new(Bicubic::new(-0.75).unwrap())]
}

fn compare(dims: &str, kernels: &[Arc<dyn Sampling>], dtype: DType, tolerance: f64) -> Result<()> {
    let vectors = vectors("grid_sample");
    let get = |what: &str| vectors.get(&format!("{dims}.{what}")).clone();
    let (input, grid) = (Var::from_tensor(&get("input").to_dtype(dtype)?)?, Var::from_tensor(&get("grid").to_dtype(dtype)?)?);
    let (outputs, input_gradients, grid_gradients) = (get("output"), get("input_gradient"), get("grid_gradient"));
    for (i, sampler) in samplers(kernels).enumerate() {
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
    compare("2d", &kernels(), DType::F64, 1e-12)
}

#[test]
fn volumes_are_sampled_as_by_grid_sample() -> Result<()> {
    compare("3d", &kernels()[..2], DType::F64, 1e-12)
}

#[test]
fn single_precision_differs_by_rounding_alone() -> Result<()> {
    compare("2d", &kernels()[1..], DType::F32, 1e-4)?;
    compare("3d", &kernels()[1..2], DType::F32, 1e-4)
}

#[test]
fn nearest_with_even_ties_is_exact() -> Result<()> {
    let vectors = vectors("grid_sample");
    for dims in ["2d", "3d"] {
        let get = |what: &str| vectors.get(&format!("{dims}.{what}")).clone();
        for (i, sampler) in samplers(&kernels()[..1]).enumerate() {
            let output = sample_grid(&get("input"), &get("grid"), &sampler)?;
            assert_eq!(output.flatten_all()?.to_vec1::<f64>()?, get("output").get(i)?.flatten_all()?.to_vec1::<f64>()?, "{dims} {sampler:?}");
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
            let basis = affine_basis(&target.points(DType::F64, &Device::Cpu)?.unsqueeze(0)?)?.squeeze(0)?;
            let grid = structured_grid(&theta, &basis, &target)?;
            assert_close(&grid, &get("grid").get(i)?, 1e-13);
            let gradients = (grid * get("upstream"))?.sum_all()?.backward()?;
            assert_close(gradients.get(&theta).unwrap(), &get("theta_gradient").get(i)?, 1e-13);
        }
    }
    Ok(())
}

/// A tensor's gradient may flow to the source alone.
#[test]
fn only_what_is_tracked_gets_a_gradient() -> Result<()> {
    let vectors = vectors("grid_sample");
    let (input, grid) = (Var::from_tensor(vectors.get("2d.input"))?, vectors.get("2d.grid"));
    let sampler = Sampler { kernel: Arc::new(Bilinear), boundary: Boundary::Zeros, align_corners: false };
    let gradients = sample_grid(&input, grid, &sampler)?.sum_all()?.backward()?;
    assert!(gradients.get(&input).is_some() && gradients.get(grid).is_none());
    Ok(())
}
