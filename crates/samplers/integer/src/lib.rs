//! The integer sampling kernel.
