//! How weights start.

use candle_core::{DType, Device, Tensor, Var};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use stn_core::stream;

use crate::Result;

/// How weights start; each parameter draws from a stream of its own, keyed by its name.
///
/// The last layer of a localisation network never draws: its weights are zero and its bias is the identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Initialisation {
    /// Normal with variance `2 / fan_in` in front of a ReLU (He et al., 2015) and `1 / fan_in` elsewhere; biases zero. The scale of the activations then neither
    /// grows nor fades with depth. Code of the paper's time drew uniformly with variance `1 / (3 fan_in)`, as [`Pytorch`](Self::Pytorch) still does: signals
    /// shrink by 2.4 at every ReLU layer and training starts more slowly.
    #[default]
    KaimingNormal,
    /// Normal with variance `2 / (fan_in + fan_out)`, whatever follows (Glorot & Bengio, 2010); biases zero. For networks with dropout at 0.5 behind every ReLU, whose
    /// signals grow by 1.4 a layer with [`KaimingNormal`](Self::KaimingNormal): here dropout gives back what the ReLU takes.
    XavierNormal,
    /// The defaults of `torch.nn.Conv2d` and `torch.nn.Linear`: weights and biases uniform in `+-1 / sqrt(fan_in)`.
    Pytorch,
}

impl Initialisation {
    /// Every one with its name in files.
    pub(crate) const NAMES: [(&str, Self); 3] = [("kaiming_normal", Self::KaimingNormal), ("xavier_normal", Self::XavierNormal), ("pytorch", Self::Pytorch)];

    /// A weight; `dims` are outputs first, the rest is the fan in. `rectified` where a ReLU follows.
    pub(crate) fn weight(self, name: &str, dims: &[usize], rectified: bool, place: &Place) -> Result<Var> {
        let fan_in: usize = dims.iter().skip(1).product::<usize>().max(1);
        let fan_out = dims.iter().take(1).chain(dims.iter().skip(2)).product::<usize>();
        let variance = match self {
            Self::KaimingNormal => (if rectified { 2.0 } else { 1.0 }) / fan_in as f64,
            Self::XavierNormal => 2.0 / (fan_in + fan_out) as f64,
            Self::Pytorch => return place.uniform(name, dims, fan_in),
        };
        let deviation = variance.sqrt();
        place.draw(name, dims, |rng| deviation * Distribution::<f64>::sample(&StandardNormal, rng))
    }

    /// A bias of `outputs` units with `fan_in` inputs each.
    pub(crate) fn bias(self, name: &str, outputs: usize, fan_in: usize, place: &Place) -> Result<Var> {
        match self {
            Self::KaimingNormal | Self::XavierNormal => place.constant(vec![0.0; outputs], &[outputs]),
            Self::Pytorch => place.uniform(name, &[outputs], fan_in),
        }
    }
}

/// Where parameters live and which seed they are drawn from.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) seed: u64,
    pub(crate) dtype: DType,
    pub(crate) device: Device,
}

impl Place {
    fn draw(&self, name: &str, dims: &[usize], mut number: impl FnMut(&mut rand_chacha::ChaCha8Rng) -> f64) -> Result<Var> {
        let mut rng = stream::stream(self.seed, &format!("init/{name}"), 0);
        let count = dims.iter().product();
        self.constant((0..count).map(|_| number(&mut rng)), dims)
    }

    fn uniform(&self, name: &str, dims: &[usize], fan_in: usize) -> Result<Var> {
        let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
        self.draw(name, dims, |rng| bound * (2.0 * rng.random::<f64>() - 1.0))
    }

    /// A row of one number.
    pub(crate) fn filled(&self, value: f64, length: usize) -> Result<Var> {
        self.constant(std::iter::repeat_n(value, length), &[length])
    }

    /// Given numbers; drawn in 64 bits and then rounded, so that every precision starts from the same weights.
    pub(crate) fn constant(&self, values: impl IntoIterator<Item = f64>, dims: &[usize]) -> Result<Var> {
        if self.dtype == DType::F32 && self.device.is_cpu() {
            // Straight into place: of a large layer there is never a second copy.
            let numbers: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            return Ok(Var::from_vec(numbers, dims, &self.device)?);
        }
        let numbers: Vec<f64> = values.into_iter().collect();
        let tensor = Tensor::from_vec(numbers, dims, &Device::Cpu)?.to_dtype(self.dtype)?.to_device(&self.device)?;
        Ok(Var::from_tensor(&tensor)?)
    }
}
