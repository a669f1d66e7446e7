//! The rigid transformation.
