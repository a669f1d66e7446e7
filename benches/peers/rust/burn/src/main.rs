//! Burn on its CPU backend Flex: its modules, optimiser, autodiff and `grid_sample_2d`, which outside inference it puts together from other tensor operations.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig, momentum::MomentumConfig};
use burn::tensor::ops::{GridSampleOptions, GridSamplePaddingMode, InterpolateMode};
use burn::tensor::{Device, Distribution, Int, Tensor, activation};
use peer_serve::{Layer, Network, Run, Sample};

const LEARNING_RATE: f64 = 1e-3;
const MOMENTUM: f64 = 0.9;

fn main() {
    peer_serve::serve(|work| {
        if let Some(work) = peer_serve::sample(work) {
            return Some(sampling(&work));
        }
        let mut training = Training::new(peer_serve::network(work)?);
        Some(Box::new(move || training.step()) as Run)
    });
}

/// The sampler alone, backward from an output gradient of ones.
fn sampling(work: &Sample) -> Run {
    let device = Device::flex().autodiff();
    let source = Tensor::<4>::random(work.shape, Distribution::Uniform(0.0, 1.0), &device);
    let theta = Tensor::<1>::from_floats(work.thetas().as_slice(), &device).reshape([work.shape[0], 6]);
    let to_input = work.to_input;
    Box::new(move || {
        // Leaves of a new graph each time: Burn consumes a graph as it goes back through it.
        let source = if to_input { source.clone().detach().require_grad() } else { source.clone() };
        let theta = theta.clone().detach().require_grad();
        let gradients = sample(source.clone(), theta.clone()).backward();
        assert!(theta.grad(&gradients).is_some() && source.grad(&gradients).is_some() == to_input);
    })
}

/// The layers with parameters, in the order of the list.
#[derive(Module, Debug)]
struct Layers {
    convolutions: Vec<Conv2d>,
    linears: Vec<Linear>,
    max: MaxPool2d,
    average: AvgPool2d,
    dropout: Dropout,
}

struct Training {
    network: Network,
    /// `None` while a step moves it.
    layers: Option<Layers>,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
}

impl Training {
    fn new(network: Network) -> Self {
        let device = Device::flex().autodiff();
        let mut layers = Layers {
            convolutions: Vec::new(),
            linears: Vec::new(),
            max: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            average: AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            dropout: DropoutConfig::new(0.5).init(),
        };
        layers.draw(&network.layers, &device);
        let labels: Vec<i32> = (0..network.images[0] * network.heads).map(|i| (i * 7 % network.classes) as i32).collect();
        Self {
            layers: Some(layers),
            optimizer: SgdConfig::new().with_momentum(Some(MomentumConfig::new().with_momentum(MOMENTUM).with_dampening(0.0))).init(),
            loss: CrossEntropyLossConfig::new().init(&device),
            images: Tensor::random(network.images, Distribution::Uniform(0.0, 1.0), &device),
            labels: Tensor::from_ints(labels.as_slice(), &device),
            network,
        }
    }

    fn step(&mut self) {
        let Some(layers) = self.layers.take() else { return };
        let mut at = Place::default();
        let logits = layers.forward(&self.network.layers, Value::Image(self.images.clone()), &mut at).flat();
        let rows = self.network.images[0] * self.network.heads;
        let loss = self.loss.forward(logits.reshape([rows, self.network.classes]), self.labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &layers);
        self.layers = Some(self.optimizer.step(LEARNING_RATE, layers, gradients));
    }
}

/// An image, or what a fully connected layer gives.
enum Value {
    Image(Tensor<4>),
    Flat(Tensor<2>),
}

impl Value {
    fn image(self) -> Tensor<4> {
        match self {
            Self::Image(image) => image,
            Self::Flat(_) => panic!("an image is needed"),
        }
    }

    fn flat(self) -> Tensor<2> {
        match self {
            Self::Image(image) => image.flatten(1, 3),
            Self::Flat(flat) => flat,
        }
    }
}

/// The next layer with parameters of each kind.
#[derive(Default)]
struct Place {
    convolution: usize,
    linear: usize,
}

impl Layers {
    fn draw(&mut self, layers: &[Layer], device: &Device) {
        for layer in layers {
            match layer {
                Layer::Conv { inputs, filters, side, padding } => {
                    let config = Conv2dConfig::new([*inputs, *filters], [*side, *side]);
                    let padding = if *padding == 0 { PaddingConfig2d::Valid } else { PaddingConfig2d::Explicit(*padding, *padding, *padding, *padding) };
                    self.convolutions.push(config.with_padding(padding).init(device));
                }
                Layer::Fc { inputs, units } => self.linears.push(LinearConfig::new(*inputs, *units).init(device)),
                Layer::Theta { inputs } => {
                    let mut theta = LinearConfig::new(*inputs, 6).with_initializer(Initializer::Zeros).init(device);
                    theta.bias = Some(Param::from_tensor(Tensor::from_floats([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], device)));
                    self.linears.push(theta);
                }
                Layer::Transformer(localiser) => self.draw(localiser, device),
                _ => {}
            }
        }
    }

    fn forward(&self, layers: &[Layer], images: Value, at: &mut Place) -> Value {
        layers.iter().fold(images, |x, layer| match layer {
            Layer::Conv { .. } => {
                at.convolution += 1;
                Value::Image(self.convolutions[at.convolution - 1].forward(x.image()))
            }
            Layer::Max => Value::Image(self.max.forward(x.image())),
            Layer::Average => Value::Image(self.average.forward(x.image())),
            Layer::Relu => match x {
                Value::Image(image) => Value::Image(activation::relu(image)),
                Value::Flat(flat) => Value::Flat(activation::relu(flat)),
            },
            Layer::Fc { .. } | Layer::Theta { .. } => {
                at.linear += 1;
                Value::Flat(self.linears[at.linear - 1].forward(x.flat()))
            }
            Layer::Dropout => Value::Flat(self.dropout.forward(x.flat())),
            Layer::DropoutMaps => {
                let image = x.image();
                let [samples, channels, ..] = image.dims();
                let kept = Tensor::random([samples, channels, 1, 1], Distribution::Bernoulli(0.5), &image.device());
                Value::Image(image * kept * 2.0)
            }
            Layer::Transformer(localiser) => {
                let image = x.image();
                let theta = self.forward(localiser, Value::Image(image.clone()), at).flat();
                Value::Image(sample(image, theta))
            }
        })
    }
}

/// The affine grid and the bilinear sampler, zeros outside.
fn sample(source: Tensor<4>, theta: Tensor<2>) -> Tensor<4> {
    let [samples, _, height, width] = source.dims();
    let centre = |i: usize, n: usize| (2 * i + 1) as f32 / n as f32 - 1.0;
    let rows: Vec<f32> = (0..height * width).flat_map(|p| [centre(p % width, width), centre(p / width, height), 1.0]).collect();
    let basis = Tensor::<1>::from_floats(rows.as_slice(), &source.device()).reshape([1, height * width, 3]);
    let grid = basis.matmul(theta.reshape([samples, 2, 3]).swap_dims(1, 2)).reshape([samples, height, width, 2]);
    let options = GridSampleOptions::new(InterpolateMode::Bilinear).with_padding_mode(GridSamplePaddingMode::Zeros).with_align_corners(false);
    source.grid_sample_2d(grid, options)
}
