//! `trials.one_after_another`, `trials.side_by_side`: the same eight small trials, each with all threads in turn, or as many at once as there are threads.

use stn_core::Registry;
use stn_lab::{Experiment, RunOptions, Silent};

use crate::{Error, Job, Result};

/// The file of the trials.
const FILE: &str = include_str!("../experiments/small_trials.toml");

/// How the trials are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    OneAfterAnother,
    SideBySide,
}

impl Order {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneAfterAnother => "trials.one_after_another",
            Self::SideBySide => "trials.side_by_side",
        }
    }
}

/// An experiment from its text to its results, in a folder that is gone afterwards.
pub(crate) struct Trials<'a> {
    experiment: Experiment,
    order: Order,
    registry: &'a Registry,
}

impl<'a> Trials<'a> {
    pub(crate) fn new(order: Order, registry: &'a Registry) -> Result<Self> {
        let experiment = Experiment::parse(FILE, "small_trials.toml", "small_trials", &[], registry).map_err(Error::Experiment)?;
        Ok(Self { experiment, order, registry })
    }
}

impl Job for Trials<'_> {
    fn run(&mut self) -> Result<()> {
        let out = tempfile::tempdir().map_err(Error::Folder)?;
        let threads = rayon::current_num_threads();
        let jobs = if self.order == Order::SideBySide { threads } else { 1 };
        let options = RunOptions { jobs, ..RunOptions::new(out.path(), threads) };
        let summary = stn_lab::run(&self.experiment, &options, self.registry, &Silent)?;
        match summary.failed.first() {
            Some((trial, reason)) => Err(Error::Trial { trial: trial.clone(), reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_eight_trials() {
        let registry = stn_plugins::standard().unwrap();
        for order in [Order::OneAfterAnother, Order::SideBySide] {
            assert_eq!(Trials::new(order, &registry).unwrap().experiment.trials().len(), 8);
        }
    }
}
