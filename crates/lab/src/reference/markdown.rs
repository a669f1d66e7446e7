//! Markdown tables.

use stn_core::ParameterDoc;

/// A table with a head.
pub(super) fn rows<const N: usize>(head: &[&str; N], rows: &[[&str; N]]) -> String {
    let line = |cells: &[&str; N]| format!("| {} |\n", cells.map(escape).join(" | "));
    let mut text = line(head);
    text.push_str(&format!("|{}\n", "---|".repeat(N)));
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

/// A table of keys.
pub(super) fn key_table(keys: &[ParameterDoc]) -> String {
    let quoted = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let cells: Vec<[String; 4]> =
        keys.iter().map(|key| [quoted(&key.name), key.kind.replace("object", "table"), quoted(&key.default), key.description.clone()]).collect();
    let borrowed: Vec<[&str; 4]> = cells.iter().map(|row| row.each_ref().map(String::as_str)).collect();
    rows(&["key", "type", "default", "meaning"], &borrowed)
}

fn escape(cell: &str) -> String {
    cell.replace('|', "\\|").replace('\n', " ")
}
