//! The similarity transformation.

use std::f64::consts::{FRAC_PI_2, LN_2};

use candle_core::{Device, Tensor};
use stn_core::{Result, Transformation};
use stn_testkit::{assert_close, build_transformation, check_transformation, uniform};
use stn_transform_similarity::Similarity;

#[test]
fn it_is_a_transformation() {
    check_transformation(&Similarity);
}

#[test]
fn a_quarter_turn_with_scale_two_takes_x_to_twice_y() -> Result<()> {
    let theta = Tensor::new(&[[FRAC_PI_2, LN_2, 0.5, 0.25]], &Device::Cpu)?;
    let mapped = Similarity.map(&theta, &Tensor::new(&[[[1.0, 0.0], [0.0, 1.0]]], &Device::Cpu)?)?;
    assert_close(&mapped, &Tensor::new(&[[[0.5, -1.5], [2.25, 0.25]]], &Device::Cpu)?, 1e-15);
    Ok(())
}

#[test]
fn squared_distances_grow_by_the_squared_scale() -> Result<()> {
    let (theta, points) = (uniform("theta", (4, 4), -1.0, 1.0), uniform("points", (4, 2, 2), -1.0, 1.0));
    let squared = |points: &Tensor| points.narrow(2, 0, 1)?.sub(&points.narrow(2, 1, 1)?)?.sqr()?.sum(1);
    let scale = theta.narrow(1, 1, 1)?.affine(2.0, 0.0)?.exp()?;
    assert_close(&squared(&Similarity.map(&theta, &points)?)?, &squared(&points)?.mul(&scale)?, 1e-14);
    Ok(())
}

#[test]
fn a_key_is_an_error() {
    assert!(build_transformation::<Similarity>("scale = 1").is_err());
}
