//! The table of test errors: for a terminal, as Markdown, LaTeX and CSV.

use std::collections::{BTreeMap, BTreeSet};

use crate::crosstab::{Cell, Crosstab, Line, Rank, SIGNIFICANT};
use crate::page::markup;
use crate::statistics::Width;
use crate::summary::{Summary, median, thousands};
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// Rules above, below and under the headings, as tables in papers have them (a preset of comfy-table's).
const RULES: &str = "  ── ──      ──    ";
/// What stands for a number that is not there.
const NOTHING: &str = "–";

/// The most lines on a terminal.
const MOST_LINES: usize = 200;

/// What tables are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Terminal,
    /// Markdown.
    Markdown,
    /// LaTeX.
    Latex,
    /// HTML.
    Html,
}

/// The table with caption and notes for a terminal of `columns` columns.
pub fn terminal(summary: &Summary, crosstab: &Crosstab, columns: u16) -> String {
    let mut table = Table::new();
    table.load_preset(RULES).set_content_arrangement(ContentArrangement::Dynamic).set_width(columns.max(40)).force_no_tty();
    let layout = Layout::new(summary, crosstab, Format::Terminal);
    table.set_header(layout.headings());
    let mut previous = None;
    for line in crosstab.lines.iter().take(MOST_LINES) {
        let mut cells = layout.cells(line);
        let outer = (line.names.len() > 1).then(|| cells[0].clone());
        if outer.is_some() && outer == previous {
            cells[0].clear();
        }
        previous = outer;
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(crosstab.headings.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{}\n{table}\n", summary.experiment);
    if crosstab.lines.len() > MOST_LINES {
        text += &format!("The first {MOST_LINES} of {} lines; all are in table.md and table.csv.\n", thousands(crosstab.lines.len() as i64));
    }
    for line in layout.notes() {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The table as a page of Markdown.
pub fn markdown(summary: &Summary, crosstab: &Crosstab) -> String {
    let escape = |cell: &String| cell.replace('|', "\\|").replace('<', "&lt;");
    let line = |cells: Vec<String>| format!("| {} |\n", cells.iter().map(escape).collect::<Vec<_>>().join(" | "));
    let layout = Layout::new(summary, crosstab, Format::Markdown);
    let headings = layout.headings();
    let marks = (0..headings.len()).map(|i| if i < crosstab.headings.len() { "---".to_string() } else { "--:".to_string() }).collect();
    let mut text = format!("# {}\n\n{}{}", summary.experiment, line(headings), line(marks));
    for cells in &crosstab.lines {
        text.push_str(&line(layout.cells(cells)));
    }
    text.push('\n');
    for note in layout.notes() {
        text.push_str(&note);
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The table for a paper in LaTeX, with the rules of the package booktabs.
pub fn latex(summary: &Summary, crosstab: &Crosstab) -> String {
    let layout = Layout::new(summary, crosstab, Format::Latex);
    let line = |cells: Vec<String>| format!("    {} \\\\\n", cells.join(" & "));
    let headings = layout.headings();
    let names = crosstab.headings.len();
    let (caption, left_out) = (layout.notes(), &summary.left_out);
    let caption = &caption[..caption.len() - if left_out.is_empty() { 0 } else { left_out.len() + 1 }];
    let mut text = String::from("% \\usepackage{booktabs}\n");
    left_out.iter().for_each(|line| text += &format!("% Not in the means: {}\n", line.replace(['\n', '\r'], " ")));
    text += &format!("\\begin{{table}}\n  \\centering\n  \\caption{{{}}}\n", caption.iter().map(|note| escaped(note)).collect::<Vec<_>>().join(" "));
    text += &format!("  \\begin{{tabular}}{{{}{}}}\n    \\toprule\n", "l".repeat(names), "r".repeat(headings.len() - names));
    text += &line(headings);
    text += "    \\midrule\n";
    crosstab.lines.iter().for_each(|cells| text += &line(layout.cells(cells)));
    text + "    \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
}

/// Text as LaTeX prints it.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{c}"),
            '\\' => "\\textbackslash{}".into(),
            '~' => "\\textasciitilde{}".into(),
            '^' => "\\textasciicircum{}".into(),
            '<' | '>' | '|' => format!("${c}$"),
            '±' => "$\\pm$".into(),
            '×' => "$\\times$".into(),
            '†' => "$^\\dagger$".into(),
            '–' => "--".into(),
            c => c.to_string(),
        })
        .collect()
}

/// The numbers, unrounded; with how they stand in a table to the best of their columns.
pub fn csv(summary: &Summary, crosstab: Option<&Crosstab>) -> String {
    let mut text =
        String::from("distortion,model,variant,n,test_error_percent,standard_deviation,interval_95,published_percent,parameters,step_ms,step_ratio,synthetic");
    text.push_str(if crosstab.is_some() { ",best,p_against_best\n" } else { "\n" });
    let ranks: BTreeMap<_, _> = crosstab.iter().flat_map(|crosstab| crosstab.cells()).map(|cell| ((cell.row.distortion, cell.row.series), cell.rank)).collect();
    for row in &summary.rows {
        let series = &summary.series[row.series];
        let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        let mut fields = vec![
            summary.distortions[row.distortion].clone(),
            series.model.clone(),
            series.variant.clone(),
            row.trials.len().to_string(),
            number(row.error.map(|e| e.mean)),
            number(row.error.and_then(|e| e.deviation)),
            number(row.error.and_then(|e| e.width(Width::Interval))),
            number(row.published),
            row.parameters.map(|p| p.to_string()).unwrap_or_default(),
            number(row.step_ms),
            number(row.ratio),
            summary.synthetic.to_string(),
        ];
        if crosstab.is_some() {
            let rank = ranks.get(&(row.distortion, row.series)).copied();
            fields.push((rank == Some(Rank::Best)).to_string());
            fields.push(number(if let Some(Rank::Behind(p)) = rank { Some(p) } else { None }));
        }
        text.push_str(&csv_line(&fields));
    }
    text
}

/// Fields as one line of CSV (RFC 4180), quoted where they must be.
pub fn csv_line(fields: &[String]) -> String {
    let quote = |field: &String| if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() };
    fields.iter().map(quote).collect::<Vec<_>>().join(",") + "\n"
}

/// Three figures of a time in ms.
fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 100.0 => format!("{ms:.0}"),
        ms if ms >= 10.0 => format!("{ms:.1}"),
        ms => format!("{ms:.2}"),
    }
}

/// Which columns a table has, and how its cells are written.
pub struct Layout<'a> {
    summary: &'a Summary,
    crosstab: &'a Crosstab<'a>,
    format: Format,
    published: bool,
    /// How many seeds every cell has, where all have as many.
    n: Option<usize>,
}

impl<'a> Layout<'a> {
    /// The layout of a crosstab.
    pub fn new(summary: &'a Summary, crosstab: &'a Crosstab<'a>, format: Format) -> Self {
        let counts: BTreeSet<usize> = summary.rows.iter().map(|row| row.trials.len()).collect();
        let published = summary.rows.iter().any(|row| row.published.is_some());
        Self { summary, crosstab, format, published, n: counts.first().copied().filter(|_| counts.len() == 1) }
    }

    /// A text as the format writes it.
    fn text(&self, text: &str) -> String {
        match self.format {
            Format::Latex => escaped(text),
            Format::Html => markup::escaped(text),
            _ => text.to_string(),
        }
    }

    /// What stands over the columns.
    pub fn headings(&self) -> Vec<String> {
        let mut headings = self.crosstab.headings.clone();
        if self.crosstab.across() {
            headings.extend(self.crosstab.columns.iter().cloned());
        } else {
            headings.push("test error %".into());
            headings.extend(self.published.then(|| "published %".to_string()));
            headings.push("n".into());
        }
        headings.push("parameters".into());
        headings.extend((!self.crosstab.across()).then(|| "ms / step".to_string()));
        headings.extend(self.summary.baseline.as_ref().map(|baseline| format!("× {baseline}")));
        headings.iter().map(|heading| self.text(heading)).collect()
    }

    /// The cells of a line.
    pub fn cells(&self, line: &Line) -> Vec<String> {
        let rows = || line.cells.iter().flatten().map(|cell| cell.row);
        let or_nothing = |text: Option<String>| text.unwrap_or(NOTHING.into());
        let mut cells: Vec<String> = line.names.iter().map(|name| self.text(name)).collect();
        cells.extend(line.cells.iter().map(|cell| cell.as_ref().map_or(self.text(NOTHING), |cell| self.error(cell))));
        let mut rest = Vec::new();
        if !self.crosstab.across() {
            let published = rows().find_map(|row| row.published).map(|percent| percent.to_string());
            rest.extend(self.published.then(|| or_nothing(published)));
            rest.push(rows().map(|row| row.trials.len()).sum::<usize>().to_string());
        }
        let parameters: BTreeSet<i64> = rows().filter_map(|row| row.parameters).collect();
        rest.push(match (parameters.first(), parameters.last()) {
            (Some(least), Some(most)) if least < most => format!("{}–{}", thousands(*least), thousands(*most)),
            (Some(all), _) => thousands(*all),
            _ => NOTHING.into(),
        });
        rest.extend((!self.crosstab.across()).then(|| or_nothing(rows().find_map(|row| row.step_ms).map(milliseconds))));
        if self.summary.baseline.is_some() {
            rest.push(or_nothing(median(rows().filter_map(|row| row.ratio).collect()).map(|ratio| format!("{ratio:.2}"))));
        }
        cells.extend(rest.iter().map(|cell| self.text(cell)));
        cells
    }

    /// "1.23 ± 0.05", or "1.23" for one seed, with its marks; across also the published error, and how many seeds where that differs.
    fn error(&self, cell: &Cell) -> String {
        let Some(error) = cell.row.error else { return self.text(NOTHING) };
        let mut text = format!("{:.2}", error.mean);
        if let Some(width) = error.width(self.summary.width) {
            text += &format!(" ± {width:.2}");
        }
        text = self.text(&text);
        text = match (cell.rank, self.format) {
            (Rank::Best, Format::Markdown) => format!("**{text}**"),
            (Rank::Best, Format::Latex) => format!("\\textbf{{{text}}}"),
            (Rank::Best, Format::Html) => format!("<strong>{text}</strong>"),
            (Rank::Best, Format::Terminal) => text + "*",
            (rank, _) if rank.tied() => text + &self.text("†"),
            _ => text,
        };
        if self.crosstab.across() {
            text += &cell.row.published.map(|percent| format!(" ({percent})")).unwrap_or_default();
            if self.n.is_none() {
                text += &format!(", n = {}", error.n);
            }
        }
        text
    }

    fn notes(&self) -> Vec<String> {
        let only = match self.summary.distortions.as_slice() {
            [only] => Some(format!("Distortion: {only}.")),
            _ => None,
        };
        let mut notes: Vec<String> = only.into_iter().chain(self.summary.caption.iter().cloned()).chain(self.legend()).collect();
        if !self.summary.left_out.is_empty() {
            notes.push("Not in the means above:".into());
            notes.extend(self.summary.left_out.iter().map(|line| format!("- {line}")));
        }
        notes
    }

    /// What the columns and marks mean.
    pub fn legend(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.crosstab.across() {
            notes.extend(self.n.map(|n| format!("n = {n}{}", if self.published { "; in brackets: published." } else { "." })));
            notes.extend((self.n.is_none() && self.published).then(|| "In brackets: published.".to_string()));
            notes.extend(self.summary.baseline.as_ref().map(|baseline| format!("× {baseline}: time of a step, median over the columns.")));
        }
        if self.crosstab.cells().any(|cell| cell.rank == Rank::Best) {
            let best = if self.format == Format::Terminal { "*: the" } else { "Bold: the" };
            let tied = self.crosstab.cells().any(|cell| cell.rank.tied());
            let ties = format!("; †: not told from it by a paired t-test over the seeds (p > {SIGNIFICANT})");
            notes.push(format!("{best} least mean{}{}.", if self.crosstab.across() { " of its column" } else { "" }, if tied { ties } else { String::new() }));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_are_quoted_where_they_must_be() {
        assert_eq!(csv_line(&["a".into(), "b, \"c\"".into(), String::new()]), "a,\"b, \"\"c\"\"\",\n");
    }

    #[test]
    fn what_latex_would_read_as_commands_is_escaped() {
        assert_eq!(escaped("50 % of a_b & c ± 1 \\ {x}"), "50 \\% of a\\_b \\& c $\\pm$ 1 \\textbackslash{} \\{x\\}");
    }

    #[test]
    fn times_have_three_figures() {
        assert_eq!([1.234, 12.34, 123.4, 1234.0].map(milliseconds), ["1.23", "12.3", "123", "1234"]);
    }
}
