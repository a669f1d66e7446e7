//! Compositions of the standard transformations.

use std::sync::Arc;

use candle_core::Tensor;
use stn_core::{Form, PluginSpec, Result, Transformation};
use stn_testkit::{assert_close, check_transformation, uniform};
use stn_transform_composed::Composed;

const PLANE: [&str; 7] = ["affine", "attention", "projective", "rigid", "similarity", "tps", "translation"];

/// From a table as it stands in a file.
fn build(table: &str) -> Result<Arc<dyn Transformation>> {
    let table: toml::Table = table.parse().expect("TOML");
    stn_plugins::standard()?.transformation(&PluginSpec::from_value(&table.into()).expect("a plugin"))
}

fn composed(outer: &str, inner: &str) -> Result<Arc<dyn Transformation>> {
    build(&format!("kind = \"composed\"\nouter = \"{outer}\"\ninner = \"{inner}\""))
}

#[test]
fn every_pair_is_a_transformation() -> Result<()> {
    for outer in PLANE {
        for inner in PLANE {
            check_transformation(&*composed(outer, inner)?);
        }
    }
    check_transformation(&*composed("affine3d", "affine3d")?);
    Ok(())
}

#[test]
fn a_point_goes_through_inner_first() -> Result<()> {
    let registry = stn_plugins::standard()?;
    let points = uniform("points", (3, 2, 5), -1.0, 1.0);
    for (outer, inner) in [("similarity", "projective"), ("tps", "rigid"), ("affine", "tps"), ("projective", "attention")] {
        let last = registry.transformation(&PluginSpec::named(outer))?;
        let first = registry.transformation(&PluginSpec::named(inner))?;
        let theta = |t: &dyn Transformation| -> Result<Tensor> {
            let noise = uniform("theta", (3, t.theta_len()), -0.2, 0.2);
            Ok(noise.broadcast_add(&Tensor::new(t.identity(), noise.device())?)?)
        };
        let (theta_first, theta_last) = (theta(&*first)?, theta(&*last)?);
        let joined = Tensor::cat(&[&theta_last, &theta_first], 1)?;
        let expected = last.map(&theta_last, &first.map(&theta_first, &points)?)?;
        assert_close(&composed(outer, inner)?.map(&joined, &points)?, &expected, 1e-15);
    }
    Ok(())
}

#[test]
fn an_affine_or_projective_outer_keeps_the_structured_form() -> Result<()> {
    assert_eq!(composed("affine", "affine")?.form(), Form::Linear);
    assert_eq!(composed("rigid", "tps")?.form(), Form::Linear);
    assert_eq!(composed("projective", "tps")?.form(), Form::Homogeneous);
    assert_eq!(composed("affine", "projective")?.form(), Form::Homogeneous);
    assert_eq!(composed("tps", "affine")?.form(), Form::Free);
    Ok(())
}

#[test]
fn compositions_nest() -> Result<()> {
    let nested = Composed::new(composed("affine", "attention")?, composed("rigid", "translation")?)?;
    assert_eq!(nested.theta_names()[..2], ["outer.outer.t11", "outer.outer.t12"]);
    // Outer's basis is (x, y, 1) too, so all four matrices are multiplied.
    assert_eq!(nested.form(), Form::Linear);
    check_transformation(&nested);
    Ok(())
}

#[test]
fn names_say_whose_they_are() -> Result<()> {
    assert_eq!(composed("translation", "rigid")?.theta_names(), ["outer.tx", "outer.ty", "inner.a", "inner.tx", "inner.ty"]);
    Ok(())
}

#[test]
fn an_image_and_a_volume_do_not_compose() {
    let message = composed("affine", "affine3d").unwrap_err().to_string();
    assert_eq!(message, "`composed`: `inner`: outer works on 2 axes and inner on 3; both must work on images, or both on volumes");
}

#[test]
fn the_mistakes_of_both_are_reported_below_their_keys() {
    let table = "kind = \"composed\"\nouter = { kind = \"tps\", points = 1 }\ninner = { kind = \"attention\", scale = nan }";
    let message = build(table).unwrap_err().to_string();
    assert!(message.contains("`outer.points`: ") && message.contains("`inner.scale`: "), "{message}");
}

#[test]
fn an_unknown_transformation_is_named() {
    let message = composed("affin", "affine").unwrap_err().to_string();
    assert!(message.contains("`outer`: unknown transformation `affin`") && message.contains("Did you mean `affine`?"), "{message}");
}
