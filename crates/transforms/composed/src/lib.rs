//! One transformation after another.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::composition::with_unit_row;
use stn_core::transformation::{affine_basis, check_theta};
use stn_core::{Error, Fault, Form, Plugin, PluginSpec, Registry, Result, Transformation};

/// `p -> outer(inner(p))`: a target pixel goes through `inner` first.
///
/// Theta is outer's theta followed by inner's. Where the basis of outer is (x, y, 1), the composition is structured again and needs no grid: outer's matrix
/// applied to the homogeneous coordinates that inner's matrix gives. Otherwise it is free, and sampled through an explicit grid.
#[derive(Debug, Clone)]
pub struct Composed {
    outer: Arc<dyn Transformation>,
    inner: Arc<dyn Transformation>,
    structure: Structure,
}

/// How the matrices of the two go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Structure {
    /// Not at all.
    None,
    /// `M_outer M_inner`: inner is homogeneous.
    Product,
    /// `M_outer [M_inner; 0 .. 0 1]`: the last row of inner's basis is ones.
    LastRowIsOne,
    /// `M_outer [M_inner 0; 0 .. 0 1]` on inner's basis with a row of ones below.
    RowOfOnesAdded,
}

/// The parameters of [`Composed`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Parameters {
    /// The transformation applied last: a name, or a table with a kind.
    pub outer: PluginSpec,
    /// The transformation applied first, to the target pixels: a name, or a table with a kind.
    pub inner: PluginSpec,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { outer: PluginSpec::named("affine"), inner: PluginSpec::named("affine") }
    }
}

impl Plugin<dyn Transformation> for Composed {
    const NAME: &'static str = "composed";
    const SUMMARY: &'static str = "outer after inner, p -> outer(inner(p)); theta = outer's followed by inner's";
    type Parameters = Parameters;

    fn build(parameters: Parameters, registry: &Registry) -> Result<Arc<dyn Transformation>> {
        let outer = part("outer", &parameters.outer, registry);
        let inner = part("inner", &parameters.inner, registry);
        match (outer, inner) {
            (Ok(outer), Ok(inner)) => Ok(Arc::new(Self::new(outer, inner)?)),
            (outer, inner) => {
                let faults = [outer.err(), inner.err()].into_iter().flatten().flatten().collect();
                Err(Error::Parameters { plugin: Self::NAME.into(), faults })
            }
        }
    }
}

/// Makes one of the two; its faults are moved below its key.
fn part(key: &str, spec: &PluginSpec, registry: &Registry) -> std::result::Result<Arc<dyn Transformation>, Vec<Fault>> {
    registry.transformation(spec).map_err(|error| match error {
        Error::Parameters { faults, .. } => faults.into_iter().map(|fault| fault.below([key])).collect(),
        other => vec![Fault::at([key], other.to_string())],
    })
}

impl Composed {
    /// Of two transformations.
    ///
    /// # Errors
    ///
    /// Where one works on images and the other on volumes.
    pub fn new(outer: Arc<dyn Transformation>, inner: Arc<dyn Transformation>) -> Result<Self> {
        if outer.dims() != inner.dims() {
            let message = format!("outer works on {} axes and inner on {}; both must work on images, or both on volumes", outer.dims(), inner.dims());
            return Err(Error::parameter(Self::NAME, "inner", message));
        }
        let structure = match inner.form() {
            _ if !has_affine_basis(&*outer)? => Structure::None,
            Form::Free => Structure::None,
            Form::Homogeneous => Structure::Product,
            Form::Linear if has_affine_basis(&*inner)? => Structure::LastRowIsOne,
            Form::Linear => Structure::RowOfOnesAdded,
        };
        Ok(Self { outer, inner, structure })
    }

    /// Outer's part of theta, and inner's.
    fn split(&self, theta: &Tensor) -> Result<(Tensor, Tensor)> {
        check_theta(Self::NAME, theta, self.theta_len())?;
        let outer = self.outer.theta_len();
        Ok((theta.narrow(1, 0, outer)?, theta.narrow(1, outer, self.inner.theta_len())?))
    }
}

/// Whether a transformation's basis is the points with a row of ones below, tried on points in general position.
fn has_affine_basis(transformation: &dyn Transformation) -> Result<bool> {
    if transformation.form() == Form::Free {
        return Ok(false);
    }
    let (dims, count) = (transformation.dims(), 7);
    let values: Vec<f64> = (0..dims * count).map(|i| (i as f64 * 0.618_033_988_749_895).fract() * 3.0 - 1.4).collect();
    let points = Tensor::from_vec(values, (1, dims, count), &Device::Cpu)?;
    let (basis, affine) = (transformation.basis(&points)?, affine_basis(&points)?);
    Ok(basis.dims() == affine.dims() && basis.flatten_all()?.to_vec1::<f64>()? == affine.flatten_all()?.to_vec1::<f64>()?)
}

impl Transformation for Composed {
    fn dims(&self) -> usize {
        self.outer.dims()
    }

    fn theta_names(&self) -> Vec<String> {
        let outer = self.outer.theta_names().into_iter().map(|name| format!("outer.{name}"));
        outer.chain(self.inner.theta_names().into_iter().map(|name| format!("inner.{name}"))).collect()
    }

    fn identity(&self) -> Vec<f64> {
        [self.outer.identity(), self.inner.identity()].concat()
    }

    /// Outer's tiles, each with inner's identity.
    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        Ok(self.outer.tiles(n)?.into_iter().map(|outer| [outer, self.inner.identity()].concat()).collect())
    }

    fn form(&self) -> Form {
        match (self.structure, self.outer.form(), self.inner.form()) {
            (Structure::None, ..) => Form::Free,
            (_, Form::Linear, Form::Linear) => Form::Linear,
            _ => Form::Homogeneous,
        }
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        let basis = self.inner.basis(points)?;
        match self.structure {
            Structure::None => Err(Error::Unsupported(format!("{self:?} has no structured form, so no basis"))),
            Structure::Product | Structure::LastRowIsOne => Ok(basis),
            Structure::RowOfOnesAdded => affine_basis(&basis),
        }
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        let (outer, inner) = self.split(theta)?;
        let inner = self.inner.matrix(&inner)?;
        let inner = match self.structure {
            Structure::None => return Err(Error::Unsupported(format!("{self:?} has no structured form, so no matrix"))),
            Structure::Product => inner,
            Structure::LastRowIsOne => with_unit_row(&inner)?,
            Structure::RowOfOnesAdded => with_unit_row(&Tensor::cat(&[&inner, &inner.narrow(2, 0, 1)?.zeros_like()?], 2)?)?,
        };
        let outer = self.outer.matrix(&outer)?;
        let outer = if self.form() == Form::Homogeneous && self.outer.form() == Form::Linear { with_unit_row(&outer)? } else { outer };
        Ok(outer.contiguous()?.matmul(&inner.contiguous()?)?)
    }

    fn map(&self, theta: &Tensor, points: &Tensor) -> Result<Tensor> {
        let (outer, inner) = self.split(theta)?;
        self.outer.map(&outer, &self.inner.map(&inner, points)?)
    }

    fn theta_len(&self) -> usize {
        self.outer.theta_len() + self.inner.theta_len()
    }
}
