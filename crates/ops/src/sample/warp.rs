//! Where the coordinates of a tile come from.
