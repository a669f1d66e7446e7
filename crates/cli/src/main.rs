//! The `stn` program.
fn main() {}
