//! Swept keys written without quotes.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::super::document::{Document, Places};
use super::super::sweep::DISTRIBUTIONS;
use super::{below, block_paths};

/// Brings `dataset.distortion = [...]` in the tables of the sweep, which TOML reads as tables in tables, into the form of `"dataset.distortion" = [...]`.
pub(super) fn keys(document: &mut Document) {
    for block in block_paths(&document.table) {
        let zips = document.get(&below(block.clone(), &["zip"])).and_then(Value::as_array).map_or(0, Vec::len);
        let listed = [below(block.clone(), &["grid"])].into_iter().chain((0..zips).map(|i| below(block.clone(), &["zip", &i.to_string()])));
        listed.for_each(|path| flatten_at(document, &path, |_, table| !names_distribution(table)));
        flatten_at(document, &below(block, &["random", "keys"]), |name, table| !is_distribution(name, table));
    }
}

/// Whether a table under the keys to draw is meant to be a distribution, even a misspelt one: a section of the file holds keys, and only a table of tables does besides.
fn is_distribution(name: &str, table: &Table) -> bool {
    names_distribution(table) || (!["dataset", "models", "train"].contains(&name) && !table.values().any(Value::is_table))
}

fn names_distribution(table: &Table) -> bool {
    table.keys().any(|key| DISTRIBUTIONS.contains(&key.as_str()))
}

/// Flattens the table at a path; `holds_keys` says of a table in it, by its name so far, whether it holds more keys or is a value.
fn flatten_at(document: &mut Document, path: &[String], holds_keys: impl Fn(&str, &Table) -> bool) {
    let Some(Value::Table(table)) = document.get(path).cloned() else { return };
    let Some(mut places) = document.node(path).cloned() else { return };
    let mut flat = (Table::new(), BTreeMap::new());
    flatten("", table, &mut places.inner, &mut flat, &holds_keys);
    places.inner = flat.1;
    // The path was found, so it can be set.
    let _ = document.set(path, Value::Table(flat.0), places);
}

fn flatten(
    prefix: &str,
    table: Table,
    places: &mut BTreeMap<String, Places>,
    flat: &mut (Table, BTreeMap<String, Places>),
    holds_keys: &dyn Fn(&str, &Table) -> bool,
) {
    for (key, value) in table {
        let Some(mut place) = places.remove(&key) else { continue };
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) if holds_keys(&name, &inner) => flatten(&name, inner, &mut place.inner, flat, holds_keys),
            value => {
                flat.0.insert(name.clone(), value);
                flat.1.insert(name, place);
            }
        }
    }
}
