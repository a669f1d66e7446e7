//! From a file and arguments to trials: order, ids, precedence, the reference pages.

use stn_lab::{Experiment, json_schema, reference, results_reference};

use crate::tiny::parse;

const FILE: &str = r#"
[dataset]
kind = "mnist"
source = "embedded"
distortion = "R"
[train]
steps = 100
lr = 0.1
[models.fcn]
layers = [{ fc = "classes" }]
[models.cnn]
label = "CNN"
layers = [{ conv = [4, 5] }, "relu", { fc = "classes" }]
train = { lr = 0.2, batch = 32 }
[sweep]
seeds = [3, 1]
[sweep.grid]
"dataset.distortion" = ["R", "RTS"]
model = ["fcn", "cnn"]
"#;

const BLOCKS: &str = r#"
[dataset]
kind = "mnist"
[models.fcn]
layers = [{ fc = "classes" }]
[models.cnn]
layers = [{ conv = [4, 5] }, "relu", { fc = "classes" }]
[[sweep]]
seeds = [0, 1]
[sweep.grid]
"dataset.distortion" = ["R", "P"]
model = ["fcn"]
[[sweep]]
[sweep.grid]
"dataset.distortion" = ["RTS"]
model = ["fcn", "cnn"]
"#;

fn load(text: &str, overrides: &[&str]) -> Experiment {
    parse("x", text, overrides)
}

fn described(text: &str, overrides: &[&str]) -> Vec<String> {
    load(text, overrides).trials().iter().map(|trial| trial.describe()).collect()
}

/// Model, learning rate and steps of the trials of seed 1.
fn trained_with(text: &str, overrides: &[&str]) -> Vec<(String, f64, u64)> {
    let experiment = load(text, overrides);
    experiment.trials().iter().filter(|trial| trial.seed == 1).map(|trial| (trial.model.clone(), trial.config.train.lr, trial.config.train.steps)).collect()
}

#[test]
fn the_first_key_varies_slowest_and_the_seed_fastest() {
    let expected = [
        "fcn, dataset.distortion = R, seed 3",
        "fcn, dataset.distortion = R, seed 1",
        "cnn, dataset.distortion = R, seed 3",
        "cnn, dataset.distortion = R, seed 1",
        "fcn, dataset.distortion = RTS, seed 3",
        "fcn, dataset.distortion = RTS, seed 1",
        "cnn, dataset.distortion = RTS, seed 3",
        "cnn, dataset.distortion = RTS, seed 1",
    ];
    assert_eq!(described(FILE, &[]), expected);
}

#[test]
fn blocks_are_joined_end_to_end() {
    let expected = [
        "fcn, dataset.distortion = R, seed 0",
        "fcn, dataset.distortion = R, seed 1",
        "fcn, dataset.distortion = P, seed 0",
        "fcn, dataset.distortion = P, seed 1",
        "fcn, dataset.distortion = RTS, seed 0",
        "cnn, dataset.distortion = RTS, seed 0",
    ];
    assert_eq!(described(BLOCKS, &[]), expected);
}

#[test]
fn the_id_does_not_change_with_names_order_or_defaults() {
    let first = load(FILE, &["sweep.seeds=[1]", "model=cnn", "dataset.distortion=R"]);
    let other = r#"
name = "other"
description = "the same trial, written differently"
model = "network"
[models.network]
label = "Another label"
layers = [{ conv = [4, 5] }, "relu", { fc = "classes" }]
[train]
momentum = 0
batch = 32
lr = 0.2
optimizer = { kind = "sgd", momentum = 0.0 }
schedule = { kind = "constant" }
steps = 100
[dataset]
distortion = { kind = "R", degrees = 90 }
source = "embedded"
kind = "mnist"
[sweep]
seeds = [1]
"#;
    let second = load(&other.replace("momentum = 0\n", ""), &[]);
    assert_eq!(first.trials()[0].config.canonical(), second.trials()[0].config.canonical());
    assert_eq!(first.trials()[0].id, second.trials()[0].id);
}

#[test]
fn every_part_of_the_configuration_changes_the_id() {
    let base = load(FILE, &[]).trials()[0].id.clone();
    for change in [
        "train.steps=101",
        "dataset.train_limit=50",
        "sweep.seeds=[4]",
        "train.optimizer={ kind = 'sgd', momentum = 0.9 }",
        "models.fcn.layers=[{ fc = 5 }, { fc = 'classes' }]",
    ] {
        assert_ne!(load(FILE, &[change]).trials()[0].id, base, "{change}");
    }
}

#[test]
fn a_model_s_own_training_goes_before_the_common_one() {
    let both = [("fcn".to_owned(), 0.1, 100), ("cnn".to_owned(), 0.2, 100)];
    assert_eq!(trained_with(FILE, &["dataset.distortion=R"]), both);
}

#[test]
fn an_argument_goes_before_a_model_s_own_training() {
    assert_eq!(trained_with(FILE, &["dataset.distortion=R", "train.lr=0.5"]), [("fcn".to_owned(), 0.5, 100), ("cnn".to_owned(), 0.5, 100)]);
}

#[test]
fn the_sweep_goes_before_a_model_s_own_training() {
    let text = FILE.replace("model = [", "\"train.lr\" = [0.7]\nmodel = [");
    assert_eq!(trained_with(&text, &["dataset.distortion=R"]), [("fcn".to_owned(), 0.7, 100), ("cnn".to_owned(), 0.7, 100)]);
}

#[test]
fn a_model_s_own_training_can_be_set_by_an_argument() {
    let text = FILE.replace("[\"R\", \"RTS\"]", "[\"R\"]");
    assert_eq!(trained_with(&text, &["models.fcn.train.steps=7"]), [("fcn".to_owned(), 0.1, 7), ("cnn".to_owned(), 0.2, 100)]);
}

#[test]
fn an_argument_holds_a_swept_key() {
    assert_eq!(described(FILE, &["model=cnn", "sweep.seeds=[1]"]), ["cnn, dataset.distortion = R, seed 1", "cnn, dataset.distortion = RTS, seed 1"]);
    assert_eq!(described(FILE, &["sweep.grid.model=cnn", "sweep.seeds=[1]", "dataset.distortion=[\"P\"]"]), ["cnn, dataset.distortion = P, seed 1"]);
    assert_eq!(described(FILE, &["sweep.grid.dataset.distortion=E", "model=fcn", "sweep.seeds=[1]"]), ["fcn, dataset.distortion = E, seed 1"]);
}

#[test]
fn an_argument_keeps_of_each_block_what_it_sweeps() {
    assert_eq!(described(BLOCKS, &["dataset.distortion=RTS"]), ["fcn, dataset.distortion = RTS, seed 0", "cnn, dataset.distortion = RTS, seed 0"]);
    let kept = ["fcn, dataset.distortion = P, seed 0", "fcn, dataset.distortion = RTS, seed 0"];
    assert_eq!(described(BLOCKS, &["dataset.distortion=[\"P\", \"RTS\"]", "model=fcn", "sweep.seeds=[0]"]), kept);
    assert_eq!(described(BLOCKS, &["sweep.0.seeds=[5]", "dataset.distortion=R"]), ["fcn, dataset.distortion = R, seed 5"]);
}

#[test]
fn an_argument_reaches_the_blocks_that_do_not_vary_its_key() {
    let text = r#"
[dataset]
kind = "mnist"
[train]
lr = 0.1
[models.fcn]
layers = [{ fc = "classes" }]
[models.cnn]
layers = [{ conv = [4, 5] }, "relu", { fc = "classes" }]
train = { lr = 0.2 }
[[sweep]]
seeds = [1]
[sweep.grid]
"train.lr" = [0.3, 0.4]
model = ["fcn"]
[[sweep]]
seeds = [1]
[sweep.grid]
model = ["fcn", "cnn"]
"#;
    let all = |lr: f64| vec![("fcn".to_owned(), lr, 1000), ("cnn".to_owned(), lr, 1000)];
    for value in ["0.3", "[0.3]"] {
        assert_eq!(trained_with(text, &[&format!("train.lr={value}")]), all(0.3), "a value that a block sweeps: {value}");
    }
    assert_eq!(trained_with(text, &["train.lr=0.7"]), all(0.7), "a new value");
    let as_run = load(text, &["train.lr=0.7"]).as_run().to_owned();
    assert_eq!(trained_with(&as_run, &[]), all(0.7), "the copy of the file");
}

#[test]
fn an_argument_can_reach_into_a_choice_written_as_a_name() {
    let experiment = load(FILE, &["train.optimizer=sgd", "train.optimizer.momentum=0.5"]);
    assert!(experiment.trials()[0].config.canonical().contains("\"momentum\":0.5"));
}

#[test]
fn a_swept_key_of_one_model_does_not_repeat_the_others() {
    let text =
        FILE.replace("model = [", "\"models.cnn.layers.0.conv\" = [[4, 5], [8, 5]]\nmodel = [").replace("[3, 1]", "[1]").replace("[\"R\", \"RTS\"]", "[\"R\"]");
    assert_eq!(load(&text, &[]).trials().iter().map(|trial| trial.model.as_str()).collect::<Vec<_>>(), ["fcn", "cnn", "cnn"]);
}

#[test]
fn dotted_keys_of_the_grid_need_no_quotes() {
    let text = FILE.replace("\"dataset.distortion\"", "dataset.distortion");
    assert_eq!(described(&text, &[]), described(FILE, &[]));
}

#[test]
fn a_file_without_a_sweep_is_one_trial() {
    let text = &FILE[..FILE.find("[sweep]").unwrap()];
    assert_eq!(described(text, &["model=cnn"]), ["cnn, seed 0"]);
}

#[test]
fn the_copy_of_the_file_holds_the_arguments() {
    let experiment = load(FILE, &["train.steps=7", "sweep.seeds=[1]"]);
    let again = load(experiment.as_run(), &[]);
    let ids = |experiment: &Experiment| experiment.trials().iter().map(|trial| trial.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&experiment), ids(&again));
    assert!(experiment.as_run().starts_with("# The experiment file with these arguments laid over it:\n#   train.steps=7\n"));
    assert_eq!(load(FILE, &[]).as_run(), FILE);
}

#[test]
fn a_plan_is_there_before_any_data_is_read() {
    let trials = load(FILE, &[]);
    let parameters = trials.trials()[0].plan.as_ref().unwrap().parameters();
    assert_eq!(parameters, 28 * 28 * 10 + 10);
}

#[test]
fn the_reference_names_every_section_and_plugin() {
    let registry = stn_plugins::standard().unwrap();
    let page = reference(&registry);
    for word in [
        "`[dataset]`",
        "`[train]`",
        "`evaluate_every`",
        "`adamw`",
        "`momentum`",
        "`cosine`",
        "`tps`",
        "`bicubic`",
        "`mnist`",
        "`degrees`",
        "shared_localiser",
        "key=value",
    ] {
        assert!(page.contains(word.trim_matches('"')) || page.contains(&word.replace('`', "")), "{word}");
    }
    assert!(page.lines().filter(|line| line.starts_with('|')).all(|line| line.ends_with('|')));
    assert!(results_reference(&stn_plugins::standard().unwrap()).contains("| test_error | f64 |"));
}

#[test]
fn the_example_of_the_reference_is_an_experiment() {
    let page = reference(&stn_plugins::standard().unwrap());
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(load(example, &[]).trials().len(), 6);
}

#[test]
fn the_examples_of_sweeps_make_the_points_that_the_reference_says() {
    let page = reference(&stn_plugins::standard().unwrap());
    let mut examples = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let file = examples.next().unwrap();
    let head = &file[..file.find("[sweep]").unwrap()];
    let points: Vec<usize> =
        examples.map(|sweep| load(&format!("{head}{sweep}"), if sweep.contains("model =") { &[] } else { &["model=cnn"] }).trials().len()).collect();
    assert_eq!(points, [4, 3, 20]);
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap();
    assert!(schema["properties"]["train"]["properties"]["steps"]["description"].is_string());
    assert!(schema["properties"]["models"]["additionalProperties"]["properties"]["layers"].is_object());
    assert!(schema["properties"]["models"]["additionalProperties"]["properties"]["tolerance"].is_object());
    assert!(schema["properties"]["sweep"]["anyOf"].is_array());
}

#[test]
fn two_models_of_one_label_that_nothing_tells_apart_are_a_mistake() {
    let text = FILE.replace("[models.fcn]", "[models.fcn]\nlabel = \"CNN\"");
    let mistakes = Experiment::parse(&text, "x.toml", "x", &[], &stn_plugins::standard().unwrap()).unwrap_err().to_string();
    assert!(mistakes.contains("the models `fcn` and `cnn` have one label, `CNN`, and nothing else tells their trials apart"), "{mistakes}");
}

#[test]
fn what_a_cluster_is_asked_for_changes_no_trial() {
    let ids = |arguments: &[&str]| load(FILE, arguments).trials().iter().map(|trial| trial.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&[]), ids(&["slurm.partition=gpu", "slurm.time=\"1-0\"", "slurm.cpus_per_task=4"]));
}
