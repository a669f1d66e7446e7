//! Optimisers step as `torch.optim` does, and go on from a saved state.

mod networks;

use std::collections::BTreeMap;

use candle_core::{DType, Tensor, Var};
use networks::{difference, listed, vectors};
use stn_nn::{Gradients, Optimizer, OptimizerSpec, Parameter};

fn read(text: &str) -> Result<OptimizerSpec, Vec<stn_core::Fault>> {
    let table: toml::Table = format!("optimizer = {text}").parse().unwrap();
    OptimizerSpec::from_value(&table["optimizer"])
}

fn faults(text: &str) -> Vec<String> {
    listed(&read(text).unwrap_err())
}

/// A weight, and a bias with a tenth of the learning rate and no weight decay.
fn parameters(vectors: &BTreeMap<String, Tensor>, dtype: DType) -> Vec<Parameter> {
    [("weight", 1.0, true), ("bias", 0.1, false)]
        .map(|(name, lr_factor, decay)| {
            let var = Var::from_tensor(&vectors[&format!("start.{name}")].to_dtype(dtype).unwrap()).unwrap();
            Parameter { name: name.into(), var, lr_factor, decay }
        })
        .into()
}

/// The gradients of step `step`: those of `sum(gradient * parameter)`.
fn gradients(vectors: &BTreeMap<String, Tensor>, parameters: &[Parameter], step: usize) -> Gradients {
    let products: Vec<Tensor> = parameters
        .iter()
        .map(|p| {
            let gradient = vectors[&format!("gradients.{}", p.name)].get(step).unwrap().to_dtype(p.var.dtype()).unwrap();
            (p.var.as_tensor() * gradient).unwrap().sum_all().unwrap()
        })
        .collect();
    Gradients::from_tape(&Tensor::stack(&products, 0).unwrap().sum_all().unwrap().backward().unwrap(), parameters)
}

fn agrees(name: &str, text: &str, dtype: DType, tolerance: f64) {
    let vectors = vectors("optimizers.npz");
    let parameters = parameters(&vectors, dtype);
    let mut optimizer = Optimizer::new(&read(text).unwrap(), &parameters).unwrap();
    for step in 0..8 {
        optimizer.step(&gradients(&vectors, &parameters, step), 0.1).unwrap();
        for parameter in &parameters {
            let off = difference(&parameter.var, &vectors[&format!("{name}.{}", parameter.name)].get(step).unwrap());
            assert!(off < tolerance, "{name}, step {step}, {}: {off}", parameter.name);
        }
    }
    assert_eq!(optimizer.steps(), 8);
}

const CONFIGURATIONS: [(&str, &str); 6] = [
    ("sgd", "'sgd'"),
    ("sgd_momentum", "{ kind = 'sgd', momentum = 0.9 }"),
    ("sgd_nesterov", "{ kind = 'sgd', momentum = 0.8, nesterov = true, weight_decay = 0.05 }"),
    ("adam", "'adam'"),
    ("adam_l2", "{ kind = 'adam', beta1 = 0.8, beta2 = 0.95, epsilon = 1e-3, weight_decay = 0.05 }"),
    ("adamw", "{ kind = 'adamw', weight_decay = 0.05 }"),
];

#[test]
fn every_optimizer_agrees_with_pytorch() {
    for (name, text) in CONFIGURATIONS {
        agrees(name, text, DType::F64, 1e-12);
        agrees(name, text, DType::F32, 2e-6);
    }
}

#[test]
fn a_restored_optimizer_goes_on_bit_for_bit() {
    for (_, text) in CONFIGURATIONS {
        let vectors = vectors("optimizers.npz");
        let (straight, broken) = (parameters(&vectors, DType::F32), parameters(&vectors, DType::F32));
        let spec = read(text).unwrap();
        let (mut one, mut first) = (Optimizer::new(&spec, &straight).unwrap(), Optimizer::new(&spec, &broken).unwrap());
        for step in 0..8 {
            one.step(&gradients(&vectors, &straight, step), 0.1).unwrap();
            if step == 4 {
                let mut second = Optimizer::new(&spec, &broken).unwrap();
                second.load_state(&first.state().unwrap()).unwrap();
                first = second;
            }
            first.step(&gradients(&vectors, &broken, step), 0.1).unwrap();
        }
        for (a, b) in straight.iter().zip(&broken) {
            assert_eq!(difference(&a.var, &b.var), 0.0, "{text}");
        }
    }
}

#[test]
fn the_state_is_named_after_the_parameters() {
    let parameters = parameters(&vectors("optimizers.npz"), DType::F32);
    let names = |text: &str| Optimizer::new(&read(text).unwrap(), &parameters).unwrap().state().unwrap().into_keys().collect::<Vec<_>>();
    assert_eq!(names("'sgd'"), ["step"]);
    assert_eq!(names("{ kind = 'sgd', momentum = 0.9 }"), ["momentum/bias", "momentum/weight", "step"]);
    assert_eq!(names("'adam'"), ["first_moment/bias", "first_moment/weight", "second_moment/bias", "second_moment/weight", "step"]);
}

#[test]
fn a_state_of_another_optimizer_is_refused() {
    let parameters = parameters(&vectors("optimizers.npz"), DType::F32);
    let make = |text: &str| Optimizer::new(&read(text).unwrap(), &parameters).unwrap();
    let state = make("'adam'").state().unwrap();
    assert_eq!(
        make("{ kind = 'sgd', momentum = 0.9 }").load_state(&state).unwrap_err().to_string(),
        "`momentum/weight` is missing from what was saved: it belongs to another network or optimizer"
    );
    assert!(make("'sgd'").load_state(&state).unwrap_err().to_string().starts_with("the optimizer's state holds 5 tensors, 1 are needed"));
    assert_eq!(make("'sgd'").load_state(&BTreeMap::new()).unwrap_err().to_string(), "the optimizer's state holds no `step`");
}

#[test]
fn a_parameter_without_gradient_is_left_alone() {
    let vectors = vectors("optimizers.npz");
    for (_, text) in CONFIGURATIONS {
        let parameters = parameters(&vectors, DType::F64);
        let mut optimizer = Optimizer::new(&read(text).unwrap(), &parameters).unwrap();
        optimizer.step(&gradients(&vectors, &parameters[..1], 0), 0.1).unwrap();
        assert_eq!(difference(&parameters[1].var, &vectors["start.bias"]), 0.0);
        assert!(difference(&parameters[0].var, &vectors["start.weight"]) > 0.0);
    }
}

#[test]
fn an_optimizer_of_no_parameters_steps() {
    let mut optimizer = Optimizer::new(&OptimizerSpec::default(), &[]).unwrap();
    optimizer.step(&Gradients::default(), 0.1).unwrap();
}

#[test]
fn mistakes_say_where_and_what() {
    assert_eq!(faults("'sdg'"), ["unknown optimizer `sdg`; did you mean `sgd`? (known: sgd, adam, adamw)"]);
    assert_eq!(faults("{ kind = 'adma' }"), ["`kind`: unknown optimizer `adma`; did you mean `adam`? (known: sgd, adam, adamw)"]);
    assert_eq!(faults("3"), ["expected a name or a table with a `kind`, found integer"]);
    assert_eq!(
        faults("{ kind = 'sgd', momentum = 1.0, weight_decay = -1.0 }"),
        ["`momentum`: expected a number from 0 to below 1, found 1", "`weight_decay`: expected a number of 0 or more, found -1"]
    );
    assert_eq!(faults("{ kind = 'sgd', nesterov = true }"), ["`nesterov`: expected a momentum above 0 beside it, found 0"]);
    assert_eq!(
        faults("{ kind = 'adam', beta1 = -0.1, beta2 = 1.0, epsilon = 0.0 }"),
        [
            "`beta1`: expected a number from 0 to below 1, found -0.1",
            "`beta2`: expected a number from 0 to below 1, found 1",
            "`epsilon`: expected a number above 0, found 0",
        ]
    );
    assert!(faults("{ kind = 'sgd', momentun = 0.9 }")[0].starts_with("`momentun`: unknown key `momentun`; did you mean `momentum`?"));
}
