//! `confusion.parquet`: which classes the network takes for which.

use std::collections::BTreeMap;

use polars::prelude::{Column, DataFrame};

use crate::Result;

/// How many images have a class and are given another, or the same: by label of an image from 0, class, and the class given, -1 for none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Confusion(BTreeMap<(usize, u32, i64), i64>);

impl Confusion {
    /// Counts an image's label.
    pub fn count(&mut self, label: usize, class: u32, predicted: i64) {
        *self.0.entry((label, class, predicted)).or_default() += 1;
    }

    /// One row a pair that occurs.
    pub fn frame(&self) -> Result<DataFrame> {
        let column = |name: &str, numbers: Vec<i64>| Column::new(name.into(), numbers);
        let columns = vec![
            column("head", self.0.keys().map(|(head, _, _)| *head as i64).collect()),
            column("class", self.0.keys().map(|(_, class, _)| i64::from(*class)).collect()),
            column("predicted", self.0.keys().map(|(_, _, predicted)| *predicted).collect()),
            column("images", self.0.values().copied().collect()),
        ];
        Ok(DataFrame::new_infer_height(columns)?)
    }
}
