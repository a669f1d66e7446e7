//! Every mistake in zips, random draws and seeds is shown with its line, a caret and what to do: the texts, kept.

use insta::assert_snapshot;
use stn_lab::Experiment;

const FILE: &str = r#"[dataset]
kind = "mnist"
source = "embedded"
[models.fcn]
layers = [{ fc = 8 }, "relu", { fc = "classes" }]
[sweep]
seeds = [0, 1]
[sweep.grid]
"train.steps" = [10, 20]
[[sweep.zip]]
"train.lr" = [0.1, 0.01]
"train.clip" = [1.0, 2.0]
[sweep.random]
count = 3
[sweep.random.keys]
"train.batch" = { uniform = [8, 64] }
"#;

fn said(text: &str, overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    match Experiment::parse(text, "experiments/x.toml", "x", &overrides, &stn_plugins::standard().unwrap()) {
        Ok(experiment) => panic!("no mistake was found; trials: {:?}", experiment.trials().iter().map(|trial| trial.describe()).collect::<Vec<_>>()),
        Err(diagnostics) => diagnostics.to_string(),
    }
}

/// What is said where one piece of the good file is replaced.
fn replaced(from: &str, to: &str) -> String {
    assert!(FILE.contains(from));
    said(&FILE.replacen(from, to, 1), &[])
}

/// What is said of another distribution for the batch.
fn drawn(distribution: &str) -> String {
    replaced("{ uniform = [8, 64] }", distribution)
}

#[test]
fn the_file_is_good() {
    let experiment = Experiment::parse(FILE, "x", "x", &[], &stn_plugins::standard().unwrap()).unwrap();
    assert_eq!(experiment.trials().len(), 2 * 2 * 3 * 2);
}

#[test]
fn an_unknown_key_of_the_draws() {
    assert_snapshot!(replaced("count = 3", "cuont = 3"));
}

#[test]
fn no_count() {
    assert_snapshot!(replaced("count = 3\n", ""));
}

#[test]
fn a_count_of_0_and_one_too_large() {
    assert_snapshot!(replaced("count = 3", "count = 0"));
    assert_snapshot!(replaced("count = 3", "count = 1_000_000_000_000"));
}

#[test]
fn a_count_of_a_wrong_type() {
    assert_snapshot!(replaced("count = 3", "count = \"three\""));
    assert_snapshot!(replaced("count = 3", "count = -3"));
}

#[test]
fn nothing_to_draw() {
    assert_snapshot!(replaced("\"train.batch\" = { uniform = [8, 64] }", ""));
    assert_snapshot!(said(FILE.split("[[sweep.zip]]").next().unwrap(), &["sweep.random.count=4"]));
}

#[test]
fn an_unknown_distribution() {
    assert_snapshot!(drawn("{ unifrom = [8, 64] }"));
    assert_snapshot!(drawn("{ normal = [8, 64] }"));
}

#[test]
fn an_unknown_distribution_of_a_key_without_quotes() {
    assert_snapshot!(replaced("\"train.batch\" = { uniform = [8, 64] }", "train.batch = { unifrom = [8, 64] }"));
    assert_snapshot!(replaced("\"train.batch\" = { uniform = [8, 64] }", "train.batch = 64"));
}

#[test]
fn no_distribution() {
    assert_snapshot!(drawn("{}"));
    assert_snapshot!(drawn("[8, 64]"));
    assert_snapshot!(drawn("8"));
}

#[test]
fn two_distributions() {
    assert_snapshot!(drawn("{ uniform = [8, 64], choice = [8, 64] }"));
}

#[test]
fn bounds_that_are_not_two_numbers() {
    assert_snapshot!(drawn("{ uniform = 8 }"));
    assert_snapshot!(drawn("{ uniform = [8] }"));
    assert_snapshot!(drawn("{ uniform = [\"8\", true] }"));
}

#[test]
fn bounds_that_are_not_finite() {
    assert_snapshot!(drawn("{ uniform = [nan, inf] }"));
}

#[test]
fn bounds_swapped_or_equal() {
    assert_snapshot!(drawn("{ uniform = [64, 8] }"));
    assert_snapshot!(drawn("{ log_uniform = [8, 8] }"));
}

#[test]
fn a_log_uniform_bound_of_0() {
    assert_snapshot!(drawn("{ log_uniform = [0, 8] }"));
}

#[test]
fn a_choice_without_values_or_with_one_twice() {
    assert_snapshot!(drawn("{ choice = [] }"));
    assert_snapshot!(drawn("{ choice = 8 }"));
    assert_snapshot!(drawn("{ choice = [8, 16, 8] }"));
}

#[test]
fn what_is_wrong_with_several_draws_is_told_once() {
    assert_snapshot!(drawn("{ uniform = [8.0, 64.0] }"));
    assert_snapshot!(drawn("{ uniform = [-64, 8] }"));
    assert_snapshot!(drawn("{ choice = [8, \"many\"] }"));
}

#[test]
fn an_unknown_key_to_draw() {
    assert_snapshot!(replaced("\"train.batch\" =", "\"train.batsh\" ="));
    assert_snapshot!(replaced("\"train.batch\" =", "\"trian.batch\" ="));
}

#[test]
fn a_zip_of_unequal_lists() {
    assert_snapshot!(replaced("[1.0, 2.0]", "[1.0, 2.0, 3.0]"));
    assert_snapshot!(replaced("[1.0, 2.0]", "[1.0, 2.0, 3.0]\n\"train.log_every\" = [1, 2, 3]"));
}

#[test]
fn an_argument_that_makes_a_zip_unequal() {
    assert_snapshot!(said(FILE, &["sweep.zip.0.train.clip=3"]));
}

#[test]
fn a_zip_without_lists() {
    assert_snapshot!(replaced("\"train.lr\" = [0.1, 0.01]\n\"train.clip\" = [1.0, 2.0]\n", ""));
    assert_snapshot!(replaced("[1.0, 2.0]", "[]"));
    assert_snapshot!(replaced("[1.0, 2.0]", "1.0"));
}

#[test]
fn a_zip_in_single_brackets() {
    assert_snapshot!(replaced("[[sweep.zip]]", "[sweep.zip]"));
}

#[test]
fn a_place_of_a_zip_twice() {
    assert_snapshot!(replaced("[0.1, 0.01]\n\"train.clip\" = [1.0, 2.0]", "[0.1, 0.01, 0.1]\n\"train.clip\" = [1.0, 1.0, 1.0]"));
}

#[test]
fn an_unknown_key_of_a_zip() {
    assert_snapshot!(replaced("\"train.clip\"", "\"train.clop\""));
}

#[test]
fn a_wrong_value_of_a_zip() {
    assert_snapshot!(replaced("[1.0, 2.0]", "[1.0, -2.0]"));
}

#[test]
fn a_distribution_in_the_grid() {
    assert_snapshot!(replaced("\"train.steps\" = [10, 20]", "train.steps = { uniform = [10, 20] }"));
}

#[test]
fn a_swept_key_below_a_number() {
    assert_snapshot!(replaced("\"train.steps\" =", "\"train.steps.first\" ="));
}

#[test]
fn a_key_varied_twice() {
    assert_snapshot!(replaced("\"train.clip\"", "\"train.steps\""));
    assert_snapshot!(replaced("[sweep.random]\n", "[[sweep.zip]]\n\"train.batch\" = [1, 2]\n\"train.lr\" = [1, 2]\n[sweep.random]\n"));
}

#[test]
fn a_key_varied_twice_by_an_argument() {
    assert_snapshot!(said(FILE, &["sweep.grid.train.lr=0.5"]));
}

#[test]
fn an_argument_below_a_drawn_key() {
    assert_snapshot!(said(
        &FILE.replace("\"train.batch\" = { uniform = [8, 64] }", "\"train.optimizer\" = { choice = [\"sgd\"] }"),
        &["train.optimizer.momentum=0.5"]
    ));
}

#[test]
fn an_argument_with_an_empty_list_for_a_zip() {
    assert_snapshot!(said(FILE, &["train.lr=[]"]));
}

#[test]
fn numbers_of_seeds_that_are_none() {
    assert_snapshot!(replaced("seeds = [0, 1]", "seeds = 0"));
    assert_snapshot!(replaced("seeds = [0, 1]", "seeds = -1"));
    assert_snapshot!(replaced("seeds = [0, 1]", "seeds = 2.5"));
    assert_snapshot!(replaced("seeds = [0, 1]", "seeds = 10_000_000"));
}

#[test]
fn tables_of_a_wrong_type() {
    assert_snapshot!(said(&format!("{}[sweep]\ngrid = 1\nzip = 2\nrandom = 3\n", FILE.split("[sweep]").next().unwrap()), &[]));
}

#[test]
fn too_many_trials_of_all_axes_together() {
    assert_snapshot!(replaced("count = 3", "count = 500_000"));
}
