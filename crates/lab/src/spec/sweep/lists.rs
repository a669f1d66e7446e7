//! The axes whose values are listed: those of the grid, and zips.

use std::rc::Rc;

use stn_core::Fault;
use toml::{Table, Value};

use super::{Assignment, Axis, SweptKey, below, repeated};

/// An axis for each key of `[sweep.grid]`.
pub(super) fn grid(table: &Table, at: &[String], faults: &mut Vec<Fault>) -> Vec<Axis> {
    let mut axes = Vec::new();
    for (name, values) in table {
        let Some((key, values)) = keep(listed(name, values, at), faults) else { continue };
        let twice = repeated(values);
        faults.extend(twice.iter().map(|i| Fault::at(below(&key.origin, [&i.to_string()]), format!("the value {} stands here twice", values[*i]))));
        axes.push((0..values.len()).map(|i| vec![element(&key, values, i)]).collect());
    }
    axes
}

/// The axis of one `[[sweep.zip]]`: point number i takes element number i of every list.
pub(super) fn zip(table: &Table, at: &[String], faults: &mut Vec<Fault>) -> Option<Axis> {
    if table.is_empty() {
        let fault = Fault::at(at.to_vec(), "there is no list in this zip").help("write lists of one length below it: \"train.lr\" = [0.1, 0.01]");
        faults.push(fault);
        return None;
    }
    let before = faults.len();
    let lists: Vec<_> = table.iter().filter_map(|(name, values)| keep(listed(name, values, at), faults)).collect();
    if faults.len() > before {
        return None;
    }
    faults.extend(unequal(&lists));
    if faults.len() > before {
        return None;
    }
    let (_, first) = lists.first()?;
    let point = |i: usize| lists.iter().map(|(key, values)| element(key, values, i)).collect::<Vec<_>>();
    let axis: Axis = (0..first.len()).map(point).collect();
    let words =
        |point: &Vec<Assignment>| point.iter().map(|assignment| format!("{} = {}", assignment.key.name, assignment.value)).collect::<Vec<_>>().join(", ");
    for i in repeated(axis.iter().map(words)) {
        faults.push(Fault::at(axis[i][0].origin(), format!("the values at this place stand in this zip twice: {}", words(&axis[i]))));
    }
    Some(axis)
}

/// A fault at each list that is not as long as most of them are; as the first, where no length is the most frequent.
fn unequal(lists: &[(Rc<SweptKey>, &[Value])]) -> Vec<Fault> {
    let votes = |length: usize| lists.iter().filter(|(_, values)| values.len() == length).count();
    let Some(usual) = lists.iter().map(|(_, values)| values.len()).rev().max_by_key(|length| votes(*length)) else { return Vec::new() };
    let lengths = lists.iter().map(|(key, values)| format!("`{}` has {}", key.name, values.len())).collect::<Vec<_>>().join(", ");
    let odd = lists.iter().filter(|(_, values)| values.len() != usual);
    odd.map(|(key, _)| {
        let fault = Fault::at(key.origin.clone(), format!("the lists of a zip must be of one length: {lengths}"));
        fault.help(format!("give `{}` {usual} {}, or put it into [sweep.grid] for all combinations", key.name, if usual == 1 { "value" } else { "values" }))
    })
    .collect()
}

/// A key and the values listed for it, of which there must be one at least.
fn listed<'a>(name: &str, values: &'a Value, at: &[String]) -> Result<(Rc<SweptKey>, &'a [Value]), Fault> {
    let key = SweptKey::read(name, below(at, [name]), "[0.01, 0.1]")?;
    match values {
        Value::Array(values) if values.is_empty() => {
            let fault = Fault::at(key.origin.clone(), "there is no value in this list, so nothing to train");
            Err(fault.help("list at least one value, or take the key out of the sweep"))
        }
        Value::Array(values) => Ok((key, values)),
        other => {
            let fault = Fault::at(key.origin.clone(), format!("expected a list of values to sweep, found {}", other.type_str()));
            Err(fault.help(match other {
                Value::Table(table) if table.keys().any(|key| super::DISTRIBUTIONS.contains(&key.as_str())) => {
                    "distributions stand in [sweep.random.keys]".to_owned()
                }
                _ => format!("write [{other}] for one value"),
            }))
        }
    }
}

fn element(key: &Rc<SweptKey>, values: &[Value], i: usize) -> Assignment {
    Assignment { key: Rc::clone(key), value: values[i].clone(), inner: vec![i.to_string()], between: false }
}

fn keep<T>(read: Result<T, Fault>, faults: &mut Vec<Fault>) -> Option<T> {
    read.map_err(|fault| faults.push(fault)).ok()
}
