//! The shortened forms of experiments that ask for nothing but the embedded sample.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// Runs `experiments/NAME.toml` with arguments on the embedded sample, in `folder`; its results and what it printed.
fn shortened(folder: &Path, name: &str, arguments: &[&str]) -> (PathBuf, String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments").join(name).with_extension("toml");
    let common = ["dataset.source=embedded", "dataset.train_limit=200", "dataset.test_limit=60", "train.evaluate_every=2", "sweep.seeds=1"];
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("stn"));
    let ran = command.current_dir(folder).arg("run").arg(file).args(common).args(arguments).assert().success();
    (folder.join("results").join(name), String::from_utf8_lossy(&ran.get_output().stdout).into_owned())
}

#[test]
fn two_digits_are_added_by_one_transformer_and_by_two() {
    let folder = tempfile::tempdir().unwrap();
    let (results, said) = shortened(folder.path(), "mnist_addition", &["train.steps=4", "train.batch=16"]);
    let labels = ["FCN", "CNN", "ST-FCN Aff", "ST-FCN Proj", "ST-FCN TPS", "2xST-FCN Aff", "2xST-FCN Proj", "2xST-FCN TPS"];
    assert!(labels.iter().all(|label| said.contains(label)) && said.contains("added in pairs"), "{said}");
    // Both transformers of a pair are shown.
    let montage = std::fs::read_to_string(results.join("report/montage_RTS.csv")).unwrap();
    assert!(["parallel_st1.1", "parallel_st1.2"].iter().all(|layer| montage.contains(layer)), "{montage}");
}

#[test]
fn a_digit_is_looked_for_with_and_without_clutter() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = ["train.objective.encoder.dataset.source=embedded", "train.objective.encoder.train.steps=4"];
    let few = ["dataset.images=12", "train.steps=4", "train.batch=8", "sweep.grid.\"dataset.class\"=[3]", "sweep.grid.\"dataset.clutter\"=[0, 5]"];
    let (results, said) = shortened(folder.path(), "mnist_colocalise", &[&encoder[..], &few].concat());
    assert!(said.contains("clutter=0") && said.contains("clutter=5") && said.contains("placed to be found"), "{said}");
    // Of the one class ten images are shown, not one.
    let montage = std::fs::read_to_string(results.join("report/montage_none.csv")).unwrap();
    let samples: std::collections::BTreeSet<&str> = montage.lines().skip(1).filter_map(|line| line.rsplit(',').nth(3)).collect();
    assert!(samples.len() >= 10, "{montage}");
}

#[test]
fn digits_in_volumes_are_turned_and_flattened() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["dataset.size=24", "train.steps=4", "train.batch=8"];
    let (results, said) = shortened(folder.path(), "mnist_3d", &small);
    assert!(["CNN", "ST-CNN", "ST-CNN x 2"].iter().all(|label| said.contains(label)) && said.contains("extruded in volumes"), "{said}");
    assert!(results.join("report/montage_none.png").is_file());
}
