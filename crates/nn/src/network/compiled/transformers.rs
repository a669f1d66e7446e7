//! Spatial transformers, forward and back: localisation networks, once or in a sequence, and the sampler.

use candle_core::{Tensor, Var};
use stn_ops::{self as ops, GridWanted, Wanted, accumulate, backward_from};

use super::super::forward::parted;
use super::super::{Layer, Parameter, Target, Transformer};
use super::Record;
use super::backward::{Found, add, list};
use super::forward::Forward;
use crate::{Error, Gradient, Result};

/// One pass of a localisation network.
#[derive(Debug)]
pub(super) struct Localised<'a> {
    /// How the view that it was given was sampled; `None` where that was the layer's input itself.
    view: Option<Warped<'a>>,
    records: Vec<Record<'a>>,
    /// In a sequence: how its increment was composed with the warp before.
    composed: Option<Composed>,
}

/// A theta from two, on candle's tape.
#[derive(Debug)]
struct Composed {
    so_far: Var,
    increment: Var,
    theta: Tensor,
}

/// One image sampled through a warp.
#[derive(Debug)]
pub(super) struct Warped<'a> {
    transformer: &'a Transformer,
    target: &'a Target,
    /// What the localisation network predicted.
    predicted: Var,
    /// Theta, on candle's tape from that.
    theta: Tensor,
    /// M or, for a transformation without structured form, the grid; on candle's tape from what was predicted.
    placed: Tensor,
    /// Channels of the output, behind the list that it went through.
    pub channels: usize,
}

impl Forward {
    /// One theta for each transformer, `N x theta_len`, and what their localisation networks kept.
    pub fn thetas<'a>(
        &mut self,
        localisers: &'a [Vec<Layer>],
        transformers: &'a [Transformer],
        x: &Tensor,
        tracked: bool,
    ) -> Result<(Vec<Vec<Localised<'a>>>, Vec<Tensor>)> {
        if let [shared] = localisers
            && transformers.len() > 1
        {
            let (records, all) = self.list(shared, x.clone(), tracked)?;
            return Ok((vec![vec![Localised { view: None, records, composed: None }]], parted(&all, transformers)?));
        }
        let passes = localisers.iter().zip(transformers).map(|(localiser, transformer)| self.theta(localiser, transformer, x, tracked));
        Ok(passes.collect::<Result<Vec<_>>>()?.into_iter().unzip())
    }

    fn theta<'a>(&mut self, localiser: &'a [Layer], transformer: &'a Transformer, x: &Tensor, tracked: bool) -> Result<(Vec<Localised<'a>>, Tensor)> {
        let Some(sequence) = &transformer.sequence else {
            let (records, theta) = self.list(localiser, x.clone(), tracked)?;
            return Ok((vec![Localised { view: None, records, composed: None }], theta));
        };
        let (mut passes, mut theta) = (Vec::with_capacity(sequence.steps), sequence.first(x)?);
        for step in 1..=sequence.steps {
            let (seen, view) = if step == 1 && sequence.direct {
                (x.clone(), None)
            } else {
                let (seen, warped) = warped(transformer, &sequence.view, &theta, |theta| Ok(theta.clone()), x)?;
                (seen, Some(warped))
            };
            if step > 1 {
                self.warps.push(transformer.warp(step - 1, &theta, (x, &seen), &sequence.view, self.mode));
            }
            // From the second step on the view depends on what the localisation network predicted before.
            let (records, increment) = self.list(localiser, seen, tracked || step > 1)?;
            let composed = Composed::new(transformer, &theta, &increment)?;
            theta = composed.theta.detach();
            passes.push(Localised { view, records, composed: Some(composed) });
        }
        Ok((passes, theta))
    }

    /// What a transformer gives, and how it got there.
    pub fn warp<'a>(&mut self, transformer: &'a Transformer, predicted: &Tensor, input: &Tensor) -> Result<(Tensor, Warped<'a>)> {
        let mode = self.mode;
        let (output, warped) = warped(transformer, &transformer.output, predicted, |predicted| transformer.theta(predicted, mode), input)?;
        self.warps.push(transformer.warp(transformer.steps(), &warped.theta(), (input, &output), &transformer.output, self.mode));
        Ok((output, warped))
    }
}

fn warped<'a>(
    transformer: &'a Transformer,
    target: &'a Target,
    predicted: &Tensor,
    theta: impl Fn(&Tensor) -> Result<Tensor>,
    input: &Tensor,
) -> Result<(Tensor, Warped<'a>)> {
    let Transformer { transformation, sampler, .. } = transformer;
    let predicted = Var::from_tensor(predicted)?;
    let theta = theta(&predicted)?;
    let (placed, output) = match &target.basis {
        Some(basis) => {
            let matrix = transformation.matrix(&theta)?;
            let output = ops::sample_structured(input, &matrix.detach(), basis, &target.grid, sampler)?;
            (matrix, output)
        }
        None => {
            let grid = transformation.grid(&theta, &target.grid)?;
            let output = ops::sample_grid(input, &grid.detach(), sampler)?;
            (grid, output)
        }
    };
    let channels = output.dim(1)?;
    Ok((output, Warped { transformer, target, predicted, theta, placed, channels }))
}

impl Composed {
    fn new(transformer: &Transformer, so_far: &Tensor, increment: &Tensor) -> Result<Self> {
        let (so_far, increment) = (Var::from_tensor(so_far)?, Var::from_tensor(increment)?);
        let theta = transformer.compose(&so_far, &increment)?;
        Ok(Self { so_far, increment, theta })
    }

    /// The gradients to the warp so far and to the increment.
    fn backward(&self, gradient: &Tensor) -> Result<(Tensor, Tensor)> {
        let gradients = backward_from(&self.theta, gradient)?;
        let to = |var: &Var| gradients.get(var).map_or_else(|| var.zeros_like(), |gradient| Ok(gradient.clone()));
        Ok((to(&self.so_far)?, to(&self.increment)?))
    }
}

/// What a layer of transformers took, and whether anything before it learns.
pub(super) struct Input<'a> {
    pub image: &'a Tensor,
    pub tracked: bool,
}

/// Back through transformers side by side, the lists behind each and their localisation networks; gives the gradient to their input. `fed` holds the gradients to thetas that went on.
pub(super) fn transformers(
    (localisers, each): (Vec<Vec<Localised>>, Vec<Vec<Record>>),
    warps: &[Warped],
    (upstream, fed): (Tensor, Vec<Tensor>),
    input: &Input,
    parameters: &[Parameter],
    found: &mut Found,
) -> Result<Option<Tensor>> {
    let (mut to_input, mut to_thetas) = (None, Vec::with_capacity(warps.len()));
    let (mut channel, mut each) = (0, each.into_iter());
    for (i, warped) in warps.iter().enumerate() {
        let mut own = if warps.len() == 1 { upstream.clone() } else { upstream.narrow(1, channel, warped.channels)?.contiguous()? };
        channel += warped.channels;
        if let Some(records) = each.next() {
            let mut to_output = None;
            list(records, own, &mut to_output, parameters, &mut Vec::new(), found)?;
            own = to_output.ok_or_else(|| Error::Invalid(format!("nothing depends on what {} gives", warped.transformer.name)))?;
        }
        let (image, mut theta) = warped.backward(input, &own)?;
        if let Some(fed) = fed.get(i) {
            theta = (theta + warped.to_predicted(fed)?)?;
        }
        add(&mut to_input, image)?;
        to_thetas.push(theta);
    }
    drop(upstream);
    if localisers.len() < warps.len() {
        to_thetas = vec![Tensor::cat(&to_thetas, 1)?];
    }
    for (passes, theta) in localisers.into_iter().zip(to_thetas) {
        if passes.len() == 1 {
            back(passes, theta, input, &mut to_input, parameters, found)?;
        } else {
            // The same weights served every step: their gradients are sums, and none may be moved before the first step is done with.
            let mut sums = Sums::default();
            back(passes, theta, input, &mut to_input, parameters, &mut |var, gradient| sums.add(var, &gradient))?;
            sums.0.into_iter().try_for_each(|(var, sum)| found(&var, sum.into()))?;
        }
    }
    Ok(to_input)
}

/// Back through the passes of one localisation network, the last first. Each was given the input through the warp of those before, so a gradient goes that way too.
fn back(passes: Vec<Localised>, mut to_theta: Tensor, input: &Input, to_input: &mut Option<Tensor>, parameters: &[Parameter], found: &mut Found) -> Result<()> {
    for Localised { view, records, composed } in passes.into_iter().rev() {
        let (to_so_far, to_increment) = match composed {
            Some(composed) => composed.backward(&to_theta)?,
            None => (to_theta.zeros_like()?, to_theta),
        };
        to_theta = to_so_far;
        let Some(view) = view else {
            list(records, to_increment, to_input, parameters, &mut Vec::new(), found)?;
            continue;
        };
        let mut to_view = None;
        list(records, to_increment, &mut to_view, parameters, &mut Vec::new(), found)?;
        if let Some(gradient) = to_view {
            let (image, theta) = view.backward(input, &gradient)?;
            to_theta = (to_theta + theta)?;
            add(to_input, image)?;
        }
    }
    Ok(())
}

/// Gradients to parameters that were used several times, in the order in which they were first found.
#[derive(Default)]
struct Sums(Vec<(Var, Tensor)>);

impl Sums {
    fn add(&mut self, var: &Var, gradient: &Gradient) -> Result<()> {
        let gradient = gradient.numbers()?;
        match self.0.iter().find(|(known, _)| known.id() == var.id()) {
            Some((_, sum)) => Ok(accumulate(sum, &gradient)?),
            None => {
                self.0.push((var.clone(), gradient));
                Ok(())
            }
        }
    }
}

impl Warped<'_> {
    /// The gradients to the image, where it is wanted, and to what was predicted.
    fn backward(&self, input: &Input, upstream: &Tensor) -> Result<(Option<Tensor>, Tensor)> {
        let Input { image, tracked } = *input;
        let (placed, sampler) = (self.placed.detach(), &self.transformer.sampler);
        let (image, to_placed) = match &self.target.basis {
            Some(basis) => {
                let wanted = Wanted { input: tracked, matrix: true, basis: false };
                let (image, matrix, _) = ops::sample_structured_gradients(image, &placed, basis, &self.target.grid, sampler, upstream, wanted)?;
                (image, matrix)
            }
            None => ops::sample_grid_gradients(image, &placed, sampler, upstream, GridWanted { input: tracked, grid: true })?,
        };
        let gradients = to_placed.filter(|_| self.placed.track_op()).map(|gradient| backward_from(&self.placed, &gradient)).transpose()?;
        let to_predicted = match gradients.as_ref().and_then(|gradients| gradients.get(&self.predicted)) {
            Some(gradient) => gradient.clone(),
            None => self.predicted.zeros_like()?,
        };
        Ok((image, to_predicted))
    }

    /// Theta itself.
    pub(super) fn theta(&self) -> Tensor {
        self.theta.detach()
    }

    /// The gradient to what was predicted, from one to theta.
    fn to_predicted(&self, gradient: &Tensor) -> Result<Tensor> {
        if self.theta.id() == self.predicted.id() {
            return Ok(gradient.clone());
        }
        match backward_from(&self.theta, gradient)?.get(&self.predicted) {
            Some(gradient) => Ok(gradient.clone()),
            None => Ok(self.predicted.zeros_like()?),
        }
    }
}
