//! What a check found wrong.

use std::fmt;

/// A message that says what was expected, what was found and where.
///
/// It is no [`std::error::Error`] itself, so that `?` turns every error into one.
#[derive(Debug)]
pub(crate) struct Mismatch(String);

/// The result of a check inside this crate; the public functions panic with the mismatch at their caller's line.
pub(crate) type Outcome<T = ()> = Result<T, Mismatch>;

impl Mismatch {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The same below a heading: where it was found.
    pub(crate) fn below(self, heading: impl fmt::Display) -> Self {
        Self(format!("{heading}: {}", self.0))
    }
}

impl<E: std::error::Error> From<E> for Mismatch {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An [`Outcome`] with a heading over its mismatch.
pub(crate) trait Heading {
    fn heading(self, heading: impl fmt::Display) -> Self;
}

impl<T> Heading for Outcome<T> {
    fn heading(self, heading: impl fmt::Display) -> Self {
        self.map_err(|mismatch| mismatch.below(heading))
    }
}

/// A mismatch unless `holds`.
pub(crate) fn expect(holds: bool, message: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Mismatch::new(message())) }
}
