//! Trials that are stopped, shared or tried again: their bytes are those of a run in one piece.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use polars::prelude::{Column, ParquetReader, ParquetWriter, SerReader};
use stn_lab::{Experiment, Observer, RunOptions, RunSummary, Silent, Trial, TrialState, run};

use crate::tiny::{self, folder_of, go, go_with, registry};

/// An optimiser that keeps more, and a schedule, over more steps.
fn experiment(overrides: &[&str]) -> Experiment {
    let state = ["train.steps=9", "train.optimizer=adam", "train.schedule=cosine", "train.evaluate_every=3"];
    tiny::experiment(&[&state, overrides].concat())
}

/// The files of every trial that must not depend on how it was run.
fn bytes(experiment: &Experiment, out: &Path) -> Vec<Vec<u8>> {
    let files = |trial: &Trial| {
        let folder = folder_of(out, trial);
        ["confusion.parquet", "metrics.parquet", "thetas.parquet", "warps.parquet", "weights.safetensors", "worst.parquet"]
            .map(|name| std::fs::read(folder.join(name)).unwrap())
    };
    experiment.trials().iter().flat_map(files).collect()
}

/// The bytes of a run in one piece.
fn in_one_piece(experiment: &Experiment) -> Vec<Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    go(experiment, out.path());
    bytes(experiment, out.path())
}

/// Stops the run after so many more steps.
struct StopsAfter {
    options: RunOptions,
    left: Mutex<u64>,
}

impl Observer for StopsAfter {
    fn step(&self, _: &Trial, _: u64, _: u64, _: f64) {
        let mut left = self.left.lock().unwrap();
        *left -= 1;
        if *left == 0 {
            self.options.cancel.store(true, Ordering::Relaxed);
        }
    }
}

/// Runs by pieces of so many steps; how many pieces it took.
fn in_pieces(experiment: &Experiment, out: &Path, steps: u64) -> usize {
    for pieces in 1.. {
        let options = RunOptions::new(out, 1);
        let summary = run(experiment, &options, &registry(), &StopsAfter { options: options.clone(), left: Mutex::new(steps) }).unwrap();
        assert!(summary.failed.is_empty(), "{summary:?}");
        if !summary.cancelled {
            return pieces;
        }
        assert!(pieces < 50);
    }
    unreachable!()
}

#[test]
fn a_trial_stopped_after_any_step_gives_the_bytes_of_one_in_one_piece() {
    let experiment = experiment(&[]);
    let whole = in_one_piece(&experiment);
    for steps in 1..=9 {
        let out = tempfile::tempdir().unwrap();
        assert!(in_pieces(&experiment, out.path(), steps) as u64 >= 9 / steps);
        assert!(bytes(&experiment, out.path()) == whole, "by {steps} steps");
        assert_eq!(std::fs::read_dir(out.path().join("work")).unwrap().count(), 0);
    }
}

#[test]
fn an_early_stop_comes_at_the_same_step_in_pieces() {
    for monitor in ["train_loss", "test_error"] {
        let stop = format!("train.early_stop={{ patience = 2, monitor = \"{monitor}\", least_gain = 100.0 }}");
        let experiment = experiment(&["train.steps=30", "train.optimizer={ kind = \"sgd\", momentum = 0.9 }", &stop]);
        let out = tempfile::tempdir().unwrap();
        assert!(in_pieces(&experiment, out.path(), 2) > 2);
        assert!(bytes(&experiment, out.path()) == in_one_piece(&experiment), "{monitor}");
    }
}

#[test]
fn a_stopped_run_says_where_its_trial_is_and_reports_no_result() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment(&[]);
    let options = RunOptions::new(out.path(), 1);
    let summary = run(&experiment, &options, &registry(), &StopsAfter { options: options.clone(), left: Mutex::new(4) }).unwrap();
    assert!(summary.cancelled && summary.trained.is_empty() && summary.failed.is_empty());
    assert_eq!(experiment.states(out.path()).unwrap(), [TrialState::PartDone(4)]);
    let log = std::fs::read_to_string(out.path().join("work").join(format!("{}.1", experiment.trials()[0].id)).join("trial.log")).unwrap();
    assert!(log.contains("stopped") && !log.contains("ERROR"), "{log}");
    assert!(!folder_of(out.path(), &experiment.trials()[0]).exists());
}

#[test]
fn several_trials_at_once_give_the_same_bytes_as_one_after_another() {
    let experiment = experiment(&["sweep.seeds=[0, 1, 2, 3]"]);
    let out = tempfile::tempdir().unwrap();
    let summary = go_with(&experiment, &RunOptions { jobs: 3, ..RunOptions::new(out.path(), 4) });
    assert_eq!(summary.trained.len(), 4);
    assert!(bytes(&experiment, out.path()) == in_one_piece(&experiment));
}

#[test]
fn two_runs_in_one_folder_share_the_trials() {
    let experiment = experiment(&["sweep.seeds=[0, 1, 2, 3, 4, 5]", "train.steps=30"]);
    let out = tempfile::tempdir().unwrap();
    let summaries: Vec<RunSummary> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| go(&experiment, out.path()))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let mut trained: Vec<&String> = summaries.iter().flat_map(|summary| &summary.trained).collect();
    trained.sort();
    let mut all: Vec<&String> = experiment.trials().iter().map(|trial| &trial.id).collect();
    all.sort();
    assert_eq!(trained, all, "each trial once: {summaries:?}");
    for summary in summaries {
        assert_eq!(summary.trained.len() + summary.already_done.len(), all.len(), "each has waited for the other's: {summary:?}");
    }
}

/// Makes somebody elsewhere the holder of a trial, who was silent for so long, and the folder of the trial.
fn hold(out: &Path, trial: &Trial, silent: Duration) -> PathBuf {
    let folder = out.join("work").join(format!("{}.1", trial.id));
    std::fs::create_dir_all(&folder).unwrap();
    let lease = folder.join("lease.json");
    std::fs::write(&lease, r#"{ "holder": { "host": "elsewhere", "pid": 7 } }"#).unwrap();
    std::fs::File::options().write(true).open(&lease).unwrap().set_modified(SystemTime::now() - silent).unwrap();
    folder
}

/// Acts once a run waits for the trials of others, and remembers who held them.
struct Waits<F> {
    act: F,
    held: Mutex<Vec<String>>,
}

impl<F: Fn() + Send + Sync> Waits<F> {
    fn and(act: F) -> Self {
        Self { act, held: Mutex::default() }
    }
}

impl<F: Fn() + Send + Sync> Observer for Waits<F> {
    fn trial_held(&self, _: &Trial, index: usize, by: &str) {
        self.held.lock().unwrap().push(format!("{index}: {by}"));
    }

    fn waiting(&self, trials: usize) {
        assert_eq!(trials, self.held.lock().unwrap().len());
        (self.act)();
    }
}

#[test]
fn a_run_waits_for_a_silent_holder_until_it_may_go_on_with_the_trial() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&["sweep.seeds=[0, 1]"]));
    hold(out.path(), &experiment.trials()[0], Duration::from_secs(59));
    let observer = Waits::and(|| {});
    let summary = run(&experiment, &RunOptions::new(out.path(), 1), &registry(), &observer).unwrap();
    let ids = [1, 0].map(|trial: usize| experiment.trials()[trial].id.clone());
    assert_eq!(summary.trained, ids, "the one that was held comes last");
    assert_eq!(observer.held.into_inner().unwrap(), ["0: process 7 on elsewhere"]);
}

/// A mistake in a plugin, once.
#[derive(Default)]
struct Panics(AtomicBool);

impl Observer for Panics {
    fn step(&self, _: &Trial, _: u64, _: u64, _: f64) {
        assert!(self.0.swap(true, Ordering::Relaxed), "a mistake, once");
    }
}

#[test]
fn a_trial_that_was_waited_for_is_tried_again_as_often_as_any_other() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&["run.retries=1"]));
    hold(out.path(), &experiment.trials()[0], Duration::from_secs(59));
    let summary = run(&experiment, &RunOptions::new(out.path(), 1), &registry(), &Panics::default()).unwrap();
    assert_eq!((summary.trained.len(), summary.failed.len()), (1, 0), "{summary:?}");
}

/// Makes facts those of a trial that failed, not for good.
fn say_failed(facts: &Path) {
    let mut frame = ParquetReader::new(std::fs::File::open(facts).unwrap()).finish().unwrap();
    frame.with_column(Column::new("status".into(), ["failed: the disk is full"])).unwrap();
    ParquetWriter::new(std::fs::File::create(facts).unwrap()).finish(&mut frame).unwrap();
}

#[test]
fn a_run_takes_note_of_a_trial_that_ended_elsewhere_while_it_waited() {
    for failed in [false, true] {
        let (out, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let experiment = experiment(&[]);
        let trial = &experiment.trials()[0];
        go(&experiment, other.path());
        if failed {
            say_failed(&folder_of(other.path(), trial).join("facts.parquet"));
        }
        let folder = hold(out.path(), trial, Duration::ZERO);
        let ended = || {
            std::fs::remove_dir_all(&folder).unwrap();
            std::fs::rename(folder_of(other.path(), trial), folder_of(out.path(), trial)).unwrap();
        };
        let summary = run(&experiment, &RunOptions::new(out.path(), 1), &registry(), &Waits::and(ended)).unwrap();
        assert_eq!((summary.trained.len(), summary.already_done.len(), summary.failed.len()), (0, usize::from(!failed), usize::from(failed)), "{summary:?}");
    }
}

/// Acts once, when a run begins its first trial.
struct Meanwhile<F>(F);

impl<F: Fn() + Send + Sync> Observer for Meanwhile<F> {
    fn trial_started(&self, _: &Trial, index: usize, _: u64) {
        if index == 0 {
            self.0();
        }
    }
}

#[test]
fn a_trial_is_run_again_by_what_it_has_come_to_and_not_by_what_it_was_when_the_run_began() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&["sweep.seeds=[0, 1]"]));
    let [first, second] = [0, 1].map(|trial: usize| experiment.trials()[trial].id.clone());
    let only = |id: &String| RunOptions { only: Some(vec![id.clone()]), ..RunOptions::new(out.path(), 1) };
    go_with(&experiment, &only(&second));
    say_failed(&folder_of(out.path(), &experiment.trials()[1]).join("facts.parquet"));
    let tried_again = || assert_eq!(go_with(&experiment, &only(&second)).trained, std::slice::from_ref(&second));
    let summary = run(&experiment, &RunOptions::new(out.path(), 1), &registry(), &Meanwhile(tried_again)).unwrap();
    assert_eq!((summary.trained, summary.already_done), (vec![first], vec![second]));
}

/// Puts a file where trials go that have ended, once a trial is at its end.
struct Blocks<'a>(&'a Path);

impl Observer for Blocks<'_> {
    fn evaluated(&self, trial: &Trial, step: u64, _: f64) {
        if step == trial.config.train.steps {
            std::fs::remove_dir(self.0).unwrap();
            std::fs::write(self.0, "").unwrap();
        }
    }
}

#[test]
fn a_trial_that_cannot_be_stored_keeps_its_checkpoint() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&["run.checkpoint_seconds=0.0"]));
    let ended = out.path().join("trials");
    let summary = run(&experiment, &RunOptions::new(out.path(), 1), &registry(), &Blocks(&ended)).unwrap();
    assert!(summary.failed.len() == 1 && summary.failed[0].1.contains("trials"), "{summary:?}");
    std::fs::remove_file(&ended).unwrap();
    let states = experiment.states(out.path()).unwrap();
    assert!(matches!(states[..], [TrialState::PartDone(_)]), "{states:?}");
    assert_eq!(go(&experiment, out.path()).trained.len(), 1);
}

#[test]
fn a_run_that_waits_can_be_stopped_and_says_for_what_it_waited() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&[]));
    hold(out.path(), &experiment.trials()[0], Duration::ZERO);
    let options = RunOptions::new(out.path(), 1);
    let summary = run(&experiment, &options, &registry(), &Waits::and(|| options.cancel.store(true, Ordering::Relaxed))).unwrap();
    assert!(summary.cancelled && summary.trained.is_empty());
    assert_eq!(summary.elsewhere, [experiment.trials()[0].describe()]);
}

#[test]
fn another_experiment_in_the_same_folder_does_not_train_a_trial_again() {
    let out = tempfile::tempdir().unwrap();
    go(&experiment(&[]), out.path());
    let other = experiment(&["name=other", "description=\"the same trials\""]);
    let summary = go(&other, out.path());
    assert_eq!((summary.trained.len(), summary.already_done.len()), (0, 1));
    assert!(out.path().join("other/plan.parquet").is_file());
}

#[test]
fn a_torn_checkpoint_falls_back_to_the_one_before() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&[]));
    for _ in 0..2 {
        let options = RunOptions::new(out.path(), 1);
        run(&experiment, &options, &registry(), &StopsAfter { options: options.clone(), left: Mutex::new(3) }).unwrap();
    }
    let folder = std::fs::read_dir(out.path().join("work")).unwrap().next().unwrap().unwrap().path();
    let last = folder.join("checkpoint.000000000006");
    let whole = std::fs::read(&last).unwrap();
    std::fs::write(&last, &whole[..whole.len() / 3]).unwrap();
    go(&experiment, out.path());
    assert!(bytes(&experiment, out.path()) == in_one_piece(&experiment));
}

#[test]
fn a_trial_that_diverged_is_not_tried_again_by_the_same_program() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&["train.lr=1e30", "run.retries=3"]));
    for how in ["is not finite at step", "is not finite at step"] {
        let summary = go(&experiment, out.path());
        assert!(summary.failed.len() == 1 && summary.failed[0].1.contains(how), "{summary:?}");
    }
    let log = std::fs::read_to_string(folder_of(out.path(), &experiment.trials()[0]).join("trial.log")).unwrap();
    assert_eq!(log.matches(" data source=").count(), 1, "{log}");
}

#[test]
fn a_trial_that_does_not_fit_the_memory_is_refused_and_the_others_are_run() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&["sweep.grid.train.batch=[16, 100_000]"]));
    let summary = go_with(&experiment, &RunOptions { memory: Some(512 << 20), ..RunOptions::new(out.path(), 1) });
    assert_eq!((summary.trained.len(), summary.failed.len()), (1, 1));
    assert!(summary.failed[0].1.contains("512.0 MiB may be used"), "{summary:?}");
}

#[test]
fn an_encoder_counts_among_what_a_trial_needs() {
    let encoder = "train.objective={ kind = \"colocalise\", encoder = { dataset = { kind = \"mnist_pieces\", source = \"embedded\" }, \
        network = { layers = [{ fc = 20_000 }, \"relu\", { fc = 20_000 }, \"relu\", { fc = \"classes\" }] }, train = { steps = 1 } } }";
    let layers = "models.st.layers=[{ st = { transform = \"attention\", output = [28, 28], localiser = [{ fc = 8 }] } }]";
    let dataset = "dataset={ kind = \"mnist_colocalise\", source = \"embedded\", images = 4 }";
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&[encoder, layers, dataset]));
    let summary = go_with(&experiment, &RunOptions { memory: Some(512 << 20), ..RunOptions::new(out.path(), 1) });
    assert!(summary.failed.len() == 1 && summary.failed[0].1.contains("512.0 MiB may be used"), "{summary:?}");
}

/// Deletes a folder after the first trial's third step.
struct Deletes<'a> {
    folder: &'a Path,
    deleted: Mutex<bool>,
}

impl Observer for Deletes<'_> {
    fn step(&self, _: &Trial, step: u64, _: u64, _: f64) {
        let mut deleted = self.deleted.lock().unwrap();
        if step == 3 && !std::mem::replace(&mut *deleted, true) {
            std::fs::remove_dir_all(self.folder).unwrap();
        }
    }
}

#[test]
fn a_trial_whose_folder_is_deleted_fails_with_the_reason_and_the_next_is_run() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&["sweep.seeds=[0, 1]"]));
    let work = out.path().join("work");
    let observer = Deletes { folder: &work, deleted: Mutex::new(false) };
    let summary = run(&experiment, &RunOptions::new(out.path(), 1), &registry(), &observer).unwrap();
    assert_eq!((summary.trained.len(), summary.failed.len()), (1, 1), "{summary:?}");
    assert!(summary.failed[0].1.contains("was deleted while it ran"), "{summary:?}");
    assert!(go(&experiment, out.path()).failed.is_empty());
    assert!(bytes(&experiment, out.path()) == in_one_piece(&experiment));
}

#[test]
fn one_trial_can_be_asked_for() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(&["sweep.seeds=[0, 1]"]));
    let only = Some(vec![experiment.trials()[1].id.clone()]);
    let summary = go_with(&experiment, &RunOptions { only: only.clone(), ..RunOptions::new(out.path(), 1) });
    assert_eq!(Some(summary.trained), only);
    let nobody = RunOptions { only: Some(vec!["nobody".into()]), ..RunOptions::new(out.path(), 1) };
    let error = run(&experiment, &nobody, &registry(), &Silent).unwrap_err().to_string();
    assert!(error.contains("no trial nobody") && error.contains("--dry-run"), "{error}");
}

#[test]
fn running_moments_go_on_from_a_checkpoint_to_the_bit() {
    let layers = "models.st.layers=[{ parallel_st = { count = 2, transform = { kind = \"attention\", scale = 0.5 }, output = [14, 14], shared_localiser = [{ fc = 8 }, \"batch_norm\", \"relu\"],
        each = [{ conv = [4, 5] }, \"batch_norm\", \"relu\", { branches = [[{ max = 2 }], [{ conv = [3, 1, 2] }, \"batch_norm\"]] }, { avg = \"all\" }] } }, { dropout = 0.7 }, { fc = \"classes\" }]";
    let experiment = experiment(&[layers]);
    let whole = in_one_piece(&experiment);
    for steps in [1, 4] {
        let out = tempfile::tempdir().unwrap();
        in_pieces(&experiment, out.path(), steps);
        assert!(bytes(&experiment, out.path()) == whole, "by {steps} steps");
    }
}
