//! The command line: turns arguments into calls.
