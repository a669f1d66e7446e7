//! Networks with PyTorch's weights give PyTorch's logits and gradients. The vectors and the script that made them stand in `vectors/`.

mod networks;

use candle_core::DType;
use networks::{below, difference, values, vectors};
use stn_nn::Mode;

const ST_CNN: &str = "layers = [
    { st = { transform = 'affine', localiser = [{ avg = 2 }, { conv = [4, 3] }, { max = 2 }, 'relu', { fc = 8 }, 'relu'] } },
    { conv = [6, 5] }, { max = 2 }, 'relu', { fc = 16 }, 'relu', { fc = 'classes' }, 'softmax',
]";

const PARALLEL_ST: &str = "layers = [
    { parallel_st = { count = 2, transform = 'affine', boundary = 'border', align_corners = true, output = [6, 5], feed_theta = true,
        shared_localiser = [{ fc = 7 }, 'relu'] } },
    { conv = [3, [3, 2], [2, 1], [1, 0]] }, 'relu', { max = { kernel = 2, rounding = 'up' } }, { fc = 'classes' },
]";

const SEQUENCE_ST: &str = "layers = [
    { conv = [2, 3] }, 'relu', { st = { transform = 'affine', steps = 3, output = [5, 6], localiser = [{ fc = 7 }, 'relu'] } }, { fc = 'classes' },
]";

const WINDOWS: &str = "layers = [
    { parallel_st = { count = 2, transform = { kind = 'attention', scale = 0.5 }, output = [6, 6], shared_localiser = [{ fc = 7 }, 'relu'], each = [
        { conv = [4, 3, 2, 1] }, { batch_norm = { momentum = 0.25, epsilon = 1e-3 } }, 'relu',
        { branches = [
            [{ conv = [3, 1] }, 'batch_norm', 'relu'],
            [{ conv = [2, 3, 1, 1] }, 'batch_norm', 'relu'],
            [{ avg = { kernel = 3, stride = 1, padding = 1 } }, { conv = [2, 1] }, 'batch_norm', 'relu'],
        ] },
        { avg = 'all' },
    ] } },
    { fc = 'classes' },
]";

fn agrees(file: &str, text: &str, input: &[usize], classes: usize) {
    let vectors = vectors(file);
    let network = networks::network(text, input, classes, 0, DType::F64);
    network.load(&below(&vectors, "weights.")).unwrap();
    let outcome = network.forward(&vectors["images"], Mode::Train { seed: 0, step: 0 }).unwrap();
    assert!(difference(&outcome.logits, &vectors["logits"]) < 1e-10);
    assert_eq!(outcome.warps.len(), below(&vectors, "theta.").len());
    for (i, warp) in outcome.warps.iter().enumerate() {
        assert!(difference(&warp.theta, &vectors[&format!("theta.{i}")]) < 1e-10);
    }
    let loss = stn_ops::cross_entropy(&outcome.logits, &vectors["labels"].to_dtype(DType::U32).unwrap()).unwrap();
    assert!((values(&loss)[0] - values(&vectors["loss"])[0]).abs() < 1e-10);
    let gradients = loss.backward().unwrap();
    let expected = below(&vectors, "gradients.");
    assert_eq!(expected.len(), network.parameters().len());
    for parameter in network.parameters() {
        let off = difference(gradients.get(&parameter.var).unwrap(), &expected[&parameter.name]);
        assert!(off < 1e-9, "{}: {off}", parameter.name);
    }
    let after = below(&vectors, "after.");
    assert_eq!(after.len(), network.buffers().len());
    for buffer in network.buffers() {
        assert!(difference(&buffer.var, &after[&buffer.name]) < 1e-10, "{}", buffer.name);
    }
    if let Some(evaluated) = vectors.get("evaluated") {
        assert!(difference(&network.infer(&vectors["images"]).unwrap().logits, evaluated) < 1e-10);
    }
}

#[test]
fn a_spatial_transformer_cnn_agrees() {
    agrees("st_cnn.npz", ST_CNN, &[1, 12, 12], 3);
}

#[test]
fn parallel_transformers_with_one_localiser_and_theta_fed_forward_agree() {
    agrees("parallel_st.npz", PARALLEL_ST, &[2, 7, 9], 4);
}

#[test]
fn a_transformer_applied_three_times_with_composed_warps_agrees() {
    agrees("sequence_st.npz", SEQUENCE_ST, &[1, 10, 9], 3);
}

#[test]
fn windows_with_a_normalised_inception_module_each_agree_also_in_evaluation() {
    agrees("windows.npz", WINDOWS, &[2, 9, 9], 4);
}
