//! A network as it is written in a file: a list of layers.

mod layer;
mod transformer;
mod weights;

pub(crate) use layer::{LayerKind, LayerSpec, PoolKind, PoolWindow, Width};
pub(crate) use transformer::{LocaliserSpec, PluginAt, TransformerSpec, TransformersSpec};
pub use weights::WeightsSpec;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use stn_core::Fault;
use toml::Value;

use crate::Initialisation;
use crate::reading::{KeyPath, Reader};

/// The largest number of filters, units, kernel sizes and the like that is read from a file: beyond it lies a slip of the pen.
pub(crate) const LARGEST: usize = 1_000_000;

/// How far from `parameters` the nearest width may lie, as a fraction of it, where a table does not say.
const TOLERANCE: f64 = 0.02;

/// A network, as written in a `[models.NAME]` table.
///
/// Keys: `layers`, the list; `parameters`, the number of parameters that widths written `"auto"` are solved for; `tolerance`, how far from it the nearest width may lie, as a
/// fraction of it, 0.02 where left out; `init`, how weights start, `"kaiming_normal"` (the
/// default), `"xavier_normal"` or `"pytorch"`; `weights`, a file to start from: see [`WeightsSpec`].
///
/// A layer is a string or a table with one key:
///
/// | layer | meaning |
/// |---|---|
/// | `{ conv = [filters, kernel, stride, padding] }` | convolution; stride 1 and padding 0 where left out; also as a table of these names |
/// | `{ max = 2 }`, `{ avg = 2 }` | pooling; also `{ kernel, stride, padding, rounding = "down" or "up" }`, stride = kernel where left out; `"all"` pools the whole image |
/// | `{ project = "max" }` | a volume seen along its depth, `C x D x H x W` to `C x H x W`: `"max"`, `"mean"` or `"sum"`; also `{ by, along = "depth", "height" or "width" }` |
/// | `{ fc = 256 }` | fully connected; `"classes"` stands for the number of classes |
/// | `"relu"`, `"softmax"` | non-linearities; a softmax at the end is left to the loss |
/// | `"batch_norm"` | batch normalisation, also `{ batch_norm = { momentum = 0.1, epsilon = 1e-5 } }`; a convolution or fc right in front of it has no bias |
/// | `{ branches = [[..], [..]] }` | layer lists side by side on the same input, their outputs joined along channels |
/// | `{ dropout = 0.5 }` | dropout; also `{ rate, channels = true }`, which drops whole feature maps |
/// | `{ st = { transform = "affine", localiser = [..], .. } }` | a spatial transformer |
/// | `{ parallel_st = { transformers = [{..}, ..], .. } }` | several side by side, their outputs joined along channels; also `count = n` with one `transform` |
///
/// Kernels, strides and paddings are a number or `[h, w]`. Filters and units may be `"auto"`: one number for all of them.
///
/// The keys of a transformer (those of `parallel_st` count for every one listed in `transformers` that does not say otherwise):
///
/// | key | meaning |
/// |---|---|
/// | `transform` | a transformation: a name, or `{ kind = "tps", points = 5 }` |
/// | `localiser` | the layer list that predicts theta. If its last layer is an fc of exactly theta's length, that layer predicts theta; else one is appended. Its weights start at zero and its bias at the identity, or for one of several parallel transformers at its tile |
/// | `kernel` | a sampling kernel, `"bilinear"` where left out |
/// | `boundary` | `"zeros"` (the default), `"border"` or `"reflection"` |
/// | `align_corners` | false where left out |
/// | `output` | the output's size, the input's where left out |
/// | `start` | theta before training, a list of its numbers; the identity or its tile where left out |
/// | `steps` | how often the transformer is applied, with the same weights, its warps composed: the localiser sees the input through the warp so far and predicts an increment; 1 where left out |
/// | `bounds` | a pair `[least, most]` for each number of theta: `theta = (least + most) / 2 + (most - least) / 2 tanh(z)`, z being what the localiser predicts |
/// | `noise` | the standard deviation of what is added to each number of theta in training, a list |
/// | `lr_factor` | on the learning rate of the localisation network, 1 where left out |
/// | `feed_theta` | whether theta joins the input of the next fc layer |
/// | `shared_localiser` | of `parallel_st`: one layer list that predicts the theta of every transformer |
/// | `each` | of `parallel_st`: a layer list that every transformer's output goes through, each with weights of its own, before they are joined |
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkSpec {
    pub(crate) layers: Vec<LayerSpec>,
    pub(crate) budget: Option<usize>,
    pub(crate) tolerance: f64,
    pub(crate) init: Initialisation,
    pub(crate) weights: Option<WeightsSpec>,
    source: Value,
}

impl NetworkSpec {
    /// Reads a `[models.NAME]` table.
    ///
    /// # Errors
    ///
    /// Every mistake, at its path from the table.
    pub fn from_value(value: &Value) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::default();
        let root = KeyPath::default();
        let spec = reader.table(value, &["layers", "parameters", "tolerance", "init", "weights"], &root).and_then(|table| {
            let layers = match table.get("layers") {
                Some(list) => layer::read_list(&mut reader, list, &root.key("layers")),
                None => reader.fail(root.fault("a network needs `layers`").help("write for example layers = [{ fc = 32 }, \"relu\", { fc = \"classes\" }]")),
            };
            let budget = table.get("parameters").map(|budget| reader.integer(budget, 1..=crate::plan::MOST, &root.key("parameters")));
            let tolerance = match table.get("tolerance") {
                Some(_) if !table.contains_key("parameters") => {
                    let fault = root.key("tolerance").fault("there is no budget to be near to");
                    reader.fail(fault.help("remove `tolerance`, or set `parameters` beside it"))
                }
                Some(value) => reader.number(value, "a fraction from 0 to 1", |fraction| (0.0..=1.0).contains(&fraction), &root.key("tolerance")),
                None => Some(TOLERANCE),
            };
            let init = table.get("init").map(|init| reader.choice(init, "initialisation", &Initialisation::NAMES, &root.key("init")));
            let weights = table.get("weights").map_or(Some(None), |value| WeightsSpec::read(&mut reader, value, &root.key("weights")).map(Some));
            Some(Self {
                layers: layers?,
                budget: budget.flatten(),
                tolerance: tolerance?,
                init: init.flatten().unwrap_or_default(),
                weights: weights?,
                source: value.clone(),
            })
        });
        match spec {
            Some(spec) if reader.faults.is_empty() => Ok(spec),
            _ => Err(reader.faults),
        }
    }

    /// The file that the network starts from, where there is one.
    pub fn weights(&self) -> Option<&WeightsSpec> {
        self.weights.as_ref()
    }

    /// Says what the file of [`weights`](Self::weights) holds: the hash of its content, which from then on is a part of what the network is, and the shape of every tensor, which
    /// [`Plan::new`](crate::Plan::new) holds against the network's own.
    pub fn weights_found(&mut self, hash: String, shapes: BTreeMap<String, Vec<usize>>) {
        if let Some(weights) = &mut self.weights {
            weights.find(hash, shapes);
        }
    }
}

/// As it was written; of weights the content instead of the file's name, where it is known.
impl Serialize for NetworkSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.weights.as_ref().and_then(WeightsSpec::identity), &self.source) {
            (Some(weights), Value::Table(source)) => {
                let mut source = source.clone();
                source.insert("weights".into(), weights);
                source.serialize(serializer)
            }
            (_, source) => source.serialize(serializer),
        }
    }
}
