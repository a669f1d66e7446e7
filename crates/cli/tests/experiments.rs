//! `stn run` and its neighbours, from outside.

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

const EXPERIMENT: &str = r#"
[dataset]
kind = "mnist"
source = "embedded"
distortion = "R"
train_limit = 200
test_limit = 50

[train]
steps = 3
batch = 8
lr = 0.01

[models.fcn]
label = "FCN"
layers = [{ fc = 16 }, "relu", { fc = "classes" }]

[models.st_fcn]
label = "ST-FCN"
layers = [{ st = { transform = "affine", localiser = [{ fc = 8 }, "relu"] } }, { fc = 16 }, "relu", { fc = "classes" }]

[sweep]
seeds = [0]
[sweep.grid]
model = ["fcn", "st_fcn"]
"#;

/// A folder, with a space in its name, that holds `tiny.toml`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("an experiment ").tempdir().unwrap();
    std::fs::write(folder.path().join("tiny.toml"), EXPERIMENT).unwrap();
    folder
}

fn stn(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("stn"));
    command.current_dir(folder);
    command
}

#[test]
fn an_experiment_runs_and_reports_and_is_not_run_twice() {
    let folder = folder();
    stn(folder.path()).args(["run", "tiny.toml"]).assert().success().stdout(contains("ST-FCN"));
    let report = folder.path().join("results/tiny/report");
    for file in ["table.md", "table.csv", "learning_curves.svg", "learning_curves.png", "comparison.svg", "comparison.png"] {
        assert!(report.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    stn(folder.path()).args(["run", "tiny.toml"]).assert().success().stderr(contains("done already"));
}

#[test]
fn figures_take_the_formats_and_the_style_that_are_typed() {
    let folder = folder();
    stn(folder.path()).args(["run", "tiny.toml", "report.formats=[\"png\"]"]).assert().success();
    let report = folder.path().join("results/tiny/report");
    assert!(report.join("comparison.png").is_file() && !report.join("comparison.svg").exists());
    std::fs::write(folder.path().join("journal.toml"), "columns = 1\ncolumn_width_mm = 84\n").unwrap();
    stn(folder.path()).args(["report", "results/tiny", "--format", "svg,pdf", "--style", "journal.toml"]).assert().success();
    assert!(std::fs::read_to_string(report.join("comparison.svg")).unwrap().contains("width=\"84mm\""));
    assert!(report.join("comparison.pdf").is_file() && !report.join("comparison.png").exists());
    let wrong = stn(folder.path()).args(["report", "results/tiny", "--format", "eps"]).assert().failure();
    wrong.stderr(contains("figures are written as svg, png, pdf"));
}

#[test]
fn a_report_is_remade_byte_for_byte() {
    let folder = folder();
    stn(folder.path()).args(["run", "tiny.toml"]).assert().success();
    let report = folder.path().join("results/tiny/report");
    let read = || {
        std::fs::read_dir(&report)
            .unwrap()
            .map(|e| e.unwrap().path())
            .map(|p| (p.clone(), std::fs::read(p).unwrap()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let first = read();
    std::fs::remove_dir_all(&report).unwrap();
    stn(folder.path()).args(["report", "results/tiny"]).assert().success();
    assert!(first == read(), "a file of the report changed");
}

#[test]
fn a_dry_run_lists_the_trials_and_writes_nothing() {
    let folder = folder();
    stn(folder.path()).args(["run", "tiny.toml", "--dry-run", "sweep.seeds=[0,1]"]).assert().success().stdout(contains("ST-FCN").count(2));
    assert!(!folder.path().join("results").exists());
}

#[test]
fn every_mistake_is_shown_with_its_place_before_anything_is_trained() {
    let folder = folder();
    let file = folder.path().join("tiny.toml");
    std::fs::write(&file, EXPERIMENT.replace("steps = 3", "stesp = 3").replace("\"affine\"", "\"afine\"")).unwrap();
    stn(folder.path())
        .args(["run", "tiny.toml", "train.batch=many"])
        .assert()
        .failure()
        .stderr(contains("stesp").and(contains("tiny.toml:10:1")).and(contains("`steps`")))
        .stderr(contains("afine").and(contains("`affine`")))
        .stderr(contains("train.batch=many"));
    assert!(!folder.path().join("results").exists());
}

#[test]
fn a_mistake_in_the_report_table_is_shown_before_anything_is_trained() {
    let folder = folder();
    std::fs::write(folder.path().join("tiny.toml"), format!("{EXPERIMENT}\n[report]\nbaseline = \"FNC\"\n")).unwrap();
    stn(folder.path()).args(["run", "tiny.toml"]).assert().failure().stderr(contains("did you mean `FCN`?").and(contains("tiny.toml:28:12")));
    assert!(!folder.path().join("results").exists());
}

#[test]
fn a_missing_file_says_so() {
    let folder = folder();
    stn(folder.path()).args(["run", "no such.toml"]).assert().failure().stderr(contains("no such.toml"));
}

#[test]
fn a_results_folder_that_cannot_be_made_is_an_error() {
    let folder = folder();
    std::fs::write(folder.path().join("taken"), "a file").unwrap();
    stn(folder.path()).args(["run", "tiny.toml", "--out", "taken"]).assert().failure().stderr(contains("taken"));
}

#[test]
fn a_report_of_nothing_says_what_to_type() {
    let folder = folder();
    stn(folder.path()).args(["report", "results/tiny"]).assert().failure().stderr(contains("stn run"));
}

#[test]
fn a_preview_is_a_png() {
    let folder = folder();
    let line = ["data", "preview", "mnist", "source=embedded", "distortion=TC", "--out", "tc.png", "--rows", "2", "--columns", "3"];
    stn(folder.path()).args(line).assert().success();
    assert!(std::fs::read(folder.path().join("tc.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn plugins_are_listed_with_their_parameters() {
    let folder = folder();
    stn(folder.path()).arg("plugins").assert().success().stdout(contains("tps").and(contains("points")).and(contains("bicubic")));
}
