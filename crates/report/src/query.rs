//! What the store holds, read through polars: facts and metrics of all trials at once, warped images only of the trials that are drawn.

pub mod recordings;

use crate::error::{BadFile, Error, Result};
use polars::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Keys of the sweep, as short as tells them apart, and their values.
pub type Swept = Vec<(String, String)>;

/// The facts of one finished trial, called what the latest run calls it.
#[derive(Debug, Clone)]
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
    let Some(planned) = plan(&dir.join("plan.parquet"), &mut store.bad)? else {
        return if store.bad.is_empty() {
            Err(Error::NoTrials { folder: root, started: 0 })
        } else {
            Err(Error::Unreadable { files: store.bad, report: None })
        };
    };
    let planned: BTreeMap<PathBuf, Planned> = planned.into_iter().map(|(id, entry)| (root.join(id), entry)).collect();
    let mut paths = Vec::new();
    let mut started = 0;
    for (folder, entry) in &planned {
        let facts = folder.join("facts.parquet");
        if facts.is_file() {
            paths.push(facts);
        } else {
            started += usize::from(folder.is_dir());
            store.unfinished.push(entry.name());
        }
    }
    if paths.is_empty() {
        return Err(Error::NoTrials { folder: root, started });
    }
    let texts = ["distortion", "dataset", "device", "data_source", "status"].map(|name| col(name).cast(DataType::String));
    let whole = ["seed", "parameters", "steps", "threads"].map(|name| col(name).cast(DataType::Int64));
    let real = ["test_error", "step_ms"].map(|name| col(name).cast(DataType::Float64));
    let columns: Vec<Expr> = texts.into_iter().chain(whole).chain(real).chain([col("synthetic").cast(DataType::Boolean)]).collect();
    if let Some(frame) = scan_sound(&paths, &columns, &["labels"], &mut store.bad)? {
        let mut read = (0..frame.height()).map(|row| trial(&frame, row, &planned)).collect::<PolarsResult<Vec<_>>>()?;
        read.sort_by(|a, b| a.id.cmp(&b.id));
        name_swept(&mut read);
        store.trials = read;
    }
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

/// One row of facts, without its variant. What is null for a failed trial becomes NaN or 0.
fn trial(frame: &DataFrame, row: usize, planned: &BTreeMap<PathBuf, Planned>) -> PolarsResult<Trial> {
    let text = |name: &str| -> PolarsResult<String> { Ok(frame.column(name)?.str()?.get(row).unwrap_or_default().to_string()) };
    let whole = |name: &str| -> PolarsResult<i64> { Ok(frame.column(name)?.i64()?.get(row).unwrap_or_default()) };
    let real = |name: &str| -> PolarsResult<f64> { Ok(frame.column(name)?.f64()?.get(row).unwrap_or(f64::NAN)) };
    let folder = Path::new(&text(PATH)?).parent().map(Path::to_path_buf).unwrap_or_default();
    let (model, label, differs) = planned.get(&folder).map(|entry| (entry.model.clone(), entry.label.clone(), entry.differs.clone())).unwrap_or_default();
    Ok(Trial {
        id: name(&folder),
        folder,
        model,
        label,
        variant: String::new(),
        swept: Vec::new(),
        distortion: distortion(&text("distortion")?, &differs),
        dataset: text("dataset")?,
        seed: whole("seed")?,
        labels: whole("labels")?,
        parameters: whole("parameters")?,
        steps: whole("steps")?,
        test_error: real("test_error")?,
        step_ms: real("step_ms")?,
        device: text("device")?,
        threads: whole("threads")?,
        data_source: text("data_source")?,
        synthetic: frame.column("synthetic")?.bool()?.get(row).unwrap_or_default(),
        status: text("status")?,
        differs,
    })
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
fn plan(path: &PathBuf, bad: &mut Vec<BadFile>) -> Result<Option<BTreeMap<String, Planned>>> {
    if !path.is_file() {
        return Ok(None);
    }
    let texts = ["trial", "model", "label", "differs"].map(|name| col(name).cast(DataType::String));
    let columns: Vec<Expr> = texts.into_iter().chain([col("seed").cast(DataType::Int64)]).collect();
    let Some(frame) = scan_sound(std::slice::from_ref(path), &columns, &[], bad)? else { return Ok(None) };
    let (ids, seeds) = (frame.column("trial")?.str()?, frame.column("seed")?.i64()?);
    let (models, labels, swept) = (frame.column("model")?.str()?, frame.column("label")?.str()?, frame.column("differs")?.str()?);
    let entry = |row: usize| {
        let entry = Planned { model: models.get(row)?.into(), label: labels.get(row)?.into(), seed: seeds.get(row)?, differs: differs(swept.get(row)?) };
        Some((ids.get(row)?.to_string(), entry))
    };
    Ok(Some((0..frame.height()).filter_map(entry).collect()))
}

/// Reads the metrics of every finished trial, in order of trial, split and step.
pub fn metrics(store: &mut Store) -> Result<Vec<Measurement>> {
    let mut index = BTreeMap::new();
    for (i, trial) in store.trials.iter().enumerate() {
        index.insert(trial.folder.join("metrics.parquet"), i);
    }
    let paths: Vec<PathBuf> = index.keys().cloned().collect();
    let columns = [col("step").cast(DataType::Int64), col("split").cast(DataType::String), col("error").cast(DataType::Float64)];
    let Some(frame) = scan_sound(&paths, &columns, &[], &mut store.bad)? else { return Ok(Vec::new()) };
    let mut measurements = Vec::with_capacity(frame.height());
    let (path, split) = (frame.column(PATH)?.str()?, frame.column("split")?.str()?);
    let (step, error) = (frame.column("step")?.i64()?, frame.column("error")?.f64()?);
    // The rows of a file stand together.
    let mut latest: (Option<&str>, Option<usize>) = (None, None);
    for (((path, split), step), error) in path.iter().zip(split.iter()).zip(step.iter()).zip(error.iter()) {
        if path != latest.0 {
            latest = (path, path.and_then(|path| index.get(Path::new(path)).copied()));
        }
        if let (Some(trial), Some(split), Some(step)) = (latest.1, split, step) {
            measurements.push(Measurement { trial, step, test: split == "test", error: error.unwrap_or(f64::NAN) });
        }
    }
    measurements.sort_by_key(|m| (m.trial, !m.test, m.step));
    Ok(measurements)
}

/// Reads the warped test images of one trial at every moment that was kept, the end last.
pub fn moments(trial: &Trial, bad: &mut Vec<BadFile>) -> Result<Vec<Warp>> {
    warps(trial.folder.join("warps.parquet"), bad)
}

/// Reads a file of warped images, row by row; nothing where there is none.
fn warps(path: PathBuf, bad: &mut Vec<BadFile>) -> Result<Vec<Warp>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let numbers = ["theta", "input", "grid", "output"];
    let shapes = ["input_shape", "grid_shape", "output_shape"];
    let columns: Vec<Expr> = ["sample", "class", "predicted"]
        .iter()
        .map(|name| col(*name).cast(DataType::Int64))
        .chain([col("layer").cast(DataType::String)])
        .chain(numbers.iter().map(|name| col(*name).cast(DataType::List(Box::new(DataType::Float32)))))
        .chain(shapes.iter().map(|name| col(*name).cast(DataType::List(Box::new(DataType::Int64)))))
        .collect();
    let Some(frame) = scan_sound(std::slice::from_ref(&path), &columns, &["step", "trained"], bad)? else { return Ok(Vec::new()) };
    let int = |name: &str| -> PolarsResult<Vec<i64>> { Ok(frame.column(name)?.i64()?.iter().map(Option::unwrap_or_default).collect()) };
    let list = |name: &str, row: usize| -> PolarsResult<Vec<f32>> {
        let Some(values) = frame.column(name)?.list()?.get_as_series(row) else { return Ok(Vec::new()) };
        Ok(values.f32()?.iter().map(|v| v.unwrap_or(f32::NAN)).collect())
    };
    let array = |name: &str, row: usize| -> PolarsResult<Array> {
        let shape = frame.column(&format!("{name}_shape"))?.list()?.get_as_series(row);
        let shape = shape.map_or(Ok(Vec::new()), |s| Ok::<_, PolarsError>(s.i64()?.iter().map(|v| v.unwrap_or(0).max(0) as usize).collect()))?;
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
        if [&warp.input, &warp.grid, &warp.output].into_iter().all(whole) {
            warps.push(warp);
        } else {
            bad.push(BadFile { path, reason: format!("row {row}: the shapes do not fit the lengths of input, grid and output") });
            return Ok(Vec::new());
        }
    }
    Ok(warps)
}

/// Whether a file that can be read has no such column.
fn lacks(path: &Path, column: &str) -> bool {
    let schema = PlRefPath::try_from_path(path).and_then(|path| LazyFrame::scan_parquet(path, ScanArgsParquet::default())?.collect_schema());
    schema.is_ok_and(|schema| !schema.contains(column))
}

/// The column that names the file a row is from.
pub const PATH: &str = "path";

/// One scan over all files; where it fails, each file on its own, and those that cannot be read go to `bad`. The columns of whole numbers in `later` came later: in files from
/// before, all of them would be 1.
pub fn scan_sound(paths: &[PathBuf], columns: &[Expr], later: &[&str], bad: &mut Vec<BadFile>) -> Result<Option<DataFrame>> {
    if paths.is_empty() {
        return Ok(None);
    }
    let scan = |paths: &[PathBuf], one: &dyn Fn(&str) -> bool| {
        let later = later.iter().map(|name| if one(name) { lit(1).alias(*name) } else { col(*name) }.cast(DataType::Int64));
        scan(paths, columns.iter().cloned().chain(later))
    };
    if let Ok(frame) = scan(paths, &|_| false) {
        return Ok(Some(frame));
    }
    let mut whole: Option<DataFrame> = None;
    for path in paths {
        match scan(std::slice::from_ref(path), &|name| lacks(path, name)) {
            Ok(frame) => match &mut whole {
                Some(whole) => {
                    whole.vstack_mut_owned(frame)?;
                }
                None => whole = Some(frame),
            },
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot be read");
                bad.push(BadFile { path: path.clone(), reason: reason(path, &error) });
            }
        }
    }
    Ok(whole)
}

fn scan(paths: &[PathBuf], columns: impl Iterator<Item = Expr>) -> PolarsResult<DataFrame> {
    let sources = paths.iter().map(|path| PlRefPath::try_from_path(path)).collect::<PolarsResult<Vec<_>>>()?;
    let arguments = ScanArgsParquet { include_file_paths: Some(PATH.into()), glob: false, cache: false, ..Default::default() };
    let columns = columns.chain([col(PATH)]).collect::<Vec<_>>();
    let mut frame = LazyFrame::scan_parquet_files(sources.into(), arguments)?.select(columns).collect()?;
    // A piece a file: to look a row up would take as long as there are files.
    frame.rechunk_mut();
    Ok(frame)
}

/// The first line of what polars says, without its tail of query plans.
fn reason(path: &Path, error: &PolarsError) -> String {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() == 0 => "the file is empty".into(),
        Err(error) => error.to_string(),
        Ok(_) => error.to_string().lines().next().unwrap_or_default().trim().to_string(),
    }
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
