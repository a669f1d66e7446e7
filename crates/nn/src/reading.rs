//! Reading hand-written TOML values: every mistake is kept, with the path of its key.

use std::ops::RangeInclusive;

use stn_core::Fault;
use toml::{Table, Value};

/// The path of a key from the table that is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyPath(Vec<String>);

impl KeyPath {
    pub(crate) fn key(&self, key: impl ToString) -> Self {
        let mut inner = self.0.clone();
        inner.push(key.to_string());
        Self(inner)
    }

    pub(crate) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::at(self.0.iter().cloned(), message)
    }

    pub(crate) fn above(&self, fault: Fault) -> Fault {
        fault.below(self.0.iter().cloned())
    }

    pub(crate) fn unknown(&self, what: &str, name: &str, known: &[&str]) -> Fault {
        Fault::unknown(self.0.iter().cloned(), what, name, known)
    }
}

/// Keeps the mistakes of one reading. Every method gives `None` after it has kept one.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) faults: Vec<Fault>,
}

impl Reader {
    /// Keeps a mistake; one that was written once and read for several transformers, once.
    pub(crate) fn fail<T>(&mut self, fault: Fault) -> Option<T> {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
        None
    }

    pub(crate) fn expected<T>(&mut self, what: &str, value: &Value, at: &KeyPath) -> Option<T> {
        let found = match value {
            Value::String(text) => format!("\"{text}\""),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
            other => format!("{} {}", if other.is_array() { "an" } else { "a" }, other.type_str()),
        };
        self.fail(at.fault(format!("expected {what}, found {found}")))
    }

    /// The value as a table whose keys are all known; unknown ones are kept as mistakes and do not stop the reading.
    pub(crate) fn table<'a>(&mut self, value: &'a Value, known: &[&str], at: &KeyPath) -> Option<&'a Table> {
        let Some(table) = value.as_table() else { return self.expected("a table", value, at) };
        for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
            self.fail::<()>(at.key(key).unknown("key", key, known));
        }
        Some(table)
    }

    pub(crate) fn integer(&mut self, value: &Value, range: RangeInclusive<usize>, at: &KeyPath) -> Option<usize> {
        match value.as_integer().and_then(|i| usize::try_from(i).ok()).filter(|i| range.contains(i)) {
            Some(integer) => Some(integer),
            None => self.expected(&format!("an integer from {} to {}", range.start(), range.end()), value, at),
        }
    }

    /// A number, written with or without a fraction, for which `fits` holds; `what` says which do.
    pub(crate) fn number(&mut self, value: &Value, what: &str, fits: impl Fn(f64) -> bool, at: &KeyPath) -> Option<f64> {
        let number = value.as_float().or_else(|| value.as_integer().map(|i| i as f64));
        match number.filter(|n| fits(*n)) {
            Some(number) => Some(number),
            None => self.expected(what, value, at),
        }
    }

    pub(crate) fn boolean(&mut self, value: &Value, at: &KeyPath) -> Option<bool> {
        match value.as_bool() {
            Some(boolean) => Some(boolean),
            None => self.expected("true or false", value, at),
        }
    }

    /// One of some names.
    pub(crate) fn choice<T: Copy>(&mut self, value: &Value, what: &str, known: &[(&str, T)], at: &KeyPath) -> Option<T> {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let Some(text) = value.as_str() else { return self.expected(&format!("one of {}", names.join(", ")), value, at) };
        match known.iter().find(|(name, _)| *name == text) {
            Some((_, choice)) => Some(*choice),
            None => self.fail(at.unknown(what, text, &names)),
        }
    }

    /// A pair `[h, w]`, or one number for both.
    pub(crate) fn pair(&mut self, value: &Value, range: RangeInclusive<usize>, at: &KeyPath) -> Option<(usize, usize)> {
        match value {
            Value::Array(items) => match items.as_slice() {
                [h, w] => {
                    let (h, w) = (self.integer(h, range.clone(), &at.key(0)), self.integer(w, range, &at.key(1)));
                    Some((h?, w?))
                }
                _ => self.fail(at.fault(format!("expected a number or [h, w], found {} elements", items.len()))),
            },
            Value::Integer(_) => self.integer(value, range, at).map(|side| (side, side)),
            _ => self.expected("a number or [h, w]", value, at),
        }
    }
}
