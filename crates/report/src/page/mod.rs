//! `index.html`: one page to look around in, whole in itself.
//!
//! Style, script and data stand in the page, so it opens from a folder and asks for nothing: its Content-Security-Policy allows no address, and no script or style but
//! these two, by their hashes. All text from outside is escaped here, or put into the page as text by the script.

mod confusion;
mod curves;
mod data;
mod facts;
pub mod markup;
mod montage;
mod palette;
mod pictures;

use crate::crosstab::Crosstab;
use crate::png::base64;
use crate::query::{Measurement, Store};
use crate::style::Style;
use crate::summary::Summary;
use sha2::{Digest, Sha256};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// The script in its parts. They share one scope and only declare, up to the last.
const SCRIPT: [&str; 12] = [
    include_str!("dom.js"),
    include_str!("filter.js"),
    include_str!("table.js"),
    include_str!("trials.js"),
    include_str!("axis.js"),
    include_str!("lines.js"),
    include_str!("curves.js"),
    include_str!("hover.js"),
    include_str!("montage.js"),
    include_str!("confusion.js"),
    include_str!("configurations.js"),
    include_str!("main.js"),
];

/// Makes the page. `files` are the names of those that the report writes beside it. What cannot be read is left out: the store names it already.
pub fn html(summary: &Summary, crosstab: &Crosstab, store: &Store, measurements: &[Measurement], files: &[String], style: &Style) -> String {
    let facts = facts::gather(store);
    let mut data = data::json(summary, store, measurements, &facts);
    data["colours"] = style.palette.len().into();
    data["montage"] = montage::gather(summary, store).json();
    data["confusion"] = confusion::json(summary, store);
    let style = [palette::css(style), STYLE.to_string()].concat();
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", SCRIPT.concat());
    let policy =
        format!("default-src 'none'; img-src data:; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'", hash(&script), hash(&style));
    fill(
        TEMPLATE,
        &[
            ("policy", &policy),
            ("style", &style),
            ("title", &markup::escaped(&summary.experiment)),
            ("overview", &markup::overview(summary, crosstab, store)),
            ("table", &markup::table(summary, crosstab)),
            ("environment", &markup::environment(&facts, store)),
            ("files", &markup::files(files)),
            // A script element ends at the first `</script`, wherever it stands.
            ("data", &data.to_string().replace('<', "\\u003c")),
            ("script", &script),
        ],
    )
}

/// How a Content-Security-Policy names a text.
fn hash(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text)))
}

/// Puts values in the places of `{{name}}`, in one pass: a value that looks like a place stays as it is.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut pieces = template.split("{{");
    let mut text = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        text.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_place_stays_as_it_is() {
        assert_eq!(fill("<{{a}}|{{b}}>", &[("a", "{{b}}"), ("b", "x")]), "<{{b}}|x>");
    }

    #[test]
    fn every_place_of_the_template_is_filled() {
        let places: Vec<&str> = TEMPLATE.split("{{").skip(1).filter_map(|piece| Some(piece.split_once("}}")?.0)).collect();
        assert_eq!(places, ["policy", "title", "style", "title", "overview", "table", "environment", "files", "data", "script"]);
    }

    #[test]
    fn the_script_writes_text_and_no_markup() {
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "XMLHttpRequest", "import("] {
            assert!(!SCRIPT.concat().contains(forbidden), "{forbidden}");
        }
    }
}
