//! Every mistake is shown with its line, a caret and what to do: the texts, kept.

use insta::assert_snapshot;
use stn_lab::Experiment;

const FILE: &str = r#"name = "quick"
description = "For the tests"

[dataset]
kind = "mnist"
source = "embedded"
distortion = "R"

[train]
steps = 100
batch = 16
lr = 0.01
optimizer = { kind = "sgd", momentum = 0.9 }
schedule = "constant"

[models.fcn]
label = "FCN"
layers = [{ fc = 32 }, "relu", { fc = "classes" }]

[models.st_cnn]
layers = [
    { st = { transform = "affine", localiser = [{ fc = 8 }, "relu"] } },
    { conv = [8, 9] },
    "relu",
    { max = 2 },
    { fc = "classes" },
]

[sweep]
seeds = [0, 1]
[sweep.grid]
model = ["fcn", "st_cnn"]
"#;

/// What is said of a text with arguments.
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

fn argument(argument: &str) -> String {
    said(FILE, &[argument])
}

#[test]
fn an_unknown_key_names_the_nearest() {
    assert_snapshot!(replaced("momentum = 0.9", "momentun = 0.9"));
}

#[test]
fn several_mistakes_are_shown_in_the_order_of_the_file() {
    let text = FILE
        .replace("momentum", "momentun")
        .replace("\"mnist\"", "\"mnits\"")
        .replace("steps = 100", "steps = \"many\"")
        .replace("seeds = [0, 1]", "seeds = []");
    assert_snapshot!(said(&text, &["train.bach=3"]));
}

#[test]
fn syntax_error() {
    assert_snapshot!(replaced("lr = 0.01", "lr = = 0.01"));
}

#[test]
fn several_syntax_errors() {
    assert_snapshot!(said("name = \"x\n[dataset\nkind = 'mnist'\nsteps = 1..2\n", &[]));
}

#[test]
fn a_key_twice() {
    assert_snapshot!(replaced("steps = 100", "steps = 100\nsteps = 200"));
}

#[test]
fn an_empty_file() {
    assert_snapshot!(said("", &[]));
}

#[test]
fn an_unknown_section() {
    assert_snapshot!(replaced("[train]", "[trian]"));
}

#[test]
fn a_section_of_the_wrong_type() {
    assert_snapshot!(said("train = 3\nsweep = 4\ndataset = []\n[models]\ncnn = 5\n", &[]));
}

#[test]
fn a_wrong_type() {
    assert_snapshot!(replaced("steps = 100", "steps = \"hundred\""));
}

#[test]
fn a_negative_number_of_steps() {
    assert_snapshot!(replaced("steps = 100", "steps = -100"));
}

#[test]
fn numbers_out_of_range() {
    assert_snapshot!(replaced("steps = 100\nbatch = 16\nlr = 0.01", "steps = 0\nbatch = 0\nlr = -0.01\nclip = 0\nlog_every = 0"));
}

#[test]
fn a_number_that_does_not_fit() {
    assert_snapshot!(replaced("steps = 100", "steps = 99999999999999999999"));
}

#[test]
fn more_steps_than_anyone_means() {
    assert_snapshot!(replaced("steps = 100", "steps = 9_000_000_000_000_000"));
}

#[test]
fn an_unknown_optimizer() {
    assert_snapshot!(replaced("kind = \"sgd\", momentum = 0.9", "kind = \"adamm\""));
}

#[test]
fn an_unknown_schedule() {
    assert_snapshot!(replaced("\"constant\"", "\"cosin\""));
}

#[test]
fn an_unknown_transformation() {
    assert_snapshot!(replaced("\"affine\"", "\"afine\""));
}

#[test]
fn a_layer_that_does_not_fit() {
    assert_snapshot!(replaced("{ conv = [8, 9] }", "{ conv = [8, 29] }"));
}

#[test]
fn batch_norm_of_single_numbers_in_batches_of_one() {
    let text = FILE.replace("layers = [{ fc = 32 }, \"relu\",", "layers = [{ fc = 32 }, \"batch_norm\", \"relu\",");
    assert_snapshot!(said(&text, &["train.batch=1"]));
}

#[test]
fn a_layer_that_fits_in_some_trials_only() {
    let text = FILE.replace("{ conv = [8, 9] }", "{ conv = [8, 33] }").replace("model = [", "\"dataset.distortion\" = [\"RTS\", \"R\"]\nmodel = [");
    assert_snapshot!(said(&text, &[]));
}

#[test]
fn a_network_without_layers() {
    assert_snapshot!(replaced("layers = [{ fc = 32 }, \"relu\", { fc = \"classes\" }]", "layers = []"));
}

#[test]
fn an_unknown_model() {
    assert_snapshot!(replaced("\"st_cnn\"]", "\"st_cn\"]"));
}

#[test]
fn which_model_is_not_said() {
    assert_snapshot!(replaced("model = [\"fcn\", \"st_cnn\"]", ""));
}

#[test]
fn no_model() {
    assert_snapshot!(said("[dataset]\nkind = \"mnist\"\n", &[]));
}

#[test]
fn two_models_that_are_the_same() {
    assert_snapshot!(said(
        "[dataset]\nkind = \"mnist\"\n[models.a]\nlayers = [{ fc = \"classes\" }]\n[models.b]\nlayers = [{ fc = \"classes\" }]\n[sweep.grid]\nmodel = [\"a\", \"b\"]\n",
        &[]
    ));
}

#[test]
fn an_unknown_key_of_a_model_that_no_trial_uses() {
    assert_snapshot!(replaced("[models.st_cnn]", "[models.other]\nlayers = [\"rleu\"]\n[models.st_cnn]"));
}

#[test]
fn mistakes_in_a_model_s_own_training() {
    assert_snapshot!(replaced("label = \"FCN\"", "label = 3\ntrain = { lr = \"low\", stepps = 3 }"));
}

#[test]
fn an_empty_axis() {
    assert_snapshot!(replaced("model = [\"fcn\", \"st_cnn\"]", "model = []"));
}

#[test]
fn an_axis_that_is_no_list() {
    assert_snapshot!(replaced("model = [\"fcn\", \"st_cnn\"]", "model = \"fcn\""));
}

#[test]
fn empty_seeds() {
    assert_snapshot!(replaced("seeds = [0, 1]", "seeds = []"));
}

#[test]
fn a_seed_twice_and_a_negative_one() {
    assert_snapshot!(replaced("seeds = [0, 1]", "seeds = [1, 1]"));
    assert_snapshot!(replaced("seeds = [0, 1]", "seeds = [1, -1]"));
}

#[test]
fn a_swept_key_that_is_not_there() {
    assert_snapshot!(replaced("model = [\"fcn\"", "\"train.batsh\" = [1, 2]\nmodel = [\"fcn\""));
}

#[test]
fn a_swept_section_that_is_not_there() {
    assert_snapshot!(replaced("model = [\"fcn\"", "\"trian.batch\" = [1, 2]\nmodel = [\"fcn\""));
}

#[test]
fn a_swept_value_that_is_wrong() {
    assert_snapshot!(replaced("model = [\"fcn\"", "\"train.lr\" = [0.1, \"high\", -1.0]\nmodel = [\"fcn\""));
}

#[test]
fn too_many_trials() {
    let many = (0..1001).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    let text = FILE.replace("model = [", &format!("\"train.batch\" = [{many}]\n\"train.steps\" = [{many}]\nmodel = ["));
    let said = said(&text, &[]);
    assert!(said.contains("this sweep has more than 1000000 trials"), "{said}");
}

#[test]
fn a_name_that_cannot_be_a_folder() {
    assert_snapshot!(replaced("name = \"quick\"", "name = \"../quick\""));
}

#[test]
fn early_stop_mistakes() {
    assert_snapshot!(replaced("lr = 0.01", "lr = 0.01\nearly_stop = { patience = 0, monitr = \"test_error\" }"));
    assert_snapshot!(replaced("lr = 0.01", "lr = 0.01\nearly_stop = { monitor = \"test_error\" }"));
}

#[test]
fn an_argument_with_an_unknown_key() {
    assert_snapshot!(argument("train.stesp=200"));
}

#[test]
fn an_argument_of_the_wrong_type() {
    assert_snapshot!(argument("train.steps=many"));
}

#[test]
fn an_argument_without_a_value() {
    assert_snapshot!(argument("train.steps"));
    assert_snapshot!(argument("train.steps="));
}

#[test]
fn an_argument_whose_key_is_none() {
    assert_snapshot!(argument("train..steps=3"));
}

#[test]
fn an_argument_with_broken_toml() {
    assert_snapshot!(argument("sweep.seeds=[0, 1"));
}

#[test]
fn a_list_for_a_key_that_some_blocks_do_not_vary() {
    let text = FILE
        .replace("[sweep]\nseeds = [0, 1]\n[sweep.grid]\n", "[[sweep]]\n[sweep.grid]\n\"train.lr\" = [0.1, 0.2]\nmodel = [\"fcn\"]\n[[sweep]]\n[sweep.grid]\n");
    assert_snapshot!(said(&text, &["train.lr=[0.3, 0.4]"]));
}

#[test]
fn an_argument_below_a_swept_key() {
    let text = FILE.replace("model = [", "\"train.optimizer\" = [\"sgd\", \"adam\"]\nmodel = [");
    assert_snapshot!(said(&text, &["train.optimizer.momentum=0.5"]));
}

#[test]
fn an_argument_below_a_number() {
    assert_snapshot!(argument("train.lr.base=0.5"));
}

#[test]
fn a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("quickstart.toml"), "").unwrap();
    let wanted = folder.path().join("quikstart.toml");
    let said = Experiment::load(&wanted, &[], &stn_plugins::standard().unwrap()).unwrap_err().to_string();
    assert!(said.contains("cannot read") && said.contains("did you mean") && said.contains("quickstart.toml`?"), "{said}");
}

#[test]
fn text_outside_ascii_keeps_the_caret_in_place() {
    assert_snapshot!(replaced("description = \"For the tests\"", "description = \"naïve 数字\"\n\"größe\" = 3"));
}
