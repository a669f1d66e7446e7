//! Everything together: small spatial transformer networks learn.

mod networks;

use candle_core::{DType, Device, Tensor};
use stn_nn::{Gradients, Mode, Optimizer, OptimizerSpec, ScheduleSpec};

/// A bright bar at a random place, upright (class 0) or lying (class 1), on 12 x 12 pixels.
fn bars(count: usize, seed: u64) -> (Tensor, Tensor) {
    use rand::RngExt;
    let mut rng = stn_core::stream::stream(seed, "bars", 0);
    let mut images = vec![0.0_f32; count * 144];
    let labels: Vec<u32> = (0..count).map(|i| i as u32 % 2).collect();
    for (image, label) in images.chunks_mut(144).zip(&labels) {
        let (along, across) = (rng.random_range(0..7), rng.random_range(0..12));
        for i in along..along + 6 {
            image[if *label == 0 { i * 12 + across } else { across * 12 + i }] = 1.0;
        }
    }
    (Tensor::from_vec(images, (count, 1, 12, 12), &Device::Cpu).unwrap(), Tensor::new(labels, &Device::Cpu).unwrap())
}

/// The same bars, each at a random depth of 5 in a volume.
fn bars_in_volumes(count: usize, seed: u64) -> (Tensor, Tensor) {
    use rand::RngExt;
    let mut rng = stn_core::stream::stream(seed, "depths of bars", 0);
    let (images, labels) = bars(count, seed);
    let volumes: Vec<Tensor> = (0..count)
        .map(|i| {
            let depth = rng.random_range(0..5);
            images.get(i).unwrap().unsqueeze(1).unwrap().pad_with_zeros(1, depth, 4 - depth).unwrap()
        })
        .collect();
    (Tensor::stack(&volumes, 0).unwrap(), labels)
}

/// The share of wrong answers on new bars after some steps.
fn error_after_training(text: &str, optimizer: &str) -> f64 {
    error_on(bars, &[1, 12, 12], text, optimizer)
}

fn error_on(bars: fn(usize, u64) -> (Tensor, Tensor), shape: &[usize], text: &str, optimizer: &str) -> f64 {
    let network = networks::network(text, shape, 2, 1, DType::F32);
    let table: toml::Table = optimizer.parse().unwrap();
    let mut optimizer = Optimizer::new(&OptimizerSpec::from_value(&table["optimizer"]).unwrap(), network.parameters()).unwrap();
    let schedule = ScheduleSpec::from_value(&toml::Value::String("cosine".into())).unwrap();
    let (lr, steps) = (table["lr"].as_float().unwrap(), 120);
    for step in 0..steps {
        let (images, labels) = bars(32, step);
        let outcome = network.forward(&images, Mode::Train { seed: 1, step }).unwrap();
        let tape = stn_ops::cross_entropy(&outcome.logits, &labels).unwrap().backward().unwrap();
        let mut gradients = Gradients::from_tape(&tape, network.parameters());
        gradients.clip(5.0).unwrap();
        optimizer.step(&gradients, lr * schedule.factor(step, steps)).unwrap();
    }
    let (images, labels) = bars(200, 1_000_000);
    let predicted = network.forward(&images, Mode::Evaluate).unwrap().logits.argmax(1).unwrap();
    let wrong = predicted.ne(&labels).unwrap().to_dtype(DType::F32).unwrap().mean_all().unwrap();
    f64::from(wrong.to_scalar::<f32>().unwrap())
}

const CNN: &str = "layers = [{ conv = [8, 5] }, { max = 2 }, 'relu', { fc = 16 }, 'relu', { dropout = 0.1 }, { fc = 'classes' }, 'softmax']";
const ST_CNN: &str = "layers = [
    { st = { transform = 'affine', localiser = [{ fc = 16 }, 'relu'], lr_factor = 0.1 } },
    { conv = [8, 5] }, { max = 2 }, 'relu', { fc = 16 }, 'relu', { fc = 'classes' },
]";

#[test]
fn a_cnn_learns_with_momentum() {
    let error = error_after_training(CNN, "lr = 0.05\noptimizer = { kind = 'sgd', momentum = 0.9 }");
    assert!(error < 0.02, "{error}");
}

#[test]
fn a_spatial_transformer_learns_with_adam() {
    let error = error_after_training(ST_CNN, "lr = 0.005\noptimizer = 'adam'");
    assert!(error < 0.02, "{error}");
}

#[test]
fn a_transformer_in_several_steps_learns() {
    let error = error_after_training(&ST_CNN.replace("transform", "steps = 3, transform"), "lr = 0.005\noptimizer = 'adam'");
    assert!(error < 0.02, "{error}");
}

#[test]
fn a_transformer_of_volumes_that_are_projected_learns() {
    let text = "layers = [
        { st = { transform = 'affine3d', localiser = [{ project = 'mean' }, { avg = 2 }, { fc = 16 }, 'relu'], lr_factor = 0.1 } },
        { project = 'max' }, { conv = [8, 5] }, { max = 2 }, 'relu', { fc = 16 }, 'relu', { fc = 'classes' },
    ]";
    let error = error_on(bars_in_volumes, &[1, 5, 12, 12], text, "lr = 0.005\noptimizer = 'adam'");
    assert!(error < 0.02, "{error}");
}
