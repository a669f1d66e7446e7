//! Trials that are stopped early, as they are worse than others.

use std::path::Path;

use stn_lab::{Experiment, Trial, TrialState};

use crate::tiny::{folder_of, go, parse};

const FILE: &str = r#"
name = "tiny"
[dataset]
kind = "mnist"
source = "embedded"
train_limit = 200
test_limit = 100
[train]
steps = 40
batch = 16
optimizer = "adam"
evaluate_every = 10
[prune]
kind = "median"
min_steps = 20
min_trials = 2
[sweep.grid]
"train.lr" = [0.01, 0.02, 1e-9]
[models.fcn]
layers = [{ fc = 16 }, "relu", { fc = "classes" }]
"#;

fn experiment(text: &str, overrides: &[&str]) -> Experiment {
    parse("tiny", text, overrides)
}

fn unpruned() -> String {
    let (before, rest) = FILE.split_once("[prune]").unwrap();
    format!("{before}{}", rest.split_once("[sweep").map(|(_, rest)| format!("[sweep{rest}")).unwrap())
}

fn bytes(trial: &Trial, out: &Path) -> [Vec<u8>; 2] {
    ["metrics.parquet", "weights.safetensors"].map(|name| std::fs::read(folder_of(out, trial).join(name)).unwrap())
}

#[test]
fn the_worse_one_is_stopped_at_the_first_step_that_counts_and_stays_so() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(FILE, &[]));
    let first = go(&experiment, out.path());
    assert_eq!((first.trained.len(), first.pruned.len(), first.failed.len()), (2, 1, 0), "{first:?}");
    let (trial, reason) = &first.pruned[0];
    assert!(trial.contains("train.lr = 1e-9") && reason.contains("after 20 steps, above the median") && reason.contains("of 2 others"), "{reason}");
    assert!(matches!(&experiment.states(out.path()).unwrap()[2], TrialState::Pruned { reason: told, .. } if told == reason));
    let again = go(&experiment, out.path());
    assert_eq!((again.trained.len(), again.already_done.len()), (0, 2));
    assert_eq!(again.pruned, first.pruned);
}

#[test]
fn without_pruning_it_goes_on_to_the_bytes_of_one_that_was_never_stopped() {
    let (out, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    go(&experiment(FILE, &[]), out.path());
    let unpruned = experiment(&unpruned(), &[]);
    assert_eq!(go(&unpruned, out.path()).trained, [unpruned.trials()[2].id.clone()]);
    go(&unpruned, whole.path());
    for trial in unpruned.trials() {
        assert!(bytes(trial, out.path()) == bytes(trial, whole.path()));
    }
}

#[test]
fn what_was_done_before_counts_among_the_others() {
    let (out, whole) = (tempfile::tempdir().unwrap(), unpruned());
    go(&experiment(&whole, &["sweep.grid.train.lr=[0.01, 0.02]"]), out.path());
    assert_eq!(go(&experiment(FILE, &[]), out.path()).pruned.len(), 1);
}

#[test]
fn halving_stops_all_but_the_best_in_so_many_of_those_that_came() {
    let (out, experiment) = (tempfile::tempdir().unwrap(), experiment(FILE, &["prune.kind=asha", "prune.min_steps=10", "prune.reduction=2"]));
    let summary = go(&experiment, out.path());
    assert!(summary.pruned.iter().any(|(trial, reason)| trial.contains("1e-9") && reason.contains("place 3 of 3 so far, of which 2 go on")), "{summary:?}");
}
