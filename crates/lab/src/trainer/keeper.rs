//! When checkpoints are made.

use std::path::Path;
use std::time::{Duration, Instant};

use super::state::TrainingState;
use crate::store::checkpoint;
use crate::store::tensors::Tensors;
use crate::{Result, machine};

/// The part of a trial's time that checkpoints may take at most: 1 in so many.
const SHARE: u32 = 100;

/// Keeps the state of a trial in its folder, every so often.
pub(crate) struct Keeper<'a> {
    folder: &'a Path,
    /// What a checkpoint has to be of: the trial, and the data that it ran on.
    trial: &'a str,
    data: &'a str,
    every: Duration,
    last: Instant,
    /// How long the latest checkpoint took.
    took: Duration,
    /// Time spent on the trial by the runs before.
    before: Duration,
    begun: Instant,
}

impl<'a> Keeper<'a> {
    /// In `folder`, every `every`; less often where that would take more than a hundredth of the time.
    pub fn new(folder: &'a Path, trial: &'a str, data: &'a str, every: Duration) -> Self {
        let now = Instant::now();
        Self { folder, trial, data, every, last: now, took: Duration::ZERO, before: Duration::ZERO, begun: now }
    }

    /// The latest checkpoint of this trial on this data.
    pub fn saved(&mut self) -> Result<Option<Tensors>> {
        let Some(saved) = checkpoint::read(self.folder)? else { return Ok(None) };
        let text = |name: &str| saved.texts.get(name).map_or("", String::as_str);
        if (text("trial"), text("data")) != (self.trial, self.data) {
            tracing::warn!("starts anew: the checkpoint is of other data");
            checkpoint::clear(self.folder)?;
            return Ok(None);
        }
        if text("revision") != machine::REVISION {
            tracing::warn!(
                "the checkpoint is of revision {} of this program, which is {}: the bits may differ from a run in one piece",
                text("revision"),
                machine::REVISION
            );
        }
        self.before = saved.numbers::<f64, 1>("wall").ok().and_then(|[seconds]| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default();
        Ok(Some(saved))
    }

    /// Deletes every checkpoint, where none is of use.
    pub fn forget(&self) -> Result<()> {
        checkpoint::clear(self.folder)
    }

    /// The time spent on the trial, the runs before this one included.
    pub fn elapsed(&self) -> Duration {
        self.before + self.begun.elapsed()
    }

    /// Makes a checkpoint where it is time. One that cannot be written is no reason to stop: the disk may have room again for the next.
    pub fn save_where_due(&mut self, state: &TrainingState) -> Result<()> {
        if self.last.elapsed() < self.every.max(self.took * SHARE) {
            return Ok(());
        }
        match self.save(state) {
            Err(error) if self.folder.is_dir() => {
                tracing::warn!(step = state.step, "no checkpoint: {error}");
                self.last = Instant::now();
                Ok(())
            }
            saved => saved,
        }
    }

    /// Makes a checkpoint.
    pub fn save(&mut self, state: &TrainingState) -> Result<()> {
        let begun = Instant::now();
        let mut saved = state.save()?;
        saved.put("wall", &[self.elapsed().as_secs_f64()])?;
        for (name, text) in [("trial", self.trial), ("data", self.data), ("revision", machine::REVISION)] {
            saved.texts.insert(name.into(), text.into());
        }
        checkpoint::write(self.folder, state.step, &saved)?;
        (self.last, self.took) = (Instant::now(), begun.elapsed());
        tracing::debug!(step = state.step, seconds = self.took.as_secs_f64(), "checkpoint");
        Ok(())
    }
}
