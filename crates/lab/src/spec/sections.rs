//! The sections of an experiment file, as declared: reader and documentation both follow from these.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

use super::train::Monitor;

/// A table that another reader takes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Section(pub Table);

impl JsonSchema for Section {
    fn schema_name() -> Cow<'static, str> {
        "Section".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// A name, or a table with a `kind` and its parameters, that another reader takes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Choice(pub Value);

impl JsonSchema for Choice {
    fn schema_name() -> Cow<'static, str> {
        "Choice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "object" }] })
    }
}

/// One table, or several of them, that another reader takes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Blocks(pub Value);

impl Default for Blocks {
    fn default() -> Self {
        Self(Value::Table(Table::new()))
    }
}

impl JsonSchema for Blocks {
    fn schema_name() -> Cow<'static, str> {
        "Blocks".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "object" }, { "type": "array", "items": { "type": "object" } }] })
    }
}

/// The top level of the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct TopLevel {
    /// The experiment's name, and its folder's in the results: letters, digits, `-` and `_`. By default the file's name without `.toml`.
    pub name: Option<String>,
    /// What it is about, for people.
    pub description: Option<String>,
    /// Which of `[models.*]` to train, where the sweep does not say; not needed where there is only one.
    pub model: Option<String>,
    /// The data set.
    pub dataset: Section,
    /// How to train.
    pub train: Section,
    /// The networks, one table each.
    pub models: BTreeMap<String, Section>,
    /// What to vary: one table, or several as `[[sweep]]`, whose trials are joined end to end.
    pub sweep: Blocks,
    /// How trials are run; nothing in it changes a result.
    pub run: RunSection,
    /// Whether trials that are worse than others are stopped early; they are told apart from those that are done, and averaged with none. Not stopped where not given.
    pub prune: Option<PruneSection>,
    /// How a Slurm cluster runs the trials; nothing in it changes a result.
    pub slurm: Section,
    /// What the report shows, such as a baseline and published numbers: kept as it is for the report.
    pub report: Section,
}

/// The `[run]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RunSection {
    /// How many times a trial that fails is tried again within a run. One whose numbers leave the finite ones is not: it would do so again.
    pub retries: u64,
    /// Seconds between a trial's checkpoints; more where they would take over a hundredth of its time.
    pub checkpoint_seconds: f64,
    /// What becomes of a trial on a graphics card whose sampling kernel has no code for one: it is refused, or the kernel reads on the processor, with a warning.
    pub without_cuda: WithoutCuda,
}

impl Default for RunSection {
    fn default() -> Self {
        Self { retries: 0, checkpoint_seconds: 30.0, without_cuda: WithoutCuda::default() }
    }
}

/// What becomes of a trial on a graphics card whose sampling kernel has no code for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WithoutCuda {
    /// It is refused.
    #[default]
    Refuse,
    /// The kernel reads on the processor: images and gradients go there and back at every step.
    Processor,
}

/// By which rule a trial is stopped early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PruneRule {
    /// Where it is worse than the median of the others after as many steps.
    #[default]
    Median,
    /// Asynchronous successive halving: after `min_steps`, `reduction` times as many, and so on, only the best one in `reduction` of those that came so far goes on.
    Asha,
}

/// The `[prune]` table. Trials on the same data are compared after the same number of steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct PruneSection {
    /// The rule: `median` or `asha`.
    pub kind: PruneRule,
    /// What is compared: `test_error` (each evaluation) or `train_loss` (each log interval).
    pub metric: Monitor,
    /// The first step after which a trial may be stopped.
    pub min_steps: u64,
    /// How many others must have come as far before any is stopped by `median`.
    pub min_trials: u64,
    /// One in how many goes on by `asha`; at least 2.
    pub reduction: u64,
}

impl Default for PruneSection {
    fn default() -> Self {
        Self { kind: PruneRule::Median, metric: Monitor::TestError, min_steps: 1000, min_trials: 3, reduction: 3 }
    }
}

/// The `[slurm]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct SlurmSection {
    /// The partition; the cluster's default unless given.
    pub partition: Option<String>,
    /// The account that is charged.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// The longest that a task may take before it makes a checkpoint and queues again: minutes, `HH:MM:SS` or `D-HH:MM:SS`.
    pub time: Option<String>,
    /// Generic resources of each task, such as `gpu:1`.
    pub gres: Option<String>,
    /// Processors of each task, which are also its threads.
    pub cpus_per_task: Option<u64>,
    /// Memory of each task, such as `4G`.
    pub mem: Option<String>,
    /// How many tasks may run at once.
    pub throttle: Option<u64>,
    /// Seconds before the end of `time` at which a task makes a checkpoint and queues again. Slurm may be up to a minute early.
    pub lead_seconds: u64,
    /// Further options of sbatch: `["--constraint=avx512"]`.
    pub extra: Vec<String>,
    /// Lines of shell that each task runs first, such as `module load`.
    pub setup: String,
}

impl Default for SlurmSection {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            qos: None,
            time: None,
            gres: None,
            cpus_per_task: None,
            mem: None,
            throttle: None,
            lead_seconds: 120,
            extra: Vec::new(),
            setup: String::new(),
        }
    }
}

/// What `[models.NAME]` holds beside the network.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ModelSection {
    /// The name shown in tables and figures; by default the table's name.
    pub label: Option<String>,
    /// Keys of `[train]` that this model trains with instead.
    pub train: Section,
}

/// The seeds of a block: a list, or how many.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Seeds {
    /// 0 up to this.
    Count(u64),
    /// These.
    List(Vec<u64>),
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountOrList;

        impl<'de> Visitor<'de> for CountOrList {
            type Value = Seeds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of seeds, or how many")
            }

            fn visit_u64<E>(self, count: u64) -> Result<Seeds, E> {
                Ok(Seeds::Count(count))
            }

            fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<Seeds, E> {
                u64::try_from(count).map(Seeds::Count).map_err(|_| E::invalid_value(Unexpected::Signed(count), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seeds: A) -> Result<Seeds, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seeds)).map(Seeds::List)
            }
        }

        deserializer.deserialize_any(CountOrList)
    }
}

impl JsonSchema for Seeds {
    fn schema_name() -> Cow<'static, str> {
        "Seeds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let whole = json_schema!({ "type": "integer", "minimum": 0 });
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "array", "items": whole }] })
    }
}

/// The `[sweep]` table.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct SweepSection {
    /// The seeds, `[0, 1, 2]`, or how many: `3` stands for 0, 1 and 2. Every point is trained once with each, the seed varying fastest.
    pub seeds: Seeds,
    /// A list of values for any key of the file: `"dataset.distortion" = ["R", "RTS"]`. All combinations are trained, the first key varying slowest.
    pub grid: Section,
    /// Paired lists, one table or several: the lists of a table, all of one length, are gone through side by side.
    pub zip: Vec<Section>,
    /// Points drawn at random: a table with `count`, `seed` and `keys`. Nothing is drawn where not given.
    pub random: Option<Section>,
}

impl Default for SweepSection {
    fn default() -> Self {
        Self { seeds: Seeds::List(vec![0]), grid: Section::default(), zip: Vec::new(), random: None }
    }
}

/// The `[sweep.random]` table.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RandomSection {
    /// How many points to draw, at least 1. It must be given.
    pub count: Option<u64>,
    /// The seed of the draws, which has nothing to do with the seeds of the trials.
    pub seed: u64,
    /// What to draw: a distribution for any key of the file.
    pub keys: Section,
}
