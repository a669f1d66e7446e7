//! Several experiments in one report: what tells their trials apart, and no sweep names, becomes a key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::error::Result;
use crate::query::{self, Store, Trial};
use crate::settings::Settings;

/// Experiments that are reported together.
pub struct Joined {
    /// The trials of all.
    pub store: Store,
    /// The settings of the first, with what the others say of models and published numbers.
    pub settings: Settings,
    /// Their names.
    pub names: Vec<String>,
}

/// What the facts of a trial say beyond its experiment: keys in full, and values.
type Said = BTreeMap<String, String>;

/// The key that names the experiment, where nothing else tells trials apart.
const EXPERIMENT: &str = "experiment";
/// The key of the configuration that a model's label stands for.
const NETWORK: &str = "network";

/// Reads experiments' folders. A trial that two of them share is the first's.
pub fn read(dirs: &[PathBuf]) -> Result<Joined> {
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    let dirs: Vec<&PathBuf> = dirs.iter().filter(|dir| known.insert(resolved(dir))).collect();
    let names = names(&dirs);
    let mut settings = Settings::default();
    let (mut store, mut said, mut groups) = (Store::default(), Vec::new(), Vec::new());
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    for (group, dir) in dirs.iter().enumerate() {
        let mut own = query::trials(dir)?;
        let of_experiment = Settings::read(&dir.join("experiment.toml"))?;
        if group == 0 {
            settings = of_experiment;
        } else {
            settings.extend(of_experiment);
        }
        own.trials.retain(|trial| known.insert(resolved(&trial.folder)));
        if dirs.len() > 1 {
            said.extend(own.trials.iter().map(facts));
            own.unfinished.iter_mut().for_each(|trial| *trial += &format!(", of {}", names[group]));
        }
        groups.extend(vec![group; own.trials.len()]);
        store.trials.append(&mut own.trials);
        store.unfinished.append(&mut own.unfinished);
        store.bad.append(&mut own.bad);
    }
    if dirs.len() > 1 {
        tell_apart(&mut store.trials, &said, &groups, &names);
        query::name_swept(&mut store.trials);
    }
    Ok(Joined { store, settings, names })
}

/// The folder without links and dots, where it can be told.
fn resolved(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.into())
}

/// The folders' own names; of those that another has too, as much of the end of its path as no other ends in.
fn names(dirs: &[&PathBuf]) -> Vec<String> {
    let name = |part: Component| matches!(part, Component::Normal(_)).then(|| part.as_os_str().to_string_lossy().into_owned());
    let paths: Vec<Vec<String>> = dirs.iter().map(|dir| resolved(dir).components().filter_map(name).collect()).collect();
    let end = |path: &[String], length: usize| path[path.len().saturating_sub(length)..].join("/");
    let told = |(i, path): (usize, &Vec<String>)| {
        let alone = |length: &usize| paths.iter().enumerate().all(|(other, of)| other == i || end(of, *length) != end(path, *length));
        end(path, (1..path.len()).find(alone).unwrap_or(path.len()))
    };
    paths.iter().enumerate().map(told).collect()
}

/// What the facts of a trial say.
fn facts(trial: &Trial) -> Said {
    let text = |column: &str| trial.facts.text(column).unwrap_or_default();
    // Eight digits tell any two data sets apart.
    let data = text("data_sha256").chars().take(8).collect();
    let mut said = Said::from([("device".into(), trial.device.clone()), ("revision".into(), text("revision").into()), ("data".into(), data)]);
    if let Ok(config) = serde_json::from_str::<Value>(trial.facts.config()) {
        flatten("", &config, &mut said);
    }
    said
}

/// The leaves of a configuration by their keys. A network is one leaf.
fn flatten(key: &str, value: &Value, leaves: &mut Said) {
    match value {
        Value::Object(inner) if key != NETWORK => {
            for (name, value) in inner {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(&key, value, leaves);
            }
        }
        Value::Null => _ = leaves.insert(key.into(), "none".into()),
        Value::String(text) => _ = leaves.insert(key.into(), text.clone()),
        other => _ = leaves.insert(key.into(), other.to_string()),
    }
}

/// Adds to what trials differ in whatever the experiments differ in; the experiment itself where that leaves two trials alike, or one label stands for two networks.
fn tell_apart(trials: &mut [Trial], said: &[Said], groups: &[usize], names: &[String]) {
    for key in keys(said, groups, names.len()) {
        for (trial, said) in trials.iter_mut().zip(said) {
            if let Some(value) = said.get(&key) {
                trial.differs.insert(key.clone(), value.clone());
            }
        }
    }
    let is_seed = |key: &str| key == "seed" || key == "seeds";
    let distinct: BTreeSet<_> = trials
        .iter()
        .map(|trial| (&trial.label, &trial.distortion, trial.seed, trial.differs.iter().filter(|(key, _)| !is_seed(key)).collect::<Vec<_>>()))
        .collect();
    if distinct.len() < trials.len() || labels_of_two_networks(trials, said, groups) {
        for (trial, group) in trials.iter_mut().zip(groups) {
            trial.differs.insert(EXPERIMENT.into(), names[*group].clone());
        }
    }
}

/// The keys whose values are not the same ones in every experiment. What follows from another kind of thing goes with the kind: beside another optimiser, its own settings are no keys.
fn keys(said: &[Said], groups: &[usize], experiments: usize) -> Vec<String> {
    let every: BTreeSet<&String> = said.iter().flat_map(Said::keys).collect();
    let differs = |key: &String| {
        let mut values: Vec<BTreeSet<Option<&String>>> = vec![BTreeSet::new(); experiments];
        said.iter().zip(groups).for_each(|(said, group)| _ = values[*group].insert(said.get(key)));
        values.retain(|values| !values.is_empty());
        let same = values.windows(2).all(|pair| pair[0] == pair[1]);
        // Device, revision and data are no keys where one experiment has several of them.
        !same && (key.contains('.') || values.iter().all(|values| values.len() == 1))
    };
    // The folder of the data says less than what is in it.
    let left_out = |key: &str| ["seed", NETWORK, "dataset.dir"].contains(&key);
    let keys: Vec<String> = every.into_iter().filter(|key| !left_out(key) && differs(key)).cloned().collect();
    let kinds: Vec<&str> = keys.iter().filter_map(|key| key.strip_suffix(".kind")).collect();
    let follows = |key: &String| kinds.iter().any(|kind| key.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.') && rest != ".kind"));
    keys.iter().filter(|key| !follows(key) && (*key != "data" || !kinds.contains(&"dataset"))).cloned().collect()
}

/// Whether a label stands for other networks in one experiment than in another.
fn labels_of_two_networks(trials: &[Trial], said: &[Said], groups: &[usize]) -> bool {
    let mut networks: BTreeMap<&str, BTreeMap<usize, BTreeSet<Option<&String>>>> = BTreeMap::new();
    for ((trial, said), group) in trials.iter().zip(said).zip(groups) {
        networks.entry(&trial.label).or_default().entry(*group).or_default().insert(said.get(NETWORK));
    }
    networks.values().any(|of_groups| of_groups.values().collect::<BTreeSet<_>>().len() > 1)
}
