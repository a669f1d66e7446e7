//! The Python of the manual's page "Elsewhere", run as it stands there on the results of a short run; and PyTorch with the weights of the networks of Table 1.
//!
//! The Python is `$STN_PYTHON`, else `python3`. What it lacks a package for is left out, with a word: `requirements.txt` beside this file lists them.

use std::path::{Path, PathBuf};
use std::process::Command;

fn manual() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src").canonicalize().unwrap()
}

fn python(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var("STN_PYTHON").unwrap_or_else(|_| "python3".into()));
    command.current_dir(folder).env("PYTHONPATH", manual()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Whether Python is there with all of these packages.
fn has(packages: &str) -> bool {
    let found = python(Path::new(".")).args(["-c", &format!("import {packages}")]).output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("left out: there is no Python with {packages}; set STN_PYTHON to one that has them");
    }
    found
}

/// Runs a script and gives what it printed.
fn runs(folder: &Path, script: &str) -> String {
    let output = python(folder).args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stn(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("stn")).current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const SMALL: [&str; 5] = ["dataset.source=embedded", "dataset.train_limit=200", "dataset.test_limit=60", "train.batch=16", "train.log_every=2"];

/// A folder with results of the quickstart: two models, two seeds, six steps.
fn quickstart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = manual().join("../../experiments/quickstart.toml");
    let models = ["sweep.grid.model=[\"cnn\", \"st_cnn_affine\"]", "sweep.seeds=2", "train.steps=6", "train.evaluate_every=2"];
    stn(folder.path(), &[&["run", file.to_str().unwrap(), "--tensorboard"], &SMALL[..], &models].concat());
    folder
}

/// The Python blocks under a heading of the page.
fn blocks(heading: &str) -> Vec<String> {
    let page = std::fs::read_to_string(manual().join("elsewhere.md")).unwrap();
    let section = page.split_once(&format!("# {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}")).1;
    let section = section.find("\n## ").into_iter().chain(section.find("\n### ")).min().map_or(section, |end| &section[..end]);
    section.split("```python\n").skip(1).map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

/// Mean errors in plain Python, to hold those of the page against.
const EXPECTED: &str = r#"
import glob as _glob, pyarrow.parquet as _pq
def _rows(path): return _pq.read_table(path).to_pylist()
_facts = {row["trial"]: row for path in _glob.glob("results/trials/*/facts.parquet") for row in _rows(path)}
_expected = {}
for _row in _rows("results/quickstart/plan.parquet"): _expected.setdefault(_row["label"], []).append(_facts[_row["trial"]]["test_error"])
def _same(found): assert found.keys() == _expected.keys() and all(abs(found[k] - sum(v) / len(v)) < 1e-9 for k, v in _expected.items()), (found, _expected)
"#;

/// Runs every block under a heading, each with a check of what it found.
fn hold(heading: &str, checks: &[&str]) {
    let folder = quickstart();
    let blocks = blocks(heading);
    assert_eq!(blocks.len(), checks.len(), "{heading}");
    for (block, check) in blocks.iter().zip(checks) {
        runs(folder.path(), &format!("{block}\n{EXPECTED}\n{check}"));
    }
}

#[test]
fn polars_answers_the_questions_of_the_manual() {
    if has("numpy, polars, pyarrow") {
        let theta = "assert path.columns == ['trained', 't11', 't12', 't13', 't21', 't22', 't23'] and path['trained'].to_list() == [0, 2, 4, 6], path";
        let curves = "assert curves.columns == ['label', 'step', 'error'] and curves['step'].to_list() == [2, 4, 6] * 2, curves";
        let image = "assert output.shape == (1, 28, 28) and 0 <= row['class'] < 10";
        hold("polars", &["_same(dict(zip(errors['label'], errors['mean'])))\nassert errors['seeds'].to_list() == [2, 2]", curves, theta, image]);
    }
}

#[test]
fn pandas_answers_the_questions_of_the_manual() {
    if has("pandas, pyarrow") {
        hold(
            "pandas",
            &[
                "_same(errors['mean'].to_dict())",
                "assert list(curve.index) == [2, 4, 6] and list(curve.columns) == ['test', 'train'] and curve.notna().all(None)",
            ],
        );
    }
}

#[test]
fn duckdb_answers_the_questions_of_the_manual() {
    if has("duckdb, pyarrow") {
        let reached = "assert reached.columns == ['label', 'seed', 'steps', 'final']\nassert len(reached.fetchall()) <= 4";
        hold("DuckDB", &["_same({row[0]: row[1] for row in errors.fetchall()})", reached]);
    }
}

#[test]
fn tensorboard_reads_the_event_files() {
    if has("pyarrow, tensorboard") {
        let check = r#"
assert sorted(runs) == [f"{label}, seed {seed}" for label in ("CNN", "ST-CNN affine") for seed in (0, 1)], runs
assert all([step for step, _ in run] == [2, 4, 6] for run in runs.values()), runs
_last = {label: [runs[f"{label}, seed {seed}"][-1][1] for seed in (0, 1)] for label in _expected}
assert all(abs(a - b) < 1e-4 for label in _expected for a, b in zip(sorted(_last[label]), sorted(_expected[label]))), (_last, _expected)
run = EventAccumulator("results/quickstart/tensorboard/ST-CNN affine, seed 0", size_guidance={"images": 0}).Reload()
tags = run.Tags()
assert sorted(tags["scalars"]) == ["error/test", "error/train", "loss/test", "loss/train", "lr"], tags
assert tags["images"] and all(tag.startswith("st1/class ") for tag in tags["images"]), tags
image = run.Images(tags["images"][0])[-1]
assert (image.width, image.height, image.encoded_image_string[:4], image.step) == (58, 28, b"\x89PNG", 6)
assert b'"layers"' in run.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0]
assert "hparams" in run.PluginAssets("hparams") or run.summary_metadata["_hparams_/session_start_info"].plugin_data.plugin_name == "hparams"
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
start = HParamsPluginData.FromString(run.summary_metadata["_hparams_/session_start_info"].plugin_data.content).session_start_info
assert start.hparams["model"].string_value == "ST-CNN affine" and start.group_name == "ST-CNN affine, R", start
"#;
        hold("TensorBoard", &[check]);
    }
}

/// The networks of Table 1 in their full size, trained for a few steps: logits differ by rounding, 1e-5 of the largest or of 1.
#[test]
fn pytorch_gives_the_same_logits_with_the_weights_of_table_1() {
    if !has("numpy, pyarrow, safetensors, torch") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = manual().join("../../experiments/mnist_table1.toml");
    let few = ["train.steps=8", "train.lr=0.05", "sweep.0.seeds=1", "sweep.1.seeds=1", "sweep.0.grid.\"dataset.distortion\"=[\"P\"]"];
    stn(folder.path(), &[&["run", file.to_str().unwrap()], &SMALL[..], &few].concat());
    let trials: Vec<String> =
        std::fs::read_dir(folder.path().join("results/trials")).unwrap().map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect();
    assert_eq!(trials.len(), 16);
    let mut script = String::from("import stn_torch\n");
    for (i, trial) in trials.iter().enumerate() {
        let out = format!("{i}.npz");
        stn(folder.path(), &["predict", trial, "--out", &out]);
        script += &format!(
            "logits, theta, largest, images = stn_torch.compare({trial:?}, {out:?})\nassert images == 60 and logits <= 1e-5 * max(1, largest) and theta <= 1e-5, ({trial:?}, logits, theta)\n"
        );
    }
    runs(folder.path(), &script);
}

#[test]
fn pytorch_loads_a_network_as_the_manual_says() {
    if has("pyarrow, safetensors, torch") {
        let trial = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trained/st_cnn_tps");
        let blocks = blocks("PyTorch");
        assert_eq!(blocks.len(), 1);
        let block = blocks[0].replace("results/trials/ID", trial.to_str().unwrap());
        runs(Path::new("."), &format!("{block}\nassert logits.shape == (2, 10) and theta.shape == (2, 32)"));
    }
}
