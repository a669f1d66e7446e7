//! A layer list with every shape, width and plugin settled.

mod inference;
mod transformers;
mod width;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use stn_core::{Boundary, Fault, Registry, Sampling, TargetGrid, Transformation};
use stn_ops::{Pool2d, Projection, VolumeAxis, Window2d};

use crate::reading::KeyPath;
use crate::{Initialisation, NetworkSpec, WeightsSpec};

/// The most parameters of a network, and the most numbers that a layer gives for one image: beyond them lies a slip of the pen, and memory would not hold them.
pub(crate) const MOST: usize = 1 << 30;

/// A network settled for one input: what [`Network::new`](crate::Network::new) builds.
///
/// A layer list on images (`C x H x W`) or volumes (`C x D x H x W`). In front of the first fully connected layer the feature maps are flattened. A network ends in one
/// number a class.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) input: Vec<usize>,
    pub(crate) ending: Ending,
    pub(crate) layers: Vec<PlannedLayer>,
    pub(crate) init: Initialisation,
    width: Option<usize>,
    weights: Option<WeightsSpec>,
}

/// What a network ends in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// One number for each of so many classes.
    Classes(usize),
    /// Images of this shape, `[C, H, W]`: the network transforms, and something else judges what it gives.
    Images(Vec<usize>),
}

impl From<usize> for Ending {
    fn from(classes: usize) -> Self {
        Self::Classes(classes)
    }
}

/// A line of [`Plan::describe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerLine {
    /// The layer's name, under which its parameters are saved.
    pub name: String,
    /// What it is: "conv 32, 9x9".
    pub layer: String,
    /// What it gives for one image: "32 x 20 x 20".
    pub output: String,
    /// The number of its own parameters.
    pub parameters: usize,
}

/// A layer whose shapes are known.
#[derive(Debug, Clone)]
pub(crate) struct PlannedLayer {
    pub(crate) name: String,
    pub(crate) at: KeyPath,
    /// The shape for one image: channels and size, or a length.
    pub(crate) output: Vec<usize>,
    pub(crate) operation: Operation,
}

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Conv {
        filters: usize,
        channels: usize,
        kernel: (usize, usize),
        window: Window2d,
        rectified: bool,
        bias: bool,
    },
    MaxPool(Pool2d),
    AvgPool(Pool2d),
    Project {
        axis: VolumeAxis,
        projection: Projection,
    },
    Linear {
        inputs: usize,
        units: usize,
        start: Start,
        takes_theta: bool,
        bias: bool,
    },
    Relu,
    BatchNorm {
        channels: usize,
        momentum: f64,
        epsilon: f64,
    },
    Dropout {
        rate: f64,
        channels: bool,
    },
    Softmax,
    /// A softmax at the end: the loss computes it.
    LossSoftmax,
    Transformers(PlannedTransformers),
    Branches(Vec<Vec<PlannedLayer>>),
}

/// How a fully connected layer starts.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// Drawn; `rectified` where a ReLU follows.
    Drawn { rectified: bool },
    /// Weights zero and this bias: the layer that predicts theta.
    Theta { bias: Vec<f64> },
}

#[derive(Debug, Clone)]
pub(crate) struct PlannedTransformers {
    /// One for each transformer, or one that predicts every theta, one after another.
    pub(crate) localisers: Vec<Vec<PlannedLayer>>,
    pub(crate) transformers: Vec<PlannedTransformer>,
    pub(crate) lr_factor: f64,
    pub(crate) feed_theta: bool,
    /// What each transformer's output goes through; nothing, or a list for each.
    pub(crate) each: Vec<Vec<PlannedLayer>>,
    /// The numbers that the transformers give for one image, together.
    pub(crate) sampled: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct PlannedTransformer {
    pub(crate) name: String,
    pub(crate) transformation: Arc<dyn Transformation>,
    pub(crate) kernel: Arc<dyn Sampling>,
    pub(crate) boundary: Boundary,
    pub(crate) target: TargetGrid,
    /// Where it is applied more than once.
    pub(crate) sequence: Option<PlannedSequence>,
    /// Between which numbers each number of theta stays.
    pub(crate) bounds: Option<Vec<[f64; 2]>>,
    /// The standard deviation of the noise on each number of theta in training.
    pub(crate) noise: Option<Vec<f64>>,
    /// As it was written: "tps(points=5), bilinear, zeros".
    pub(crate) label: String,
}

/// A transformer applied again and again, its warps composed.
#[derive(Debug, Clone)]
pub(crate) struct PlannedSequence {
    /// 2 or more.
    pub(crate) steps: usize,
    /// The warp before the first step; the identity where there is none.
    pub(crate) start: Option<Vec<f64>>,
    /// The pixels that the localisation network sees: as many as the input has.
    pub(crate) view: TargetGrid,
}

impl PlannedTransformers {
    /// The numbers that there are for one image besides the layer's output: those of localisation networks and of the views that they are given in further steps, those of the
    /// lists behind the transformers and what goes into them.
    fn outputs(&self) -> usize {
        let pixels = self.transformers.iter().map(|transformer| transformer.target.pixels()).fold(0, usize::saturating_add);
        let channels = self.sampled / pixels.max(1);
        let localised = |(i, localiser): (usize, &Vec<PlannedLayer>)| match self.transformers.get(i).and_then(|transformer| transformer.sequence.as_ref()) {
            Some(PlannedSequence { steps, view, .. }) => outputs(localiser).saturating_add(channels.saturating_mul(view.pixels())).saturating_mul(*steps),
            None => outputs(localiser),
        };
        let sampled = if self.each.is_empty() { 0 } else { self.sampled };
        let behind = self.each.iter().map(|list| outputs(list));
        self.localisers.iter().enumerate().map(localised).chain(behind).fold(sampled, usize::saturating_add)
    }
}

impl Plan {
    /// Settles a layer list for images of `input`, `[C, H, W]` (or volumes, `[C, D, H, W]`); `ending` is the number of classes, or the images that it ends in.
    ///
    /// # Errors
    ///
    /// Every layer that does not fit, every unknown plugin, a budget that no width meets; each at its path from the model's table.
    pub fn new(spec: &NetworkSpec, input: impl Into<Vec<usize>>, ending: impl Into<Ending>, registry: &Registry) -> Result<Self, Vec<Fault>> {
        let (input, ending) = (input.into(), ending.into());
        if !(3..=4).contains(&input.len()) || input.contains(&0) || ending == Ending::Classes(0) {
            let end = match &ending {
                Ending::Classes(classes) => format!("{classes} classes"),
                Ending::Images(images) => format!("images of {}", shape(images)),
            };
            let message = format!("a network goes from images C x H x W to at least one class or to images, not from {} to {end}", shape(&input));
            return Err(vec![KeyPath::default().fault(message)]);
        }
        let infer = |width: usize| inference::infer(spec, &input, &ending, width, registry);
        let first = infer(1)?;
        let width = width::solve(spec, |width| infer(width).map(|layers| count(&layers)))?;
        let layers = match width {
            Some(width) => infer(width)?,
            None => first,
        };
        let mut faults = too_large(&layers);
        faults.extend(spec.weights.as_ref().and_then(|weights| weights.misfits(&saved(&layers))));
        if faults.is_empty() { Ok(Self { input, ending, layers, init: spec.init, width, weights: spec.weights.clone() }) } else { Err(faults) }
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        count(&self.layers)
    }

    /// The numbers that the image and all layers' outputs are together, for one image.
    pub fn outputs(&self) -> usize {
        self.input.iter().product::<usize>().saturating_add(outputs(&self.layers))
    }

    /// What `"auto"` came to, where it is used.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// The file that the network starts from, where there is one.
    pub fn weights(&self) -> Option<&WeightsSpec> {
        self.weights.as_ref()
    }

    /// What keeps it from training on batches of so many images: batch normalisation needs more than one number a channel to take a variance of.
    pub fn misfit_of_batch(&self, batch: usize) -> Option<Fault> {
        let mut fault = None;
        each(&self.layers, &mut |layer| {
            let numbers = layer.output.iter().skip(1).product::<usize>().saturating_mul(batch);
            if matches!(layer.operation, Operation::BatchNorm { .. }) && numbers < 2 && fault.is_none() {
                let words = format!("batch normalisation of {} has one number a channel in a batch of one image, and no variance", shape(&layer.output));
                fault = Some(layer.at.fault(words).help("train with a batch of 2 or more"));
            }
        });
        fault
    }

    /// Whether it is nothing but one spatial transformer.
    pub fn is_one_transformer(&self) -> bool {
        matches!(self.layers.as_slice(), [PlannedLayer { operation: Operation::Transformers(layer), .. }] if layer.transformers.len() == 1)
    }

    /// The shape of one image, `[C, H, W]` or `[C, D, H, W]`.
    pub fn input(&self) -> &[usize] {
        &self.input
    }

    /// What it ends in.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// The shape of every parameter and running moment by the name under which it is saved.
    pub fn tensors(&self) -> BTreeMap<String, Vec<usize>> {
        saved(&self.layers)
    }

    /// The transformers whose sampling kernel has no code for graphics cards, and reads on the processor wherever the rest is computed.
    pub fn transformers_without_cuda(&self) -> Vec<String> {
        let mut names = Vec::new();
        each(&self.layers, &mut |layer| {
            let Operation::Transformers(transformers) = &layer.operation else { return };
            let without = transformers.transformers.iter().filter(|transformer| transformer.kernel.cuda_source().is_none());
            names.extend(without.map(|transformer| format!("{} ({})", transformer.name, transformer.label)));
        });
        names
    }

    /// A line a layer, in the order of computation: the layers of a localisation network stand before their transformer.
    pub fn describe(&self) -> Vec<LayerLine> {
        let mut lines = Vec::new();
        each(&self.layers, &mut |layer| {
            let (layer_text, parameters) = (layer.operation.label(), layer.operation.own_parameters());
            lines.push(LayerLine { name: layer.name.clone(), layer: layer_text, output: shape(&layer.output), parameters });
        });
        lines
    }
}

/// Visits every layer in the order of computation.
fn each<'a>(layers: &'a [PlannedLayer], visit: &mut impl FnMut(&'a PlannedLayer)) {
    for layer in layers {
        match &layer.operation {
            Operation::Transformers(transformers) => transformers.localisers.iter().chain(&transformers.each).for_each(|list| each(list, visit)),
            Operation::Branches(lists) => lists.iter().for_each(|list| each(list, visit)),
            _ => {}
        }
        visit(layer);
    }
}

/// The numbers of all outputs of a list for one image.
fn outputs(layers: &[PlannedLayer]) -> usize {
    layers.iter().fold(0, |total, layer| {
        let inside = match &layer.operation {
            Operation::Transformers(transformers) => transformers.outputs(),
            Operation::Branches(lists) => lists.iter().map(|list| outputs(list)).fold(0, usize::saturating_add),
            _ => 0,
        };
        total.saturating_add(layer.output.iter().product()).saturating_add(inside)
    })
}

fn count(layers: &[PlannedLayer]) -> usize {
    let mut total = 0_usize;
    each(layers, &mut |layer| total = total.saturating_add(layer.operation.own_parameters()));
    total
}

/// The shape of everything that is saved, by name.
fn saved(layers: &[PlannedLayer]) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    each(layers, &mut |layer| {
        let mut put = |kind: &str, dims: &[usize]| drop(shapes.insert(format!("{}.{kind}", layer.name), dims.to_vec()));
        let (weight, bias, output) = match &layer.operation {
            Operation::Conv { filters, channels, kernel, bias, .. } => (vec![*filters, *channels, kernel.0, kernel.1], *bias, *filters),
            Operation::Linear { inputs, units, bias, .. } => (vec![*units, *inputs], *bias, *units),
            Operation::BatchNorm { channels, .. } => {
                put("running_mean", &[*channels]);
                put("running_var", &[*channels]);
                (vec![*channels], true, *channels)
            }
            _ => return,
        };
        put("weight", &weight);
        if bias {
            put("bias", &[output]);
        }
    });
    shapes
}

fn too_large(layers: &[PlannedLayer]) -> Vec<Fault> {
    let mut faults = Vec::new();
    each(layers, &mut |layer| {
        let numbers = layer.output.iter().fold(1_usize, |product, side| product.saturating_mul(*side));
        if numbers > MOST {
            faults.push(layer.at.fault(format!("this layer gives {} for one image, more than {MOST} numbers", shape(&layer.output))));
        } else if layer.operation.own_parameters() > MOST {
            faults.push(layer.at.fault(format!("this layer has {} parameters, more than {MOST}", layer.operation.own_parameters())));
        }
    });
    if faults.is_empty() && count(layers) > MOST {
        faults.push(KeyPath::default().key("layers").fault(format!("this network has {} parameters, more than {MOST}", count(layers))));
    }
    faults
}

/// "20 x 6 x 6".
pub(crate) fn shape(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}

impl Operation {
    /// The number of parameters, those of localisation networks not counted.
    fn own_parameters(&self) -> usize {
        let product = |factors: &[usize]| factors.iter().fold(1_usize, |product, factor| product.saturating_mul(*factor));
        match self {
            Self::Conv { filters, channels, kernel, bias, .. } => {
                product(&[*filters, *channels, kernel.0, kernel.1]).saturating_add(if *bias { *filters } else { 0 })
            }
            Self::Linear { inputs, units, bias, .. } => product(&[*inputs, *units]).saturating_add(if *bias { *units } else { 0 }),
            Self::BatchNorm { channels, .. } => 2 * channels,
            _ => 0,
        }
    }

    fn label(&self) -> String {
        let window = |stride: (usize, usize), padding: (usize, usize), usual: (usize, usize)| {
            let stride = if stride == usual { String::new() } else { format!(", stride {}", sides(stride)) };
            let padding = if padding == (0, 0) { String::new() } else { format!(", padding {}", sides(padding)) };
            stride + &padding
        };
        let pool = |kind: &str, pool: &Pool2d| {
            let rounding = if pool.rounding == stn_ops::Rounding::Up { ", rounding up" } else { "" };
            format!("{kind} {}{}{rounding}", sides(pool.kernel), window(pool.stride, pool.padding, pool.kernel))
        };
        match self {
            Self::Conv { filters, kernel, window: w, .. } => format!("conv {filters}, {}{}", sides(*kernel), window(w.stride, w.padding, (1, 1))),
            Self::MaxPool(p) => pool("max", p),
            Self::AvgPool(p) => pool("avg", p),
            Self::Project { axis, projection } => format!("{projection:?} along {axis:?}").to_lowercase(),
            Self::Linear { units, start: Start::Theta { .. }, .. } => format!("fc {units}, theta"),
            Self::Linear { units, takes_theta: true, .. } => format!("fc {units}, fed theta"),
            Self::Linear { units, .. } => format!("fc {units}"),
            Self::Relu => "relu".into(),
            Self::BatchNorm { .. } => "batch norm".into(),
            Self::Branches(lists) => format!("{} branches", lists.len()),
            Self::Dropout { rate, channels: true } => format!("dropout {rate}, channels"),
            Self::Dropout { rate, .. } => format!("dropout {rate}"),
            Self::Softmax => "softmax".into(),
            Self::LossSoftmax => "softmax, in the loss".into(),
            Self::Transformers(t) => t.transformers.iter().map(|t| t.label.clone()).collect::<Vec<_>>().join(" | "),
        }
    }
}

/// "9x9".
pub(crate) fn sides((h, w): (usize, usize)) -> String {
    format!("{h}x{w}")
}
