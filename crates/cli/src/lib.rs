//! The command line, over any registry of plugins.
//!
//! A program with plugins of its own is a few lines:
//!
//! ```no_run
//! # fn main() -> Result<std::process::ExitCode, stn_core::Error> {
//! let registry = stn_plugins::standard()?;
//! // registry.add_transformation::<MyTransformation>()?;
//! Ok(stn_cli::run(&registry))
//! # }
//! ```

mod allocator;
mod arguments;
mod commands;
mod images;
mod npy;
mod progress;
mod terminal;
mod whole_file;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use stn_core::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use arguments::{Arguments, Command};

/// What a command can end with, other than success.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A mistake in a file or an argument; the text carries its own `error:` lines.
    #[error("{0}")]
    Diagnosed(String),
    /// Anything else: one line that says what, where and what to do.
    #[error("error: {0}")]
    Message(String),
}

impl Failure {
    fn message(error: impl std::fmt::Display) -> Self {
        Self::Message(error.to_string())
    }
}

/// Reads the process's arguments and does what they ask for; the exit code is 0 only where all of it was done.
pub fn run(registry: &Registry) -> ExitCode {
    allocator::keep_large_blocks();
    let arguments = Arguments::parse();
    log_to_stderr();
    let done = match arguments.command {
        Command::Run(run) => commands::run::run(&run, registry),
        Command::Watch(watch) => commands::watch::run(&watch, registry),
        Command::Status(status) => commands::status::run(&status),
        Command::Report(report) => commands::report::run(&report),
        Command::Predict(predict) => commands::predict::run(&predict, registry),
        Command::Data(data) => commands::data::run(&data.action, registry),
        Command::Plugins(plugins) => commands::plugins::run(&plugins, registry),
        Command::Op(op) => commands::op::run(&op.operator, registry),
        Command::Bench(bench) => commands::bench::run(&bench, registry),
        Command::Reference(reference) => commands::reference::run(&reference, registry),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::tell(failure);
            ExitCode::FAILURE
        }
    }
}

/// Warnings go to standard error; `RUST_LOG` asks for more or less.
fn log_to_stderr() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false);
    // A program with plugins of its own may have set up a subscriber already: then that one stays.
    let _ = subscriber.try_init();
}
