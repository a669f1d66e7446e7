//! `trial.log`: the events of a trial in a file of their own.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::NamedTempFile;
use tracing::{Dispatch, Event, Subscriber, dispatcher};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::Result;
use crate::store::files;

/// A log that is being written. Events of this crate's and every other crate go into it while [`record`](Self::record) runs, on the thread that called it.
#[derive(Debug)]
pub(crate) struct TrialLog {
    file: Arc<Mutex<Option<NamedTempFile>>>,
}

impl TrialLog {
    /// Begins the log that is to stand at `path`.
    pub fn begin(path: &Path) -> Result<Self> {
        Ok(Self { file: Arc::new(Mutex::new(Some(files::begin(path)?))) })
    }

    /// Runs `act` with its events recorded, down to level INFO, and passed on to the subscriber there was before.
    pub fn record<T>(&self, act: impl FnOnce() -> T) -> T {
        let outer = dispatcher::get_default(Dispatch::clone);
        let lines =
            tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(Writer(Arc::clone(&self.file))).with_filter(LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(lines).with(PassOn(outer));
        dispatcher::with_default(&Dispatch::new(subscriber), act)
    }

    /// Ends the log and gives the file its name.
    pub fn finish(self, path: &Path) -> Result<()> {
        let file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        file.map_or(Ok(()), |file| files::finish(file, path))
    }
}

/// Gives every event to another subscriber as well.
struct PassOn(Dispatch);

impl<S: Subscriber> Layer<S> for PassOn {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.0.enabled(event.metadata()) {
            self.0.event(event);
        }
    }
}

struct Writer(Arc<Mutex<Option<NamedTempFile>>>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Arc::clone(&self.0))
    }
}

struct Line(Arc<Mutex<Option<NamedTempFile>>>);

impl std::io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_mut() {
            Some(file) => file.as_file_mut().write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_go_to_the_file_and_to_the_subscriber_around() {
        let folder = tempfile::tempdir().unwrap();
        let (outer, inner) = (folder.path().join("outer.log"), folder.path().join("trial.log"));
        let around = TrialLog::begin(&outer).unwrap();
        around.record(|| {
            let log = TrialLog::begin(&inner).unwrap();
            log.record(|| tracing::info!(loss = 0.5, "a step"));
            tracing::info!("between");
            log.finish(&inner).unwrap();
        });
        around.finish(&outer).unwrap();
        let (outer, inner) = (std::fs::read_to_string(outer).unwrap(), std::fs::read_to_string(inner).unwrap());
        assert!(inner.contains("a step loss=0.5") && !inner.contains("between"), "{inner}");
        assert!(outer.contains("a step") && outer.contains("between"), "{outer}");
    }
}
