//! The trials whose test images are drawn: of each model with transformers, the first seed.

use super::Kind;
use crate::query::recordings::{Wrong, worst};
use crate::query::{Store, Warp, moments};
use crate::summary::Summary;
use std::collections::BTreeSet;

/// Most models of a distortion whose images are read.
const MOST: usize = 12;

/// What the transformers of one model did to the test images.
pub struct Shown {
    /// Index into [`Summary::distortions`].
    pub distortion: usize,
    /// Index into [`Summary::series`].
    pub series: usize,
    /// The trial's id.
    pub trial: String,
    /// At the end of the training.
    pub end: Vec<Warp>,
    /// At the moments before, in order.
    pub before: Vec<Warp>,
    /// The images misread with the largest losses, worst first.
    pub worst: Vec<Wrong>,
}

/// Everything whose images are drawn.
#[derive(Default)]
pub struct Gallery {
    /// Model by model.
    pub shown: Vec<Shown>,
    /// Distortions of which there are more models than are read.
    pub more: BTreeSet<usize>,
}

impl Gallery {
    /// Reads the images of the models that have transformers; what cannot be read goes to the store's bad files.
    pub fn read(summary: &Summary, store: &mut Store) -> Self {
        let mut gallery = Self::default();
        let mut plain: BTreeSet<(String, i64)> = BTreeSet::new();
        for row in &summary.rows {
            if gallery.of(row.distortion).count() == MOST {
                gallery.more.insert(row.distortion);
                continue;
            }
            for &i in &row.trials {
                let trial = &store.trials[i];
                let network = (trial.model.clone(), trial.parameters);
                if plain.contains(&network) {
                    break;
                }
                let bad = store.bad.len();
                let warps = moments(trial, &mut store.bad);
                let last = warps.iter().map(|warp| warp.trained).max();
                let (end, mut before): (Vec<Warp>, Vec<Warp>) = warps.into_iter().partition(|warp| Some(warp.trained) == last);
                if !end.is_empty() {
                    before.sort_by_key(|warp| warp.trained);
                    let worst = worst(trial, &mut store.bad);
                    gallery.shown.push(Shown { distortion: row.distortion, series: row.series, trial: trial.id.clone(), end, before, worst });
                    break;
                }
                if store.bad.len() == bad {
                    plain.insert(network);
                    break;
                }
            }
        }
        gallery
    }

    /// The models of a distortion.
    pub fn of(&self, distortion: usize) -> impl Iterator<Item = &Shown> {
        self.shown.iter().filter(move |shown| shown.distortion == distortion)
    }
}

/// Whether a figure of this kind shows images.
pub fn is_needed_for(kind: Kind) -> bool {
    matches!(kind, Kind::Montage | Kind::Worst | Kind::Windows | Kind::Volumes | Kind::Straightening)
}
