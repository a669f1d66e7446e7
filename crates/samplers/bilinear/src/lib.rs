//! The bilinear sampling kernel.
