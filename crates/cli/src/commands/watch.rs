//! `stn watch`: how far an experiment is, from its files alone.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::HumanDuration;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, Paragraph, Row, Table};
use stn_core::Registry;
use stn_lab::{Experiment, Said, Trial, TrialState};

use crate::Failure;
use crate::arguments::Watch;
use crate::terminal::answer;

/// How often the files are read, at most.
const EVERY: Duration = Duration::from_secs(1);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Reading the files takes at most one part in so many of the time.
const SHARE: u32 = 5;

pub(crate) fn run(arguments: &Watch, registry: &Registry) -> Result<(), Failure> {
    let file = arguments.dir.join("experiment.toml");
    if !file.is_file() {
        return Err(Failure::Message(format!("there is no experiment in {}; name the folder of one, such as results/quickstart", arguments.dir.display())));
    }
    // The copy of a file that does not name its experiment: the folder does.
    let named = folder_name(&arguments.dir).map(|name| format!("name={name}"));
    let experiment = Experiment::load(&file, named.as_slice(), registry).map_err(|diagnostics| Failure::Diagnosed(diagnostics.to_string()))?;
    let out = folder_around(&arguments.dir);
    let first = View::read(&experiment, &out)?;
    if std::io::stdout().is_terminal() { on_terminal(&experiment, &out, first) } else { in_lines(&experiment, &out, first) }
}

/// The folder of results that an experiment's folder is in.
fn folder_around(dir: &Path) -> PathBuf {
    dir.canonicalize().ok().and_then(|dir| dir.parent().map(Path::to_path_buf)).unwrap_or_else(|| dir.join(".."))
}

fn folder_name(dir: &Path) -> Option<String> {
    Some(dir.canonicalize().ok()?.file_name()?.to_str()?.to_owned())
}

fn on_terminal(experiment: &Experiment, out: &Path, mut view: View) -> Result<(), Failure> {
    let mut terminal = ratatui::try_init().map_err(Failure::message)?;
    let watched = loop {
        if let Err(error) = terminal.draw(|frame| view.draw(frame)) {
            break Err(Failure::message(error));
        }
        match asked_to_end(EVERY.max(view.took * SHARE)) {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(error) => break Err(Failure::message(error)),
        }
        match View::read(experiment, out) {
            Ok(read) => view = read,
            Err(failure) => break Err(failure),
        }
    };
    ratatui::restore();
    watched
}

/// Waits, but no longer than until a key ends the watch.
fn asked_to_end(wait: Duration) -> std::io::Result<bool> {
    let until = Instant::now() + wait;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if !event::poll(left)? {
            return Ok(false);
        }
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => {
                let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
            // Drawn anew at once.
            Event::Resize(..) => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}

/// A line whenever something has changed, until nothing is left.
fn in_lines(experiment: &Experiment, out: &Path, mut view: View) -> Result<(), Failure> {
    let mut last = String::new();
    loop {
        let line = view.summary();
        if line != last {
            answer(&line);
            last = line;
        }
        if view.is_over() {
            return Ok(());
        }
        std::thread::sleep(LINE_EVERY);
        view = View::read(experiment, out)?;
    }
}

/// What is shown of an experiment.
struct View {
    name: String,
    trials: usize,
    done: usize,
    pruned: usize,
    /// The trials at work.
    at_work: Vec<AtWork>,
    part_done: usize,
    /// The trials that failed, in words, and why.
    failed: Vec<(String, String)>,
    to_do: usize,
    steps: u64,
    steps_done: u64,
    /// Time that is left, where it can be told.
    left: Option<Duration>,
    /// How long it took to read all this.
    took: Duration,
}

struct AtWork {
    what: String,
    said: Said,
}

impl View {
    fn read(experiment: &Experiment, out: &Path) -> Result<Self, Failure> {
        let begun = Instant::now();
        let (states, times) = experiment.forecast(out).map_err(Failure::message)?;
        Ok(Self { took: begun.elapsed(), ..Self::of(experiment.name(), experiment.trials(), &states, &times) })
    }

    fn of(name: &str, trials: &[Trial], states: &[TrialState], times: &[Option<Duration>]) -> Self {
        let (steps, took) = (trials.iter().map(|trial| trial.config.train.steps).sum(), Duration::ZERO);
        let (at_work, failed) = (Vec::new(), Vec::new());
        let mut view = Self {
            name: name.into(),
            trials: trials.len(),
            done: 0,
            pruned: 0,
            at_work,
            part_done: 0,
            failed,
            to_do: 0,
            steps,
            steps_done: 0,
            left: None,
            took,
        };
        for (trial, state) in trials.iter().zip(states) {
            let steps = trial.config.train.steps;
            view.steps_done += match state {
                TrialState::Done { .. } => {
                    view.done += 1;
                    steps
                }
                TrialState::Pruned { .. } => {
                    view.pruned += 1;
                    steps
                }
                TrialState::Running(said) => {
                    view.at_work.push(AtWork { what: trial.describe(), said: (**said).clone() });
                    said.step.min(steps)
                }
                TrialState::PartDone(step) => {
                    view.part_done += 1;
                    (*step).min(steps)
                }
                TrialState::Failed { reason, .. } => {
                    view.failed.push((trial.describe(), reason.clone()));
                    steps
                }
                TrialState::ToDo => {
                    view.to_do += 1;
                    0
                }
            };
        }
        let total: Option<Duration> = times.iter().copied().sum();
        view.left = total.map(|total| total / view.at_work.len().max(1) as u32);
        view
    }

    /// Whether nothing runs and nothing is left to run.
    fn is_over(&self) -> bool {
        self.at_work.is_empty() && self.part_done == 0 && self.to_do == 0
    }

    /// How many trials are in which state, in a line.
    fn summary(&self) -> String {
        let counts = [
            (self.done, "done"),
            (self.at_work.len(), "at work"),
            (self.part_done, "part-done"),
            (self.pruned, "pruned"),
            (self.failed.len(), "failed"),
            (self.to_do, "to do"),
        ];
        let counts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let left = match self.left {
            _ if self.is_over() => String::new(),
            Some(left) => format!("; about {} left", HumanDuration(left)),
            None => String::new(),
        };
        format!("{}: {} of {} steps; {} trials: {}{left}", self.name, self.steps_done, self.steps, self.trials, counts.join(", "))
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let failed = (self.failed.len() as u16).min(6);
        let failed_height = if failed == 0 { 0 } else { failed + 2 };
        let rows = [Constraint::Length(3), Constraint::Min(3), Constraint::Length(failed_height), Constraint::Length(1)];
        let [all, at_work, failures, keys] = Layout::vertical(rows).areas(frame.area());
        self.draw_all(frame, all);
        self.draw_at_work(frame, at_work);
        if failed > 0 {
            let lines = self
                .failed
                .iter()
                .take(failed.into())
                .map(|(trial, reason)| Line::from(vec![Span::from(format!("{trial}: ")).bold(), Span::from(reason.as_str())]));
            let title = format!(" {} failed ", self.failed.len());
            frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(Block::bordered().title(title).red()), failures);
        }
        let over = if self.is_over() { "Nothing is left to run. " } else { "" };
        frame.render_widget(Line::from(format!(" {over}q: end the watch; what runs goes on")).dim(), keys);
    }

    fn draw_all(&self, frame: &mut Frame<'_>, area: Rect) {
        let ratio = if self.steps == 0 { 1.0 } else { self.steps_done as f64 / self.steps as f64 };
        let gauge = Gauge::default().block(Block::bordered().title(format!(" {} ", self.summary()))).gauge_style(Style::new().fg(Color::Cyan));
        frame.render_widget(gauge.ratio(ratio.clamp(0.0, 1.0)), area);
    }

    fn draw_at_work(&self, frame: &mut Frame<'_>, area: Rect) {
        let title = if self.at_work.is_empty() { " No trial is at work ".to_owned() } else { format!(" {} at work ", self.at_work.len()) };
        let rows = self.at_work.iter().map(|AtWork { what, said }| {
            let job = said.job.as_ref().map_or(String::new(), |job| format!(", job {job}"));
            let share = if said.steps == 0 { 0.0 } else { said.step as f64 / said.steps as f64 };
            Row::new([
                what.clone(),
                bar(share),
                format!("{}/{}", said.step, said.steps),
                said.rate.map_or_else(|| "–".into(), |rate| format!("{rate:.1}")),
                said.loss.map_or_else(|| "–".into(), |loss| format!("{loss:.4}")),
                format!("{}:{}{job}", said.holder.host, said.holder.pid),
            ])
        });
        let widths =
            [Constraint::Fill(1), Constraint::Length(20), Constraint::Length(14), Constraint::Length(8), Constraint::Length(8), Constraint::Length(28)];
        let table = Table::new(rows, widths).header(Row::new(["trial", "", "steps", "a second", "loss", "where"]).bold()).block(Block::bordered().title(title));
        frame.render_widget(table, area);
    }
}

/// A bar of twenty cells.
fn bar(share: f64) -> String {
    let filled = (share.clamp(0.0, 1.0) * 20.0).round() as usize;
    format!("{}{}", "█".repeat(filled), "░".repeat(20 - filled))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use stn_lab::Holder;

    use super::*;

    const FILE: &str = "[dataset]\nkind = \"mnist\"\nsource = \"embedded\"\n[train]\nsteps = 100\n[sweep]\nseeds = [0, 1, 2, 3]\n[models.fcn]\nlayers = [{ fc = \"classes\" }]\n";

    fn trials() -> Experiment {
        let experiment = Experiment::parse(FILE, "tiny.toml", "tiny", &[], &stn_plugins::standard().unwrap());
        experiment.unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
    }

    fn view(at_work: bool) -> View {
        let experiment = trials();
        let holder = Holder { host: "node7".into(), pid: 4711, ..Holder::default() };
        let said = Said { holder, step: 50, steps: 100, loss: Some(0.25), rate: Some(12.5), job: Some("8_1".into()), ..Said::default() };
        let second = if at_work { TrialState::Running(Box::new(said)) } else { TrialState::Done { data_sha256: String::new() } };
        let failed = TrialState::Failed { reason: "no space left".into(), for_good: false, data_sha256: String::new() };
        let last = if at_work { TrialState::ToDo } else { TrialState::Pruned { reason: "worse".into(), data_sha256: String::new() } };
        let states = [TrialState::Done { data_sha256: String::new() }, second, failed, last];
        let time = |seconds| Some(Duration::from_secs(seconds));
        View::of("tiny", experiment.trials(), &states, &[time(0), time(30), time(0), time(60)])
    }

    #[test]
    fn the_screen_shows_all_together_each_at_work_and_what_failed() {
        let mut terminal = Terminal::new(TestBackend::new(110, 12)).unwrap();
        terminal.draw(|frame| view(true).draw(frame)).unwrap();
        let screen = terminal.backend().to_string();
        for words in [
            "tiny: 250 of 400 steps",
            "about 2 minutes left",
            "1 done, 1 at work, 1 failed, 1 to do",
            "██████████░░░░░░░░░░ 50/100",
            "12.5",
            "0.2500",
            "node7:4711, job 8_1",
            "seed 2: no space left",
        ] {
            assert!(screen.contains(words), "{words} is not in\n{screen}");
        }
    }

    #[test]
    fn a_screen_of_any_size_is_drawn() {
        for (width, height) in [(1, 1), (20, 5), (80, 3), (300, 100)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| view(true).draw(frame)).unwrap();
        }
    }

    #[test]
    fn it_is_over_where_nothing_runs_and_nothing_is_left() {
        assert!(!view(true).is_over() && view(false).is_over());
        assert_eq!(view(false).summary(), "tiny: 400 of 400 steps; 4 trials: 2 done, 1 pruned, 1 failed");
    }
}
