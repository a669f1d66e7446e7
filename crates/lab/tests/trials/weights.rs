//! Trials that start from the weights of others.

use std::path::{Path, PathBuf};

use stn_lab::{Experiment, RunOptions, Silent, run};

use crate::tiny::{experiment, folder_of, go, registry};

/// A trained network's weights, from a learning rate.
fn trained(out: &Path, lr: &str) -> PathBuf {
    let experiment = experiment(&[lr]);
    go(&experiment, out);
    folder_of(out, &experiment.trials()[0]).join("weights.safetensors")
}

fn starting_from(file: &Path, overrides: &[&str]) -> Experiment {
    let weights = format!("models.st.weights={{ file = '{}', except = ['fc1'] }}", file.display());
    experiment(&[&[weights.as_str(), "train.steps=1", "train.lr=1e-30"], overrides].concat())
}

fn mistakes(overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let text = "[dataset]\nkind = \"mnist\"\nsource = \"embedded\"\n[train]\nsteps = 1\n[models.a]\nlayers = [{ fc = 4 }, { fc = \"classes\" }]\n";
    Experiment::parse(text, "x.toml", "x", &overrides, &registry()).unwrap_err().to_string()
}

#[test]
fn a_trial_starts_from_a_file_and_keeps_what_the_file_does_not_hold_as_drawn() {
    let out = tempfile::tempdir().unwrap();
    let file = trained(out.path(), "train.lr=0.05");
    let started = starting_from(&file, &[]);
    // At a learning rate of next to nothing the weights are those it started from.
    go(&started, out.path());
    let drawn = experiment(&["train.steps=1", "train.lr=1e-30"]);
    go(&drawn, out.path());
    let read = |path: PathBuf| candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    let weights_of = |experiment: &Experiment| read(folder_of(out.path(), &experiment.trials()[0]).join("weights.safetensors"));
    let (given, found, drawn) = (read(file), weights_of(&started), weights_of(&drawn));
    let numbers = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (name, tensor) in &found {
        let (from_file, from_draw) = (numbers(&given[name]), numbers(&drawn[name]));
        let expected = if name.starts_with("fc1.") { from_draw } else { from_file };
        assert!(numbers(tensor).iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{name}");
    }
}

#[test]
fn a_trial_is_known_by_the_content_of_its_file_wherever_that_lies() {
    let out = tempfile::tempdir().unwrap();
    let (one, other) = (trained(out.path(), "train.lr=0.05"), trained(out.path(), "train.lr=0.01"));
    let copy = out.path().join("copy.safetensors");
    std::fs::copy(&one, &copy).unwrap();
    let id = |file: &Path| starting_from(file, &[]).trials()[0].id.clone();
    assert_eq!(id(&one), id(&copy));
    assert_ne!(id(&one), id(&other));
    assert_ne!(id(&one), experiment(&["train.steps=1", "train.lr=1e-30"]).trials()[0].id);
    let planned = starting_from(&copy, &[]);
    std::fs::copy(&other, &copy).unwrap();
    let summary = run(&planned, &RunOptions::new(out.path(), 1), &registry(), &Silent).unwrap();
    assert!(summary.failed[0].1.contains("has changed since this run was planned"), "{:?}", summary.failed);
}

#[test]
fn a_file_that_is_missing_or_does_not_fit_is_shown_before_anything_is_trained() {
    let missing = mistakes(&["models.a.weights=nowhere.safetensors"]);
    assert!(missing.contains("cannot read nowhere.safetensors") && missing.contains("its path is from the folder"), "{missing}");
    let out = tempfile::tempdir().unwrap();
    let text = out.path().join("text.safetensors");
    std::fs::write(&text, "no weights").unwrap();
    let torn = mistakes(&[&format!("models.a.weights={}", text.display())]);
    assert!(torn.contains("is no file of safetensors"), "{torn}");
    let file = trained(out.path(), "train.lr=0.05");
    let misfit = mistakes(&[&format!("models.a.weights={}", file.display())]);
    assert!(misfit.contains("`fc1.weight` is 4 x 784 here and 10 x 576 in the file") && misfit.contains("except = [\"fc1\"]"), "{misfit}");
}
