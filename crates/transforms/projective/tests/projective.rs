//! The projective transformation against OpenCV, and what every transformation must hold to.

use candle_core::{Device, Tensor};
use stn_core::transformation::HOMOGENEOUS_GUARD;
use stn_core::{TargetGrid, Transformation};
use stn_testkit::{assert_close, build_transformation, check_transformation, oracle};
use stn_transform_projective::Projective;

#[test]
fn it_is_a_transformation() {
    check_transformation(&Projective);
}

#[test]
fn points_go_where_perspective_transform_puts_them() -> stn_core::Result<()> {
    let vectors = oracle(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/perspective_transform.npz"));
    assert_close(&Projective.map(vectors.get("theta"), vectors.get("points"))?, vectors.get("mapped"), 1e-13);
    Ok(())
}

#[test]
fn a_divisor_of_zero_gives_finite_coordinates_and_gradients() -> candle_core::Result<()> {
    // With t31 = 1 the divisor x + 1 is 0 at the left corners.
    let theta = candle_core::Var::new(&[[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]], &Device::Cpu)?;
    let grid = Projective.grid(theta.as_tensor(), &TargetGrid::new([2, 2], true)?)?;
    let corner: Vec<f64> = grid.detach().flatten_all()?.narrow(0, 0, 2)?.to_vec1()?;
    assert_eq!(corner, [-1.0 / HOMOGENEOUS_GUARD, -1.0 / HOMOGENEOUS_GUARD]);
    let gradients = grid.sum_all()?.backward()?;
    let gradient: Vec<f64> = gradients.get(&theta).expect("theta has a gradient").flatten_all()?.to_vec1()?;
    assert!(gradient.iter().all(|value| value.is_finite()), "{gradient:?}");
    Ok(())
}

#[test]
fn without_its_last_row_it_is_affine() -> stn_core::Result<()> {
    let theta = Tensor::new(&[[0.9, 0.2, 0.1, -0.3, 1.1, -0.2, 0.0, 0.0]], &Device::Cpu)?;
    let points = stn_testkit::uniform("points", (1, 2, 4), -1.0, 1.0);
    let matrix = theta.narrow(1, 0, 6)?.reshape((1, 2, 3))?;
    assert_close(&Projective.map(&theta, &points)?, &matrix.matmul(&Projective.basis(&points)?)?, 1e-14);
    Ok(())
}

#[test]
fn a_key_is_an_error() {
    assert!(build_transformation::<Projective>("points = 3").is_err());
}
