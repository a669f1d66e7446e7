//! `step.NETWORK`: a whole training step; `large.NETWORK`: one on more or larger images, as many as keep a graphics card busy.
//!
//! Forward in training mode, mean cross-entropy, backward, and SGD with momentum 0.9, on one fixed batch of uniform random images with random labels. The networks are
//! layer lists, as users write them, in the folder `networks`; they are drawn as PyTorch draws them, with every transformer at the identity.

use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use stn_core::{Fault, Registry, stream};
use stn_nn::{LayerLine, Network, NetworkSpec, Optimizer, OptimizerSpec, Plan};
use toml::{Table, Value};

use crate::{Amount, Error, Job, Result};

/// Small, so that a thousand steps on one batch neither run away nor come to rest.
const LEARNING_RATE: f64 = 1e-3;
const OPTIMIZER: &str = "sgd = { kind = \"sgd\", momentum = 0.9 }";

/// A network and what it is trained on.
#[derive(Debug, PartialEq)]
pub(crate) struct TimedNetwork {
    /// The work's name.
    pub(crate) name: &'static str,
    /// The layer list.
    text: &'static str,
    /// The batch, N x C x H x W.
    images: [usize; 4],
    /// The number of classes of each classifier.
    classes: usize,
    /// Classifiers side by side, each with a label of its own: an image of several digits has several.
    heads: usize,
}

/// The networks of the benchmark.
pub(crate) static NETWORKS: [TimedNetwork; 8] = [
    TimedNetwork { name: "step.tutorial", text: include_str!("../networks/tutorial.toml"), images: [64, 1, 28, 28], classes: 10, heads: 1 },
    TimedNetwork { name: "step.st_cnn_affine", text: include_str!("../networks/st_cnn_affine.toml"), images: [256, 1, 42, 42], classes: 10, heads: 1 },
    TimedNetwork { name: "step.st_fcn_tps", text: include_str!("../networks/st_fcn_tps.toml"), images: [256, 1, 28, 28], classes: 10, heads: 1 },
    TimedNetwork { name: "step.svhn_multi", text: include_str!("../networks/svhn_multi.toml"), images: [32, 3, 64, 64], classes: 11, heads: 5 },
    TimedNetwork { name: "step.svhn_cnn", text: include_str!("../networks/svhn_cnn.toml"), images: [32, 3, 64, 64], classes: 11, heads: 5 },
    TimedNetwork { name: "large.tutorial", text: include_str!("../networks/tutorial.toml"), images: [1024, 1, 28, 28], classes: 10, heads: 1 },
    TimedNetwork { name: "large.svhn_multi", text: include_str!("../networks/svhn_multi.toml"), images: [128, 3, 64, 64], classes: 11, heads: 5 },
    TimedNetwork { name: "large.svhn_multi_128px", text: include_str!("../networks/svhn_multi.toml"), images: [128, 3, 128, 128], classes: 11, heads: 5 },
];

/// The network of a rehearsal: the same as the Python peers'.
static REHEARSED: TimedNetwork = TimedNetwork {
    name: "rehearsal",
    text: "layers = [{ st = { transform = 'affine', localiser = [{ avg = 2 }, { fc = 4 }, 'relu'] } }, { conv = [4, 3] }, { max = 2 }, { fc = 'classes' }]",
    images: [4, 1, 8, 8],
    classes: 4,
    heads: 1,
};

/// A training step of three layers on images of 8 x 8, so that code and threads which are loaded on first use do not count as a work's memory.
pub(crate) fn rehearse(registry: &Registry, device: &Device) -> Result<()> {
    Training::new(REHEARSED.name, &REHEARSED, registry, device)?.run()
}

impl TimedNetwork {
    fn plan(&self, registry: &Registry) -> std::result::Result<Plan, Vec<Fault>> {
        let spec = NetworkSpec::from_value(&Value::Table(table(self.text)?))?;
        Plan::new(&spec, &self.images[1..], self.heads * self.classes, registry)
    }

    /// The multiplications and additions of the convolutions and fully connected layers of one step: forward, and twice as many backward, to the weights and to the input.
    /// The first layer takes no gradient to its input, the images. `None` where the network does not stand.
    pub(crate) fn amount(&self, registry: &Registry) -> Option<Amount> {
        let macs: Vec<usize> = self.plan(registry).ok()?.describe().iter().filter(|line| line.parameters > 0).map(multiplications).collect();
        let passes = 3 * macs.iter().sum::<usize>() - macs.first()?;
        Some(Amount::Flop(2.0 * (self.images[0] * passes) as f64))
    }
}

/// How often a layer multiplies for one image: each weight once a pixel of its output, which is written `filters x H x W` or `units`.
fn multiplications(line: &LayerLine) -> usize {
    let mut sides = line.output.split(" x ").filter_map(|side| side.parse::<usize>().ok());
    let biases = sides.next().unwrap_or(0);
    line.parameters.saturating_sub(biases) * sides.product::<usize>()
}

fn table(text: &str) -> std::result::Result<Table, Vec<Fault>> {
    text.parse().map_err(|error: toml::de::Error| vec![Fault::at([""; 0], error.to_string())])
}

/// A network on its way.
pub(crate) struct Training {
    work: String,
    network: Network,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    classes: usize,
    steps: u64,
    loss: Option<Tensor>,
}

impl Training {
    pub(crate) fn new(work: &str, timed: &TimedNetwork, registry: &Registry, device: &Device) -> Result<Self> {
        let named = |faults| Error::Network { work: work.into(), faults };
        let plan = timed.plan(registry).map_err(named)?;
        let optimizer = OptimizerSpec::from_value(&table(OPTIMIZER).map_err(named)?["sgd"]).map_err(named)?;
        let network = Network::new(&plan, 0, DType::F32, device)?;
        let mut rng = stream::stream(0, "bench/batch", 0);
        let images: Vec<f32> = (0..timed.images.iter().product()).map(|_| rng.random()).collect();
        let labels: Vec<u32> = (0..timed.images[0] * timed.heads).map(|_| rng.random_range(0..timed.classes as u32)).collect();
        Ok(Self {
            work: work.into(),
            optimizer: Optimizer::new(&optimizer, network.parameters())?,
            network,
            images: Tensor::from_vec(images, &timed.images, device)?,
            labels: Tensor::new(labels, device)?,
            classes: timed.classes,
            steps: 0,
            loss: None,
        })
    }
}

impl Job for Training {
    fn run(&mut self) -> Result<()> {
        self.loss = Some(step(&self.network, &mut self.optimizer, (&self.images, &self.labels), self.classes, self.steps)?);
        self.steps += 1;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        match self.loss.as_ref().map(Tensor::to_scalar::<f32>).transpose()? {
            Some(loss) if loss.is_finite() => Ok(()),
            _ => Err(Error::NotFinite(self.work.clone())),
        }
    }
}

/// One training step on a batch of images and labels; the loss before it. Logits of several classifiers lie side by side, `N x (heads classes)`.
fn step(network: &Network, optimizer: &mut Optimizer, (images, labels): (&Tensor, &Tensor), classes: usize, step: u64) -> Result<Tensor> {
    let recorded = network.record(images, 0, step)?;
    let (loss, gradient) = recorded.loss(|logits| stn_ops::cross_entropy(&logits.reshape(((), classes))?, labels))?;
    optimizer.begin(LEARNING_RATE);
    recorded.backward(&gradient, |parameter, gradient| optimizer.update(parameter, &gradient))?;
    Ok(loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(name: &str) -> &'static TimedNetwork {
        NETWORKS.iter().find(|network| network.name == format!("step.{name}")).unwrap()
    }

    #[test]
    fn networks_have_the_parameters_of_their_peers() {
        let registry = stn_plugins::standard().unwrap();
        let counts: Vec<_> = NETWORKS.iter().map(|network| (network.name, network.plan(&registry).unwrap().parameters())).collect();
        // Those of benches/peers, counted there by the frameworks.
        let expected = [
            ("step.tutorial", 27_360),
            ("step.st_cnn_affine", 277_544),
            ("step.st_fcn_tps", 297_610),
            ("step.svhn_multi", 37_937_903),
            ("step.svhn_cnn", 32_820_951),
            ("large.tutorial", 27_360),
            ("large.svhn_multi", 37_937_903),
            ("large.svhn_multi_128px", 81_584_879),
        ];
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_step_is_three_passes_but_for_the_gradient_of_the_images() {
        let registry = stn_plugins::standard().unwrap();
        // The fully connected layers of the localiser, then of the classifier.
        let first = 784 * 32;
        let forward = first + 32 * 32 * 3 + 784 * 256 + 256 * 256 + 256 * 10;
        assert_eq!(timed("st_fcn_tps").amount(&registry), Some(Amount::Flop((2 * 256 * (3 * forward - first)) as f64)));
        // Convolutions multiply once a pixel: most of the step that the paper's largest network makes.
        let Some(Amount::Flop(flop)) = timed("svhn_cnn").amount(&registry) else { panic!("a network that does not stand") };
        assert!((1.4e11..1.7e11).contains(&flop), "{flop}");
    }

    #[test]
    fn a_step_lowers_the_loss() {
        let mut training = Training::new("step.st_fcn_tps", timed("st_fcn_tps"), &stn_plugins::standard().unwrap(), &Device::Cpu).unwrap();
        let mut loss = || {
            training.run().unwrap();
            training.check().unwrap();
            training.loss.as_ref().unwrap().to_scalar::<f32>().unwrap()
        };
        let first = loss();
        let last = (0..10).map(|_| loss()).last().unwrap();
        assert!((first - 10_f32.ln()).abs() < 0.2 && last < first, "{first} {last}");
    }
}
