//! From coordinates to the pixels that are read and their weights.

/// The longest axis of a source, in pixels.
pub(super) const LONGEST_AXIS: usize = 1 << 28;
