//! Event files for TensorBoard, made from the store: one run a trial.
//!
//! A run has the curves of loss, error and learning rate; what goes into each transformer and comes out of it, over the training; its configuration as text; and, for the table of
//! hyperparameters, the keys of the sweep. Times are those of the trial, not of the report: made again, a file is the same byte for byte.

mod event;
mod pictures;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::DateTime;
use polars::prelude::{DataFrame, DataType, PolarsResult};
use stn_data::whole_file;

use crate::error::{Error, Result};
use crate::query::columns::{each, wanted};
use crate::query::{self, Store, Trial};
use event::{Event, HParams, Hyperparameter, SessionEnd, SessionStart, Summary, Value};

/// What stands at the start of every event file, in its name.
const PREFIX: &str = "events.out.tfevents.";

/// When a trial ran.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Seconds since 1970 when it started.
    started: f64,
    /// Seconds it took.
    took: f64,
}

/// A row of metrics.
#[derive(Debug, Clone)]
struct Row {
    step: i64,
    split: String,
    loss: f64,
    error: f64,
    lr: f64,
}

/// Writes `folder/RUN/events.out.tfevents.SECONDS.TRIAL` for every trial, and removes the event files of earlier reports whose trials are no longer there.
pub fn write(folder: &Path, store: &mut Store) -> Result<()> {
    let rows = metrics(store);
    let names = run_names(&store.trials);
    let mut written = Vec::new();
    let trials = std::mem::take(&mut store.trials);
    for (i, trial) in trials.iter().enumerate() {
        let times = times(trial);
        let events = events(trial, times, &rows[i], &query::moments(trial, &mut store.bad))?;
        let mut bytes = Vec::new();
        events.iter().for_each(|event| record::append(&mut bytes, event));
        let run = folder.join(&names[i]);
        std::fs::create_dir_all(&run).map_err(failed("make the folder", &run))?;
        let path = run.join(format!("{PREFIX}{}.{}", times.started as i64, trial.id));
        // It is made again from the same trials: a crash of the machine may lose it.
        whole_file::write_unsynced(&path, &bytes).map_err(failed("write", &path))?;
        written.push(path);
    }
    store.trials = trials;
    remove_stale(folder, &written)
}

/// Everything that is shown of a trial, by time.
fn events(trial: &Trial, times: Times, rows: &[Row], moments: &[query::Warp]) -> Result<Vec<Event>> {
    let last = rows.iter().map(|row| row.step).max().unwrap_or(0).max(1);
    // Only the whole time is known: it is spread evenly over the steps.
    let at = |step: i64, values: Vec<Value>| Event {
        wall_time: times.started + times.took * (step.min(last) as f64 / last as f64),
        step,
        summary: Some(Summary { value: values }),
        file_version: None,
    };
    let mut events = vec![Event { wall_time: times.started, file_version: Some("brain.Event:2".into()), ..Event::default() }];
    let start = SessionStart { hparams: hyperparameters(trial), group_name: group(trial), start_time_secs: times.started };
    events.push(at(0, vec![Value::session("_hparams_/session_start_info", &HParams { session_start_info: Some(start), session_end_info: None })]));
    events.push(at(0, vec![Value::text("configuration/text_summary", &configuration(trial))]));
    for row in rows {
        let values = [("loss", row.loss), ("error", row.error)].map(|(what, number)| Value::number(format!("{what}/{}", row.split), number));
        events.push(at(row.step, values.into_iter().chain((row.split == "train").then(|| Value::number("lr", row.lr))).collect()));
    }
    for warp in moments {
        events.push(at(warp.trained, vec![pictures::value(warp)?]));
    }
    let status = if trial.status.starts_with("failed") || trial.status.starts_with("diverged") { 2 } else { 1 };
    let end = SessionEnd { status, end_time_secs: times.started + times.took };
    events.push(at(last, vec![Value::session("_hparams_/session_end_info", &HParams { session_start_info: None, session_end_info: Some(end) })]));
    events[1..].sort_by_key(|event| event.step);
    Ok(events)
}

/// What the sweep sets: model, distortion, and every other key but the seed, over which TensorBoard takes the mean.
fn hyperparameters(trial: &Trial) -> BTreeMap<String, Hyperparameter> {
    let always = [("model", trial.label.as_str()), ("distortion", &trial.distortion)];
    let swept = trial.swept.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    always.into_iter().chain(swept).map(|(key, value)| (key.to_owned(), Hyperparameter::new(value))).collect()
}

/// What trials that differ in the seed alone have in common.
fn group(trial: &Trial) -> String {
    [trial.label.as_str(), &trial.distortion, &trial.variant].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Facts and configuration as Markdown.
fn configuration(trial: &Trial) -> String {
    let error = if trial.test_error.is_finite() { format!("{:.2} %", trial.test_error) } else { "none".into() };
    let lines = [
        ("trial", trial.id.clone()),
        ("status", trial.status.clone()),
        ("test error", error),
        ("parameters", trial.parameters.to_string()),
        ("data", format!("{}{}", trial.data_source, if trial.synthetic { " (synthetic)" } else { "" })),
        ("device", format!("{}, {} threads", trial.device, trial.threads)),
    ];
    let table: String = lines.iter().map(|(key, value)| format!("| {key} | {} |\n", value.replace('|', "\\|").replace('\n', " "))).collect();
    let config = serde_json::from_str::<serde_json::Value>(trial.facts.config()).and_then(|config| serde_json::to_string_pretty(&config));
    let config: String = config.unwrap_or_else(|_| trial.facts.config().into()).lines().map(|line| format!("    {line}\n")).collect();
    format!("| | |\n|---|---|\n{table}\n{config}")
}

/// A folder's name for every trial, no two alike.
fn run_names(trials: &[Trial]) -> Vec<String> {
    let distortions: BTreeSet<&str> = trials.iter().map(|trial| trial.distortion.as_str()).collect();
    let name = |trial: &Trial| {
        let distortion = if distortions.len() > 1 { trial.distortion.as_str() } else { "" };
        let seed = format!("seed {}", trial.seed);
        let whole = [trial.label.as_str(), distortion, &trial.variant, &seed].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        let plain: String = whole.chars().map(|c| if c.is_alphanumeric() || " -_=,+()".contains(c) || (c == '.') { c } else { '_' }).take(LONGEST).collect();
        plain.trim_matches(['.', ' ']).to_owned()
    };
    let names: Vec<String> = trials.iter().map(name).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    // File systems that tell no case apart would put two runs in one folder.
    names.iter().for_each(|name| *seen.entry(name.to_lowercase()).or_default() += 1);
    let unique = |(name, trial): (String, &Trial)| if seen[&name.to_lowercase()] > 1 { format!("{name} {}", trial.id) } else { name };
    names.into_iter().zip(trials).map(unique).collect()
}

/// The most letters of a run's name before its trial; file systems take some 250 bytes.
const LONGEST: usize = 100;

/// When a trial started, and how long it took.
fn times(trial: &Trial) -> Times {
    let started = trial.facts.text("started").and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let took = trial.facts.text("wall_seconds").and_then(|text| text.parse::<f64>().ok());
    Times { started: started.map_or(0.0, |time| time.timestamp_millis() as f64 / 1000.0), took: took.unwrap_or(0.0).max(0.0) }
}

/// The metrics of every trial, in order.
fn metrics(store: &mut Store) -> Vec<Vec<Row>> {
    let there = |trial: &Trial| Some(trial.folder.join("metrics.parquet")).filter(|path| path.is_file());
    let paths: Vec<Option<PathBuf>> = store.trials.iter().map(there).collect();
    let columns: Vec<_> = wanted(["loss", "error", "lr"], &DataType::Float64)
        .into_iter()
        .chain(wanted(["step"], &DataType::Int64))
        .chain(wanted(["split"], &DataType::String))
        .collect();
    let files: Vec<PathBuf> = paths.iter().flatten().cloned().collect();
    let mut read = each(&files, &columns, &mut store.bad, rows_of).into_iter();
    paths.iter().map(|path| path.as_ref().and_then(|_| read.next()?).unwrap_or_default()).collect()
}

/// The rows of a file of metrics.
fn rows_of(frame: &DataFrame) -> PolarsResult<Vec<Row>> {
    let (step, split) = (frame.column("step")?.i64()?, frame.column("split")?.str()?);
    let [loss, error, lr] = ["loss", "error", "lr"].map(|name| frame.column(name).and_then(|column| column.f64()));
    let (loss, error, lr) = (loss?, error?, lr?);
    let number = |of: Option<f64>| of.unwrap_or(f64::NAN);
    let row = |i: usize| Row {
        step: step.get(i).unwrap_or(0),
        split: split.get(i).unwrap_or_default().to_owned(),
        loss: number(loss.get(i)),
        error: number(error.get(i)),
        lr: number(lr.get(i)),
    };
    Ok((0..frame.height()).map(row).collect())
}

/// Removes event files that an earlier report wrote and this one has not, and the folders that are empty then.
fn remove_stale(folder: &Path, written: &[PathBuf]) -> Result<()> {
    let written: BTreeSet<&PathBuf> = written.iter().collect();
    for run in std::fs::read_dir(folder).map_err(failed("list", folder))?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(&run).map_err(failed("list", &run))?.flatten().map(|entry| entry.path()) {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if is_ours(name) && !written.contains(&file) {
                std::fs::remove_file(&file).map_err(failed("remove", &file))?;
            }
        }
        // Where something else is in it, it stays.
        let _ = std::fs::remove_dir(&run);
    }
    Ok(())
}

/// Whether a file has the name that a report gives: seconds and a trial, where others have seconds and a machine.
fn is_ours(name: &str) -> bool {
    let parts = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(seconds, trial)| seconds.parse::<i64>().is_ok() && trial.len() == 16 && trial.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
