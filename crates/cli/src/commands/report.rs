//! `stn report`: tables and figures made anew from results.

use std::path::{Path, PathBuf};

use stn_report::{Error, Options};

use crate::Failure;
use crate::arguments::Report;
use crate::terminal::answer;

pub(crate) fn run(arguments: &Report) -> Result<(), Failure> {
    let options = Options {
        style: arguments.style.clone(),
        formats: arguments.formats.clone(),
        tensorboard: arguments.tensorboard,
        out: arguments.out.clone(),
        ..Options::default()
    };
    write_with(&arguments.dirs, &options)
}

/// Writes the report of one experiment's folder as the experiment asks for it, and shows its table.
pub(crate) fn write(dir: &Path, tensorboard: bool) -> Result<(), Failure> {
    write_with(&[dir.to_path_buf()], &Options { tensorboard, ..Options::default() })
}

fn write_with(dirs: &[PathBuf], options: &Options) -> Result<(), Failure> {
    match stn_report::write_joined(dirs, options) {
        Ok(report) => {
            show(&report);
            Ok(())
        }
        Err(Error::Unreadable { files, report: Some(report) }) => {
            show(&report);
            Err(Failure::message(Error::Unreadable { files, report: Some(report) }))
        }
        Err(error) => Err(Failure::message(error)),
    }
}

fn show(report: &stn_report::Report) {
    answer(&report.table);
    for file in &report.files {
        answer(file.display());
    }
}
