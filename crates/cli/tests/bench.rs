//! `stn bench`, from outside.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

const WORK: &str = "sample.bilinear.256x1x28x28";

fn bench(line: &str) -> assert_cmd::assert::Assert {
    Command::new(assert_cmd::cargo::cargo_bin!("stn")).arg("bench").args(line.split_whitespace()).assert()
}

/// The lines of standard output, each as JSON.
fn lines(assert: assert_cmd::assert::Assert) -> Vec<serde_json::Value> {
    let output = assert.success().get_output().stdout.clone();
    String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn works_are_listed_a_name_a_line() {
    bench("--list").success().stdout(contains("step.tutorial\n").and(contains("step.svhn_multi\n")).and(contains(format!("{WORK}\n"))));
}

#[test]
fn a_work_is_a_line_of_json() {
    let lines = lines(bench(&format!("{WORK} --reps 2 --threads 1 --json")));
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(line["work"], WORK);
    assert!(line["median_ms"].as_f64().unwrap() >= line["p10_ms"].as_f64().unwrap());
    assert!(line["peak_bytes"].is_u64());
    assert_eq!(line.as_object().unwrap().len(), 4);
}

#[test]
fn a_prefix_is_a_line_for_each_work() {
    let lines = lines(bench("sample.integer.256 sample.bilinear.256x1x28x28.t --reps 1 --json"));
    let names: Vec<_> = lines.iter().map(|line| line["work"].as_str().unwrap()).collect();
    assert_eq!(names, ["sample.integer.256x1x28x28", "sample.bilinear.256x1x28x28.to_theta", "sample.bilinear.256x1x28x28.tps"]);
}

#[test]
fn without_json_there_is_a_table() {
    bench(&format!("{WORK} --reps 1")).success().stdout(contains("median ms").and(contains(WORK)).and(contains("GB/s")));
}

#[test]
fn rounds_compare_every_work_with_the_first() {
    bench(&format!("{WORK} {WORK}.to_theta --reps 1 --rounds 2")).success().stdout(contains("of the first").and(contains("1.00")));
    let lines = lines(bench(&format!("{WORK} --reps 1 --rounds 2 --json")));
    assert_eq!(lines.len(), 2);
}

#[test]
fn small_trials_are_timed_from_the_file_to_the_results() {
    let lines = lines(bench("trials.side_by_side --reps 1 --json"));
    assert!(lines[0]["median_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn an_unknown_name_is_an_error_with_the_nearest() {
    bench("step.tutoral").failure().stderr(contains("Did you mean `step.tutorial`?").and(contains("--list")));
}

#[test]
fn no_name_says_what_to_type() {
    bench("").failure().stderr(contains("stn bench step.tutorial"));
}
