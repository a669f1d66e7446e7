//! One file a command.

pub(crate) mod data;
pub(crate) mod op;
pub(crate) mod plugins;
pub(crate) mod reference;
pub(crate) mod report;
pub(crate) mod run;
