//! The `stn` program: the standard plugins and the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    match stn_plugins::standard() {
        Ok(registry) => stn_cli::run(&registry),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
