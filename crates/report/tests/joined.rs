//! One report on several experiments.

mod fixture;

use std::fs;
use std::path::{Path, PathBuf};

use fixture::{Fixture, save};
use polars::prelude::{Column, ParquetReader, SerReader};
use stn_report::{Options, Report, write_joined};

/// Two models with two seeds, as the experiment `name`; the facts of its trials say `config` and `device`.
fn experiment(root: &Path, name: &str, config: &str, device: &str) -> PathBuf {
    let dir = root.join(name);
    let models = ["FCN", "CNN"].map(str::to_string).to_vec();
    Fixture { models, plain: 2, experiment: String::new(), ..Fixture::quickstart() }.write(&dir);
    for trial in fs::read_dir(dir.join("trials")).unwrap() {
        let path = trial.unwrap().path().join("facts.parquet");
        let mut facts = ParquetReader::new(fs::File::open(&path).unwrap()).finish().unwrap();
        facts.with_column(Column::new("config".into(), [config])).unwrap().with_column(Column::new("device".into(), [device])).unwrap();
        save(&path, &mut facts);
    }
    dir
}

fn report(dirs: &[PathBuf]) -> (Report, Vec<Vec<String>>) {
    let options = Options { formats: Some(Vec::new()), ..Options::default() };
    let report = write_joined(dirs, &options).unwrap();
    let csv = report.files.iter().find(|file| file.ends_with("table.csv")).unwrap();
    let lines = fs::read_to_string(csv).unwrap().lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect();
    (report, lines)
}

/// Model, variant and number of trials of every line.
fn lines(dirs: &[PathBuf]) -> Vec<String> {
    report(dirs).1.iter().map(|line| format!("{} {} {}", line[1], line[2], line[3])).collect()
}

#[test]
fn a_setting_in_which_they_differ_becomes_a_key() {
    let root = tempfile::tempdir().unwrap();
    let config = |lr: f64| format!(r#"{{"train": {{"lr": {lr}, "batch": 64}}, "network": {{"layers": []}}, "seed": 0}}"#);
    let dirs = [experiment(root.path(), "slow", &config(0.01), "cpu"), experiment(root.path(), "fast", &config(0.1), "cpu")];
    assert_eq!(lines(&dirs), ["CNN lr=0.01 2", "CNN lr=0.1 2", "FCN lr=0.01 2", "FCN lr=0.1 2"]);
    let (report, _) = report(&dirs);
    assert!(report.table.starts_with("slow, fast\n"), "{}", report.table);
    assert!(report.files.iter().all(|file| file.starts_with(dirs[0].join("report_with_fast"))), "{:?}", report.files);
}

#[test]
fn what_follows_from_another_kind_of_thing_goes_with_the_kind() {
    let root = tempfile::tempdir().unwrap();
    let adam = r#"{"train": {"optimizer": {"kind": "adam", "beta1": 0.9}}}"#;
    let sgd = r#"{"train": {"optimizer": {"kind": "sgd", "momentum": 0.9}}}"#;
    let dirs = [experiment(root.path(), "a", adam, "cpu"), experiment(root.path(), "b", sgd, "cpu")];
    assert_eq!(lines(&dirs), ["CNN optimizer.kind=adam 2", "CNN optimizer.kind=sgd 2", "FCN optimizer.kind=adam 2", "FCN optimizer.kind=sgd 2"]);
}

#[test]
fn the_device_is_a_key_where_each_experiment_has_one() {
    let root = tempfile::tempdir().unwrap();
    let dirs = [experiment(root.path(), "a", "{}", "cpu"), experiment(root.path(), "b", "{}", "cuda:0")];
    assert_eq!(lines(&dirs), ["CNN device=cpu 2", "CNN device=cuda:0 2", "FCN device=cpu 2", "FCN device=cuda:0 2"]);
}

#[test]
fn where_nothing_differs_the_experiment_itself_is_the_key() {
    let root = tempfile::tempdir().unwrap();
    let dirs = [experiment(root.path(), "first", "{}", "cpu"), experiment(root.path(), "again", "{}", "cpu")];
    assert_eq!(lines(&dirs), ["CNN experiment=again 2", "CNN experiment=first 2", "FCN experiment=again 2", "FCN experiment=first 2"]);
}

#[test]
fn folders_of_one_name_are_told_apart_by_as_much_of_their_paths_as_it_takes() {
    let root = tempfile::tempdir().unwrap();
    let dirs = ["before/run/table", "after/run/table", "other"].map(|name| experiment(root.path(), name, "{}", "cpu"));
    let (report, _) = report(&dirs);
    assert!(report.table.starts_with("before/run/table, after/run/table, other\n"), "{}", report.table);
    assert_eq!(lines(&dirs)[..3], ["CNN experiment=after/run/table 2", "CNN experiment=before/run/table 2", "CNN experiment=other 2"]);
}

#[test]
fn one_label_of_two_networks_is_not_averaged_over_both() {
    let root = tempfile::tempdir().unwrap();
    let of = |width: usize| format!(r#"{{"network": {{"layers": [{{"fc": {width}}}]}}}}"#);
    let (narrow, wide) = (experiment(root.path(), "narrow", &of(10), "cpu"), experiment(root.path(), "wide", &of(20), "cpu"));
    // Other seeds, so that no two trials are alike but for their network.
    for trial in fs::read_dir(wide.join("trials")).unwrap() {
        let path = trial.unwrap().path().join("facts.parquet");
        let mut facts = ParquetReader::new(fs::File::open(&path).unwrap()).finish().unwrap();
        let seed = facts.column("seed").unwrap().i64().unwrap().get(0).unwrap();
        facts.with_column(Column::new("seed".into(), [seed + 2])).unwrap();
        save(&path, &mut facts);
    }
    assert_eq!(lines(&[narrow, wide]), ["CNN experiment=narrow 2", "CNN experiment=wide 2", "FCN experiment=narrow 2", "FCN experiment=wide 2"]);
}

#[test]
fn a_trial_that_two_experiments_share_counts_once() {
    let root = tempfile::tempdir().unwrap();
    let first = experiment(root.path(), "first", "{}", "cpu");
    // As runs leave it: the trials beside the experiments.
    fs::rename(first.join("trials"), root.path().join("trials")).unwrap();
    let second = root.path().join("second");
    fs::create_dir(&second).unwrap();
    fs::copy(first.join("plan.parquet"), second.join("plan.parquet")).unwrap();
    assert_eq!(lines(&[first.clone(), second]), ["CNN  2", "FCN  2"]);
    assert_eq!(lines(&[first.clone(), first.join(".")]), ["CNN  2", "FCN  2"], "one folder by two names");
}

#[test]
fn a_folder_without_results_is_named() {
    let root = tempfile::tempdir().unwrap();
    let first = experiment(root.path(), "first", "{}", "cpu");
    let error = write_joined(&[first, root.path().join("none")], &Options::default()).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
    assert!(write_joined(&[], &Options::default()).is_err());
}
