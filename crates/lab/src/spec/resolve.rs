//! One point of a sweep as the tables it is made from, and the way back from them to where they were written.

use stn_core::Fault;
use toml::{Table, Value};

use super::document::{Aim, Document, Place, set_value};
use super::sweep::Assignment;

/// The tables of one point of the sweep.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    /// The model's name.
    pub model: String,
    /// Its label.
    pub label: String,
    /// The data set's table.
    pub dataset: Table,
    /// The network's table, without `label` and `train`.
    pub network: Table,
    /// The training table, with the model's own keys and the sweep's laid over it.
    pub train: Table,
    /// Which paths hold values that stand elsewhere in the document; later ones win.
    moved: Vec<Moved<'a>>,
}

/// A value that stands elsewhere in the document than where it is read.
#[derive(Debug)]
pub(crate) enum Moved<'a> {
    /// The sweep gives it.
    Swept(&'a Assignment),
    /// A model's own training key, and where it is read.
    Own { model: &'a str, path: [String; 2] },
}

impl Moved<'_> {
    /// Where it is read.
    fn path(&self) -> &[String] {
        match self {
            Self::Swept(assignment) => &assignment.key.path,
            Self::Own { path, .. } => path,
        }
    }

    /// Where it stands.
    fn origin(&self) -> Vec<String> {
        match self {
            Self::Swept(assignment) => assignment.origin(),
            Self::Own { model, path } => ["models".to_owned(), (*model).to_owned()].into_iter().chain(path.iter().cloned()).collect(),
        }
    }
}

impl<'a> Resolved<'a> {
    /// Resolves a point: the sweep's values for `model` and `models.*` first, then the model's own training keys, then the sweep's other values. A swept key goes before
    /// one that is within it.
    ///
    /// # Errors
    ///
    /// Faults whose paths are the document's.
    pub fn new(document: &'a Document, point: &[&'a Assignment]) -> Result<Self, Vec<Fault>> {
        let mut point = point.to_vec();
        point.sort_by_key(|assignment| assignment.key.path.len());
        let mut resolved =
            Self { model: String::new(), label: String::new(), dataset: Table::new(), network: Table::new(), train: Table::new(), moved: Vec::new() };
        let chosen = point.iter().rev().find(|assignment| assignment.key.path == ["model"]);
        let model = chosen_model(document, chosen.copied())?;
        resolved.model = model.to_owned();
        let section = |name: &str| document.table.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
        let model_table = document.get(&["models".to_owned(), model.to_owned()]).cloned().unwrap_or_else(|| Value::Table(Table::new()));
        let mut root = Table::from_iter([
            ("dataset".to_owned(), Value::Table(section("dataset"))),
            ("train".to_owned(), Value::Table(section("train"))),
            ("models".to_owned(), Value::Table(Table::from_iter([(model.to_owned(), model_table)]))),
        ]);
        let of_models = |assignment: &&&Assignment| assignment.key.path.first().is_some_and(|first| first == "models");
        let of_this_model = |assignment: &&&Assignment| assignment.key.path.get(1).is_some_and(|name| name == model);
        for assignment in point.iter().filter(of_models).filter(of_this_model) {
            resolved.assign(&mut root, assignment)?;
        }
        resolved.take_model(&mut root, model);
        for assignment in point.iter().filter(|assignment| !of_models(assignment) && assignment.key.path != ["model"]) {
            resolved.assign(&mut root, assignment)?;
        }
        resolved.dataset = take(&mut root, "dataset");
        resolved.train = take(&mut root, "train");
        Ok(resolved)
    }

    fn assign(&mut self, root: &mut Table, assignment: &'a Assignment) -> Result<(), Vec<Fault>> {
        set_value(root, &assignment.key.path, assignment.value.clone()).map_err(|fault| vec![Fault { path: assignment.origin(), ..fault }])?;
        self.moved.push(Moved::Swept(assignment));
        Ok(())
    }

    /// Takes the model out of the root table, and lays its own training keys over the common ones.
    fn take_model(&mut self, root: &mut Table, model: &'a str) {
        let mut models = take(root, "models");
        let mut network = take(&mut models, &self.model);
        self.label = match network.remove("label") {
            Some(Value::String(label)) => label,
            _ => self.model.clone(),
        };
        if let (Some(Value::Table(own)), Some(Value::Table(train))) = (network.remove("train"), root.get_mut("train")) {
            for (key, value) in own {
                self.moved.push(Moved::Own { model, path: ["train".to_owned(), key.clone()] });
                train.insert(key, value);
            }
        }
        self.network = network;
    }

    /// Whether a fault is about a value that the sweep gives.
    pub fn in_sweep(&self, fault: &Fault) -> bool {
        matches!(self.moved(fault), Some(Moved::Swept(_)))
    }

    /// Whether a fault is about a value that the sweep draws between bounds.
    pub fn in_draw(&self, fault: &Fault) -> bool {
        matches!(self.moved(fault), Some(Moved::Swept(assignment)) if assignment.between)
    }

    /// Whether a fault is about something in the model's own table.
    pub fn in_model(&self, fault: &Fault) -> bool {
        match self.moved(fault) {
            Some(Moved::Swept(_)) => false,
            Some(Moved::Own { .. }) => true,
            None => fault.path.first().is_some_and(|first| first == "models"),
        }
    }

    fn moved(&self, fault: &Fault) -> Option<&Moved<'a>> {
        self.moved.iter().rev().find(|moved| fault.path.starts_with(moved.path()))
    }

    /// Where a fault's key or value was written.
    pub fn place(&self, document: &'a Document, fault: &Fault) -> &'a Place {
        locate(document, &self.moved, fault)
    }
}

fn take(table: &mut Table, key: &str) -> Table {
    match table.remove(key) {
        Some(Value::Table(inner)) => inner,
        _ => Table::new(),
    }
}

fn chosen_model<'a>(document: &'a Document, chosen: Option<&'a Assignment>) -> Result<&'a str, Vec<Fault>> {
    let known: Vec<&str> = match document.table.get("models") {
        Some(Value::Table(models)) => models.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let (value, path) = match chosen {
        Some(assignment) => (Some(&assignment.value), assignment.origin()),
        None => (document.table.get("model"), vec!["model".to_owned()]),
    };
    match (value, known.as_slice()) {
        (Some(Value::String(name)), known) if known.contains(&name.as_str()) => Ok(name),
        (Some(Value::String(name)), known) => Err(vec![Fault::unknown(path, "model", name, known)]),
        (Some(other), _) => Err(vec![Fault::at(path, format!("expected the name of a model, found {}", other.type_str()))]),
        (None, [only]) => Ok(only),
        (None, []) => Err(vec![Fault::at(["models"], "there is no model to train").help("add a table such as [models.cnn] with layers = [...]")]),
        (None, known) => Err(vec![Fault::at(["models"], "which model to train is not said").help(format!(
            "add model = \"{}\", or sweep it: [sweep.grid] with model = [{}]",
            known[0],
            known.iter().map(|k| format!("\"{k}\"")).collect::<Vec<_>>().join(", ")
        ))]),
    }
}

/// The place of a fault, given which values stand elsewhere than where they are read.
pub(crate) fn locate<'a>(document: &'a Document, moved: &[Moved<'_>], fault: &Fault) -> &'a Place {
    let aim = aim(fault);
    match moved.iter().rev().find(|moved| fault.path.starts_with(moved.path())) {
        // The axis' name is what is wrong, not one of its values.
        Some(Moved::Swept(assignment)) if aim == Aim::Key && assignment.key.path.len() == fault.path.len() => document.place(&assignment.key.origin, aim),
        Some(moved) => {
            let whole: Vec<String> = moved.origin().iter().chain(&fault.path[moved.path().len()..]).cloned().collect();
            document.place(&whole, aim)
        }
        // A table that is there only because the sweep sets a key in it.
        None if document.node(&fault.path).is_none() => match moved.iter().rev().find(|moved| moved.path().starts_with(&fault.path)) {
            Some(Moved::Swept(assignment)) => document.place(&assignment.key.origin, Aim::Key),
            _ => document.place(&fault.path, aim),
        },
        None => document.place(&fault.path, aim),
    }
}

/// A fault is about a key where it names the last key of its path as unknown or missing, and else about the value.
fn aim(fault: &Fault) -> Aim {
    let names_key = fault.path.last().is_some_and(|key| fault.message.contains(&format!("`{key}`")));
    if (fault.message.starts_with("unknown") && names_key) || fault.message.starts_with("missing") || fault.message.starts_with("unknown key") {
        Aim::Key
    } else {
        Aim::Value
    }
}
