//! The forward pass: a step at a time, keeping what the backward pass needs.

use candle_core::{Tensor, Var};
use stn_core::stream;
use stn_ops as ops;

use super::super::forward::{Pass, in_layer, joined};
use super::super::{Action, Layer, Mode, Outcome, Warp};
use super::step::Step;
use super::{Joined, Record, Warped};
use crate::Result;

/// A pass in training mode: its records, the logits, the warps.
pub(super) fn record<'a>(layers: &'a [Layer], images: &Tensor, seed: u64, step: u64) -> Result<(Vec<Record<'a>>, Tensor, Vec<Warp>)> {
    let mut forward = Forward { mode: Mode::Train { seed, step }, warps: Vec::new(), keeps: true };
    let (records, logits) = forward.list(layers, images.detach(), false)?;
    Ok((records, logits, forward.warps))
}

/// A pass in evaluation mode, which keeps nothing.
pub(in super::super) fn infer(layers: &[Layer], images: &Tensor) -> Result<Outcome> {
    let mut forward = Forward { mode: Mode::Evaluate, warps: Vec::new(), keeps: false };
    let (_, logits) = forward.list(layers, images.detach(), false)?;
    Ok(Outcome { logits, warps: forward.warps })
}

pub(super) struct Forward {
    pub mode: Mode,
    pub warps: Vec<Warp>,
    /// Whether records are kept.
    keeps: bool,
}

impl Forward {
    /// A list of layers. `tracked` says whether the gradient to its input is wanted.
    pub fn list<'a>(&mut self, layers: &'a [Layer], input: Tensor, mut tracked: bool) -> Result<(Vec<Record<'a>>, Tensor)> {
        let (mut records, mut waiting) = (Vec::new(), Vec::new());
        let (mut x, mut rest) = (input, layers);
        while let Some((step, taken)) = Step::first(rest) {
            let mut made = Vec::new();
            x = self.step(step, x, tracked, &mut waiting, &mut made).map_err(|error| in_layer(&rest[0].name, error))?;
            tracked |= made.iter().any(learns);
            if self.keeps {
                records.append(&mut made);
            }
            rest = &rest[taken..];
        }
        Ok((records, x))
    }

    fn step<'a>(&mut self, step: Step<'a>, x: Tensor, tracked: bool, waiting: &mut Vec<Tensor>, made: &mut Vec<Record<'a>>) -> Result<Tensor> {
        match step {
            Step::ConvBlock { weight, bias, block, dropout } => {
                let outcome = block.forward(&x, &weight.as_detached_tensor(), &bias.as_detached_tensor())?;
                let output = outcome.output.clone();
                made.push(Record::ConvBlock { weight, bias, block, input: x, outcome, tracked });
                match dropout {
                    Some(layer) => self.layer(layer, output, true, made),
                    None => Ok(output),
                }
            }
            Step::LinearBlock { weight, bias, takes_theta, block } => {
                let shape = x.dims().to_vec();
                let mut input = x.flatten_from(1)?;
                let mut thetas = Vec::new();
                if takes_theta {
                    thetas = waiting.iter().map(|theta| theta.dim(1)).collect::<candle_core::Result<_>>()?;
                    input = Tensor::cat(&[std::slice::from_ref(&input), std::mem::take(waiting).as_slice()].concat(), 1)?;
                }
                let output = block.forward(&input, &weight.as_detached_tensor(), &bias.as_detached_tensor())?;
                made.push(Record::LinearBlock {
                    weight,
                    bias,
                    block,
                    input,
                    output: output.clone(),
                    joined: Joined { shape, thetas },
                    tracked: tracked || takes_theta,
                });
                Ok(output)
            }
            Step::BatchNorm { norm, block } => {
                let moments = norm.moments(&x, self.mode)?;
                let output = block.forward(&x, &norm.weight.as_detached_tensor(), &norm.bias.as_detached_tensor(), &moments)?;
                made.push(Record::BatchNorm { norm, block, moments, input: x, output: output.clone(), tracked });
                Ok(output)
            }
            Step::Layer(Layer { action: Action::Branches(lists), .. }) => {
                let passes = lists.iter().map(|list| self.list(list, x.clone(), tracked)).collect::<Result<Vec<_>>>()?;
                let (lists, outputs): (Vec<_>, Vec<Tensor>) = passes.into_iter().unzip();
                let channels = outputs.iter().map(|output| output.dim(1)).collect::<candle_core::Result<_>>()?;
                made.push(Record::Branches { lists, channels });
                joined(outputs)
            }
            Step::Layer(Layer { action: Action::Transformers { localisers, transformers, feed_theta, each }, .. }) => {
                let (localised, thetas) = self.thetas(localisers, transformers, &x, tracked)?;
                let warped =
                    transformers.iter().zip(thetas).map(|(transformer, predicted)| self.warp(transformer, &predicted, &x)).collect::<Result<Vec<_>>>()?;
                let (mut outputs, mut warps): (Vec<Tensor>, Vec<Warped>) = warped.into_iter().unzip();
                let mut through = Vec::with_capacity(each.len());
                for (i, list) in each.iter().enumerate() {
                    // The gradient to what a transformer gives is always wanted: theta depends on it.
                    let (records, output) = self.list(list, outputs[i].clone(), true)?;
                    warps[i].channels = output.dim(1)?;
                    outputs[i] = output;
                    through.push(records);
                }
                if *feed_theta {
                    waiting.extend(warps.iter().map(Warped::theta));
                }
                made.push(Record::Transformers { localisers: localised, warps, each: through, input: x, feed_theta: *feed_theta, tracked });
                joined(outputs)
            }
            Step::Layer(layer) => self.layer(layer, x, tracked, made),
        }
    }

    /// A layer by itself.
    fn layer<'a>(&mut self, layer: &'a Layer, x: Tensor, tracked: bool, made: &mut Vec<Record<'a>>) -> Result<Tensor> {
        match (&layer.action, self.mode) {
            (Action::Nothing, _) | (Action::Dropout { .. }, Mode::Evaluate) => Ok(x),
            (Action::Dropout { rate, channels }, Mode::Train { seed, step }) => {
                made.push(Record::Dropout { layer, rate: *rate, channels: *channels, seed, step });
                dropout(layer, &x, *rate, *channels, (seed, step))
            }
            (Action::Project { axis, projection }, _) => {
                let output = ops::project(&x, *axis, *projection)?;
                made.push(Record::Project { axis: *axis, projection: *projection, input: x, output: output.clone(), tracked });
                Ok(output)
            }
            (Action::MaxPool(pool), Mode::Train { .. }) if tracked => {
                let output = ops::max_pool2d(&x, pool)?;
                made.push(Record::MaxPool { pool, input: x, output: output.clone() });
                Ok(output)
            }
            (Action::AvgPool(pool), Mode::Train { .. }) if tracked => {
                let output = ops::avg_pool2d(&x, pool)?;
                made.push(Record::AvgPool { pool, input: x });
                Ok(output)
            }
            (_, Mode::Evaluate) => Pass { mode: self.mode, warps: Vec::new() }.layer(layer, &x, &mut Vec::new()),
            (_, Mode::Train { .. }) => {
                let input = tracked.then(|| Var::from_tensor(&x)).transpose()?;
                let start = input.as_ref().map_or(&x, |var| var.as_tensor());
                let output = Pass { mode: self.mode, warps: Vec::new() }.layer(layer, start, &mut Vec::new())?;
                let detached = output.detach();
                made.push(Record::Taped { input, output });
                Ok(detached)
            }
        }
    }
}

/// Whether what comes behind a record depends on a parameter in it, or in front of a layer on the tape.
fn learns(record: &Record) -> bool {
    match record {
        Record::Dropout { .. } | Record::MaxPool { .. } | Record::AvgPool { .. } | Record::Project { .. } => false,
        Record::Taped { output, .. } => output.track_op(),
        Record::Branches { lists, .. } => lists.iter().flatten().any(learns),
        Record::ConvBlock { .. } | Record::LinearBlock { .. } | Record::BatchNorm { .. } | Record::Transformers { .. } => true,
    }
}

/// The same draw forward and backward.
pub(super) fn dropout(layer: &Layer, x: &Tensor, rate: f32, channels: bool, (seed, step): (u64, u64)) -> Result<Tensor> {
    Ok(ops::dropout(x, rate, channels, stream::stream(seed, &format!("dropout/{}", layer.name), step))?)
}
