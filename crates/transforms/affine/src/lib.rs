//! The affine transformation.
