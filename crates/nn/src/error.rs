//! What can go wrong once a network stands.

/// The result of every fallible function of this crate that does not read a file's table.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a network or an optimiser.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Images of another shape than the network was planned for.
    #[error("this network takes images of N x {expected} with N at least 1, not {found}")]
    Input {
        /// The planned shape without the batch, "1 x 28 x 28".
        expected: String,
        /// The shape found, with the batch.
        found: String,
    },
    /// A saved tensor that is not there, is there too much, or has another shape.
    #[error("{0}")]
    Saved(String),
    /// A layer that failed, with its name.
    #[error("layer `{layer}`: {source}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// What happened in it.
        source: candle_core::Error,
    },
    /// A value out of range.
    #[error("{0}")]
    Invalid(String),
    /// An error of a plugin.
    #[error(transparent)]
    Core(#[from] stn_core::Error),
    /// An error of the tensor library.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
