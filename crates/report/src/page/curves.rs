//! The learning curves of every trial, small enough for a page.

use crate::query::Measurement;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most points of all curves together: some 2 MB of text.
const POINTS: usize = 300_000;
/// So many a curve has in any case.
const LEAST: usize = 20;

/// The curves, as JSON, and how many points each has at most where that is not all of them.
///
/// `steps` lists different series of steps; `trials` has for each trial its test and its training curve: the index of its steps and its errors in percent, to three
/// decimals, null where they are not finite.
pub fn json(measurements: &[Measurement], trials: usize) -> (Value, Option<usize>) {
    let mut curves: Vec<[Vec<(i64, f64)>; 2]> = vec![Default::default(); trials];
    for m in measurements {
        curves[m.trial][usize::from(!m.test)].push((m.step, m.error));
    }
    let longest = curves.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let most = (POINTS / (2 * trials).max(1)).max(LEAST);
    let mut known: BTreeMap<Vec<i64>, usize> = BTreeMap::new();
    let mut steps: Vec<Vec<i64>> = Vec::new();
    let mut line = |points: &[(i64, f64)]| {
        let points = thinned(points, most);
        let own: Vec<i64> = points.iter().map(|(step, _)| *step).collect();
        let index = *known.entry(own).or_insert_with_key(|own| {
            steps.push(own.clone());
            steps.len() - 1
        });
        json!([index, points.iter().map(|(_, error)| rounded(*error)).collect::<Vec<_>>()])
    };
    let trials: Vec<Value> = curves.iter().map(|[test, train]| json!([line(test), line(train)])).collect();
    (json!({ "steps": steps, "trials": trials }), (longest > most).then_some(most))
}

/// Points evenly spread, at most `most`; the last one is kept.
fn thinned(points: &[(i64, f64)], most: usize) -> Vec<(i64, f64)> {
    let every = points.len().div_ceil(most).max(1);
    points.iter().enumerate().filter(|(i, _)| (points.len() - 1 - i).is_multiple_of(every)).map(|(_, point)| *point).collect()
}

/// To three decimals; whole numbers without any, which is shorter.
pub fn rounded(value: f64) -> Value {
    let rounded = (value * 1e3).round() / 1e3;
    if rounded.fract() == 0.0 && rounded.abs() < 1e15 { json!(rounded as i64) } else { json!(rounded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_last_point_and_no_more_than_asked_for() {
        let points: Vec<(i64, f64)> = (0..11).map(|i| (i, 0.0)).collect();
        let steps = |most| thinned(&points, most).iter().map(|(step, _)| *step).collect::<Vec<_>>();
        assert_eq!(steps(4), [1, 4, 7, 10]);
        assert_eq!(steps(11).len(), 11);
        assert!(thinned(&[], 4).is_empty());
    }

    #[test]
    fn curves_share_their_steps_and_what_is_not_finite_is_null() {
        let at = |trial, step, test, error| Measurement { trial, step, test, error };
        let (json, thinned) = json(&[at(0, 10, true, 1.23456), at(0, 20, true, f64::NAN), at(1, 10, true, 2.0), at(1, 20, true, 3.0)], 2);
        assert_eq!(json.to_string(), r#"{"steps":[[10,20],[]],"trials":[[[0,[1.235,null]],[1,[]]],[[0,[2,3]],[1,[]]]]}"#);
        assert_eq!(thinned, None);
    }
}
