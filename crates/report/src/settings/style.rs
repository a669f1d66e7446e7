//! The keys of `[report.style]`, which are also those of a style's file.

use super::wrong_type;
use crate::style::{PALETTE, Style};
use plotters::style::RGBColor;
use stn_core::Fault;
use toml::{Table, Value};

const KEYS: [&str; 5] = ["column_width_mm", "columns", "font_size_pt", "palette", "text_width_mm"];
/// What may stand in `palette` besides a list.
const PALETTES: [&str; 3] = ["bright", "default", "grey"];
/// Paul Tol's "bright" scheme.
const BRIGHT: [u32; 7] = [0x4477AA, 0xEE6677, 0x228833, 0xCCBB44, 0x66CCEE, 0xAA3377, 0xBBBBBB];
/// For journals that print in black.
const GREYS: [u32; 4] = [0x000000, 0x707070, 0x404040, 0xA0A0A0];
/// Widths of figures, mm.
const WIDTHS: std::ops::RangeInclusive<f64> = 40.0..=420.0;
/// Sizes of type, points.
const SIZES: std::ops::RangeInclusive<f64> = 4.0..=24.0;
/// The least room that a figure needs for type of the usual size, mm.
const LEAST: f64 = 60.0;

/// Reads a table of style keys at `path` over `style`.
pub fn read(style: &mut Style, table: &Table, path: &[&str], faults: &mut Vec<Fault>) {
    let before = faults.len();
    for (key, value) in table {
        let here: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
        match key.as_str() {
            "columns" => match value.as_integer() {
                Some(columns @ (1 | 2)) => style.columns = columns as u8,
                _ => faults.push(Fault::at(here, format!("expected 1 or 2, found {value}"))),
            },
            "column_width_mm" => style.column_width = number(style.column_width, value, &here, (&WIDTHS, "a width in mm"), faults),
            "text_width_mm" => style.text_width = number(style.text_width, value, &here, (&WIDTHS, "a width in mm"), faults),
            "font_size_pt" => style.font_size = number(style.font_size, value, &here, (&SIZES, "a size in points"), faults),
            "palette" => style.palette = palette(value, &here, faults).unwrap_or_else(|| style.palette.clone()),
            _ => faults.push(Fault::unknown(here, "key", key, &KEYS)),
        }
    }
    if faults.len() == before && style.width() < LEAST {
        let (key, width) = if style.columns == 1 { ("column_width_mm", style.column_width) } else { ("text_width_mm", style.text_width) };
        let least = LEAST * style.enlargement();
        let what = format!("{width} mm have no room for a figure with type of {} pt, which needs {least:.0} mm", style.font_size);
        let here = path.iter().copied().chain([key]);
        faults.push(Fault::at(here, what).help("make `font_size_pt` smaller or the figure wider"));
    }
}

fn number(old: f64, value: &Value, path: &[&str], (range, what): (&std::ops::RangeInclusive<f64>, &str), faults: &mut Vec<Fault>) -> f64 {
    match value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64)) {
        Some(number) if range.contains(&number) => return number,
        Some(other) => faults.push(Fault::at(path.iter().copied(), format!("expected {what}, {} to {}, not {other}", range.start(), range.end()))),
        None => faults.push(wrong_type(path.iter().copied(), value, what)),
    }
    old
}

fn palette(value: &Value, path: &[&str], faults: &mut Vec<Fault>) -> Option<Vec<RGBColor>> {
    let of = |colours: &[u32]| Some(colours.iter().map(|&colour| rgb(colour)).collect());
    match value {
        Value::String(name) => match name.as_str() {
            "bright" => return of(&BRIGHT),
            "default" => return Some(PALETTE.to_vec()),
            "grey" => return of(&GREYS),
            _ => faults.push(Fault::unknown(path.iter().copied(), "palette", name, &PALETTES)),
        },
        Value::Array(colours) if !colours.is_empty() => {
            let read: Option<Vec<RGBColor>> = colours.iter().map(|colour| hexadecimal(colour.as_str()?)).collect();
            if read.is_some() {
                return read;
            }
            let wrong = colours.iter().find(|colour| colour.as_str().and_then(hexadecimal).is_none()).map(ToString::to_string).unwrap_or_default();
            faults.push(Fault::at(path.iter().copied(), format!("expected colours such as \"#0072B2\", found {wrong}")));
        }
        Value::Array(_) => faults.push(Fault::at(path.iter().copied(), "expected colours such as \"#0072B2\", found an empty list")),
        other => faults.push(wrong_type(path.iter().copied(), other, "a list of colours such as \"#0072B2\", or the name of a palette")),
    }
    None
}

/// "#RRGGBB".
fn hexadecimal(text: &str) -> Option<RGBColor> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok().map(rgb)
}

fn rgb(colour: u32) -> RGBColor {
    let [_, r, g, b] = colour.to_be_bytes();
    RGBColor(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn styled(text: &str) -> (Style, String) {
        let (mut style, mut faults) = (Style::default(), Vec::new());
        read(&mut style, &text.parse().unwrap(), &["report", "style"], &mut faults);
        (style, faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn every_key_is_read() {
        let (style, faults) = styled("columns = 1\ncolumn_width_mm = 84\ntext_width_mm = 174.5\nfont_size_pt = 6\npalette = ['#0072b2', '#FFffFF']");
        let palette = vec![rgb(0x0072B2), rgb(0xFFFFFF)];
        assert_eq!((style, faults.as_str()), (Style { columns: 1, column_width: 84.0, text_width: 174.5, font_size: 6.0, palette }, ""));
        for (name, first) in [("grey", 0), ("bright", 0x4477AA), ("default", 0x0072B2)] {
            assert_eq!(styled(&format!("palette = '{name}'")).0.palette[0], rgb(first));
        }
    }

    #[test]
    fn every_mistake_is_told_with_what_may_stand_there() {
        let wrong = "columns = 3\ncolumn_width_mm = 'wide'\ntext_width_mm = 4000\nfont_size_pt = nan\npalette = 'gray'\ncolor = 1";
        insta::assert_snapshot!(styled(wrong).1);
        insta::assert_snapshot!(["palette = []", "palette = ['#00', '#0072B2']", "palette = 3", "columns = '1'"].map(|text| styled(text).1).join("\n"));
    }

    #[test]
    fn type_that_leaves_no_room_for_a_figure_is_a_mistake() {
        insta::assert_snapshot!(["columns = 1\nfont_size_pt = 12", "text_width_mm = 50"].map(|text| styled(text).1).join("\n"));
    }
}
