//! Numbers over seeds summed up and compared.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The share of intervals that hold the mean they are for.
const CONFIDENCE: f64 = 0.95;

/// Numbers summed up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// How many.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the sample (n - 1); `None` for one number.
    pub deviation: Option<f64>,
    /// Least.
    pub least: f64,
    /// Greatest.
    pub greatest: f64,
}

/// What stands behind a mean, and is drawn around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Width {
    /// The standard deviation of the sample.
    #[default]
    Deviation,
    /// Half of the 95 % interval of the mean, by Student's t.
    Interval,
}

impl Spread {
    /// Sums up numbers; `None` where there are none or one is not finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let (least, greatest) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, g), &v| (l.min(v), g.max(v)));
        Some(Self { n: values.len(), mean, deviation: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()), least, greatest })
    }

    /// What stands behind the mean; `None` for one number.
    pub fn width(&self, width: Width) -> Option<f64> {
        match width {
            Width::Deviation => self.deviation,
            Width::Interval => Some(self.deviation? / (self.n as f64).sqrt() * students_t(self.n - 1)?.inverse_cdf((1.0 + CONFIDENCE) / 2.0)),
        }
    }
}

impl Width {
    /// "standard deviation" or "95 % interval of the mean".
    pub fn name(self) -> &'static str {
        match self {
            Self::Deviation => "standard deviation",
            Self::Interval => "95 % interval of the mean (Student's t)",
        }
    }
}

/// The number that `share` of the sorted `values` do not exceed, between neighbours in proportion (as NumPy does); NaN where there are none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let at = share * last as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    values[below] + (values[above] - values[below]) * at.fract()
}

/// Student's paired test: how probable differences `a[i] - b[i]` at least as far from zero as these are, were their mean zero. `None` for fewer than two pairs.
pub fn paired_test(a: &[f64], b: &[f64]) -> Option<f64> {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let spread = Spread::of(&differences)?;
    let error = spread.deviation? / (spread.n as f64).sqrt();
    if error == 0.0 {
        return Some(if spread.mean == 0.0 { 1.0 } else { 0.0 });
    }
    Some(2.0 * students_t(spread.n - 1)?.sf((spread.mean / error).abs()))
}

fn students_t(freedom: usize) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, freedom as f64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-9 * b.abs().max(1e-3))
    }

    #[test]
    fn quantiles_lie_between_neighbours_in_proportion() {
        // numpy.quantile([1, 2, 4, 8], [0, 0.25, 0.5, 0.75, 1])
        assert_eq!([0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&[1.0, 2.0, 4.0, 8.0], share)), [1.0, 1.75, 3.0, 5.0, 8.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_spread_is_that_of_the_sample() {
        let spread = Spread::of(&[1.0, 2.0, 3.0, 6.0]).unwrap();
        // statistics.stdev([1, 2, 3, 6]) of Python
        assert!(near(spread.deviation, 2.160246899469287));
        assert_eq!((spread.n, spread.mean, spread.least, spread.greatest), (4, 3.0, 1.0, 6.0));
        assert_eq!(Spread::of(&[1.0]).unwrap().deviation, None);
        assert_eq!(Spread::of(&[1.0, f64::NAN]), None);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn an_interval_is_that_of_scipy() {
        // import numpy as np; from scipy import stats
        // for x in ([1, 2, 3, 6], [2.35, 2.29, 2.47]):
        //     print(stats.t.interval(0.95, len(x) - 1, np.mean(x), stats.sem(x))[1] - np.mean(x))
        assert!(near(Spread::of(&[1.0, 2.0, 3.0, 6.0]).unwrap().width(Width::Interval), 3.4374348818583087));
        assert!(near(Spread::of(&[2.35, 2.29, 2.47]).unwrap().width(Width::Interval), 0.22767498201580594));
        assert_eq!(Spread::of(&[1.0]).unwrap().width(Width::Interval), None);
    }

    #[test]
    fn a_paired_test_is_that_of_scipy() {
        // from scipy import stats
        // print(stats.ttest_rel([2.35, 2.29, 2.47], [1.95, 2.05, 2.0]).pvalue)
        // print(stats.ttest_rel([1.0, 2.0, 4.0, 3.0], [1.5, 1.0, 4.5, 3.1]).pvalue)
        assert!(near(paired_test(&[2.35, 2.29, 2.47], &[1.95, 2.05, 2.0]), 0.032217972655237105));
        assert!(near(paired_test(&[1.0, 2.0, 4.0, 3.0], &[1.5, 1.0, 4.5, 3.1]), 0.9482069168498183));
    }

    #[test]
    fn differences_that_are_all_the_same_leave_no_doubt() {
        assert_eq!(paired_test(&[1.0, 2.0], &[1.0, 2.0]), Some(1.0));
        assert_eq!(paired_test(&[1.5, 2.5], &[1.0, 2.0]), Some(0.0));
        assert_eq!(paired_test(&[1.0], &[2.0]), None);
    }
}
