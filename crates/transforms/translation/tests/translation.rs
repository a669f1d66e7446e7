//! The translation.

use candle_core::{Device, Tensor};
use stn_core::{Result, Transformation};
use stn_testkit::{assert_close, build_transformation, check_transformation, uniform};
use stn_transform_translation::Translation;

#[test]
fn it_is_a_transformation() {
    check_transformation(&Translation);
}

#[test]
fn it_shifts() -> Result<()> {
    let points = uniform("points", (1, 2, 5), -1.0, 1.0);
    let shift = Tensor::new(&[[0.2, -0.1]], &Device::Cpu)?;
    assert_close(&Translation.map(&shift, &points)?, &points.broadcast_add(&shift.unsqueeze(2)?)?, 1e-15);
    Ok(())
}

#[test]
fn a_key_is_an_error() {
    assert!(build_transformation::<Translation>("scale = 1").is_err());
}
