//! The table of test errors: for a terminal, as Markdown and as CSV.

use crate::summary::{Row, Summary, thousands};
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// Rules above, below and under the headings, as tables in papers have them (a preset of comfy-table's).
const RULES: &str = "  ── ──      ──    ";
/// What stands for a number that is not there.
const NOTHING: &str = "–";

/// The table with caption and notes for a terminal of `columns` columns.
pub fn terminal(summary: &Summary, columns: u16) -> String {
    let mut table = Table::new();
    table.load_preset(RULES).set_content_arrangement(ContentArrangement::Dynamic).set_width(columns.max(40)).force_no_tty();
    table.set_header(headings(summary));
    let mut previous = None;
    for row in &summary.rows {
        let mut cells = cells(summary, row);
        if several(summary) && previous == Some(row.distortion) {
            cells[0].clear();
        }
        previous = Some(row.distortion);
        table.add_row(cells);
    }
    let names = if several(summary) { 2 } else { 1 };
    for column in table.column_iter_mut().skip(names) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{}\n{table}\n", summary.experiment);
    for line in notes(summary) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The table as a page of Markdown.
pub fn markdown(summary: &Summary) -> String {
    let escape = |cell: &String| cell.replace('|', "\\|").replace('<', "&lt;");
    let line = |cells: Vec<String>| format!("| {} |\n", cells.iter().map(escape).collect::<Vec<_>>().join(" | "));
    let names = if several(summary) { 2 } else { 1 };
    let headings = headings(summary);
    let marks = (0..headings.len()).map(|i| if i < names { "---".to_string() } else { "--:".to_string() }).collect();
    let mut text = format!("# {}\n\n{}{}", summary.experiment, line(headings), line(marks));
    for row in &summary.rows {
        text.push_str(&line(cells(summary, row)));
    }
    text.push('\n');
    for note in notes(summary) {
        text.push_str(&note);
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The table's numbers, unrounded.
pub fn csv(summary: &Summary) -> String {
    let mut text = String::from("distortion,model,variant,n,test_error_percent,standard_deviation,published_percent,parameters,step_ms,step_ratio,synthetic\n");
    for row in &summary.rows {
        let series = &summary.series[row.series];
        let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        let fields = [
            summary.distortions[row.distortion].clone(),
            series.model.clone(),
            series.variant.clone(),
            row.trials.len().to_string(),
            number(row.error.map(|e| e.mean)),
            number(row.error.and_then(|e| e.deviation)),
            number(row.published),
            row.parameters.map(|p| p.to_string()).unwrap_or_default(),
            number(row.step_ms),
            number(row.ratio),
            summary.synthetic.to_string(),
        ];
        text.push_str(&csv_line(&fields));
    }
    text
}

/// Fields as one line of CSV (RFC 4180), quoted where they must be.
pub fn csv_line(fields: &[String]) -> String {
    let quote = |field: &String| if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() };
    fields.iter().map(quote).collect::<Vec<_>>().join(",") + "\n"
}

/// "1.23 ± 0.05", or "1.23" for one seed.
fn error(row: &Row) -> String {
    match row.error {
        None => NOTHING.into(),
        Some(error) => error.deviation.map_or(format!("{:.2}", error.mean), |deviation| format!("{:.2} ± {deviation:.2}", error.mean)),
    }
}

/// Three figures of a time in ms.
fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 100.0 => format!("{ms:.0}"),
        ms if ms >= 10.0 => format!("{ms:.1}"),
        ms => format!("{ms:.2}"),
    }
}

fn several(summary: &Summary) -> bool {
    summary.distortions.len() > 1
}

fn published(summary: &Summary) -> bool {
    summary.rows.iter().any(|row| row.published.is_some())
}

fn headings(summary: &Summary) -> Vec<String> {
    let mut headings = Vec::new();
    if several(summary) {
        headings.push("distortion".to_string());
    }
    headings.extend(["model".to_string(), "test error %".into()]);
    if published(summary) {
        headings.push("published %".into());
    }
    headings.extend(["n".to_string(), "parameters".into(), "ms / step".into()]);
    if let Some(baseline) = &summary.baseline {
        headings.push(format!("× {baseline}"));
    }
    headings
}

fn cells(summary: &Summary, row: &Row) -> Vec<String> {
    let mut cells = Vec::new();
    if several(summary) {
        cells.push(summary.distortions[row.distortion].clone());
    }
    cells.extend([summary.series[row.series].label.clone(), error(row)]);
    if published(summary) {
        cells.push(row.published.map_or(NOTHING.into(), |percent| format!("{percent}")));
    }
    let or_nothing = |text: Option<String>| text.unwrap_or(NOTHING.into());
    cells.extend([row.trials.len().to_string(), or_nothing(row.parameters.map(thousands)), or_nothing(row.step_ms.map(milliseconds))]);
    if summary.baseline.is_some() {
        cells.push(or_nothing(row.ratio.map(|ratio| format!("{ratio:.2}"))));
    }
    cells
}

fn notes(summary: &Summary) -> Vec<String> {
    let mut notes = summary.caption.clone();
    if let [only] = summary.distortions.as_slice() {
        notes.insert(0, format!("Distortion: {only}."));
    }
    if !summary.left_out.is_empty() {
        notes.push("Not in the means above:".into());
        notes.extend(summary.left_out.iter().map(|line| format!("- {line}")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_are_quoted_where_they_must_be() {
        assert_eq!(csv_line(&["a".into(), "b, \"c\"".into(), String::new()]), "a,\"b, \"\"c\"\"\",\n");
    }

    #[test]
    fn times_have_three_figures() {
        assert_eq!([1.234, 12.34, 123.4, 1234.0].map(milliseconds), ["1.23", "12.3", "123", "1234"]);
    }
}
