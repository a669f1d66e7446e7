//! Weights that a network starts from instead of drawing them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use stn_core::Fault;
use toml::Value;

use super::LARGEST;
use crate::reading::{KeyPath, Reader};

/// What PyTorch counts beside running moments, and nothing here needs.
const COUNTER: &str = ".num_batches_tracked";

/// A file of weights by name, as written in a `[models.NAME]` table: `weights = "file.safetensors"`, or a table with `file`, `into` and `except`.
///
/// Every tensor of the file goes to the parameter or running moment of its name, which must have its shape; the network's others start as they would without it. With
/// `into = ["parallel_st1.each1", "parallel_st1.each2"]` they are looked up below each of these names, so that one file serves several parts of a network. The layers in `except` are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightsSpec {
    /// The file.
    pub file: PathBuf,
    into: Vec<String>,
    except: Vec<String>,
    /// What the file holds, once it has been looked at.
    found: Option<Found>,
}

/// The content of a file of weights.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    hash: String,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl WeightsSpec {
    pub(super) fn read(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<Self> {
        if let Some(file) = value.as_str() {
            return Some(Self { file: file.into(), into: Vec::new(), except: Vec::new(), found: None });
        }
        if !value.is_table() {
            return reader.expected("a file, or a table with a `file`", value, at);
        }
        let table = reader.table(value, &["file", "into", "except"], at)?;
        let file = match table.get("file") {
            Some(Value::String(file)) => Some(file.into()),
            Some(other) => reader.expected("a file's path", other, &at.key("file")),
            None => reader.fail(at.fault("weights need a `file`").help("write for example weights = \"inception.safetensors\"")),
        };
        let into = table.get("into").map_or(Some(Vec::new()), |value| names(reader, value, &at.key("into")));
        let except = table.get("except").map_or(Some(Vec::new()), |value| names(reader, value, &at.key("except")));
        Some(Self { file: file?, into: into?, except: except?, found: None })
    }

    /// The hash of the file's content, once it has been [looked at](super::NetworkSpec::weights_found).
    pub fn hash(&self) -> Option<&str> {
        self.found.as_ref().map(|found| found.hash.as_str())
    }

    pub(super) fn find(&mut self, hash: String, shapes: BTreeMap<String, Vec<usize>>) {
        self.found = Some(Found { hash, shapes });
    }

    /// What this changes about a network, for its identity: the content, wherever the file lies.
    pub(super) fn identity(&self) -> Option<Value> {
        let list = |names: &[String]| Value::Array(names.iter().cloned().map(Value::String).collect());
        let found = self.found.as_ref()?;
        let entries = [("content", Value::String(found.hash.clone())), ("into", list(&self.into)), ("except", list(&self.except))];
        Some(Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
    }

    /// The names in a network of a tensor that the file calls `name`; none where it is left out.
    pub(crate) fn targets(&self, name: &str) -> Vec<String> {
        let within = |layer: &String| name.strip_prefix(layer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if name.ends_with(COUNTER) || self.except.iter().any(within) {
            return Vec::new();
        }
        if self.into.is_empty() { vec![name.to_owned()] } else { self.into.iter().map(|part| format!("{part}.{name}")).collect() }
    }

    /// What of the file does not fit a network whose tensors are these, at the path of the key.
    pub(crate) fn misfits(&self, here: &BTreeMap<String, Vec<usize>>) -> Option<Fault> {
        let found = self.found.as_ref()?;
        let at = KeyPath::default().key("weights");
        let (mut wrong, mut fitting) = (Vec::new(), 0_usize);
        for (name, dims) in &found.shapes {
            for target in self.targets(name) {
                match here.get(&target) {
                    Some(expected) if expected == dims => fitting += 1,
                    Some(expected) => wrong.push(format!("`{target}` is {} here and {} in the file", shown(expected), shown(dims))),
                    None => wrong.push(format!("`{target}` ({}) is none of this network's", shown(dims))),
                }
            }
        }
        let file = self.file.display();
        if wrong.is_empty() {
            return (fitting == 0).then(|| at.fault(format!("{file} holds nothing for this network")));
        }
        let more = wrong.len().saturating_sub(MOST_SHOWN);
        wrong.truncate(MOST_SHOWN);
        let more = if more > 0 { format!("; {more} more") } else { String::new() };
        let fault = at.fault(format!("{file} does not fit this network: {}{more}", wrong.join("; ")));
        Some(fault.help("leave layers out with weights = { file = \"...\", except = [\"fc1\"] }, or say which part of the network it is for with into = [\"parallel_st1.each1\"]"))
    }
}

/// The most misfits that a message names.
const MOST_SHOWN: usize = 8;

fn shown(dims: &[usize]) -> String {
    if dims.is_empty() { "a number".into() } else { crate::plan::shape(dims) }
}

fn names(reader: &mut Reader, value: &Value, at: &KeyPath) -> Option<Vec<String>> {
    let Some(items) = value.as_array().filter(|items| !items.is_empty() && items.len() <= LARGEST) else {
        return reader.expected("an array of layers' names", value, at);
    };
    let names: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(i, item)| match item.as_str().map(|name| name.trim_end_matches('.')) {
            Some(name) if !name.is_empty() => Some(name.to_owned()),
            _ => reader.expected("a layer's name", item, &at.key(i)),
        })
        .collect();
    names.into_iter().collect()
}
