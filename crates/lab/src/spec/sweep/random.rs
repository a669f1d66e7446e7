//! The axis of `[sweep.random]`: points drawn at random, each from streams of its own.

use std::rc::Rc;

use rand::Rng;
use stn_core::stream::stream;
use stn_core::{Fault, parameters};
use toml::{Table, Value};

use super::super::sections::RandomSection;
use super::{Assignment, Axis, MOST_TRIALS, SweptKey, below, repeated, too_many};

/// The names of the distributions.
pub(crate) const DISTRIBUTIONS: [&str; 3] = ["uniform", "log_uniform", "choice"];

/// What a key's values are drawn from.
#[derive(Debug, Clone, PartialEq)]
enum Distribution {
    /// Uniform over the numbers from the first to the second.
    Uniform(f64, f64),
    /// Uniform over the whole numbers from the first to the second, both included.
    UniformWhole(i64, i64),
    /// The logarithm is uniform.
    LogUniform(f64, f64),
    /// The whole number at or below a log-uniform number from the first to one above the second.
    LogUniformWhole(i64, i64),
    /// Each element as likely as another.
    Choice(Vec<Value>),
}

/// The points drawn; `None` and faults where something is wrong.
pub(super) fn axis(table: &Table, at: &[String], faults: &mut Vec<Fault>) -> Option<Axis> {
    let before = faults.len();
    let section: RandomSection = match parameters::decode(table) {
        Ok(section) => section,
        Err(found) => {
            faults.extend(found.into_iter().map(|fault| fault.below(at.to_vec())));
            return None;
        }
    };
    let count = count(&section, at).map_err(|fault| faults.push(fault)).unwrap_or_default();
    let at_keys = below(at, ["keys"]);
    if section.keys.0.is_empty() {
        let fault = Fault::at(at.to_vec(), "there is no key to draw values for")
            .help("add [sweep.random.keys] with for example \"train.lr\" = { log_uniform = [1e-4, 1e-1] }");
        faults.push(fault);
    }
    let mut drawn = Vec::new();
    for (name, value) in &section.keys.0 {
        let origin = below(&at_keys, [name]);
        match (SweptKey::read(name, origin.clone(), "{ uniform = [0.01, 0.1] }"), Distribution::read(value)) {
            (Ok(key), Ok(distribution)) => drawn.push((key, distribution)),
            (key, distribution) => {
                faults.extend(key.err());
                faults.extend(distribution.err().into_iter().flatten().map(|fault| fault.below(origin.clone())));
            }
        }
    }
    let point = |i: usize| drawn.iter().map(|(key, distribution)| draw(key, distribution, section.seed, i)).collect();
    (faults.len() == before).then(|| (0..count).map(point).collect())
}

fn count(section: &RandomSection, at: &[String]) -> Result<usize, Fault> {
    let help = "say how many points to draw: count = 10";
    match section.count {
        None => Err(Fault::at(at.to_vec(), "missing key `count`").help(help)),
        Some(0) => Err(Fault::at(below(at, ["count"]), "must be at least 1, not 0").help("to draw nothing, take `random` out of the sweep")),
        Some(count) => usize::try_from(count).ok().filter(|count| *count <= MOST_TRIALS).ok_or_else(|| too_many(below(at, ["count"]))),
    }
}

/// Draw number `i` of a key: of the seed, the key and the number alone.
fn draw(key: &Rc<SweptKey>, distribution: &Distribution, seed: u64, i: usize) -> Assignment {
    let bits = stream(seed, &format!("sweep: {}", key.path.join(".")), i as u64).next_u64();
    let (value, inner) = distribution.at(bits);
    Assignment { key: Rc::clone(key), value, inner, between: !matches!(distribution, Distribution::Choice(_)) }
}

impl Distribution {
    /// Reads `{ uniform = [0, 1] }` and its like; the faults' paths begin at the table.
    fn read(value: &Value) -> Result<Self, Vec<Fault>> {
        let example = "write for example { uniform = [0.0, 1.0] }, { log_uniform = [1e-4, 1e-1] } or { choice = [1, 2, 4] }";
        let here = [""; 0];
        let Value::Table(table) = value else {
            let help = if value.is_array() { format!("for one of these values each time write {{ choice = {value} }}") } else { example.to_owned() };
            return Err(vec![Fault::at(here, format!("expected a distribution to draw from, found {}", value.type_str())).help(help)]);
        };
        let unknown: Vec<_> = table.keys().filter(|name| !DISTRIBUTIONS.contains(&name.as_str())).collect();
        if !unknown.is_empty() {
            return Err(unknown.into_iter().map(|name| Fault::unknown([name], "distribution", name, &DISTRIBUTIONS)).collect());
        }
        let mut given = table.iter();
        let Some((kind, parameters)) = given.next() else {
            return Err(vec![Fault::at(here, "the distribution to draw from is missing").help(example)]);
        };
        if let Some((second, _)) = given.next() {
            let fault = Fault::at([second], format!("`{kind}` and `{second}` are two distributions for one key"));
            return Err(vec![fault.help("keep one of them")]);
        }
        let read = if kind == "choice" { choice(parameters) } else { range(parameters, kind == "log_uniform") };
        read.map_err(|faults| faults.into_iter().map(|fault| fault.below([kind])).collect())
    }

    /// The value that 64 random bits stand for, and where below the key it stands or what it was drawn from.
    fn at(&self, bits: u64) -> (Value, Vec<String>) {
        let from = |name: &str| vec![name.to_owned()];
        match self {
            Self::Uniform(low, high) => {
                let part = unit(bits);
                // Not low + part (high - low): the difference may be above every number.
                (Value::Float((low * (1.0 - part) + high * part).clamp(*low, *high)), from("uniform"))
            }
            Self::UniformWhole(low, high) => {
                let offset = below_count(bits, high.abs_diff(*low));
                (Value::Integer(low.wrapping_add_unsigned(offset)), from("uniform"))
            }
            Self::LogUniform(low, high) => (Value::Float(between_logarithms(*low, *high, bits)), from("log_uniform")),
            Self::LogUniformWhole(low, high) => {
                let drawn = between_logarithms(*low as f64, *high as f64 + 1.0, bits);
                (Value::Integer((drawn as i64).clamp(*low, *high)), from("log_uniform"))
            }
            Self::Choice(values) => {
                let i = below_count(bits, values.len() as u64 - 1) as usize;
                (values[i].clone(), vec!["choice".to_owned(), i.to_string()])
            }
        }
    }
}

/// A number from 0 up to 1: the first 53 of 64 bits.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A whole number from 0 to `last`, both included.
fn below_count(bits: u64, last: u64) -> u64 {
    ((u128::from(bits) * (u128::from(last) + 1)) >> 64) as u64
}

/// The number whose logarithm lies between those of `low` and `high` as far as [`unit`] of the bits lies between 0 and 1.
///
/// The interval is halved once for each bit, at the geometric mean. A machine's `exp` and `ln` may differ from another's in the last digit, and a trial's id with it;
/// square roots and products are the same everywhere.
fn between_logarithms(low: f64, high: f64, bits: u64) -> f64 {
    let (mut from, mut to) = (low, high);
    for bit in (11..64).rev() {
        let middle = from.sqrt() * to.sqrt();
        if bits >> bit & 1 == 1 {
            from = middle;
        } else {
            to = middle;
        }
    }
    from.clamp(low, high)
}

fn choice(values: &Value) -> Result<Distribution, Vec<Fault>> {
    let here = [""; 0];
    let Value::Array(values) = values else {
        let fault = Fault::at(here, format!("expected a list of values to choose from, found {}", values.type_str()));
        return Err(vec![fault.help("write for example { choice = [1, 2, 4] }")]);
    };
    if values.is_empty() {
        return Err(vec![Fault::at(here, "there is no value in this list to choose from").help("list at least one value, or take the key out of the sweep")]);
    }
    let twice: Vec<_> = repeated(values).into_iter().map(|i| Fault::at([i.to_string()], format!("the value {} stands here twice", values[i]))).collect();
    if twice.is_empty() { Ok(Distribution::Choice(values.clone())) } else { Err(twice) }
}

/// A distribution between two bounds.
fn range(bounds: &Value, log: bool) -> Result<Distribution, Vec<Fault>> {
    let here = [""; 0];
    let help = "write the least and the greatest value: [0.0, 1.0], or whole numbers for whole numbers";
    let Value::Array(given) = bounds else {
        return Err(vec![Fault::at(here, format!("expected two bounds, found {}", bounds.type_str())).help(help)]);
    };
    let [low, high] = given.as_slice() else {
        let count = given.len();
        return Err(vec![Fault::at(here, format!("expected two bounds, found {count} {}", if count == 1 { "value" } else { "values" })).help(help)]);
    };
    let (low_number, high_number) = match (number(low), number(high)) {
        (Ok(low), Ok(high)) => (low, high),
        (low, high) => {
            let wrong = [low.err(), high.err()].into_iter().enumerate().filter_map(|(i, message)| Some((i, message?)));
            return Err(wrong.map(|(i, message)| Fault::at([i.to_string()], message)).collect());
        }
    };
    if log && low_number <= 0.0 {
        let fault = Fault::at(["0"], format!("the bounds of a log-uniform draw must be above 0, not {low}"));
        return Err(vec![fault.help("use a small number such as 1e-4, or { uniform = ... }")]);
    }
    let ordered = match (low, high) {
        (Value::Integer(low), Value::Integer(high)) => low < high,
        _ => low_number < high_number,
    };
    if !ordered {
        let swapped = low_number > high_number;
        let fault =
            Fault::at(here, format!("the first bound must be below the second, but {low} is {} {high}", if swapped { "above" } else { "no less than" }));
        return Err(vec![fault.help(if swapped {
            format!("swap them: [{high}, {low}]")
        } else {
            "for one value take the key out of the draws and set it in its section".into()
        })]);
    }
    Ok(match (low, high, log) {
        (Value::Integer(low), Value::Integer(high), false) => Distribution::UniformWhole(*low, *high),
        (Value::Integer(low), Value::Integer(high), true) => Distribution::LogUniformWhole(*low, *high),
        (_, _, false) => Distribution::Uniform(low_number, high_number),
        (_, _, true) => Distribution::LogUniform(low_number, high_number),
    })
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Integer(whole) => Ok(*whole as f64),
        Value::Float(number) if number.is_finite() => Ok(*number),
        Value::Float(number) => Err(format!("a bound must be a finite number, not {number}")),
        other => Err(format!("expected a number, found {}", other.type_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Distribution {
        Distribution::read(&text.parse::<Value>().unwrap()).unwrap()
    }

    fn drawn(text: &str, count: u64) -> Vec<Value> {
        let distribution = read(text);
        (0..count).map(|i| distribution.at(stream(0, "test", i).next_u64()).0).collect()
    }

    #[test]
    fn uniform_draws_fill_the_interval_evenly() {
        let values: Vec<f64> = drawn("{ uniform = [-1.0, 3] }", 4000).iter().filter_map(Value::as_float).collect();
        assert_eq!(values.len(), 4000);
        assert!(values.iter().all(|value| (-1.0..=3.0).contains(value)));
        let below_0 = values.iter().filter(|value| **value < 0.0).count();
        assert!((900..1100).contains(&below_0), "{below_0}");
    }

    #[test]
    fn whole_bounds_draw_whole_numbers_both_bounds_among_them() {
        let counts = |text: &str| {
            let values = drawn(text, 6000);
            [2, 3, 4].map(|wanted| values.iter().filter(|value| value.as_integer() == Some(wanted)).count())
        };
        let even = counts("{ uniform = [2, 4] }");
        assert!(even.iter().sum::<usize>() == 6000 && even.iter().all(|count| (1850..2150).contains(count)), "{even:?}");
        // ln(3/2), ln(4/3) and ln(5/4), over ln(5/2).
        let falling = counts("{ log_uniform = [2, 4] }");
        let expected = [2655.0, 1884.0, 1461.0];
        assert!(
            falling.iter().sum::<usize>() == 6000 && falling.iter().zip(expected).all(|(count, expected)| (*count as f64 - expected).abs() < 150.0),
            "{falling:?}"
        );
    }

    #[test]
    fn each_decade_of_a_log_uniform_draw_is_as_likely() {
        let values: Vec<f64> = drawn("{ log_uniform = [1e-4, 1e-1] }", 6000).iter().filter_map(Value::as_float).collect();
        for low in [1e-4, 1e-3, 1e-2] {
            let count = values.iter().filter(|value| (low..low * 10.0).contains(*value)).count();
            assert!((1850..2150).contains(&count), "from {low}: {count}");
        }
    }

    #[test]
    fn a_log_uniform_draw_is_that_of_logarithms() {
        for i in 0..100 {
            let bits = stream(1, "test", i).next_u64();
            let expected = (1e-5f64.ln() + unit(bits) * (20f64.ln() - 1e-5f64.ln())).exp();
            let found = between_logarithms(1e-5, 20.0, bits);
            assert!((found / expected - 1.0).abs() < 1e-13, "{found} {expected}");
        }
    }

    #[test]
    fn the_first_and_the_last_bits_stay_within_any_bounds() {
        for bits in [0, u64::MAX] {
            let last = bits > 0;
            let most = i64::MAX;
            assert_eq!(Distribution::UniformWhole(i64::MIN, most).at(bits).0, Value::Integer(if last { most } else { i64::MIN }));
            assert_eq!(Distribution::LogUniformWhole(1, 9).at(bits).0, Value::Integer(if last { 9 } else { 1 }));
            assert_eq!(Distribution::Choice(vec![Value::Integer(5), Value::Integer(6)]).at(bits).0, Value::Integer(if last { 6 } else { 5 }));
            for (low, high) in [(-f64::MAX, f64::MAX), (f64::MIN_POSITIVE, f64::MAX)] {
                let drawn = Distribution::Uniform(low, high).at(bits).0.as_float().unwrap();
                assert!((low..=high).contains(&drawn));
            }
            let drawn = between_logarithms(f64::MIN_POSITIVE, f64::MAX, bits);
            assert!(if last { drawn > 1e308 } else { drawn == f64::MIN_POSITIVE }, "{drawn}");
        }
    }
}
