//! The experiments that come with the project: without mistakes, as many trials as they say, networks of the sizes they name.

use std::path::Path;

use stn_lab::Experiment;
use toml::{Table, Value};

/// File and number of trials.
const SHIPPED: &[(&str, usize)] = &[
    ("cub_parallel_st.toml", 4),
    ("cub_small.toml", 9),
    ("mnist_3d.toml", 9),
    ("mnist_addition.toml", 24),
    ("mnist_colocalise.toml", 60),
    ("mnist_table1.toml", 96),
    ("mnist_tc.toml", 12),
    ("quickstart.toml", 15),
    ("random_search.toml", 48),
    ("stacked_st.toml", 15),
    ("street_digits.toml", 6),
    ("svhn_digits.toml", 6),
    ("svhn_multi_st.toml", 6),
];

#[test]
fn every_shipped_experiment_loads_with_its_trials_and_sizes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let registry = stn_plugins::standard().unwrap();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let experiment = Experiment::load(path, &[], &registry).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let expected = SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, trials)| *trials);
        assert_eq!(Some(experiment.trials().len()), expected, "{name}: trials");
        for trial in experiment.trials() {
            let parameters = trial.plan.as_ref().unwrap_or_else(|| panic!("{name}: {} has no plan", trial.describe())).parameters() as f64;
            // A network whose widths are published names no budget.
            let Some(budget) = experiment.table()["models"][&trial.model].get("parameters") else { continue };
            let budget = budget.as_integer().unwrap() as f64;
            assert!((parameters / budget - 1.0).abs() <= 0.02, "{name}: {} has {parameters} parameters instead of {budget}", trial.describe());
        }
    }
    let there = |(name, _): &(&str, usize)| folder.join(name).is_file();
    assert!(SHIPPED.iter().all(there));
}

/// A layer list without what the timed networks leave out: dropout, and slower localisers.
fn timed(layers: &Value) -> Vec<Value> {
    let layers = layers.as_array().unwrap().iter().filter(|layer| layer.get("dropout").is_none());
    let plain = layers.cloned().map(|mut layer| {
        if let Some(Value::Table(transformer)) = layer.get_mut("st") {
            transformer.remove("lr_factor");
        }
        layer
    });
    plain.collect()
}

#[test]
fn the_house_number_networks_are_those_that_are_timed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap().parse::<Table>().unwrap();
    let experiment = read("experiments/svhn_multi_st.toml");
    for (model, file) in [("cnn", "svhn_cnn"), ("st_multi", "svhn_multi")] {
        let network = read(&format!("crates/bench/networks/{file}.toml"));
        assert_eq!(timed(&experiment["models"][model]["layers"]), *network["layers"].as_array().unwrap(), "{model}");
    }
}

#[test]
fn house_number_networks_have_the_sizes_that_their_layers_name() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/svhn_multi_st.toml");
    let experiment = Experiment::load(&path, &[], &stn_plugins::standard().unwrap()).unwrap();
    let convolutions: usize =
        [(3, 48), (48, 64), (64, 128), (128, 160), (160, 192), (192, 192), (192, 192), (192, 192)].iter().map(|(c, f)| f * (25 * c + 1)).sum();
    let dense = |layers: &[usize]| layers.windows(2).map(|pair| pair[1] * (pair[0] + 1)).sum::<usize>();
    let cnn = |side: usize| convolutions + dense(&[192 * side * side, 3072, 3072, 3072, 55]);
    let single = |side: usize| 32 * (25 * 3 + 1) + 32 * (25 * 32 + 1) + dense(&[32 * side * side, 32, 32, 6]);
    // The maps before the first four convolutions.
    let multi =
        |side: usize| [(3, side), (48, side / 2), (64, side / 2), (128, side / 4)].iter().map(|(c, side)| dense(&[c * side * side, 32, 32, 6])).sum::<usize>();
    let sizes = [(64, 4), (128, 8)].map(|(side, last)| [cnn(last), cnn(last) + single(side / 2), cnn(last) + multi(side)]).concat();
    let planned: Vec<usize> = experiment.trials().iter().map(|trial| trial.plan.as_ref().unwrap().parameters()).collect();
    assert_eq!(planned, sizes);
}
