//! Shapes, from the first layer to the last.

use std::collections::BTreeMap;

use stn_core::{Fault, Registry};
use stn_ops::{Pool2d, Rounding, VolumeAxis, Window2d, conv2d_output};

use super::{Ending, Operation, PlannedLayer, Start, shape, sides};
use crate::NetworkSpec;
use crate::reading::KeyPath;
use crate::spec::{LayerKind, LayerSpec, PoolKind, PoolWindow, Width};

/// Infers every layer with `width` for `"auto"`; or every mistake.
pub(super) fn infer(spec: &NetworkSpec, input: &[usize], ending: &Ending, width: usize, registry: &Registry) -> Result<Vec<PlannedLayer>, Vec<Fault>> {
    let mut inference = Inference { ending, width, registry, faults: Vec::new() };
    inference.plugins(&spec.layers);
    let layers = inference.list(&spec.layers, input, "", Last::Logits);
    match layers {
        Some(layers) if inference.faults.is_empty() => Ok(layers),
        _ => Err(inference.faults),
    }
}

pub(super) struct Inference<'a> {
    ending: &'a Ending,
    width: usize,
    pub(super) registry: &'a Registry,
    pub(super) faults: Vec<Fault>,
}

/// What a list ends in.
pub(super) enum Last<'a> {
    /// One number a class.
    Logits,
    /// Theta; its start and where the localisation network is written.
    Theta(Vec<f64>, &'a KeyPath),
    /// Anything: its output is joined with others.
    Part,
}

/// A list on its way: the shape so far, and what is known of it.
struct Flow<'a> {
    shape: Vec<usize>,
    prefix: &'a str,
    /// How many layers of each kind have been named.
    numbers: BTreeMap<&'static str, usize>,
    /// The length of every theta that waits for the next fully connected layer; one always follows, for only there do images end.
    waiting: usize,
}

impl Flow<'_> {
    fn name(&mut self, kind: &'static str) -> String {
        let number = self.numbers.entry(kind).or_default();
        *number += 1;
        format!("{}{kind}{number}", self.prefix)
    }
}

impl Inference<'_> {
    /// Keeps a mistake; one that was written once for several transformers, once.
    pub(super) fn fail<T>(&mut self, fault: Fault) -> Option<T> {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
        None
    }

    /// A list of layers whose names begin with `prefix`; `None` after a mistake has been kept.
    pub(super) fn list(&mut self, specs: &[LayerSpec], input: &[usize], prefix: &str, last: Last) -> Option<Vec<PlannedLayer>> {
        let mut flow = Flow { shape: input.to_vec(), prefix, numbers: BTreeMap::new(), waiting: 0 };
        let mut layers = Vec::with_capacity(specs.len() + 1);
        let (specs, theta_at) = match &last {
            Last::Theta(bias, at) => match specs.split_last() {
                Some((LayerSpec { kind: LayerKind::Fc { units: Width::Fixed(units) }, at }, others)) if *units == bias.len() => (others, Some(at)),
                _ => (specs, Some(*at)),
            },
            Last::Logits | Last::Part => (specs, None),
        };
        for (i, spec) in specs.iter().enumerate() {
            let rest = specs.get(i + 1..).unwrap_or_default();
            let is_logits = matches!(last, Last::Logits) && rest.is_empty();
            layers.push(self.layer(spec, rest, is_logits, &mut flow)?);
        }
        if matches!(last, Last::Part) {
            if let (true, Some(spec)) = (flow.waiting > 0, specs.last()) {
                let fault = spec.at.fault("theta is fed on, but no fc layer of this list takes it");
                return self.fail(fault.help("remove `feed_theta`, or put an fc layer behind the transformer"));
            }
        } else if let (Last::Theta(bias, _), Some(at)) = (last, theta_at) {
            let name = format!("{prefix}theta");
            layers.push(linear(name, at.clone(), bias.len(), Start::Theta { bias }, &mut flow));
        } else if let Some(fault) = self.misses_its_end(&flow.shape) {
            return self.fail(fault);
        }
        Some(layers)
    }

    fn misses_its_end(&self, end: &[usize]) -> Option<Fault> {
        let at = KeyPath::default().key("layers");
        match self.ending {
            Ending::Classes(classes) if end != [*classes] => {
                let fault = at.fault(format!("a network ends in {classes} numbers, one a class, not in {}", shape(end)));
                Some(fault.help("end the list with { fc = \"classes\" }"))
            }
            Ending::Images(images) if end != images => {
                let fault = at.fault(format!("this network is to end in images of {}, not in {}", shape(images), shape(end)));
                Some(fault.help(format!(
                    "end the list with a transformer whose output = [{}]",
                    images.iter().skip(1).map(ToString::to_string).collect::<Vec<_>>().join(", ")
                )))
            }
            _ => None,
        }
    }

    fn layer(&mut self, spec: &LayerSpec, rest: &[LayerSpec], is_logits: bool, flow: &mut Flow) -> Option<PlannedLayer> {
        let at = spec.at.clone();
        let (name, operation) = match &spec.kind {
            LayerKind::Conv { filters, kernel, stride, padding } => {
                let filters = self.units(*filters, &at)?;
                let operation = self.conv(filters, *kernel, Window2d { stride: *stride, padding: *padding }, rest, &at, flow)?;
                (flow.name("conv"), operation)
            }
            LayerKind::Pool { kind, window } => {
                let kind_name = if *kind == PoolKind::Max { "max" } else { "avg" };
                let pool = self.pool(kind_name, *window, &at, flow)?;
                (flow.name(kind_name), if *kind == PoolKind::Max { Operation::MaxPool(pool) } else { Operation::AvgPool(pool) })
            }
            LayerKind::Project { axis, projection } => {
                self.project(*axis, &at, flow)?;
                (flow.name("project"), Operation::Project { axis: *axis, projection: *projection })
            }
            LayerKind::Fc { units } => {
                let name = flow.name("fc");
                let mut layer = linear(name, at, self.units(*units, &spec.at)?, Start::Drawn { rectified: rectified(rest) }, flow);
                if let Operation::Linear { bias, .. } = &mut layer.operation {
                    *bias = !shifted(rest);
                }
                return Some(layer);
            }
            LayerKind::Relu => (flow.name("relu"), Operation::Relu),
            LayerKind::BatchNorm { momentum, epsilon } => {
                let channels = flow.shape.first().copied().unwrap_or(0);
                (flow.name("batch_norm"), Operation::BatchNorm { channels, momentum: *momentum, epsilon: *epsilon })
            }
            LayerKind::Branches(lists) => {
                let name = flow.name("branches");
                let planned: Vec<_> =
                    lists.iter().enumerate().map(|(i, list)| self.list(list, &flow.shape, &format!("{name}.branch{}.", i + 1), Last::Part)).collect();
                let planned = planned.into_iter().collect::<Option<Vec<_>>>()?;
                let what = |i: usize| (at.key(i), format!("branch {}", i + 1));
                flow.shape = self.side_by_side(&planned, what)?;
                (name, Operation::Branches(planned))
            }
            LayerKind::Dropout { rate, channels } => (flow.name("dropout"), Operation::Dropout { rate: *rate, channels: *channels }),
            LayerKind::Softmax if flow.shape.len() > 1 => {
                return self.fail(at.fault(format!("softmax takes a vector, the input here is {}", shape(&flow.shape))).help("put it behind an fc layer"));
            }
            LayerKind::Softmax => (flow.name("softmax"), if is_logits { Operation::LossSoftmax } else { Operation::Softmax }),
            LayerKind::Transformers(transformers) => {
                let name = flow.name(if transformers.parallel { "parallel_st" } else { "st" });
                let (planned, output) = self.transformers(transformers, &name, &flow.shape, &at)?;
                flow.shape = output;
                if transformers.feed_theta {
                    flow.waiting += planned.transformers.iter().map(|t| t.transformation.theta_len()).sum::<usize>();
                }
                (name, Operation::Transformers(planned))
            }
        };
        Some(PlannedLayer { name, at, output: flow.shape.clone(), operation })
    }

    fn units(&mut self, width: Width, at: &KeyPath) -> Option<usize> {
        match (width, self.ending) {
            (Width::Fixed(units), _) => Some(units),
            (Width::Auto, _) => Some(self.width),
            (Width::Classes, Ending::Classes(classes)) => Some(*classes),
            (Width::Classes, Ending::Images(_)) => self.fail(at.fault("this network ends in images: there are no classes").help("write a number")),
        }
    }

    fn conv(&mut self, filters: usize, kernel: (usize, usize), window: Window2d, rest: &[LayerSpec], at: &KeyPath, flow: &mut Flow) -> Option<Operation> {
        let (channels, size) = self.image("conv", &flow.shape, at)?;
        let Some((h, w)) = conv2d_output(size, kernel, &window) else {
            return self.misfit("conv", kernel, window.padding, &flow.shape, at);
        };
        flow.shape = vec![filters, h, w];
        Some(Operation::Conv { filters, channels, kernel, window, rectified: rectified(rest), bias: !shifted(rest) })
    }

    fn pool(&mut self, kind: &str, window: PoolWindow, at: &KeyPath, flow: &mut Flow) -> Option<Pool2d> {
        let (channels, size) = self.image(kind, &flow.shape, at)?;
        let pool = match window {
            PoolWindow::Sized(pool) => pool,
            PoolWindow::All => Pool2d { kernel: size, stride: size, padding: (0, 0), rounding: Rounding::Down },
        };
        let Some((h, w)) = pool.output(size) else {
            return self.misfit(kind, pool.kernel, pool.padding, &flow.shape, at);
        };
        flow.shape = vec![channels, h, w];
        Some(pool)
    }

    /// The shape of the outputs of lists side by side, joined along channels; `what` says where a list is written and what it is called.
    pub(super) fn side_by_side(&mut self, lists: &[Vec<PlannedLayer>], what: impl Fn(usize) -> (KeyPath, String)) -> Option<Vec<usize>> {
        let outputs: Vec<&[usize]> = lists.iter().filter_map(|list| list.last()).map(|layer| layer.output.as_slice()).collect();
        let (channels, size) = outputs.first()?.split_first()?;
        let mut total = *channels;
        for (i, output) in outputs.iter().enumerate().skip(1) {
            if output.get(1..) != Some(size) {
                let (at, name) = what(i);
                let fault = at.fault(format!("{name} gives {}, which cannot be joined to the {} of the first", shape(output), shape(outputs[0])));
                return self.fail(fault.help("only the number of channels may differ: set strides and paddings so that the other sides agree"));
            }
            total = total.saturating_add(output[0]);
        }
        Some([&[total], size].concat())
    }

    fn project(&mut self, axis: VolumeAxis, at: &KeyPath, flow: &mut Flow) -> Option<()> {
        let [channels, depth, height, width] = *flow.shape.as_slice() else {
            let fault = at.fault(format!("a projection takes a volume C x D x H x W, the input here is {}", shape(&flow.shape)));
            return self.fail(fault.help("leave it out: only a volume has an axis to spare"));
        };
        flow.shape = match axis {
            VolumeAxis::Depth => vec![channels, height, width],
            VolumeAxis::Height => vec![channels, depth, width],
            VolumeAxis::Width => vec![channels, depth, height],
        };
        Some(())
    }

    /// Channels and size, where the input is an image.
    fn image(&mut self, kind: &str, input: &[usize], at: &KeyPath) -> Option<(usize, (usize, usize))> {
        match input {
            [channels, h, w] => Some((*channels, (*h, *w))),
            [_] => self
                .fail(at.fault(format!("{kind} takes an image, the input here is a vector of {}", shape(input))).help("put it in front of the first fc layer")),
            _ => {
                let fault = at.fault(format!("{kind} takes an image, the input here is a volume of {}", shape(input)));
                self.fail(fault.help("put { project = \"max\" } in front of it, which makes an image of a volume"))
            }
        }
    }

    fn misfit<T>(&mut self, kind: &str, kernel: (usize, usize), padding: (usize, usize), input: &[usize], at: &KeyPath) -> Option<T> {
        let padded = if padding == (0, 0) { String::new() } else { format!(" with padding {}", sides(padding)) };
        let fault = at.fault(format!("{kind} kernel {} does not fit an input of {}{padded}", sides(kernel), shape(input)));
        self.fail(fault.help("use a smaller kernel, more padding, or rounding = \"up\" in the pooling before it"))
    }
}

/// A fully connected layer on everything before it and every theta that waits.
fn linear(name: String, at: KeyPath, units: usize, start: Start, flow: &mut Flow) -> PlannedLayer {
    let flat = flow.shape.iter().fold(1_usize, |product, side| product.saturating_mul(*side));
    let takes_theta = flow.waiting > 0;
    let inputs = flat.saturating_add(std::mem::take(&mut flow.waiting));
    flow.shape = vec![units];
    PlannedLayer { name, at, output: vec![units], operation: Operation::Linear { inputs, units, start, takes_theta, bias: true } }
}

/// Whether batch normalisation comes next, whose own bias is then the only one: it would take off any other with the mean.
fn shifted(rest: &[LayerSpec]) -> bool {
    matches!(rest.first(), Some(LayerSpec { kind: LayerKind::BatchNorm { .. }, .. }))
}

/// Whether a ReLU comes next, behind pooling, dropout and batch normalisation.
fn rectified(rest: &[LayerSpec]) -> bool {
    let next = rest.iter().find(|spec| !matches!(spec.kind, LayerKind::Pool { .. } | LayerKind::Dropout { .. } | LayerKind::BatchNorm { .. }));
    matches!(next.map(|spec| &spec.kind), Some(LayerKind::Relu))
}
