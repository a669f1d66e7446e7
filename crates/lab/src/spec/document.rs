//! TOML text as tables that know where each key and value was written.

use std::collections::BTreeMap;
use std::ops::Range;

use stn_core::Fault;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::diagnostics::{Diagnostic, Diagnostics};

/// A text that keys come from: the experiment file (number 0) or a `key=value` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// What stands before `:line:column`.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// A piece of a source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The source's number.
    pub source: usize,
    /// The first byte of it.
    pub start: usize,
    /// The first byte after it.
    pub end: usize,
}

impl Place {
    /// A span of a source.
    pub fn new(source: usize, span: Range<usize>) -> Self {
        Self { source, start: span.start, end: span.end }
    }
}

/// Where a value, its key, and everything in it were written.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The key; `None` for array elements and the document.
    pub key: Option<Place>,
    /// The value.
    pub value: Place,
    /// What is in a table, by key, or in an array, by number.
    pub inner: BTreeMap<String, Places>,
}

/// Which of a key and its value a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// A document: values, and where they were written.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// The file, then the arguments.
    pub sources: Vec<Source>,
    /// The values.
    pub table: Table,
    /// Where they were written.
    pub places: Places,
}

impl Document {
    /// Parses a file's text.
    ///
    /// # Errors
    ///
    /// Every syntax error.
    pub fn parse(source: Source) -> Result<Self, Diagnostics> {
        let (tree, errors) = DeTable::parse_recoverable(&source.text);
        let mut diagnostics: Vec<Diagnostic> = errors.iter().map(|error| syntax_error(0, 0, error)).collect();
        let whole = Place::new(0, 0..source.text.len());
        let mut reader = Reader { source: 0, offset: 0, diagnostics: Vec::new() };
        let (table, places) = reader.table(tree.get_ref(), None, whole);
        diagnostics.append(&mut reader.diagnostics);
        if diagnostics.is_empty() { Ok(Self { sources: vec![source], table, places }) } else { Err(Diagnostics::new(vec![source], diagnostics)) }
    }

    /// The value at a path.
    pub fn get(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.table.get(first)?, step)
    }

    /// What is known of where the value at a path was written.
    pub fn node(&self, path: &[String]) -> Option<&Places> {
        path.iter().try_fold(&self.places, |node, segment| node.inner.get(segment))
    }

    /// Takes out what is at a path: a key of a table, or an element of an array, those behind it moving up.
    pub fn remove(&mut self, path: &[String]) {
        let Some((last, around)) = path.split_last() else { return };
        let number = match self.slot(around) {
            Some(Slot::Table(table)) => {
                table.remove(last);
                None
            }
            Some(Slot::Array(array)) => {
                let number = last.parse::<usize>().ok().filter(|number| *number < array.len());
                number.map(|number| array.remove(number));
                number
            }
            None => return,
        };
        let Some(places) = around.iter().try_fold(&mut self.places, |node, segment| node.inner.get_mut(segment)) else { return };
        places.inner.remove(last);
        if let Some(number) = number {
            let old = std::mem::take(&mut places.inner);
            let numbered = old.into_iter().filter_map(|(key, inner)| Some((key.parse::<usize>().ok()?, inner)));
            places.inner = numbered.map(|(i, inner)| (if i > number { i - 1 } else { i }.to_string(), inner)).collect();
        }
    }

    /// The table or the array at a path.
    fn slot(&mut self, path: &[String]) -> Option<Slot<'_>> {
        let Some((first, rest)) = path.split_first() else { return Some(Slot::Table(&mut self.table)) };
        let value = rest.iter().try_fold(self.table.get_mut(first)?, |value, segment| match value {
            Value::Table(table) => table.get_mut(segment),
            Value::Array(array) => array.get_mut(segment.parse::<usize>().ok()?),
            _ => None,
        })?;
        match value {
            Value::Table(table) => Some(Slot::Table(table)),
            Value::Array(array) => Some(Slot::Array(array)),
            _ => None,
        }
    }

    /// Puts a value at a path, making the tables on the way. A string on the way becomes a table with that `kind`, so that `optimizer.momentum` can be set where the
    /// file says `optimizer = "sgd"`.
    ///
    /// # Errors
    ///
    /// Where something on the way is neither; the fault's path is the path given.
    pub fn set(&mut self, path: &[String], value: Value, places: Places) -> Result<(), Fault> {
        set_value(&mut self.table, path, value)?;
        set_places(&mut self.places, path, places);
        Ok(())
    }

    /// Where the value at a path was written, or the nearest table around it that was.
    pub fn place(&self, path: &[String], aim: Aim) -> &Place {
        let mut node = &self.places;
        for (depth, segment) in path.iter().enumerate() {
            match node.inner.get(segment) {
                Some(inner) => node = inner,
                None => return node.place(if depth == 0 { Aim::Value } else { Aim::Key }),
            }
        }
        node.place(aim)
    }
}

/// What holds other values.
enum Slot<'a> {
    Table(&'a mut Table),
    Array(&'a mut Vec<Value>),
}

impl Places {
    /// A place without anything in it.
    pub fn leaf(key: Option<Place>, value: Place) -> Self {
        Self { key, value, inner: BTreeMap::new() }
    }

    fn place(&self, aim: Aim) -> &Place {
        match (&self.key, aim) {
            (Some(key), Aim::Key) => key,
            // A table is pointed at by its name: its own span may be many lines.
            (Some(key), Aim::Value) if !self.inner.is_empty() && self.inner.values().any(|inner| inner.key.is_some()) => key,
            _ => &self.value,
        }
    }
}

fn step<'a>(value: &'a Value, segment: &String) -> Option<&'a Value> {
    match value {
        Value::Table(table) => table.get(segment),
        Value::Array(array) => array.get(segment.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Puts a value into a table at a path; see [`Document::set`].
pub(crate) fn set_value(table: &mut Table, path: &[String], value: Value) -> Result<(), Fault> {
    let Some((last, ahead)) = path.split_last() else { return Ok(()) };
    let Some((first, between)) = ahead.split_first() else {
        table.insert(last.clone(), value);
        return Ok(());
    };
    let mut slot = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    for (depth, segment) in between.iter().chain([last]).enumerate() {
        if let Value::String(kind) = slot {
            *slot = Value::Table(Table::from_iter([("kind".to_owned(), Value::String(std::mem::take(kind)))]));
        }
        let found = slot.type_str();
        slot =
            match slot {
                Value::Table(inner) => inner.entry(segment.clone()).or_insert_with(|| Value::Table(Table::new())),
                Value::Array(array) => {
                    let length = array.len();
                    segment.parse::<usize>().ok().and_then(|i| array.get_mut(i)).ok_or_else(|| {
                        Fault::at(path, format!("`{}` has elements 0 to {}, no `{segment}`", path[..=depth].join("."), length.saturating_sub(1)))
                    })?
                }
                _ => return Err(Fault::at(path, format!("`{}` is of type {found}, so it has no key `{segment}`", path[..=depth].join(".")))),
            };
    }
    *slot = value;
    Ok(())
}

fn set_places(root: &mut Places, path: &[String], places: Places) {
    let mut node = root;
    for segment in path {
        let around = Places::leaf(places.key.clone(), places.value.clone());
        node = node.inner.entry(segment.clone()).or_insert(around);
    }
    *node = places;
}

/// A syntax error of a source whose parsed text starts at `offset`.
pub(crate) fn syntax_error(source: usize, offset: usize, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    Diagnostic::new(Place::new(source, span.start + offset..span.end + offset), error.message().trim().replace('\n', "; "), None)
}

/// Turns parsed TOML into values and places.
pub(crate) struct Reader {
    /// The source's number.
    pub source: usize,
    /// Where in the source the parsed text starts.
    pub offset: usize,
    /// Numbers that do not fit.
    pub diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn place(&self, span: Range<usize>) -> Place {
        Place::new(self.source, span.start + self.offset..span.end + self.offset)
    }

    fn table(&mut self, tree: &DeTable<'_>, key: Option<Place>, value: Place) -> (Table, Places) {
        let mut table = Table::new();
        let mut places = Places::leaf(key, value);
        for (key, value) in tree {
            let key_place = self.place(key.span());
            let (value, inner) = self.value(value, Some(key_place));
            table.insert(key.get_ref().to_string(), value);
            places.inner.insert(key.get_ref().to_string(), inner);
        }
        (table, places)
    }

    /// A value and everything in it.
    pub fn value(&mut self, value: &Spanned<DeValue<'_>>, key: Option<Place>) -> (Value, Places) {
        let place = self.place(value.span());
        let plain = match value.get_ref() {
            DeValue::Table(tree) => {
                let (table, places) = self.table(tree, key, place);
                return (Value::Table(table), places);
            }
            DeValue::Array(elements) => {
                let mut places = Places::leaf(key, place);
                let mut array = Vec::with_capacity(elements.len());
                for (i, element) in elements.iter().enumerate() {
                    let (value, inner) = self.value(element, None);
                    array.push(value);
                    places.inner.insert(i.to_string(), inner);
                }
                return (Value::Array(array), places);
            }
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => self.integer(number, &place),
            DeValue::Float(number) => self.float(number, &place),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(value) => Value::Datetime(*value),
        };
        (plain, Places::leaf(key, place))
    }

    fn integer(&mut self, number: &DeInteger<'_>, place: &Place) -> Value {
        Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_else(|_| {
            self.diagnostics.push(Diagnostic::new(place.clone(), format!("the number {number} does not fit in 64 bits"), None));
            0
        }))
    }

    fn float(&mut self, number: &DeFloat<'_>, place: &Place) -> Value {
        let value = number.as_str().parse::<f64>().unwrap_or(f64::NAN);
        if value.is_infinite() && !number.as_str().contains("inf") {
            self.diagnostics.push(Diagnostic::new(place.clone(), format!("the number {number} does not fit in 64 bits"), None));
        }
        Value::Float(value)
    }
}
