//! The affine3d transformation.
