//! Networks with weights: how they start, what gradients reach, what is recorded, saved and repeated.

mod networks;

use candle_core::{DType, Tensor};
use networks::{difference, images, network, values};
use stn_nn::{Mode, Network};

const TRAIN: Mode = Mode::Train { seed: 3, step: 7 };

fn st_cnn(transform: &str) -> String {
    format!(
        "layers = [
            {{ st = {{ transform = {transform}, lr_factor = 0.1, localiser = [{{ avg = 2 }}, {{ conv = [4, 3] }}, {{ max = 2 }}, 'relu', {{ fc = 8 }}, 'relu'] }} }},
            {{ conv = [6, 5] }}, {{ max = 2 }}, 'relu', {{ dropout = {{ rate = 0.5, channels = true }} }}, {{ fc = 16 }}, 'relu', {{ dropout = 0.5 }}, {{ fc = 'classes' }},
        ]"
    )
}

fn loss(network: &Network, images: &Tensor, mode: Mode) -> Tensor {
    let logits = network.forward(images, mode).unwrap().logits;
    let labels: Vec<u32> = (0..images.dim(0).unwrap() as u32).map(|i| i % 3).collect();
    stn_ops::cross_entropy(&logits, &Tensor::new(labels, images.device()).unwrap()).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn every_transformation_starts_as_the_identity() {
    let input = images(&[2, 1, 12, 12], 0, DType::F64);
    for transform in ["affine", "attention", "projective", "tps", "translation", "rigid", "similarity"] {
        let network = network(&st_cnn(&format!("'{transform}'")), &[1, 12, 12], 3, 1, DType::F64);
        let outcome = network.forward(&input, Mode::Evaluate).unwrap();
        let output = outcome.warps[0].output.as_ref().unwrap();
        assert!(difference(output, &input) < 1e-9, "{transform}: {}", difference(output, &input));
    }
}

#[test]
fn parallel_transformers_start_at_their_tiles() {
    for localiser in ["shared_localiser", "localiser"] {
        let text =
            format!("layers = [{{ parallel_st = {{ count = 4, transform = 'attention', {localiser} = [{{ fc = 4 }}, 'relu'] }} }}, {{ fc = 'classes' }}]");
        let network = network(&text, &[1, 8, 8], 3, 1, DType::F64);
        let outcome = network.forward(&images(&[1, 1, 8, 8], 0, DType::F64), Mode::Evaluate).unwrap();
        let thetas: Vec<_> = outcome.warps.iter().map(|warp| values(&warp.theta)).collect();
        assert_eq!(thetas, [[0.5, -0.5, -0.5], [0.5, 0.5, -0.5], [0.5, -0.5, 0.5], [0.5, 0.5, 0.5]]);
    }
}

#[test]
fn gradients_reach_every_parameter_and_through_theta_the_localiser() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F64);
    let input = images(&[6, 1, 12, 12], 0, DType::F64);
    let norm = |gradients: &candle_core::backprop::GradStore, name: &str| {
        let parameter = network.parameters().iter().find(|parameter| parameter.name == name).unwrap();
        values(gradients.get(&parameter.var).unwrap()).iter().map(|g| g * g).sum::<f64>().sqrt()
    };
    let gradients = loss(&network, &input, Mode::Train { seed: 1, step: 0 }).backward().unwrap();
    assert!(network.parameters().iter().all(|parameter| gradients.get(&parameter.var).is_some()));
    assert!(norm(&gradients, "st1.localiser.theta.weight") > 0.0);
    assert!(norm(&gradients, "st1.localiser.theta.bias") > 0.0);
    // What stands in front of the theta layer learns as soon as its weights have left zero.
    assert_eq!(norm(&gradients, "st1.localiser.conv1.weight"), 0.0);
    let theta = network.parameters().iter().find(|parameter| parameter.name == "st1.localiser.theta.weight").unwrap();
    theta.var.set(&images(theta.var.dims(), 5, DType::F64)).unwrap();
    let gradients = loss(&network, &input, Mode::Train { seed: 1, step: 0 }).backward().unwrap();
    assert!(norm(&gradients, "st1.localiser.conv1.weight") > 0.0);
}

#[test]
fn parameters_have_the_documented_names_in_the_order_of_construction() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32);
    let described: Vec<_> = network.parameters().iter().map(|p| (p.name.as_str(), p.var.dims().to_vec(), p.lr_factor, p.decay)).collect();
    let expected = [
        ("st1.localiser.conv1.weight", vec![4, 1, 3, 3], 0.1, true),
        ("st1.localiser.conv1.bias", vec![4], 0.1, false),
        ("st1.localiser.fc1.weight", vec![8, 16], 0.1, true),
        ("st1.localiser.fc1.bias", vec![8], 0.1, false),
        ("st1.localiser.theta.weight", vec![6, 8], 0.1, true),
        ("st1.localiser.theta.bias", vec![6], 0.1, false),
        ("conv1.weight", vec![6, 1, 5, 5], 1.0, true),
        ("conv1.bias", vec![6], 1.0, false),
        ("fc1.weight", vec![16, 96], 1.0, true),
        ("fc1.bias", vec![16], 1.0, false),
        ("fc2.weight", vec![3, 16], 1.0, true),
        ("fc2.bias", vec![3], 1.0, false),
    ];
    assert_eq!(described, expected);
}

#[test]
fn weights_start_with_the_variance_of_their_rule() {
    let text = |init: &str| format!("init = '{init}'\nlayers = [{{ conv = [64, 5] }}, {{ max = 2 }}, 'relu', {{ fc = 200 }}, {{ fc = 'classes' }}]");
    let deviation = |network: &Network, name: &str| {
        let weights = values(&network.tensors()[name]);
        (weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64).sqrt()
    };
    let kaiming = network(&text("kaiming_normal"), &[3, 12, 12], 10, 1, DType::F64);
    // A ReLU follows conv1 behind the pooling, none follows fc1.
    assert!((deviation(&kaiming, "conv1.weight") / (2.0_f64 / 75.0).sqrt() - 1.0).abs() < 0.05);
    assert!((deviation(&kaiming, "fc1.weight") / (1.0_f64 / 1024.0).sqrt() - 1.0).abs() < 0.05);
    assert_eq!(deviation(&kaiming, "conv1.bias"), 0.0);
    let xavier = network(&text("xavier_normal"), &[3, 12, 12], 10, 1, DType::F64);
    assert!((deviation(&xavier, "conv1.weight") / (2.0_f64 / (75.0 + 1600.0)).sqrt() - 1.0).abs() < 0.05);
    assert!((deviation(&xavier, "fc1.weight") / (2.0_f64 / 1224.0).sqrt() - 1.0).abs() < 0.05);
    assert_eq!(deviation(&xavier, "conv1.bias"), 0.0);
    let pytorch = network(&text("pytorch"), &[3, 12, 12], 10, 1, DType::F64);
    assert!((deviation(&pytorch, "fc1.weight") / (1.0_f64 / 3.0 / 1024.0).sqrt() - 1.0).abs() < 0.05);
    let bound = 1.0 / 75.0_f64.sqrt();
    assert!(values(&pytorch.tensors()["conv1.bias"]).iter().all(|b| b.abs() <= bound));
    assert!(deviation(&pytorch, "conv1.bias") > 0.0);
}

#[test]
fn a_seed_names_the_weights() {
    let weights = |seed| bits(&network(&st_cnn("'affine'"), &[1, 12, 12], 3, seed, DType::F32).tensors()["conv1.weight"]);
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
}

#[test]
fn a_training_step_has_the_same_bits_at_any_number_of_threads() {
    let step = || {
        let network = network(&st_cnn("'tps'"), &[1, 12, 12], 3, 1, DType::F32);
        let loss = loss(&network, &images(&[16, 1, 12, 12], 0, DType::F32), TRAIN);
        let gradients = loss.backward().unwrap();
        let all: Vec<_> = network.parameters().iter().flat_map(|parameter| bits(gradients.get(&parameter.var).unwrap())).collect();
        (bits(&loss), all)
    };
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(step);
    let one = on(1);
    assert!(one == on(2));
    assert!(one == on(5));
}

#[test]
fn dropout_is_drawn_for_the_step_and_only_in_training() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32);
    let input = images(&[4, 1, 12, 12], 0, DType::F32);
    let logits = |mode| bits(&network.forward(&input, mode).unwrap().logits);
    assert_eq!(logits(TRAIN), logits(TRAIN));
    assert_ne!(logits(TRAIN), logits(Mode::Train { seed: 3, step: 8 }));
    assert_ne!(logits(TRAIN), logits(Mode::Train { seed: 4, step: 7 }));
    assert_ne!(logits(TRAIN), logits(Mode::Evaluate));
    assert_eq!(logits(Mode::Evaluate), logits(Mode::Evaluate));
}

#[test]
fn evaluation_keeps_no_graph_and_records_images() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32);
    let input = images(&[2, 1, 12, 12], 0, DType::F32);
    let outcome = network.forward(&input, Mode::Evaluate).unwrap();
    assert!(!outcome.logits.track_op());
    let warp = &outcome.warps[0];
    assert_eq!((warp.layer.as_str(), warp.theta.dims(), warp.theta_names.len()), ("st1", &[2, 6][..], 6));
    assert_eq!(warp.input.as_ref().unwrap().dims(), [2, 1, 12, 12]);
    assert_eq!(warp.grid().unwrap().dims(), [2, 12, 12, 2]);
}

#[test]
fn training_records_theta_alone_and_cut_off_from_gradients() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32);
    let outcome = network.forward(&images(&[2, 1, 12, 12], 0, DType::F32), TRAIN).unwrap();
    assert!(outcome.logits.track_op());
    let warp = &outcome.warps[0];
    assert!(warp.input.is_none() && warp.output.is_none() && !warp.theta.track_op());
}

#[test]
fn a_theta_that_is_not_finite_can_be_seen() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32);
    let outcome = network.forward(&(images(&[2, 1, 12, 12], 0, DType::F32) * f64::NAN).unwrap(), TRAIN).unwrap();
    assert!(values(&outcome.warps[0].theta).iter().any(|theta| !theta.is_finite()));
}

#[test]
fn saved_weights_come_back() {
    let (one, other) = (network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32), network(&st_cnn("'affine'"), &[1, 12, 12], 3, 2, DType::F32));
    let folder = std::env::temp_dir().join(format!("stn-nn-saved-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("weights.safetensors");
    let saved: std::collections::HashMap<String, Tensor> = one.tensors().into_iter().collect();
    candle_core::safetensors::save(&saved, &file).unwrap();
    let read = candle_core::safetensors::load(&file, &candle_core::Device::Cpu).unwrap().into_iter().collect();
    std::fs::remove_dir_all(&folder).unwrap();
    other.load(&read).unwrap();
    let input = images(&[2, 1, 12, 12], 0, DType::F32);
    let logits = |network: &Network| bits(&network.forward(&input, Mode::Evaluate).unwrap().logits);
    assert_eq!(logits(&one), logits(&other));
}

#[test]
fn loaded_weights_are_a_copy() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32);
    network.load(&network.tensors()).unwrap();
}

#[test]
fn weights_of_another_network_are_refused_and_change_nothing() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32);
    let before = bits(&network.tensors()["conv1.weight"]);
    let refused = |change: &dyn Fn(&mut std::collections::BTreeMap<String, Tensor>)| {
        let mut tensors = network.tensors();
        tensors.insert("conv1.weight".into(), tensors["conv1.weight"].zeros_like().unwrap());
        change(&mut tensors);
        network.load(&tensors).unwrap_err().to_string()
    };
    assert_eq!(refused(&|tensors| drop(tensors.remove("fc2.bias"))), "`fc2.bias` is missing from what was saved: it belongs to another network or optimizer");
    assert_eq!(
        refused(&|tensors| drop(tensors.insert("fc3.bias".into(), tensors["fc2.bias"].clone()))),
        "the saved weights hold `fc3.bias`, which this network has not: they belong to another network"
    );
    assert_eq!(refused(&|tensors| drop(tensors.insert("fc2.bias".into(), tensors["fc1.bias"].clone()))), "`fc2.bias` is 3 here and 16 in what was saved");
    assert_eq!(bits(&network.tensors()["conv1.weight"]), before);
}

#[test]
fn images_of_another_shape_are_refused() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32);
    let refused = |shape: &[usize]| network.forward(&images(shape, 0, DType::F32), Mode::Evaluate).unwrap_err().to_string();
    assert_eq!(refused(&[2, 1, 12, 11]), "this network takes images of N x 1 x 12 x 12 with N at least 1, not 2 x 1 x 12 x 11");
    assert_eq!(refused(&[0, 1, 12, 12]), "this network takes images of N x 1 x 12 x 12 with N at least 1, not 0 x 1 x 12 x 12");
    assert_eq!(refused(&[12, 12]), "this network takes images of N x 1 x 12 x 12 with N at least 1, not 12 x 12");
}

#[test]
fn an_error_names_the_layer() {
    let network = network(&st_cnn("'affine'"), &[1, 12, 12], 3, 1, DType::F32);
    let error = network.forward(&images(&[1, 1, 12, 12], 0, DType::F64), Mode::Evaluate).unwrap_err().to_string();
    assert!(error.starts_with("layer `st1.localiser.conv1`: "), "{error}");
}

#[test]
fn one_pixel_one_class_and_a_batch_of_one_pass() {
    let text = "layers = [{ st = { transform = 'affine', localiser = ['relu'] } }, { fc = 'classes' }]";
    for align_corners in ["false", "true"] {
        let text = text.replace("localiser", &format!("align_corners = {align_corners}, localiser"));
        let network = network(&text, &[1, 1, 1], 1, 1, DType::F32);
        let outcome = network.forward(&images(&[1, 1, 1, 1], 0, DType::F32), TRAIN).unwrap();
        assert_eq!(outcome.logits.dims(), [1, 1]);
    }
}

#[test]
fn theta_feeds_the_next_fc() {
    let text = "layers = [{ st = { transform = 'translation', feed_theta = true, localiser = [{ fc = 4 }] } }, { avg = 8 }, { fc = 'classes' }]";
    let network = network(text, &[1, 8, 8], 2, 1, DType::F64);
    let tensors = network.tensors();
    // Logit 0 reads the mean of the image, logit 1 the first number of theta, which starts at 0.25.
    let weight = Tensor::new(&[[1.0_f64, 0.0, 0.0], [0.0, 1.0, 0.0]], &candle_core::Device::Cpu).unwrap();
    let mut loaded = tensors.clone();
    loaded.insert("fc1.weight".into(), weight);
    loaded.insert("st1.localiser.theta.bias".into(), Tensor::new(&[0.25_f64, 0.0], &candle_core::Device::Cpu).unwrap());
    network.load(&loaded).unwrap();
    let logits = values(&network.forward(&images(&[1, 1, 8, 8], 0, DType::F64), Mode::Evaluate).unwrap().logits);
    assert_eq!(logits[1], 0.25);
}

#[test]
fn volumes_are_warped_and_classified() {
    let text = "layers = [{ st = { transform = 'affine3d', localiser = [{ fc = 4 }] } }, { fc = 'classes' }]";
    let network = network(text, &[1, 4, 5, 6], 3, 1, DType::F64);
    let input = images(&[2, 1, 4, 5, 6], 0, DType::F64);
    let outcome = network.forward(&input, Mode::Evaluate).unwrap();
    assert!(difference(outcome.warps[0].output.as_ref().unwrap(), &input) < 1e-9);
    assert_eq!(outcome.warps[0].grid().unwrap().dims(), [2, 4, 5, 6, 3]);
}
