//! A sweep on a real Slurm: two virtual nodes on this machine, brought up by `slurm/cluster.sh` and taken down again whatever comes.
//!
//! Where Slurm is not installed, the tests say so and do nothing; Debian has it as slurm-wlm and munge.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const CLUSTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slurm/cluster.sh");

/// Long enough that something can be done to trials at work.
const LONG: u64 = 40_000;

const EXPERIMENT: &str = r#"
[dataset]
kind = "mnist"
source = "embedded"
distortion = "R"
train_limit = 200
test_limit = 50

[train]
steps = 1000
batch = 16
lr = 0.01

[models.st_fcn]
label = "ST-FCN"
layers = [{ st = { transform = "affine", localiser = [{ fc = 8 }, "relu"] } }, { fc = 16 }, "relu", { fc = "classes" }]

[run]
checkpoint_seconds = 0.2

[slurm]
time = "10"
setup = "export SET_UP=1"

[sweep]
seeds = [0, 1, 2, 3, 4, 5, 6, 7]
"#;

/// A cluster with an experiment's folder, whose name has a space and a quote; ended when dropped.
struct Cluster {
    dir: tempfile::TempDir,
    work: tempfile::TempDir,
}

impl Cluster {
    /// `None`, with a word on standard error, where there is no Slurm.
    fn up(sweep: &str) -> Option<Self> {
        let there = |program: &str| ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"].iter().any(|dir| Path::new(dir).join(program).exists());
        if let Some(missing) = ["sbatch", "slurmctld", "slurmd", "munged"].into_iter().find(|program| !there(program)) {
            eprintln!("SKIPPED: {missing} is not installed here, so nothing was tried on a cluster (Debian: apt-get install slurm-wlm munge)");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("stn-slurm").tempdir().unwrap();
        let work = tempfile::Builder::new().prefix("it's a folder ").tempdir().unwrap();
        std::fs::write(work.path().join("tiny.toml"), format!("{EXPERIMENT}{sweep}")).unwrap();
        let cluster = Self { dir, work };
        cluster.script("up", &["2"]);
        Some(cluster)
    }

    fn script(&self, verb: &str, more: &[&str]) {
        // Few tasks an array, so that a sweep takes several.
        let status = Command::new("bash").arg(CLUSTER).arg(verb).arg(self.dir.path()).args(more).env("MAX_ARRAY_SIZE", "12").status().unwrap();
        assert!(status.success(), "cluster.sh {verb}");
    }

    fn conf(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("slurm.conf")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program).args(arguments).current_dir(self.work.path()).env("SLURM_CONF", self.conf()).output().unwrap()
    }

    /// What `stn` printed; it has to succeed.
    fn stn(&self, arguments: &[&str]) -> String {
        let output = self.run(assert_cmd::cargo::cargo_bin!("stn").to_str().unwrap(), arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "stn {arguments:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    }

    fn submit(&self) -> String {
        self.stn(&["run", "tiny.toml", "--executor", "slurm"])
    }

    fn squeue(&self) -> Option<String> {
        let output = self.run("squeue", &["-h", "-r", "-o", "%F_%K %T"]);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn out(&self, more: &str) -> PathBuf {
        self.work.path().join("results").join(more)
    }

    /// The processes of `stn` that run as tasks of a node, with the trials' jobs.
    fn tasks_on(&self, node: &str) -> Vec<(u32, String)> {
        let (conf, node) = (format!("SLURM_CONF={}", self.conf().display()), format!("SLURMD_NODENAME={node}"));
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let comm = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let Ok(environ) = std::fs::read(entry.path().join("environ")) else { continue };
            let environ = String::from_utf8_lossy(&environ).into_owned();
            let variables: BTreeSet<&str> = environ.split('\0').collect();
            let variable = |name: &str| variables.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            if comm.trim() == "stn" && variables.contains(conf.as_str()) && variables.contains(node.as_str()) {
                found.push((pid, format!("{}_{}", variable("SLURM_ARRAY_JOB_ID="), variable("SLURM_ARRAY_TASK_ID="))));
            }
        }
        found
    }

    /// Waits until a task of the node has made a checkpoint, and says which.
    fn await_checkpoint_on(&self, node: &str) -> (u32, String) {
        let mut last = None;
        until("a long task on the node has an early checkpoint", || {
            let tasks = self.tasks_on(node);
            let held = |dir: &Path, pid: u32| std::fs::read_to_string(dir.join("lease.json")).is_ok_and(|lease| lease.contains(&format!("\"pid\":{pid},")));
            // Of a long trial, and early enough to be met again.
            let early =
                |name: &str| name.strip_prefix("checkpoint.").and_then(|step| step.parse().ok()).is_some_and(|step: u64| (1001..=LONG / 3).contains(&step));
            let kept = |dir: &Path| std::fs::read_dir(dir).is_ok_and(|files| files.flatten().any(|file| early(&file.file_name().to_string_lossy())));
            let work: Vec<PathBuf> = std::fs::read_dir(self.out("work")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            last = tasks.into_iter().find(|(pid, _)| work.iter().any(|dir| held(dir, *pid) && kept(dir)));
            last.is_some()
        });
        last.unwrap()
    }

    /// Ends a node as a power cut would: its daemon, the daemons of its steps, and its tasks.
    fn cut_off(&self, node: &str) {
        let daemon: u32 = std::fs::read_to_string(self.dir.path().join(format!("{node}.pid"))).unwrap().trim().parse().unwrap();
        kill(daemon);
        let tasks = self.tasks_on(node);
        let parent =
            |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
        tasks.iter().filter_map(|(pid, _)| parent(*pid)).filter(|pid: &u32| *pid > 1).for_each(kill);
        tasks.iter().for_each(|(pid, _)| kill(*pid));
    }

    fn await_empty_queue(&self) {
        until("the queue is empty", || self.squeue().is_some_and(|queue| queue.trim().is_empty()));
    }

    /// What the tasks printed, all submissions together.
    fn logs(&self) -> String {
        let folders = std::fs::read_dir(self.out("tiny/slurm")).unwrap().flatten();
        let files =
            folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten()).filter(|file| file.path().extension().is_some_and(|e| e == "log"));
        files.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect()
    }

    /// What the tasks printed, and what the controller wrote down: why a trial was lost.
    fn story(&self) -> String {
        self.logs() + &std::fs::read_to_string(self.dir.path().join("ctld.log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new("bash").arg(CLUSTER).arg("down").arg(self.dir.path()).status();
    }
}

/// Ends a process at once.
fn kill(pid: u32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(300), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_sweep_survives_its_cluster_and_ends_as_a_local_one() {
    let Some(cluster) = Cluster::up(&format!("[sweep.grid]\n\"train.steps\" = [{LONG}, 1000]\n")) else { return };
    let submitted = cluster.submit();
    assert!(submitted.contains(": 12 trials") && submitted.contains(": 4 trials") && submitted.contains("stn status results/tiny"), "{submitted}");
    // A file that is edited afterwards changes nothing.
    let file = cluster.work.path().join("tiny.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "no experiment any more").unwrap();

    // Of sixteen tasks four fit on the nodes at a time.
    let status = cluster.stn(&["status", "results/tiny"]);
    assert!(status.contains("16 trials: ") && status.contains("PENDING"), "{status}");
    cluster.await_checkpoint_on("n2");
    std::fs::write(&file, &text).unwrap();
    let again = cluster.submit();
    assert!(!again.contains("job ") && again.contains("in the queue already"), "nothing waits twice: {again}");
    cluster.cut_off("n2");
    // Told to stop by Slurm, as shortly before its time is over, and cancelled by a person.
    // A task that has ended in between is no longer Slurm's to signal: then another is.
    let (mut stopped, mut cancelled) = (String::new(), String::new());
    until("a task was told to stop", || {
        stopped = cluster.await_checkpoint_on("n1").1;
        cluster.run("scancel", &["--signal=TERM", "--batch", &stopped]).status.success()
    });
    until("another task was cancelled", || {
        let Some((_, other)) = cluster.tasks_on("n1").into_iter().find(|(_, job)| *job != stopped) else { return false };
        cancelled = other;
        cluster.run("scancel", &[&cancelled]).status.success()
    });
    cluster.script("restart", &[]);
    until("Slurm has noticed that the node is down", || {
        String::from_utf8_lossy(&cluster.run("sinfo", &["-h", "-N", "-n", "n2", "-o", "%T"]).stdout).starts_with("down")
    });
    cluster.script("node", &["n2"]);

    cluster.await_empty_queue();
    let status = cluster.stn(&["status", "results/tiny"]);
    assert!(status.contains("15 done") || status.contains("16 done"), "{status}\n{}", cluster.story());
    assert!(!cluster.logs().contains("not in the queue again"), "a task could not queue itself again\n{}", cluster.story());
    cluster.submit();
    cluster.await_empty_queue();
    let status = cluster.stn(&["status", "results/tiny"]);
    assert!(status.contains("16 done"), "{status}\n{}", cluster.story());
    assert!(cluster.submit().contains("nothing is left to do"));
    assert!(cluster.logs().contains("in the queue again"), "a task queued itself again\n{}", cluster.logs());
    let report = cluster.stn(&["run", "tiny.toml"]);
    assert!(report.contains("ST-FCN") && report.contains("done already"), "{report}");

    cluster.stn(&["run", "tiny.toml", "--out", "local", "--jobs", "2"]);
    let mut resumed = 0;
    for entry in std::fs::read_dir(cluster.out("trials")).unwrap().flatten() {
        let local = cluster.work.path().join("local/trials").join(entry.file_name());
        for name in ["confusion.parquet", "metrics.parquet", "thetas.parquet", "warps.parquet", "weights.safetensors", "worst.parquet"] {
            assert!(std::fs::read(entry.path().join(name)).unwrap() == std::fs::read(local.join(name)).unwrap(), "{name} of {:?}", entry.file_name());
        }
        resumed += usize::from(std::fs::read_to_string(entry.path().join("trial.log")).unwrap().contains("goes on from a checkpoint"));
    }
    assert!(resumed >= 2, "{resumed} trials went on from a checkpoint");
    assert_eq!(std::fs::read_dir(cluster.work.path().join("local/trials")).unwrap().count(), 16);
}

#[test]
#[ignore = "takes a minute or two: Slurm's time limits are whole minutes"]
fn a_task_that_runs_short_of_time_goes_on_from_its_checkpoint() {
    let Some(cluster) = Cluster::up("") else { return };
    let time = ["run", "tiny.toml", "train.steps=10000000", "sweep.seeds=[0]", "slurm.lead_seconds=45", "--executor", "slurm", "--time", "1"];
    cluster.stn(&time);
    until("the task is in the queue again", || cluster.out("tiny/slurm/1/task-0.log").exists() && cluster.logs().contains("in the queue again"));
    let log = || {
        let folders = std::fs::read_dir(cluster.out("work")).unwrap().flatten();
        folders.map(|folder| std::fs::read_to_string(folder.path().join("trial.log")).unwrap_or_default()).collect::<String>()
    };
    until("it goes on from its checkpoint", || log().contains("goes on from a checkpoint"));
    assert!(cluster.run("scancel", &["--me"]).status.success() || cluster.run("scancel", &["--name=stn-tiny"]).status.success());
    cluster.await_empty_queue();
    assert!(cluster.stn(&["status", "results/tiny"]).contains("1 part-done"));
}

#[test]
fn flags_for_a_cluster_without_one_are_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tiny.toml"), EXPERIMENT).unwrap();
    let stn = |arguments: &[&str]| {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("stn")).args(arguments).current_dir(folder.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (done, words) = stn(&["run", "tiny.toml", "--time", "1:00:00"]);
    assert!(!done && words.contains("add --executor slurm"), "{words}");
    let (done, words) = stn(&["run", "tiny.toml", "--executor", "slurm", "--time", "1h"]);
    assert!(!done && words.contains("`1h` is no time that Slurm takes") && words.contains("slurm.time="), "{words}");
    let (done, words) = stn(&["status", "."]);
    assert!(!done && words.contains("no experiment's folder"), "{words}");
    assert!(!folder.path().join("results").exists());
}

/// Programs of Slurm's names that do as they are told, in a folder of an experiment.
struct Pretended(tempfile::TempDir);

impl Pretended {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tiny.toml"), EXPERIMENT).unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let pretended = Self(folder);
        pretended.program("sbatch", "printf '%s\\n' \"$@\" >>sbatch.txt; n=$(cat job 2>/dev/null || echo 40); echo $((n + 1)) | tee job");
        pretended.program("scontrol", "echo 'MaxArraySize            = 3'");
        pretended.program("squeue", "true");
        pretended
    }

    fn program(&self, name: &str, does: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{does}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Whether it succeeded, and all that it printed.
    fn stn(&self, arguments: &[&str]) -> (bool, String) {
        let path = format!("{}:{}", self.0.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new(assert_cmd::cargo::cargo_bin!("stn")).args(arguments).current_dir(self.0.path()).env("PATH", path).output().unwrap();
        (output.status.success(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }
}

#[test]
fn arrays_longer_than_the_cluster_takes_are_split_and_flags_go_before_the_file() {
    let slurm = Pretended::new();
    let (done, words) = slurm.stn(&["run", "tiny.toml", "--executor", "slurm", "--time", "1:00:00", "--throttle", "2", "--threads", "3"]);
    assert!(done && words.contains("job 41: 3 trials") && words.contains("job 42: 3 trials") && words.contains("job 43: 2 trials"), "{words}");
    let options = std::fs::read_to_string(slurm.0.path().join("sbatch.txt")).unwrap();
    assert!(
        options.contains("--time=1:00:00") && !options.contains("--time=10\n") && options.contains("--array=0-2%2") && options.contains("--array=0-1%2"),
        "{options}"
    );
    let script = std::fs::read_to_string(slurm.0.path().join("results/tiny/slurm/3/task.sh")).unwrap();
    assert!(script.contains("export SET_UP=1\n") && script.contains("'--threads' '3'"), "{script}");
}

#[test]
fn what_waits_in_the_queue_is_not_submitted_again_and_a_queue_that_does_not_answer_is_a_warning() {
    let slurm = Pretended::new();
    assert!(slurm.stn(&["run", "tiny.toml", "--executor", "slurm", "sweep.seeds=[0,1,2]"]).0);
    slurm.program("squeue", "echo '41|0|PENDING|stn-tiny|(Resources)'; echo '41|1|COMPLETING|stn-tiny|n1'; echo '41|2|RUNNING|stn-other|n1'");
    let (done, words) = slurm.stn(&["run", "tiny.toml", "--executor", "slurm", "sweep.seeds=[0,1,2]"]);
    assert!(done && words.contains("job 42: 2 trials") && words.contains("1 in the queue already"), "{words}");
    let (done, words) = slurm.stn(&["status", "results/tiny"]);
    assert!(done && words.contains("3 to do") && words.contains("41_0 PENDING (Resources)"), "{words}");
    slurm.program("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1");
    let (done, words) = slurm.stn(&["status", "results/tiny"]);
    assert!(done && words.contains("3 to do") && words.contains("warning") && words.contains("Unable to contact"), "{words}");
    let (done, words) = slurm.stn(&["run", "tiny.toml", "--executor", "slurm", "sweep.seeds=[0,1,2]"]);
    assert!(done && words.contains("job 43: 3 trials") && words.contains("Unable to contact"), "{words}");
}

#[test]
fn a_job_that_slurm_refuses_leaves_nothing_and_is_told_in_its_words() {
    let slurm = Pretended::new();
    slurm.program("sbatch", "echo 'sbatch: error: invalid partition specified: no' >&2; exit 1");
    let (done, words) = slurm.stn(&["run", "tiny.toml", "--executor", "slurm", "--partition", "no"]);
    assert!(!done && words.contains("invalid partition specified"), "{words}");
    assert_eq!(std::fs::read_dir(slurm.0.path().join("results/tiny/slurm")).unwrap().count(), 0);
}

#[test]
fn a_task_trains_its_trial_alone_and_makes_no_report() {
    let slurm = Pretended::new();
    let run = ["run", "tiny.toml", "--executor", "slurm", "train.steps=3", "sweep.seeds=[0,1]"];
    assert!(slurm.stn(&run).0);
    let task = || Command::new("bash").arg(slurm.0.path().join("results/tiny/slurm/1/task.sh")).env("SLURM_ARRAY_TASK_ID", "1").output().unwrap();
    assert!(task().status.success());
    let again = task();
    assert!(again.status.success() && String::from_utf8_lossy(&again.stderr).contains("done already"));
    assert!(!slurm.0.path().join("results/tiny/report").exists());
    let (_, words) = slurm.stn(&["status", "results/tiny"]);
    assert!(words.contains("2 trials: 1 done, 0 running, 0 part-done, 0 pruned, 0 failed, 1 to do"), "{words}");
}
