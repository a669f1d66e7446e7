//! `plan.parquet`: which trials belong to the latest run.

use std::path::Path;

use polars::prelude::Column;

use super::frame;
use crate::{Experiment, Result};

/// Writes the plan of an experiment.
pub(crate) fn write(path: &Path, experiment: &Experiment) -> Result<()> {
    frame::write(path, columns(experiment))
}

fn columns(experiment: &Experiment) -> Vec<Column> {
    let trials = experiment.trials();
    let texts = |name: &str, text: &dyn Fn(&crate::Trial) -> String| Column::new(name.into(), trials.iter().map(text).collect::<Vec<_>>());
    vec![
        texts("trial", &|trial| trial.id.clone()),
        texts("model", &|trial| trial.model.clone()),
        texts("label", &|trial| trial.label.clone()),
        Column::new("seed".into(), trials.iter().map(|trial| trial.seed as i64).collect::<Vec<_>>()),
        texts("differs", &|trial| serde_json::to_string(&trial.differs).unwrap_or_default()),
    ]
}
