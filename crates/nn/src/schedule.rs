//! Learning-rate schedules: the factor on the learning rate at each step.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::PluginSpec;
use stn_core::parameters::{self, Fault};
use toml::Value;

const KINDS: [&str; 4] = ["constant", "step", "milestones", "cosine"];

/// A schedule: how the learning rate changes, after `warmup` steps in which it rises in a straight line.
///
/// In a file: `"constant"`, `{ kind = "step", every = 50000, factor = 0.1 }`, `{ kind = "milestones", at = [10000, 20000, 25000], factor = 0.1 }`, `{ kind = "cosine", floor = 0.0, warmup = 500 }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleSpec {
    /// What happens after the warm-up.
    #[serde(flatten)]
    pub decay: Decay,
    /// Steps in front in which the factor rises from `1 / warmup` to 1.
    pub warmup: u64,
}

/// How the learning rate falls.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decay {
    /// Not at all.
    Constant,
    /// Multiplied by `factor` after every `every` steps.
    Step {
        /// Steps between two falls, counted from the end of the warm-up.
        every: u64,
        /// What the learning rate is multiplied by.
        factor: f64,
    },
    /// Multiplied by `factor` at each of some steps.
    Milestones {
        /// The steps, counted from the end of the warm-up, the earliest first.
        at: Vec<u64>,
        /// What the learning rate is multiplied by.
        factor: f64,
    },
    /// Half a cosine from 1 at the end of the warm-up to `floor` at the end of training.
    Cosine {
        /// The factor at the end.
        floor: f64,
    },
}

/// The keys of `constant`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Constant {
    warmup: u64,
}

/// The keys of `step`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Step {
    every: u64,
    factor: f64,
    warmup: u64,
}

impl Default for Step {
    fn default() -> Self {
        Self { every: 50_000, factor: 0.1, warmup: 0 }
    }
}

/// The keys of `milestones`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Milestones {
    at: Vec<u64>,
    factor: f64,
    warmup: u64,
}

impl Default for Milestones {
    /// Those of the paper's experiments on birds.
    fn default() -> Self {
        Self { at: vec![10_000, 20_000, 25_000], factor: 0.1, warmup: 0 }
    }
}

/// The keys of `cosine`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Cosine {
    floor: f64,
    warmup: u64,
}

impl Default for ScheduleSpec {
    fn default() -> Self {
        Self { decay: Decay::Constant, warmup: 0 }
    }
}

impl ScheduleSpec {
    /// Reads a name, or a table with a `kind`.
    ///
    /// # Errors
    ///
    /// Every mistake, at its path from the value.
    pub fn from_value(value: &Value) -> Result<Self, Vec<Fault>> {
        let PluginSpec { kind, parameters: table } = PluginSpec::from_value(value).map_err(|fault| vec![fault])?;
        let spec = match kind.as_str() {
            "constant" => {
                let Constant { warmup } = parameters::decode(&table)?;
                Self { decay: Decay::Constant, warmup }
            }
            "step" => {
                let Step { every, factor, warmup } = parameters::decode(&table)?;
                Self { decay: Decay::Step { every, factor }, warmup }
            }
            "milestones" => {
                let Milestones { at, factor, warmup } = parameters::decode(&table)?;
                Self { decay: Decay::Milestones { at, factor }, warmup }
            }
            "cosine" => {
                let Cosine { floor, warmup } = parameters::decode(&table)?;
                Self { decay: Decay::Cosine { floor }, warmup }
            }
            other => {
                let path: &[&str] = if value.is_table() { &["kind"] } else { &[] };
                return Err(vec![Fault::unknown(path.iter().copied(), "schedule", other, &KINDS)]);
            }
        };
        let faults = spec.out_of_range();
        if faults.is_empty() { Ok(spec) } else { Err(faults) }
    }

    fn out_of_range(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        match &self.decay {
            Decay::Step { every: 0, .. } => faults.push(Fault::at(["every"], "expected at least 1 step, found 0")),
            Decay::Milestones { at, .. } if at.is_empty() || !at.is_sorted_by(|a, b| a < b) => {
                faults.push(Fault::at(["at"], "expected steps, each after the one before it").help("write for example at = [10000, 20000, 25000]"));
            }
            _ => {}
        }
        match &self.decay {
            Decay::Constant => {}
            Decay::Step { factor, .. } | Decay::Milestones { factor, .. } => {
                if !(*factor > 0.0 && *factor <= 1.0) {
                    faults.push(Fault::at(["factor"], format!("expected a number above 0 and at most 1, found {factor}")));
                }
            }
            Decay::Cosine { floor } => {
                if !(0.0..=1.0).contains(floor) {
                    faults.push(Fault::at(["floor"], format!("expected a number from 0 to 1, found {floor}")));
                }
            }
        }
        faults
    }

    /// The factor on the learning rate at `step` (from 0) of `total` steps.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / self.warmup as f64;
        }
        let step = step - self.warmup;
        match &self.decay {
            Decay::Constant => 1.0,
            Decay::Step { every, factor } => factor.powf((step / (*every).max(1)) as f64),
            Decay::Milestones { at, factor } => factor.powf(at.iter().filter(|&&at| at <= step).count() as f64),
            Decay::Cosine { floor } => {
                let span = total.saturating_sub(self.warmup).max(1) as f64;
                let progress = (step as f64 / span).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + (PI * progress).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ScheduleSpec, Vec<Fault>> {
        let table: toml::Table = format!("schedule = {text}").parse().unwrap();
        ScheduleSpec::from_value(&table["schedule"])
    }

    fn faults(text: &str) -> Vec<String> {
        read(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_alone_is_a_schedule() {
        assert_eq!(read("'constant'").unwrap(), ScheduleSpec::default());
        assert_eq!(read("'constant'").unwrap().factor(1_000_000, 10), 1.0);
    }

    #[test]
    fn step_falls_after_every_so_many_steps() {
        let schedule = read("{ kind = 'step', every = 10, factor = 0.1 }").unwrap();
        let factors: Vec<f64> = [0, 9, 10, 19, 20].iter().map(|s| schedule.factor(*s, 100)).collect();
        for (factor, expected) in factors.iter().zip([1.0, 1.0, 0.1, 0.1, 0.01]) {
            assert!((factor - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn milestones_are_where_it_falls() {
        let schedule = read("{ kind = 'milestones', at = [10, 20, 25], factor = 0.1 }").unwrap();
        let factors: Vec<f64> = [0, 9, 10, 19, 20, 24, 25, 900].iter().map(|s| schedule.factor(*s, 30)).collect();
        for (factor, expected) in factors.iter().zip([1.0, 1.0, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]) {
            assert!((factor - expected).abs() < 1e-15);
        }
        for at in ["[]", "[20, 10]", "[10, 10]"] {
            let found = faults(&format!("{{ kind = 'milestones', at = {at} }}"));
            assert_eq!(found, ["`at`: expected steps, each after the one before it; write for example at = [10000, 20000, 25000]"]);
        }
    }

    #[test]
    fn cosine_falls_from_one_to_its_floor() {
        let schedule = read("{ kind = 'cosine', floor = 0.2 }").unwrap();
        assert_eq!(schedule.factor(0, 100), 1.0);
        assert!((schedule.factor(50, 100) - 0.6).abs() < 1e-12);
        assert!((schedule.factor(100, 100) - 0.2).abs() < 1e-12);
        assert!((schedule.factor(1000, 100) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn warm_up_rises_in_front_of_any_schedule() {
        let schedule = read("{ kind = 'step', every = 2, factor = 0.5, warmup = 4 }").unwrap();
        let factors: Vec<f64> = (0..9).map(|s| schedule.factor(s, 9)).collect();
        assert_eq!(factors, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn a_training_of_no_steps_has_a_factor() {
        assert!(read("'cosine'").unwrap().factor(0, 0).is_finite());
    }

    #[test]
    fn mistakes_say_where_and_what() {
        assert_eq!(faults("'cosin'"), ["unknown schedule `cosin`; did you mean `cosine`? (known: constant, step, milestones, cosine)"]);
        assert_eq!(faults("{ kind = 'stop' }"), ["`kind`: unknown schedule `stop`; did you mean `step`? (known: constant, step, milestones, cosine)"]);
        assert_eq!(
            faults("{ kind = 'step', every = 0, factor = 2.0 }"),
            ["`every`: expected at least 1 step, found 0", "`factor`: expected a number above 0 and at most 1, found 2"]
        );
        assert_eq!(faults("{ kind = 'cosine', floor = -1.0 }"), ["`floor`: expected a number from 0 to 1, found -1"]);
        assert!(faults("{ kind = 'constant', warmpu = 3 }")[0].contains("did you mean `warmup`?"));
    }
}
