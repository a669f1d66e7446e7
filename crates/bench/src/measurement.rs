//! Doing a work again and again, with a watch.

use std::time::{Duration, Instant};

use candle_core::Device;
use rayon::ThreadPoolBuilder;
use serde::{Deserialize, Serialize};
use stn_core::Registry;
use stn_lab::DeviceName;

use crate::{Error, Job, Result, Work, memory, step};

/// A work is done untimed for this long before it is timed: caches, memory and clock rates settle.
const WARM_UP: Duration = Duration::from_millis(500);
/// At least and at most so many times.
const WARM_UP_RUNS: std::ops::Range<usize> = 2..50;
/// Where the number of runs is not given, a work is timed for this long, but at least and at most so many times.
const TIMED: Duration = Duration::from_secs(3);
const TIMED_RUNS: std::ops::Range<usize> = 5..1000;

/// How to measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// How many runs are timed; as many as fit three seconds, at least 5, where not given.
    pub reps: Option<usize>,
    /// Threads to compute with; 0 for as many as the machine has.
    pub threads: usize,
    /// What computes. Of a graphics card a run's time is that until the card is done.
    pub device: DeviceName,
    /// Whether convolutions of f32 on a graphics card may multiply TensorFloat-32.
    pub tensor_float: bool,
}

/// How long a work takes and what memory it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The work's name.
    pub work: String,
    /// The median time of a run, in milliseconds.
    pub median_ms: f64,
    /// The time of a run that one run in ten goes below, in milliseconds: what the machine does when nothing else disturbs it.
    pub p10_ms: f64,
    /// How far the process's resident memory rose at its peak above what it was before the work was built, when a tiny training
    /// step had been done, in bytes. It is 0 where the system does not say: only
    /// Linux does. The peak is that of the whole process, so a process should measure one work.
    pub peak_bytes: u64,
}

impl Measurement {
    /// Several rounds of one work as one measurement: the medians of their times, the largest of their peaks; `None` of no round.
    pub fn of_rounds(rounds: &[Self]) -> Option<Self> {
        let work = rounds.first()?.work.clone();
        let median = |time: fn(&Self) -> f64| median(rounds.iter().map(time));
        let peak_bytes = rounds.iter().map(|round| round.peak_bytes).max()?;
        Some(Self { work, median_ms: median(|round| round.median_ms), p10_ms: median(|round| round.p10_ms), peak_bytes })
    }

    /// How long a work takes in proportion to another: the median, over the rounds, of the ratio of the two times of a round.
    pub fn ratio(rounds: &[Self], to: &[Self]) -> f64 {
        median(rounds.iter().zip(to).map(|(ours, other)| ours.median_ms / other.median_ms))
    }
}

/// What one run of a work amounts to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Floating point operations, a multiplication and an addition counted as two.
    Flop(f64),
    /// Bytes that must be read or written at least: every array of the size of an image or more, once.
    Bytes(f64),
}

impl Amount {
    /// The rate when one run takes so many milliseconds: `253 GFLOP/s`, `21.3 GB/s`.
    pub fn rate(self, milliseconds: f64) -> String {
        match self {
            Self::Flop(flop) => format!("{:.0} GFLOP/s", flop / milliseconds * 1e-6),
            Self::Bytes(bytes) => format!("{:.1} GB/s", bytes / milliseconds * 1e-6),
        }
    }
}

/// Builds a work, does it untimed for a while, then times it.
///
/// # Errors
///
/// Where threads cannot be started, the registry has not the plugins that the work needs, or an operation fails.
pub fn measure(work: &Work, settings: Settings, registry: &Registry) -> Result<Measurement> {
    let threads = settings.threads;
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(|source| Error::Threads { threads, source })?;
    let measured = || {
        let device = settings.device.open()?;
        step::rehearse(registry, &device)?;
        let before = memory::resident();
        let mut job = work.build(registry, &device)?;
        let start = Instant::now();
        repeat(job.as_mut(), &device, |done| done >= WARM_UP_RUNS.end || done >= WARM_UP_RUNS.start && start.elapsed() >= WARM_UP)?;
        let start = Instant::now();
        let mut times = repeat(job.as_mut(), &device, |done| match settings.reps {
            Some(reps) => done >= reps.max(1),
            None => done >= TIMED_RUNS.end || done >= TIMED_RUNS.start && start.elapsed() >= TIMED,
        })?;
        job.check()?;
        let peak_bytes = memory::peak().zip(before).map_or(0, |(peak, before)| peak.saturating_sub(before));
        times.sort_by(f64::total_cmp);
        Ok(Measurement { work: work.name().into(), median_ms: quantile(&times, 0.5), p10_ms: quantile(&times, 0.1), peak_bytes })
    };
    pool.install(|| stn_ops::with_tensor_float(settings.tensor_float, measured))
}

/// Does a work until `enough` says so of the number of runs; the time of each, in milliseconds.
fn repeat(job: &mut dyn Job, device: &Device, enough: impl Fn(usize) -> bool) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    while !enough(times.len()) {
        let start = Instant::now();
        job.run()?;
        device.synchronize()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// The value below which this share of the sorted values lies, interpolated between neighbours; 0 of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::select;

    #[test]
    fn quantiles_are_interpolated() {
        let values = [1.0, 2.0, 3.0, 5.0];
        assert_eq!(quantile(&values, 0.5), 2.5);
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 1.0), 5.0);
        assert!((quantile(&values, 0.1) - 1.3).abs() < 1e-12);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn rounds_are_held_against_those_of_the_same_turn() {
        let rounds =
            |times: [f64; 3]| times.map(|median_ms| Measurement { work: "a".into(), median_ms, p10_ms: median_ms / 2.0, peak_bytes: median_ms as u64 });
        // The third turn was slow for both.
        let (ours, other) = (rounds([2.0, 3.0, 40.0]), rounds([4.0, 4.0, 80.0]));
        assert_eq!(Measurement::ratio(&ours, &other), 0.5);
        assert_eq!(Measurement::of_rounds(&ours).unwrap(), Measurement { work: "a".into(), median_ms: 3.0, p10_ms: 1.5, peak_bytes: 40 });
        assert!(Measurement::of_rounds(&[]).is_none());
    }

    #[test]
    fn a_work_is_measured() {
        let work = &select("sample.bilinear.256x1x28x28").unwrap()[0];
        let measured = measure(work, Settings { reps: Some(2), threads: 1, ..Settings::default() }, &stn_plugins::standard().unwrap()).unwrap();
        assert_eq!(measured.work, work.name());
        assert!(measured.p10_ms > 0.0 && measured.p10_ms <= measured.median_ms);
    }

    #[test]
    fn what_the_processor_does_is_not_timed_on_a_card() {
        assert!(crate::catalogue::on_processor("limit.gemm", false).unwrap_err().to_string().contains("--device cpu"));
        assert!(crate::catalogue::on_processor("limit.gemm", true).is_ok());
    }

    #[test]
    fn rates_carry_their_unit() {
        assert_eq!(Amount::Flop(2e9).rate(10.0), "200 GFLOP/s");
        assert_eq!(Amount::Bytes(1.5e6).rate(1.0), "1.5 GB/s");
    }
}
