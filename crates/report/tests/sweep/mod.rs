//! Made-up sweeps for the page: moments of the training, configurations, trials that failed, names with markup.

use super::fixture::{Fixture, Planned, facts, plan, save, trial};
use super::misread;
use polars::prelude::*;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use stn_report::{Options, write};

/// A label that would run as a script, were it not escaped.
pub const HARM: &str = "</script><img src=x onerror=\"document.title='harmed';window.harmed=1\">";

/// A folder of results with its report.
pub struct Made {
    _root: Option<tempfile::TempDir>,
    dir: PathBuf,
}

/// Writes a sweep's results and their report.
pub fn made(sweep: impl FnOnce(&Path)) -> Made {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("sweep");
    Made { _root: Some(root), ..made_in(dir, sweep) }
}

/// The same in a folder that stays, and is emptied at first.
pub fn made_in(dir: PathBuf, sweep: impl FnOnce(&Path)) -> Made {
    fs::remove_dir_all(&dir).ok();
    sweep(&dir);
    write(&dir, &Options::default()).unwrap();
    Made { _root: None, dir }
}

/// The file of the page.
pub fn page(made: &Made) -> PathBuf {
    made.dir.join("report/index.html")
}

fn small() -> Fixture {
    let models = ["CNN", "ST-CNN affine", "ST-CNN projective"].map(str::to_string).to_vec();
    let experiment = "[sweep.grid]\nmodel = [\"cnn\", \"st-cnn affine\", \"st-cnn projective\"]\n".to_string();
    Fixture { models, distortions: vec!["R", "E"], plain: 1, experiment, ..Fixture::quickstart() }
}

/// Three models, two distortions, two seeds; a trial that diverged, one that failed, one not finished.
pub fn sweep() -> impl FnOnce(&Path) {
    |dir| {
        let fixture = small();
        fixture.write(dir);
        for (d, m, seed) in all(&fixture) {
            let folder = trial(dir, d, m, seed);
            configure(&folder, &fixture.models[m], seed);
            if m > 0 && d == 0 {
                misread::worst(&folder);
            }
            moments(&folder);
            if m > 0 {
                let (classes, answers) = (vec![0i64, 0, 1, 1, 2], vec![0i64, 1, 1, 2, 2]);
                let mut confused = df!("head" => vec![0i64; 5], "class" => classes, "predicted" => answers, "images" => vec![40i64, 10, 45, 5, 50]).unwrap();
                save(&folder.join("confusion.parquet"), &mut confused);
            }
        }
        diverge(&trial(dir, 1, 2, 1));
        let failed = dir.join("trials/failed");
        fs::create_dir_all(&failed).unwrap();
        save(&failed.join("facts.parquet"), &mut facts(&failed, "R", 2, 400, f64::NAN, f64::NAN, false));
        set(&failed, &[("status", "failed: out of memory")]);
        save(&failed.join("metrics.parquet"), &mut read(&trial(dir, 0, 0, 0).join("metrics.parquet")).head(Some(0)));
        extend_plan(dir, "failed", "cnn", "CNN", 2);
        extend_plan(dir, "waiting", "cnn", "CNN", 3);
    }
}

/// Names, values and reasons with markup in them.
pub fn hostile() -> impl FnOnce(&Path) {
    |dir| {
        let models = vec![HARM.to_string(), "{{data}}<!--".to_string()];
        let fixture =
            Fixture { models, distortions: vec!["<b>E</b>", "<i onmouseover=alert(1)>"], plain: 1, experiment: String::new(), ..Fixture::quickstart() };
        fixture.write(dir);
        for (d, m, seed) in all(&fixture) {
            let folder = trial(dir, d, m, seed);
            let long = "unbroken".repeat(40);
            let config = "{\"</script><script>window.harmed=1</script>\":\"<img src=x onerror=window.harmed=1>\"}";
            set(&folder, &[("dataset", "<b>mnist</b>"), ("data_source", &long), ("revision", HARM), ("config", config)]);
        }
        set(&trial(dir, 0, 0, 0), &[("status", &format!("failed: {HARM}"))]);
    }
}

/// One trial, without a transformer.
pub fn one() -> Box<dyn FnOnce(&Path)> {
    Box::new(|dir| Fixture { models: vec!["CNN".into()], distortions: vec!["none"], seeds: 1, ..small() }.write(dir))
}

/// No trial ended well, and none was ever evaluated.
pub fn failed() -> Box<dyn FnOnce(&Path)> {
    Box::new(|dir| {
        let fixture = Fixture { seeds: 1, ..small() };
        fixture.write(dir);
        for (d, m, seed) in all(&fixture) {
            let folder = trial(dir, d, m, seed);
            fs::remove_file(folder.join("warps.parquet")).ok();
            save(&folder.join("metrics.parquet"), &mut read(&folder.join("metrics.parquet")).head(Some(0)));
            save(&folder.join("facts.parquet"), &mut facts(&folder, fixture.distortions[d], seed, 400, f64::NAN, f64::NAN, true));
            set(&folder, &[("status", "failed: the disk is full")]);
        }
    })
}

/// As results were before pictures were kept during the training.
pub fn from_before() -> Box<dyn FnOnce(&Path)> {
    Box::new(|dir| small().write(dir))
}

/// Volumes of two channels, bent by a transformer that is applied twice.
pub fn volumes() -> Box<dyn FnOnce(&Path)> {
    Box::new(|dir| {
        let fixture = Fixture { distortions: vec!["none"], seeds: 1, steps: 2, ..small() };
        fixture.write(dir);
        for (d, m, seed) in all(&fixture).into_iter().filter(|(_, m, _)| *m > 0) {
            let path = trial(dir, d, m, seed).join("warps.parquet");
            let mut frame = read(&path);
            let (count, (depth, side)) = (frame.height(), (4, 6));
            let volume = |i: usize| (0..2 * depth * side * side).map(|at| ((at * 7 + i * 13) % 29) as f32 / 28.0).collect::<Vec<_>>();
            let bent = |i: usize| {
                (0..depth * side * side).flat_map(|at| [(at % side) as f32 / 3.0 - 0.9, (at / side % side) as f32 / 4.0 - 0.5, i as f32 / 40.0]).collect()
            };
            let lists = |of: &dyn Fn(usize) -> Vec<f32>| (0..count).map(|i| Series::new("".into(), of(i))).collect::<Vec<_>>();
            let shape = |dims: [usize; 4]| vec![Series::new("".into(), dims.map(|n| n as i64)); count];
            let arrays = [("input", lists(&volume)), ("grid", lists(&bent)), ("output", lists(&|i| volume(i + 1)))];
            let shapes = [("input_shape", [2, depth, side, side]), ("grid_shape", [depth, side, side, 3]), ("output_shape", [2, depth, side, side])];
            for (name, column) in arrays.into_iter().chain(shapes.map(|(name, dims)| (name, shape(dims)))) {
                frame.with_column(Series::new(name.into(), column).into()).unwrap();
            }
            save(&path, &mut frame);
            moments(&trial(dir, d, m, seed));
        }
    })
}

/// Ten models on three distortions over ten seeds, with 200 rows of metrics each.
pub fn three_hundred() -> impl FnOnce(&Path) {
    |dir| {
        let models: Vec<String> = (0..10).map(|i| format!("model {i}")).collect();
        let fixture = Fixture { models, distortions: vec!["R", "RTS", "E"], seeds: 10, plain: 2, experiment: String::new(), ..small() };
        fixture.write(dir);
        for (d, m, seed) in all(&fixture) {
            let folder = trial(dir, d, m, seed);
            configure(&folder, &fixture.models[m], seed);
            let errors: Vec<f64> = (0..200u64).map(|i| 90.0 / (1 + i / 2) as f64 + (i * 7919 + 31 * seed as u64) as f64 % 97.0 / 61.0).collect();
            let steps: Vec<i64> = (0..200).map(|i| 60 * (i / 2 + 1)).collect();
            let splits: Vec<&str> = (0..200).map(|i| if i % 2 == 0 { "train" } else { "test" }).collect();
            let mut metrics = df!("step" => steps, "split" => splits, "loss" => &errors, "error" => &errors, "lr" => vec![0.1; 200]).unwrap();
            save(&folder.join("metrics.parquet"), &mut metrics);
            if seed == 0 {
                moments(&folder);
            }
        }
    }
}

/// Every trial of a fixture: distortion, model, seed.
fn all(fixture: &Fixture) -> Vec<(usize, usize, i64)> {
    let (distortions, models) = (fixture.distortions.len(), fixture.models.len());
    (0..distortions).flat_map(|d| (0..models).flat_map(move |m| (0..fixture.seeds).map(move |seed| (d, m, seed)))).collect()
}

fn read(path: &Path) -> DataFrame {
    ParquetReader::new(File::open(path).unwrap()).finish().unwrap()
}

/// Puts other texts into a trial's facts.
fn set(folder: &Path, texts: &[(&str, &str)]) {
    let path = folder.join("facts.parquet");
    let mut frame = read(&path);
    for (name, text) in texts {
        frame.with_column(Series::new((*name).into(), [*text]).into()).unwrap();
    }
    save(&path, &mut frame);
}

/// Gives a trial a configuration as the lab writes it.
fn configure(folder: &Path, model: &str, seed: i64) {
    let transformer = model.strip_prefix("ST-CNN ").map(|transform| format!("{{\"st\":{{\"transform\":\"{transform}\"}}}},")).unwrap_or_default();
    let config =
        format!("{{\"network\":{{\"layers\":[{transformer}{{\"fc\":10}}]}},\"seed\":{seed},\"train\":{{\"lr\":0.1,\"optimizer\":{{\"kind\":\"sgd\"}}}}}}");
    set(folder, &[("config", &config)]);
}

/// Makes the last evaluations of a trial NaN, and its status that of one that diverged.
fn diverge(folder: &Path) {
    let path = folder.join("metrics.parquet");
    let frame = read(&path);
    let errors: Vec<f64> = frame.column("error").unwrap().f64().unwrap().iter().enumerate().map(|(i, e)| if i < 34 { e.unwrap() } else { f64::NAN }).collect();
    save(&path, frame.clone().with_column(Series::new("error".into(), errors).into()).unwrap());
    let path = folder.join("facts.parquet");
    save(&path, read(&path).with_column(Series::new("test_error".into(), [f64::NAN]).into()).unwrap());
    set(folder, &[("status", "diverged: the loss is NaN at step 1021")]);
}

/// Adds a trial to the plan.
fn extend_plan(dir: &Path, id: &str, model: &str, label: &str, seed: i64) {
    let frame = read(&dir.join("plan.parquet"));
    let text = |name: &str, row: usize| frame.column(name).unwrap().str().unwrap().get(row).unwrap().to_string();
    let row =
        |i: usize| (text("trial", i), text("model", i), text("label", i), frame.column("seed").unwrap().i64().unwrap().get(i).unwrap(), text("differs", i));
    let mut trials: Vec<Planned> = (0..frame.height()).map(row).collect();
    trials.push((id.into(), model.into(), label.into(), seed, format!("{{\"dataset.distortion\":\"R\",\"model\":\"{model}\"}}")));
    plan(dir, &trials);
}

/// Gives a trial's warps seven moments: from the identity to what they are.
fn moments(folder: &Path) {
    let path = folder.join("warps.parquet");
    if !path.is_file() {
        return;
    }
    let frame = read(&path);
    let lists = |name: &str| -> Vec<Vec<f32>> {
        let column = frame.column(name).unwrap().list().unwrap();
        (0..frame.height()).map(|row| column.get_as_series(row).unwrap().f32().unwrap().iter().map(Option::unwrap).collect()).collect()
    };
    let (inputs, grids, outputs) = (lists("input"), lists("grid"), lists("output"));
    let mut whole: Option<DataFrame> = None;
    for (i, trained) in [0i64, 37, 75, 150, 300, 600, 1200].into_iter().enumerate() {
        let share = i as f32 / 6.0;
        let mix = |a: &[f32], b: &[f32]| Series::new("".into(), a.iter().zip(b).map(|(a, b)| a + share * (b - a)).collect::<Vec<f32>>());
        let shrunk = |grid: &Vec<f32>| mix(&grid.iter().map(|v| 0.5 * v).collect::<Vec<f32>>(), grid);
        let mut moment = frame.clone();
        let grid: Vec<Series> = grids.iter().map(shrunk).collect();
        let output: Vec<Series> = inputs.iter().zip(&outputs).map(|(input, output)| mix(input, output)).collect();
        for column in [Series::new("grid".into(), grid), Series::new("output".into(), output), Series::new("trained".into(), vec![trained; frame.height()])] {
            moment.with_column(column.into()).unwrap();
        }
        whole = Some(match whole {
            Some(whole) => whole.vstack(&moment).unwrap(),
            None => moment,
        });
    }
    save(&path, &mut whole.unwrap());
}
