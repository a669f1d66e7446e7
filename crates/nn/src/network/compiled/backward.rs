//! The backward pass: the records in reverse, each dropped as soon as it is done with.

use candle_core::{Tensor, Var};
use stn_ops::{accumulate, avg_pool2d_gradient, backward_from, max_pool2d_gradient, project_gradient};

use super::super::{Parameter, forward::in_layer};
use super::forward::dropout;
use super::transformers::{Input, transformers};
use super::{Joined, Record};
use crate::{Gradient, Result};

/// Where the gradient to a parameter goes.
pub(super) type Found<'a> = dyn FnMut(&Var, Gradient) -> Result<()> + 'a;

/// Goes back through a list from the gradient to its output; adds the gradient to its input, where that is wanted, to what there is of it from elsewhere.
///
/// `fed` holds gradients to thetas that a fully connected layer took, for the transformers in front of it, the last theta last.
pub(super) fn list(
    records: Vec<Record>,
    gradient: Tensor,
    to_input: &mut Option<Tensor>,
    parameters: &[Parameter],
    fed: &mut Vec<Tensor>,
    found: &mut Found,
) -> Result<()> {
    let mut gradient = Some(gradient);
    for (place, record) in records.into_iter().enumerate().rev() {
        // Without a gradient to go on with, nothing in front learns.
        let Some(upstream) = gradient else { return Ok(()) };
        let sum = to_input.as_ref().filter(|_| place == 0);
        gradient = one(record, upstream, sum, parameters, fed, found)?;
    }
    add(to_input, gradient)
}

/// Goes back through one record; gives the gradient to its input, unless that was added to `sum`, as some records can.
fn one(record: Record, upstream: Tensor, sum: Option<&Tensor>, parameters: &[Parameter], fed: &mut Vec<Tensor>, found: &mut Found) -> Result<Option<Tensor>> {
    match record {
        Record::ConvBlock { weight, bias, block, input, outcome, tracked } => {
            let gradients = block.backward(&input, &weight.as_detached_tensor(), &outcome, &upstream, tracked)?;
            drop((upstream, input, outcome));
            for (var, gradient) in [(weight, gradients.weight), (bias, gradients.bias)] {
                gradient.map_or(Ok(()), |numbers| found(var, numbers.into()))?;
            }
            Ok(gradients.input)
        }
        Record::LinearBlock { weight, bias, block, input, output, joined, tracked } => {
            let gradient = block.gradient(&output, &upstream)?;
            drop((upstream, output));
            let detached = weight.as_detached_tensor();
            let to_input = match sum {
                _ if !tracked => None,
                Some(sum) if joined.thetas.is_empty() => block.add_input_gradient(&detached, &gradient, sum).map(|()| None)?,
                _ => Some(part(block.input_gradient(&detached, &gradient)?, &joined, fed)?),
            };
            found(weight, Gradient::Product(block.weight_gradient(&input, &gradient)?))?;
            found(bias, block.bias_gradient(&gradient)?.into())?;
            Ok(to_input)
        }
        Record::Project { axis, projection, input, output, tracked } => {
            Ok(tracked.then(|| project_gradient(&input, &output, &upstream, axis, projection)).transpose()?)
        }
        Record::Dropout { layer, rate, channels, seed, step } => {
            dropout(layer, &upstream, rate, channels, (seed, step)).map(Some).map_err(|error| in_layer(&layer.name, error))
        }
        Record::BatchNorm { norm, block, moments, input, output, tracked } => {
            let gradients = block.backward(&input, &norm.weight.as_detached_tensor(), &output, &moments, &upstream, tracked)?;
            found(&norm.weight, gradients.weight.into())?;
            found(&norm.bias, gradients.bias.into())?;
            Ok(gradients.input)
        }
        Record::MaxPool { pool, input, output } => Ok(Some(max_pool2d_gradient(&input, &output, &upstream, pool)?)),
        Record::AvgPool { pool, input } => Ok(Some(avg_pool2d_gradient(&input, &upstream, pool)?)),
        Record::Branches { lists, channels } => {
            let (mut to_input, mut first) = (None, 0);
            for (records, channels) in lists.into_iter().zip(channels) {
                let own = upstream.narrow(1, first, channels)?.contiguous()?;
                first += channels;
                list(records, own, &mut to_input, parameters, &mut Vec::new(), found)?;
            }
            Ok(to_input)
        }
        Record::Transformers { localisers, warps, each, input, feed_theta, tracked } => {
            let fed_here = if feed_theta { fed.split_off(fed.len().saturating_sub(warps.len())) } else { Vec::new() };
            transformers((localisers, each), &warps, (upstream, fed_here), &Input { image: &input, tracked }, parameters, found)
        }
        Record::Taped { input, output } => taped(input, &output, &upstream, parameters, found),
    }
}

/// Takes the gradient to a fully connected layer's input apart: the images' in their shape, and those of the thetas behind them.
fn part(gradient: Tensor, joined: &Joined, fed: &mut Vec<Tensor>) -> Result<Tensor> {
    if joined.thetas.is_empty() {
        return Ok(gradient.reshape(joined.shape.as_slice())?);
    }
    let mut start = gradient.dim(1)? - joined.thetas.iter().sum::<usize>();
    let images = gradient.narrow(1, 0, start)?.contiguous()?.reshape(joined.shape.as_slice())?;
    for &length in &joined.thetas {
        fed.push(gradient.narrow(1, start, length)?.contiguous()?);
        start += length;
    }
    Ok(images)
}

/// Back along candle's tape.
fn taped(input: Option<Var>, output: &Tensor, upstream: &Tensor, parameters: &[Parameter], found: &mut Found) -> Result<Option<Tensor>> {
    if !output.track_op() {
        return Ok(None);
    }
    let gradients = backward_from(output, upstream)?;
    for parameter in parameters {
        if let Some(gradient) = gradients.get(&parameter.var) {
            found(&parameter.var, gradient.clone().into())?;
        }
    }
    Ok(input.and_then(|input| gradients.get(&input).cloned()))
}

pub(super) fn add(sum: &mut Option<Tensor>, gradient: Option<Tensor>) -> Result<()> {
    match (sum.as_ref(), gradient) {
        (Some(sum), Some(gradient)) => accumulate(sum, &gradient)?,
        (None, gradient) => *sum = gradient,
        (Some(_), None) => {}
    }
    Ok(())
}
