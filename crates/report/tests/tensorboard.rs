//! Event files for TensorBoard, made from the files of made-up trials. That TensorBoard reads them is tried in `crates/cli/tests/elsewhere.rs`.

mod fixture;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fixture::Fixture;
use stn_report::Options;

fn written(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    stn_report::write(dir, &Options { tensorboard: true, ..Options::default() }).unwrap();
    files(&dir.join("tensorboard"))
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let runs = std::fs::read_dir(folder).unwrap().map(|run| run.unwrap().path());
    let all = runs.flat_map(|run| std::fs::read_dir(run).unwrap().map(|file| file.unwrap().path()));
    all.map(|file| (file.strip_prefix(folder).unwrap().to_owned(), std::fs::read(file).unwrap())).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn every_trial_is_a_run_with_curves_pictures_and_configuration() {
    let folder = tempfile::tempdir().unwrap();
    Fixture::quickstart().write(folder.path());
    let files = written(folder.path());
    assert_eq!(files.len(), 10);
    let run = |name: &str| files.iter().find(|(path, _)| path.starts_with(name)).unwrap_or_else(|| panic!("no run {name}: {:?}", files.keys())).1;
    let (plain, transformed) = (run("FCN, seed 0"), run("ST-CNN TPS, seed 1"));
    for text in ["brain.Event:2", "loss/train", "loss/test", "error/train", "error/test", "lr", "configuration/text_summary", "_hparams_/session_start_info"] {
        assert!(holds(plain, text) && holds(transformed, text), "{text}");
    }
    assert!(holds(transformed, "layers.0.st/class 3, image 3"));
    assert!(transformed.windows(4).any(|start| start == b"\x89PNG") && !plain.windows(4).any(|start| start == b"\x89PNG"));
    assert!(files.keys().all(|path| path.file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents.1735689600.")));
}

#[test]
fn event_files_are_made_again_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    Fixture::quickstart().write(folder.path());
    let first = written(folder.path());
    std::fs::remove_dir_all(folder.path().join("tensorboard")).unwrap();
    assert!(first == written(folder.path()));
}

#[test]
fn runs_that_are_no_longer_there_go_and_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    Fixture::quickstart().write(folder.path());
    let runs = folder.path().join("tensorboard");
    let (old, own) = (runs.join("old/events.out.tfevents.17.0123456789abcdef"), runs.join("own/events.out.tfevents.17.host"));
    for file in [&old, &own] {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "x").unwrap();
    }
    assert_eq!(written(folder.path()).len(), 11);
    assert!(!old.parent().unwrap().exists() && own.exists());
}

#[test]
fn trials_of_one_name_have_runs_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let models = ["CNN", "cnn", "a/b: c"].map(str::to_string).to_vec();
    Fixture { models, seeds: 1, plain: 3, experiment: String::new(), ..Fixture::quickstart() }.write(folder.path());
    let runs: Vec<String> = written(folder.path()).into_keys().map(|path| path.iter().next().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(runs, ["CNN, seed 0 0000", "a_b_ c, seed 0", "cnn, seed 0 0100"]);
}

#[test]
fn no_event_files_are_written_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    Fixture::quickstart().write(folder.path());
    stn_report::write(folder.path(), &Options::default()).unwrap();
    assert!(!folder.path().join("tensorboard").exists());
}
