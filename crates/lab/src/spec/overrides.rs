//! `key=value` arguments, laid over the file.
//!
//! The key is a dotted TOML key. The value is TOML; what is not TOML is taken as a bare string, so that `dataset.distortion=RTS` needs no quotes. Three rules beyond
//! "the argument replaces what the file says":
//!
//! - A key that the sweep varies is held at the value given. An array is taken as the new list of values to sweep (unless the values swept are arrays themselves).
//!   Where several `[[sweep]]` blocks vary the key, each keeps those of the values that it sweeps, and a block that sweeps none of them is left out. A block that does not
//!   vary the key takes the value as well; a list cannot be given then.
//! - `train.KEY=...` is for every model: it also replaces what a model's own `train` table says about KEY.
//! - `sweep.seeds=1` and `sweep.grid.model=cnn` stand for lists of one, and for every block; `sweep.0.seeds=1` is for the first.

use stn_core::Fault;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::diagnostics::Diagnostic;
use super::document::{Document, Place, Places, Reader, Source, syntax_error};

/// Lays every argument over the document; what is wrong with those that cannot be.
pub(crate) fn apply(document: &mut Document, arguments: &[String]) -> Vec<Diagnostic> {
    flatten_grids(document);
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
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["sweep", "grid", first, rest @ ..] => {
            let (value, places) = as_list(value, places);
            let name = std::iter::once(first).chain(rest).copied().collect::<Vec<_>>().join(".");
            block_paths(&document.table).into_iter().try_for_each(|block| document.set(&below(block, &["grid", &name]), value.clone(), places.clone()))
        }
        ["sweep", "seeds"] => {
            let (value, places) = as_list(value, places);
            block_paths(&document.table).into_iter().try_for_each(|block| document.set(&below(block, &["seeds"]), value.clone(), places.clone()))
        }
        ["sweep", block, "grid", first, rest @ ..] => {
            let (value, places) = as_list(value, places);
            let name = std::iter::once(first).chain(rest).copied().collect::<Vec<_>>().join(".");
            document.set(&["sweep", block, "grid", &name].map(str::to_owned), value, places)
        }
        ["sweep", _, "seeds"] => {
            let (value, places) = as_list(value, places);
            document.set(&path, value, places)
        }
        _ => lay_on_file(document, &path, value, places),
    }
}

/// An argument on a key outside `[sweep]`, which the sweep may vary.
fn lay_on_file(document: &mut Document, path: &[String], value: Value, places: Places) -> Result<(), Fault> {
    let key = path.join(".");
    let axes: Vec<(Vec<String>, Value)> = block_paths(&document.table)
        .into_iter()
        .filter_map(|block| document.get(&below(block.clone(), &["grid"])).and_then(Value::as_table).cloned().map(|grid| (block, grid)))
        .flat_map(|(block, grid)| grid.into_iter().map(move |(name, values)| (below(block.clone(), &["grid", &name]), values)))
        .collect();
    let name = |axis: &[String]| axis.last().cloned().unwrap_or_default();
    if let Some((axis, _)) = axes.iter().find(|(axis, _)| key.starts_with(&format!("{}.", name(axis)))) {
        let fault = Fault::at(path, format!("the sweep varies `{}`, which holds `{key}`", name(axis)));
        return Err(fault.help(format!("hold that at one value as well: {}=...", name(axis))));
    }
    let axes: Vec<_> = axes.into_iter().filter(|(axis, _)| name(axis) == key).collect();
    if axes.is_empty() {
        return set_for_all(document, path, value, places);
    }
    let of_lists = axes.iter().any(|(_, values)| values.as_array().is_some_and(|values| values.iter().any(Value::is_array)));
    let one_list = of_lists && value.as_array().is_some_and(|elements| !elements.iter().all(Value::is_array));
    let (value, places) = if one_list { in_list(value, places) } else { as_list(value, places) };
    if axes.len() < block_paths(&document.table).len() {
        let (one, place) = only(&value, &places).ok_or_else(|| {
            let fault = Fault::at(path, format!("some blocks of the sweep do not vary `{key}`, so a list of values says nothing to them"));
            fault.help(format!("give one value, or the list to a block that varies it: 'sweep.{}.grid.{key}=[...]'", block_number(&axes)))
        })?;
        set_for_all(document, path, one, place)?;
    }
    hold(document, &axes, value, places)
}

/// Sets a key outside the sweep; one of `[train]` for every model.
fn set_for_all(document: &mut Document, path: &[String], value: Value, places: Places) -> Result<(), Fault> {
    if let [section, key, ..] = path
        && section == "train"
    {
        forget_own_training(document, key);
    }
    document.set(path, value, places)
}

/// The only element of a list, and its place under the list's key.
fn only(list: &Value, places: &Places) -> Option<(Value, Places)> {
    let [one] = list.as_array()?.as_slice() else { return None };
    let inner = places.inner.get("0").cloned().unwrap_or_else(|| Places::leaf(None, places.value.clone()));
    Some((one.clone(), Places { key: places.key.clone(), ..inner }))
}

/// The number of the first block among these axes.
fn block_number(axes: &[(Vec<String>, Value)]) -> &str {
    axes.first().and_then(|(axis, _)| axis.get(1)).map_or("0", String::as_str)
}

/// Holds an axis of several blocks at the values given. Where each of them is swept by some block, a block keeps those that it sweeps, and goes where it has none;
/// values that are new replace the list in every block.
fn hold(document: &mut Document, axes: &[(Vec<String>, Value)], value: Value, places: Places) -> Result<(), Fault> {
    let swept = |values: &Value, wanted: &Value| values.as_array().is_some_and(|values| values.contains(wanted));
    let wanted = value.as_array().cloned().unwrap_or_default();
    let known = wanted.iter().all(|wanted| axes.iter().any(|(_, values)| swept(values, wanted)));
    if axes.len() < 2 || !known || wanted.is_empty() {
        return axes.iter().try_for_each(|(axis, _)| document.set(axis, value.clone(), places.clone()));
    }
    for (axis, values) in axes.iter().rev() {
        let kept: Vec<usize> = (0..wanted.len()).filter(|i| swept(values, &wanted[*i])).collect();
        if kept.is_empty() {
            remove_block(document, axis);
            continue;
        }
        let mut around = Places::leaf(places.key.clone(), places.value.clone());
        let inner = kept.iter().enumerate().filter_map(|(to, from)| Some((to.to_string(), places.inner.get(&from.to_string())?.clone())));
        around.inner.extend(inner);
        document.set(axis, Value::Array(kept.iter().map(|i| wanted[*i].clone()).collect()), around)?;
    }
    Ok(())
}

/// Takes out the block `sweep.N` of an axis' path, and moves the places of those behind it.
fn remove_block(document: &mut Document, axis: &[String]) {
    let Some(number) = axis.get(1).and_then(|number| number.parse::<usize>().ok()) else { return };
    let Some(Value::Array(blocks)) = document.table.get_mut("sweep") else { return };
    if number < blocks.len() {
        blocks.remove(number);
    }
    if let Some(places) = document.places.inner.get_mut("sweep") {
        let old = std::mem::take(&mut places.inner);
        let numbered = old.into_iter().filter_map(|(key, inner)| Some((key.parse::<usize>().ok()?, inner))).filter(|(i, _)| *i != number);
        places.inner = numbered.map(|(i, inner)| (if i > number { i - 1 } else { i }.to_string(), inner)).collect();
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

/// Takes `train.KEY` out of every model's own table.
fn forget_own_training(document: &mut Document, key: &str) {
    let Some(Value::Table(models)) = document.table.get_mut("models") else { return };
    for (_, model) in models.iter_mut() {
        if let Some(Value::Table(train)) = model.as_table_mut().and_then(|model| model.get_mut("train")) {
            train.remove(key);
        }
    }
}

fn as_list(value: Value, places: Places) -> (Value, Places) {
    if value.is_array() { (value, places) } else { in_list(value, places) }
}

fn in_list(value: Value, places: Places) -> (Value, Places) {
    let mut around = Places::leaf(places.key.clone(), places.value.clone());
    around.inner.insert("0".into(), Places { key: None, ..places });
    (Value::Array(vec![value]), around)
}

/// Brings `dataset.distortion = [...]` under `[sweep.grid]`, which TOML reads as tables in tables, into the form of `"dataset.distortion" = [...]`.
fn flatten_grids(document: &mut Document) {
    for block in block_paths(&document.table) {
        let path = below(block, &["grid"]);
        let Some(Value::Table(grid)) = document.get(&path).cloned() else { continue };
        let Some(mut places) = document.node(&path).cloned() else { continue };
        let mut flat = (Table::new(), Vec::new());
        flatten(String::new(), grid, &mut places.inner, &mut flat);
        places.inner = flat.1.into_iter().collect();
        // The path was found, so it can be set.
        let _ = document.set(&path, Value::Table(flat.0), places);
    }
}

fn flatten(prefix: String, table: Table, places: &mut std::collections::BTreeMap<String, Places>, flat: &mut (Table, Vec<(String, Places)>)) {
    for (key, value) in table {
        let Some(mut place) = places.remove(&key) else { continue };
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(name, inner, &mut place.inner, flat),
            value => {
                flat.0.insert(name.clone(), value);
                flat.1.push((name, place));
            }
        }
    }
}
