//! What a network is trained for: `train.objective`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::{Fault, PluginSpec, Registry, parameters};
use stn_data::DatasetSpec;
use stn_nn::{Ending, NetworkSpec, Plan};
use toml::Value;

use super::sections::Section;
use super::train::TrainSpec;

const KINDS: [&str; 2] = ["classify", "colocalise"];

/// What a network is trained for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ObjectiveSpec {
    /// To name the labels of an image, by cross-entropy.
    #[default]
    Classify,
    /// To cut out of every image what all of them have in common.
    Colocalise(Box<ColocaliseSpec>),
}

/// The parameters of `objective = { kind = "colocalise", .. }`: the network's transformer cuts a piece out of every image of the batch, and with e the encoder's activations,
///
/// `mean over n, m != n of max(0, |e(I_n cut) - e(I_m cut)|^2 - |e(I_n cut) - e(I_n cut at random)|^2 + margin)`
///
/// is to be small. The activations of each layer, but for probabilities, are divided by the root of their number, so that a layer counts by what they say and not by how many they
/// are. What is cut out of two images is to be more alike than it is to another piece of the same image (section A.2 of the paper, which has a sum, and says nothing of scales).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColocaliseSpec {
    /// The margin of the hinge.
    pub margin: f64,
    /// What of the encoder pieces are compared by.
    pub activations: Activations,
    /// What pieces are compared by.
    pub encoder: EncoderSpec,
}

/// Which activations of an encoder pieces are compared by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activations {
    /// Those of every ReLU, joined.
    #[default]
    Relu,
    /// The last layer's, the scores of the classes.
    Output,
    /// The probabilities of the classes, by softmax.
    Probabilities,
}

/// A classifier that is trained first, then frozen: its activations say how much alike two images are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EncoderSpec {
    /// What it is trained on; pieces are of the shape of its images.
    pub dataset: DatasetSpec,
    /// Its layers.
    pub network: NetworkSpec,
    /// How it is trained.
    pub train: TrainSpec,
}

/// The keys of `objective = { kind = "colocalise", .. }`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ColocaliseSection {
    /// By how much more alike what is cut out of two images must be than a random piece of the same image, in squared activations, the mean over each layer.
    pub margin: f64,
    /// By which of the encoder's activations pieces are compared: `relu`, those of every ReLU, joined; `output`, the scores of the classes; `probabilities`, their softmax. Those of
    /// each layer, but for probabilities, are divided by the root of their number.
    pub activations: Activations,
    /// The classifier whose activations say how much alike two pieces are: a table with `dataset`, `network` and `train`, each as the experiment's own. It is trained first, from
    /// the trial's seed, and then frozen.
    pub encoder: Section,
}

impl Default for ColocaliseSection {
    fn default() -> Self {
        Self { margin: 1.0, activations: Activations::default(), encoder: Section::default() }
    }
}

/// The keys of an encoder.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct EncoderSection {
    dataset: Section,
    network: Section,
    train: Section,
}

impl ObjectiveSpec {
    /// Reads a name, or a table with a `kind`.
    ///
    /// # Errors
    ///
    /// Every mistake, at its path from the value.
    pub fn from_value(value: &Value) -> Result<Self, Vec<Fault>> {
        let PluginSpec { kind, parameters: table } = PluginSpec::from_value(value).map_err(|fault| vec![fault])?;
        match kind.as_str() {
            "classify" if table.is_empty() => Ok(Self::Classify),
            "classify" => Err(vec![Fault::at([""; 0], "`classify` has no parameters").help("write objective = \"classify\"")]),
            "colocalise" => ColocaliseSpec::from_section(&parameters::decode(&table)?).map(|spec| Self::Colocalise(Box::new(spec))),
            other => {
                let path: &[&str] = if value.is_table() { &["kind"] } else { &[] };
                Err(vec![Fault::unknown(path.iter().copied(), "objective", other, &KINDS)])
            }
        }
    }

    /// Whether it is the usual one, which is left out where a trial is written down.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::Classify
    }

    /// What a network ends in, on data that asks for so many numbers.
    pub(crate) fn ending(&self, outputs: usize) -> Ending {
        match self {
            Self::Classify => Ending::Classes(outputs),
            // That the shape is known was seen to when the section was read.
            Self::Colocalise(spec) => Ending::Images(spec.encoder.dataset.shape_hint().map(|(shape, _)| shape).unwrap_or_default()),
        }
    }

    /// Every mistake that shows only where networks are planned, with its path below `train`.
    pub(crate) fn misfits(&self, registry: &Registry) -> Vec<Fault> {
        match self {
            Self::Classify => Vec::new(),
            Self::Colocalise(spec) => {
                let below = |fault: Fault| fault.below(["objective", "encoder", "network"]);
                spec.encoder.misfits(spec.activations, registry).into_iter().map(below).collect()
            }
        }
    }

    /// What is wrong with a network for this objective.
    pub(crate) fn misfit(&self, network: &Plan) -> Option<Fault> {
        if self.is_default() || network.is_one_transformer() {
            return None;
        }
        let fault = Fault::at(["layers"], "to colocalise, a network is one transformer, which cuts a piece out of the image");
        Some(fault.help("write layers = [{ st = { transform = \"attention\", output = [28, 28], localiser = [..] } }]"))
    }
}

impl ColocaliseSpec {
    fn from_section(section: &ColocaliseSection) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        if !(section.margin >= 0.0 && section.margin.is_finite()) {
            faults.push(Fault::at(["margin"], format!("must be a finite number from 0 on, not {}", section.margin)));
        }
        match EncoderSpec::from_section(&section.encoder) {
            Ok(encoder) if faults.is_empty() => return Ok(Self { margin: section.margin, activations: section.activations, encoder }),
            Ok(_) => {}
            Err(found) => faults.extend(found.into_iter().map(|fault| fault.below(["encoder"]))),
        }
        Err(faults)
    }
}

impl EncoderSpec {
    fn from_section(section: &Section) -> Result<Self, Vec<Fault>> {
        if section.0.is_empty() {
            let fault = Fault::at([""; 0], "this objective needs an `encoder`");
            return Err(vec![fault.help("write encoder = { dataset = { kind = \"mnist\" }, network = { layers = [..] }, train = { steps = 1000 } }")]);
        }
        let EncoderSection { dataset, network, train } = parameters::decode(&section.0)?;
        let mut faults = Vec::new();
        let dataset = keep(DatasetSpec::from_value(&Value::Table(dataset.0)), "dataset", &mut faults);
        let network = keep(NetworkSpec::from_value(&Value::Table(network.0)), "network", &mut faults);
        let train = keep(TrainSpec::from_table(&train.0), "train", &mut faults);
        if dataset.as_ref().is_some_and(|dataset| dataset.shape_hint().is_none_or(|(shape, _)| shape.len() != 3)) {
            faults.push(
                Fault::at(["dataset"], "an encoder's data set must be one of images whose shape is known beforehand")
                    .help("write for example { kind = \"mnist\" }"),
            );
        }
        if network.as_ref().is_some_and(|network| network.weights().is_some()) {
            faults.push(Fault::at(["network", "weights"], "an encoder is trained from weights that are drawn for the trial").help("leave the key out"));
        }
        if train.as_ref().is_some_and(|train| train.early_stop.is_some()) {
            faults.push(Fault::at(["train", "early_stop"], "an encoder is trained to its last step").help("leave the key out"));
        }
        if train.as_ref().is_some_and(|train| train.evaluate_every > 0) {
            faults.push(Fault::at(["train", "evaluate_every"], "an encoder is evaluated once, at its end").help("leave the key out"));
        }
        if train.as_ref().is_some_and(|train| !train.objective.is_default()) {
            faults.push(Fault::at(["train", "objective"], "an encoder is trained to classify").help("leave the key out"));
        }
        match (dataset, network, train) {
            (Some(dataset), Some(network), Some(train)) if faults.is_empty() => Ok(Self { dataset, network, train }),
            _ => Err(faults),
        }
    }

    fn misfits(&self, compared: Activations, registry: &Registry) -> Vec<Fault> {
        match self.plan(registry) {
            Err(faults) => faults,
            Ok(plan) if plan.misfit_of_batch(self.train.batch).is_some() => plan.misfit_of_batch(self.train.batch).into_iter().collect(),
            Ok(plan) if compared != Activations::Relu || plan.describe().iter().any(|line| line.name.starts_with("relu")) => Vec::new(),
            Ok(_) => vec![
                Fault::at(["layers"], "there is no \"relu\" among these layers, so there are no activations to compare by").help("put \"relu\" behind a layer"),
            ],
        }
    }

    /// Its network with every shape settled.
    ///
    /// # Errors
    ///
    /// Every layer that does not fit, at its path in the network's table.
    pub(crate) fn plan(&self, registry: &Registry) -> Result<Plan, Vec<Fault>> {
        let (shape, outputs) = self.dataset.shape_hint().unwrap_or_default();
        Plan::new(&self.network, shape, outputs, registry)
    }
}

fn keep<T>(read: Result<T, Vec<Fault>>, key: &str, faults: &mut Vec<Fault>) -> Option<T> {
    read.map_err(|found| faults.extend(found.into_iter().map(|fault| fault.below([key])))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ObjectiveSpec, Vec<String>> {
        let table: toml::Table = text.parse().unwrap();
        ObjectiveSpec::from_value(&table["objective"]).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    const ENCODER: &str = "dataset = { kind = \"mnist\" }, network = { layers = [{ fc = 8 }, \"relu\", { fc = \"classes\" }] }, train = { steps = 3 }";

    #[test]
    fn a_name_and_a_table_are_read() {
        assert_eq!(read("objective = \"classify\""), Ok(ObjectiveSpec::Classify));
        let spec = read(&format!("objective = {{ kind = \"colocalise\", encoder = {{ {ENCODER} }} }}")).unwrap();
        assert!(matches!(&spec, ObjectiveSpec::Colocalise(spec) if spec.margin == 1.0 && spec.encoder.train.steps == 3));
        assert_eq!(spec.ending(1), Ending::Images(vec![1, 28, 28]));
        assert!(spec.misfits(&stn_plugins::standard().unwrap()).is_empty());
    }

    #[test]
    fn probabilities_need_no_relu_among_the_layers() {
        let without = ENCODER.replace("\"relu\", ", "");
        let misfits = |activations: &str| {
            let spec = read(&format!("objective = {{ kind = \"colocalise\", activations = \"{activations}\", encoder = {{ {without} }} }}")).unwrap();
            spec.misfits(&stn_plugins::standard().unwrap()).len()
        };
        assert_eq!(["relu", "output", "probabilities"].map(misfits), [1, 0, 0]);
    }

    #[test]
    fn mistakes_are_answered_with_what_to_type() {
        assert_eq!(
            read("objective = \"colocalize\""),
            Err(vec!["unknown objective `colocalize`; did you mean `colocalise`? (known: classify, colocalise)".into()])
        );
        let missing = read("objective = \"colocalise\"").unwrap_err();
        assert!(missing[0].starts_with("`encoder`: this objective needs an `encoder`; write encoder = { dataset"), "{missing:?}");
        let wrong = read("objective = { kind = \"colocalise\", margin = -1, encoder = { dataset = { kind = \"npz\", path = \"x.npz\" }, network = {}, train = { steps = 0 } } }").unwrap_err();
        let starts = ["`margin`: must be", "`encoder.network`", "`encoder.train.steps`: must be", "`encoder.dataset`: an encoder's data set must"];
        assert!(starts.iter().zip(&wrong).all(|(start, fault)| fault.starts_with(start)) && wrong.len() == 4, "{wrong:?}");
    }

    #[test]
    fn layers_that_do_not_fit_are_found_where_they_stand() {
        let text = ENCODER.replace("{ fc = 8 }", "{ conv = [4, 99] }");
        let spec = read(&format!("objective = {{ kind = \"colocalise\", encoder = {{ {text} }} }}")).unwrap();
        let faults = spec.misfits(&stn_plugins::standard().unwrap());
        assert!(faults[0].to_string().starts_with("`objective.encoder.network.layers.0.conv`: conv kernel 99x99 does not fit"), "{faults:?}");
    }
}
