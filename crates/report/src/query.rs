//! What the store holds, read through polars: facts and metrics of all trials at once, warped images only of the trials that are drawn.

pub mod columns;
pub mod facts;
pub mod recordings;

use crate::error::{BadFile, Error, Result};
use columns::{list_at, wanted};
use facts::Facts;
use polars::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Keys of the sweep, as short as tells them apart, and their values.
pub type Swept = Vec<(String, String)>;

/// The facts of one finished trial, called what the latest run calls it.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    /// Name of its folder.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Name of the model's table in the experiment.
    pub model: String,
    /// What figures and tables call the model. Several may share a label.
    pub label: String,
    /// Every key of the sweep in full, and its value.
    pub differs: BTreeMap<String, String>,
    /// What else sets it apart in the sweep besides model, seed and distortion, as "key=value, key=value".
    pub variant: String,
    /// The same as keys and values.
    pub swept: Swept,
    /// Name of the distortion; "none" where there is none.
    pub distortion: String,
    /// Name of the data set.
    pub dataset: String,
    /// Seed.
    pub seed: i64,
    /// Labels of an image.
    pub labels: i64,
    /// Trained parameters.
    pub parameters: i64,
    /// Steps trained.
    pub steps: i64,
    /// Final test error, percent.
    pub test_error: f64,
    /// Median time of a step, ms.
    pub step_ms: f64,
    /// Device it ran on.
    pub device: String,
    /// Threads it ran with.
    pub threads: i64,
    /// Where the data came from.
    pub data_source: String,
    /// Whether the data are made up.
    pub synthetic: bool,
    /// How it ended.
    pub status: String,
    /// What else its facts say.
    pub facts: Facts,
}

/// The finished trials of an experiment, and what else its folder holds.
#[derive(Debug, Default)]
pub struct Store {
    /// Finished trials in order of their folders' names.
    pub trials: Vec<Trial>,
    /// Trials without facts: waiting, running, or stopped half-way.
    pub unfinished: Vec<String>,
    /// Files that cannot be read.
    pub bad: Vec<BadFile>,
}

/// One evaluation during training.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Index into [`Store::trials`].
    pub trial: usize,
    /// Step.
    pub step: i64,
    /// On the test set; otherwise on training batches.
    pub test: bool,
    /// Error, percent.
    pub error: f64,
}

/// Numbers with a shape, row-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: Vec<f32>,
}

/// What one transformer did to one test image.
#[derive(Debug, Clone, PartialEq)]
pub struct Warp {
    /// Training steps done.
    pub trained: i64,
    /// Index of the image in the test set.
    pub sample: i64,
    /// Name of the transformer's layer.
    pub layer: String,
    /// How many times the transformer had been applied.
    pub step: i64,
    /// Its class.
    pub class: i64,
    /// What the network took it for.
    pub predicted: i64,
    /// Parameters of the transformation.
    pub theta: Vec<f32>,
    /// `C H W` or `C D H W`.
    pub input: Array,
    /// `H W 2` or `D H W 3`.
    pub grid: Array,
    /// `C H W` or `C D H W`.
    pub output: Array,
}

/// Reads the facts of the trials that `dir/plan.parquet` lists, from the folder beside `dir` that experiments share, or from a copy of it inside `dir`.
///
/// A trial keeps its folder and its facts when another run gives its model another name or sweeps over more; so model, label and swept values are the plan's.
pub fn trials(dir: &Path) -> Result<Store> {
    if !dir.is_dir() {
        return Err(Error::NoFolder(dir.into()));
    }
    let inside = dir.join("trials");
    let beside = || dir.canonicalize().ok().and_then(|dir| Some(dir.parent()?.join("trials"))).unwrap_or_else(|| dir.join("../trials"));
    let root = if inside.is_dir() { inside } else { beside() };
    let mut store = Store::default();
    let Some(planned) = plan(&dir.join("plan.parquet"), &mut store.bad) else {
        return if store.bad.is_empty() {
            Err(Error::NoTrials { folder: root, started: 0 })
        } else {
            Err(Error::Unreadable { files: store.bad, report: None })
        };
    };
    let planned: BTreeMap<PathBuf, Planned> = planned.into_iter().map(|(id, entry)| (root.join(id), entry)).collect();
    let mut sound = Vec::new();
    let mut started = 0;
    for (folder, entry) in planned {
        if folder.join("facts.parquet").is_file() {
            sound.push((folder, entry));
        } else {
            started += usize::from(folder.is_dir());
            store.unfinished.push(entry.name());
        }
    }
    if sound.is_empty() {
        return Err(Error::NoTrials { folder: root, started });
    }
    let facts: Vec<PathBuf> = sound.iter().map(|(folder, _)| folder.join("facts.parquet")).collect();
    let read = facts::read(&facts, &mut store.bad);
    store.trials = sound.into_iter().zip(read).filter_map(|((folder, entry), facts)| Some(trial(folder, entry, facts?))).collect();
    name_swept(&mut store.trials);
    Ok(store)
}

/// Names what sets trials apart, by as much of each key as tells it from the others.
pub fn name_swept(trials: &mut [Trial]) {
    let keys: BTreeSet<String> = trials.iter().flat_map(|trial| trial.differs.keys().cloned()).collect();
    for trial in trials {
        trial.swept = swept(&trial.differs, &keys);
        trial.variant = variant(&trial.swept);
    }
}

/// A trial from what the plan and its facts say, without its variant.
fn trial(folder: PathBuf, entry: Planned, facts: Trial) -> Trial {
    Trial {
        id: name(&folder),
        folder,
        model: entry.model,
        label: entry.label,
        distortion: distortion(&facts.distortion, &entry.differs),
        differs: entry.differs,
        ..facts
    }
}

/// What the latest run says of a trial.
#[derive(Debug, Clone)]
struct Planned {
    model: String,
    label: String,
    seed: i64,
    differs: BTreeMap<String, String>,
}

impl Planned {
    /// What it is called where it has no facts yet: label, all that the sweep changes besides the model, and seed.
    fn name(&self) -> String {
        let rest = self.differs.iter().filter(|(key, _)| !["model", "seed", "seeds"].contains(&last_key(key)));
        let rest = rest.map(|(key, value)| format!(", {}={value}", last_key(key))).collect::<String>();
        format!("{}{rest}, seed {}", self.label, self.seed)
    }
}

/// The trials of the latest run by their ids; `None` where there is no plan.
fn plan(path: &Path, bad: &mut Vec<BadFile>) -> Option<BTreeMap<String, Planned>> {
    if !path.is_file() {
        return None;
    }
    let columns: Vec<_> = wanted(["trial", "model", "label", "differs"], &DataType::String).into_iter().chain(wanted(["seed"], &DataType::Int64)).collect();
    columns::one(path, &columns, bad, |frame| {
        let (ids, seeds) = (frame.column("trial")?.str()?, frame.column("seed")?.i64()?);
        let (models, labels, swept) = (frame.column("model")?.str()?, frame.column("label")?.str()?, frame.column("differs")?.str()?);
        let entry = |row: usize| {
            let entry = Planned { model: models.get(row)?.into(), label: labels.get(row)?.into(), seed: seeds.get(row)?, differs: differs(swept.get(row)?) };
            Some((ids.get(row)?.to_string(), entry))
        };
        Ok((0..frame.height()).filter_map(entry).collect())
    })
}

/// Reads the metrics of every finished trial, in order of trial, split and step.
pub fn metrics(store: &mut Store) -> Vec<Measurement> {
    let paths: Vec<PathBuf> = store.trials.iter().map(|trial| trial.folder.join("metrics.parquet")).collect();
    let columns = [wanted(["step"], &DataType::Int64), wanted(["split"], &DataType::String), wanted(["error"], &DataType::Float64)].concat();
    let read = columns::each(&paths, &columns, &mut store.bad, |frame| {
        let (steps, splits, errors) = (frame.column("step")?.i64()?, frame.column("split")?.str()?, frame.column("error")?.f64()?);
        let rows = steps.iter().zip(splits.iter()).zip(errors.iter());
        let mut rows: Vec<(bool, i64, f64)> = rows.filter_map(|((step, split), error)| Some((split? == "test", step?, error.unwrap_or(f64::NAN)))).collect();
        rows.sort_by_key(|(test, step, _)| (!test, *step));
        Ok(rows)
    });
    let of_trial = |(trial, rows): (usize, Vec<(bool, i64, f64)>)| rows.into_iter().map(move |(test, step, error)| Measurement { trial, step, test, error });
    read.into_iter().map(Option::unwrap_or_default).enumerate().flat_map(of_trial).collect()
}

/// Reads the warped test images of one trial at every moment that was kept, the end last.
pub fn moments(trial: &Trial, bad: &mut Vec<BadFile>) -> Vec<Warp> {
    warps(&trial.folder.join("warps.parquet"), bad)
}

/// Reads a file of warped images, row by row; nothing where there is none.
fn warps(path: &Path, bad: &mut Vec<BadFile>) -> Vec<Warp> {
    if !path.is_file() {
        return Vec::new();
    }
    let numbers = DataType::List(Box::new(DataType::Float32));
    let shapes = DataType::List(Box::new(DataType::Int64));
    let later = wanted(["step", "trained"], &DataType::Int64).map(|column| column.before(AnyValue::Int64(1)));
    let whole = wanted(["sample", "class", "predicted"], &DataType::Int64).into_iter().chain(later);
    let lists = wanted(["theta", "input", "grid", "output"], &numbers).into_iter().chain(wanted(["input_shape", "grid_shape", "output_shape"], &shapes));
    let columns: Vec<_> = whole.chain(wanted(["layer"], &DataType::String)).chain(lists).collect();
    columns::one(path, &columns, bad, warps_of).unwrap_or_default()
}

/// The warps that the rows of a file say.
fn warps_of(frame: &DataFrame) -> PolarsResult<Vec<Warp>> {
    let int = |name: &str| -> PolarsResult<Vec<i64>> { Ok(frame.column(name)?.i64()?.iter().map(Option::unwrap_or_default).collect()) };
    let list = |name: &str, row: usize| list_at(frame.column(name)?.list()?, row, |list| Ok(list.f32()?.iter().map(|v| v.unwrap_or(f32::NAN)).collect()));
    let array = |name: &str, row: usize| -> PolarsResult<Array> {
        let shape = frame.column(&format!("{name}_shape"))?.list()?;
        let shape = list_at(shape, row, |list| Ok(list.i64()?.iter().map(|v| v.unwrap_or(0).max(0) as usize).collect()))?;
        Ok(Array { shape, data: list(name, row)? })
    };
    let (sample, class, predicted, step, trained) = (int("sample")?, int("class")?, int("predicted")?, int("step")?, int("trained")?);
    let layer = frame.column("layer")?.str()?;
    let mut warps = Vec::with_capacity(frame.height());
    for (row, layer) in layer.iter().enumerate() {
        let warp = Warp {
            trained: trained[row],
            sample: sample[row],
            layer: layer.unwrap_or_default().to_string(),
            step: step[row],
            class: class[row],
            predicted: predicted[row],
            theta: list("theta", row)?,
            input: array("input", row)?,
            grid: array("grid", row)?,
            output: array("output", row)?,
        };
        let whole = |a: &Array| a.shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len)) == Some(a.data.len()) && !a.data.is_empty();
        if ![&warp.input, &warp.grid, &warp.output].into_iter().all(whole) {
            polars_bail!(ComputeError: "row {row}: the shapes do not fit the lengths of input, grid and output");
        }
        warps.push(warp);
    }
    Ok(warps)
}

fn name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The swept keys and values of a trial, from the JSON object in its facts.
fn differs(json: &str) -> BTreeMap<String, String> {
    let Ok(serde_json::Value::Object(values)) = serde_json::from_str(json) else { return BTreeMap::new() };
    let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    values.into_iter().map(|(key, value)| (key, text(value))).collect()
}

/// The swept values besides model, seed and distortion, each by as much of the end of its key as tells it from all other swept `keys`.
fn swept(differs: &BTreeMap<String, String>, keys: &BTreeSet<String>) -> Swept {
    let rest = differs.iter().filter(|(key, _)| !["model", "seed", "seeds", "distortion"].contains(&last_key(key)) && !ends_with(key, "distortion.kind"));
    rest.map(|(key, value)| (short_key(key, keys).to_string(), value.clone())).collect()
}

/// "key=value, key=value".
pub fn variant(swept: &[(String, String)]) -> String {
    swept.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// The shortest end of a key that no other key has; a `kind` says nothing alone, so its table's name comes with it.
fn short_key<'a>(key: &'a str, keys: &BTreeSet<String>) -> &'a str {
    let starts = key.rmatch_indices('.').map(|(dot, _)| dot + 1);
    let mut ends = starts.map(|start| &key[start..]);
    ends.find(|end| *end != "kind" && !keys.iter().any(|other| other != key && ends_with(other, end))).unwrap_or(key)
}

/// Whether the last segments of a key are those of `end`.
pub fn ends_with(key: &str, end: &str) -> bool {
    key.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The distortion's kind; where the sweep sets more than that (`{ kind = "R", degrees = 45 }`), all it sets.
fn distortion(kind: &str, differs: &BTreeMap<String, String>) -> String {
    let swept = differs.iter().find(|(key, _)| last_key(key) == "distortion").map(|(_, value)| value.replace(['{', '}', '"'], ""));
    match swept {
        Some(swept) if swept.trim() != kind && !swept.trim().is_empty() => swept.trim().to_string(),
        _ if kind.is_empty() => "none".into(),
        _ => kind.into(),
    }
}

fn last_key(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_what_the_sweep_changes_besides_model_seed_and_distortion() {
        let all = differs(r#"{"model":"cnn","train.lr":"0.1","seed":"2","dataset.distortion":"R","a.b":3}"#);
        assert_eq!(variant(&swept(&all, &all.keys().cloned().collect())), "b=3, lr=0.1");
        assert_eq!(variant(&swept(&differs("not json"), &BTreeSet::new())), "");
    }

    #[test]
    fn keys_that_end_alike_are_told_apart_and_a_kind_names_what_it_is_of() {
        let keys = ["train.optimizer.kind", "train.schedule.kind", "models.a.layers.0.dropout", "models.b.layers.0.dropout", "dropout", "train.lr"];
        let keys: BTreeSet<String> = keys.map(str::to_string).into();
        let short: Vec<&str> = keys.iter().map(|key| short_key(key, &keys)).collect();
        assert_eq!(short, ["dropout", "a.layers.0.dropout", "b.layers.0.dropout", "lr", "optimizer.kind", "schedule.kind"]);
        let all = differs(r#"{"train.optimizer.kind":"adam","dataset.distortion.kind":"R"}"#);
        assert_eq!(variant(&swept(&all, &all.keys().cloned().collect())), "optimizer.kind=adam");
    }

    #[test]
    fn distortions_of_one_kind_that_the_sweep_tells_apart_stay_apart() {
        let swept = differs(r#"{"dataset.distortion":"{ kind = \"R\", degrees = 45 }"}"#);
        assert_eq!(distortion("R", &swept), "kind = R, degrees = 45");
        assert_eq!(distortion("R", &differs("{}")), "R");
        assert_eq!(distortion("", &differs("{}")), "none");
    }
}
