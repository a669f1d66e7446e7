//! The benchmark: what is timed, under which names, and how.
//!
//! [`works`] lists everything that can be timed and [`measure`] times one:
//!
//! - `step.NETWORK`: a whole training step, forward, loss, backward and update, on a fixed batch of random images;
//! - `sample.KERNEL.SHAPE`: grid generator and sampler alone, forward and backward;
//! - `trials.ORDER`: small trials of a sweep from their file to their results, one after another or side by side;
//! - `report.SWEEP`: the report over 10,000 trials with 200 rows of metrics each, of 100 models and 100 seeds or of 10,000 draws;
//! - `limit.gemm`, `limit.memory`: what the machine does at best.
//!
//! The same works stand in `benches/peers` in other frameworks.

mod catalogue;
mod error;
mod limit;
mod measurement;
mod memory;
mod report;
mod sample;
mod step;
mod trials;

pub use catalogue::{Work, select, works};
pub use error::{Error, Result};
pub use measurement::{Amount, Measurement, Settings, measure};

/// A work that is built and can be done again and again.
trait Job {
    /// Does the work once; this is what is timed.
    fn run(&mut self) -> Result<()>;

    /// Whether what came out is what a work gives, looked at after the last run.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}
