//! One file a command.

use comfy_table::{ContentArrangement, Table};
use stn_core::ParameterDoc;

pub(crate) mod bench;
pub(crate) mod data;
pub(crate) mod op;
pub(crate) mod plugins;
pub(crate) mod predict;
pub(crate) mod reference;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod slurm;
pub(crate) mod status;
pub(crate) mod watch;

/// Rules above, below and under the headings, as tables in papers have them (a preset of comfy-table's).
const RULES: &str = "  ── ──      ──    ";

/// The width of a table where there is no terminal to ask.
const COLUMNS: u16 = 160;

/// An empty table with these headings, as wide as the terminal at most.
fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(RULES).set_content_arrangement(ContentArrangement::Dynamic).set_header(headings);
    if !table.is_tty() {
        table.set_width(COLUMNS);
    }
    table
}

/// Things with parameters: one line each, or one a parameter.
fn parameter_table<'a>(what: &str, things: impl Iterator<Item = (&'a str, &'a str, &'a [ParameterDoc])>) -> Table {
    let mut table = table([what, "what it is", "parameter", "type", "default", "what it does"]);
    for (name, summary, parameters) in things {
        if parameters.is_empty() {
            table.add_row([name, summary]);
        }
        for (i, parameter) in parameters.iter().enumerate() {
            let (name, summary) = if i == 0 { (name, summary) } else { ("", "") };
            table.add_row([name, summary, &parameter.name, &parameter.kind, &parameter.default, &parameter.description]);
        }
    }
    table
}
