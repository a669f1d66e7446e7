//! `key=value` arguments, laid over the file.
//!
//! The key is a dotted TOML key. The value is TOML; what is not TOML is taken as a bare string, so that `dataset.distortion=RTS` needs no quotes. Three rules beyond
//! "the argument replaces what the file says":
//!
//! - A key that the sweep varies is held at the value given; [`hold`] says how.
//! - `train.KEY=...` is for every model: it also replaces what a model's own `train` table says about KEY.
//! - `sweep.grid.model=cnn` stands for a list of one, and what stands below `sweep` for every block; `sweep.0.seeds=2` is for the first.

mod flatten;
mod hold;

use stn_core::Fault;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::diagnostics::Diagnostic;
use super::document::{Document, Place, Places, Reader, Source, syntax_error};

/// Lays every argument over the document; what is wrong with those that cannot be.
pub(crate) fn apply(document: &mut Document, arguments: &[String]) -> Vec<Diagnostic> {
    flatten::keys(document);
    let mut diagnostics = Vec::new();
    for argument in arguments {
        let number = document.sources.len();
        document.sources.push(Source { name: "argument".into(), text: argument.clone() });
        match read(number, argument) {
            Ok(setting) => {
                let place = setting.places.key.clone().unwrap_or_else(|| setting.places.value.clone());
                if let Err(fault) = lay(document, setting) {
                    diagnostics.push(Diagnostic::from_fault(&fault, place));
                }
            }
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    diagnostics
}

struct Setting {
    path: Vec<String>,
    value: Value,
    places: Places,
}

fn read(number: usize, argument: &str) -> Result<Setting, Box<Diagnostic>> {
    let whole = Place::new(number, 0..argument.len());
    let wrong = |message: &str| Box::new(Diagnostic::new(whole.clone(), message, Some("write key=value, for example train.steps=200".into())));
    let (key, text) = argument.split_once('=').ok_or_else(|| wrong("this argument is not of the form key=value"))?;
    let (path, key_place) = read_key(number, key)?;
    let value_text = text.trim();
    if value_text.is_empty() {
        return Err(wrong("the value is missing"));
    }
    let offset = key.len() + 1 + (text.len() - text.trim_start().len());
    let mut reader = Reader { source: number, offset, diagnostics: Vec::new() };
    let (value, places) = match DeValue::parse(value_text) {
        Ok(parsed) => reader.value(&parsed, Some(key_place)),
        Err(error) if value_text.starts_with(['[', '{', '"', '\'']) => return Err(Box::new(syntax_error(number, offset, &error))),
        Err(_) => (Value::String(value_text.to_owned()), Places::leaf(Some(key_place), Place::new(number, offset..offset + value_text.len()))),
    };
    match reader.diagnostics.pop() {
        Some(diagnostic) => Err(Box::new(diagnostic)),
        None => Ok(Setting { path, value, places }),
    }
}

/// A dotted key and the place of all of it.
fn read_key(number: usize, key: &str) -> Result<(Vec<String>, Place), Box<Diagnostic>> {
    let trimmed = key.trim();
    let start = key.len() - key.trim_start().len();
    let place = Place::new(number, start..start + trimmed.len());
    match split_key(trimmed) {
        Some(path) => Ok((path, place)),
        None => {
            Err(Box::new(Diagnostic::new(place, format!("`{trimmed}` is not a key"), Some("keys are names joined by dots, for example train.steps".into()))))
        }
    }
}

/// The names of a dotted TOML key; `None` where it is not one.
pub(crate) fn split_key(key: &str) -> Option<Vec<String>> {
    if key.contains(['\n', '=', '#']) {
        return None;
    }
    let line = format!("{key}=0");
    let tree = DeTable::parse(&line).ok()?;
    let mut path = Vec::new();
    let mut table = tree.get_ref();
    loop {
        let (name, value) = table.iter().next()?;
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

fn lay(document: &mut Document, setting: Setting) -> Result<(), Fault> {
    let Setting { path, value, places } = setting;
    match path.split_first() {
        Some((first, inner)) if first == "sweep" => {
            if inner.is_empty() {
                document.set(&path, value, places)?;
            } else {
                lay_on_sweep(document, inner, &value, &places)?;
            }
            flatten::keys(document);
            Ok(())
        }
        _ => hold::lay(document, &path, value, places),
    }
}

/// An argument on a key below `sweep`: of one block where its number is given, else of every one.
fn lay_on_sweep(document: &mut Document, path: &[String], value: &Value, places: &Places) -> Result<(), Fault> {
    let all = block_paths(&document.table);
    let numbered = path.first().is_some_and(|first| first.parse::<usize>().is_ok());
    let (blocks, inner) = if numbered { (vec![below(vec!["sweep".to_owned()], &[&path[0]])], &path[1..]) } else { (all, path) };
    let (inner, listed) = in_block(inner);
    let names: Vec<&str> = inner.iter().map(String::as_str).collect();
    // What is said of a zip or of the draws says nothing to a block without.
    let about: &[&str] = match names.as_slice() {
        about @ (["zip", _, ..] | ["random", ..]) => &about[..if about[0] == "zip" { 2 } else { 1 }],
        _ => &[],
    };
    let having: Vec<_> = blocks.iter().filter(|block| document.get(&below((*block).clone(), about)).is_some()).cloned().collect();
    let blocks = if about.is_empty() || having.is_empty() { blocks } else { having };
    let (value, places) = if listed { as_list(value.clone(), places.clone()) } else { (value.clone(), places.clone()) };
    blocks.into_iter().try_for_each(|block| document.set(&below(block, &names), value.clone(), places.clone()))
}

/// The path of a key within a block, the name of a swept key in one piece, and whether a list of values belongs there.
fn in_block(path: &[String]) -> (Vec<String>, bool) {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let whole = |ahead: usize| path[..ahead].iter().cloned().chain([path[ahead..].join(".")]).collect();
    match names.as_slice() {
        ["grid", _, ..] => (whole(1), true),
        ["zip", number, _, ..] if number.parse::<usize>().is_ok() => (whole(2), true),
        ["random", "keys", _, ..] => (whole(2), false),
        _ => (path.to_vec(), false),
    }
}

/// The paths of the sweep's blocks: `sweep`, or `sweep.0`, `sweep.1` ... of `[[sweep]]`.
pub(crate) fn block_paths(table: &Table) -> Vec<Vec<String>> {
    match table.get("sweep") {
        Some(Value::Array(blocks)) => (0..blocks.len()).map(|i| vec!["sweep".to_owned(), i.to_string()]).collect(),
        _ => vec![vec!["sweep".to_owned()]],
    }
}

fn below(mut path: Vec<String>, names: &[&str]) -> Vec<String> {
    path.extend(names.iter().map(|name| (*name).to_owned()));
    path
}

fn as_list(value: Value, places: Places) -> (Value, Places) {
    if value.is_array() { (value, places) } else { in_list(value, places) }
}

fn in_list(value: Value, places: Places) -> (Value, Places) {
    let mut around = Places::leaf(places.key.clone(), places.value.clone());
    around.inner.insert("0".into(), Places { key: None, ..places });
    (Value::Array(vec![value]), around)
}
