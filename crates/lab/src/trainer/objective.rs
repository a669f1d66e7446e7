//! What a trial's network is judged by.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use stn_core::{PluginSpec, Registry, Sampling};
use stn_data::{Batch, Dataset, Loader};
use stn_nn::{Plan, Warp};

use super::colocalisation::Colocalisation;
use super::state::TrainingState;
use super::{Moment, Stop, heads};
use crate::spec::objective::{ColocaliseSpec, ObjectiveSpec};
use crate::{Error, Precision, Result, TrainSpec};

/// An objective with all that it needs opened and planned.
#[derive(Debug)]
pub(crate) enum Objective {
    /// The loss is the cross-entropy of the labels.
    Classify,
    /// Pieces of images are compared by an encoder's activations.
    Colocalise(Box<Encoder>),
}

/// What an encoder is made of, before it is trained.
#[derive(Debug)]
pub(crate) struct Encoder {
    spec: ColocaliseSpec,
    dataset: Arc<Dataset>,
    plan: Plan,
    /// What random pieces are read by.
    kernel: Arc<dyn Sampling>,
}

impl Objective {
    /// Opens and plans what `spec` needs for trials on `dataset`.
    pub fn new(spec: &ObjectiveSpec, dataset: &Dataset, registry: &Registry) -> Result<Self> {
        match spec {
            ObjectiveSpec::Classify => Ok(Self::Classify),
            ObjectiveSpec::Colocalise(spec) => {
                if !dataset.has_places() {
                    let words = "train.objective: nothing says where the things in the images of this data set are, so whether they were found cannot be told; \
                                 use a data set such as dataset.kind=mnist_colocalise, without a distortion";
                    return Err(Error::Other(words.into()));
                }
                let plan = spec.encoder.plan(registry).map_err(|faults| Error::Other(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
                let kernel = registry.kernel(&PluginSpec::named("bilinear"))?;
                let dataset = Dataset::open(&spec.encoder.dataset, registry)?;
                Ok(Self::Colocalise(Box::new(Encoder { spec: spec.as_ref().clone(), dataset, plan, kernel })))
            }
        }
    }

    /// The network that judges, and how it is trained beforehand, where there is one.
    pub fn encoder(&self) -> Option<(&Plan, &TrainSpec)> {
        match self {
            Self::Classify => None,
            Self::Colocalise(encoder) => Some((&encoder.plan, &encoder.spec.encoder.train)),
        }
    }
}

/// An objective that is ready to judge: what had to be trained for it is trained.
#[derive(Debug)]
pub(crate) enum Judge {
    Labels,
    Likeness(Box<Colocalisation>),
}

/// A pass over a batch: what is judged.
pub(crate) struct Seen<'a> {
    pub batch: &'a Batch,
    /// The images as they went in.
    pub images: &'a Tensor,
    pub warps: &'a [Warp],
    /// What random pieces are drawn by: seed, purpose and number.
    pub key: (u64, &'static str, u64),
}

impl Judge {
    /// Trains what the objective needs, from the trial's seed: the same bits at every call.
    pub fn new(objective: &Objective, seed: u64, precision: Precision, device: &Device, workers: usize, stop: Stop<'_>) -> Result<Self> {
        match objective {
            Objective::Classify => Ok(Self::Labels),
            Objective::Colocalise(encoder) => {
                let Encoder { spec, dataset, plan, kernel } = encoder.as_ref();
                let train = TrainSpec { precision, ..spec.encoder.train.clone() };
                let mut state = TrainingState::new(plan, &train, seed, device)?;
                let mut loader = Loader::new(Arc::clone(dataset), train.batch, seed, 0, workers);
                while state.step < train.steps {
                    stop.check()?;
                    state.train_step(&loader.next()?, &train, seed, &Self::Labels)?;
                }
                drop(loader);
                let evaluation = super::evaluate(&mut state, dataset, &train, seed, &Self::Labels, stop, Moment::OnTheWay)?.evaluation;
                tracing::info!(steps = state.step, loss = evaluation.loss, error = evaluation.error, "trained the encoder");
                Ok(Self::Likeness(Box::new(Colocalisation::new(state.network, spec, &plan.input()[1..], Arc::clone(kernel), precision.dtype(), device)?)))
            }
        }
    }

    /// The loss, on candle's tape from `output`, which is what the network gives.
    pub fn loss(&self, output: &Tensor, seen: &Seen<'_>) -> Result<Tensor> {
        match self {
            Self::Labels => Ok(heads::loss(output, &seen.batch.labels.to_device(output.device())?)?),
            Self::Likeness(colocalisation) => colocalisation.loss(output, seen),
        }
    }

    /// The class that each label of each image is given, and whether the image is judged wrongly: one of its labels is, or the thing in it was not found.
    pub fn verdicts(&self, output: &Tensor, seen: &Seen<'_>) -> Result<Vec<Verdict>> {
        match self {
            Self::Labels => heads::verdicts(output, &seen.batch.labels),
            Self::Likeness(colocalisation) => colocalisation.verdicts(seen),
        }
    }

    /// How far each image is from right, which is what the worst are told by: the cross-entropy summed over its labels; where a thing was to be found, the part of the union of
    /// its place and the place cut out that is not in both (1 - IoU).
    pub fn losses(&self, output: &Tensor, seen: &Seen<'_>) -> Result<Vec<f64>> {
        match self {
            Self::Labels => heads::losses(output, &seen.batch.labels),
            Self::Likeness(colocalisation) => colocalisation.misses(seen),
        }
    }
}

/// How an image was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The class of each label, and the class given to it; -1 where none is.
    pub named: Vec<(u32, i64)>,
    pub wrong: bool,
}

impl Verdict {
    /// The class given to the first label.
    pub fn predicted(&self) -> i64 {
        self.named.first().map_or(-1, |(_, predicted)| *predicted)
    }
}
