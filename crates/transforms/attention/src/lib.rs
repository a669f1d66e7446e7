//! The attention transformation.
