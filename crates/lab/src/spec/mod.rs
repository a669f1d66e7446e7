//! From a TOML file to a list of trials.
//!
//! The file is read in stages: text to tables that know where each value was written ([`document`]), `key=value` arguments laid over them ([`overrides`]), the sweep
//! expanded ([`sweep`]), and each trial's sections put together ([`resolve`]), decoded and planned ([`planner`]). Faults carry key paths; [`diagnostics`] turns them into lines with a caret.

pub(crate) mod canonical;
pub(crate) mod diagnostics;
pub(crate) mod document;
pub(crate) mod experiment;
pub(crate) mod findings;
pub(crate) mod objective;
pub(crate) mod overrides;
pub(crate) mod planner;
pub(crate) mod resolve;
pub(crate) mod sections;
pub(crate) mod slurm;
pub(crate) mod sweep;
pub(crate) mod train;
pub(crate) mod trial;
pub(crate) mod trial_list;
