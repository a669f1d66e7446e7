//! The shortened form of `experiments/stacked_st.toml`.

use std::path::Path;

use assert_cmd::Command;
use predicates::str::contains;

#[test]
fn transformers_in_steps_and_in_depth_are_trained_and_every_step_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/stacked_st.toml");
    let shortened = ["train.steps=6", "train.batch=16", "train.evaluate_every=3", "dataset.train_limit=300", "dataset.test_limit=60", "sweep.seeds=[0]"];
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("stn"));
    command.current_dir(folder.path()).arg("run").arg(file).args(shortened).assert().success().stdout(contains("ST-CNN x 4"));
    let montage = std::fs::read_to_string(folder.path().join("results/stacked_st/report/montage_RTS.csv")).unwrap();
    for (label, steps) in [("ST-CNN", 1), ("ST-CNN x 2", 2), ("ST-CNN x 4", 4)] {
        let last =
            montage.lines().map(|line| line.split(',').collect::<Vec<_>>()).filter(|line| line[0] == label).filter_map(|line| line[3].parse().ok()).max();
        assert_eq!(last, Some(steps), "{label}");
    }
}
