//! The attention transformation with its scale free and fixed.

use candle_core::{Device, Tensor};
use stn_core::{Result, Transformation};
use stn_testkit::{assert_close, build_transformation, check_map, check_parameters, check_sampling, check_transformation, uniform};
use stn_transform_attention::Attention;

#[test]
fn it_is_a_transformation() {
    check_transformation(&Attention::default());
}

#[test]
fn with_a_fixed_scale_all_but_the_identity_holds() -> Result<()> {
    let half = build_transformation::<Attention>("scale = 0.5")?;
    check_parameters(&*half);
    check_map(&*half);
    check_sampling(&*half);
    check_transformation(&*build_transformation::<Attention>("scale = 1")?);
    Ok(())
}

#[test]
fn it_scales_then_shifts() -> Result<()> {
    let points = uniform("points", (1, 2, 5), -1.0, 1.0);
    let shift = Tensor::new(&[[[0.2], [-0.1]]], &Device::Cpu)?;
    let expected = points.affine(0.5, 0.0)?.broadcast_add(&shift)?;
    assert_close(&Attention::default().map(&Tensor::new(&[[0.5, 0.2, -0.1]], &Device::Cpu)?, &points)?, &expected, 1e-15);
    let half = build_transformation::<Attention>("scale = 0.5")?;
    assert_close(&half.map(&Tensor::new(&[[0.2, -0.1]], &Device::Cpu)?, &points)?, &expected, 1e-15);
    assert_eq!(half.theta_names(), ["tx", "ty"]);
    Ok(())
}

#[test]
fn a_scale_that_is_not_above_zero_is_an_error() {
    for scale in ["0", "-0.5", "nan", "inf"] {
        let message = build_transformation::<Attention>(&format!("scale = {scale}")).unwrap_err().to_string();
        assert!(message.starts_with("`attention`: `scale`: the scale must be a finite number above 0, not"), "{message}");
    }
}

#[test]
fn an_unknown_key_is_an_error() {
    let message = build_transformation::<Attention>("scael = 0.5").unwrap_err().to_string();
    assert_eq!(message, "`attention`: `scael`: unknown key `scael`; did you mean `scale`? (known: scale)");
}

#[test]
fn windows_compose_unless_their_scale_is_fixed() -> stn_core::Result<()> {
    let (outer, inner) = (Tensor::new(&[[0.5, 0.5, -0.5]], &Device::Cpu)?, Tensor::new(&[[0.5, -0.5, 0.25]], &Device::Cpu)?);
    let free = build_transformation::<Attention>("")?;
    let composed = free.composition().expect("attention composes").compose(&outer, &inner)?;
    assert_eq!(composed.to_vec2::<f64>()?, [[0.25, 0.25, -0.375]]);
    assert!(build_transformation::<Attention>("scale = 0.5")?.composition().is_none());
    Ok(())
}
