//! What `experiment.toml` says about the report: the `[report]` table, the models' labels, and the order of models and distortions in the sweep.

mod style;

use crate::canvas::Format;
use crate::error::{Error, Result};
use crate::figures::Kind;
use crate::query::ends_with;
use crate::statistics::Width;
use crate::style::Style;
use std::collections::BTreeMap;
use std::path::Path;

use stn_core::Fault;
use toml::{Table, Value};

/// The settings of a report; empty where the experiment states none.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The model that step times are compared with: its label or the name of its table.
    pub baseline: Option<String>,
    /// Distortion, or a swept value as tables show it ("size=64") -> label or name of a model -> published test error, percent.
    pub published: BTreeMap<String, BTreeMap<String, f64>>,
    /// Model -> how figures and tables call it. Several models may share a label.
    pub labels: BTreeMap<String, String>,
    /// The keys of the sweep that stand in the lines of the table, outermost first; the model where none is stated.
    pub rows: Vec<String>,
    /// Those across; the distortion where none is stated.
    pub columns: Option<Vec<String>>,
    /// What stands behind the means.
    pub width: Width,
    /// Models in the order of the sweep.
    pub models: Vec<String>,
    /// Distortions in the order of the sweep.
    pub distortions: Vec<String>,
    /// The figures asked for; those that say something where none are named.
    pub figures: Option<Vec<Kind>>,
    /// What figures are written as.
    pub formats: Vec<Format>,
    /// Widths, type and colours.
    pub style: Style,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            baseline: None,
            published: BTreeMap::new(),
            labels: BTreeMap::new(),
            rows: Vec::new(),
            columns: None,
            width: Width::default(),
            models: Vec::new(),
            distortions: Vec::new(),
            figures: None,
            formats: Format::ALL.to_vec(),
            style: Style::default(),
        }
    }
}

const KEYS: [&str; 8] = ["baseline", "columns", "figures", "formats", "published", "rows", "spread", "style"];

/// What may stand in `spread`.
const SPREADS: [&str; 2] = ["deviation", "interval"];

impl Settings {
    /// Reads `path`; a file that is not there states nothing.
    pub fn read(path: &Path) -> Result<Self> {
        match table(path) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
            Ok(table) => Self::from_table(&table).map_err(|faults| Error::Settings { path: path.into(), faults }),
        }
    }

    /// Lays the style of a file over that of the experiment.
    pub fn restyle(&mut self, path: &Path) -> Result<()> {
        let mut faults = Vec::new();
        style::read(&mut self.style, &table(path)?, &[], &mut faults);
        if faults.is_empty() { Ok(()) } else { Err(Error::Settings { path: path.into(), faults }) }
    }

    /// The settings in a whole experiment, or every mistake in them.
    pub fn from_table(experiment: &Table) -> std::result::Result<Self, Vec<Fault>> {
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
        let mut faults = Vec::new();
        match experiment.get("report") {
            None => {}
            Some(Value::Table(report)) => settings.read_report(report, &known, &swept(experiment), &mut faults),
            Some(other) => faults.push(wrong_type(["report"], other, "a table")),
        }
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    /// Takes over what another experiment, which is reported with this one, says of models and published numbers.
    pub fn extend(&mut self, other: Self) {
        for (condition, errors) in other.published {
            let own = self.published.entry(condition).or_default();
            errors.into_iter().for_each(|(model, error)| _ = own.entry(model).or_insert(error));
        }
        other.labels.into_iter().for_each(|(model, label)| _ = self.labels.entry(model).or_insert(label));
        for (own, others) in [(&mut self.models, other.models), (&mut self.distortions, other.distortions)] {
            let new: Vec<String> = others.into_iter().filter(|name| !own.contains(name)).collect();
            own.extend(new);
        }
        self.baseline = self.baseline.take().or(other.baseline);
    }

    /// The label of a model; its name where the experiment gives none.
    pub fn label<'a>(&'a self, model: &'a str) -> &'a str {
        self.labels.get(model).map_or(model, String::as_str)
    }

    /// Models and distortions in the order in which the sweep, or its blocks one after another, name them.
    fn read_order(&mut self, experiment: &Table) {
        for (key, values) in listed(experiment) {
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

    fn read_report(&mut self, report: &Table, models: &[&str], swept: &[String], faults: &mut Vec<Fault>) {
        for (key, value) in report {
            match (key.as_str(), value) {
                ("baseline", Value::String(model)) => {
                    faults.extend(unknown_model(&["report", "baseline"], model, models));
                    self.baseline = Some(model.clone());
                }
                ("baseline", other) => faults.push(wrong_type(["report", key], other, "the name of a model")),
                ("published", Value::Table(published)) => self.read_published(published, models, faults),
                ("published", other) => {
                    faults.push(wrong_type(["report", key], other, "a table from distortion, or swept value such as \"size=64\", to errors"))
                }
                ("rows", value) => self.rows = read_keys("rows", value, swept, faults),
                ("columns", value) => self.columns = Some(read_keys("columns", value, swept, faults)),
                ("spread", Value::String(spread)) => match spread.as_str() {
                    "deviation" => self.width = Width::Deviation,
                    "interval" => self.width = Width::Interval,
                    _ => faults.push(Fault::unknown(["report", key], "spread", spread, &SPREADS)),
                },
                ("figures", value) => self.figures = Some(read_names(key, value, "figure", &Kind::ALL.map(|kind| (kind.name(), kind)), faults)),
                ("formats", value) => self.formats = read_names(key, value, "format", &Format::ALL.map(|format| (format.name(), format)), faults),
                ("style", Value::Table(table)) => style::read(&mut self.style, table, &["report", "style"], faults),
                ("style", other) => faults.push(wrong_type(["report", key], other, "a table")),
                ("spread", other) => faults.push(wrong_type(["report", key], other, "\"deviation\" or \"interval\"")),
                _ => faults.push(Fault::unknown(["report", key], "key", key, &KEYS)),
            }
        }
    }

    fn read_published(&mut self, published: &Table, models: &[&str], faults: &mut Vec<Fault>) {
        for (distortion, errors) in published {
            let Some(errors) = errors.as_table() else {
                faults.push(wrong_type(["report", "published", distortion], errors, "a table from model to error in percent"));
                continue;
            };
            for (model, error) in errors {
                let path = ["report", "published", distortion, model];
                faults.extend(unknown_model(&path, model, models));
                match error.as_float().or_else(|| error.as_integer().map(|whole| whole as f64)) {
                    Some(percent) if (0.0..=100.0).contains(&percent) => {
                        self.published.entry(distortion.clone()).or_default().insert(model.clone(), percent);
                    }
                    Some(other) => faults.push(Fault::at(path, format!("expected an error in percent, 0 to 100, not {other}"))),
                    None => faults.push(wrong_type(path, error, "an error in percent")),
                }
            }
        }
    }
}

/// The table that a file holds.
fn table(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
    text.parse::<Table>().map_err(|error| Error::Settings { path: path.into(), faults: vec![Fault::at([""; 0], error.to_string())] })
}

/// A list of names out of those `known`, each once.
fn read_names<T: Copy>(key: &str, value: &Value, what: &str, known: &[(&str, T)], faults: &mut Vec<Fault>) -> Vec<T> {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let Some(list) = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()) else {
        faults.push(wrong_type(["report", key], value, &format!("a list of {what}s, such as [{:?}, {:?}]", names[0], names[1])));
        return Vec::new();
    };
    faults.extend(list.iter().filter(|name| !names.contains(name)).map(|name| Fault::unknown(["report", key], what, name, &names)));
    known.iter().filter(|(name, _)| list.contains(name)).map(|(_, meant)| *meant).collect()
}

/// The keys that lists of the sweep vary, with what they list, block by block.
fn listed(experiment: &Table) -> Vec<(String, Value)> {
    let blocks: Vec<&Value> = match experiment.get("sweep") {
        Some(Value::Array(blocks)) => blocks.iter().collect(),
        Some(block) => vec![block],
        None => Vec::new(),
    };
    let of_block = |block: &'_ Value| {
        let zips = block.get("zip").and_then(Value::as_array).into_iter().flatten();
        let lists = block.get("grid").into_iter().chain(zips).filter_map(Value::as_table).flatten();
        let drawn = drawn(block).into_iter().flatten();
        let chosen = drawn.filter_map(|(key, distribution)| Some((key, distribution.get("choice")?)));
        lists.chain(chosen).map(|(key, values)| (key.clone(), values.clone())).collect::<Vec<_>>()
    };
    blocks.into_iter().flat_map(of_block).collect()
}

/// The keys that a block of the sweep draws at random.
fn drawn(block: &Value) -> Option<&Table> {
    block.get("random")?.get("keys")?.as_table()
}

/// Every key that the lines and columns of a table may stand for.
fn swept(experiment: &Table) -> Vec<String> {
    let blocks = experiment.get("sweep").into_iter().flat_map(|sweep| sweep.as_array().map_or(std::slice::from_ref(sweep), Vec::as_slice));
    let random = blocks.filter_map(drawn).flat_map(|keys| keys.keys().cloned());
    let always = ["model", "dataset.distortion"].map(str::to_string);
    let mut keys: Vec<String> = Vec::new();
    for key in always.into_iter().chain(listed(experiment).into_iter().map(|(key, _)| key)).chain(random) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// One key of the sweep or a list of them, each in full or by its end.
fn read_keys(name: &str, value: &Value, swept: &[String], faults: &mut Vec<Fault>) -> Vec<String> {
    let of_list = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    let Some(keys) = value.as_str().map(|key| vec![key]).or(of_list) else {
        faults.push(wrong_type(["report", name], value, "a key of the sweep, such as \"model\" or \"train.lr\", or a list of them"));
        return Vec::new();
    };
    for key in &keys {
        if ["seed", "seeds"].contains(key) {
            faults.push(Fault::at(["report", name], "the table averages over the seeds; facts.parquet of each trial has its error"));
            continue;
        }
        let meant: Vec<&str> = swept.iter().filter(|known| ends_with(known, key)).map(String::as_str).collect();
        if meant.is_empty() {
            faults.push(Fault::unknown(["report", name], "key of the sweep", key, &swept.iter().map(String::as_str).collect::<Vec<_>>()));
        } else if meant.len() > 1 && !meant.contains(key) {
            faults.push(Fault::at(["report", name], format!("`{key}` may be {}", meant.join(" or "))).help("write the whole key"));
        }
    }
    keys.into_iter().map(str::to_string).collect()
}

/// A model named in `[report]` must be one of `[models]`, by name or label, where the file has that table.
fn unknown_model(path: &[&str], model: &str, models: &[&str]) -> Option<Fault> {
    (!models.is_empty() && !models.contains(&model)).then(|| Fault::unknown(path.iter().copied(), "model", model, models))
}

fn wrong_type<'a>(path: impl IntoIterator<Item = &'a str>, found: &Value, expected: &str) -> Fault {
    Fault::at(path, format!("expected {expected}, found a value of type {}", found.type_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Settings, Vec<Fault>> {
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
        let settings =
            read("[[sweep.zip]]\nmodel = ['st', 'cnn']\n'dataset.distortion' = ['TC', 'R']\n[sweep.random.keys]\nmodel = { choice = ['fcn', 'cnn'] }").unwrap();
        assert_eq!((settings.models.join(" "), settings.distortions.join(" ")), ("st cnn fcn".to_owned(), "TC R".to_owned()));
    }

    #[test]
    fn every_mistake_is_named_with_what_was_probably_meant() {
        let faults = read(
            "[models.cnn]\n[models.st_cnn]\n[report]\nbasline = 'cnn'\nbaseline = 'st_cn'\n\
             published = { R = { cnn = -1, fcn = 2.1, st_cnn = 'x' }, P = 3 }",
        )
        .unwrap_err();
        insta::assert_snapshot!(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn figures_and_formats_are_named_out_of_those_there_are() {
        let settings = read("[report]\nfigures = ['montage', 'seeds']\nformats = ['pdf']\nstyle = { columns = 1 }").unwrap();
        assert_eq!((settings.figures, settings.formats, settings.style.columns), (Some(vec![Kind::Seeds, Kind::Montage]), vec![Format::Pdf], 1));
        let settings = read("[report]\nfigures = []\nformats = []").unwrap();
        assert_eq!((settings.figures, settings.formats), (Some(vec![]), vec![]));
        assert_eq!(Settings::default().formats, Format::ALL);
        let wrong =
            ["figures = ['montages', 'boxes']", "formats = ['pdf', 'eps']", "figures = 'montage'", "formats = [1]", "style = 1", "style = { column = 1 }"];
        let faults = wrong.map(|text| read(&format!("[report]\n{text}")).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        insta::assert_snapshot!(faults.join("\n"));
    }

    #[test]
    fn a_style_file_goes_before_the_experiment_and_is_named_with_its_mistakes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal.toml");
        let mut settings = read("[report.style]\ncolumns = 1\nfont_size_pt = 6").unwrap();
        std::fs::write(&file, "font_size_pt = 8\n").unwrap();
        settings.restyle(&file).unwrap();
        assert_eq!((settings.style.columns, settings.style.font_size), (1, 8.0));
        std::fs::write(&file, "font_size = 8\n").unwrap();
        let error = settings.restyle(&file).unwrap_err().to_string();
        assert!(error.contains("journal.toml:\n`font_size`: unknown key `font_size`; did you mean `font_size_pt`?"), "{error}");
        std::fs::write(&file, "font_size =\n").unwrap();
        assert!(settings.restyle(&file).unwrap_err().to_string().contains("journal.toml:\n"));
        assert!(settings.restyle(Path::new("no/such.toml")).unwrap_err().to_string().starts_with("cannot read no/such.toml"));
    }

    #[test]
    fn a_file_that_is_not_there_states_nothing() {
        assert_eq!(Settings::read(Path::new("no/such/experiment.toml")).unwrap(), Settings::default());
    }
}
