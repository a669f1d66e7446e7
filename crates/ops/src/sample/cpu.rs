//! The loops over samples, tiles, channels and taps.
