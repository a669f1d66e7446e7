//! `stn plugins`: what can be named in an experiment file.

use comfy_table::Table;
use serde_json::json;
use stn_core::{PluginDoc, Registry};

use crate::Failure;
use crate::arguments::Plugins;

pub(crate) fn run(arguments: &Plugins, registry: &Registry) -> Result<(), Failure> {
    if arguments.json {
        let all = json!({ "transformations": registry.transformations().collect::<Vec<_>>(), "kernels": registry.kernels().collect::<Vec<_>>() });
        anstream::println!("{}", serde_json::to_string_pretty(&all).map_err(Failure::message)?);
        return Ok(());
    }
    anstream::println!("Transformations\n{}\n\nSampling kernels\n{}", table(registry.transformations()), table(registry.kernels()));
    Ok(())
}

fn table<'a>(plugins: impl Iterator<Item = &'a PluginDoc>) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(["name", "what it is", "parameter", "type", "default", "what it does"]);
    for plugin in plugins {
        if plugin.parameters.is_empty() {
            table.add_row([&plugin.name, &plugin.summary]);
        }
        for (i, parameter) in plugin.parameters.iter().enumerate() {
            let (name, summary) = if i == 0 { (plugin.name.as_str(), plugin.summary.as_str()) } else { ("", "") };
            table.add_row([name, summary, &parameter.name, &parameter.kind, &parameter.default, &parameter.description]);
        }
    }
    table
}
