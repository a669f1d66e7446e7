//! Trials on a file of the user's own, whose shape is known only once it is open, and whose content may change.

use std::path::Path;

use candle_core::{Device, Tensor};
use stn_lab::{Experiment, RunOptions, Silent, run};

use crate::tiny::{folder_of, go, go_with, parse, registry};

/// Writes 24 images of 12 x 12 in 3 classes, all of one grey.
fn write(path: &Path, grey: f32) {
    let images = Tensor::full(grey, (24, 12, 12), &Device::Cpu).unwrap();
    let labels = Tensor::from_iter((0..24).map(|i| i64::from(i % 3)), &Device::Cpu).unwrap();
    Tensor::write_npz(&[("x", images), ("y", labels)], path).unwrap();
}

fn file(data: &Path, first: &str) -> String {
    format!(
        r#"
[dataset]
kind = "npz"
path = '{}'
[train]
steps = 1
batch = 8
[models.a]
layers = [{first}, {{ fc = "classes" }}]
[models.b]
layers = [{{ st = {{ transform = "afine", localiser = [{{ fc = 8 }}] }} }}, {{ fc = "classes" }}]
[sweep]
seeds = [0, 1]
[sweep.grid]
model = ["a"]
"#,
        data.display()
    )
}

fn experiment(text: &str, overrides: &[&str]) -> Experiment {
    parse("own", text, overrides)
}

/// What is said of an experiment that is not run.
fn mistakes(experiment: &Experiment, out: &Path) -> String {
    run(experiment, &RunOptions::new(out, 1), &registry(), &Silent).unwrap_err().to_string()
}

#[test]
fn a_trial_runs_again_where_its_data_has_changed_and_only_there() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("own.npz");
    write(&data, 0.5);
    let experiment = experiment(&file(&data, "{ conv = [4, 5] }"), &[]);
    let ran = || go(&experiment, folder.path());
    assert_eq!(ran().trained.len(), 2);
    assert_eq!(ran().already_done.len(), 2, "the same data");
    write(&data, 0.25);
    assert_eq!(ran().trained.len(), 2, "other data under the same name");
    std::fs::remove_file(&data).unwrap();
    assert_eq!(ran().already_done.len(), 2, "data that is gone, and no trial that needs it");
}

#[test]
fn networks_that_do_not_fit_are_shown_with_their_lines_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("own.npz");
    write(&data, 0.5);
    let experiment = experiment(&file(&data, "{ conv = [4, 15] }"), &["model=[\"a\", \"b\"]"]);
    let error = mistakes(&experiment, folder.path());
    for word in ["own.toml:9:", "own.toml:11:", "layers = [{ conv = [4, 15] }", "did you mean `affine`?", "2 mistakes; nothing was run"] {
        assert!(error.contains(word), "{word} is not in:\n{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("trials")).unwrap().count(), 0);
}

#[test]
fn a_swept_value_that_does_not_fit_is_shown_in_the_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("own.npz");
    write(&data, 0.5);
    let text = file(&data, "{ conv = [4, 5] }").replace("model = [\"a\"]", "model = [\"a\"]\n\"models.a.layers.0.conv\" = [[4, 5], [4, 15]]");
    let error = mistakes(&experiment(&text, &[]), folder.path());
    assert!(error.contains("own.toml:16:") && error.contains("1 mistake;"), "{error}");
}

#[test]
fn a_trial_that_diverged_runs_again_where_its_data_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("own.npz");
    write(&data, 0.5);
    let experiment = experiment(&file(&data, "{ conv = [4, 5] }"), &["train.lr=1e38", "train.steps=5", "sweep.seeds=1"]);
    let log = folder_of(folder.path(), &experiment.trials()[0]).join("trial.log");
    let times_run = || {
        assert_eq!(go(&experiment, folder.path()).failed.len(), 1);
        std::fs::read_to_string(&log).unwrap().matches(" data source=").count()
    };
    assert_eq!([times_run(), times_run()], [1, 1], "the same data");
    write(&data, 0.25);
    assert_eq!(times_run(), 2, "other data");
}

#[test]
fn a_trial_is_not_compared_with_those_on_other_data_under_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("own.npz");
    write(&data, 0.5);
    let rule = r#"prune={ kind = "median", metric = "train_loss", min_steps = 10, min_trials = 2 }"#;
    let steps = ["train.steps=20", "train.log_every=10"];
    let experiment = experiment(&file(&data, "\"relu\""), &[rule, steps[0], steps[1], "sweep.seeds=1", "sweep.grid.train.lr=[1e-9, 1e-8, 1.0]"]);
    let first = go(&experiment, folder.path());
    assert_eq!((first.trained.len(), first.pruned.len()), (2, 1), "{first:?}");
    write(&data, 0.25);
    let worst = vec![experiment.trials()[2].id.clone()];
    let options = RunOptions { only: Some(worst.clone()), ..RunOptions::new(folder.path(), 1) };
    let alone = go_with(&experiment, &options);
    assert_eq!(alone.trained, worst, "nobody else came so far on this data: {alone:?}");
}
