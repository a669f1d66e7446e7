//! The manual's pages that are made from the code.

use stn_core::Registry;

use crate::schema;

/// Every key of an experiment file, as Markdown.
pub fn reference(registry: &Registry) -> String {
    let _ = registry;
    String::new()
}

/// Every file and column of the results, as Markdown.
pub fn results_reference() -> String {
    let mut text = String::from("# Results\n");
    for table in schema() {
        text.push_str(&format!("\n## `{}`\n\n{}\n\n| column | type | meaning |\n|---|---|---|\n", table.file, table.description));
        for column in table.columns {
            text.push_str(&format!("| `{}` | {} | {} |\n", column.name, column.kind, column.description));
        }
    }
    text
}

/// The JSON schema of experiment files, for editors.
pub fn json_schema() -> String {
    String::from("{}\n")
}
