//! Finding plugins by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use crate::parameters::{self, Fault, ParameterDoc};
use crate::{Error, Result, Sampling, Transformation};

/// What a plugin crate provides: a name, parameters and a constructor. `T` is `dyn Transformation` or `dyn Sampling`.
pub trait Plugin<T: ?Sized> {
    /// The name in TOML files, in lower case.
    const NAME: &'static str;
    /// What it is, in a line.
    const SUMMARY: &'static str;
    /// Its parameters: unknown keys, wrong types and documentation all follow from this declaration.
    type Parameters: DeserializeOwned + Serialize + JsonSchema + Default + 'static;

    /// Makes one. The registry is for a plugin built from others, such as a composition.
    ///
    /// # Errors
    ///
    /// [`Error::parameter`] where a parameter is out of range.
    fn build(parameters: Self::Parameters, registry: &Registry) -> Result<Arc<T>>;
}

/// A plugin chosen in a file: a name, or a table with a `kind` and parameters.
///
/// `"affine"` and `{ kind = "tps", points = 5 }` are both one.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSpec {
    /// The plugin's name.
    pub kind: String,
    /// Its parameters, as written.
    pub parameters: Table,
}

impl PluginSpec {
    /// A plugin with its default parameters.
    pub fn named(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), parameters: Table::new() }
    }

    /// From a TOML value: a string, or a table with a string `kind`.
    ///
    /// # Errors
    ///
    /// What is wrong with the value, at its path.
    pub fn from_value(value: &Value) -> std::result::Result<Self, Fault> {
        match value {
            Value::String(kind) => Ok(Self::named(kind)),
            Value::Table(table) => {
                let mut parameters = table.clone();
                match parameters.remove("kind") {
                    Some(Value::String(kind)) => Ok(Self { kind, parameters }),
                    Some(other) => Err(Fault::at(["kind"], format!("expected a string, found {}", other.type_str()))),
                    None => Err(Fault::at([""; 0], "this table needs a `kind`").help("add kind = \"NAME\"")),
                }
            }
            other => Err(Fault::at([""; 0], format!("expected a name or a table with a `kind`, found {}", other.type_str()))),
        }
    }
}

impl<'de> Deserialize<'de> for PluginSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(serde::de::Error::custom)
    }
}

impl Serialize for PluginSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.parameters.is_empty() {
            return serializer.serialize_str(&self.kind);
        }
        let mut table = Table::new();
        table.insert("kind".into(), Value::String(self.kind.clone()));
        table.extend(self.parameters.clone());
        table.serialize(serializer)
    }
}

impl JsonSchema for PluginSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PluginSpec".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "object", "properties": { "kind": { "type": "string" } }, "required": ["kind"] }]
        })
    }
}

impl fmt::Display for PluginSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if self.parameters.is_empty() {
            return Ok(());
        }
        let listed: Vec<_> = self.parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
        write!(f, "({})", listed.join(", "))
    }
}

/// A plugin, as documentation shows it.
#[derive(Debug, Clone, Serialize)]
pub struct PluginDoc {
    /// The name in TOML files.
    pub name: String,
    /// What it is, in a line.
    pub summary: String,
    /// Its parameters, by name.
    pub parameters: Vec<ParameterDoc>,
}

/// From a plugin's parameters, as written, to the plugin.
type Build<T> = dyn Fn(&Table, &Registry) -> Result<Arc<T>> + Send + Sync;

struct Entry<T: ?Sized> {
    doc: PluginDoc,
    build: Box<Build<T>>,
}

/// One kind of plugin, by name.
struct Shelf<T: ?Sized> {
    what: &'static str,
    entries: BTreeMap<String, Entry<T>>,
}

impl<T: ?Sized> Shelf<T> {
    fn new(what: &'static str) -> Self {
        Self { what, entries: BTreeMap::new() }
    }

    fn add<P: Plugin<T>>(&mut self) -> Result<()> {
        if self.entries.contains_key(P::NAME) {
            return Err(Error::DuplicatePlugin { what: self.what, name: P::NAME.into() });
        }
        let doc = PluginDoc { name: P::NAME.into(), summary: P::SUMMARY.into(), parameters: parameters::describe::<P::Parameters>() };
        let build = |table: &Table, registry: &Registry| {
            let parameters = parameters::decode(table).map_err(|faults| Error::Parameters { plugin: P::NAME.into(), faults })?;
            P::build(parameters, registry)
        };
        self.entries.insert(P::NAME.into(), Entry { doc, build: Box::new(build) });
        Ok(())
    }

    fn make(&self, spec: &PluginSpec, registry: &Registry) -> Result<Arc<T>> {
        match self.entries.get(&spec.kind) {
            Some(entry) => (entry.build)(&spec.parameters, registry),
            None => Err(Error::UnknownPlugin {
                what: self.what,
                name: spec.kind.clone(),
                known: self.entries.keys().cloned().collect(),
                nearest: parameters::nearest(&spec.kind, self.entries.keys().map(String::as_str)).map(Into::into),
            }),
        }
    }
}

/// The transformations and sampling kernels of a program, by name.
///
/// Registration is explicit: a plugin that is linked but never named here would register nothing.
pub struct Registry {
    transformations: Shelf<dyn Transformation>,
    kernels: Shelf<dyn Sampling>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("transformations", &self.transformations.entries.keys()).field("kernels", &self.kernels.entries.keys()).finish()
    }
}

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self { transformations: Shelf::new("transformation"), kernels: Shelf::new("sampling kernel") }
    }

    /// Adds a transformation.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicatePlugin`] where the name is taken.
    pub fn add_transformation<P: Plugin<dyn Transformation>>(&mut self) -> Result<&mut Self> {
        self.transformations.add::<P>()?;
        Ok(self)
    }

    /// Adds a sampling kernel.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicatePlugin`] where the name is taken.
    pub fn add_kernel<P: Plugin<dyn Sampling>>(&mut self) -> Result<&mut Self> {
        self.kernels.add::<P>()?;
        Ok(self)
    }

    /// Makes a transformation.
    ///
    /// # Errors
    ///
    /// Where the name is unknown, or a parameter is wrong.
    pub fn transformation(&self, spec: &PluginSpec) -> Result<Arc<dyn Transformation>> {
        self.transformations.make(spec, self)
    }

    /// Makes a sampling kernel.
    ///
    /// # Errors
    ///
    /// Where the name is unknown, or a parameter is wrong.
    pub fn kernel(&self, spec: &PluginSpec) -> Result<Arc<dyn Sampling>> {
        self.kernels.make(spec, self)
    }

    /// Every transformation, by name.
    pub fn transformations(&self) -> impl Iterator<Item = &PluginDoc> {
        self.transformations.entries.values().map(|entry| &entry.doc)
    }

    /// Every sampling kernel, by name.
    pub fn kernels(&self) -> impl Iterator<Item = &PluginDoc> {
        self.kernels.entries.values().map(|entry| &entry.doc)
    }
}
