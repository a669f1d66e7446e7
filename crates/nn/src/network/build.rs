//! From planned layers to layers with weights.

use candle_core::{DType, Device, Tensor};
use stn_core::{Form, TargetGrid, Transformation};
use stn_ops::Sampler;

use super::{Action, Buffer, Layer, Normalisation, Parameter, Sequence, Target, Transformer};
use crate::initialisation::Place;
use crate::plan::{Operation, PlannedLayer, PlannedSequence, PlannedTransformer, Start};
use crate::{Initialisation, Plan, Result};

/// The layers, what training moves, and what it keeps beside that.
pub(super) fn build(plan: &Plan, seed: u64, dtype: DType, device: &Device) -> Result<(Vec<Layer>, Vec<Parameter>, Vec<Buffer>)> {
    let place = Place { seed, dtype, device: device.clone() };
    let mut builder = Builder { init: plan.init, place, parameters: Vec::new(), buffers: Vec::new() };
    let layers = builder.list(&plan.layers, 1.0)?;
    Ok((layers, builder.parameters, builder.buffers))
}

struct Builder {
    init: Initialisation,
    place: Place,
    parameters: Vec<Parameter>,
    buffers: Vec<Buffer>,
}

impl Builder {
    fn list(&mut self, planned: &[PlannedLayer], lr_factor: f64) -> Result<Vec<Layer>> {
        planned.iter().map(|layer| Ok(Layer { name: layer.name.clone(), action: self.action(layer, lr_factor)? })).collect()
    }

    fn action(&mut self, layer: &PlannedLayer, lr_factor: f64) -> Result<Action> {
        let (weight_name, bias_name) = (format!("{}.weight", layer.name), format!("{}.bias", layer.name));
        let (init, place) = (self.init, &self.place);
        Ok(match &layer.operation {
            Operation::Conv { filters, channels, kernel, window, rectified, bias: has_bias } => {
                let weight = init.weight(&weight_name, &[*filters, *channels, kernel.0, kernel.1], *rectified, place)?;
                let bias = if *has_bias { init.bias(&bias_name, *filters, channels * kernel.0 * kernel.1, place)? } else { place.filled(0.0, *filters)? };
                self.keep(weight_name, &weight, lr_factor, true);
                // One that is always zero is no parameter, and whatever gradient there is to it goes nowhere.
                if *has_bias {
                    self.keep(bias_name, &bias, lr_factor, false);
                }
                Action::Conv { weight, bias, window: *window }
            }
            Operation::Linear { inputs, units, start, takes_theta, bias: has_bias } => {
                let (weight, bias) = match start {
                    Start::Drawn { rectified } => {
                        let bias = if *has_bias { init.bias(&bias_name, *units, *inputs, place)? } else { place.filled(0.0, *units)? };
                        (init.weight(&weight_name, &[*units, *inputs], *rectified, place)?, bias)
                    }
                    Start::Theta { bias } => (place.constant(vec![0.0; units * inputs], &[*units, *inputs])?, place.constant(bias.clone(), &[*units])?),
                };
                self.keep(weight_name, &weight, lr_factor, true);
                if *has_bias {
                    self.keep(bias_name, &bias, lr_factor, false);
                }
                Action::Linear { weight, bias, takes_theta: *takes_theta }
            }
            Operation::MaxPool(pool) => Action::MaxPool(*pool),
            Operation::AvgPool(pool) => Action::AvgPool(*pool),
            Operation::Project { axis, projection } => Action::Project { axis: *axis, projection: *projection },
            Operation::Relu => Action::Relu,
            Operation::BatchNorm { channels, momentum, epsilon } => {
                let [weight, variance] = [place.filled(1.0, *channels)?, place.filled(1.0, *channels)?];
                let [bias, mean] = [place.filled(0.0, *channels)?, place.filled(0.0, *channels)?];
                self.keep(weight_name, &weight, lr_factor, false);
                self.keep(bias_name, &bias, lr_factor, false);
                for (kind, var) in [("running_mean", &mean), ("running_var", &variance)] {
                    self.buffers.push(Buffer { name: format!("{}.{kind}", layer.name), var: var.clone() });
                }
                Action::BatchNorm(Normalisation { weight, bias, mean, variance, momentum: *momentum, epsilon: *epsilon })
            }
            Operation::Branches(lists) => Action::Branches(lists.iter().map(|list| self.list(list, lr_factor)).collect::<Result<_>>()?),
            Operation::Dropout { rate, channels } => Action::Dropout { rate: *rate as f32, channels: *channels },
            Operation::Softmax => Action::Softmax,
            Operation::LossSoftmax => Action::Nothing,
            Operation::Transformers(planned) => Action::Transformers {
                localisers: planned.localisers.iter().map(|list| self.list(list, lr_factor * planned.lr_factor)).collect::<Result<_>>()?,
                transformers: planned.transformers.iter().map(|transformer| self.transformer(transformer)).collect::<Result<_>>()?,
                feed_theta: planned.feed_theta,
                each: planned.each.iter().map(|list| self.list(list, lr_factor)).collect::<Result<_>>()?,
            },
        })
    }

    fn keep(&mut self, name: String, var: &candle_core::Var, lr_factor: f64, decay: bool) {
        self.parameters.push(Parameter { name, var: var.clone(), lr_factor, decay });
    }

    fn transformer(&self, planned: &PlannedTransformer) -> Result<Transformer> {
        let output = self.target(&*planned.transformation, &planned.target)?;
        let sequence = planned.sequence.as_ref().map(|sequence| self.sequence(sequence, &*planned.transformation, (&planned.target, &output))).transpose()?;
        Ok(Transformer {
            name: planned.name.clone(),
            transformation: planned.transformation.clone(),
            sampler: Sampler { kernel: planned.kernel.clone(), boundary: planned.boundary, align_corners: planned.target.align_corners() },
            output,
            sequence,
            bounds: planned.bounds.as_ref().map(|bounds| self.bounds(bounds)).transpose()?,
            noise: planned.noise.as_ref().map(|noise| self.row(noise.clone())).transpose()?,
        })
    }

    /// `output` is the grid that the transformer fills in the end, and what was made of it: the views are often like it.
    fn sequence(&self, planned: &PlannedSequence, transformation: &dyn Transformation, output: (&TargetGrid, &Target)) -> Result<Sequence> {
        Ok(Sequence {
            steps: planned.steps,
            start: self.row(planned.start.clone().unwrap_or_else(|| transformation.identity()))?,
            direct: planned.start.is_none(),
            view: if planned.view == *output.0 { output.1.clone() } else { self.target(transformation, &planned.view)? },
        })
    }

    /// The middles of bounds, and half of what lies between them.
    fn bounds(&self, bounds: &[[f64; 2]]) -> Result<[Tensor; 2]> {
        let row = |of: fn(&[f64; 2]) -> f64| self.row(bounds.iter().map(of).collect());
        Ok([row(|[least, most]| (least + most) / 2.0)?, row(|[least, most]| (most - least) / 2.0)?])
    }

    /// A number for each of theta's.
    fn row(&self, numbers: Vec<f64>) -> Result<Tensor> {
        let length = numbers.len();
        Ok(self.place.constant(numbers, &[1, length])?.as_detached_tensor())
    }

    fn target(&self, transformation: &dyn Transformation, grid: &TargetGrid) -> Result<Target> {
        // In 64 bits, then rounded once: a thin plate spline's basis comes out of a linear system.
        let basis = match transformation.form() {
            Form::Free => None,
            Form::Linear | Form::Homogeneous => {
                let points = grid.points(DType::F64, &Device::Cpu)?.unsqueeze(0)?;
                let basis = transformation.basis(&points)?.squeeze(0)?;
                Some(basis.to_dtype(self.place.dtype)?.to_device(&self.place.device)?.contiguous()?.detach())
            }
        };
        Ok(Target { grid: grid.clone(), basis })
    }
}
