//! The colours of the models, as the figures have them, in CSS: on paper, and lighter in the dark.

use crate::style::Style;
use plotters::style::RGBColor;

/// What the page's style has as its ground in the dark.
const GROUND: RGBColor = RGBColor(0x16, 0x18, 0x1b);
/// The contrast with it that a line needs at least (WCAG 2.2 asks for 3).
const CONTRAST: f64 = 4.5;

/// `--p0`, `--p1` ... for what stands on white, `--s0`, `--s1` ... for what stands on the page.
pub fn css(style: &Style) -> String {
    let declared = |kind: char, of: &dyn Fn(RGBColor) -> RGBColor| {
        let one = |(i, colour): (usize, &RGBColor)| {
            let RGBColor(r, g, b) = of(*colour);
            format!("  --{kind}{i}: #{r:02x}{g:02x}{b:02x};\n")
        };
        style.palette.iter().enumerate().map(one).collect::<String>()
    };
    let (paper, page, dark) = (declared('p', &|colour| colour), declared('s', &|colour| colour), declared('s', &lightened));
    format!(":root {{\n{paper}{page}}}\n@media (prefers-color-scheme: dark) {{\n:root {{\n{dark}}}\n}}\n")
}

/// A colour with as much white as it needs to stand out in the dark.
fn lightened(colour: RGBColor) -> RGBColor {
    let mixed = |twentieths: u32| {
        let mix = |c: u8| ((u32::from(c) * (20 - twentieths) + 255 * twentieths + 10) / 20) as u8;
        RGBColor(mix(colour.0), mix(colour.1), mix(colour.2))
    };
    (0..20).map(mixed).find(|light| contrast(*light, GROUND) >= CONTRAST).unwrap_or(RGBColor(255, 255, 255))
}

/// The contrast of two colours as WCAG has it: 1 to 21.
fn contrast(a: RGBColor, b: RGBColor) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(RGBColor(r, g, b): RGBColor) -> f64 {
    let linear = |c: u8| {
        let share = f64::from(c) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_wcag() {
        assert_eq!(contrast(RGBColor(0, 0, 0), RGBColor(255, 255, 255)), 21.0);
        assert!((contrast(RGBColor(0x77, 0x77, 0x77), RGBColor(255, 255, 255)) - 4.48).abs() < 0.005);
    }

    #[test]
    fn every_colour_stands_out_in_the_dark_and_bright_ones_stay() {
        for colour in Style::default().palette {
            assert!(contrast(lightened(colour), GROUND) >= CONTRAST, "{colour:?}");
        }
        assert_eq!(lightened(RGBColor(0xE6, 0x9F, 0x00)), RGBColor(0xE6, 0x9F, 0x00));
    }

    #[test]
    fn the_ground_is_that_of_the_style() {
        assert!(super::super::STYLE.contains("--paper: #16181b"));
    }
}
