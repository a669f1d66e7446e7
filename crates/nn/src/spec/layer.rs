//! One layer of a list, and the list.

use stn_core::parameters::nearest;
use stn_ops::{Pool2d, Projection, Rounding, VolumeAxis};
use toml::Value;

use super::{LARGEST, TransformersSpec, transformer};
use crate::reading::{KeyPath, Reader};

/// A layer and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LayerSpec {
    pub(crate) kind: LayerKind,
    pub(crate) at: KeyPath,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LayerKind {
    Conv {
        filters: Width,
        kernel: (usize, usize),
        stride: (usize, usize),
        padding: (usize, usize),
    },
    Pool {
        kind: PoolKind,
        window: PoolWindow,
    },
    Project {
        axis: VolumeAxis,
        projection: Projection,
    },
    Fc {
        units: Width,
    },
    Relu,
    BatchNorm {
        momentum: f64,
        epsilon: f64,
    },
    Dropout {
        rate: f64,
        channels: bool,
    },
    Softmax,
    Transformers(TransformersSpec),
    /// Lists side by side on the same input, their outputs joined along channels.
    Branches(Vec<Vec<LayerSpec>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolKind {
    Max,
    Average,
}

/// The windows of a pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolWindow {
    Sized(Pool2d),
    /// One window, the whole image.
    All,
}

/// A number of filters or units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Fixed(usize),
    /// The one number that is solved for the parameter budget.
    Auto,
    Classes,
}

/// Every layer kind, those without arguments last.
const KINDS: [&str; 12] = ["conv", "max", "avg", "project", "fc", "dropout", "st", "parallel_st", "branches", "batch_norm", "relu", "softmax"];
const BARE: usize = 10;

const PROJECTIONS: [(&str, Projection); 3] = [("max", Projection::Max), ("mean", Projection::Mean), ("sum", Projection::Sum)];
const AXES: [(&str, VolumeAxis); 3] = [("depth", VolumeAxis::Depth), ("height", VolumeAxis::Height), ("width", VolumeAxis::Width)];

pub(crate) fn read_list(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<Vec<LayerSpec>> {
    let Some(items) = value.as_array() else { return reader.expected("an array of layers", value, at) };
    if items.is_empty() {
        return reader.fail(at.fault("this list has no layers"));
    }
    let layers: Vec<_> = items.iter().enumerate().map(|(i, item)| read(reader, item, &at.key(i))).collect();
    layers.into_iter().collect()
}

fn read(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<LayerSpec> {
    match value {
        Value::String(name) => read_bare(reader, name, at),
        Value::Table(table) => {
            let mut keys = table.iter();
            match (keys.next(), keys.next()) {
                (Some((name, arguments)), None) => read_with(reader, name, arguments, at),
                (first, _) => {
                    let found = if first.is_none() { "none".into() } else { table.keys().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ") };
                    reader.fail(
                        at.fault(format!("a layer is a table with one key, found {found}"))
                            .help("write { conv = [32, 9] }, { fc = 256 } ..., each in its own braces"),
                    )
                }
            }
        }
        other => reader.expected("a layer: a name or a table with one key", other, at),
    }
}

fn read_bare(reader: &mut Reader, name: &str, at: &KeyPath) -> Option<LayerSpec> {
    let kind = match name {
        "relu" => LayerKind::Relu,
        "softmax" => LayerKind::Softmax,
        "batch_norm" => BATCH_NORM,
        _ if KINDS.contains(&name) => {
            return reader.fail(at.fault(format!("`{name}` needs arguments")).help(example(name)));
        }
        _ => return reader.fail(at.unknown("layer", name, &KINDS)),
    };
    Some(LayerSpec { kind, at: at.clone() })
}

fn read_with(reader: &mut Reader, name: &str, arguments: &Value, at: &KeyPath) -> Option<LayerSpec> {
    let at = at.key(name);
    let kind = match name {
        "conv" => conv(reader, arguments, &at),
        "max" => pool(reader, PoolKind::Max, arguments, &at),
        "avg" => pool(reader, PoolKind::Average, arguments, &at),
        "project" => project(reader, arguments, &at),
        "fc" => fc(reader, arguments, &at),
        "dropout" => dropout(reader, arguments, &at),
        "st" => transformer::read_single(reader, arguments, &at).map(LayerKind::Transformers),
        "parallel_st" => transformer::read_parallel(reader, arguments, &at).map(LayerKind::Transformers),
        "branches" => branches(reader, arguments, &at),
        "batch_norm" => batch_norm(reader, arguments, &at),
        _ if KINDS[BARE..].contains(&name) => reader.fail(at.fault(format!("`{name}` takes no arguments")).help(format!("write \"{name}\""))),
        _ => reader.fail(at.unknown("layer", name, &KINDS)),
    }?;
    Some(LayerSpec { kind, at })
}

fn example(name: &str) -> &'static str {
    match name {
        "conv" => "write { conv = [32, 9] }: filters, kernel, then stride and padding where they are not 1 and 0",
        "max" => "write { max = 2 }",
        "avg" => "write { avg = 2 }",
        "project" => "write { project = \"max\" }, or { project = { by = \"sum\", along = \"height\" } }",
        "fc" => "write { fc = 256 }",
        "dropout" => "write { dropout = 0.5 }",
        "st" => "write { st = { transform = \"affine\", localiser = [{ fc = 32 }, \"relu\"] } }",
        "branches" => "write { branches = [[{ conv = [16, 1] }, \"relu\"], [{ conv = [16, 3, 1, 1] }, \"relu\"]] }",
        _ => "write { parallel_st = { count = 2, transform = \"affine\", localiser = [{ fc = 32 }, \"relu\"] } }",
    }
}

fn conv(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<LayerKind> {
    let keys = ["filters", "kernel", "stride", "padding"];
    let arguments = positional(reader, value, &keys, at)?;
    let filters = match arguments[0].as_ref() {
        Some((value, at)) => width(reader, value, "filters", false, at),
        None => reader.fail(at.fault("`conv` needs `filters`").help(example("conv"))),
    };
    let kernel = match arguments[1].as_ref() {
        Some((value, at)) => reader.pair(value, 1..=LARGEST, at),
        None => reader.fail(at.fault("`conv` needs a `kernel`").help(example("conv"))),
    };
    let stride = arguments[2].as_ref().map_or(Some((1, 1)), |(value, at)| reader.pair(value, 1..=LARGEST, at));
    let padding = arguments[3].as_ref().map_or(Some((0, 0)), |(value, at)| reader.pair(value, 0..=LARGEST, at));
    Some(LayerKind::Conv { filters: filters?, kernel: kernel?, stride: stride?, padding: padding? })
}

/// The arguments in the order of `keys`, from an array or a table, each with its path.
fn positional<'a, const N: usize>(reader: &mut Reader, value: &'a Value, keys: &[&str; N], at: &KeyPath) -> Option<[Option<(&'a Value, KeyPath)>; N]> {
    match value {
        Value::Array(items) if items.len() > N => reader.fail(at.fault(format!("expected at most {N} elements ({}), found {}", keys.join(", "), items.len()))),
        Value::Array(items) => Some(std::array::from_fn(|i| items.get(i).map(|item| (item, at.key(i))))),
        Value::Table(_) => {
            let table = reader.table(value, keys, at)?;
            Some(keys.map(|key| table.get(key).map(|item| (item, at.key(key)))))
        }
        other => reader.expected(&format!("[{}] or a table", keys.join(", ")), other, at),
    }
}

fn pool(reader: &mut Reader, kind: PoolKind, value: &Value, at: &KeyPath) -> Option<LayerKind> {
    let Value::Table(_) = value else {
        match value.as_str() {
            Some("all") => return Some(LayerKind::Pool { kind, window: PoolWindow::All }),
            Some(_) => return reader.expected("a number, [h, w] or \"all\"", value, at),
            None => {}
        }
        let kernel = reader.pair(value, 1..=LARGEST, at)?;
        let window = PoolWindow::Sized(Pool2d { kernel, stride: kernel, padding: (0, 0), rounding: Rounding::Down });
        return Some(LayerKind::Pool { kind, window });
    };
    let table = reader.table(value, &["kernel", "stride", "padding", "rounding"], at)?;
    let kernel = match table.get("kernel") {
        Some(kernel) => reader.pair(kernel, 1..=LARGEST, &at.key("kernel")),
        None => reader.fail(at.fault("pooling needs a `kernel`").help("write { kernel = 2 }")),
    };
    let stride = table.get("stride").map_or(kernel, |stride| reader.pair(stride, 1..=LARGEST, &at.key("stride")));
    let padding = table.get("padding").map_or(Some((0, 0)), |padding| reader.pair(padding, 0..=LARGEST, &at.key("padding")));
    let known = [("down", Rounding::Down), ("up", Rounding::Up)];
    let rounding = table.get("rounding").map_or(Some(Rounding::Down), |rounding| reader.choice(rounding, "rounding", &known, &at.key("rounding")));
    let (kernel, stride, padding, rounding) = (kernel?, stride?, padding?, rounding?);
    // A window that lies in the padding altogether has no pixel to take the greatest of.
    if padding.0 * 2 > kernel.0 || padding.1 * 2 > kernel.1 {
        return reader.fail(at.key("padding").fault("the padding of a pooling is at most half its kernel"));
    }
    Some(LayerKind::Pool { kind, window: PoolWindow::Sized(Pool2d { kernel, stride, padding, rounding }) })
}

fn project(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<LayerKind> {
    let Value::Table(_) = value else {
        return Some(LayerKind::Project { axis: VolumeAxis::Depth, projection: reader.choice(value, "projection", &PROJECTIONS, at)? });
    };
    let table = reader.table(value, &["by", "along"], at)?;
    let projection = match table.get("by") {
        Some(projection) => reader.choice(projection, "projection", &PROJECTIONS, &at.key("by")),
        None => reader.fail(at.fault("a projection needs `by`").help(example("project"))),
    };
    let axis = table.get("along").map_or(Some(VolumeAxis::Depth), |axis| reader.choice(axis, "axis", &AXES, &at.key("along")));
    Some(LayerKind::Project { axis: axis?, projection: projection? })
}

fn fc(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<LayerKind> {
    let Value::Table(_) = value else { return Some(LayerKind::Fc { units: width(reader, value, "units", true, at)? }) };
    let table = reader.table(value, &["units"], at)?;
    match table.get("units") {
        Some(units) => Some(LayerKind::Fc { units: width(reader, units, "units", true, &at.key("units"))? }),
        None => reader.fail(at.fault("`fc` needs `units`").help(example("fc"))),
    }
}

/// Where a file does not say otherwise.
const BATCH_NORM: LayerKind = LayerKind::BatchNorm { momentum: 0.1, epsilon: 1e-5 };

fn batch_norm(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<LayerKind> {
    let LayerKind::BatchNorm { momentum, epsilon } = BATCH_NORM else { return None };
    let table = reader.table(value, &["momentum", "epsilon"], at)?;
    let share = |momentum: f64| (0.0..=1.0).contains(&momentum);
    let momentum = table.get("momentum").map_or(Some(momentum), |value| reader.number(value, "a share from 0 to 1", share, &at.key("momentum")));
    let positive = |epsilon: f64| epsilon > 0.0 && epsilon.is_finite();
    let epsilon = table.get("epsilon").map_or(Some(epsilon), |value| reader.number(value, "a number above 0", positive, &at.key("epsilon")));
    Some(LayerKind::BatchNorm { momentum: momentum?, epsilon: epsilon? })
}

fn branches(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<LayerKind> {
    let Some(items) = value.as_array().filter(|items| !items.is_empty()) else { return reader.expected("an array of layer lists", value, at) };
    let lists: Vec<_> = items.iter().enumerate().map(|(i, list)| read_list(reader, list, &at.key(i))).collect();
    Some(LayerKind::Branches(lists.into_iter().collect::<Option<_>>()?))
}

fn width(reader: &mut Reader, value: &Value, what: &str, classes: bool, at: &KeyPath) -> Option<Width> {
    let names: &[&str] = if classes { &["auto", "classes"] } else { &["auto"] };
    match value {
        Value::Integer(_) => reader.integer(value, 1..=LARGEST, at).map(Width::Fixed),
        Value::String(text) if text == "auto" => Some(Width::Auto),
        Value::String(text) if classes && text == "classes" => Some(Width::Classes),
        Value::String(text) => {
            let fault = at.fault(format!("expected {what} as an integer or one of {}, found \"{text}\"", names.join(", ")));
            reader.fail(match nearest(text, names.iter().copied()) {
                Some(near) => fault.help(format!("did you mean \"{near}\"?")),
                None => fault,
            })
        }
        other => reader.expected(&format!("{what} as an integer or one of {}", names.join(", ")), other, at),
    }
}

fn dropout(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<LayerKind> {
    let what = "a rate from 0 to below 1";
    // In 32 bits, in which dropout computes: the rest is divided by 1 - rate.
    let fits = |rate: f64| rate >= 0.0 && (rate as f32) < 1.0;
    let Value::Table(_) = value else { return Some(LayerKind::Dropout { rate: reader.number(value, what, fits, at)?, channels: false }) };
    let table = reader.table(value, &["rate", "channels"], at)?;
    let rate = match table.get("rate") {
        Some(rate) => reader.number(rate, what, fits, &at.key("rate")),
        None => reader.fail(at.fault("`dropout` needs a `rate`").help(example("dropout"))),
    };
    let channels = table.get("channels").map_or(Some(false), |channels| reader.boolean(channels, &at.key("channels")));
    Some(LayerKind::Dropout { rate: rate?, channels: channels? })
}
