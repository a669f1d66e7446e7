//! The standard registry: every transformation and sampling kernel of this repository, a line each.
//!
//! A program with plugins of its own adds them to it:
//!
//! ```
//! let mut registry = stn_plugins::standard()?;
//! // registry.add_transformation::<my_crate::Shear>()?;
//! assert!(registry.transformations().any(|plugin| plugin.name == "tps"));
//! # Ok::<(), stn_core::Error>(())
//! ```

use stn_core::{Registry, Result};

/// The transformations and sampling kernels of this repository.
///
/// # Errors
///
/// Where two of them claim one name.
pub fn standard() -> Result<Registry> {
    let mut registry = Registry::new();
    registry
        .add_transformation::<stn_transform_affine::Affine>()?
        .add_transformation::<stn_transform_affine3d::Affine3d>()?
        .add_transformation::<stn_transform_attention::Attention>()?
        .add_transformation::<stn_transform_composed::Composed>()?
        .add_transformation::<stn_transform_projective::Projective>()?
        .add_transformation::<stn_transform_rigid::Rigid>()?
        .add_transformation::<stn_transform_similarity::Similarity>()?
        .add_transformation::<stn_transform_tps::ThinPlateSpline>()?
        .add_transformation::<stn_transform_translation::Translation>()?
        .add_kernel::<stn_sampler_bicubic::Bicubic>()?
        .add_kernel::<stn_sampler_bilinear::Bilinear>()?
        .add_kernel::<stn_sampler_integer::Integer>()?;
    Ok(registry)
}

#[cfg(test)]
mod tests {
    use super::standard;
    use stn_core::PluginSpec;

    #[test]
    fn every_plugin_can_be_made_with_its_defaults() -> stn_core::Result<()> {
        let registry = standard()?;
        for plugin in registry.transformations() {
            registry.transformation(&PluginSpec::named(&plugin.name))?;
        }
        for plugin in registry.kernels() {
            registry.kernel(&PluginSpec::named(&plugin.name))?;
        }
        Ok(())
    }

    #[test]
    fn names_are_those_of_the_documentation() -> stn_core::Result<()> {
        let registry = standard()?;
        let transformations: Vec<_> = registry.transformations().map(|plugin| plugin.name.as_str()).collect();
        assert_eq!(transformations, ["affine", "affine3d", "attention", "composed", "projective", "rigid", "similarity", "tps", "translation"]);
        let kernels: Vec<_> = registry.kernels().map(|plugin| plugin.name.as_str()).collect();
        assert_eq!(kernels, ["bicubic", "bilinear", "integer"]);
        Ok(())
    }

    #[test]
    fn every_parameter_is_documented() -> stn_core::Result<()> {
        let registry = standard()?;
        for plugin in registry.transformations().chain(registry.kernels()) {
            assert!(!plugin.summary.is_empty(), "{}", plugin.name);
            for parameter in &plugin.parameters {
                assert!(!parameter.description.is_empty(), "{}.{}", plugin.name, parameter.name);
            }
        }
        Ok(())
    }
}
