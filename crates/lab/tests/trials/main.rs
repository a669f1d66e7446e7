//! Which trials a file makes, and what comes of them.

mod experiment;
mod pruning;
mod resume;
mod run;
mod sweep;
mod tiny;
mod user_data;
mod weights;
