//! One pass from images to logits.

use candle_core::{Device, Tensor, Var};
use rand_distr::{Distribution, StandardNormal};
use stn_core::stream;
use stn_ops as ops;

use super::{Action, Layer, Mode, Outcome, Sequence, Target, Transformer, Warp};
use crate::{Error, Result};

pub(super) fn forward(layers: &[Layer], images: &Tensor, mode: Mode) -> Result<Outcome> {
    let mut pass = Pass { mode, warps: Vec::new() };
    let logits = pass.list(layers, images.clone())?;
    Ok(Outcome { logits, warps: pass.warps })
}

/// What every ReLU of the list itself gives, and the last layer, on candle's tape where the images are; weights take no part in gradients.
pub(super) fn activations(layers: &[Layer], images: &Tensor) -> Result<(Vec<Tensor>, Tensor)> {
    let mut pass = Pass { mode: Mode::Evaluate, warps: Vec::new() };
    let (mut waiting, mut activations) = (Vec::new(), Vec::new());
    let last = layers.iter().try_fold(images.clone(), |x, layer| -> Result<Tensor> {
        let output = pass.layer(layer, &x, &mut waiting).map_err(|error| in_layer(&layer.name, error))?;
        if matches!(layer.action, Action::Relu) {
            activations.push(output.clone());
        }
        Ok(output)
    })?;
    Ok((activations, last))
}

/// Names the layer in an error that does not name one.
pub(super) fn in_layer(name: &str, error: Error) -> Error {
    match error {
        Error::Tensor(source) => Error::Layer { layer: name.to_owned(), source },
        Error::Core(source) => Error::Layer { layer: name.to_owned(), source: source.into() },
        named => named,
    }
}

/// Tensors joined along channels.
pub(super) fn joined(outputs: Vec<Tensor>) -> Result<Tensor> {
    match outputs.as_slice() {
        [only] => Ok(only.clone()),
        several => Ok(Tensor::cat(several, 1)?),
    }
}

/// A pass over layers one by one, on candle's tape where the mode is training.
pub(super) struct Pass {
    pub mode: Mode,
    pub warps: Vec<Warp>,
}

impl Pass {
    fn list(&mut self, layers: &[Layer], input: Tensor) -> Result<Tensor> {
        // Every theta that waits for the next fully connected layer.
        let mut waiting = Vec::new();
        layers.iter().try_fold(input, |x, layer| self.layer(layer, &x, &mut waiting).map_err(|error| in_layer(&layer.name, error)))
    }

    /// One layer. `waiting` holds every theta that waits for the next fully connected layer.
    pub fn layer(&mut self, layer: &Layer, x: &Tensor, waiting: &mut Vec<Tensor>) -> Result<Tensor> {
        Ok(match &layer.action {
            Action::Conv { weight, bias, window } => ops::conv2d(x, &self.weight(weight), Some(&self.weight(bias)), *window)?,
            Action::MaxPool(pool) => ops::max_pool2d(x, pool)?,
            Action::AvgPool(pool) => ops::avg_pool2d(x, pool)?,
            Action::Project { axis, projection } => ops::project(x, *axis, *projection)?,
            Action::Linear { weight, bias, takes_theta } => {
                let mut flat = x.flatten_from(1)?;
                if *takes_theta {
                    flat = Tensor::cat(&[std::slice::from_ref(&flat), std::mem::take(waiting).as_slice()].concat(), 1)?;
                }
                ops::linear(&flat, &self.weight(weight), Some(&self.weight(bias)))?
            }
            Action::Relu => ops::relu(x)?,
            Action::BatchNorm(norm) => {
                let moments = norm.moments(x, self.mode)?;
                ops::batch_norm(x, &self.weight(&norm.weight), &self.weight(&norm.bias), moments, norm.epsilon)?
            }
            Action::Branches(lists) => joined(lists.iter().map(|list| self.list(list, x.clone())).collect::<Result<_>>()?)?,
            Action::Dropout { rate, channels } => match self.mode {
                Mode::Evaluate => x.clone(),
                Mode::Train { seed, step } => ops::dropout(x, *rate, *channels, stream::stream(seed, &format!("dropout/{}", layer.name), step))?,
            },
            Action::Softmax => ops::softmax(x)?,
            Action::Nothing => x.clone(),
            Action::Transformers { localisers, transformers, feed_theta, each } => {
                let thetas = self.thetas(localisers, transformers, x)?;
                let mut outputs = transformers.iter().zip(&thetas).map(|(transformer, theta)| self.warp(transformer, theta, x)).collect::<Result<Vec<_>>>()?;
                if *feed_theta {
                    waiting.extend(thetas);
                }
                if !each.is_empty() {
                    outputs = each.iter().zip(outputs).map(|(list, output)| self.list(list, output)).collect::<Result<_>>()?;
                }
                joined(outputs)?
            }
        })
    }

    /// A weight to compute with; outside training it is cut off from gradients, so that no graph is kept.
    fn weight(&self, var: &Var) -> Tensor {
        match self.mode {
            Mode::Evaluate => var.as_detached_tensor(),
            Mode::Train { .. } => var.as_tensor().clone(),
        }
    }

    /// One theta for each transformer, `N x theta_len`.
    fn thetas(&mut self, localisers: &[Vec<Layer>], transformers: &[Transformer], x: &Tensor) -> Result<Vec<Tensor>> {
        let predicted = match localisers {
            [shared] if transformers.len() > 1 => parted(&self.list(shared, x.clone())?, transformers)?,
            _ => localisers.iter().zip(transformers).map(|(localiser, transformer)| self.theta(localiser, transformer, x)).collect::<Result<_>>()?,
        };
        transformers.iter().zip(&predicted).map(|(transformer, predicted)| transformer.theta(predicted, self.mode)).collect()
    }

    /// The theta of one transformer: what its localisation network predicts, or in a sequence the composition of all that it predicts.
    fn theta(&mut self, localiser: &[Layer], transformer: &Transformer, x: &Tensor) -> Result<Tensor> {
        let Some(sequence) = &transformer.sequence else { return self.list(localiser, x.clone()) };
        let mut theta = sequence.first(x)?;
        for step in 1..=sequence.steps {
            let view = if step == 1 && sequence.direct { x.clone() } else { self.sample(transformer, &sequence.view, &theta, x)? };
            if step > 1 {
                self.warps.push(transformer.warp(step - 1, &theta.detach(), (x, &view), &sequence.view, self.mode));
            }
            let increment = self.list(localiser, view)?;
            theta = transformer.compose(&theta, &increment)?;
        }
        Ok(theta)
    }

    fn warp(&mut self, transformer: &Transformer, theta: &Tensor, input: &Tensor) -> Result<Tensor> {
        let output = self.sample(transformer, &transformer.output, theta, input)?;
        self.warps.push(transformer.warp(transformer.steps(), &theta.detach(), (input, &output), &transformer.output, self.mode));
        Ok(output)
    }

    fn sample(&self, transformer: &Transformer, target: &Target, theta: &Tensor, input: &Tensor) -> Result<Tensor> {
        let Transformer { transformation, sampler, .. } = transformer;
        Ok(match &target.basis {
            Some(basis) => ops::sample_structured(input, &transformation.matrix(theta)?, basis, &target.grid, sampler)?,
            None => ops::sample_grid(input, &transformation.grid(theta, &target.grid)?, sampler)?,
        })
    }
}

/// Every transformer's part of what a shared localisation network predicts.
pub(super) fn parted(predicted: &Tensor, transformers: &[Transformer]) -> Result<Vec<Tensor>> {
    let mut start = 0;
    let mut next = |transformer: &Transformer| {
        let length = transformer.transformation.theta_len();
        start += length;
        Ok(predicted.narrow(1, start - length, length)?.contiguous()?)
    };
    transformers.iter().map(&mut next).collect()
}

impl Sequence {
    /// The warp before the first step for each image of `x`.
    pub(super) fn first(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.start.broadcast_as((x.dim(0)?, self.start.dim(1)?))?.contiguous()?)
    }
}

impl Transformer {
    /// Theta from what the localisation network predicts: between its bounds, and in training with its noise.
    pub(super) fn theta(&self, predicted: &Tensor, mode: Mode) -> Result<Tensor> {
        let theta = match &self.bounds {
            Some([middle, half]) => predicted.tanh()?.broadcast_mul(half)?.broadcast_add(middle)?,
            None => predicted.clone(),
        };
        let (Some(deviation), Mode::Train { seed, step }) = (&self.noise, mode) else { return Ok(theta) };
        let mut random = stream::stream(seed, &format!("noise/{}", self.name), step);
        let normal: Vec<f64> = StandardNormal.sample_iter(&mut random).take(theta.elem_count()).collect();
        let normal = Tensor::from_vec(normal, theta.shape(), &Device::Cpu)?.to_dtype(theta.dtype())?.to_device(theta.device())?;
        Ok((theta + normal.broadcast_mul(deviation)?)?)
    }

    /// How often it is applied.
    pub(super) fn steps(&self) -> usize {
        self.sequence.as_ref().map_or(1, |sequence| sequence.steps)
    }

    /// The warp of one step more. An output pixel goes through the newest increment first, and from there through the warp so far, `so_far(increment(p))`: the increment was
    /// predicted from the image that `so_far` gives, and says where to look in that.
    pub(super) fn compose(&self, so_far: &Tensor, increment: &Tensor) -> Result<Tensor> {
        match self.transformation.composition() {
            Some(composition) => Ok(composition.compose(so_far, increment)?),
            None => Err(Error::Invalid(format!("two warps of {:?} do not compose to a third", self.transformation))),
        }
    }

    /// What is recorded of a pass; images only where it was for evaluation.
    pub(super) fn warp(&self, step: usize, theta: &Tensor, (input, output): (&Tensor, &Tensor), target: &Target, mode: Mode) -> Warp {
        let recorded = |tensor: &Tensor| (mode == Mode::Evaluate).then(|| tensor.detach());
        Warp {
            layer: self.name.clone(),
            step,
            theta: theta.clone(),
            theta_names: self.transformation.theta_names(),
            input: recorded(input),
            output: recorded(output),
            transformation: self.transformation.clone(),
            target: target.grid.clone(),
        }
    }
}
