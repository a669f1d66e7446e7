//! What a person sees while trials run: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use stn_lab::{Observer, Trial};

use crate::terminal::tell;

/// How often a plain line is written within a trial.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows a sweep's progress.
pub(crate) struct Progress {
    trials: usize,
    terminal: bool,
    current: Mutex<Current>,
}

struct Current {
    bar: ProgressBar,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn new(trials: usize) -> Self {
        let now = Instant::now();
        let current = Mutex::new(Current { bar: ProgressBar::hidden(), started: now, last_line: now });
        Self { trials, terminal: std::io::stderr().is_terminal(), current }
    }

    pub(crate) fn finish(&self) {
        self.with(|current| current.bar.finish_and_clear());
    }

    fn with(&self, act: impl FnOnce(&mut Current)) {
        // A poisoned lock only means that another thread panicked between two lines of text.
        act(&mut self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn line(&self, current: &Current, text: &str) {
        if self.terminal { current.bar.suspend(|| tell(text)) } else { tell(text) }
    }
}

fn heading(trial: &Trial, index: usize, trials: usize) -> String {
    let differs: Vec<_> = trial.differs.iter().filter(|(key, _)| *key != "model" && *key != "seed").map(|(_, value)| value.as_str()).collect();
    let differs = if differs.is_empty() { String::new() } else { format!(" {}", differs.join(" ")) };
    format!("[{}/{trials}] {}{differs} seed {}", index + 1, trial.label, trial.seed)
}

impl Observer for Progress {
    fn trial_started(&self, trial: &Trial, index: usize, steps: u64) {
        self.with(|current| {
            current.started = Instant::now();
            current.last_line = current.started;
            if self.terminal {
                current.bar = ProgressBar::new(steps);
                let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} steps, {per_sec}, {msg}, {eta} left");
                current.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                current.bar.set_prefix(heading(trial, index, self.trials));
            } else {
                self.line(current, &heading(trial, index, self.trials));
            }
        });
    }

    fn step(&self, trial: &Trial, step: u64, steps: u64, loss: f64) {
        let _ = trial;
        self.with(|current| {
            current.bar.set_position(step);
            current.bar.set_message(format!("loss {loss:.4}"));
            if !self.terminal && current.last_line.elapsed() >= LINE_EVERY {
                current.last_line = Instant::now();
                self.line(current, &format!("  step {step}/{steps}, loss {loss:.4}, {:.0} s", current.started.elapsed().as_secs_f64()));
            }
        });
    }

    fn evaluated(&self, trial: &Trial, step: u64, error: f64) {
        let _ = trial;
        self.with(|current| {
            if !self.terminal {
                self.line(current, &format!("  step {step}: test error {error:.2} %"));
            }
        });
    }

    fn trial_finished(&self, trial: &Trial, index: usize, outcome: &str) {
        self.with(|current| {
            current.bar.finish_and_clear();
            self.line(current, &format!("{}: {outcome}", heading(trial, index, self.trials)));
        });
    }
}
