//! Bounds of theta, and noise on it.

mod networks;

use candle_core::{DType, Tensor};
use networks::*;
use stn_nn::Mode;

const TRAIN: Mode = Mode::Train { seed: 3, step: 5 };

fn text(keys: &str) -> String {
    format!("layers = [{{ st = {{ transform = 'attention', localiser = [{{ fc = 4 }}, 'relu'], {keys} }} }}, {{ fc = 'classes' }}]")
}

fn thetas(keys: &str, mode: Mode) -> Vec<Vec<f64>> {
    let network = network(&text(keys), &[1, 8, 8], 2, 0, DType::F64);
    let outcome = network.forward(&images(&[300, 1, 8, 8], 0, DType::F64), mode).unwrap();
    outcome.warps[0].theta.to_vec2().unwrap()
}

#[test]
fn theta_starts_where_it_should_behind_its_bounds() {
    for theta in thetas("start = [0.7, 0.25, -0.5], bounds = [[0.2, 1], [-1, 1], [-2, 0]]", Mode::Evaluate) {
        assert!(theta.iter().zip([0.7, 0.25, -0.5]).all(|(theta, start)| (theta - start).abs() < 1e-12), "{theta:?}");
    }
}

#[test]
fn theta_never_leaves_its_bounds() {
    let network = network(&text("start = [0.7, 0.0, 0.0], bounds = [[0.2, 1], [-1, 1], [-1, 1]]"), &[1, 8, 8], 2, 0, DType::F64);
    let bias = network.parameters().iter().find(|parameter| parameter.name == "st1.localiser.theta.bias").unwrap();
    bias.var.set(&Tensor::new(&[1e9, -1e9, 30.0], bias.var.device()).unwrap()).unwrap();
    let outcome = network.forward(&images(&[1, 1, 8, 8], 0, DType::F64), Mode::Evaluate).unwrap();
    assert_eq!(outcome.warps[0].theta.to_vec2::<f64>().unwrap(), [[1.0, -1.0, 1.0]]);
}

#[test]
fn noise_has_its_deviation_and_is_there_in_training_only() {
    let keys = "noise = [0, 0.1, 0.4]";
    assert!(thetas(keys, Mode::Evaluate).iter().all(|theta| theta == &[1.0, 0.0, 0.0]));
    let trained = thetas(keys, TRAIN);
    assert!(trained.iter().all(|theta| theta[0] == 1.0));
    for (i, deviation) in [(1, 0.1), (2, 0.4)] {
        let square = trained.iter().map(|theta| theta[i] * theta[i]).sum::<f64>() / trained.len() as f64;
        // Of 300 numbers, the deviation is known to 4 %.
        assert!((square.sqrt() / deviation - 1.0).abs() < 0.2, "{square}");
    }
    assert_eq!(trained, thetas(keys, TRAIN), "the same step has the same noise");
    assert_ne!(trained, thetas(keys, Mode::Train { seed: 3, step: 6 }));
}

#[test]
fn mistakes_in_bounds_and_noise_are_told() {
    let faults = |keys: &str| listed(&spec(&text(keys)).unwrap_err());
    assert_eq!(faults("noise = [-1, 0, 0]"), ["`layers.0.st.noise.0`: expected a finite number of 0 or more, found -1"]);
    assert_eq!(
        faults("bounds = [[1, 0], [0, 1], [0, 1]]"),
        ["`layers.0.st.bounds.0`: expected a pair [least, most], the first below the second, found an array"]
    );
    let misfits = |keys: &str| listed(&plan(&text(keys), &[1, 8, 8], 2).unwrap_err());
    assert_eq!(misfits("noise = [1.0]"), ["`layers.0.st.noise`: theta of `attention` has 3 numbers (s, tx, ty), found 1"]);
    assert_eq!(
        misfits("bounds = [[0.2, 1], [-1, 1], [-1, 1]]"),
        [
            "`layers.0.st.bounds`: theta starts at [1.0, 0.0, 0.0], which is not between its bounds [[0.2, 1.0], [-1.0, 1.0], [-1.0, 1.0]]; give a `start` between the bounds, or wider bounds"
        ]
    );
    assert_eq!(
        misfits("steps = 2, noise = [0, 1, 1]"),
        ["`layers.0.st.noise`: a theta that is composed of several steps can have neither `bounds` nor `noise`; leave it out, or `steps`"]
    );
}
