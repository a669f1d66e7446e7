//! The experiment on drawn digits, shortened, and what says that they are drawn.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

fn stn(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("stn"));
    command.current_dir(folder);
    command
}

fn experiment() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/street_digits.toml")
}

#[test]
fn drawn_digits_are_trained_on_and_the_report_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let shortened = ["train.steps=2", "train.batch=8", "dataset.test=20", "sweep.seeds=1"];
    stn(folder.path()).arg("run").arg(experiment()).args(shortened).assert().success().stdout(contains("synthetic"));
    let report = folder.path().join("results/street_digits/report");
    for file in ["table.md", "learning_curves.svg", "montage_none.png"] {
        assert!(report.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    assert!(std::fs::read_to_string(report.join("table.md")).unwrap().contains("synthetic"));
}

#[test]
fn a_file_to_test_on_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["train.steps=2", "sweep.seeds=1", "dataset.test_path=crops.npz"];
    stn(folder.path()).arg("run").arg(experiment()).args(arguments).assert().failure().stderr(contains("cannot read crops.npz"));
}

#[test]
fn drawn_numbers_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["street_numbers", "street_digits"] {
        stn(folder.path()).args(["data", "preview", kind, "--out", "sheet.png", "--rows", "2", "--columns", "3"]).assert().success();
        assert!(std::fs::read(folder.path().join("sheet.png")).unwrap().starts_with(b"\x89PNG"));
    }
    let wrong = ["data", "preview", "street_numbers", "size=96"];
    stn(folder.path()).args(wrong).assert().failure().stderr(contains("must be 64 or 128; it is 96").and(contains("size")));
}
