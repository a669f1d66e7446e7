//! `stn predict`, from outside. `trained/` holds small networks of Table 1 and the logits that PyTorch gives with their weights; the script that made them is there.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use npyz::npz::NpzArchive;
use npyz::{NpyFile, WriterBuilder};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

const MODELS: [&str; 8] = ["fcn", "cnn", "st_fcn_aff", "st_fcn_proj", "st_fcn_tps", "st_cnn_aff", "st_cnn_proj", "st_cnn_tps"];

fn trained(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trained").join(name)
}

fn predict(folder: &Path, trial: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    Command::new(assert_cmd::cargo::cargo_bin!("stn")).current_dir(folder).arg("predict").arg(trial).args(arguments).assert()
}

fn array(path: &Path, name: &str) -> (Vec<u64>, Vec<f32>) {
    let mut archive = NpzArchive::open(path).unwrap();
    let npy = archive.by_name(name).unwrap().unwrap_or_else(|| panic!("no array {name}"));
    (npy.shape().to_vec(), npy.into_vec().unwrap())
}

fn write(path: &Path, shape: &[u64], values: impl IntoIterator<Item = f32>) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut file).begin_nd().unwrap();
    writer.extend(values).unwrap();
    writer.finish().unwrap();
}

#[test]
fn every_network_of_table_1_gives_the_logits_of_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (trained("images.npy"), folder.path().join("p.npz"));
    for model in MODELS {
        predict(folder.path(), &trained(model), &["--images", images.to_str().unwrap(), "--out", "p.npz"]).success().stdout(contains("4 images: p.npz"));
        let expected: Vec<f64> = NpyFile::new(std::fs::File::open(trained(model).join("logits.npy")).unwrap()).unwrap().into_vec().unwrap();
        let (shape, logits) = array(&out, "logits");
        assert_eq!(shape, [4, 10]);
        let off = logits.iter().zip(&expected).map(|(ours, theirs)| (f64::from(*ours) - theirs).abs()).fold(0.0, f64::max);
        assert!(off < 1e-5, "{model}: {off}");
        if model.starts_with("st_") {
            let length = [("aff", 6), ("proj", 8), ("tps", 32)].into_iter().find(|(end, _)| model.ends_with(end)).unwrap().1;
            assert_eq!(array(&out, "st1.theta").0, [4, length]);
            assert_eq!(array(&out, "st1.output").0, [4, 1, 28, 28]);
        }
    }
}

#[test]
fn without_images_the_test_part_is_taken_and_its_error_is_that_of_the_trial() {
    let folder = tempfile::tempdir().unwrap();
    predict(folder.path(), &trained("fcn"), &[]).success().stdout(contains("16 images, 11 of them wrong (68.75 %): predictions.parquet"));
    assert!(std::fs::read(folder.path().join("predictions.parquet")).unwrap().starts_with(b"PAR1"));
    predict(folder.path(), &trained("fcn"), &["--limit", "3", "--out", "p.npz"]).success().stdout(contains("3 images"));
    assert_eq!(array(&folder.path().join("p.npz"), "images").0, [3, 1, 28, 28]);
}

#[test]
fn images_may_lack_a_channel_or_have_it_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.npy");
    let mut logits = Vec::new();
    for shape in [&[2, 1, 28, 28][..], &[2, 28, 28], &[2, 28, 28, 1]] {
        write(&path, shape, (0..2 * 28 * 28).map(|i| (i % 17) as f32 / 17.0));
        predict(folder.path(), &trained("cnn"), &["--images", "images.npy", "--out", "p.npz"]).success();
        logits.push(array(&folder.path().join("p.npz"), "logits"));
    }
    assert!(logits[0] == logits[1] && logits[1] == logits[2]);
}

#[test]
fn images_that_do_not_fit_say_what_would() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.npy"), &[1, 1, 32, 32], vec![0.0; 32 * 32]);
    let said = predict(folder.path(), &trained("cnn"), &["--images", "a.npy"]).failure();
    said.stderr(contains("a.npy: the images are 1 x 1 x 32 x 32, but this network takes N x C x H x W with 1 x 28 x 28 for each"));
    write(&folder.path().join("a.npy"), &[2, 28, 28], (0..2 * 28 * 28).map(|i| if i == 1000 { f32::NAN } else { 0.0 }));
    predict(folder.path(), &trained("cnn"), &["--images", "a.npy"]).failure().stderr(contains("image 1 (counted from 0) holds NaN"));
    write(&folder.path().join("a.npy"), &[1, 28, 28], vec![255.0; 28 * 28]);
    predict(folder.path(), &trained("cnn"), &["--images", "a.npy"]).success().stderr(contains("holds 255").and(contains("divide by 255")));
    predict(folder.path(), &trained("cnn"), &["--images", "none.npy"]).failure().stderr(contains("none.npy: No such file"));
    predict(folder.path(), &trained("cnn"), &["--out", "p.csv"]).failure().stderr(contains(".parquet or .npz"));
}

#[test]
fn what_is_no_trained_trial_says_so() {
    let folder = tempfile::tempdir().unwrap();
    predict(folder.path(), Path::new("results/trials/x"), &[])
        .failure()
        .stderr(contains("there is no trial at results/trials/x").and(contains("stn predict OUT/EXPERIMENT")));
    let trial = folder.path().join("trial");
    std::fs::create_dir(&trial).unwrap();
    predict(folder.path(), &trial, &[]).failure().stderr(contains("it has no facts.parquet"));
    std::fs::copy(trained("cnn").join("facts.parquet"), trial.join("facts.parquet")).unwrap();
    predict(folder.path(), &trial, &[]).failure().stderr(contains("cannot read").and(contains("weights.safetensors")));
    std::fs::copy(trained("fcn").join("weights.safetensors"), trial.join("weights.safetensors")).unwrap();
    predict(folder.path(), &trial, &[]).failure().stderr(contains("they belong to another network"));
    std::fs::write(trial.join("weights.safetensors"), "torn").unwrap();
    predict(folder.path(), &trial, &[]).failure().stderr(contains("weights.safetensors").and(contains("cannot be read")));
}

#[test]
fn an_experiment_lists_its_trials() {
    let folder = tempfile::tempdir().unwrap();
    let run = ["dataset.train_limit=50", "train.steps=2", "sweep.grid.model=[\"fcn\"]"];
    Command::new(assert_cmd::cargo::cargo_bin!("stn")).current_dir(&folder).arg("run").arg(trained("experiment.toml")).args(run).assert().success();
    let said = predict(folder.path(), Path::new("results/trained"), &[]).failure();
    said.stderr(contains("is an experiment; give one of its trials:\n  results/trials/").and(contains("  fcn, seed 0")));
}
