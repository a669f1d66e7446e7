//! `stn op`: the raw operators on `.npy` files, so that any other tool can be held against them.

use std::path::Path;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use stn_core::{Boundary, Form, PluginDoc, PluginSpec, Registry, TargetGrid, Transformation};
use stn_ops::Sampler;
use toml::{Table, Value};

use crate::arguments::{Grid, Operator, Sample, Transform};
use crate::{Failure, npy};

pub(crate) fn run(operator: &Operator, registry: &Registry) -> Result<(), Failure> {
    match operator {
        Operator::Grid(grid) => generate(grid, registry),
        Operator::Sample(sample) => read_source(sample, registry),
    }
}

/// A transformation at a theta: what `--transform`, `--theta`, `--size` and `--param` name together.
struct Warp {
    transformation: Arc<dyn Transformation>,
    theta: Var,
    /// theta's shape as it was in the file.
    shape: Vec<usize>,
    target: TargetGrid,
}

impl Warp {
    fn new(arguments: &Transform, parameters: Table, align_corners: bool, registry: &Registry) -> Result<Self, Failure> {
        let (Some(kind), Some(path)) = (&arguments.transform, &arguments.theta) else {
            return Err(Failure::Message("give --transform NAME, --theta T.npy and --size H,W".into()));
        };
        let transformation = registry.transformation(&PluginSpec { kind: kind.clone(), parameters }).map_err(Failure::message)?;
        let target = TargetGrid::new(arguments.size.clone(), align_corners).map_err(Failure::message)?;
        if target.dims() != transformation.dims() {
            let size = if transformation.dims() == 2 { "H,W" } else { "D,H,W" };
            return Err(Failure::Message(format!("{kind} works on {} axes: give --size {size}", transformation.dims())));
        }
        let stored = npy::read(path)?;
        let length = transformation.theta_len();
        let values: usize = stored.elem_count();
        let rows = stored.dims().first().copied().filter(|_| stored.rank() > 1).unwrap_or(1);
        if values != rows * length {
            return Err(Failure::Message(format!(
                "{}: {kind} takes N x {length} ({}), not {:?}",
                path.display(),
                transformation.theta_names().join(" "),
                stored.dims()
            )));
        }
        let theta = stored.reshape((rows, length)).and_then(|t| Var::from_tensor(&t)).map_err(Failure::message)?;
        Ok(Self { transformation, theta, shape: stored.dims().to_vec(), target })
    }

    fn sample(&self, input: &Tensor, sampler: &Sampler) -> Result<Tensor, Failure> {
        let theta = self.theta.as_tensor();
        if self.transformation.form() == Form::Free {
            let grid = self.transformation.grid(theta, &self.target).map_err(Failure::message)?;
            return stn_ops::sample_grid(input, &grid, sampler).map_err(Failure::message);
        }
        let sampled = || -> stn_core::Result<Tensor> {
            let points = self.target.points(theta.dtype(), theta.device())?.unsqueeze(0)?;
            let basis = self.transformation.basis(&points)?.squeeze(0)?;
            Ok(stn_ops::sample_structured(input, &self.transformation.matrix(theta)?, &basis, &self.target, sampler)?)
        };
        sampled().map_err(Failure::message)
    }
}

fn generate(arguments: &Grid, registry: &Registry) -> Result<(), Failure> {
    let parameters = keys_to_table(&arguments.parameters)?;
    let warp = Warp::new(&arguments.transform, parameters, arguments.align_corners, registry)?;
    let grid = warp.transformation.grid(warp.theta.as_tensor(), &warp.target).map_err(Failure::message)?;
    npy::write(&arguments.out, &grid)
}

fn read_source(arguments: &Sample, registry: &Registry) -> Result<(), Failure> {
    let (of_transform, of_kernel) = divide(&arguments.parameters, arguments, registry)?;
    let sampler = Sampler {
        kernel: registry.kernel(&PluginSpec { kind: arguments.kernel.clone(), parameters: of_kernel }).map_err(Failure::message)?,
        boundary: boundary(&arguments.boundary)?,
        align_corners: arguments.align_corners,
    };
    let input = Var::from_tensor(&npy::read(&arguments.input)?).map_err(Failure::message)?;
    let (output, grid, warp) = match &arguments.grid {
        Some(path) => {
            let grid = Var::from_tensor(&npy::read(path)?).map_err(Failure::message)?;
            agree((&arguments.input, input.as_tensor()), (path, grid.as_tensor()))?;
            let output = stn_ops::sample_grid(input.as_tensor(), grid.as_tensor(), &sampler).map_err(Failure::message)?;
            (output, Some(grid), None)
        }
        None => {
            let warp = Warp::new(&arguments.transform, of_transform, arguments.align_corners, registry)?;
            let theta = arguments.transform.theta.as_deref().unwrap_or(Path::new("theta"));
            agree((&arguments.input, input.as_tensor()), (theta, warp.theta.as_tensor()))?;
            (warp.sample(input.as_tensor(), &sampler)?, None, Some(warp))
        }
    };
    let gradients = arguments.grad_out.as_ref().map(|path| backward(path, &output)).transpose()?;
    npy::write(&arguments.out, &output)?;
    let Some(gradients) = gradients else { return Ok(()) };
    let gradient = |var: &Var| gradients.get(var.as_tensor()).cloned().map_or_else(|| var.zeros_like(), Ok).map_err(Failure::message);
    if let Some(path) = &arguments.grad_input {
        npy::write(path, &gradient(&input)?)?;
    }
    if let (Some(path), Some(grid)) = (&arguments.grad_grid, &grid) {
        npy::write(path, &gradient(grid)?)?;
    }
    if let (Some(path), Some(warp)) = (&arguments.grad_theta, &warp) {
        npy::write(path, &gradient(&warp.theta)?.reshape(warp.shape.as_slice()).map_err(Failure::message)?)?;
    }
    Ok(())
}

/// The gradients, from the file that holds the one with respect to the output.
fn backward(path: &Path, output: &Tensor) -> Result<GradStore, Failure> {
    let cotangent = npy::read(path)?;
    if cotangent.dims() != output.dims() || cotangent.dtype() != output.dtype() {
        return Err(Failure::Message(format!(
            "{}: the output is {:?} {:?}, so its gradient must be too, not {:?} {:?}",
            path.display(),
            output.dims(),
            output.dtype(),
            cotangent.dims(),
            cotangent.dtype()
        )));
    }
    (output * cotangent).and_then(|product| product.sum_all()?.backward()).map_err(Failure::message)
}

/// Two arrays of one file each that must agree in precision and number of samples.
fn agree(input: (&Path, &Tensor), other: (&Path, &Tensor)) -> Result<(), Failure> {
    let describe = |(path, tensor): (&Path, &Tensor)| format!("{} holds {:?} {:?}", path.display(), tensor.dims(), tensor.dtype());
    if input.1.dtype() == other.1.dtype() && input.1.dims().first() == other.1.dims().first() {
        return Ok(());
    }
    Err(Failure::Message(format!("{}, but {}: both need the same precision and the same number of samples", describe(input), describe(other))))
}

fn boundary(name: &str) -> Result<Boundary, Failure> {
    let known = Boundary::ALL.map(Boundary::name);
    Boundary::ALL.into_iter().find(|b| b.name() == name).ok_or_else(|| Failure::message(stn_core::Fault::unknown(["--boundary"], "boundary", name, &known)))
}

/// `key=value` arguments as a table; a value is TOML, or else a bare string.
pub(crate) fn keys_to_table(arguments: &[String]) -> Result<Table, Failure> {
    arguments.iter().map(|argument| pair(argument)).collect()
}

fn pair(argument: &str) -> Result<(String, Value), Failure> {
    let (key, text) = argument.split_once('=').ok_or_else(|| Failure::Message(format!("`{argument}` is not of the form key=value")))?;
    let value = format!("v = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
    Ok((key.into(), value.unwrap_or_else(|| Value::String(text.into()))))
}

/// Gives each `--param` to the plugin that has a parameter of that name; the kernel's where both or none have, so that it says what it knows.
fn divide(arguments: &[String], sample: &Sample, registry: &Registry) -> Result<(Table, Table), Failure> {
    let has = |doc: Option<&PluginDoc>, key: &str| doc.is_some_and(|doc| doc.parameters.iter().any(|p| p.name == key));
    let transform = registry.transformations().find(|doc| Some(&doc.name) == sample.transform.transform.as_ref());
    let kernel = registry.kernels().find(|doc| doc.name == sample.kernel);
    let (of_transform, of_kernel): (Vec<_>, Vec<_>) = keys_to_table(arguments)?.into_iter().partition(|(key, _)| has(transform, key) && !has(kernel, key));
    Ok((of_transform.into_iter().collect(), of_kernel.into_iter().collect()))
}
