//! The composed transformation.
