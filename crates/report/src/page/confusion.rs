//! Which classes the models take for which, small enough for a page.

use super::montage::MODELS;
use crate::query::Store;
use crate::query::recordings::confusion;
use crate::summary::Summary;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// With more classes than these a table is no help.
const CLASSES: usize = 40;

/// Of each model on each distortion, all its seeds together, as JSON: class, what it was taken for, images.
pub fn json(summary: &Summary, store: &Store) -> Value {
    // The figures have read the same files, and named the bad ones.
    let mut bad = Vec::new();
    let mut note = String::new();
    let mut matrices = Vec::new();
    let leading = summary.leading(MODELS);
    for row in &leading.rows {
        let mut images: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let mut seeds = 0;
        for &trial in &row.trials {
            let found = confusion(&store.trials[trial], &mut bad);
            seeds += usize::from(!found.is_empty());
            found.iter().for_each(|of| *images.entry((of.class, of.predicted)).or_default() += of.images);
        }
        let classes: BTreeSet<i64> = images.keys().flat_map(|(class, predicted)| [*class, *predicted]).collect();
        if classes.len() > CLASSES {
            note = format!("There are more than {CLASSES} classes: the figures beside this page show what they are taken for.");
        } else if seeds > 0 {
            let series = summary.series.iter().position(|series| *series == leading.series[row.series]);
            let images: Vec<_> = images.into_iter().map(|((class, predicted), images)| (class, predicted, images)).collect();
            matrices.push(json!({ "series": series, "distortion": summary.distortions[row.distortion], "seeds": seeds, "images": images }));
        }
    }
    note += &leading.best_of_words().map(|words| format!(" These are {words} models.")).unwrap_or_default();
    json!({ "matrices": matrices, "note": note.trim() })
}
