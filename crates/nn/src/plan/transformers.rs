//! Spatial transformers: plugins, output sizes, localisation networks.

use std::sync::Arc;

use stn_core::{Error, Fault, PluginSpec, Sampling, TargetGrid, Transformation};

use super::inference::{Inference, Last};
use super::{PlannedSequence, PlannedTransformer, PlannedTransformers, shape};
use crate::reading::KeyPath;
use crate::spec::{LayerKind, LayerSpec, LocaliserSpec, PluginAt, TransformerSpec, TransformersSpec};

impl Inference<'_> {
    /// Keeps every mistake in the plugins of a list, so that they are shown even where an earlier layer does not fit.
    pub(super) fn plugins(&mut self, layers: &[LayerSpec]) {
        for layer in layers {
            let spec = match &layer.kind {
                LayerKind::Transformers(spec) => spec,
                LayerKind::Branches(lists) => {
                    lists.iter().for_each(|list| self.plugins(list));
                    continue;
                }
                _ => continue,
            };
            for transformer in &spec.transformers {
                let made = [
                    self.registry.transformation(&transformer.transform.spec).err().map(|error| faults(error, &transformer.transform)),
                    self.registry.kernel(&transformer.kernel.spec).err().map(|error| faults(error, &transformer.kernel)),
                ];
                for fault in made.into_iter().flatten().flatten() {
                    self.fail::<()>(fault);
                }
            }
            match &spec.localisers {
                LocaliserSpec::Each(localisers) => localisers.iter().for_each(|localiser| self.plugins(localiser)),
                LocaliserSpec::Shared(localiser) => self.plugins(localiser),
            }
            spec.each.iter().for_each(|list| self.plugins(list));
        }
    }

    /// The transformers of one layer and the shape they give; `None` where that cannot be known.
    pub(super) fn transformers(&mut self, spec: &TransformersSpec, name: &str, input: &[usize], at: &KeyPath) -> Option<(PlannedTransformers, Vec<usize>)> {
        if input.len() < 3 {
            let fault = at.fault(format!("a spatial transformer takes an image, the input here is a vector of {}", shape(input)));
            return self.fail(fault.help("put it in front of the first fc layer"));
        }
        let count = spec.transformers.len();
        let planned: Vec<_> = spec
            .transformers
            .iter()
            .enumerate()
            .map(|(i, transformer)| self.transformer(transformer, if spec.parallel { format!("{name}.{}", i + 1) } else { name.to_owned() }, input))
            .collect();
        let mut transformers = planned.into_iter().collect::<Option<Vec<_>>>()?;
        let sampled = transformers.iter().map(|t| input[0].saturating_mul(t.target.size().iter().product())).fold(0, usize::saturating_add);
        let (each, output) = match &spec.each {
            Some(list) => self.each(list, &transformers, input, at).map_or((Vec::new(), None), |(each, output)| (each, Some(output))),
            None => (Vec::new(), self.joined(spec, &transformers, input, at)),
        };
        let starts: Vec<_> = transformers.iter_mut().enumerate().map(|(i, t)| self.start(t, i, count, &spec.transformers[i])).collect();
        // A mistake in a localisation network is kept and does not hide those of the next layers: the output's shape is known all the same.
        let localisers = starts.into_iter().collect::<Option<Vec<_>>>().and_then(|starts| self.localisers(spec, starts, name, input, at)).unwrap_or_default();
        Some((PlannedTransformers { localisers, transformers, lr_factor: spec.lr_factor, feed_theta: spec.feed_theta, each, sampled }, output?))
    }

    /// A layer list for every transformer's output, and the shape of the results joined along channels.
    fn each(
        &mut self,
        list: &[LayerSpec],
        transformers: &[PlannedTransformer],
        input: &[usize],
        at: &KeyPath,
    ) -> Option<(Vec<Vec<super::PlannedLayer>>, Vec<usize>)> {
        let mut plan_one = |transformer: &PlannedTransformer| {
            let image = [&input[..1], transformer.target.size()].concat();
            let (layer, number) = transformer.name.rsplit_once('.').unwrap_or((&transformer.name, "1"));
            self.list(list, &image, &format!("{layer}.each{number}."), Last::Part)
        };
        let planned: Vec<_> = transformers.iter().map(&mut plan_one).collect();
        let planned = planned.into_iter().collect::<Option<Vec<_>>>()?;
        let output = self.side_by_side(&planned, |i| (at.key("each"), format!("`each` for transformer {}", i + 1)))?;
        Some((planned, output))
    }

    fn transformer(&mut self, spec: &TransformerSpec, name: String, input: &[usize]) -> Option<PlannedTransformer> {
        let axes = input.len() - 1;
        // Mistakes in plugins have been kept already.
        let transformation: Arc<dyn Transformation> = self.registry.transformation(&spec.transform.spec).ok()?;
        let kernel: Arc<dyn Sampling> = self.registry.kernel(&spec.kernel.spec).ok()?;
        if transformation.dims() != axes {
            let works_on = if transformation.dims() == 2 { "images (C x H x W)" } else { "volumes (C x D x H x W)" };
            return self.fail(spec.transform.name_at.fault(format!("`{}` works on {works_on}, the input here is {}", spec.transform.spec.kind, shape(input))));
        }
        let size = match &spec.output {
            Some((size, at)) if size.len() != axes => {
                return self.fail(at.fault(format!("an output of {} does not fit an input of {}: it needs {axes} sides", shape(size), shape(input))));
            }
            Some((size, _)) => size.clone(),
            None => input.get(1..).unwrap_or_default().to_vec(),
        };
        let target = match TargetGrid::new(size, spec.align_corners) {
            Ok(target) => target,
            Err(error) => return self.fail(spec.at.fault(error.to_string())),
        };
        let sequence = match &spec.steps {
            Some((steps, at)) => Some(self.sequence(*steps, &*transformation, &spec.transform.spec, TargetGrid::new(&input[1..], spec.align_corners), at)?),
            None => None,
        };
        let (bounds, noise) = (self.of_theta(&spec.bounds, spec, &*transformation)?, self.of_theta(&spec.noise, spec, &*transformation)?);
        let steps = sequence.as_ref().map(|sequence| format!(", {} steps", sequence.steps)).unwrap_or_default();
        let bounded = if bounds.is_some() { ", bounded" } else { "" };
        let label = format!("{}, {}, {}{steps}{bounded}", spec.transform.spec, spec.kernel.spec, spec.boundary.name());
        Some(PlannedTransformer { name, transformation, kernel, boundary: spec.boundary, target, sequence, bounds, noise, label })
    }

    /// Whether a list at `at` has a value for each number of theta; `None` and a mistake where it has not.
    fn as_many_as_theta(&mut self, found: usize, at: &KeyPath, spec: &TransformerSpec, transformation: &dyn Transformation) -> Option<()> {
        let names = transformation.theta_names();
        if found != names.len() {
            let message = format!("theta of `{}` has {} numbers ({}), found {found}", spec.transform.spec.kind, names.len(), names.join(", "));
            return self.fail(at.fault(message));
        }
        Some(())
    }

    /// What a table gives for each number of theta; `None` where that is a mistake.
    #[expect(clippy::option_option, reason = "not given is no mistake")]
    fn of_theta<T: Clone>(&mut self, given: &Option<(Vec<T>, KeyPath)>, spec: &TransformerSpec, transformation: &dyn Transformation) -> Option<Option<Vec<T>>> {
        let Some((values, at)) = given else { return Some(None) };
        self.as_many_as_theta(values.len(), at, spec, transformation)?;
        if spec.steps.is_some() {
            return self.fail(at.fault("a theta that is composed of several steps can have neither `bounds` nor `noise`").help("leave it out, or `steps`"));
        }
        Some(Some(values.clone()))
    }

    /// Several steps of a transformation whose warps compose.
    fn sequence(
        &mut self,
        steps: usize,
        transformation: &dyn Transformation,
        plugin: &PluginSpec,
        view: stn_core::Result<TargetGrid>,
        at: &KeyPath,
    ) -> Option<PlannedSequence> {
        if transformation.composition().is_none() {
            let composes = |kind: &&str| {
                let made = self.registry.transformation(&PluginSpec::named(*kind));
                made.is_ok_and(|other| other.dims() == transformation.dims() && other.composition().is_some())
            };
            let composing: Vec<&str> = self.registry.transformations().map(|doc| doc.name.as_str()).filter(composes).collect();
            let fault = at.fault(format!("two warps of `{plugin}` do not compose to a third, so it cannot be applied in {steps} steps"));
            return self.fail(fault.help(format!("leave `steps` out, or choose a transformation whose warps compose: {}", composing.join(", "))));
        }
        match view {
            Ok(view) => Some(PlannedSequence { steps, start: None, view }),
            Err(error) => self.fail(at.fault(error.to_string())),
        }
    }

    /// The outputs joined along channels.
    fn joined(&mut self, spec: &TransformersSpec, transformers: &[PlannedTransformer], input: &[usize], at: &KeyPath) -> Option<Vec<usize>> {
        let size = transformers.first()?.target.size();
        for (other, other_spec) in transformers.iter().zip(&spec.transformers) {
            if other.target.size() != size {
                let at = other_spec.output.as_ref().map_or(&other_spec.at, |(_, at)| at);
                let message = format!("an output of {} cannot be joined to one of {}", shape(other.target.size()), shape(size));
                return self.fail(at.fault(message).help("give every transformer of one layer the same output"));
            }
        }
        let Some(channels) = input.first().and_then(|channels| channels.checked_mul(transformers.len())) else {
            return self.fail(at.fault("too many channels"));
        };
        Some([&[channels], size].concat())
    }

    /// What the localisation network predicts at first: where the warp starts. In several steps the warp starts there by itself, and the network predicts increments, which start
    /// at the identity.
    fn start(&mut self, transformer: &mut PlannedTransformer, i: usize, count: usize, spec: &TransformerSpec) -> Option<Vec<f64>> {
        let (start, identity) = (self.first_warp(transformer, i, count, spec)?, transformer.transformation.identity());
        if let Some(bounds) = &transformer.bounds {
            return self.before_bounds(&start, bounds, spec);
        }
        let Some(sequence) = &mut transformer.sequence else { return Some(start) };
        sequence.start = Some(start).filter(|start| *start != identity);
        Some(identity)
    }

    /// What is to be predicted for theta to be `start` behind its bounds.
    fn before_bounds(&mut self, start: &[f64], bounds: &[[f64; 2]], spec: &TransformerSpec) -> Option<Vec<f64>> {
        if start.iter().zip(bounds).any(|(start, [least, most])| !(least < start && start < most)) {
            let at = spec.start.as_ref().map(|(_, at)| at).or(spec.bounds.as_ref().map(|(_, at)| at)).unwrap_or(&spec.at);
            let fault = at.fault(format!("theta starts at {start:?}, which is not between its bounds {bounds:?}"));
            return self.fail(fault.help("give a `start` between the bounds, or wider bounds"));
        }
        Some(start.iter().zip(bounds).map(|(start, [least, most])| ((2.0 * start - least - most) / (most - least)).atanh()).collect())
    }

    /// Where the warp starts: where its table says, else at the identity, or for one of several parallel transformers at its tile.
    fn first_warp(&mut self, transformer: &PlannedTransformer, i: usize, count: usize, spec: &TransformerSpec) -> Option<Vec<f64>> {
        if let Some((start, at)) = &spec.start {
            self.as_many_as_theta(start.len(), at, spec, &*transformer.transformation)?;
            return Some(start.clone());
        }
        if count == 1 {
            return Some(transformer.transformation.identity());
        }
        let tile = transformer.transformation.tiles(count).map(|tiles| tiles.into_iter().nth(i));
        let length = transformer.transformation.theta_len();
        match tile {
            Ok(Some(tile)) if tile.len() == length => Some(tile),
            Ok(_) => self.fail(spec.transform.at.fault(format!("`{}` has no starting place for transformer {} of {count}", spec.transform.spec.kind, i + 1))),
            Err(error) => self.fail(spec.transform.at.fault(error.to_string())),
        }
    }

    fn localisers(
        &mut self,
        spec: &TransformersSpec,
        starts: Vec<Vec<f64>>,
        name: &str,
        input: &[usize],
        at: &KeyPath,
    ) -> Option<Vec<Vec<super::PlannedLayer>>> {
        match &spec.localisers {
            LocaliserSpec::Shared(layers) => {
                let prefix = format!("{name}.localiser.");
                Some(vec![self.list(layers, input, &prefix, Last::Theta(starts.concat(), &at.key("shared_localiser")))?])
            }
            LocaliserSpec::Each(lists) => {
                let mut plan_one = |(i, (layers, start)): (usize, (&Vec<LayerSpec>, Vec<f64>))| {
                    let number = if spec.parallel { (i + 1).to_string() } else { String::new() };
                    self.list(layers, input, &format!("{name}.localiser{number}."), Last::Theta(start, at))
                };
                let planned: Vec<_> = lists.iter().zip(starts).enumerate().map(&mut plan_one).collect();
                planned.into_iter().collect()
            }
        }
    }
}

/// A registry's error as mistakes in the file.
fn faults(error: Error, plugin: &PluginAt) -> Vec<Fault> {
    match error {
        Error::UnknownPlugin { what, name, known, .. } if name == plugin.spec.kind => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            vec![plugin.name_at.unknown(what, &name, &known)]
        }
        Error::Parameters { faults, .. } => faults.into_iter().map(|fault| plugin.at.above(fault)).collect(),
        other => vec![plugin.at.fault(other.to_string())],
    }
}
