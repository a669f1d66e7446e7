//! The rigid transformation.

use std::f64::consts::FRAC_PI_2;

use candle_core::{Device, Tensor};
use stn_core::{Result, Transformation};
use stn_testkit::{assert_close, build_transformation, check_transformation, uniform};
use stn_transform_rigid::Rigid;

#[test]
fn it_is_a_transformation() {
    check_transformation(&Rigid);
}

#[test]
fn a_quarter_turn_takes_x_to_y() -> Result<()> {
    let theta = Tensor::new(&[[FRAC_PI_2, 0.5, 0.25]], &Device::Cpu)?;
    let mapped = Rigid.map(&theta, &Tensor::new(&[[[1.0, 0.0], [0.0, 1.0]]], &Device::Cpu)?)?;
    assert_close(&mapped, &Tensor::new(&[[[0.5, -0.5], [1.25, 0.25]]], &Device::Cpu)?, 1e-15);
    Ok(())
}

#[test]
fn distances_stay() -> Result<()> {
    let (theta, points) = (uniform("theta", (4, 3), -3.0, 3.0), uniform("points", (4, 2, 2), -1.0, 1.0));
    let distance = |points: &Tensor| points.narrow(2, 0, 1)?.sub(&points.narrow(2, 1, 1)?)?.sqr()?.sum(1);
    assert_close(&distance(&Rigid.map(&theta, &points)?)?, &distance(&points)?, 1e-14);
    Ok(())
}

#[test]
fn a_key_is_an_error() {
    assert!(build_transformation::<Rigid>("scale = 1").is_err());
}
