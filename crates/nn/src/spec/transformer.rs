//! Spatial transformers in a layer list, single and parallel.

use stn_core::{Boundary, PluginSpec};
use toml::{Table, Value};

use super::{LayerSpec, layer};
use crate::reading::{KeyPath, Reader};

/// One transformer, or several side by side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TransformersSpec {
    /// Written as `parallel_st`.
    pub(crate) parallel: bool,
    pub(crate) transformers: Vec<TransformerSpec>,
    pub(crate) localisers: LocaliserSpec,
    /// On the learning rate of every parameter of the localisation networks.
    pub(crate) lr_factor: f64,
    /// Whether theta joins the input of the next fully connected layer.
    pub(crate) feed_theta: bool,
    /// Layers that every transformer's output goes through, with weights of its own.
    pub(crate) each: Option<Vec<LayerSpec>>,
}

/// One localisation network for each transformer, or one for all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LocaliserSpec {
    Each(Vec<Vec<LayerSpec>>),
    Shared(Vec<LayerSpec>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TransformerSpec {
    pub(crate) at: KeyPath,
    pub(crate) transform: PluginAt,
    pub(crate) kernel: PluginAt,
    pub(crate) boundary: Boundary,
    pub(crate) align_corners: bool,
    /// Where theta starts; at the identity or its tile where not given.
    pub(crate) start: Option<(Vec<f64>, KeyPath)>,
    /// The output's size without channels; the input's where not given.
    pub(crate) output: Option<(Vec<usize>, KeyPath)>,
    /// How often it is applied, its warps composed, where it is more than once.
    pub(crate) steps: Option<(usize, KeyPath)>,
    /// Between which numbers each number of theta stays, where it is kept between any.
    pub(crate) bounds: Option<(Vec<[f64; 2]>, KeyPath)>,
    /// The standard deviation of what is added to each number of theta in training, where anything is.
    pub(crate) noise: Option<(Vec<f64>, KeyPath)>,
}

/// A plugin and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PluginAt {
    pub(crate) spec: PluginSpec,
    pub(crate) at: KeyPath,
    /// Where its name is written.
    pub(crate) name_at: KeyPath,
}

/// The keys of one transformer.
const ONE: [&str; 10] = ["transform", "kernel", "boundary", "align_corners", "output", "start", "localiser", "steps", "bounds", "noise"];
/// The keys of the whole layer.
const LAYER: [&str; 2] = ["lr_factor", "feed_theta"];
/// The keys of parallel transformers.
const PARALLEL: [&str; 4] = ["transformers", "count", "shared_localiser", "each"];

const BOUNDARIES: [(&str, Boundary); 3] = [("zeros", Boundary::Zeros), ("border", Boundary::Border), ("reflection", Boundary::Reflection)];

/// The longest side of an output, and the most pixels.
const LONGEST: usize = 8192;
const MOST_PIXELS: usize = 1 << 26;

/// The most parallel transformers.
const MOST_TRANSFORMERS: usize = 1024;

/// The most steps of one transformer.
const MOST_STEPS: usize = 64;

/// A table and its path.
#[derive(Clone, Copy)]
struct Section<'a> {
    table: &'a Table,
    at: &'a KeyPath,
}

impl<'a> Section<'a> {
    fn get(&self, key: &str) -> Option<(&'a Value, KeyPath)> {
        self.table.get(key).map(|value| (value, self.at.key(key)))
    }
}

pub(crate) fn read_single(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<TransformersSpec> {
    let table = reader.table(value, &[&ONE[..], &LAYER[..]].concat(), at)?;
    let section = Section { table, at };
    let transformer = transformer(reader, &[section]);
    let localiser = localiser(reader, &[section]);
    let (lr_factor, feed_theta) = layer_keys(reader, section);
    Some(TransformersSpec {
        parallel: false,
        transformers: vec![transformer?],
        localisers: LocaliserSpec::Each(vec![localiser?]),
        lr_factor: lr_factor?,
        feed_theta: feed_theta?,
        each: None,
    })
}

pub(crate) fn read_parallel(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<TransformersSpec> {
    let table = reader.table(value, &[&PARALLEL[..], &ONE[..], &LAYER[..]].concat(), at)?;
    let section = Section { table, at };
    let listed = match (section.get("transformers"), section.get("count")) {
        (Some((list, at)), None) => listed(reader, list, &at),
        (None, Some((count, at))) => reader.integer(count, 1..=MOST_TRANSFORMERS, &at).map(|n| vec![None; n]),
        (Some(_), Some((_, at))) => {
            reader.fail(at.fault("`transformers` and `count` cannot stand together").help("list every transformer, or give a count with one `transform`"))
        }
        (None, None) => reader.fail(
            at.fault("parallel transformers need `transformers` or a `count`").help("write count = 2, or transformers = [{ transform = \"affine\" }, ..]"),
        ),
    };
    let (lr_factor, feed_theta) = layer_keys(reader, section);
    let listed = listed?;
    // What a transformer does not say itself, the layer says for all.
    let sections: Vec<Vec<Section>> = listed.iter().map(|own| own.iter().map(|(table, at)| Section { table, at }).chain([section]).collect()).collect();
    let transformers = every(reader, &sections, transformer);
    let localisers = match section.get("shared_localiser") {
        Some((list, at)) => shared(reader, list, &at, &sections, transformers.as_deref().unwrap_or_default()),
        None => every(reader, &sections, localiser).map(LocaliserSpec::Each),
    };
    let each = section.get("each").map_or(Some(None), |(list, at)| layer::read_list(reader, list, &at).map(Some));
    Some(TransformersSpec { parallel: true, transformers: transformers?, localisers: localisers?, lr_factor: lr_factor?, feed_theta: feed_theta?, each: each? })
}

type Own<'a> = Option<(&'a Table, KeyPath)>;

fn listed<'a>(reader: &mut Reader, list: &'a Value, at: &KeyPath) -> Option<Vec<Own<'a>>> {
    let Some(items) = list.as_array() else { return reader.expected("an array of tables", list, at) };
    if items.is_empty() {
        return reader.fail(at.fault("this list has no transformers"));
    }
    if items.len() > MOST_TRANSFORMERS {
        return reader.fail(at.fault(format!("at most {MOST_TRANSFORMERS} transformers can stand side by side, found {}", items.len())));
    }
    let tables: Vec<_> = items.iter().enumerate().map(|(i, item)| reader.table(item, &ONE, &at.key(i)).map(|table| Some((table, at.key(i))))).collect();
    tables.into_iter().collect()
}

/// Reads one thing for every transformer.
fn every<T>(reader: &mut Reader, sections: &[Vec<Section>], read: impl Fn(&mut Reader, &[Section]) -> Option<T>) -> Option<Vec<T>> {
    let all: Vec<_> = sections.iter().map(|own| read(reader, own)).collect();
    all.into_iter().collect()
}

fn shared(reader: &mut Reader, list: &Value, at: &KeyPath, sections: &[Vec<Section>], transformers: &[TransformerSpec]) -> Option<LocaliserSpec> {
    let layers = layer::read_list(reader, list, at);
    if let Some((_, steps)) = transformers.iter().find_map(|transformer| transformer.steps.as_ref()) {
        let fault = steps.fault("in several steps every transformer sees the image through its own warp, so they cannot share a localisation network");
        return reader.fail(fault.help("write `localiser` instead of `shared_localiser`, or leave `steps` out"));
    }
    if let Some((_, own)) = sections.iter().find_map(|own| find(own, "localiser")) {
        return reader.fail(own.fault("`localiser` and `shared_localiser` cannot stand together"));
    }
    layers.map(LocaliserSpec::Shared)
}

fn find<'a>(sections: &[Section<'a>], key: &str) -> Option<(&'a Value, KeyPath)> {
    sections.iter().find_map(|section| section.get(key))
}

/// One transformer; each key is looked up in the sections in turn.
fn transformer(reader: &mut Reader, sections: &[Section]) -> Option<TransformerSpec> {
    let at = sections.first()?.at.clone();
    let transform = match find(sections, "transform") {
        Some((value, at)) => plugin(reader, value, &at),
        None => reader.fail(at.fault("a spatial transformer needs a `transform`").help("write for example transform = \"affine\"")),
    };
    let kernel = match find(sections, "kernel") {
        Some((value, at)) => plugin(reader, value, &at),
        None => Some(PluginAt { spec: PluginSpec::named("bilinear"), at: at.clone(), name_at: at.clone() }),
    };
    let boundary = find(sections, "boundary").map_or(Some(Boundary::Zeros), |(value, at)| reader.choice(value, "boundary", &BOUNDARIES, &at));
    let align_corners = find(sections, "align_corners").map_or(Some(false), |(value, at)| reader.boolean(value, &at));
    let output = find(sections, "output").map_or(Some(None), |(value, at)| Some(Some((output(reader, value, &at)?, at))));
    let start = find(sections, "start").map_or(Some(None), |(value, at)| Some(Some((theta(reader, value, f64::is_finite, &at)?, at))));
    let bounds = find(sections, "bounds").map_or(Some(None), |(value, at)| Some(Some((bounds(reader, value, &at)?, at))));
    let positive = |deviation: f64| deviation.is_finite() && deviation >= 0.0;
    let noise = find(sections, "noise").map_or(Some(None), |(value, at)| Some(Some((theta(reader, value, positive, &at)?, at))));
    let steps = find(sections, "steps").map_or(Some(None), |(value, at)| Some(Some((reader.integer(value, 1..=MOST_STEPS, &at)?, at))));
    let steps = steps.map(|steps| steps.filter(|(steps, _)| *steps > 1));
    Some(TransformerSpec {
        at,
        transform: transform?,
        kernel: kernel?,
        boundary: boundary?,
        align_corners: align_corners?,
        start: start?,
        output: output?,
        steps: steps?,
        bounds: bounds?,
        noise: noise?,
    })
}

fn plugin(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<PluginAt> {
    match PluginSpec::from_value(value) {
        Ok(spec) => Some(PluginAt { spec, at: at.clone(), name_at: if value.is_table() { at.key("kind") } else { at.clone() } }),
        Err(fault) => reader.fail(at.above(fault)),
    }
}

/// A number for each of theta's.
fn theta(reader: &mut Reader, value: &Value, fits: fn(f64) -> bool, at: &KeyPath) -> Option<Vec<f64>> {
    let Some(items) = value.as_array() else { return reader.expected("an array of numbers, one for each of theta's", value, at) };
    let what = if fits(-1.0) { "a finite number" } else { "a finite number of 0 or more" };
    let numbers: Vec<_> = items.iter().enumerate().map(|(i, item)| reader.number(item, what, fits, &at.key(i))).collect();
    numbers.into_iter().collect()
}

fn bounds(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<Vec<[f64; 2]>> {
    let Some(items) = value.as_array() else { return reader.expected("an array of pairs [least, most], one for each number of theta", value, at) };
    let mut pair = |(i, item): (usize, &Value)| match theta(reader, item, f64::is_finite, &at.key(i))?.as_slice() {
        &[least, most] if least < most => Some([least, most]),
        _ => reader.expected("a pair [least, most], the first below the second", item, &at.key(i)),
    };
    let pairs: Vec<_> = items.iter().enumerate().map(&mut pair).collect();
    pairs.into_iter().collect()
}

fn output(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<Vec<usize>> {
    let Some(items) = value.as_array().filter(|items| (2..=3).contains(&items.len())) else {
        return reader.expected("a size [H, W] or [D, H, W]", value, at);
    };
    let sides: Vec<_> = items.iter().enumerate().map(|(i, item)| reader.integer(item, 1..=LONGEST, &at.key(i))).collect();
    let sides = sides.into_iter().collect::<Option<Vec<usize>>>()?;
    match sides.iter().try_fold(1_usize, |pixels, side| pixels.checked_mul(*side)) {
        Some(pixels) if pixels <= MOST_PIXELS => Some(sides),
        _ => reader.fail(at.fault(format!("an output has at most {MOST_PIXELS} pixels"))),
    }
}

fn localiser(reader: &mut Reader, sections: &[Section]) -> Option<Vec<LayerSpec>> {
    match find(sections, "localiser") {
        Some((value, at)) => layer::read_list(reader, value, &at),
        None => {
            let at = sections.first()?.at;
            reader.fail(at.fault("a spatial transformer needs a `localiser`").help("write a layer list, for example localiser = [{ fc = 32 }, \"relu\"]"))
        }
    }
}

fn layer_keys(reader: &mut Reader, section: Section) -> (Option<f64>, Option<bool>) {
    let positive = |factor: f64| factor >= 0.0 && factor.is_finite();
    let lr_factor = section.get("lr_factor").map_or(Some(1.0), |(value, at)| reader.number(value, "a number of 0 or more", positive, &at));
    let feed_theta = section.get("feed_theta").map_or(Some(false), |(value, at)| reader.boolean(value, &at));
    (lr_factor, feed_theta)
}
