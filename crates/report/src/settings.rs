//! What `experiment.toml` says about the report: the `[report]` table, the models' labels, and the order of models and distortions in the sweep.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// The settings of a report; empty where the experiment states none.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Settings {
    /// The model that step times are compared with: its label or the name of its table.
    pub baseline: Option<String>,
    /// Distortion -> label or name of a model -> published test error, percent.
    pub published: BTreeMap<String, BTreeMap<String, f64>>,
    /// Model -> how figures and tables call it. Several models may share a label.
    pub labels: BTreeMap<String, String>,
    /// Models in the order of the sweep.
    pub models: Vec<String>,
    /// Distortions in the order of the sweep.
    pub distortions: Vec<String>,
}

const KEYS: [&str; 2] = ["baseline", "published"];

impl Settings {
    /// Reads `path`; a file that is not there states nothing.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(Error::Io { action: "read", path: path.into(), source }),
        };
        let settings = text.parse::<Table>().map_err(|error| vec![error.to_string()]).and_then(|table| Self::from_table(&table));
        settings.map_err(|mistakes| Error::Settings { path: path.into(), mistakes })
    }

    /// The settings in a whole experiment, or every mistake in them.
    pub fn from_table(experiment: &Table) -> std::result::Result<Self, Vec<String>> {
        let mut settings = Self::default();
        settings.read_order(experiment);
        let models = experiment.get("models").and_then(Value::as_table);
        let mut known: Vec<&str> = Vec::new();
        for (model, table) in models.into_iter().flatten() {
            known.push(model);
            if let Some(label) = table.get("label").and_then(Value::as_str) {
                known.push(label);
                settings.labels.insert(model.clone(), label.into());
            }
        }
        let mut mistakes = Vec::new();
        match experiment.get("report") {
            None => {}
            Some(Value::Table(report)) => settings.read_report(report, &known, &mut mistakes),
            Some(other) => mistakes.push(format!("`report` is {}, a table was expected", article(other))),
        }
        if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
    }

    /// The label of a model; its name where the experiment gives none.
    pub fn label<'a>(&'a self, model: &'a str) -> &'a str {
        self.labels.get(model).map_or(model, String::as_str)
    }

    /// Models and distortions in the order in which the sweep, or its blocks one after another, name them.
    fn read_order(&mut self, experiment: &Table) {
        let blocks: Vec<&Value> = match experiment.get("sweep") {
            Some(Value::Array(blocks)) => blocks.iter().collect(),
            Some(block) => vec![block],
            None => Vec::new(),
        };
        let grids = blocks.into_iter().filter_map(|block| block.get("grid")).filter_map(Value::as_table);
        for (key, values) in grids.flatten() {
            let order = match key.rsplit('.').next() {
                Some("model") => &mut self.models,
                Some("distortion") => &mut self.distortions,
                _ => continue,
            };
            for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !order.iter().any(|known| known == value) {
                    order.push(value.into());
                }
            }
        }
    }

    fn read_report(&mut self, report: &Table, models: &[&str], mistakes: &mut Vec<String>) {
        for (key, value) in report {
            match (key.as_str(), value) {
                ("baseline", Value::String(model)) => {
                    known_model("report.baseline", model, models, mistakes);
                    self.baseline = Some(model.clone());
                }
                ("baseline", other) => mistakes.push(format!("`report.baseline` is {}, the name of a model was expected", article(other))),
                ("published", Value::Table(published)) => self.read_published(published, models, mistakes),
                ("published", other) => mistakes.push(format!("`report.published` is {}, a table from distortion to errors was expected", article(other))),
                _ => mistakes.push(format!("unknown key `report.{key}`{}", nearest(key, &KEYS))),
            }
        }
    }

    fn read_published(&mut self, published: &Table, models: &[&str], mistakes: &mut Vec<String>) {
        for (distortion, errors) in published {
            let path = format!("report.published.{distortion}");
            let Some(errors) = errors.as_table() else {
                mistakes.push(format!("`{path}` is {}, a table from model to error in percent was expected", article(errors)));
                continue;
            };
            for (model, error) in errors {
                known_model(&path, model, models, mistakes);
                match error.as_float().or_else(|| error.as_integer().map(|whole| whole as f64)) {
                    Some(percent) if (0.0..=100.0).contains(&percent) => {
                        self.published.entry(distortion.clone()).or_default().insert(model.clone(), percent);
                    }
                    Some(other) => mistakes.push(format!("`{path}.{model}` is {other}, an error in percent (0 to 100) was expected")),
                    None => mistakes.push(format!("`{path}.{model}` is {}, an error in percent was expected", article(error))),
                }
            }
        }
    }
}

/// A model named in `[report]` must be one of `[models]`, by name or label, where the file has that table.
fn known_model(path: &str, model: &str, models: &[&str], mistakes: &mut Vec<String>) {
    if !models.is_empty() && !models.contains(&model) {
        mistakes.push(format!("`{path}`: unknown model `{model}`{}", nearest(model, models)));
    }
}

fn nearest(name: &str, known: &[&str]) -> String {
    let best = known.iter().map(|k| (strsim::damerau_levenshtein(name, k), *k)).min();
    match best {
        Some((distance, best)) if distance <= 1 + name.len() / 3 => format!("; did you mean `{best}`?"),
        _ => format!("; known: {}", known.join(", ")),
    }
}

fn article(value: &Value) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Settings, Vec<String>> {
        Settings::from_table(&text.parse().unwrap())
    }

    #[test]
    fn everything_that_may_stand_in_the_table_is_read() {
        let settings = read("[models.cnn]\n[models.st]\nlabel = 'ST-CNN'\n[report]\nbaseline = 'cnn'\npublished = { R = { cnn = 1.2, ST-CNN = 1 } }").unwrap();
        assert_eq!(settings.baseline.as_deref(), Some("cnn"));
        assert_eq!(settings.published["R"]["ST-CNN"], 1.0);
        assert_eq!((settings.label("st"), settings.label("cnn")), ("ST-CNN", "cnn"));
    }

    #[test]
    fn the_order_is_that_of_the_sweep_through_all_its_blocks() {
        let settings =
            read("[[sweep]]\n[sweep.grid]\nmodel = ['st', 'cnn']\n[[sweep]]\n[sweep.grid]\nmodel = ['fcn', 'cnn']\n'dataset.distortion' = ['TC', 'R']")
                .unwrap();
        assert_eq!(settings.models, ["st", "cnn", "fcn"]);
        assert_eq!(settings.distortions, ["TC", "R"]);
    }

    #[test]
    fn every_mistake_is_named_with_what_was_probably_meant() {
        let mistakes = read(
            "[models.cnn]\n[models.st_cnn]\n[report]\nbasline = 'cnn'\nbaseline = 'st_cn'\n\
             published = { R = { cnn = -1, fcn = 2.1, st_cnn = 'x' }, P = 3 }",
        )
        .unwrap_err();
        insta::assert_snapshot!(mistakes.join("\n"));
    }

    #[test]
    fn a_file_that_is_not_there_states_nothing() {
        assert_eq!(Settings::read(Path::new("no/such/experiment.toml")).unwrap(), Settings::default());
    }
}
