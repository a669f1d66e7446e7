//! The experiments that come with the project: without mistakes, as many trials as they say, networks of the sizes they name.

use std::path::Path;

use stn_lab::Experiment;

/// File and number of trials.
const SHIPPED: [(&str, usize); 7] = [
    ("mnist_addition.toml", 24),
    ("mnist_table1.toml", 96),
    ("mnist_tc.toml", 12),
    ("quickstart.toml", 15),
    ("random_search.toml", 48),
    ("street_digits.toml", 6),
    ("svhn_digits.toml", 6),
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
            let budget = experiment.table()["models"][&trial.model]["parameters"].as_integer().unwrap() as f64;
            assert!((parameters / budget - 1.0).abs() <= 0.02, "{name}: {} has {parameters} parameters instead of {budget}", trial.describe());
        }
    }
    let there = |(name, _): &(&str, usize)| folder.join(name).is_file();
    assert!(SHIPPED.iter().all(there));
}
