//! Which trials a file makes, and what comes of them.

mod birds;
mod experiment;
mod pruning;
mod resume;
mod run;
mod sweep;
mod tiny;
mod user_data;
mod weights;
