//! Widths written `"auto"`: one number for all of them, solved against a parameter budget.

use stn_core::Fault;

use crate::NetworkSpec;
use crate::reading::KeyPath;
use crate::spec::{LARGEST, LayerKind, LayerSpec, LocaliserSpec, Width};

/// The farthest that the nearest width may lie from the budget.
const FARTHEST: f64 = 1.25;

/// The width whose parameter count is nearest to the budget; `None` where no layer is `"auto"`. `count` must grow with the width.
pub(super) fn solve(spec: &NetworkSpec, count: impl Fn(usize) -> Result<usize, Vec<Fault>>) -> Result<Option<usize>, Vec<Fault>> {
    let root = KeyPath::default();
    let (budget, first) = match (spec.budget, first_auto(&spec.layers)) {
        (None, None) => return Ok(None),
        (Some(budget), Some(first)) => (budget, first),
        (None, Some(at)) => {
            return Err(vec![at.fault("\"auto\" needs a budget").help("set `parameters` beside `layers`, for example parameters = 400000")]);
        }
        (Some(_), None) => {
            return Err(vec![
                root.key("parameters").fault("no width is \"auto\", so there is nothing to solve").help("remove `parameters`, or write \"auto\" for a width"),
            ]);
        }
    };
    let mut above = 1;
    while above < LARGEST && count(above)? < budget {
        above = (above * 2).min(LARGEST);
    }
    let mut below = above / 2;
    // Invariant: count(below) < budget <= count(above), with count(0) taken as below any budget.
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if count(middle)? < budget { below = middle } else { above = middle }
    }
    let mut nearest = (above, count(above)?);
    if below > 0 {
        let lower = count(below)?;
        if budget.abs_diff(lower) <= budget.abs_diff(nearest.1) {
            nearest = (below, lower);
        }
    }
    let (width, parameters) = nearest;
    let ratio = parameters as f64 / budget as f64;
    if (1.0 / FARTHEST..=FARTHEST).contains(&ratio) {
        return Ok(Some(width));
    }
    let fault = first.fault(format!("no width brings this network near {budget} parameters: the nearest is {width}, with {parameters}"));
    Err(vec![fault.help("change `parameters`, or the layers whose width is fixed")])
}

/// Where the first `"auto"` is written.
fn first_auto(layers: &[LayerSpec]) -> Option<KeyPath> {
    layers.iter().find_map(|layer| match &layer.kind {
        LayerKind::Conv { filters: Width::Auto, .. } | LayerKind::Fc { units: Width::Auto } => Some(layer.at.clone()),
        LayerKind::Transformers(spec) => match &spec.localisers {
            LocaliserSpec::Each(lists) => lists.iter().find_map(|list| first_auto(list)),
            LocaliserSpec::Shared(list) => first_auto(list),
        },
        _ => None,
    })
}
