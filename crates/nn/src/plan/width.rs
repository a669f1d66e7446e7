//! Widths written `"auto"`: one number for all of them, solved against a parameter budget.

use stn_core::Fault;

use crate::NetworkSpec;
use crate::reading::KeyPath;
use crate::spec::{LARGEST, LayerKind, LayerSpec, LocaliserSpec, Width};

/// The width whose parameter count is nearest to the budget, and within the tolerance; `None` where no layer is `"auto"`. `count` must grow with the width.
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
    let reached = [below, above].into_iter().filter(|&width| width > 0).map(|width| Ok((width, count(width)?))).collect::<Result<Vec<_>, Vec<Fault>>>()?;
    let nearest = reached.iter().min_by_key(|(_, parameters)| budget.abs_diff(*parameters));
    if let Some(&(width, _)) = nearest.filter(|(_, parameters)| budget.abs_diff(*parameters) as f64 <= spec.tolerance * budget as f64) {
        return Ok(Some(width));
    }
    let counts: Vec<String> = reached.iter().map(|(width, parameters)| format!("a width of {width} gives {parameters}")).collect();
    let percent = 100.0 * spec.tolerance;
    Err(vec![
        first
            .fault(format!("no width brings this network within {percent} % of {budget} parameters: {}", counts.join(", ")))
            .help("change `parameters`, or the layers whose width is fixed, or set `tolerance` beside `parameters`, for example tolerance = 0.1"),
    ])
}

/// Where the first `"auto"` is written.
fn first_auto(layers: &[LayerSpec]) -> Option<KeyPath> {
    layers.iter().find_map(|layer| match &layer.kind {
        LayerKind::Conv { filters: Width::Auto, .. } | LayerKind::Fc { units: Width::Auto } => Some(layer.at.clone()),
        LayerKind::Transformers(spec) => {
            let localisers = match &spec.localisers {
                LocaliserSpec::Each(lists) => lists.iter().find_map(|list| first_auto(list)),
                LocaliserSpec::Shared(list) => first_auto(list),
            };
            localisers.or_else(|| spec.each.iter().find_map(|list| first_auto(list)))
        }
        LayerKind::Branches(lists) => lists.iter().find_map(|list| first_auto(list)),
        _ => None,
    })
}
