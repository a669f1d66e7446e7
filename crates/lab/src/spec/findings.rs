//! The same mistake in many points of a sweep, told once.

use std::collections::BTreeMap;

use super::diagnostics::Diagnostic;

/// A mistake in one point of the sweep.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub diagnostic: Diagnostic,
    /// Whether its place says already which points it is in: it stands among the values of the sweep.
    pub in_sweep: bool,
    /// Whether it is in a value drawn between bounds, which stands nowhere in the file.
    pub in_draw: bool,
    /// Whether it is in a model's own table.
    pub in_model: bool,
}

/// The mistakes of all points.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    all: Vec<Seen>,
    points: usize,
    of_model: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Seen {
    finding: Finding,
    model: String,
    first: String,
    points: usize,
}

impl Findings {
    /// Counts a point.
    pub fn point(&mut self, model: &str) {
        self.points += 1;
        *self.of_model.entry(model.to_owned()).or_default() += 1;
    }

    /// Adds a mistake found in a point; `point` says which, in words. What is wrong with the draws of a key is one mistake, told of the first.
    pub fn add(&mut self, finding: Finding, model: &str, point: impl FnOnce() -> String) {
        let same = |seen: &Finding| match seen.in_draw && finding.in_draw {
            true => seen.diagnostic.place() == finding.diagnostic.place(),
            false => seen.diagnostic == finding.diagnostic,
        };
        match self.all.iter_mut().find(|seen| same(&seen.finding)) {
            Some(seen) => seen.points += 1,
            None => self.all.push(Seen { finding, model: model.into(), first: point(), points: 1 }),
        }
    }

    /// Every mistake, with a word on which points have it where that is not all of them.
    pub fn told(self) -> Vec<Diagnostic> {
        let Self { all, points, of_model } = self;
        all.into_iter()
            .map(|Seen { finding, model, first, points: found }| {
                let possible = if finding.in_model { of_model.get(&model).copied().unwrap_or(points) } else { points };
                let note = match found {
                    _ if (finding.in_sweep && !finding.in_draw) || found == possible => None,
                    1 => Some(format!("in the trials with {first}")),
                    _ => Some(format!("in {found} of {points} points of the sweep, first with {first}")),
                };
                finding.diagnostic.note(note)
            })
            .collect()
    }
}
