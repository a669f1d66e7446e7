//! Queries over the store, drawn as figures and tables.
//!
//! [`write()`] reads the Parquet files of one experiment (`OUT/EXPERIMENT/plan.parquet` and `OUT/trials/*/`) and writes `OUT/EXPERIMENT/report/`: the table of test errors, the learning
//! curves, the comparison, the montage of warped test images and more, each figure as SVG, PNG and PDF with its data as CSV beside it. Made again from the same trials, every
//! file is the same byte for byte: no clock, no random order, no font of the machine's.

mod animation;
mod canvas;
mod crosstab;
mod error;
mod figures;
mod join;
mod output;
mod page;
mod png;
mod query;
mod settings;
mod statistics;
mod style;
mod summary;
mod table;
mod tensorboard;

pub use canvas::Format;
pub use error::{BadFile, Error, Result};

use figures::Press;
use join::Joined;
use std::path::{Path, PathBuf};

/// How the report is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Columns of the terminal that the table may fill.
    pub columns: u16,
    /// What figures are written as; as the experiment says, or in every format, where it is `None`.
    pub formats: Option<Vec<Format>>,
    /// A file whose keys go before those of the experiment's `[report.style]`.
    pub style: Option<PathBuf>,
    /// The folder of the report; one within the experiment's unless given.
    pub out: Option<PathBuf>,
    /// Whether event files for TensorBoard are written as well, into `dir/tensorboard/`.
    pub tensorboard: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { columns: 100, formats: None, style: None, out: None, tensorboard: false }
    }
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Report {
    /// The table with its caption and notes, for a terminal.
    pub table: String,
    /// Every file written, in order of their names; of event files for TensorBoard their folder.
    pub files: Vec<PathBuf>,
}

/// The mistakes in an experiment file's `[report]` table, at their paths in the whole file: what [`write()`] would find after the training, told before it.
pub fn check(experiment: &toml::Table) -> Vec<stn_core::Fault> {
    settings::Settings::from_table(experiment).err().unwrap_or_default()
}

/// Writes `dir/report/` from the finished trials of the experiment `dir` (`OUT/EXPERIMENT`), and removes from it what an earlier report wrote and this one does not.
///
/// # Errors
///
/// [`Error::NoFolder`] and [`Error::NoTrials`] where nothing has run yet; [`Error::Settings`] for mistakes in the `[report]` table of `experiment.toml`;
/// [`Error::Unreadable`] when files are damaged, after everything that the others allow has been written.
pub fn write(dir: &Path, options: &Options) -> Result<Report> {
    write_joined(&[dir.to_path_buf()], options)
}

/// Writes one report on several experiments, into [`Options::out`], or else into `FIRST/report_with_SECOND/`. Whatever their trials differ in and no sweep names becomes a key: a
/// setting, the device, the revision, and where that leaves two trials alike, the experiment. A trial that two experiments share counts once.
///
/// # Errors
///
/// As [`write()`], and [`Error::NoFolder`] of no folder at all.
pub fn write_joined(dirs: &[PathBuf], options: &Options) -> Result<Report> {
    let first = dirs.first().ok_or_else(|| Error::NoFolder(PathBuf::new()))?;
    let Joined { mut store, mut settings, names } = join::read(dirs)?;
    if let Some(file) = &options.style {
        settings.restyle(file)?;
    }
    if store.trials.is_empty() {
        return Err(Error::Unreadable { files: store.bad, report: None });
    }
    let measurements = query::metrics(&mut store);
    let summary = summary::summarise(&names.join(", "), &store, &settings);
    let press = Press { style: &settings.style, formats: options.formats.as_deref().unwrap_or(&settings.formats) };
    let drawn = figures::draw(press, &summary, &measurements, settings.figures.as_deref(), &mut store)?;
    let best_of = summary.leading(figures::MOST_SERIES).best_of_words().map(|words| format!("Figures show {words} lines of the table.\n"));
    let summary = summary::Summary { left_out: summary::left_out(&store), ..summary };

    let mut output = output::Output::to(options.out.clone().unwrap_or_else(|| first.join(folder_of(&names))))?;
    let crosstab = crosstab::Crosstab::new(&summary, &settings);
    output.put("table.md", table::markdown(&summary, &crosstab).as_bytes())?;
    output.put("table.tex", table::latex(&summary, &crosstab).as_bytes())?;
    output.put("table.csv", table::csv(&summary, Some(&crosstab)).as_bytes())?;
    for figure in &drawn {
        for (ending, drawing) in &figure.drawings {
            output.put(&format!("{}.{ending}", figure.name), drawing)?;
        }
        output.put(&format!("{}.csv", figure.name), figure.csv.as_bytes())?;
    }
    let written: Vec<String> = output.names();
    output.put("index.html", page::html(&summary, &crosstab, &store, &measurements, &written, &settings.style).as_bytes())?;
    output.remove_stale()?;
    let table = table::terminal(&summary, &crosstab, options.columns) + &best_of.unwrap_or_default();
    let mut report = Report { table, files: output.files() };
    if options.tensorboard {
        let runs = options.out.as_deref().unwrap_or(first).join("tensorboard");
        tensorboard::write(&runs, &mut store)?;
        report.files.push(runs);
    }
    if store.bad.is_empty() { Ok(report) } else { Err(Error::Unreadable { files: store.bad, report: Some(Box::new(report)) }) }
}

/// The folder of a report on the experiments of these names, in the first one's.
fn folder_of(names: &[String]) -> String {
    let plain = |name: &String| name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect::<String>();
    match names {
        [_] | [] => "report".into(),
        [_, others @ ..] => format!("report_with_{}", others.iter().map(plain).collect::<Vec<_>>().join("_")),
    }
}
