//! The bicubic sampling kernel.
