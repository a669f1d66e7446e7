//! How long steps took.

use std::time::Duration;

use crate::Result;
use crate::store::tensors::Tensors;

/// The times of every training step.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    steps: Vec<f32>,
    waits: Vec<f32>,
    total: Duration,
}

impl Timing {
    /// Adds a step: how long it waited for its batch, and how long it took with that.
    pub fn step(&mut self, waited: Duration, whole: Duration) {
        self.steps.push(whole.as_secs_f32() * 1e3);
        self.waits.push(waited.as_secs_f32() * 1e3);
        self.total += whole;
    }

    /// Adds the times to what a checkpoint holds.
    pub fn save(&self, saved: &mut Tensors) -> Result<()> {
        saved.put("timing/steps", &self.steps)?;
        saved.put("timing/waits", &self.waits)?;
        saved.put("timing/total", &[self.total.as_secs_f64()])
    }

    /// The times that a checkpoint holds.
    pub fn load(&mut self, saved: &Tensors) -> Result<()> {
        (self.steps, self.waits) = (saved.row("timing/steps")?, saved.row("timing/waits")?);
        self.total = Duration::try_from_secs_f64(saved.numbers::<f64, 1>("timing/total")?[0]).unwrap_or_default();
        Ok(())
    }

    /// The median time of a step in milliseconds; `None` before the first.
    pub fn step_ms(&self) -> Option<f64> {
        median(&self.steps)
    }

    /// The median wait for a batch in milliseconds; `None` before the first.
    pub fn data_wait_ms(&self) -> Option<f64> {
        median(&self.waits)
    }

    /// All steps together, in seconds.
    pub fn train_seconds(&self) -> f64 {
        self.total.as_secs_f64()
    }
}

fn median(values: &[f32]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let middle = sorted.len() / 2;
    let upper = f64::from(*sorted.get(middle)?);
    if sorted.len().is_multiple_of(2) { Some((f64::from(*sorted.get(middle - 1)?) + upper) / 2.0) } else { Some(upper) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_two() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }
}
