//! The standard registry: every transformation and sampling kernel of this repository, a line each.
