//! Plugins made from the text of an experiment file.

use std::sync::Arc;

use stn_core::{Plugin, PluginSpec, Registry, Result, Sampling, Transformation};

/// Makes a transformation from its parameters as they stand in a file: `build_transformation::<ThinPlateSpline>("points = 5")`.
///
/// # Errors
///
/// What a user would be told: an unknown key, a wrong type, a value out of range.
///
/// # Panics
///
/// Where the text is not TOML.
#[track_caller]
pub fn build_transformation<P: Plugin<dyn Transformation>>(parameters: &str) -> Result<Arc<dyn Transformation>> {
    let spec = spec(P::NAME, parameters);
    Registry::new().add_transformation::<P>()?.transformation(&spec)
}

/// Makes a sampling kernel from its parameters as they stand in a file: `build_kernel::<Bicubic>("a = -0.5")`.
///
/// # Errors
///
/// What a user would be told: an unknown key, a wrong type, a value out of range.
///
/// # Panics
///
/// Where the text is not TOML.
#[track_caller]
pub fn build_kernel<P: Plugin<dyn Sampling>>(parameters: &str) -> Result<Arc<dyn Sampling>> {
    let spec = spec(P::NAME, parameters);
    Registry::new().add_kernel::<P>()?.kernel(&spec)
}

#[track_caller]
fn spec(kind: &str, parameters: &str) -> PluginSpec {
    match parameters.parse() {
        Ok(parameters) => PluginSpec { kind: kind.into(), parameters },
        Err(error) => panic!("{parameters:?} is not TOML: {error}"),
    }
}
