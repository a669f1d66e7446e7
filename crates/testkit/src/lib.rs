//! What proves a plugin: gradient checks, identity, boundaries, determinism, oracle vectors.
//!
//! Every check is a function to call in a test; it panics at the caller's line with what was expected, what was found and where. Nothing here needs files, a
//! network or a data set.
//!
//! | to prove | call |
//! |---|---|
//! | a transformation | [`check_transformation`] |
//! | a sampling kernel | [`check_kernel`] |
//! | its code for graphics cards, without one | [`check_cuda_source`], and [`check_kernel`] where there is a C++ compiler |
//! | the gradients of any function of tensors | [`gradient_check`] |
//! | the same bits at any number of threads | [`same_bits`] |
//! | agreement with another program | [`oracle`] and [`assert_close`] |
//! | what a user is told of a wrong parameter | [`build_transformation`], [`build_kernel`] |
//!
//! # A transformation of one's own
//!
//! A crate of its own with `stn-core`, `candle-core` and, for parameters, `serde` and `schemars`; `stn-testkit` among its dev-dependencies. The transformation
//! is written in the paper's structured form, `T_theta(G) = M_theta B`: the basis B, here (x, y, 1), and the small matrix `M_theta`. It then runs in the fused
//! sampler without another line.
//!
//! ```
//! use std::sync::Arc;
//!
//! use candle_core::Tensor;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use stn_core::transformation::{Window, affine_basis, check_theta, column};
//! use stn_core::{Error, Plugin, PluginSpec, Registry, Result, Transformation};
//!
//! /// `M = [1 k tx; 0 1 ty]` with k = strength times theta's shear: a horizontal shear and a shift.
//! #[derive(Debug)]
//! struct Shear {
//!     strength: f64,
//! }
//!
//! /// The parameters of `Shear`. Reading them, reporting mistakes in them and listing them all follow from this.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(default)]
//! struct Parameters {
//!     /// The shear at theta = 1; above 0.
//!     strength: f64,
//! }
//!
//! impl Default for Parameters {
//!     fn default() -> Self {
//!         Self { strength: 1.0 }
//!     }
//! }
//!
//! impl Plugin<dyn Transformation> for Shear {
//!     const NAME: &'static str = "shear";
//!     const SUMMARY: &'static str = "horizontal shear and translation; theta = shear tx ty";
//!     type Parameters = Parameters;
//!
//!     fn build(parameters: Parameters, _: &Registry) -> Result<Arc<dyn Transformation>> {
//!         let strength = parameters.strength;
//!         if !(strength.is_finite() && strength > 0.0) {
//!             return Err(Error::parameter(Self::NAME, "strength", format!("must be above 0, not {strength}")));
//!         }
//!         Ok(Arc::new(Self { strength }))
//!     }
//! }
//!
//! impl Transformation for Shear {
//!     fn dims(&self) -> usize {
//!         2
//!     }
//!
//!     fn theta_names(&self) -> Vec<String> {
//!         ["shear", "tx", "ty"].map(String::from).to_vec()
//!     }
//!
//!     fn identity(&self) -> Vec<f64> {
//!         vec![0.0, 0.0, 0.0]
//!     }
//!
//!     fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
//!         Ok(Window::tile(n).iter().map(|window| vec![0.0, window.x, window.y]).collect())
//!     }
//!
//!     fn basis(&self, points: &Tensor) -> Result<Tensor> {
//!         affine_basis(points)
//!     }
//!
//!     fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
//!         check_theta(Self::NAME, theta, 3)?;
//!         let (shear, tx, ty) = (column(theta, 0)?.affine(self.strength, 0.0)?, column(theta, 1)?, column(theta, 2)?);
//!         let (zero, one) = (tx.zeros_like()?, tx.ones_like()?);
//!         Ok(Tensor::cat(&[&one, &shear, &tx, &zero, &one, &ty], 1)?.reshape(((), 2, 3))?)
//!     }
//! }
//!
//! // Its test: identity, tiles, M B, gradients, wrong shapes, and the fused sampler against an explicit grid.
//! stn_testkit::check_transformation(&Shear { strength: 0.5 });
//!
//! // A user's mistakes are answered in words: every one of them, before anything runs.
//! let mistake = stn_testkit::build_transformation::<Shear>("strenght = 2").unwrap_err().to_string();
//! assert_eq!(mistake, "`shear`: `strenght`: unknown key `strenght`; did you mean `strength`? (known: strength)");
//!
//! // Its place beside the others: from here on every experiment file may say { kind = "shear", strength = 0.5 }.
//! let mut registry = Registry::new(); // or stn_plugins::standard()?
//! registry.add_transformation::<Shear>()?;
//! assert!(registry.transformation(&PluginSpec::named("shear")).is_ok());
//! # Ok::<(), Error>(())
//! ```
//!
//! A transformation that has no structured form says [`Form::Free`](stn_core::Form::Free) and implements [`map`](stn_core::Transformation::map) instead of the
//! basis and the matrix; the same checks apply, but for those of M and B.

mod cuda_source;
mod determinism;
mod gradient;
mod kernel;
mod mismatch;
mod oracle;
mod plugin;
mod transformation;
mod values;

pub use cuda_source::check_cuda_source;
pub use determinism::same_bits;
pub use gradient::gradient_check;
pub use kernel::{check_gradients, check_kernel, check_weights};
pub use oracle::{Oracle, oracle};
pub use plugin::{build_kernel, build_transformation};
pub use transformation::{check_composition, check_identity, check_map, check_parameters, check_sampling, check_transformation};
pub use values::{assert_close, uniform};
