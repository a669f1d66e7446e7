//! A trained trial at work on images: those of its own test part, or any others.

mod predictions;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use polars::prelude::{ParquetReader, SerReader};
use stn_core::{Fault, Registry};
use stn_data::{Dataset, DatasetSpec};
use stn_nn::{Ending, Network, NetworkSpec, Plan};
use toml::{Table, Value};

use crate::spec::objective::ObjectiveSpec;
use crate::store::overview::{TrialStatus, overview};
use crate::store::tensors::Tensors;
use crate::store::{FACTS, TrialState, WEIGHTS, facts};
use crate::{Error, Precision, Result};
pub use predictions::{PredictedWarp, Predictions};

/// Images that are computed on at once.
const BATCH: usize = 256;

/// The most channels of an image: an array N x H x W x C is told from N x C x H x W by its last axis.
const MOST_CHANNELS: usize = 4;

/// A trial that has ended well: its network as it was described, and the weights that it came to.
#[derive(Debug)]
pub struct TrainedTrial {
    folder: PathBuf,
    config: Config,
    /// The labels of an image.
    heads: usize,
    weights: BTreeMap<String, Tensor>,
}

/// What the trial's `config` says.
#[derive(Debug)]
struct Config {
    dataset: DatasetSpec,
    network: NetworkSpec,
    objective: ObjectiveSpec,
    dtype: DType,
}

impl TrainedTrial {
    /// Reads a trial's folder, `OUT/trials/ID`.
    ///
    /// # Errors
    ///
    /// Where there is no such folder, its trial has not ended well, a file is missing or damaged, or its configuration names what this program has not.
    pub fn open(folder: &Path) -> Result<Self> {
        let (config, heads) = read_facts(folder)?;
        let unreadable = |faults: Vec<Fault>| Error::Other(format!("the configuration of {} cannot be read: {}", folder.display(), listed(&faults)));
        let config = Config::read(&config).map_err(unreadable)?;
        let path = folder.join(WEIGHTS);
        let bytes = std::fs::read(&path).map_err(Error::file("read", &path))?;
        let weights = Tensors::from_bytes(&bytes).map_err(|error| Error::Other(format!("{}: {error}", path.display())))?.tensors;
        Ok(Self { folder: folder.to_owned(), config, heads, weights })
    }

    /// The first `limit` images of the trial's own test part, N x C x H x W, and their labels, N x H; all where there is no limit.
    ///
    /// # Errors
    ///
    /// Where the data set cannot be opened.
    pub fn test_images(&self, limit: Option<usize>, registry: &Registry) -> Result<(Tensor, Tensor)> {
        let dataset = Dataset::open(&self.config.dataset, registry)?;
        let mut left = limit.unwrap_or(usize::MAX);
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for batch in dataset.test_batches(BATCH) {
            let batch = batch?;
            let some = left.min(batch.indices.len());
            if some == 0 {
                break;
            }
            images.push(batch.images.narrow(0, 0, some)?);
            labels.push(batch.labels.narrow(0, 0, some)?);
            left -= some;
        }
        if images.is_empty() {
            return Err(Error::Other("at least one image is needed".into()));
        }
        Ok((Tensor::cat(&images, 0)?, Tensor::cat(&labels, 0)?))
    }

    /// What the network gives for images: N x C x H x W, N x H x W x C with at most 4 channels, or without an axis where there is one channel; of volumes likewise. Numbers are
    /// those that it was trained on, 0 to 1.
    ///
    /// # Errors
    ///
    /// Where the images are of another shape than the network takes, a number is not finite, or memory is short.
    pub fn predict(&self, images: &Tensor, registry: &Registry) -> Result<Predictions> {
        let images = self.arranged(images)?;
        check_numbers(&images)?;
        let network = self.network(&images.dims()[1..], registry)?;
        let count = images.dim(0)?;
        let outcomes = (0..count).step_by(BATCH).map(|first| {
            let batch = images.narrow(0, first, BATCH.min(count - first))?;
            Ok(network.infer(&batch.to_dtype(self.config.dtype)?)?)
        });
        let classifies = matches!(self.config.objective, ObjectiveSpec::Classify);
        Predictions::join(outcomes.collect::<Result<_>>()?, classifies.then_some(self.heads))
    }

    /// Images with their channels in front of their sides.
    fn arranged(&self, images: &Tensor) -> Result<Tensor> {
        let hint = self.config.dataset.shape_hint().map(|(shape, _)| shape);
        let (axes, found) = (hint.as_ref().map_or(3, Vec::len), images.dims().to_vec());
        let arranged = match found.as_slice() {
            // One channel, without an axis of its own.
            dims if dims.len() == axes => images.unsqueeze(1)?,
            [_, second, .., last] if found.len() == axes + 1 && *second > MOST_CHANNELS && (1..=MOST_CHANNELS).contains(last) => {
                let order: Vec<usize> = [0, axes].into_iter().chain(1..axes).collect();
                images.permute(order)?.contiguous()?
            }
            _ => images.clone(),
        };
        let fits = arranged.rank() == axes + 1 && hint.as_ref().is_none_or(|hint| arranged.dims()[1..] == hint[..]);
        if !fits || arranged.elem_count() == 0 {
            let letters = if axes == 4 { "N x C x D x H x W" } else { "N x C x H x W" };
            let taken = hint.map_or(letters.to_owned(), |hint| format!("{letters} with {} for each", shape(&hint)));
            return Err(Error::Other(format!("the images are {}, but this network takes {taken}", shape(&found))));
        }
        Ok(arranged)
    }

    /// The network with its weights, for images of a shape.
    fn network(&self, input: &[usize], registry: &Registry) -> Result<Network> {
        let hint = self.config.dataset.shape_hint();
        let outputs = match hint.as_ref().map(|(_, outputs)| *outputs).or_else(|| self.outputs()) {
            Some(outputs) => outputs,
            None => return Err(Error::Other(format!("{} holds no fully connected layer", self.folder.join(WEIGHTS).display()))),
        };
        let unfit = |reason: String| {
            let reason = if hint.is_some() { reason } else { format!("the network does not fit images of {}: {reason}", shape(input)) };
            Error::Other(format!("{}: {reason}", self.folder.display()))
        };
        let ending: Ending = self.config.objective.ending(outputs);
        let plan = Plan::new(&self.config.network, input, ending, registry).map_err(|faults| unfit(listed(&faults)))?;
        let network = Network::new(&plan, 0, self.config.dtype, &Device::Cpu)?;
        network.load(&self.weights).map_err(|error| unfit(error.to_string()))?;
        Ok(network)
    }

    /// The numbers that the last fully connected layer gives.
    fn outputs(&self) -> Option<usize> {
        let number = |name: &str| name.strip_prefix("fc")?.strip_suffix(".weight")?.parse::<usize>().ok();
        let last = self.weights.iter().filter_map(|(name, weight)| Some((number(name)?, weight))).max_by_key(|(number, _)| *number);
        last.and_then(|(_, weight)| weight.dims().first().copied())
    }
}

impl Config {
    /// Reads the JSON object of a trial's facts.
    fn read(json: &str) -> std::result::Result<Self, Vec<Fault>> {
        let json = serde_json::from_str::<serde_json::Value>(json).map_err(|error| vec![Fault::at([""; 0], error.to_string())])?;
        let Some(Value::Table(mut config)) = toml_of(json) else {
            return Err(vec![Fault::at([""; 0], "it is no object")]);
        };
        let mut take = |key: &str| config.remove(key).ok_or_else(|| vec![Fault::at([key], "is missing")]);
        let below = |key: &'static str| move |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.below([key])).collect::<Vec<_>>();
        let (dataset, mut network, train) = (take("dataset")?, take("network")?, take("train")?);
        // The weights that it started from are gone into those that it came to.
        network.as_table_mut().and_then(|network| network.remove("weights"));
        let objective = train.get("objective").map_or(Ok(ObjectiveSpec::Classify), ObjectiveSpec::from_value);
        let precision = if train.get("precision").and_then(Value::as_str) == Some("f64") { Precision::F64 } else { Precision::F32 };
        Ok(Self {
            dataset: DatasetSpec::from_value(&dataset).map_err(below("dataset"))?,
            network: NetworkSpec::from_value(&network).map_err(below("network"))?,
            objective: objective.map_err(below("train"))?,
            dtype: precision.dtype(),
        })
    }
}

/// A value of JSON as one of TOML, which has no null: keys of that are left out.
fn toml_of(json: serde_json::Value) -> Option<Value> {
    Some(match json {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(truth) => truth.into(),
        serde_json::Value::Number(number) => number.as_i64().map(Value::Integer).or_else(|| number.as_f64().map(Value::Float))?,
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => Value::Array(items.into_iter().filter_map(toml_of).collect()),
        serde_json::Value::Object(entries) => Value::Table(entries.into_iter().filter_map(|(key, value)| Some((key, toml_of(value)?))).collect::<Table>()),
    })
}

/// The configuration and the number of labels of a trial that ended well.
fn read_facts(folder: &Path) -> Result<(String, usize)> {
    let path = folder.join(FACTS);
    if !path.is_file() {
        return Err(Error::Other(no_trial(folder)));
    }
    let failed = |source| Error::Unreadable { path: path.clone(), source };
    let frame = ParquetReader::new(File::open(&path).map_err(Error::file("read", &path))?).finish().map_err(failed)?;
    let text = |name: &str| frame.column(name).and_then(|column| Ok(column.str()?.get(0).unwrap_or_default().to_owned())).map_err(failed);
    let status = text("status")?;
    if status != facts::DONE {
        return Err(Error::Other(format!("the trial in {} has not ended well, so there is no trained network: {status}", folder.display())));
    }
    let labels = frame.column("labels").ok().and_then(|column| column.i64().ok()?.get(0));
    Ok((text("config")?, labels.and_then(|labels| usize::try_from(labels).ok()).unwrap_or(1).max(1)))
}

/// What to say of a folder that is none of a trial that has ended.
fn no_trial(folder: &Path) -> String {
    let shown = folder.display();
    let Ok(experiment) = overview(folder) else {
        let missing = if folder.is_dir() {
            format!("{shown} is no folder of a trial that has ended: it has no {FACTS}")
        } else {
            format!("there is no trial at {shown}")
        };
        return format!("{missing}. Trials stand in OUT/trials/ID once they have ended; `stn predict OUT/EXPERIMENT` lists those of an experiment");
    };
    let trials = folder.parent().unwrap_or(Path::new("")).join("trials");
    let done = experiment.trials.iter().filter(|trial| matches!(trial.state, TrialState::Done { .. }));
    let line = |trial: &TrialStatus| {
        let swept = trial.differs.iter().filter(|(key, _)| *key != "model").map(|(key, value)| format!(", {key} = {value}"));
        format!("\n  {}  {}{}, seed {}", trials.join(&trial.id).display(), trial.label, swept.collect::<String>(), trial.seed)
    };
    let lines: Vec<String> = done.map(line).collect();
    match lines.len() {
        0 => format!("{shown} is an experiment of which no trial is done"),
        _ => format!("{shown} is an experiment; give one of its trials:{}", lines.concat()),
    }
}

fn check_numbers(images: &Tensor) -> Result<()> {
    for image in 0..images.dim(0)? {
        let numbers = images.get(image)?.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
            return Err(Error::Other(format!("image {image} (counted from 0) holds {number}, which is no number to compute with")));
        }
        if let Some(number) = numbers.iter().find(|number| !(-0.5..=1.5).contains(*number)) {
            tracing::warn!(
                "image {image} (counted from 0) holds {number}: networks are trained on numbers from 0 to 1; divide by 255, or save the images as uint8"
            );
            return Ok(());
        }
    }
    Ok(())
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// "1 x 28 x 28".
fn shape(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}
