//! A tiny experiment on a few embedded digits.

use std::path::{Path, PathBuf};

use stn_core::Registry;
use stn_lab::{Experiment, RunOptions, RunSummary, Silent, Trial};

/// One trial.
const FILE: &str = r#"
name = "tiny"
[dataset]
kind = "mnist"
source = "embedded"
distortion = "R"
train_limit = 120
test_limit = 50
[train]
steps = 6
batch = 16
lr = 0.05
optimizer = { kind = "sgd", momentum = 0.9 }
log_every = 2
evaluate_every = 4
[models.st]
label = "ST-FCN"
layers = [{ st = { transform = "affine", localiser = [{ fc = 8 }, "relu"] } }, { conv = [4, 5] }, "relu", { max = 2 }, { dropout = 0.5 }, { fc = "classes" }]
"#;

pub fn registry() -> Registry {
    stn_plugins::standard().unwrap()
}

/// The experiment of a text, as if it were the file `NAME.toml`.
pub fn parse(name: &str, text: &str, overrides: &[&str]) -> Experiment {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Experiment::parse(text, &format!("{name}.toml"), name, &overrides, &registry()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The tiny experiment.
pub fn experiment(overrides: &[&str]) -> Experiment {
    parse("tiny", FILE, overrides)
}

/// Runs on one thread.
pub fn go(experiment: &Experiment, out: &Path) -> RunSummary {
    go_with(experiment, &RunOptions::new(out, 1))
}

pub fn go_with(experiment: &Experiment, options: &RunOptions) -> RunSummary {
    stn_lab::run(experiment, options, &registry(), &Silent).unwrap()
}

/// The folder of a trial that has ended.
pub fn folder_of(out: &Path, trial: &Trial) -> PathBuf {
    out.join("trials").join(&trial.id)
}
