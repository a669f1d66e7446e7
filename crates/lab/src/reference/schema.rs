//! The JSON schema of experiment files.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::keys;
use crate::EarlyStop;
use crate::spec::sections::{ModelSection, RandomSection, SlurmSection, SweepSection, TopLevel};
use crate::spec::train::TrainSection;

/// The JSON schema of experiment files, for editors: completion, and a word on every key. The program itself checks more than it can say.
pub fn json_schema() -> String {
    let mut train = of::<TrainSection>();
    put(&mut train, "early_stop", of::<EarlyStop>());
    let mut own_train = train.clone();
    describe(&mut own_train, "Keys of `[train]` that this model trains with instead.");
    let mut model = of::<ModelSection>();
    put(&mut model, "train", own_train);
    for [key, kind, _, meaning] in keys::NETWORK {
        let types: Vec<&str> =
            kind.split(" or ").map(|kind| if kind == "list" { "array" } else { kind }).map(|kind| if kind == "table" { "object" } else { kind }).collect();
        let types = if let [one] = types.as_slice() { json!(one) } else { json!(types) };
        put(&mut model, key.trim_matches('`'), json!({ "type": types, "description": meaning }));
    }
    let mut sweep = of::<SweepSection>();
    let mut random = of::<RandomSection>();
    describe(&mut random, "Points drawn at random.");
    put(&mut sweep, "random", random);
    let mut top = of::<TopLevel>();
    describe(&mut train, "How to train.");
    put(&mut top, "train", train);
    put(&mut top, "models", json!({ "type": "object", "description": "The networks, one table each.", "additionalProperties": model }));
    let mut slurm = of::<SlurmSection>();
    describe(&mut slurm, "How a Slurm cluster runs the trials; nothing in it changes a result.");
    put(&mut top, "slurm", slurm);
    put(&mut top, "sweep", json!({ "description": "What to vary.", "anyOf": [sweep, { "type": "array", "items": sweep }] }));
    let kinds: Vec<String> = stn_data::catalogue().into_iter().map(|doc| doc.name).collect();
    let dataset = json!({ "type": "object", "description": "The data set.", "properties": { "kind": { "enum": kinds } }, "required": ["kind"] });
    put(&mut top, "dataset", dataset);
    if let Some(top) = top.as_object_mut() {
        top.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        top.insert("title".into(), json!("Experiment file"));
        top.insert("required".into(), json!(["dataset", "models"]));
    }
    let mut text = serde_json::to_string_pretty(&top).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema of a section, all of it in one place and closed to other keys.
fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("title");
        schema.insert("additionalProperties".into(), json!(false));
    }
    schema
}

fn put(schema: &mut Value, key: &str, inner: Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(key.into(), inner);
    }
}

fn describe(schema: &mut Value, text: &str) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".into(), json!(text));
    }
}
