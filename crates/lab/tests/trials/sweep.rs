//! Zips, random draws and numbers of seeds: which trials they make, and what arguments do to them.

use stn_lab::Experiment;

use crate::tiny::parse;

const HEAD: &str = r#"
[dataset]
kind = "mnist"
source = "embedded"
[models.fcn]
layers = [{ fc = 8 }, "relu", { fc = "classes" }]
[models.cnn]
layers = [{ conv = [4, 5] }, "relu", { fc = "classes" }]
"#;

const ZIP: &str = r#"
[sweep]
[sweep.grid]
model = ["fcn", "cnn"]
[[sweep.zip]]
"train.lr" = [0.1, 0.01, 0.01]
"train.batch" = [64, 64, 256]
"#;

const DRAWS: &str = r#"
model = "fcn"
[sweep]
[sweep.random]
count = 3
[sweep.random.keys]
"train.lr" = { log_uniform = [1e-4, 1e-1] }
"train.batch" = { uniform = [8, 64] }
"#;

fn load(text: &str, overrides: &[&str]) -> Experiment {
    parse("x", text, overrides)
}

fn with(sweep: &str) -> String {
    match sweep.strip_prefix("\nmodel = \"fcn\"") {
        Some(rest) => format!("model = \"fcn\"\n{HEAD}{rest}"),
        None => format!("{HEAD}{sweep}"),
    }
}

fn described(sweep: &str, overrides: &[&str]) -> Vec<String> {
    load(&with(sweep), overrides).trials().iter().map(|trial| trial.describe()).collect()
}

/// Model, learning rate and batch, trial by trial.
fn trained(sweep: &str, overrides: &[&str]) -> Vec<(String, f64, usize)> {
    load(&with(sweep), overrides).trials().iter().map(|trial| (trial.model.clone(), trial.config.train.lr, trial.config.train.batch)).collect()
}

/// Learning rate and batch of the trials.
fn pairs(sweep: &str, overrides: &[&str]) -> Vec<(f64, usize)> {
    trained(sweep, overrides).into_iter().map(|(_, lr, batch)| (lr, batch)).collect()
}

fn fcn(pairs: &[(f64, usize)]) -> Vec<(String, f64, usize)> {
    pairs.iter().map(|(lr, batch)| ("fcn".to_owned(), *lr, *batch)).collect()
}

#[test]
fn the_lists_of_a_zip_go_side_by_side_and_multiply_with_the_grid() {
    let expected = [
        "fcn, train.batch = 64, train.lr = 0.1, seed 0",
        "fcn, train.batch = 64, train.lr = 0.01, seed 0",
        "fcn, train.batch = 256, train.lr = 0.01, seed 0",
        "cnn, train.batch = 64, train.lr = 0.1, seed 0",
        "cnn, train.batch = 64, train.lr = 0.01, seed 0",
        "cnn, train.batch = 256, train.lr = 0.01, seed 0",
    ];
    assert_eq!(described(ZIP, &[]), expected);
}

#[test]
fn two_zips_and_seeds_multiply() {
    let sweep = format!("{}\n[[sweep.zip]]\n\"train.steps\" = [10, 20]\n\"train.log_every\" = [1, 2]\n", ZIP.replace("[sweep]\n", "[sweep]\nseeds = 5\n"));
    let all = described(&sweep, &["model=fcn"]);
    assert_eq!(all.len(), 3 * 2 * 5);
    assert_eq!(all[0], "fcn, train.batch = 64, train.log_every = 1, train.lr = 0.1, train.steps = 10, seed 0");
    assert_eq!(all[6], "fcn, train.batch = 64, train.log_every = 2, train.lr = 0.1, train.steps = 20, seed 1");
}

#[test]
fn keys_of_zips_and_draws_need_no_quotes() {
    let bare = |text: &str| text.replace("\"train.lr\"", "train.lr").replace("\"train.batch\"", "train.batch");
    assert_eq!(described(&bare(ZIP), &[]), described(ZIP, &[]));
    assert_eq!(described(&bare(DRAWS), &[]), described(DRAWS, &[]));
    let inline = "[sweep]\nzip = [{ train.lr = [0.1, 0.2], train.batch = [1, 2] }, { model = [\"fcn\", \"cnn\"] }]\n";
    assert_eq!(pairs(inline, &[]), [(0.1, 1), (0.1, 1), (0.2, 2), (0.2, 2)]);
}

#[test]
fn a_number_of_seeds_stands_for_those_from_0() {
    let seeds = |sweep: &str, overrides: &[&str]| load(&with(sweep), overrides).trials().iter().map(|trial| trial.seed).collect::<Vec<_>>();
    assert_eq!(seeds("[sweep]\nseeds = 3\n", &["model=fcn"]), [0, 1, 2]);
    assert_eq!(seeds("[sweep]\nseeds = [3]\n", &["model=fcn"]), [3]);
    assert_eq!(seeds("[sweep]\nseeds = [3]\n", &["model=fcn", "sweep.seeds=2"]), [0, 1]);
}

#[test]
fn draws_never_change() {
    // Pinned: a change here changes which trials every random sweep has.
    assert_eq!(pairs(DRAWS, &[]), [(0.00013876653135943678, 50), (0.031726953309607384, 38), (0.045006878931510876, 60)]);
}

#[test]
fn more_draws_or_keys_leave_the_others_as_they_were() {
    let three = pairs(DRAWS, &[]);
    assert_eq!(pairs(DRAWS, &["sweep.random.count=7"])[..3], three);
    let more = DRAWS.replace("\"train.batch\"", "\"train.steps\" = { choice = [5, 6] }\n\"train.batch\"");
    assert_eq!(pairs(&more, &[]), three);
    let lr: Vec<f64> = pairs(&DRAWS.replace("\"train.batch\" = { uniform = [8, 64] }", ""), &[]).into_iter().map(|(lr, _)| lr).collect();
    assert_eq!(lr, three.iter().map(|(lr, _)| *lr).collect::<Vec<_>>());
    assert_ne!(pairs(DRAWS, &["sweep.random.seed=1"]), three);
}

#[test]
fn every_seed_trains_the_same_draws() {
    let experiment = load(&with(DRAWS), &["sweep.seeds=2"]);
    let lr: Vec<f64> = experiment.trials().iter().map(|trial| trial.config.train.lr).collect();
    assert_eq!((lr.len(), lr[0], lr[2]), (6, lr[1], lr[3]));
}

#[test]
fn a_draw_can_be_typed_back_from_what_differs() {
    for trial in load(&with(DRAWS), &["sweep.random.count=50"]).trials() {
        let again =
            load(&with(""), &["model=fcn", &format!("train.lr={}", trial.differs["train.lr"]), &format!("train.batch={}", trial.differs["train.batch"])]);
        assert_eq!(again.trials()[0].id, trial.id);
    }
}

#[test]
fn draws_may_be_of_any_value_and_of_a_model_s_keys() {
    let sweep = "[sweep.random]\ncount = 40\n[sweep.random.keys]\nmodel = { choice = [\"fcn\", \"cnn\"] }\n\"train.optimizer\" = { choice = [\"sgd\", { kind = \"adam\", beta1 = 0.8 }] }\n\"models.fcn.layers.0.fc\" = { log_uniform = [2, 4] }\n";
    let experiment = load(&with(sweep), &[]);
    let of = |model: &str| experiment.trials().iter().filter(|trial| trial.model == model).count();
    assert_eq!((of("fcn"), of("cnn")), (6, 2), "equal draws are one trial, and another model's width does not matter");
}

#[test]
fn a_swept_key_within_another_is_set_after_it() {
    let sweep = "model = \"fcn\"\n[sweep.grid]\n\"train.optimizer.momentum\" = [0.5]\n\"train.optimizer\" = [\"sgd\"]\n".replace("model = \"fcn\"\n", "");
    assert!(load(&with(&sweep), &["model=fcn"]).trials()[0].config.canonical().contains("\"momentum\":0.5"));
}

#[test]
fn an_argument_keeps_the_places_of_a_zip_with_its_value() {
    assert_eq!(trained(ZIP, &["train.lr=0.01", "model=fcn"]), fcn(&[(0.01, 64), (0.01, 256)]));
    assert_eq!(trained(ZIP, &["train.batch=256", "model=fcn"]), fcn(&[(0.01, 256)]));
    assert_eq!(trained(ZIP, &["train.batch=[256, 64]", "model=fcn"]), fcn(&[(0.1, 64), (0.01, 64), (0.01, 256)]));
}

#[test]
fn an_argument_that_a_zip_lacks_takes_its_key_out() {
    assert_eq!(trained(ZIP, &["train.batch=32", "model=fcn"]), fcn(&[(0.1, 32), (0.01, 32)]));
    assert_eq!(trained(ZIP, &["train.batch=[64, 32]", "model=fcn"]), fcn(&[(0.1, 64), (0.01, 64), (0.1, 32), (0.01, 32)]));
    assert_eq!(trained(ZIP, &["train.batch=32", "train.lr=0.5", "model=fcn"]), fcn(&[(0.5, 32)]), "the last key takes the zip out");
}

#[test]
fn an_argument_on_a_drawn_key_holds_it_and_leaves_the_other_draws() {
    let free = pairs(DRAWS, &[]);
    let held: Vec<_> = free.iter().map(|(_, batch)| (0.5, *batch)).collect();
    assert_eq!(pairs(DRAWS, &["train.lr=0.5"]), held);
    assert_eq!(pairs(DRAWS, &["train.lr=0.5", "train.batch=[9, 10]"]), [(0.5, 9), (0.5, 10)], "nothing is left to draw");
}

#[test]
fn arguments_change_zips_and_draws_themselves() {
    assert_eq!(trained(ZIP, &["sweep.zip.0.train.lr=[1, 2, 3]", "model=fcn"]), fcn(&[(1.0, 64), (2.0, 64), (3.0, 256)]));
    assert_eq!(pairs(DRAWS, &["sweep.random.keys.train.lr={ choice = [0.25] }", "sweep.random.count=1"])[0].0, 0.25);
    assert_eq!(pairs(ZIP, &["sweep={ grid = { train.lr = [0.3] } }", "model=fcn"]), [(0.3, 256)]);
}

#[test]
fn of_several_blocks_each_keeps_what_it_lists_of_an_argument() {
    let sweep = "[[sweep]]\n[sweep.grid]\n\"train.lr\" = [0.1, 0.3]\n[[sweep]]\n[[sweep.zip]]\n\"train.lr\" = [0.1, 0.2]\n\"train.batch\" = [1, 2]\n\
                 [[sweep]]\n[sweep.random]\ncount = 2\n[sweep.random.keys]\n\"train.lr\" = { uniform = [5.0, 6.0] }\n\"train.batch\" = { uniform = [100, 200] }\n";
    let batches: Vec<usize> = pairs(sweep, &["model=fcn"]).iter().skip(4).map(|(_, batch)| *batch).collect();
    assert_eq!(pairs(sweep, &["model=fcn", "train.lr=0.2"]), [(0.2, 2), (0.2, batches[0]), (0.2, batches[1])], "a grid without the value is left out");
    assert_eq!(pairs(sweep, &["model=fcn", "train.lr=0.3"])[..1], [(0.3, 256)]);
    assert_eq!(pairs(sweep, &["model=fcn", "sweep.random.count=1"]).len(), 5, "a count is for the blocks that draw");
    assert_eq!(pairs(sweep, &["model=fcn", "sweep.zip.0.train.batch=[7, 8]"])[2..4], [(0.1, 7), (0.2, 8)]);
    assert_eq!(pairs(sweep, &["model=fcn", "sweep.1.zip.0.train.lr=[7, 8]"])[2..4], [(7.0, 1), (8.0, 2)]);
}

#[test]
fn the_copy_of_the_file_makes_the_same_trials() {
    let ids = |experiment: &Experiment| experiment.trials().iter().map(|trial| trial.id.clone()).collect::<Vec<_>>();
    for (sweep, argument) in [(ZIP, "train.batch=32"), (ZIP, "train.lr=0.01"), (DRAWS, "train.lr=0.5"), (DRAWS, "sweep.random.count=4")] {
        let experiment = load(&with(sweep), &[argument]);
        assert_eq!(ids(&load(experiment.as_run(), &[])), ids(&experiment), "{argument}");
    }
}
