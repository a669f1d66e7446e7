//! Trials from a file to Parquet, on a few embedded digits.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use polars::prelude::{DataFrame, ParquetReader, SerReader};
use stn_lab::{Observer, RunOptions, Silent, Trial, run, schema};

use crate::tiny::{self, experiment, folder_of, go, go_with, registry};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(path: &Path) -> DataFrame {
    ParquetReader::new(std::fs::File::open(path).unwrap()).finish().unwrap()
}

fn whole(frame: &DataFrame, column: &str) -> Vec<i64> {
    frame.column(column).unwrap().i64().unwrap().into_no_null_iter().collect()
}

fn text(frame: &DataFrame, column: &str) -> String {
    frame.column(column).unwrap().str().unwrap().get(0).unwrap().to_owned()
}

#[test]
fn a_trial_leaves_every_file_with_the_declared_columns() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&[]);
    let summary = go(&experiment, out.path());
    let trial = &experiment.trials()[0];
    assert_eq!(summary.trained, std::slice::from_ref(&trial.id));
    assert_eq!(names(&out.path().join("tiny")), ["experiment.toml", "plan.parquet"]);
    assert_eq!(names(out.path()), ["tiny", "trials", "work"]);
    let folder = folder_of(out.path(), trial);
    assert_eq!(
        names(&folder),
        ["confusion.parquet", "facts.parquet", "metrics.parquet", "thetas.parquet", "trial.log", "warps.parquet", "weights.safetensors", "worst.parquet"]
    );
    for table in schema() {
        let around = if table.file == "plan.parquet" { out.path().join("tiny") } else { out.path().to_owned() };
        let path = around.join(table.file.replace("ID", &trial.id));
        let frame = read(&path);
        let found: Vec<_> = frame.columns().iter().map(|column| (column.name().to_string(), column.dtype().to_string())).collect();
        let declared: Vec<_> = table.columns.iter().map(|column| (column.name.to_owned(), column.kind.to_owned())).collect();
        assert_eq!(found, declared, "{}", table.file);
    }
    let facts = read(&folder.join("facts.parquet"));
    assert_eq!((text(&facts, "status"), text(&facts, "distortion"), text(&facts, "dataset")), ("done".into(), "R".into(), "mnist".into()));
    let error = facts.column("test_error").unwrap().f64().unwrap().get(0).unwrap();
    assert!((0.0..=100.0).contains(&error));
}

#[test]
fn metrics_have_a_row_each_interval_and_evaluation() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.steps=5"]);
    go(&experiment, out.path());
    let metrics = read(&folder_of(out.path(), &experiment.trials()[0]).join("metrics.parquet"));
    let steps: Vec<_> = metrics.column("step").unwrap().i64().unwrap().into_no_null_iter().collect();
    let splits: Vec<_> = metrics.column("split").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect();
    assert_eq!(steps, [2, 4, 4, 5, 5]);
    assert_eq!(splits, ["train", "train", "test", "train", "test"]);
}

#[test]
fn warps_show_one_image_of_each_class_in_order() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.evaluate_every=0", "train.steps=2"]);
    go(&experiment, out.path());
    let warps = read(&folder_of(out.path(), &experiment.trials()[0]).join("warps.parquet"));
    let classes = whole(&warps, "class");
    assert_eq!(whole(&warps, "trained"), vec![2; classes.len()], "without evaluations on the way there is the end alone");
    assert!(classes.windows(2).all(|pair| pair[0] < pair[1]) && classes.len() > 5, "{classes:?}");
    let lengths = |column: &str| warps.column(column).unwrap().list().unwrap().get_as_series(0).unwrap().len();
    assert_eq!(["theta", "input", "grid", "output"].map(lengths), [6, 784, 2 * 784, 784]);
    assert_eq!(["input_shape", "grid_shape"].map(lengths), [3, 3]);
}

#[test]
fn warps_show_the_same_images_at_a_few_moments_and_thetas_at_every_evaluation() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.steps=20", "train.evaluate_every=2"]);
    go(&experiment, out.path());
    let folder = folder_of(out.path(), &experiment.trials()[0]);
    let moments = |file: &str| {
        let frame = read(&folder.join(file));
        let mut images: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        whole(&frame, "trained").into_iter().zip(whole(&frame, "sample")).for_each(|(trained, sample)| images.entry(trained).or_default().push(sample));
        assert!(whole(&frame, "trained").is_sorted(), "{file}");
        assert!(images.values().all(|samples| *samples == images[&20]), "{images:?}");
        images.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(moments("warps.parquet"), [0, 2, 6, 10, 20]);
    assert_eq!(moments("thetas.parquet"), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
}

#[test]
fn the_worst_are_the_wrong_images_with_the_largest_losses_of_the_whole_test_part() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.steps=3"]);
    go(&experiment, out.path());
    let folder = folder_of(out.path(), &experiment.trials()[0]);
    let worst = read(&folder.join("worst.parquet"));
    let losses: Vec<f64> = worst.column("loss").unwrap().f64().unwrap().into_no_null_iter().collect();
    let (classes, predicted) = (whole(&worst, "class"), whole(&worst, "predicted"));
    assert!(losses.len() == 10 && losses.is_sorted_by(|a, b| a >= b) && losses.iter().all(|loss| *loss > 10f64.ln()), "{losses:?}");
    assert!(classes.iter().zip(&predicted).all(|(class, predicted)| class != predicted), "{classes:?} {predicted:?}");
    let samples = whole(&worst, "sample");
    assert_eq!(samples.iter().collect::<std::collections::BTreeSet<_>>().len(), 10, "each image once: {samples:?}");
    assert_eq!(whole(&worst, "trained"), [3; 10]);
}

#[test]
fn moments_of_volumes_keep_to_their_bound_with_sparse_grids() {
    let out = tempfile::tempdir().unwrap();
    let volumes = r#"
name = "volumes"
[dataset]
kind = "mnist_3d"
source = "embedded"
size = 12
train_limit = 40
test_limit = 20
[train]
steps = 2
batch = 8
lr = 0.001
evaluate_every = 1
[models.st]
layers = [{ st = { transform = "affine3d", localiser = [{ project = "max" }, { fc = 4 }] } }, { project = "max" }, { fc = "classes" }]
"#;
    let experiment = tiny::parse("volumes", volumes, &[]);
    go(&experiment, out.path());
    let warps = read(&folder_of(out.path(), &experiment.trials()[0]).join("warps.parquet"));
    let sides = |row: usize, name: &str| -> Vec<i64> {
        warps.column(name).unwrap().list().unwrap().get_as_series(row).unwrap().i64().unwrap().into_no_null_iter().collect()
    };
    let last = warps.height() - 1;
    assert_eq!((whole(&warps, "trained")[0], sides(0, "grid_shape"), sides(0, "input_shape")), (0, vec![7, 7, 7, 3], vec![1, 12, 12, 12]));
    assert_eq!((sides(last, "grid_shape"), sides(last, "output_shape")), (vec![12, 12, 12, 3], vec![1, 12, 12, 12]));
}

#[test]
fn confusion_counts_every_test_image_and_its_diagonal_is_what_was_right() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&[]);
    go(&experiment, out.path());
    let folder = folder_of(out.path(), &experiment.trials()[0]);
    let confusion = read(&folder.join("confusion.parquet"));
    let (images, classes, predicted) = (whole(&confusion, "images"), whole(&confusion, "class"), whole(&confusion, "predicted"));
    let right: i64 = (0..images.len()).filter(|&i| classes[i] == predicted[i]).map(|i| images[i]).sum();
    let error = read(&folder.join("facts.parquet")).column("test_error").unwrap().f64().unwrap().get(0).unwrap();
    let all: i64 = images.iter().sum();
    assert!((100.0 - 100.0 * right as f64 / all as f64 - error).abs() < 1e-9, "{right} of {all}, {error} %");
}

#[test]
fn the_same_trial_gives_the_same_bytes_at_any_number_of_threads() {
    let experiment = experiment(&[]);
    let bytes = |threads: usize| {
        let out = tempfile::tempdir().unwrap();
        go_with(&experiment, &RunOptions::new(out.path(), threads));
        let folder = folder_of(out.path(), &experiment.trials()[0]);
        ["confusion.parquet", "metrics.parquet", "thetas.parquet", "warps.parquet", "weights.safetensors", "worst.parquet"]
            .map(|name| blake3::hash(&std::fs::read(folder.join(name)).unwrap()))
    };
    let first = bytes(1);
    assert_eq!(first, bytes(1));
    assert_eq!(first, bytes(2));
}

#[test]
fn another_seed_gives_another_result() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["sweep.seeds=[0, 1]"]);
    go_with(&experiment, &RunOptions::new(out.path(), 0));
    let weights: Vec<_> = experiment.trials().iter().map(|trial| std::fs::read(folder_of(out.path(), trial).join("weights.safetensors")).unwrap()).collect();
    assert_ne!(weights[0], weights[1]);
}

#[test]
fn done_trials_are_not_run_again_and_new_ones_are() {
    let out = tempfile::tempdir().unwrap();
    let first = experiment(&["sweep.seeds=[0]"]);
    go(&first, out.path());
    let facts = folder_of(out.path(), &first.trials()[0]).join("facts.parquet");
    let before = std::fs::metadata(&facts).unwrap().modified().unwrap();
    let both = experiment(&["sweep.seeds=[0, 1]"]);
    let summary = go(&both, out.path());
    assert_eq!(summary.already_done, std::slice::from_ref(&first.trials()[0].id));
    assert_eq!(summary.trained, std::slice::from_ref(&both.trials()[1].id));
    assert_eq!(std::fs::metadata(&facts).unwrap().modified().unwrap(), before);
}

#[test]
fn a_trial_whose_facts_are_torn_is_run_again() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.steps=1"]);
    go(&experiment, out.path());
    let facts = folder_of(out.path(), &experiment.trials()[0]).join("facts.parquet");
    std::fs::write(&facts, b"PAR1 torn").unwrap();
    assert_eq!(go(&experiment, out.path()).trained.len(), 1);
    assert_eq!(text(&read(&facts), "status"), "done");
}

#[test]
fn a_loss_that_is_not_finite_stops_its_trial_only() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.lr=0.05", "sweep.grid.train.lr=[1e30, 0.05]"]);
    let summary = go(&experiment, out.path());
    assert_eq!((summary.failed.len(), summary.trained.len()), (1, 1));
    let (trial, reason) = &summary.failed[0];
    assert!(trial.contains("train.lr = 1e30"), "{trial}");
    for word in ["is not finite at step", "before that 2.", "the largest finite |theta| was", "in layer st1", "Try a smaller train.lr"] {
        assert!(reason.contains(word), "{word} is not in: {reason}");
    }
    let folder = folder_of(out.path(), &experiment.trials()[0]);
    let facts = read(&folder.join("facts.parquet"));
    assert_eq!(text(&facts, "status"), format!("diverged: {reason}"));
    assert!(facts.column("test_error").unwrap().f64().unwrap().get(0).is_none());
    assert!(std::fs::read_to_string(folder.join("trial.log")).unwrap().contains("is not finite"));
    assert!(!folder.join("weights.safetensors").exists());
}

#[test]
fn a_theta_that_is_not_finite_after_the_last_step_fails_the_trial() {
    let out = tempfile::tempdir().unwrap();
    // One step throws the localiser alone out of the finite numbers: the images are then read as zeros, and the loss stays finite.
    let experiment = experiment(&["train.steps=1", "train.lr=0.05", "models.st.layers.0.st.lr_factor=1e42"]);
    let summary = go(&experiment, out.path());
    let (_, reason) = summary.failed.first().unwrap_or_else(|| panic!("{summary:?}"));
    assert!(reason.starts_with("theta of st1 is not finite at step 1"), "{reason}");
}

#[test]
fn an_attempt_that_fails_keeps_nothing_of_the_one_before() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.lr=1e30"]);
    let folder = folder_of(out.path(), &experiment.trials()[0]);
    std::fs::create_dir_all(&folder).unwrap();
    let old = ["confusion.parquet", "facts.parquet", "metrics.parquet", "thetas.parquet", "trial.log", "warps.parquet", "weights.safetensors", "worst.parquet"];
    old.iter().for_each(|name| std::fs::write(folder.join(name), "old").unwrap());
    assert_eq!(go(&experiment, out.path()).failed.len(), 1);
    assert_eq!(names(&folder), ["facts.parquet", "metrics.parquet", "trial.log"]);
    assert!(old.iter().filter_map(|name| std::fs::read(folder.join(name)).ok()).all(|bytes| bytes != b"old"));
}

#[test]
fn facts_say_licence_device_and_processor() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.steps=1"]);
    go(&experiment, out.path());
    let facts = read(&folder_of(out.path(), &experiment.trials()[0]).join("facts.parquet"));
    assert_eq!(text(&facts, "device"), "cpu");
    assert!(["data_licence", "cpu_features"].iter().all(|column| !text(&facts, column).is_empty()));
}

#[test]
fn the_log_of_a_trial_tells_what_it_ran_on() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.steps=2"]);
    go(&experiment, out.path());
    let log = std::fs::read_to_string(folder_of(out.path(), &experiment.trials()[0]).join("trial.log")).unwrap();
    for word in ["revision=", "sha256=", "st1", "train", "test", "done"] {
        assert!(log.contains(word), "{word} is not in:\n{log}");
    }
}

#[test]
fn a_file_in_the_place_of_the_results_folder_is_an_error_that_says_so() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = run(&experiment(&[]), &RunOptions::new(&file, 1), &registry(), &Silent).unwrap_err().to_string();
    assert!(error.starts_with("cannot create the folder") && error.contains("--out"), "{error}");
}

#[test]
fn early_stopping_ends_before_the_last_step() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&["train.steps=40", "train.early_stop={ patience = 1, least_gain = 100.0 }"]);
    go(&experiment, out.path());
    let facts = read(&folder_of(out.path(), &experiment.trials()[0]).join("facts.parquet"));
    assert_eq!(facts.column("steps").unwrap().i64().unwrap().get(0), Some(4));
}

#[test]
fn an_early_stop_on_the_test_error_leaves_one_test_row_a_step() {
    let out = tempfile::tempdir().unwrap();
    let stop = "train.early_stop={ patience = 1, monitor = \"test_error\", least_gain = 100.0 }";
    let experiment = experiment(&["train.steps=40", "train.log_every=100", stop]);
    go(&experiment, out.path());
    let metrics = read(&folder_of(out.path(), &experiment.trials()[0]).join("metrics.parquet"));
    let steps: Vec<_> = metrics.column("step").unwrap().i64().unwrap().into_no_null_iter().collect();
    let splits: Vec<_> = metrics.column("split").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect();
    assert_eq!((steps, splits), (vec![4, 8, 8], ["test", "train", "test"].map(str::to_owned).to_vec()));
}

/// Remembers what it heard.
#[derive(Default)]
struct Ear(Mutex<BTreeMap<&'static str, usize>>);

impl Ear {
    fn hear(&self, what: &'static str) {
        *self.0.lock().unwrap().entry(what).or_default() += 1;
    }
}

impl Observer for Ear {
    fn trial_started(&self, _: &Trial, _: usize, _: u64) {
        self.hear("started");
    }

    fn step(&self, _: &Trial, _: u64, _: u64, _: f64) {
        self.hear("step");
    }

    fn evaluated(&self, _: &Trial, _: u64, _: f64) {
        self.hear("evaluated");
    }

    fn trial_finished(&self, _: &Trial, _: usize, _: &str) {
        self.hear("finished");
    }
}

#[test]
fn an_observer_hears_every_step_and_evaluation() {
    let out = tempfile::tempdir().unwrap();
    let ear = Ear::default();
    run(&experiment(&[]), &RunOptions::new(out.path(), 1), &registry(), &ear).unwrap();
    let heard = ear.0.into_inner().unwrap();
    assert_eq!(heard, BTreeMap::from([("started", 1), ("step", 6), ("evaluated", 2), ("finished", 1)]));
}
