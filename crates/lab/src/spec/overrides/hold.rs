//! An argument on a key of the file, which the sweep may vary.
//!
//! A key that the sweep varies is held at the value given; a list holds it at several (unless the values swept are lists themselves):
//!
//! - In a grid, the values given take the place of its list.
//! - In a zip, the places with these values are kept. Where the zip lacks one of them, the key is taken out of the zip and swept over the values as one of the grid.
//! - A key that is drawn at random is no longer drawn, and swept over the values as one of the grid. The other keys' draws stay as they were.
//! - Where several `[[sweep]]` blocks vary the key and list the values, each keeps those that it lists, and a block that lists none is left out.
//! - A block that does not vary the key takes the value as well; a list cannot be given then.

use stn_core::Fault;
use toml::Value;

use super::super::document::{Document, Places};
use super::{as_list, below, block_paths, in_list};

/// Where a key is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Grid,
    Zip,
    Draws,
}

/// One key of one block.
#[derive(Debug)]
struct Varied {
    block: Vec<String>,
    by: By,
    /// The table with the key in it.
    table: Vec<String>,
    name: String,
    /// The values listed, or to choose from.
    values: Vec<Value>,
}

impl Varied {
    fn lists(&self, value: &Value) -> bool {
        self.by != By::Draws && self.values.contains(value)
    }
}

/// Lays a value on a key.
pub(super) fn lay(document: &mut Document, path: &[String], value: Value, places: Places) -> Result<(), Fault> {
    let key = path.join(".");
    let mut varied = varied(document);
    if let Some(around) = varied.iter().find(|varied| key.starts_with(&format!("{}.", varied.name))) {
        let fault = Fault::at(path, format!("the sweep varies `{}`, which holds `{key}`", around.name));
        return Err(fault.help(format!("hold that at one value as well: {}=...", around.name)));
    }
    varied.retain(|varied| varied.name == key);
    if varied.is_empty() {
        return set_for_all(document, path, value, places);
    }
    // A key that a block varies twice is a mistake, told where the sweep is read.
    if varied.iter().enumerate().any(|(i, one)| varied[..i].iter().any(|other| other.block == one.block)) {
        return Ok(());
    }
    let of_lists = varied.iter().flat_map(|varied| &varied.values).any(Value::is_array);
    let one_list = of_lists && value.as_array().is_some_and(|elements| !elements.iter().all(Value::is_array));
    let (value, places) = if one_list { in_list(value, places) } else { as_list(value, places) };
    let others = block_paths(&document.table).into_iter().any(|block| varied.iter().all(|varied| varied.block != block));
    if others {
        let (one, place) = only(&value, &places).ok_or_else(|| {
            let fault = Fault::at(path, format!("some blocks of the sweep do not vary `{key}`, so a list of values says nothing to them"));
            fault.help(format!(
                "give one value, or the list to a block that varies it: 'sweep.{}.grid.{key}=[...]'",
                varied[0].block.get(1).map_or("0", String::as_str)
            ))
        })?;
        set_for_all(document, path, one, place)?;
    }
    hold(document, &varied, &value, &places)
}

/// Every key that the sweep varies.
fn varied(document: &Document) -> Vec<Varied> {
    let mut all = Vec::new();
    for block in block_paths(&document.table) {
        let zips = document.get(&below(block.clone(), &["zip"])).and_then(Value::as_array).map_or(0, Vec::len);
        let zips = (0..zips).map(|i| (By::Zip, below(block.clone(), &["zip", &i.to_string()])));
        let tables = [(By::Grid, below(block.clone(), &["grid"]))].into_iter().chain(zips).chain([(By::Draws, below(block.clone(), &["random", "keys"]))]);
        for (by, table) in tables {
            for (name, values) in document.get(&table).and_then(Value::as_table).into_iter().flatten() {
                let listed = if by == By::Draws { values.get("choice") } else { Some(values) };
                let values = listed.and_then(Value::as_array).cloned().unwrap_or_default();
                all.push(Varied { block: block.clone(), by, table: table.clone(), name: name.clone(), values });
            }
        }
    }
    all
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

/// Takes `train.KEY` out of every model's own table.
fn forget_own_training(document: &mut Document, key: &str) {
    let Some(Value::Table(models)) = document.table.get_mut("models") else { return };
    for (_, model) in models.iter_mut() {
        if let Some(Value::Table(train)) = model.as_table_mut().and_then(|model| model.get_mut("train")) {
            train.remove(key);
        }
    }
}

/// The only element of a list, and its place under the list's key.
fn only(list: &Value, places: &Places) -> Option<(Value, Places)> {
    let [one] = list.as_array()?.as_slice() else { return None };
    let inner = places.inner.get("0").cloned().unwrap_or_else(|| Places::leaf(None, places.value.clone()));
    Some((one.clone(), Places { key: places.key.clone(), ..inner }))
}

/// Holds a key at the values of a list, in every block that varies it.
fn hold(document: &mut Document, varied: &[Varied], list: &Value, places: &Places) -> Result<(), Fault> {
    let wanted = list.as_array().cloned().unwrap_or_default();
    let listed = !wanted.is_empty() && wanted.iter().all(|wanted| varied.iter().any(|varied| varied.lists(wanted)));
    // Backwards, so that the numbers of the blocks and zips ahead stay right where one is taken out.
    for axis in varied.iter().rev() {
        let at = below(axis.table.clone(), &[&axis.name]);
        let kept: Vec<usize> = (0..wanted.len()).filter(|i| axis.lists(&wanted[*i])).collect();
        match axis.by {
            By::Grid if varied.len() < 2 || !listed => document.set(&at, list.clone(), places.clone())?,
            By::Grid | By::Zip if listed && kept.is_empty() => document.remove(&axis.block),
            By::Grid => {
                let (list, places) = part(&wanted, places, &kept);
                document.set(&at, list, places)?;
            }
            By::Zip if listed => {
                let rows: Vec<usize> = (0..axis.values.len()).filter(|row| wanted.contains(&axis.values[*row])).collect();
                keep_rows(document, &axis.table, &rows)?;
            }
            By::Zip | By::Draws => {
                take_out(document, axis)?;
                document.set(&below(axis.block.clone(), &["grid", &axis.name]), list.clone(), places.clone())?;
            }
        }
    }
    Ok(())
}

/// The elements of a list with these numbers.
fn part(elements: &[Value], places: &Places, numbers: &[usize]) -> (Value, Places) {
    let mut around = Places::leaf(places.key.clone(), places.value.clone());
    let inner = numbers.iter().enumerate().filter_map(|(to, from)| Some((to.to_string(), places.inner.get(&from.to_string())?.clone())));
    around.inner.extend(inner);
    (Value::Array(numbers.iter().filter_map(|i| elements.get(*i)).cloned().collect()), around)
}

/// Keeps the places with these numbers of a zip.
fn keep_rows(document: &mut Document, zip: &[String], rows: &[usize]) -> Result<(), Fault> {
    let table = document.get(zip).and_then(Value::as_table).cloned().unwrap_or_default();
    for (name, values) in table {
        let at = below(zip.to_vec(), &[&name]);
        if let (Value::Array(values), Some(places)) = (values, document.node(&at).cloned()) {
            let (values, places) = part(&values, &places, rows);
            document.set(&at, values, places)?;
        }
    }
    Ok(())
}

/// Takes a key out of its zip or draws, and those out where it was the last. Places of a zip that are alike without it are kept once.
fn take_out(document: &mut Document, axis: &Varied) -> Result<(), Fault> {
    document.remove(&below(axis.table.clone(), &[&axis.name]));
    let rest = document.get(&axis.table).and_then(Value::as_table).cloned().unwrap_or_default();
    match axis.by {
        By::Draws if rest.is_empty() => document.remove(&below(axis.block.clone(), &["random"])),
        By::Zip if rest.is_empty() => document.remove(&axis.table),
        By::Zip => {
            let lists: Vec<&Vec<Value>> = rest.values().filter_map(Value::as_array).collect();
            let row = |i: usize| lists.iter().map(|values| values.get(i)).collect::<Vec<_>>();
            let length = lists.iter().map(|values| values.len()).max().unwrap_or_default();
            let first: Vec<usize> = (0..length).filter(|i| (0..*i).all(|before| row(before) != row(*i))).collect();
            keep_rows(document, &axis.table, &first)?;
        }
        _ => {}
    }
    Ok(())
}
