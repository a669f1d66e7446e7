//! Queries over the store, drawn as figures, tables and pages.
