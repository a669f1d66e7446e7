//! One training run of a sweep.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use stn_data::DatasetSpec;
use stn_nn::{NetworkSpec, Plan};

use super::canonical;
use super::train::TrainSpec;

/// Everything that can change a trial's result.
#[derive(Debug, Clone)]
pub struct TrialConfig {
    /// The data set.
    pub dataset: DatasetSpec,
    /// The network.
    pub network: NetworkSpec,
    /// How to train.
    pub train: TrainSpec,
    /// The seed of initialisation, order, distortions and dropout.
    pub seed: u64,
}

impl TrialConfig {
    /// The configuration as JSON with sorted keys and no spaces; equal configurations give equal text.
    pub fn canonical(&self) -> String {
        let value = json!({ "dataset": self.dataset, "network": self.network, "seed": self.seed, "train": self.train });
        canonical::text(&value)
    }

    /// The first 16 hexadecimal digits of the BLAKE3 hash of [`canonical`](Self::canonical).
    pub fn id(&self) -> String {
        let hash = blake3::hash(self.canonical().as_bytes()).to_hex();
        hash.chars().take(16).collect()
    }
}

/// One training run: a point of the sweep and a seed.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Which configuration this is; see [`TrialConfig::id`].
    pub id: String,
    /// The model's name as tables and figures show it.
    pub label: String,
    /// The name of the model's table.
    pub model: String,
    /// The seed.
    pub seed: u64,
    /// The swept keys (without the seed) and this trial's values for them.
    pub differs: BTreeMap<String, String>,
    /// The network with every shape and width filled in, where the data's shape is known without reading it.
    pub plan: Option<Arc<Plan>>,
    /// Everything that can change the result.
    pub config: TrialConfig,
}

impl Trial {
    /// What sets this trial apart from the others, in a line: `cnn, dataset.distortion = R, seed 0`.
    pub fn describe(&self) -> String {
        let swept = self.differs.iter().filter(|(key, _)| *key != "model").map(|(key, value)| format!("{key} = {value}"));
        let parts: Vec<String> = std::iter::once(self.model.clone()).chain(swept).chain([format!("seed {}", self.seed)]).collect();
        parts.join(", ")
    }
}
