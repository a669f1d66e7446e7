//! Experiment specification, plan, executor, trainer and store.
//!
//! One TOML file becomes a list of [`Trial`]s ([`Experiment::load`]), [`run`] trains them one after another, and the store keeps what each measured as Parquet.
//! Data flows one way: file, plan, trial, Parquet. Nothing here draws.

mod error;
mod executor;
mod machine;
mod observer;
mod predict;
mod reference;
mod spec;
mod store;
mod trainer;
mod trial_log;

pub use error::{Error, Result};
pub use executor::slurm::{QueuedTask, Stopped, Submitted, TaskCommand, requeue_task, submit, task_threads};
pub use executor::{DeviceName, RunOptions, RunSummary, run};
pub use observer::{Observer, Silent};
pub use predict::{PredictedWarp, Predictions, TrainedTrial};
pub use reference::{json_schema, reference, results_reference};
pub use spec::diagnostics::{Diagnostic, Diagnostics};
pub use spec::experiment::Experiment;
pub use spec::train::{EarlyStop, Monitor, Precision, TrainSpec};
pub use spec::trial::{Trial, TrialConfig};
pub use store::overview::{Overview, TrialStatus, overview};
pub use store::schema::{Column, TableDoc, schema};
pub use store::{Holder, Said, TrialState};
