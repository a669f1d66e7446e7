//! The parts of the page that are text: what was run, its table, where it ran and on what, the files beside it.

use super::facts::{COLUMNS, Facts};
use crate::crosstab::{Crosstab, Rank};
use crate::error::count;
use crate::query::{Store, Trial};
use crate::summary::{Summary, median, thousands};
use crate::table::{Format, Layout};
use std::collections::BTreeMap;

/// Columns of facts that differ from trial to trial by nature: their range is shown.
const RANGES: [&str; 4] = ["started", "wall_seconds", "data_wait_ms", "peak_memory_bytes"];
/// Most trials named beside a value.
const NAMED: usize = 3;

/// Text as HTML shows it, in elements and in quoted attributes.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// What was run, how it ended, and what came out best.
pub fn overview(summary: &Summary, crosstab: &Crosstab, store: &Store) -> String {
    let mut text = format!("<p class=\"count\">{}</p>\n", escaped(&ended(store)));
    if summary.synthetic {
        text += "<p class=\"synthetic\"><strong>Synthetic data:</strong> the images are made up, so nothing here compares with published numbers.</p>\n";
    }
    if let [only] = summary.distortions.as_slice() {
        text += &format!("<p>Distortion: {}.</p>\n", escaped(only));
    }
    summary.caption.iter().for_each(|line| text += &format!("<p>{}</p>\n", escaped(line)));
    let best = best(summary, crosstab);
    if !best.is_empty() {
        text += &format!("<h3>Least test error</h3>\n<ul class=\"best\">{best}</ul>\n");
    }
    if !summary.left_out.is_empty() {
        let lines: String = summary.left_out.iter().map(|line| format!("<li>{}</li>", escaped(line))).collect();
        text += &format!("<details><summary>Not in the means: {}</summary><ul>{lines}</ul></details>\n", count(left_out(summary, store), "trial"));
    }
    text
}

/// How many trials are in no mean.
fn left_out(summary: &Summary, store: &Store) -> usize {
    let averaged: usize = summary.rows.iter().map(|row| row.trials.len()).sum();
    (store.trials.len() + store.unfinished.len()).saturating_sub(averaged)
}

/// "96 trials: 37 done, 59 not finished".
fn ended(store: &Store) -> String {
    let mut ways: BTreeMap<&str, usize> = BTreeMap::new();
    for trial in &store.trials {
        *ways.entry(trial.status.split(':').next().unwrap_or_default()).or_default() += 1;
    }
    let done = ways.remove("done").map(|n| format!("{} done", thousands(n as i64)));
    let mut parts: Vec<String> = done.into_iter().chain(ways.iter().map(|(way, n)| format!("{n} {way}"))).collect();
    if !store.unfinished.is_empty() {
        parts.push(format!("{} not finished", thousands(store.unfinished.len() as i64)));
    }
    let all = store.trials.len() + store.unfinished.len();
    format!("{} {}: {}", thousands(all as i64), if all == 1 { "trial" } else { "trials" }, parts.join(", "))
}

/// The best line of each column.
fn best(summary: &Summary, crosstab: &Crosstab) -> String {
    let mut text = String::new();
    for (column, name) in crosstab.columns.iter().enumerate() {
        let best = crosstab.lines.iter().filter_map(|line| Some((line, line.cells[column].as_ref().filter(|cell| cell.rank == Rank::Best)?)));
        for (line, cell) in best {
            let Some(error) = cell.row.error else { continue };
            let place = if name.is_empty() { String::new() } else { format!("{}: ", escaped(name)) };
            let width = error.width(summary.width).map(|width| format!(" ± {width:.2}")).unwrap_or_default();
            let published = cell.row.published.map(|percent| format!(", published {percent} %")).unwrap_or_default();
            let label = escaped(&line.names.join(", "));
            text += &format!("<li>{place}<strong>{label}</strong>, {:.2}{width} % (n = {}{published})</li>", error.mean, error.n);
        }
    }
    text
}

/// The table of test errors, and what its marks mean.
pub fn table(summary: &Summary, crosstab: &Crosstab) -> String {
    let layout = Layout::new(summary, crosstab, Format::Html);
    let names = crosstab.headings.len();
    let heading = |(i, heading): (usize, &String)| format!("<th scope=\"col\"{}>{heading}</th>", if i < names { "" } else { " class=\"number\"" });
    let head: String = layout.headings().iter().enumerate().map(heading).collect();
    let mut body = String::new();
    for line in &crosstab.lines {
        let trials: Vec<String> = line.cells.iter().flatten().flat_map(|cell| &cell.row.trials).map(ToString::to_string).collect();
        let cells = layout.cells(line);
        let cell = |(i, cell): (usize, &String)| match i {
            0 => format!("<th scope=\"row\">{cell}</th>"),
            i if i < names => format!("<td>{cell}</td>"),
            _ => format!("<td class=\"number\">{cell}</td>"),
        };
        body += &format!("<tr data-trials=\"{}\">{}</tr>\n", trials.join(" "), cells.iter().enumerate().map(cell).collect::<String>());
    }
    let notes: String = layout.legend().iter().map(|note| format!("<p class=\"note\">{}</p>\n", escaped(note))).collect();
    format!(
        "<div class=\"scroll tall\" tabindex=\"0\" role=\"region\" aria-label=\"Test errors\"><table id=\"results-table\">\n<caption>Test error in percent</caption>\n\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n{notes}"
    )
}

/// Where the trials ran and on what: what they share, and who differs.
pub fn environment(facts: &Facts, store: &Store) -> String {
    let mut body = String::new();
    for (column, (name, words)) in COLUMNS.iter().enumerate() {
        let mut values: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (trial, texts) in facts.texts.iter().enumerate() {
            if let Some(text) = &texts[column] {
                values.entry(text).or_default().push(trial);
            }
        }
        if RANGES.contains(name) && values.len() > 1 {
            body += &line(words, &range(name, &values), "all");
            continue;
        }
        let known: usize = values.values().map(Vec::len).sum();
        for (i, (value, trials)) in values.iter().enumerate() {
            let words = if i == 0 { words } else { "" };
            let who = if values.len() == 1 && known == store.trials.len() { "all".to_string() } else { who(trials, store) };
            body += &line(words, value, &who);
        }
    }
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Environment and data\"><table class=\"plain\">\n\
         <thead><tr><th scope=\"col\">fact</th><th scope=\"col\">value</th><th scope=\"col\">trials</th></tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )
}

fn line(words: &str, value: &str, who: &str) -> String {
    let first = if words.is_empty() { "<td></td>".to_string() } else { format!("<th scope=\"row\">{words}</th>") };
    format!("<tr>{first}<td class=\"text\">{}</td><td>{}</td></tr>\n", escaped(value), escaped(who))
}

/// From the least value to the greatest, with the one in the middle where they are numbers.
fn range(name: &str, values: &BTreeMap<&str, Vec<usize>>) -> String {
    let numbers: Vec<f64> = values.iter().flat_map(|(value, trials)| trials.iter().filter_map(|_| value.parse().ok())).collect();
    let shown = |value: f64| if name == "peak_memory_bytes" { thousands(value as i64) } else { format!("{value:.1}") };
    match (median(numbers.clone()), values.first_key_value(), values.last_key_value()) {
        (Some(middle), _, _) => {
            let (least, most) = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &v| (v.min(least), v.max(most)));
            format!("{} to {}, median {}", shown(least), shown(most), shown(middle))
        }
        (None, Some((first, _)), Some((last, _))) => format!("{first} to {last}"),
        _ => String::new(),
    }
}

/// "2 of 24: CNN on R, seed 0; ...".
fn who(trials: &[usize], store: &Store) -> String {
    let name = |trial: &Trial| {
        let variant = if trial.variant.is_empty() { String::new() } else { format!(", {}", trial.variant) };
        format!("{}{variant} on {}, seed {}", trial.label, trial.distortion, trial.seed)
    };
    let named: Vec<String> = trials.iter().take(NAMED).map(|&i| name(&store.trials[i])).collect();
    let more = trials.len().saturating_sub(NAMED);
    let tail = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("{} of {}: {}{tail}", trials.len(), store.trials.len(), named.join("; "))
}

/// Links to the files that stand beside the page, a line for each name.
pub fn files(names: &[String]) -> String {
    let mut stems: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (stem, ending) in names.iter().filter_map(|name| name.rsplit_once('.')) {
        stems.entry(stem).or_default().push(ending);
    }
    let link = |stem: &str, ending: &str| {
        let (stem, ending) = (escaped(stem), escaped(ending));
        format!("<a href=\"{stem}.{ending}\" aria-label=\"{stem} as {ending}\">{ending}</a>")
    };
    let line = |(stem, endings): (&str, Vec<&str>)| {
        let links: Vec<String> = endings.into_iter().map(|ending| link(stem, ending)).collect();
        format!("<li><span>{}</span> {}</li>\n", escaped(stem), links.join(" "))
    };
    format!("<ul class=\"files\">\n{}</ul>\n", stems.into_iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_text_is_text() {
        assert_eq!(escaped("</script><img onerror='x' src=\"&\">"), "&lt;/script&gt;&lt;img onerror=&#39;x&#39; src=&quot;&amp;&quot;&gt;");
    }

    #[test]
    fn files_are_linked_by_name_with_all_their_endings() {
        let html = files(&["table.md".into(), "a.svg".into(), "a.csv".into()]);
        assert_eq!(
            html,
            "<ul class=\"files\">\n<li><span>a</span> <a href=\"a.svg\" aria-label=\"a as svg\">svg</a> <a href=\"a.csv\" aria-label=\"a as csv\">csv</a></li>\n\
             <li><span>table</span> <a href=\"table.md\" aria-label=\"table as md\">md</a></li>\n</ul>\n"
        );
    }
}
