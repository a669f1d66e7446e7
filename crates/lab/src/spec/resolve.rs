//! One point of a sweep as the tables it is made from, and the way back from them to where they were written.

use stn_core::Fault;
use toml::{Table, Value};

use super::document::{Aim, Document, Place, set_value};
use super::sweep::Assignment;

/// The tables of one point of the sweep.
#[derive(Debug)]
pub(crate) struct Resolved {
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
    moved: Vec<(Vec<String>, Vec<String>)>,
}

impl Resolved {
    /// Resolves a point: the sweep's values for `model` and `models.*` first, then the model's own training keys, then the sweep's other values.
    ///
    /// # Errors
    ///
    /// Faults whose paths are the document's.
    pub fn new(document: &Document, point: &[&Assignment]) -> Result<Self, Vec<Fault>> {
        let mut resolved =
            Self { model: String::new(), label: String::new(), dataset: Table::new(), network: Table::new(), train: Table::new(), moved: Vec::new() };
        let chosen = point.iter().rev().find(|assignment| assignment.path == ["model"]);
        resolved.model = chosen_model(document, chosen.copied())?;
        let model = resolved.model.clone();
        let section = |name: &str| document.table.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
        let model_table = document.get(&["models".to_owned(), model.clone()]).cloned().unwrap_or_else(|| Value::Table(Table::new()));
        let mut root = Table::from_iter([
            ("dataset".to_owned(), Value::Table(section("dataset"))),
            ("train".to_owned(), Value::Table(section("train"))),
            ("models".to_owned(), Value::Table(Table::from_iter([(model.clone(), model_table)]))),
        ]);
        let of_models = |assignment: &&&Assignment| assignment.path.first().is_some_and(|first| first == "models");
        let of_this_model = |assignment: &&&Assignment| assignment.path.get(1) == Some(&model);
        for assignment in point.iter().filter(of_models).filter(of_this_model) {
            resolved.assign(&mut root, assignment)?;
        }
        resolved.take_model(&mut root);
        for assignment in point.iter().filter(|assignment| !of_models(assignment) && assignment.path != ["model"]) {
            resolved.assign(&mut root, assignment)?;
        }
        resolved.dataset = take(&mut root, "dataset");
        resolved.train = take(&mut root, "train");
        Ok(resolved)
    }

    fn assign(&mut self, root: &mut Table, assignment: &Assignment) -> Result<(), Vec<Fault>> {
        set_value(root, &assignment.path, assignment.value.clone()).map_err(|mut fault| {
            fault.path.clone_from(&assignment.origin);
            vec![fault]
        })?;
        self.moved.push((assignment.path.clone(), assignment.origin.clone()));
        Ok(())
    }

    /// Takes the model out of the root table, and lays its own training keys over the common ones.
    fn take_model(&mut self, root: &mut Table) {
        let mut models = take(root, "models");
        let mut network = take(&mut models, &self.model);
        self.label = match network.remove("label") {
            Some(Value::String(label)) => label,
            _ => self.model.clone(),
        };
        if let (Some(Value::Table(own)), Some(Value::Table(train))) = (network.remove("train"), root.get_mut("train")) {
            for (key, value) in own {
                let origin = ["models".to_owned(), self.model.clone(), "train".to_owned(), key.clone()];
                self.moved.push((vec!["train".to_owned(), key.clone()], origin.to_vec()));
                train.insert(key, value);
            }
        }
        self.network = network;
    }

    /// Whether a fault is about a value that the sweep gives.
    pub fn in_sweep(&self, fault: &Fault) -> bool {
        self.origin(fault).is_some_and(|origin| origin.first().is_some_and(|first| first == "sweep"))
    }

    /// Whether a fault is about something in the model's own table.
    pub fn in_model(&self, fault: &Fault) -> bool {
        self.origin(fault).unwrap_or(fault.path.as_slice()).first().is_some_and(|first| first == "models")
    }

    fn origin(&self, fault: &Fault) -> Option<&[String]> {
        self.moved.iter().rev().find(|(path, _)| fault.path.starts_with(path)).map(|(_, origin)| origin.as_slice())
    }

    /// Where a fault's key or value was written.
    pub fn place<'a>(&self, document: &'a Document, fault: &Fault) -> &'a Place {
        locate(document, &self.moved, fault)
    }
}

fn take(table: &mut Table, key: &str) -> Table {
    match table.remove(key) {
        Some(Value::Table(inner)) => inner,
        _ => Table::new(),
    }
}

fn chosen_model(document: &Document, chosen: Option<&Assignment>) -> Result<String, Vec<Fault>> {
    let known: Vec<&str> = match document.table.get("models") {
        Some(Value::Table(models)) => models.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let (value, path) = match chosen {
        Some(assignment) => (Some(&assignment.value), assignment.origin.clone()),
        None => (document.table.get("model"), vec!["model".to_owned()]),
    };
    match (value, known.as_slice()) {
        (Some(Value::String(name)), known) if known.contains(&name.as_str()) => Ok(name.clone()),
        (Some(Value::String(name)), known) => Err(vec![Fault::unknown(path, "model", name, known)]),
        (Some(other), _) => Err(vec![Fault::at(path, format!("expected the name of a model, found {}", other.type_str()))]),
        (None, [only]) => Ok((*only).to_owned()),
        (None, []) => Err(vec![Fault::at(["models"], "there is no model to train").help("add a table such as [models.cnn] with layers = [...]")]),
        (None, known) => Err(vec![Fault::at(["models"], "which model to train is not said").help(format!(
            "add model = \"{}\", or sweep it: [sweep.grid] with model = [{}]",
            known[0],
            known.iter().map(|k| format!("\"{k}\"")).collect::<Vec<_>>().join(", ")
        ))]),
    }
}

/// The place of a fault, given which paths hold values that stand elsewhere.
pub(crate) fn locate<'a>(document: &'a Document, moved: &[(Vec<String>, Vec<String>)], fault: &Fault) -> &'a Place {
    let aim = aim(fault);
    match moved.iter().rev().find(|(path, _)| fault.path.starts_with(path)) {
        // The axis' name is what is wrong, not one of its values.
        Some((path, origin)) if aim == Aim::Key && path.len() == fault.path.len() && origin.first().is_some_and(|first| first == "sweep") => {
            document.place(&origin[..origin.len() - 1], aim)
        }
        Some((path, origin)) => {
            let whole: Vec<String> = origin.iter().chain(&fault.path[path.len()..]).cloned().collect();
            document.place(&whole, aim)
        }
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
