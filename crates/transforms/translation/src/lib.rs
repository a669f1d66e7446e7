//! The translation transformation.
