//! `stn data`: what there is to train on.

use comfy_table::Table;
use stn_core::Registry;
use stn_data::{Dataset, DatasetSpec};
use toml::Value;

use super::op::table as keys_to_table;
use crate::Failure;
use crate::arguments::DataAction;

pub(crate) fn run(action: &DataAction, registry: &Registry) -> Result<(), Failure> {
    match action {
        DataAction::List => list(),
        DataAction::Fetch { name } => {
            let folder = stn_data::fetch(name).map_err(Failure::message)?;
            anstream::println!("{name} is in {}", folder.display());
        }
        DataAction::Preview { name, keys, out, columns, rows, seed } => {
            let mut section = keys_to_table(keys)?;
            section.insert("kind".into(), Value::String(name.clone()));
            let spec = DatasetSpec::from_value(&Value::Table(section))
                .map_err(|faults| Failure::Message(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: ")))?;
            let dataset = Dataset::open(&spec, registry).map_err(Failure::message)?;
            let sheet = stn_data::contact_sheet(&dataset, *columns, *rows, *seed).map_err(Failure::message)?;
            sheet.save(out).map_err(|e| Failure::Message(format!("{}: {e}", out.display())))?;
            anstream::println!("{}", out.display());
        }
    }
    Ok(())
}

fn list() {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(["kind", "what it is", "key", "type", "default", "what it does"]);
    for set in stn_data::catalogue() {
        for (i, parameter) in set.parameters.iter().enumerate() {
            let (name, summary) = if i == 0 { (set.name.as_str(), set.summary.as_str()) } else { ("", "") };
            table.add_row([name, summary, &parameter.name, &parameter.kind, &parameter.default, &parameter.description]);
        }
    }
    anstream::println!("{table}");
}
