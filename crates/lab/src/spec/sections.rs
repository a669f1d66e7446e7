//! The sections of an experiment file, as declared: reader and documentation both follow from these.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

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
}

impl Default for RunSection {
    fn default() -> Self {
        Self { retries: 0, checkpoint_seconds: 30.0 }
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

/// The `[sweep]` table.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct SweepSection {
    /// The seeds; every point of the grid is trained once with each, the seed varying fastest.
    pub seeds: Vec<u64>,
    /// A list of values for any key of the file: `"dataset.distortion" = ["R", "RTS"]`. All combinations are trained, the first key varying slowest.
    pub grid: Section,
}

impl Default for SweepSection {
    fn default() -> Self {
        Self { seeds: vec![0], grid: Section::default() }
    }
}
