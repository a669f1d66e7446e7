//! `stn plugins`: what can be named in an experiment file.

use serde_json::json;
use stn_core::{ParameterDoc, PluginDoc, Registry};

use super::parameter_table;
use crate::Failure;
use crate::arguments::Plugins;
use crate::terminal::answer;

pub(crate) fn run(arguments: &Plugins, registry: &Registry) -> Result<(), Failure> {
    if arguments.json {
        let all = json!({ "transformations": registry.transformations().collect::<Vec<_>>(), "kernels": registry.kernels().collect::<Vec<_>>() });
        answer(serde_json::to_string_pretty(&all).map_err(Failure::message)?);
        return Ok(());
    }
    answer(format_args!("{}\n", parameter_table("transformation", registry.transformations().map(line))));
    answer(parameter_table("sampling kernel", registry.kernels().map(line)));
    Ok(())
}

fn line(plugin: &PluginDoc) -> (&str, &str, &[ParameterDoc]) {
    (&plugin.name, &plugin.summary, &plugin.parameters)
}
