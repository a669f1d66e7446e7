//! The experiment on house numbers, shortened, on the small archives of this project.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

/// `stn` in a folder, which is its cache too, and without a hub.
fn stn(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("stn"));
    command.current_dir(folder).env("STN_CACHE", folder.join("cache")).env("HF_ENDPOINT", "http://127.0.0.1:9");
    command
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A folder with `svhn/train.tar.gz` and `svhn/test.tar.gz`, the same four numbers.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("svhn")).unwrap();
    for part in ["train", "test"] {
        std::fs::copy(project("crates/data/tests/svhn/train.tar.gz"), folder.path().join(format!("svhn/{part}.tar.gz"))).unwrap();
    }
    folder
}

#[test]
fn the_networks_of_table_2_train_on_crops_of_both_sizes() {
    let folder = folder();
    let experiment = project("experiments/svhn_multi_st.toml");
    let run = || {
        let mut command = stn(folder.path());
        command.arg("run").arg(&experiment).args(["dataset.dir=svhn", "train.steps=2", "train.batch=2"]);
        command
    };
    run()
        .assert()
        .success()
        .stdout(contains("size=64").and(contains("size=128")).and(contains(" ST-CNN Single ")).and(contains(" ST-CNN Multi ")))
        .stdout(contains("(an image counts as wrong where one of its 5 labels is)"))
        .stdout(contains("not as published: 4 + 4 images in svhn"));
    let report = folder.path().join("results/svhn_multi_st/report");
    let table = std::fs::read_to_string(report.join("table.md")).unwrap();
    let published = |row: &str, of_64: &str, of_128: &str| {
        let line = table.lines().find(|line| line.starts_with(&format!("| {row} |"))).unwrap_or_default();
        let cells: Vec<&str> = line.split(" | ").collect();
        cells[1].ends_with(&format!(" ({of_64})")) && cells[2].ends_with(&format!(" ({of_128})"))
    };
    assert!(table.starts_with("# svhn_multi_st\n\n| model | size=64 | size=128 |"), "{table}");
    assert!(published("CNN", "4", "5.6") && published("ST-CNN Multi", "3.6", "3.9"), "{table}");
    assert!(report.join("montage_none.png").is_file());
    assert_eq!(std::fs::read_dir(folder.path().join("cache/svhn/crops")).unwrap().count(), 4);
    run().assert().success().stderr(contains("done already"));
}

#[test]
fn house_numbers_are_shown() {
    let folder = folder();
    let line = ["data", "preview", "svhn", "dir=svhn", "size=128", "--out", "numbers.png", "--rows", "2", "--columns", "2"];
    stn(folder.path()).args(line).assert().success();
    assert!(std::fs::read(folder.path().join("numbers.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn without_house_numbers_it_is_said_what_to_type() {
    let folder = tempfile::tempdir().unwrap();
    let said = contains("could not be found")
        .count(1)
        .and(contains("stn data fetch svhn"))
        .and(contains("dataset.dir=FOLDER"))
        .and(contains("dataset.kind=street_numbers"));
    stn(folder.path()).arg("run").arg(project("experiments/svhn_multi_st.toml")).assert().failure().stderr(said);
    assert!(!folder.path().join("results/svhn_multi_st/report").exists());
}
