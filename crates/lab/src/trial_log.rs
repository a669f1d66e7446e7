//! `trial.log`: the events of a trial in a file of their own.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Dispatch, Event, Subscriber, dispatcher};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::{Error, Result};

/// A log that is being written, to be read while the trial runs. Events of this crate's and every other crate go into it while [`record`](Self::record) runs, on the thread
/// that called it.
#[derive(Debug)]
pub(crate) struct TrialLog {
    state: Arc<Mutex<State>>,
}

/// The file, and the first error in writing it; after that nothing more is written.
#[derive(Debug)]
struct State {
    file: File,
    error: Option<io::Error>,
}

impl TrialLog {
    /// Goes on with the log at `path`, or begins it.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(path).map_err(Error::file("write", path))?;
        Ok(Self::to(file))
    }

    fn to(file: File) -> Self {
        Self { state: Arc::new(Mutex::new(State { file, error: None })) }
    }

    /// Runs `act` with its events recorded, down to level INFO, and passed on to the subscriber there was before.
    pub fn record<T>(&self, act: impl FnOnce() -> T) -> T {
        let outer = dispatcher::get_default(Dispatch::clone);
        let lines =
            tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(Writer(Arc::clone(&self.state))).with_filter(LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(lines).with(PassOn(outer));
        dispatcher::with_default(&Dispatch::new(subscriber), act)
    }

    /// Brings the log to the disk, or gives the first error in writing it.
    pub fn finish(self, path: &Path) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let written = state.error.take().map_or_else(|| state.file.sync_all(), Err);
        written.map_err(Error::file("write", path))
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

struct Writer(Arc<Mutex<State>>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Arc::clone(&self.0))
    }
}

struct Line(Arc<Mutex<State>>);

impl io::Write for Line {
    /// Never fails: the subscriber would print an error, and tell nobody who can act on it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State { file, error: error @ None } = &mut *state {
            *error = file.write_all(bytes).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
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
        let around = TrialLog::open(&outer).unwrap();
        around.record(|| {
            let log = TrialLog::open(&inner).unwrap();
            log.record(|| tracing::info!(loss = 0.5, "a step"));
            tracing::info!("between");
            log.finish(&inner).unwrap();
        });
        around.finish(&outer).unwrap();
        let (outer, inner) = (std::fs::read_to_string(outer).unwrap(), std::fs::read_to_string(inner).unwrap());
        assert!(inner.contains("a step loss=0.5") && !inner.contains("between"), "{inner}");
        assert!(outer.contains("a step") && outer.contains("between"), "{outer}");
    }

    #[test]
    fn a_log_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trial.log");
        for words in ["first", "second"] {
            TrialLog::open(&path).unwrap().record(|| tracing::info!("{words}"));
        }
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_log_that_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trial.log");
        std::fs::write(&path, "").unwrap();
        let log = TrialLog::to(File::open(&path).unwrap());
        log.record(|| tracing::info!("a step"));
        let error = log.finish(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot write") && error.contains("trial.log"), "{error}");
    }
}
