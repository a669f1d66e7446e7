//! The similarity transformation.
