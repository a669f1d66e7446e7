//! The training step in one pass a block against the same on candle's tape, layer by layer.

mod networks;

use candle_core::{DType, Device, Tensor};
use networks::{images, network};
use stn_nn::{Gradients, Mode, Network};
use stn_testkit::{assert_close, same_bits};

/// Moves every parameter a little, so that localisation networks have left the identity.
fn unsettle(network: &Network) {
    for (i, parameter) in network.parameters().iter().enumerate() {
        let noise = ((images(parameter.var.dims(), 50 + i as u64, parameter.var.dtype()) - 0.5).unwrap() * 0.2).unwrap();
        parameter.var.set(&(parameter.var.as_tensor() + noise).unwrap()).unwrap();
    }
}

/// Logits, loss and gradients on candle's tape.
fn taped(network: &Network, input: &Tensor, labels: &Tensor) -> (Tensor, f64, Gradients) {
    let outcome = network.forward(input, Mode::Train { seed: 3, step: 5 }).unwrap();
    let loss = stn_ops::cross_entropy(&outcome.logits, labels).unwrap();
    let tape = loss.backward().unwrap();
    (outcome.logits.detach(), loss.to_dtype(DType::F64).unwrap().to_scalar().unwrap(), Gradients::from_tape(&tape, network.parameters()))
}

/// The same in one pass a block.
fn compiled(network: &Network, input: &Tensor, labels: &Tensor) -> (Tensor, f64, Gradients) {
    let recorded = network.record(input, 3, 5).unwrap();
    let (loss, gradient) = recorded.loss(|logits| stn_ops::cross_entropy(logits, labels)).unwrap();
    let logits = recorded.logits().clone();
    let mut gradients = Gradients::default();
    recorded.backward(&gradient, |i, gradient| gradients.set(i, &gradient)).unwrap();
    (logits, loss.to_dtype(DType::F64).unwrap().to_scalar().unwrap(), gradients)
}

fn agree(text: &str, input: &[usize]) {
    agree_in(&[(DType::F64, 1e-11), (DType::F32, 2e-4)], text, input);
}

fn agree_in(types: &[(DType, f64)], text: &str, input: &[usize]) {
    for &(dtype, tolerance) in types {
        let network = network(text, input, 3, 1, dtype);
        unsettle(&network);
        let batch = images(&[&[6], input].concat(), 0, dtype);
        let labels = Tensor::new(&[0_u32, 1, 2, 2, 1, 0], &Device::Cpu).unwrap();
        let (expected, found) = (taped(&network, &batch, &labels), compiled(&network, &batch, &labels));
        assert_close(&found.0, &expected.0, tolerance);
        assert!((found.1 - expected.1).abs() < tolerance, "{dtype:?}: loss {} and {}", found.1, expected.1);
        for (i, parameter) in network.parameters().iter().enumerate() {
            match (found.2.get(i), expected.2.get(i)) {
                (Some(found), Some(expected)) => {
                    println!("{dtype:?} {}", parameter.name);
                    assert_close(found, expected, tolerance);
                }
                (found, expected) => assert_eq!(found.is_some(), expected.is_some(), "{}", parameter.name),
            }
        }
        let evaluated = network.forward(&batch, Mode::Evaluate).unwrap();
        let inferred = network.infer(&batch).unwrap();
        assert_close(&inferred.logits, &evaluated.logits, tolerance);
        assert_eq!(inferred.warps.len(), evaluated.warps.len());
        for (inferred, evaluated) in inferred.warps.iter().zip(&evaluated.warps) {
            assert_eq!((&inferred.layer, inferred.step, inferred.input.is_some()), (&evaluated.layer, evaluated.step, evaluated.input.is_some()));
            assert_close(&inferred.theta, &evaluated.theta, tolerance);
        }
    }
}

#[test]
fn convolutions_pooled_rectified_and_dropped_agree() {
    agree(
        "layers = [{ conv = [4, 5, 1, 2] }, { max = 2 }, 'relu', { conv = [6, 3] }, { dropout = { rate = 0.5, channels = true } }, { max = 2 }, 'relu',
            { conv = [5, 2] }, 'relu', { dropout = 0.3 }, { fc = 9 }, 'relu', { fc = 'classes' }, 'softmax']",
        &[2, 14, 13],
    );
}

#[test]
fn layers_without_a_pass_of_their_own_agree() {
    agree(
        "layers = ['relu', { avg = 2 }, { conv = [4, 3, 2] }, 'relu', { max = { kernel = 3, stride = 1, padding = 1 } }, { avg = 2 }, { conv = [4, 1, 1] }, { fc = 7 }, 'softmax',
            { dropout = 0.2 }, { fc = 'classes' }]",
        &[1, 17, 16],
    );
}

#[test]
fn a_transformer_at_the_front_and_one_between_convolutions_agree() {
    agree(
        "layers = [{ st = { transform = 'affine', localiser = [{ avg = 2 }, { conv = [4, 3] }, 'relu', { fc = 8 }, 'relu'] } }, { conv = [6, 3] }, { max = 2 }, 'relu',
            { st = { transform = { kind = 'tps', points = 3 }, kernel = 'bicubic', localiser = [{ fc = 8 }, 'relu'], output = [4, 5] } }, { conv = [5, 3] }, 'relu', { fc = 'classes' }]",
        &[1, 14, 14],
    );
}

#[test]
fn parallel_transformers_with_theta_fed_on_agree() {
    for localiser in ["shared_localiser", "localiser"] {
        agree(
            &format!(
                "layers = [{{ conv = [3, 3] }}, 'relu', {{ parallel_st = {{ count = 3, transform = 'attention', {localiser} = [{{ fc = 6 }}, 'relu'], feed_theta = true }} }},
                    {{ conv = [4, 3] }}, 'relu', {{ fc = 8 }}, 'relu', {{ fc = 'classes' }}]"
            ),
            &[2, 9, 9],
        );
    }
}

#[test]
fn thetas_with_bounds_and_noise_agree() {
    for localiser in ["shared_localiser", "localiser"] {
        agree(
            &format!(
                "layers = [{{ conv = [3, 3] }}, 'relu', {{ parallel_st = {{ transformers = [{{ start = [0.5, 0.1, 0.0], bounds = [[0.2, 1], [-1, 1], [-0.5, 2]], noise = [0, 0.1, 0.2] }}, {{ }}],
                    transform = 'attention', {localiser} = [{{ fc = 6 }}, 'relu'], feed_theta = true }} }}, {{ conv = [4, 3] }}, 'relu', {{ fc = 8 }}, 'relu', {{ fc = 'classes' }}]"
            ),
            &[2, 9, 9],
        );
    }
}

#[test]
fn transformers_one_after_the_other_agree() {
    agree(
        "layers = [{ st = { transform = 'projective', localiser = [{ fc = 6 }, 'relu'], feed_theta = true } }, { st = { transform = 'rigid', boundary = 'border', localiser = [{ fc = 6 }], feed_theta = true } },
            { fc = 12 }, 'relu', { fc = 'classes' }]",
        &[1, 8, 8],
    );
}

#[test]
fn a_transformer_in_several_steps_agrees_at_the_front_and_behind_a_convolution() {
    agree(
        "layers = [{ st = { transform = 'affine', steps = 3, localiser = [{ avg = 2 }, { conv = [4, 3] }, { max = 2 }, 'relu', { dropout = 0.3 }, { fc = 8 }, 'relu'] } },
            { conv = [5, 3] }, 'relu', { st = { transform = 'projective', steps = 2, output = [7, 6], localiser = [{ fc = 8 }, 'relu'], feed_theta = true } }, { fc = 12 }, 'relu',
            { fc = 'classes' }]",
        &[1, 12, 13],
    );
}

#[test]
fn parallel_transformers_in_several_steps_agree() {
    agree(
        "layers = [{ conv = [3, 3] }, 'relu', { parallel_st = { transformers = [{ transform = 'attention', steps = 3 }, { transform = 'rigid', steps = 2 }, { transform = 'tps' }],
            localiser = [{ conv = [4, 3] }, 'relu', { fc = 6 }, 'relu'], feed_theta = true } }, { conv = [4, 3] }, 'relu', { fc = 8 }, 'relu', { fc = 'classes' }]",
        &[2, 10, 9],
    );
}

#[test]
fn a_volume_s_transformer_in_several_steps_agrees() {
    agree("layers = [{ st = { transform = 'affine3d', steps = 3, localiser = [{ fc = 6 }, 'relu'] } }, { fc = 'classes' }]", &[1, 5, 6, 7]);
}

#[test]
fn volumes_warped_projected_and_convolved_agree() {
    agree("layers = [{ project = 'sum' }, { conv = [3, 3] }, 'relu', { fc = 'classes' }]", &[2, 5, 6, 7]);
    for (project, along) in [("max", "depth"), ("mean", "height"), ("sum", "width")] {
        agree(
            &format!(
                "layers = [{{ st = {{ transform = 'affine3d', localiser = [{{ project = '{project}' }}, {{ conv = [4, 3] }}, 'relu', {{ fc = 6 }}, 'relu'] }} }},
                    {{ project = {{ by = '{project}', along = '{along}' }} }}, {{ conv = [3, 3] }}, {{ max = 2 }}, 'relu', {{ fc = 'classes' }}]"
            ),
            &[1, 7, 8, 9],
        );
    }
}

#[test]
fn a_large_localiser_in_several_steps_agrees() {
    // In 64 bits alone: so many weights, all moved, throw the second step's view far away, where rounding grows.
    agree_in(
        &[(DType::F64, 1e-11)],
        "layers = [{ st = { transform = 'similarity', steps = 2, localiser = [{ fc = 1300 }, 'relu'] } }, { fc = 'classes' }]",
        &[2, 30, 30],
    );
}

#[test]
fn a_large_fully_connected_layer_agrees() {
    agree("layers = [{ fc = 1300 }, 'relu', { fc = 'classes' }]", &[1, 30, 30]);
}

#[test]
fn a_layer_list_of_one_layer_agrees() {
    agree("layers = [{ fc = 'classes' }]", &[1, 3, 3]);
}

#[test]
fn a_step_has_the_same_bits_at_any_number_of_threads() {
    let text = "layers = [{ st = { transform = 'affine', localiser = [{ conv = [4, 3] }, { max = 2 }, 'relu', { fc = 8 }, 'relu'] } }, { conv = [6, 3] }, { max = 2 }, 'relu', { dropout = 0.5 }, { fc = 'classes' }]";
    let network = network(text, &[1, 14, 14], 3, 1, DType::F32);
    unsettle(&network);
    let (batch, labels) = (images(&[37, 1, 14, 14], 0, DType::F32), Tensor::new(vec![1_u32; 37], &Device::Cpu).unwrap());
    same_bits(|| {
        let (logits, _, gradients) = compiled(&network, &batch, &labels);
        Ok(std::iter::once(logits).chain(gradients.iter().map(|(_, gradient)| gradient.clone())).collect())
    });
}

#[test]
fn a_loss_without_the_logits_is_an_error() {
    let network = network("layers = [{ fc = 'classes' }]", &[1, 3, 3], 3, 1, DType::F32);
    let recorded = network.record(&images(&[2, 1, 3, 3], 0, DType::F32), 0, 0).unwrap();
    let error = recorded.loss(|_| Tensor::new(1.0_f32, &Device::Cpu)).unwrap_err().to_string();
    assert_eq!(error, "the loss does not depend on the logits");
}

#[test]
fn batch_normalisation_agrees() {
    agree(
        "layers = ['batch_norm', { conv = [4, 3] }, 'batch_norm', 'relu', { max = 2 }, { conv = [5, 3, 2, 1] }, 'relu', { batch_norm = { momentum = 0.5, epsilon = 1e-3 } },
            { dropout = { rate = 0.3, channels = true } }, { fc = 9 }, 'batch_norm', 'relu', { fc = 'classes' }]",
        &[2, 12, 11],
    );
}

#[test]
fn branches_agree_also_one_inside_another_and_pooled_as_a_whole() {
    agree(
        "layers = [{ conv = [4, 3] }, 'batch_norm', 'relu', { branches = [
                [{ conv = [3, 1] }, 'batch_norm', 'relu'],
                [{ max = { kernel = 3, stride = 1, padding = 1 } }, { conv = [2, 1] }, 'relu'],
                [{ conv = [2, 1] }, 'relu', { branches = [[{ conv = [2, [1, 3], 1, [0, 1]] }], [{ dropout = 0.2 }, { conv = [1, [3, 1], 1, [1, 0]] }, 'relu']] }],
                [{ avg = { kernel = 3, stride = 1, padding = 1 } }],
            ] }, { branches = [[{ st = { transform = 'affine', localiser = [{ fc = 4 }, 'relu'] } }], ['relu']] },
            { avg = 'all' }, { branches = [[{ fc = 5 }], [{ fc = 3 }, 'relu'], [{ fc = 4 }]] }, { fc = 'classes' }]",
        &[2, 9, 8],
    );
    agree("layers = [{ branches = [[{ max = 2 }], [{ avg = 2 }], [{ conv = [3, 2, 2] }, 'relu']] }, { fc = 'classes' }]", &[1, 6, 6]);
}

#[test]
fn parallel_transformers_with_a_network_for_each_agree() {
    for localiser in ["shared_localiser", "localiser"] {
        agree(
            &format!(
                "layers = [{{ conv = [3, 3] }}, 'batch_norm', 'relu', {{ parallel_st = {{ count = 4, transform = {{ kind = 'attention', scale = 0.5 }}, output = [5, 5], feed_theta = true,
                    {localiser} = [{{ fc = 6 }}, 'relu'], each = [{{ conv = [2, 3, 1, 1] }}, 'batch_norm', 'relu', {{ avg = 'all' }}, {{ fc = 5 }}, 'relu'] }} }},
                    {{ dropout = 0.3 }}, {{ fc = 'classes' }}]"
            ),
            &[2, 9, 9],
        );
    }
}

const NORMALISED: &str = "layers = [{ parallel_st = { count = 2, transform = 'affine', shared_localiser = [{ conv = [4, 3] }, 'batch_norm', { max = 2 }, 'relu', { fc = 8 }, 'relu'],
    each = [{ conv = [6, 3] }, 'batch_norm', 'relu', { branches = [[{ conv = [3, 1] }, 'batch_norm', 'relu'], ['batch_norm']] }] } }, { fc = 7 }, 'batch_norm', { fc = 'classes' }]";

#[test]
fn both_ways_move_the_running_moments_alike() {
    let [taped_one, compiled_one] = [0, 1].map(|_| network(NORMALISED, &[1, 14, 14], 3, 1, DType::F64));
    let (batch, labels) = (images(&[6, 1, 14, 14], 0, DType::F64), Tensor::new(&[0_u32, 1, 2, 2, 1, 0], &Device::Cpu).unwrap());
    let start = taped_one.buffers()[0].var.as_tensor().copy().unwrap();
    taped(&taped_one, &batch, &labels);
    compiled(&compiled_one, &batch, &labels);
    let names: Vec<&str> = taped_one.buffers().iter().map(|buffer| buffer.name.as_str()).collect();
    assert_eq!(names.len(), 2 * (1 + 2 * 3 + 1), "{names:?}");
    assert_eq!(
        &names[..3],
        ["parallel_st1.localiser.batch_norm1.running_mean", "parallel_st1.localiser.batch_norm1.running_var", "parallel_st1.each1.batch_norm1.running_mean"]
    );
    for (taped, compiled) in taped_one.buffers().iter().zip(compiled_one.buffers()) {
        assert_close(&compiled.var, &taped.var, 1e-12);
    }
    assert!(taped_one.buffers()[0].var.to_vec1::<f64>().unwrap() != start.to_vec1::<f64>().unwrap());
    let before: Vec<_> = compiled_one.buffers().iter().map(|buffer| buffer.var.to_vec1::<f64>().unwrap()).collect();
    compiled_one.infer(&batch).unwrap();
    compiled_one.forward(&batch, Mode::Evaluate).unwrap();
    assert!(compiled_one.buffers().iter().zip(before).all(|(buffer, before)| buffer.var.to_vec1::<f64>().unwrap() == before), "evaluation moves nothing");
}

#[test]
fn a_normalised_step_has_the_same_bits_at_any_number_of_threads() {
    let (batch, labels) = (images(&[37, 1, 14, 14], 0, DType::F32), Tensor::new(vec![1_u32; 37], &Device::Cpu).unwrap());
    same_bits(|| {
        let network = network(NORMALISED, &[1, 14, 14], 3, 1, DType::F32);
        unsettle(&network);
        let (logits, _, gradients) = compiled(&network, &batch, &labels);
        let buffers = network.buffers().iter().map(|buffer| buffer.var.as_tensor().clone());
        Ok(std::iter::once(logits).chain(gradients.iter().map(|(_, gradient)| gradient.clone())).chain(buffers).collect())
    });
}
