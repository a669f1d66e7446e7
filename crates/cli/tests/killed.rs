//! A sweep that is killed again and again, and run again each time by the same command: its results are those of one that was left alone.
//!
//! `STN_KILLS=50 cargo test --release --test killed` kills it more often than a usual run of the tests does.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::RngExt;
use stn_core::stream::stream;

/// Two networks and two seeds; checkpoints so often that a kill meets one being written.
const FILE: &str = r#"
name = "killed"
[dataset]
kind = "mnist"
source = "embedded"
distortion = "R"
train_limit = 500
test_limit = 200
[train]
steps = STEPS
batch = 16
lr = 0.003
optimizer = "adam"
log_every = 20
evaluate_every = 50
[run]
checkpoint_seconds = 0.0
[sweep]
seeds = [0, 1]
[sweep.grid]
model = ["fcn", "st"]
[models.fcn]
layers = [{ fc = 32 }, "relu", { fc = "classes" }]
[models.st]
layers = [
    { st = { transform = "affine", localiser = [{ avg = 2 }, { conv = [4, 5] }, "relu", { max = 2 }, { fc = 16 }, "relu"] } },
    { conv = [4, 9] }, "relu", { max = 2 }, { dropout = 0.5 }, { fc = "classes" },
]
"#;

/// The time before the first step of a command.
const START: Duration = Duration::from_millis(100);

fn command(file: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stn"));
    command.arg("run").arg(file).arg("--out").arg(out).args(["--jobs", "2", "--threads", "2"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn run(file: &Path, out: &Path) {
    let done = command(file, out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Every file of every trial whose bytes must not depend on how it was run, by trial and name; and the same of the report.
fn contents(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let folders = std::fs::read_dir(out.join("trials")).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.chain([out.join("killed/report")]) {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let (name, path) = (entry.as_ref().unwrap().file_name().into_string().unwrap(), entry.unwrap().path());
            // These say how long steps took, the log when they were done.
            let timed = ["facts.parquet", "trial.log", "index.html"].contains(&name.as_str())
                || ["table", "comparison", "cost_step_time"].iter().any(|timed| name.starts_with(timed));
            let bytes = if timed { Vec::new() } else { std::fs::read(&path).unwrap() };
            found.insert(format!("{}/{name}", folder.file_name().unwrap().to_str().unwrap()), bytes);
        }
    }
    found
}

#[test]
fn a_sweep_killed_again_and_again_gives_the_bytes_of_one_left_alone() {
    let kills: u64 = std::env::var("STN_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(8);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("killed sweep.toml");
    std::fs::write(&file, FILE.replace("STEPS", &(50 * kills).to_string())).unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let begun = std::time::Instant::now();
    run(&file, &whole);
    let most = begun.elapsed();
    let mut moments = stream(7, "kills", kills);
    let mut in_time = 0;
    for _ in 0..kills {
        let mut child = command(&file, &broken).spawn().unwrap();
        // So long on average that the sweep ends with the last kills, which then meet the report.
        std::thread::sleep(START + (most / kills as u32).mul_f64(moments.random_range(0.0..2.4)));
        in_time += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(&file, &broken);
    let logs = std::fs::read_dir(broken.join("trials")).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path().join("trial.log")).unwrap());
    let resumed: usize = logs.map(|log| log.matches("goes on from a checkpoint").count()).sum();
    eprintln!("{in_time} of {kills} kills met the command at work; {resumed} times a trial went on from a checkpoint");
    assert!(in_time > kills / 2 && resumed > 0);
    let (whole, broken) = (contents(&whole), contents(&broken));
    assert_eq!(whole.keys().collect::<Vec<_>>(), broken.keys().collect::<Vec<_>>());
    let changed: Vec<_> = whole.iter().filter(|(name, bytes)| broken.get(*name) != Some(bytes)).map(|(name, _)| name).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert!(whole.values().filter(|bytes| !bytes.is_empty()).count() > 12);
}
