//! `stn report`: tables and figures made anew from results.

use crate::Failure;
use crate::arguments::Report;

pub(crate) fn run(arguments: &Report) -> Result<(), Failure> {
    write(&arguments.dir)
}

/// Writes the report of one experiment's folder and shows its table.
pub(crate) fn write(dir: &std::path::Path) -> Result<(), Failure> {
    let report = stn_report::write(dir, &stn_report::Options::default()).map_err(Failure::message)?;
    anstream::println!("{}", report.table);
    for file in &report.files {
        anstream::println!("{}", file.display());
    }
    Ok(())
}
