//! Words to a person.
//!
//! A reader that has gone (`stn plugins | head`) is no error, and must not stop a training run: what cannot be written is dropped.

use std::fmt::Display;
use std::io::Write;

/// A line of what was asked for, to standard output.
pub(crate) fn answer(text: impl Display) {
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}

/// A line about what is going on, to standard error.
pub(crate) fn tell(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
