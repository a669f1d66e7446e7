//! A transformer applied again and again with composed warps.

mod networks;

use candle_core::{DType, Device, Tensor};
use networks::{difference, images, listed, network, plan, spec, values};
use stn_nn::{Mode, Network};

const TRAIN: Mode = Mode::Train { seed: 0, step: 0 };

/// A network with one transformer of several steps on the input.
fn text(keys: &str) -> String {
    format!("layers = [{{ st = {{ {keys}, localiser = [{{ fc = 6 }}, 'relu'] }} }}, {{ fc = 'classes' }}]")
}

/// Sets what a localisation network predicts for every image.
fn predict(network: &Network, bias: &str, theta: &[f64]) {
    let parameter = network.parameters().iter().find(|parameter| parameter.name == bias).unwrap();
    parameter.var.set(&Tensor::new(theta, &Device::Cpu).unwrap()).unwrap();
}

#[test]
fn it_starts_as_the_identity_in_every_step() {
    let input = images(&[2, 1, 9, 8], 0, DType::F64);
    for transform in ["affine", "attention", "projective", "translation", "rigid", "similarity"] {
        let network = network(&text(&format!("transform = '{transform}', steps = 4")), &[1, 9, 8], 3, 1, DType::F64);
        let outcome = network.forward(&input, Mode::Evaluate).unwrap();
        assert_eq!(outcome.warps.iter().map(|warp| (warp.layer.as_str(), warp.step)).collect::<Vec<_>>(), [("st1", 1), ("st1", 2), ("st1", 3), ("st1", 4)]);
        assert!(outcome.warps.iter().all(|warp| difference(warp.output.as_ref().unwrap(), &input) < 1e-9), "{transform}");
    }
}

#[test]
fn warps_are_composed_and_the_original_is_sampled_in_every_step() {
    let network = network(&text("transform = 'attention', steps = 3, output = [4, 5]"), &[1, 9, 8], 3, 1, DType::F64);
    predict(&network, "st1.localiser.theta.bias", &[0.5, 0.5, 0.0]);
    let input = images(&[2, 1, 9, 8], 0, DType::F64);
    let outcome = network.forward(&input, Mode::Evaluate).unwrap();
    // Half the scale each time, about the right end of what was seen before: 0, then 0.5, then 0.75 ...
    for (warp, theta) in outcome.warps.iter().zip([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0.125, 0.875, 0.0]]) {
        assert_eq!(values(&warp.theta)[..3], theta);
        assert_eq!(difference(warp.input.as_ref().unwrap(), &input), 0.0);
        assert_eq!(warp.output.as_ref().unwrap().dims()[2..], if warp.step < 3 { [9, 8] } else { [4, 5] });
    }
}

#[test]
fn one_step_is_the_transformer_itself() {
    let input = images(&[3, 1, 9, 8], 0, DType::F64);
    let logits = |keys: &str| network(&text(keys), &[1, 9, 8], 3, 1, DType::F64).forward(&input, TRAIN).unwrap().logits;
    assert_eq!(difference(&logits("transform = 'tps', steps = 1"), &logits("transform = 'tps'")), 0.0);
}

#[test]
fn the_weights_are_those_of_one_step() {
    let parameters = |keys: &str| plan(&text(keys), &[1, 9, 8], 3).unwrap().parameters();
    assert_eq!(parameters("transform = 'affine', steps = 4"), parameters("transform = 'affine'"));
    let numbers = |keys: &str| plan(&text(keys), &[1, 9, 8], 3).unwrap().outputs();
    let (localiser, view) = (6 + 6 + 6, 9 * 8);
    assert_eq!(numbers("transform = 'affine', steps = 4"), numbers("transform = 'affine'") + 3 * localiser + 4 * view);
}

#[test]
fn parallel_sequences_start_at_their_tiles_and_predict_increments_from_the_identity() {
    let text = "layers = [{ parallel_st = { count = 4, transform = 'attention', steps = 2, localiser = [{ fc = 4 }, 'relu'] } }, { fc = 'classes' }]";
    let network = network(text, &[1, 8, 8], 3, 1, DType::F64);
    predict(&network, "parallel_st1.localiser2.theta.bias", &[1.0, 0.5, 0.0]);
    let outcome = network.forward(&images(&[1, 1, 8, 8], 0, DType::F64), Mode::Evaluate).unwrap();
    let last: Vec<_> = outcome.warps.iter().filter(|warp| warp.step == 2).map(|warp| values(&warp.theta)).collect();
    assert_eq!(last, [[0.5, -0.5, -0.5], [0.5, 1.0, -0.5], [0.5, -0.5, 0.5], [0.5, 0.5, 0.5]]);
}

#[test]
fn a_start_that_is_written_is_the_warp_before_the_first_step() {
    let network = network(&text("transform = 'attention', steps = 2, start = [0.5, 0.25, 0.0]"), &[1, 8, 8], 3, 1, DType::F64);
    predict(&network, "st1.localiser.theta.bias", &[1.0, 0.5, 0.0]);
    let outcome = network.forward(&images(&[1, 1, 8, 8], 0, DType::F64), Mode::Evaluate).unwrap();
    let thetas: Vec<_> = outcome.warps.iter().map(|warp| values(&warp.theta)).collect();
    assert_eq!(thetas, [[0.5, 0.5, 0.0], [0.5, 0.75, 0.0]]);
}

#[test]
fn a_transformation_that_does_not_compose_is_told_which_do() {
    let faults = |keys: &str| listed(&plan(&text(keys), &[1, 9, 8], 3).unwrap_err());
    let help = "leave `steps` out, or choose a transformation whose warps compose: affine, attention, projective, rigid, similarity, translation";
    assert_eq!(
        faults("transform = { kind = 'tps', points = 3 }, steps = 2"),
        [format!("`layers.0.st.steps`: two warps of `tps(points=3)` do not compose to a third, so it cannot be applied in 2 steps; {help}")]
    );
    assert_eq!(
        faults("transform = { kind = 'attention', scale = 0.5 }, steps = 3"),
        [format!("`layers.0.st.steps`: two warps of `attention(scale=0.5)` do not compose to a third, so it cannot be applied in 3 steps; {help}")]
    );
}

#[test]
fn mistakes_in_steps_are_told() {
    let faults = |text: &str| listed(&spec(text).unwrap_err());
    assert_eq!(faults(&text("transform = 'affine', steps = 0")), ["`layers.0.st.steps`: expected an integer from 1 to 64, found 0"]);
    let shared = "layers = [{ parallel_st = { count = 2, transform = 'affine', steps = 2, shared_localiser = ['relu'] } }, { fc = 'classes' }]";
    assert_eq!(
        faults(shared),
        [
            "`layers.0.parallel_st.steps`: in several steps every transformer sees the image through its own warp, so they cannot share a localisation network; write `localiser` instead of `shared_localiser`, or leave `steps` out"
        ]
    );
}

#[test]
fn it_learns_through_every_step() {
    let network = network(&text("transform = 'affine', steps = 3"), &[1, 9, 8], 3, 1, DType::F64);
    let input = images(&[6, 1, 9, 8], 0, DType::F64);
    let loss = stn_ops::cross_entropy(&network.forward(&input, TRAIN).unwrap().logits, &Tensor::new(&[0_u32, 1, 2, 0, 1, 2], &Device::Cpu).unwrap()).unwrap();
    let tape = loss.backward().unwrap();
    let bias = network.parameters().iter().find(|parameter| parameter.name == "st1.localiser.theta.bias").unwrap();
    assert!(values(tape.get(&bias.var).unwrap()).iter().all(|gradient| *gradient != 0.0));
}
