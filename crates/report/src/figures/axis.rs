//! Scales: where a number lies along an axis, and the round numbers that stand beside it.

use crate::style::Type;
use crate::summary::thousands;

/// A linear or logarithmic scale with its ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    least: f64,
    greatest: f64,
    logarithmic: bool,
    /// Values and labels.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear scale over `least..greatest`, widened to round numbers where `widen` says so, with about `count` ticks.
    pub fn linear(least: f64, greatest: f64, count: usize, widen: bool) -> Self {
        let span = if greatest > least { greatest - least } else { greatest.abs().max(1.0) };
        let step = round_step(span / count.max(1) as f64);
        let (mut least, mut greatest) = (least, least + span);
        if widen {
            (least, greatest) = ((least / step + 1e-9).floor() * step, (greatest / step - 1e-9).ceil() * step);
        }
        let (first, last) = ((least / step - 1e-9).ceil() as i64, (greatest / step + 1e-9).floor() as i64);
        let ticks = (first..=last).map(|i| i as f64 * step).map(|value| (value, label(value, step))).collect();
        Self { least, greatest, logarithmic: false, ticks }
    }

    /// A logarithmic scale over positive numbers, a little wider than they are.
    pub fn logarithmic(least: f64, greatest: f64) -> Self {
        let (least, greatest) = (least / 1.12, greatest.max(least * 1.5) * 1.12);
        let decades = (greatest / least).log10();
        let leading: &[f64] = match decades {
            d if d < 0.8 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            d if d < 2.6 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let mut ticks = Vec::new();
        for power in (least.log10().floor() as i32)..=(greatest.log10().ceil() as i32) {
            for &digit in leading {
                let value = digit * 10f64.powi(power);
                if (least..=greatest).contains(&value) {
                    ticks.push((value, label(value, value)));
                }
            }
        }
        Self { least, greatest, logarithmic: true, ticks }
    }

    /// A scale without ticks, for what has names instead of numbers.
    pub fn nothing() -> Self {
        Self { least: 0.0, greatest: 1.0, logarithmic: false, ticks: Vec::new() }
    }

    /// A scale for errors: logarithmic where they span more than a factor of eight.
    pub fn of_errors(errors: impl Iterator<Item = f64>) -> Self {
        let errors: Vec<f64> = errors.filter(|error| error.is_finite()).collect();
        let greatest = errors.iter().copied().fold(0.0, f64::max);
        let least = errors.into_iter().filter(|error| *error > 0.0).fold(greatest, f64::min);
        if least > 0.0 && greatest / least > 8.0 { Self::logarithmic(least, greatest) } else { Self::linear(0.0, greatest, 5, true) }
    }

    /// A scale for numbers that stand for themselves, such as the values of a swept key: logarithmic where all are positive and span more than a factor of eight,
    /// with a tick at each that `room` mm have room for.
    pub fn of_values(values: &[f64], room: f64) -> Self {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let (least, greatest) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let logarithmic = least > 0.0 && greatest / least > 8.0;
        let margin = if greatest > least { 0.05 * (greatest - least) } else { least.abs().max(1.0) / 2.0 };
        let mut axis = if logarithmic { Self::logarithmic(least, greatest) } else { Self::linear(least - margin, greatest + margin, 4, false) };
        let round = std::mem::take(&mut axis.ticks);
        let mut used = f64::NEG_INFINITY;
        let mut sorted: Vec<f64> = finite().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        // Of drawn numbers, which nobody chose, round ones near them.
        if sorted.iter().any(|value| plain(*value).len() > 6) {
            axis.ticks = round;
            return axis;
        }
        for value in sorted {
            let (text, at) = (plain(value), axis.share(value) * room);
            let half = Type::SMALL.width(&text) / 2.0;
            if at - half > used {
                used = at + half + 1.2;
                axis.ticks.push((value, text));
            }
        }
        axis
    }

    /// Where `value` lies, 0 at the lower end and 1 at the upper; beyond them outside.
    pub fn share(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value.max(self.least * 1e-6) / self.least).ln() / (self.greatest / self.least).ln()
        } else {
            (value - self.least) / (self.greatest - self.least)
        }
    }
}

/// A number as short as says it: "0.001", "1e-5", "64".
pub fn plain(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-3..1e6).contains(&size) { format!("{value:e}") } else { value.to_string() }
}

/// The least of 1, 2, 2.5, 5 times a power of ten that is not below `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// A number with as many decimals as ticks `step` apart need: "0.5", "20", "1,500", "50k".
fn label(value: f64, step: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 {
        return plain(format!("{value:.2e}").parse().unwrap_or(value));
    }
    if value >= 10_000.0 && (value / 1000.0).fract().abs() < 1e-9 {
        return format!("{}k", thousands((value / 1000.0).round() as i64));
    }
    let decimals = (0..6).find(|&d| ((step * 10f64.powi(d)).round() - step * 10f64.powi(d)).abs() < 1e-6).unwrap_or(6) as usize;
    if decimals == 0 { thousands(value.round() as i64) } else { format!("{value:.decimals$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::linear(0.0, 1.3, 5, true)), ["0.0", "0.5", "1.0", "1.5"]);
        assert_eq!(labels(&Axis::linear(0.0, 150_000.0, 4, false)), ["0", "50k", "100k", "150k"]);
        assert_eq!(labels(&Axis::linear(0.0, 1200.0, 4, false)), ["0", "500", "1,000"]);
    }

    #[test]
    fn logarithmic_ticks_stay_within_the_range() {
        assert_eq!(labels(&Axis::logarithmic(0.9, 60.0)), ["1", "2", "5", "10", "20", "50"]);
        assert_eq!(labels(&Axis::logarithmic(0.02, 90.0)), ["0.1", "1", "10", "100"]);
    }

    #[test]
    fn swept_values_have_the_ticks_that_there_is_room_for() {
        assert_eq!(labels(&Axis::of_values(&[0.1, 1e-4, 0.01, 0.001, 0.1], 60.0)), ["1e-4", "0.001", "0.01", "0.1"]);
        assert_eq!(labels(&Axis::of_values(&[64.0, 128.0, 65.0], 60.0)), ["64", "128"]);
        assert_eq!(labels(&Axis::of_values(&[3.0, f64::NAN], 60.0)), ["3"]);
        assert_eq!(labels(&Axis::of_values(&[0.123456789, 0.987654321], 60.0)), ["0.2", "0.5", "1"]);
    }

    #[test]
    fn errors_that_span_much_are_on_a_logarithmic_scale() {
        assert_eq!(labels(&Axis::of_errors([0.0, 1.0, 3.0].into_iter()))[0], "0");
        assert_eq!(labels(&Axis::of_errors([1.0, 90.0, f64::NAN].into_iter()))[0], "1");
        assert!(!Axis::of_errors(std::iter::empty()).ticks.is_empty());
    }

    #[test]
    fn a_range_of_nothing_still_has_an_axis() {
        for axis in [Axis::linear(0.0, 0.0, 5, true), Axis::linear(3.0, 3.0, 5, true), Axis::logarithmic(2.0, 2.0)] {
            assert!(!axis.ticks.is_empty() && axis.share(3.0).is_finite(), "{axis:?}");
        }
    }

    #[test]
    fn shares_run_from_nothing_to_all() {
        let axis = Axis::linear(0.0, 10.0, 5, true);
        assert_eq!([0.0, 5.0, 10.0].map(|v| axis.share(v)), [0.0, 0.5, 1.0]);
        let axis = Axis::logarithmic(1.0, 100.0);
        assert!((axis.share(10.0) - 0.5).abs() < 1e-12);
    }
}
