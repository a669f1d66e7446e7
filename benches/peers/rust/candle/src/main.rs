//! Stock candle: its convolutions, pooling, autograd. It has neither `grid_sample` nor momentum: the sampler is written with its gather, momentum with its tensors.

use candle_core::{D, DType, Device, Result, Tensor, Var};
use peer_serve::{Layer, Network, Run, Sample};

const LEARNING_RATE: f64 = 1e-3;
const MOMENTUM: f64 = 0.9;

fn main() {
    peer_serve::serve(|work| {
        if let Some(work) = peer_serve::sample(work) {
            return Some(sampling(&work).expect("the source stands"));
        }
        let mut training = Training::new(peer_serve::network(work)?).expect("the network stands");
        Some(Box::new(move || training.step().expect("a step is made")) as Run)
    });
}

/// The sampler alone, backward from an output gradient of ones.
fn sampling(work: &Sample) -> Result<Run> {
    let source = Tensor::rand(0f32, 1.0, &work.shape, &Device::Cpu)?;
    let source = if work.to_input { Var::from_tensor(&source)?.into_inner() } else { source };
    let theta = Var::from_vec(work.thetas(), (work.shape[0], 6), &Device::Cpu)?;
    Ok(Box::new(move || {
        sample(&source, theta.as_tensor()).and_then(|output| output.backward()).expect("the source is sampled");
    }))
}

struct Training {
    network: Network,
    parameters: Vec<Var>,
    velocity: Vec<Tensor>,
    images: Tensor,
    labels: Tensor,
}

impl Training {
    fn new(network: Network) -> Result<Self> {
        let mut parameters = Vec::new();
        draw(&network.layers, &mut parameters)?;
        let velocity = parameters.iter().map(|p| p.zeros_like()).collect::<Result<_>>()?;
        let images = Tensor::rand(0f32, 1.0, &network.images, &Device::Cpu)?;
        let labels: Vec<u32> = (0..network.images[0] * network.heads).map(|i| (i * 7 % network.classes) as u32).collect();
        Ok(Self { network, parameters, velocity, images, labels: Tensor::new(labels, &Device::Cpu)? })
    }

    fn step(&mut self) -> Result<()> {
        let logits = forward(&self.network.layers, self.images.clone(), &mut self.parameters.iter())?.reshape(((), self.network.classes))?;
        let gradients = candle_nn::loss::cross_entropy(&logits, &self.labels)?.backward()?;
        for (parameter, velocity) in self.parameters.iter().zip(&mut self.velocity) {
            let Some(gradient) = gradients.get(parameter) else { continue };
            *velocity = ((&*velocity * MOMENTUM)? + gradient)?;
            parameter.set(&(parameter.as_detached_tensor() - (&*velocity * LEARNING_RATE)?)?)?;
        }
        Ok(())
    }
}

/// Weights and biases in the order of the list, uniform within 1 / sqrt(fan-in).
fn draw(layers: &[Layer], parameters: &mut Vec<Var>) -> Result<()> {
    for layer in layers {
        let (weight, units, fan_in) = match layer {
            Layer::Conv { inputs, filters, side, .. } => (vec![*filters, *inputs, *side, *side], *filters, inputs * side * side),
            Layer::Fc { inputs, units } => (vec![*units, *inputs], *units, *inputs),
            Layer::Theta { inputs } => {
                parameters.push(Var::zeros((6, *inputs), DType::F32, &Device::Cpu)?);
                parameters.push(Var::new(&[1f32, 0.0, 0.0, 0.0, 1.0, 0.0], &Device::Cpu)?);
                continue;
            }
            Layer::Transformer(localiser) => {
                draw(localiser, parameters)?;
                continue;
            }
            _ => continue,
        };
        let bound = 1.0 / (fan_in as f32).sqrt();
        parameters.push(Var::rand(-bound, bound, weight, &Device::Cpu)?);
        parameters.push(Var::rand(-bound, bound, units, &Device::Cpu)?);
    }
    Ok(())
}

fn forward<'a>(layers: &[Layer], images: Tensor, parameters: &mut impl Iterator<Item = &'a Var>) -> Result<Tensor> {
    let mut x = images;
    for layer in layers {
        x = match layer {
            Layer::Conv { padding, .. } => {
                let (weight, bias) = next(parameters);
                x.conv2d(weight, *padding, 1, 1, 1)?.broadcast_add(&bias.reshape((1, (), 1, 1))?)?
            }
            Layer::Max => x.max_pool2d(2)?,
            Layer::Average => x.avg_pool2d(2)?,
            Layer::Relu => x.relu()?,
            Layer::Fc { .. } | Layer::Theta { .. } => {
                let (weight, bias) = next(parameters);
                x.flatten_from(1)?.matmul(&weight.t()?)?.broadcast_add(bias)?
            }
            Layer::Dropout => candle_nn::ops::dropout(&x, 0.5)?,
            Layer::DropoutMaps => {
                let kept = Tensor::rand(0f32, 1.0, (x.dim(0)?, x.dim(1)?, 1, 1), x.device())?.ge(0.5)?;
                x.broadcast_mul(&(kept.to_dtype(DType::F32)? * 2.0)?)?
            }
            Layer::Transformer(localiser) => {
                let theta = forward(localiser, x.clone(), parameters)?;
                sample(&x, &theta)?
            }
        };
    }
    Ok(x)
}

fn next<'a>(parameters: &mut impl Iterator<Item = &'a Var>) -> (&'a Tensor, &'a Tensor) {
    let mut one = || parameters.next().expect("every layer has its parameters").as_tensor();
    (one(), one())
}

/// The affine grid and the bilinear sampler, zeros outside.
fn sample(source: &Tensor, theta: &Tensor) -> Result<Tensor> {
    let (samples, channels, height, width) = source.dims4()?;
    let centres = |n: usize| (0..n).map(move |i| (2 * i + 1) as f32 / n as f32 - 1.0);
    let mut rows: Vec<f32> = (0..height).flat_map(|_| centres(width)).collect();
    rows.extend(centres(height).flat_map(|y| std::iter::repeat_n(y, width)));
    rows.extend(std::iter::repeat_n(1.0, height * width));
    let basis = Tensor::from_vec(rows, (1, 3, height * width), source.device())?;
    let places = theta.reshape((samples, 2, 3))?.matmul(&basis.broadcast_as((samples, 3, height * width))?.contiguous()?)?;
    let flat = source.reshape((samples, channels, height * width))?;
    // Pixels from -0.5 to n - 0.5.
    let axis = |i: usize, n: usize| -> Result<[(Tensor, Tensor); 2]> {
        let place = (((places.narrow(1, i, 1)?.squeeze(1)? + 1.0)? * (n as f64 / 2.0))? - 0.5)?;
        let first = place.detach().floor()?;
        let fraction = (place - &first)?;
        Ok([(first.clone(), (1.0 - &fraction)?), ((first + 1.0)?, fraction)])
    };
    let (columns, rows) = (axis(0, width)?, axis(1, height)?);
    let inside = |pixel: &Tensor, n: usize| -> Result<Tensor> { pixel.ge(0.0)?.to_dtype(DType::F32)? * pixel.lt(n as f64)?.to_dtype(DType::F32)? };
    let mut total: Option<Tensor> = None;
    for (row, weight_y) in &rows {
        for (column, weight_x) in &columns {
            let weight = (((weight_x * weight_y)? * inside(row, height)?)? * inside(column, width)?)?;
            let index = ((row.clamp(0.0, (height - 1) as f64)? * width as f64)? + column.clamp(0.0, (width - 1) as f64)?)?.to_dtype(DType::U32)?;
            let index = index.unsqueeze(1)?.broadcast_as((samples, channels, height * width))?.contiguous()?;
            let tap = flat.gather(&index, D::Minus1)?.broadcast_mul(&weight.unsqueeze(1)?)?;
            total = Some(match total {
                Some(total) => (total + tap)?,
                None => tap,
            });
        }
    }
    total.expect("there are four taps").reshape(source.shape())
}
