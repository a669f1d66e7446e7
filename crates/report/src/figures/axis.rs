//! Scales: where a number lies along an axis, and the round numbers that stand beside it.

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

    /// Where `value` lies, 0 at the lower end and 1 at the upper; beyond them outside.
    pub fn share(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value.max(self.least * 1e-6) / self.least).ln() / (self.greatest / self.least).ln()
        } else {
            (value - self.least) / (self.greatest - self.least)
        }
    }
}

/// The least of 1, 2, 2.5, 5 times a power of ten that is not below `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// A number with as many decimals as ticks `step` apart need: "0.5", "20", "1,500", "50k".
fn label(value: f64, step: f64) -> String {
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
