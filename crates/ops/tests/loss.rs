//! `softmax` and `cross_entropy` against PyTorch, central differences and themselves.

use candle_core::{DType, Device, Result, Tensor, Var};
use proptest::prelude::*;
use stn_ops::{cross_entropy, softmax};
use stn_testkit::{assert_close, gradient_check, oracle, same_bits, uniform};

/// The first line: a backtrace follows it where one is asked for.
fn message(result: Result<Tensor>) -> String {
    result.unwrap_err().to_string().lines().next().unwrap_or_default().to_owned()
}

fn labels(values: &[u32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn loss_and_gradient(logits: &Tensor, labels: &Tensor) -> Result<[Tensor; 2]> {
    let logits = Var::from_tensor(logits)?;
    let loss = cross_entropy(&logits, labels)?;
    let gradients = loss.backward()?;
    Ok([loss, gradients.get(&logits).unwrap().clone()])
}

fn softmax_and_gradient(x: &Tensor, gradient: &Tensor) -> Result<[Tensor; 2]> {
    let x = Var::from_tensor(x)?;
    let y = softmax(&x)?;
    let gradients = (&y * gradient)?.sum_all()?.backward()?;
    Ok([y, gradients.get(&x).unwrap().clone()])
}

#[test]
fn losses_and_probabilities_are_those_of_pytorch() {
    let oracle = oracle(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/cross_entropy/vectors.npz"));
    let cases: Vec<&str> = oracle.names().filter_map(|name| name.strip_suffix(".logits")).collect();
    assert_eq!(cases.len(), 5);
    for case in cases {
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-14)] {
            println!("{case} {dtype:?}");
            let get = |part: &str| oracle.get(&format!("{case}.{part}")).to_dtype(dtype).unwrap();
            let labels = oracle.get(&format!("{case}.labels")).to_dtype(DType::U32).unwrap();
            let [loss, to_logits] = loss_and_gradient(&get("logits"), &labels).unwrap();
            assert_close(&loss.reshape(1).unwrap(), &get("loss"), tolerance);
            assert_close(&to_logits, &get("to_logits"), tolerance);
            let [probabilities, to_logits] = softmax_and_gradient(&get("logits"), &get("gradient")).unwrap();
            assert_close(&probabilities, &get("softmax"), tolerance);
            assert_close(&to_logits, &get("softmax_to_logits"), tolerance);
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    let labels = labels(&[2, 0, 3]);
    gradient_check(|t| cross_entropy(&t[0].t()?, &labels)?.affine(3.0, 0.0), &[uniform("logits", (4, 3), -2.0, 2.0)], 1e-8);
    gradient_check(|t| softmax(&t[0].transpose(0, 2)?), &[uniform("x", (4, 2, 3), -2.0, 2.0)], 1e-8);
}

#[test]
fn bits_do_not_depend_on_the_threads() {
    let logits = uniform("logits", (3000, 13), -5.0, 5.0).to_dtype(DType::F32).unwrap();
    let gradient = uniform("gradient", (3000, 13), -1.0, 1.0).to_dtype(DType::F32).unwrap();
    let labels = Tensor::from_vec((0..3000).map(|i| i % 13).collect::<Vec<u32>>(), 3000, &Device::Cpu).unwrap();
    same_bits(|| Ok([loss_and_gradient(&logits, &labels)?, softmax_and_gradient(&logits, &gradient)?].concat()));
}

#[test]
fn one_class_has_no_loss() {
    let loss = cross_entropy(&uniform("logits", (4, 1), -9.0, 9.0), &labels(&[0, 0, 0, 0])).unwrap();
    assert_eq!(loss.to_scalar::<f64>().unwrap(), 0.0);
}

#[test]
fn nan_logits_make_a_nan_loss() {
    let logits = Tensor::new(&[[0.0, f64::NAN], [1.0, 2.0]], &Device::Cpu).unwrap();
    assert!(cross_entropy(&logits, &labels(&[0, 1])).unwrap().to_scalar::<f64>().unwrap().is_nan());
}

#[test]
fn softmax_of_an_empty_tensor_is_empty() {
    for shape in [[0, 3], [3, 0]] {
        let x = Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap();
        assert_eq!(softmax_and_gradient(&x, &x).unwrap()[1].dims(), shape);
    }
}

#[test]
fn errors_say_what_does_not_fit() {
    let logits = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(message(cross_entropy(&logits, &labels(&[0, 3]))), "cross_entropy: sample 1 has label 3, but there are 3 classes, numbered from 0");
    assert_eq!(
        message(cross_entropy(&logits, &labels(&[0, 1, 2]))),
        "cross_entropy: labels have shape [3] beside logits of 2 x 3; expected one label a sample"
    );
    assert_eq!(message(cross_entropy(&logits.flatten_all().unwrap(), &labels(&[0]))), "cross_entropy: logits have shape [6]; expected N x C");
    let signed = Tensor::new(&[0_i64, 1], &Device::Cpu).unwrap();
    assert_eq!(message(cross_entropy(&logits, &signed)), "cross_entropy: labels are I64; convert them to u32");
    let none = Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
    assert!(message(cross_entropy(&none, &labels(&[]))).starts_with("cross_entropy: the batch is empty"));
    let no_classes = Tensor::zeros((1, 0), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(message(cross_entropy(&no_classes, &labels(&[0]))), "cross_entropy: sample 0 has label 0, but there are 0 classes, numbered from 0");
}

proptest! {
    #[test]
    fn probabilities_add_up_and_ignore_a_shift(rows in 1_usize..9, classes in 1_usize..20, shift in -1e3_f64..1e3) {
        let x = uniform("x", (rows, classes), -20.0, 20.0);
        let y = softmax(&x).unwrap();
        assert_close(&y.sum(1).unwrap(), &Tensor::ones(rows, DType::F64, &Device::Cpu).unwrap(), 1e-14);
        assert_close(&softmax(&(x + shift).unwrap()).unwrap(), &y, 1e-12);
    }
}
