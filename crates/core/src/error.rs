//! What can go wrong, as values that say what to do.

use crate::parameters::Fault;

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the core: a plugin that is not there, a parameter out of range, a shape that does not fit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No plugin of this name is registered.
    #[error("unknown {what} `{name}`; known: {}{}", known.join(", "), nearest.as_ref().map(|n| format!(". Did you mean `{n}`?")).unwrap_or_default())]
    UnknownPlugin {
        /// "transformation" or "sampling kernel".
        what: &'static str,
        /// The name asked for.
        name: String,
        /// Every name there is, sorted.
        known: Vec<String>,
        /// The nearest of them, where one is near.
        nearest: Option<String>,
    },
    /// Two plugins of one name.
    #[error("a {what} named `{name}` is registered already; give one of the two another name")]
    DuplicatePlugin {
        /// "transformation" or "sampling kernel".
        what: &'static str,
        /// The name both claim.
        name: String,
    },
    /// Parameters that cannot be read or are out of range; every fault found.
    #[error("`{plugin}`: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Parameters {
        /// The plugin whose parameters they are.
        plugin: String,
        /// What is wrong with each.
        faults: Vec<Fault>,
    },
    /// A request that a transformation, kernel or grid cannot serve.
    #[error("{0}")]
    Unsupported(String),
    /// An error of the tensor library.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// A single parameter out of range: names the parameter, says what would do.
    pub fn parameter(plugin: &str, parameter: &str, message: impl Into<String>) -> Self {
        Self::Parameters { plugin: plugin.into(), faults: vec![Fault::at([parameter], message)] }
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor(inner) => inner,
            other => candle_core::Error::wrap(other),
        }
    }
}
