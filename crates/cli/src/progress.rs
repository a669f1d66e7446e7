//! What a person sees while trials run: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use stn_lab::{Experiment, Observer, Trial};

use crate::terminal::tell;

/// How often a plain line is written within a trial.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// The line of a trial at work.
const TRIAL: &str = "{prefix} {bar:30} {pos}/{len} steps, {per_sec}, {msg}";
/// The line below them, in steps of all trials.
const ALL: &str = "{bar:30} {percent} %, {prefix}, {elapsed} so far, {eta} left";

/// Shows a sweep's progress.
pub(crate) struct Progress {
    terminal: bool,
    bars: MultiProgress,
    all: ProgressBar,
    trials: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: usize,
    /// The trials at work by their ids.
    at_work: BTreeMap<String, AtWork>,
}

struct AtWork {
    heading: String,
    bar: ProgressBar,
    started: Instant,
    last_line: Instant,
    /// The steps of this trial that the bar of all trials counts.
    counted: u64,
}

impl Progress {
    pub(crate) fn new(experiment: &Experiment) -> Self {
        let trials = experiment.trials();
        let terminal = std::io::stderr().is_terminal();
        let (bars, all) = (MultiProgress::new(), ProgressBar::new(trials.iter().map(|trial| trial.config.train.steps).sum()));
        let all = if terminal { bars.add(all.with_style(style(ALL))) } else { ProgressBar::hidden() };
        let progress = Self { terminal, bars, all, trials: trials.len(), state: Mutex::default() };
        progress.with(|state| progress.show_all(state));
        progress
    }

    pub(crate) fn finish(&self) {
        self.all.finish_and_clear();
    }

    fn with(&self, act: impl FnOnce(&mut State)) {
        // A poisoned lock only means that another thread panicked between two lines of text.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn line(&self, text: &str) {
        if self.terminal { self.bars.suspend(|| tell(text)) } else { tell(text) }
    }

    /// Counts nothing of a trial any more.
    fn put_back(&self, state: &mut State, trial: &Trial) {
        if let Some(at_work) = state.at_work.remove(&trial.id) {
            at_work.bar.finish_and_clear();
            self.all.set_position(self.all.position().saturating_sub(at_work.counted));
        }
    }

    fn show_all(&self, state: &State) {
        self.all.set_prefix(format!("{} of {} trials", state.ended, self.trials));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn heading(trial: &Trial, index: usize, trials: usize) -> String {
    let differs: Vec<_> = trial.differs.iter().filter(|(key, _)| *key != "model" && *key != "seed").map(|(_, value)| value.as_str()).collect();
    let differs = if differs.is_empty() { String::new() } else { format!(" {}", differs.join(" ")) };
    format!("[{}/{trials}] {}{differs} seed {}", index + 1, trial.label, trial.seed)
}

impl Observer for Progress {
    fn trial_started(&self, trial: &Trial, index: usize, steps: u64) {
        let heading = heading(trial, index, self.trials);
        self.with(|state| {
            let bar = if self.terminal { self.bars.insert_before(&self.all, ProgressBar::new(steps).with_style(style(TRIAL))) } else { ProgressBar::hidden() };
            bar.set_prefix(heading.clone());
            if !self.terminal {
                self.line(&heading);
            }
            let now = Instant::now();
            state.at_work.insert(trial.id.clone(), AtWork { heading, bar, started: now, last_line: now, counted: 0 });
        });
    }

    fn trial_resumed(&self, trial: &Trial, step: u64) {
        self.with(|state| {
            let Some(at_work) = state.at_work.get_mut(&trial.id).filter(|_| step > 0) else { return };
            at_work.bar.set_position(step);
            at_work.bar.reset_eta();
            // What an earlier run has done is no measure of this one's speed.
            at_work.counted = step;
            self.all.inc(step);
            self.all.reset_eta();
            if !self.terminal {
                self.line(&format!("{}: goes on after step {step}", at_work.heading));
            }
        });
    }

    fn step(&self, trial: &Trial, step: u64, steps: u64, loss: f64) {
        self.with(|state| {
            let several = state.at_work.len() > 1;
            let Some(at_work) = state.at_work.get_mut(&trial.id) else { return };
            at_work.bar.set_position(step);
            at_work.bar.set_message(format!("loss {loss:.4}"));
            self.all.inc(step.saturating_sub(at_work.counted));
            at_work.counted = step;
            if !self.terminal && at_work.last_line.elapsed() >= LINE_EVERY {
                at_work.last_line = Instant::now();
                let of = if several { at_work.heading.as_str() } else { " " };
                self.line(&format!("{of} step {step}/{steps}, loss {loss:.4}, {:.0} s", at_work.started.elapsed().as_secs_f64()));
            }
        });
    }

    fn evaluated(&self, trial: &Trial, step: u64, error: f64) {
        self.with(|state| {
            let several = state.at_work.len() > 1;
            let Some(at_work) = state.at_work.get(&trial.id).filter(|_| !self.terminal) else { return };
            let of = if several { at_work.heading.as_str() } else { " " };
            self.line(&format!("{of} step {step}: test error {error:.2} %"));
        });
    }

    fn trial_held(&self, trial: &Trial, index: usize, by: &str) {
        self.with(|state| {
            self.put_back(state, trial);
            self.line(&format!("{}: comes last, at work elsewhere: {by}", heading(trial, index, self.trials)));
        });
    }

    fn waiting(&self, trials: usize) {
        let trials = if trials == 1 { "a trial".to_owned() } else { format!("{trials} trials") };
        self.line(&format!("waiting for {trials} at work elsewhere; Ctrl-C ends the wait"));
    }

    fn trial_retried(&self, trial: &Trial, index: usize, reason: &str) {
        self.with(|state| {
            self.put_back(state, trial);
            self.line(&format!("{}: failed, and is tried again: {reason}", heading(trial, index, self.trials)));
        });
    }

    fn trial_finished(&self, trial: &Trial, index: usize, outcome: &str) {
        self.with(|state| {
            let counted = state.at_work.remove(&trial.id).map_or(0, |at_work| {
                at_work.bar.finish_and_clear();
                at_work.counted
            });
            state.ended += 1;
            self.all.inc(trial.config.train.steps.saturating_sub(counted));
            if counted == 0 {
                self.all.reset_eta();
            }
            self.show_all(state);
            self.line(&format!("{}: {outcome}", heading(trial, index, self.trials)));
        });
    }
}
