//! The words of the field.
//!
//! A spatial transformer (Jaderberg et al., *Spatial Transformer Networks*, NeurIPS 2015) is a localisation network that predicts parameters theta, a grid generator
//! that maps every pixel of a target grid to a place in the source, and a sampler that reads the source there. This crate holds the two seams that a researcher
//! extends, [`Transformation`] and [`SamplingKernel`], and what stands around them: [`TargetGrid`], [`Boundary`], the [`Registry`] that finds plugins by name, the
//! [`parameters`] they take from a TOML file, and the keyed random [`stream`]s.
//!
//! # Conventions
//!
//! Images are `N C H W` and volumes `N C D H W`. Coordinates are normalised to \[-1, 1\], ordered x, y (, z), and map a *target* pixel to its place in the *source*.
//! Nothing here knows of data sets, files or clocks.

pub mod boundary;
pub mod composition;
pub mod error;
pub mod kernel;
pub mod parameters;
pub mod registry;
pub mod stream;
pub mod taps;
pub mod target_grid;
pub mod transformation;
pub mod wide;

pub use boundary::Boundary;
pub use composition::Composition;
pub use error::{Error, Result};
pub use kernel::{BoundaryRule, Real, Sampling, SamplingKernel};
pub use parameters::{Fault, NoParameters, ParameterDoc};
pub use registry::{Plugin, PluginDoc, PluginSpec, Registry};
pub use target_grid::TargetGrid;
pub use transformation::{Form, Transformation};
