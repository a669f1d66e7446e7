//! Experiment specification, plan, executor, trainer and store.
