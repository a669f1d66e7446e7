//! The projective transformation.
