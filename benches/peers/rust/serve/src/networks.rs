//! The networks of the benchmark, as lists that a peer goes through.

/// A layer.
#[derive(Debug, Clone)]
pub enum Layer {
    /// Convolution, stride 1, square kernel.
    Conv {
        inputs: usize,
        filters: usize,
        side: usize,
        padding: usize,
    },
    /// Maximum over 2 x 2.
    Max,
    /// Mean over 2 x 2.
    Average,
    Relu,
    /// Fully connected, on everything before it.
    Fc {
        inputs: usize,
        units: usize,
    },
    /// The fully connected layer that predicts the six numbers of an affine theta: weights zero, bias the identity.
    Theta {
        inputs: usize,
    },
    /// Half of the numbers.
    Dropout,
    /// Half of the feature maps.
    DropoutMaps,
    /// An affine spatial transformer with its localisation network.
    Transformer(Vec<Layer>),
}

/// A network and its batch.
#[derive(Debug, Clone)]
pub struct Network {
    pub layers: Vec<Layer>,
    /// N x C x H x W.
    pub images: [usize; 4],
    pub classes: usize,
    /// Classifiers side by side, each with a label of its own.
    pub heads: usize,
}

/// The network of a work `step.NAME`; none for the one with a thin plate spline, which the peers in Rust have not.
pub fn network(work: &str) -> Option<Network> {
    match work {
        "step.tutorial" => Some(tutorial()),
        "step.st_cnn_affine" => Some(st_cnn_affine()),
        "step.svhn_multi" => Some(svhn(true)),
        "step.svhn_cnn" => Some(svhn(false)),
        _ => None,
    }
}

fn conv(inputs: usize, filters: usize, side: usize) -> Layer {
    Layer::Conv { inputs, filters, side, padding: 0 }
}

fn fc(inputs: usize, units: usize) -> Layer {
    Layer::Fc { inputs, units }
}

fn tutorial() -> Network {
    use Layer::{Dropout, DropoutMaps, Max, Relu, Theta, Transformer};
    let localiser = vec![conv(1, 8, 7), Max, Relu, conv(8, 10, 5), Max, Relu, fc(90, 32), Relu, Theta { inputs: 32 }];
    let mut layers = vec![Transformer(localiser), conv(1, 10, 5), Max, Relu, conv(10, 20, 5), DropoutMaps, Max, Relu];
    layers.extend([fc(320, 50), Relu, Dropout, fc(50, 10)]);
    Network { layers, images: [64, 1, 28, 28], classes: 10, heads: 1 }
}

fn st_cnn_affine() -> Network {
    use Layer::{Average, Max, Relu, Theta, Transformer};
    let localiser = vec![Average, conv(1, 20, 5), Max, Relu, conv(20, 20, 5), Relu, fc(320, 20), Relu, Theta { inputs: 20 }];
    let layers = vec![Transformer(localiser), conv(1, 32, 9), Max, Relu, conv(32, 32, 7), Max, Relu, fc(800, 256), Relu, fc(256, 10)];
    Network { layers, images: [256, 1, 42, 42], classes: 10, heads: 1 }
}

fn svhn(transformers: bool) -> Network {
    let (mut layers, mut channels, mut side) = (Vec::new(), 3, 64);
    let convolutions = [(48, true), (64, false), (128, true), (160, false), (192, true), (192, false), (192, true), (192, false)];
    for (i, (filters, pooled)) in convolutions.into_iter().enumerate() {
        if transformers && i < 4 {
            layers.push(Layer::Transformer(vec![fc(channels * side * side, 32), Layer::Relu, fc(32, 32), Layer::Relu, Layer::Theta { inputs: 32 }]));
        }
        layers.extend([Layer::Conv { inputs: channels, filters, side: 5, padding: 2 }, Layer::Relu]);
        if pooled {
            layers.push(Layer::Max);
            side /= 2;
        }
        channels = filters;
    }
    for _ in 0..3 {
        layers.extend([fc(3072, 3072), Layer::Relu]);
    }
    layers.push(fc(3072, 55));
    Network { layers, images: [32, 3, 64, 64], classes: 11, heads: 5 }
}
