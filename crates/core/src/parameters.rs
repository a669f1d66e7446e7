//! Reading parameters from TOML tables, and describing them, from one declaration.
//!
//! A plugin (and every section of an experiment file) declares a struct that derives `Deserialize`, `Serialize` and `JsonSchema` with `#[serde(default)]`. From it
//! come the reader, which reports *every* mistake with the path of its key, and the documentation.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The parameters of a plugin that takes none: every key is a mistake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NoParameters {}

/// One mistake in a table: which key, what is wrong, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key's path from the table that was read; array elements are numbers in decimal. Empty where the table itself is meant.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
}

impl Fault {
    /// A mistake at a path.
    pub fn at<S: Into<String>>(path: impl IntoIterator<Item = S>, message: impl Into<String>) -> Self {
        Self { path: path.into_iter().map(Into::into).collect(), message: message.into(), help: None }
    }

    /// With a word on what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Moved below `prefix`: for a fault found by the reader of an inner table.
    #[must_use]
    pub fn below<S: Into<String>>(mut self, prefix: impl IntoIterator<Item = S>) -> Self {
        let mut path: Vec<String> = prefix.into_iter().map(Into::into).collect();
        path.append(&mut self.path);
        self.path = path;
        self
    }

    /// A name that is none of `known`, with the nearest of them as help.
    pub fn unknown<S: Into<String>>(path: impl IntoIterator<Item = S>, what: &str, name: &str, known: &[&str]) -> Self {
        let fault = Self::at(path, format!("unknown {what} `{name}`"));
        if known.is_empty() {
            return fault.help(format!("no {what} is known here"));
        }
        let listed = format!("known: {}", known.join(", "));
        match nearest(name, known.iter().copied()) {
            Some(near) => fault.help(format!("did you mean `{near}`? ({listed})")),
            None => fault.help(listed),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path.join("."))?;
        }
        write!(f, "{}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// The name among `known` that `name` was probably meant to be.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (likeness(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// From 0 to 1. Two letters swapped or one slipped are near even in a name too short for Jaro and Winkler, such as `tsp` for `tps`.
fn likeness(a: &str, b: &str) -> f64 {
    let slip = a.len().min(b.len()) >= 3 && strsim::osa_distance(a, b) == 1;
    strsim::jaro_winkler(a, b).max(if slip { 0.8 } else { 0.0 })
}

/// One parameter, as documentation shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParameterDoc {
    /// The key.
    pub name: String,
    /// The type in a reader's words: "integer", "number", "one of floor, even" ...
    pub kind: String,
    /// The default as TOML, empty where there is none.
    pub default: String,
    /// The declaration's doc comment.
    pub description: String,
}

/// Reads `table` as a `T`; on failure, every mistake that can be told apart.
///
/// Unknown keys are all reported, each with the nearest known one; values of a wrong type are reported one after another until none is left.
///
/// # Errors
///
/// The faults, in the order of their paths. Never empty.
pub fn decode<T: DeserializeOwned + JsonSchema + 'static>(table: &Table) -> Result<T, Vec<Fault>> {
    let keys = keys::<T>();
    let mut rest = table.clone();
    let mut faults = Vec::new();
    for name in table.keys().filter(|name| !keys.contains(name)) {
        rest.remove(name);
        let known: Vec<&str> = keys.iter().map(String::as_str).collect();
        faults.push(Fault::unknown([name.as_str()], "key", name, &known));
    }
    loop {
        match serde_path_to_error::deserialize::<_, T>(Value::Table(rest.clone())) {
            Ok(value) if faults.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => {
                let path = segments(error.path());
                let message = error.into_inner().message().to_owned();
                let removed = path.first().and_then(|key| rest.remove(key));
                // A key that an earlier fault took away is not missing a second time.
                if removed.is_some() || faults.is_empty() {
                    faults.push(Fault { path, message, help: None });
                }
                if removed.is_none() {
                    break;
                }
            }
        }
    }
    faults.sort_by(|a, b| a.path.cmp(&b.path));
    Err(faults)
}

/// The names of the parameters of `T`. Kept once known: making the schema takes longer than reading a table, and a sweep reads thousands.
fn keys<T: JsonSchema + 'static>() -> Arc<[String]> {
    static KNOWN: Mutex<BTreeMap<TypeId, Arc<[String]>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(TypeId::of::<T>()).or_insert_with(|| properties::<T>().into_iter().map(|(name, _)| name).collect()).clone()
}

fn segments(path: &serde_path_to_error::Path) -> Vec<String> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect()
}

/// The parameters of `T`, by name, with the defaults of `T::default()`.
pub fn describe<T: JsonSchema + Default + Serialize>() -> Vec<ParameterDoc> {
    let defaults = Table::try_from(T::default()).unwrap_or_default();
    properties::<T>()
        .into_iter()
        .map(|(name, schema)| ParameterDoc {
            kind: kind_of(&schema),
            default: defaults.get(&name).map(ToString::to_string).unwrap_or_default(),
            description: schema.get("description").and_then(|d| d.as_str()).unwrap_or_default().replace('\n', " "),
            name,
        })
        .collect()
}

fn properties<T: JsonSchema>() -> Vec<(String, serde_json::Value)> {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    schema.get("properties").and_then(|p| p.as_object()).map(|p| p.iter().map(|(name, schema)| (name.clone(), schema.clone())).collect()).unwrap_or_default()
}

fn kind_of(schema: &serde_json::Value) -> String {
    let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(|a| a.as_array());
    let texts = |values: &[serde_json::Value]| values.iter().filter_map(|v| v.as_str()).map(str::to_owned).collect::<Vec<_>>();
    if let Some(names) = schema.get("enum").and_then(|e| e.as_array()) {
        return format!("one of {}", texts(names).join(", "));
    }
    if let Some(alternatives) = alternatives {
        let constants: Vec<_> = alternatives.iter().filter_map(|a| a.get("const")).cloned().collect();
        if constants.len() == alternatives.len() {
            return format!("one of {}", texts(&constants).join(", "));
        }
        return alternatives.iter().map(kind_of).filter(|kind| kind != "null").collect::<Vec<_>>().join(" or ");
    }
    match schema.get("type") {
        Some(serde_json::Value::String(kind)) => kind.clone(),
        Some(serde_json::Value::Array(kinds)) => texts(kinds).into_iter().filter(|kind| kind != "null").collect::<Vec<_>>().join(" or "),
        _ => "table".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For the tests.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Sample {
        /// Points a side.
        points: usize,
        /// Ties.
        ties: Ties,
        weight: Option<f64>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Ties {
        Floor,
        Even,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { points: 4, ties: Ties::Floor, weight: None }
        }
    }

    fn read(text: &str) -> Result<Sample, Vec<Fault>> {
        decode(&text.parse::<Table>().unwrap())
    }

    #[test]
    fn defaults_fill_what_is_not_given() {
        assert_eq!(read("ties = \"even\"").unwrap(), Sample { ties: Ties::Even, ..Sample::default() });
    }

    #[test]
    fn every_mistake_is_reported_with_its_path() {
        let faults = read("pionts = 3\npoints = \"four\"\nties = \"up\"").unwrap_err();
        let paths: Vec<_> = faults.iter().map(|f| f.path.join(".")).collect();
        assert_eq!(paths, ["pionts", "points", "ties"]);
        assert_eq!(faults[0].help.as_deref(), Some("did you mean `points`? (known: points, ties, weight)"));
        assert!(faults[1].message.contains("invalid type: string \"four\""), "{}", faults[1].message);
    }

    #[test]
    fn documentation_comes_from_the_declaration() {
        let docs = describe::<Sample>();
        let names: Vec<_> = docs.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["points", "ties", "weight"]);
        assert_eq!((docs[0].kind.as_str(), docs[0].default.as_str(), docs[0].description.as_str()), ("integer", "4", "Points a side."));
        assert_eq!(docs[1].kind, "one of floor, even");
        assert_eq!(docs[2].kind, "number");
    }

    #[test]
    fn no_parameters_take_no_key() {
        assert_eq!(decode::<NoParameters>(&Table::new()), Ok(NoParameters {}));
        let faults = decode::<NoParameters>(&"angle = 3".parse::<Table>().unwrap()).unwrap_err();
        assert_eq!(faults[0].to_string(), "`angle`: unknown key `angle`; no key is known here");
        assert!(describe::<NoParameters>().is_empty());
    }

    #[test]
    fn nothing_is_near_to_a_strange_name() {
        assert_eq!(nearest("zzz", ["affine", "tps"]), None);
        assert_eq!(nearest("afine", ["affine", "tps"]), Some("affine"));
        assert_eq!(nearest("tsp", ["affine", "tps"]), Some("tps"));
    }
}
