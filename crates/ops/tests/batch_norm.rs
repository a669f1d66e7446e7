//! `batch_norm` against PyTorch, central differences, the plain formula and itself.

use candle_core::{DType, Device, Result, Tensor, Var};
use stn_ops::{BatchNorm, Moments, batch_norm, relu};
use stn_testkit::{assert_close, gradient_check, oracle, same_bits, uniform};

/// The output and the gradients of `sum(gradient * batch_norm(x))` to x, weight and bias.
fn outcome([x, weight, bias, gradient]: [&Tensor; 4], moments: Moments, epsilon: f64) -> Result<[Tensor; 4]> {
    let (x, weight, bias) = (Var::from_tensor(x)?, Var::from_tensor(weight)?, Var::from_tensor(bias)?);
    let y = batch_norm(&x, &weight, &bias, moments, epsilon)?;
    let gradients = (&y * gradient)?.sum_all()?.backward()?;
    let [to_x, to_weight, to_bias] = [&x, &weight, &bias].map(|var| gradients.get(var).unwrap().clone());
    Ok([y, to_x, to_weight, to_bias])
}

/// Numbers whose channels differ in mean and scale; 33 x 5 numbers a plane are some whole vectors and a rest.
fn batch(dtype: DType) -> [Tensor; 4] {
    let scale = Tensor::arange(1.0_f64, 7.0, &Device::Cpu).unwrap().reshape((1, 6, 1, 1)).unwrap();
    let x = (uniform("x", (5, 6, 33, 5), -1.0, 1.0).broadcast_mul(&scale).unwrap() + 2.0).unwrap();
    let rows = [uniform("weight", 6, -1.5, 1.5), uniform("bias", 6, -1.0, 1.0), uniform("gradient", (5, 6, 33, 5), -1.0, 1.0)];
    let [weight, bias, gradient] = rows;
    [x, weight, bias, gradient].map(|tensor| tensor.to_dtype(dtype).unwrap())
}

#[test]
fn values_gradients_and_running_moments_are_those_of_pytorch() {
    let oracle = oracle(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/batch_norm/vectors.npz"));
    let cases: Vec<&str> = oracle.names().filter_map(|name| name.strip_suffix(".rule")).collect();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let rule = oracle.get(&format!("{case}.rule")).to_vec1::<f64>().unwrap();
        for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F64, 1e-12)] {
            let get = |part: &str| oracle.get(&format!("{case}.{part}")).to_dtype(dtype).unwrap();
            let (x, mean, variance) = (get("x"), get("mean").copy().unwrap(), get("variance").copy().unwrap());
            let of_batch = Moments::of(&x).unwrap();
            of_batch.lead(rule[0], &mean, &variance).unwrap();
            assert_close(&mean, &get("mean_after"), tolerance);
            assert_close(&variance, &get("variance_after"), tolerance);
            let given = Moments::given(&get("mean"), &get("variance")).unwrap();
            for (part, moments) in [("of_batch", of_batch), ("given", given)] {
                let found = outcome([&x, &get("weight"), &get("bias"), &get("gradient")], moments, rule[1]).unwrap();
                for (of, found) in ["y", "to_x", "to_weight", "to_bias"].iter().zip(&found) {
                    println!("{case} {dtype:?} {part}.{of}");
                    assert_close(found, &get(&format!("{part}.{of}")), tolerance);
                }
            }
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    for shape in [vec![3, 2, 2, 3], vec![5, 3]] {
        let rows = [uniform("weight", shape[1], -1.0, 1.0), uniform("bias", shape[1], -1.0, 1.0)];
        let [weight, bias] = rows;
        let inputs = [uniform("x", shape, -2.0, 2.0), weight, bias];
        gradient_check(|t| batch_norm(&t[0], &t[1], &t[2], Moments::of(&t[0])?, 1e-3), &inputs, 1e-7);
        let (mean, variance) = (inputs[1].affine(0.5, 0.1).unwrap(), inputs[2].sqr().unwrap());
        gradient_check(|t| batch_norm(&t[0], &t[1], &t[2], Moments::given(&mean, &variance)?, 1e-3), &inputs, 1e-7);
    }
}

#[test]
fn it_is_the_formula() {
    let [x, weight, bias, _] = batch(DType::F64);
    let across = |row: &Tensor| row.reshape((1, 6, 1, 1)).unwrap();
    let mean = x.mean_keepdim(0).unwrap().mean_keepdim(2).unwrap().mean_keepdim(3).unwrap();
    let difference = x.broadcast_sub(&mean).unwrap();
    let variance = difference.sqr().unwrap().mean_keepdim(0).unwrap().mean_keepdim(2).unwrap().mean_keepdim(3).unwrap();
    let normal = difference.broadcast_div(&(variance + 1e-5).unwrap().sqrt().unwrap()).unwrap();
    let expected = normal.broadcast_mul(&across(&weight)).unwrap().broadcast_add(&across(&bias)).unwrap();
    let found = batch_norm(&x, &weight, &bias, Moments::of(&x).unwrap(), 1e-5).unwrap();
    assert_close(&found, &expected, 1e-12);
}

#[test]
fn with_the_rectification_in_the_same_pass_it_is_the_two_one_after_the_other() {
    for dtype in [DType::F32, DType::F64] {
        let [x, weight, bias, gradient] = batch(dtype);
        for moments in [Moments::of(&x).unwrap(), Moments::given(&bias, &weight.sqr().unwrap()).unwrap()] {
            let [taped_x, taped_weight, taped_bias] = [&x, &weight, &bias].map(|tensor| Var::from_tensor(tensor).unwrap());
            let expected = relu(&batch_norm(&taped_x, &taped_weight, &taped_bias, moments.clone(), 1e-5).unwrap()).unwrap();
            let tape = (&expected * &gradient).unwrap().sum_all().unwrap().backward().unwrap();
            let block = BatchNorm { epsilon: 1e-5, rectified: true };
            let output = block.forward(&x, &weight, &bias, &moments).unwrap();
            assert_close(&output, &expected, 0.0);
            let found = block.backward(&x, &weight, &output, &moments, &gradient, true).unwrap();
            assert_close(&found.input.unwrap(), tape.get(&taped_x).unwrap(), 1e-6);
            assert_close(&found.weight, tape.get(&taped_weight).unwrap(), 1e-6);
            assert_close(&found.bias, tape.get(&taped_bias).unwrap(), 1e-6);
            assert!(block.backward(&x, &weight, &output, &moments, &gradient, false).unwrap().input.is_none());
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_threads() {
    for rectified in [false, true] {
        let [x, weight, bias, gradient] = batch(DType::F32);
        same_bits(|| {
            let (moments, block) = (Moments::of(&x)?, BatchNorm { epsilon: 1e-5, rectified });
            let output = block.forward(&x, &weight, &bias, &moments)?;
            let gradients = block.backward(&x, &weight, &output, &moments, &gradient, true)?;
            let (mean, variance) = (bias.copy()?, weight.sqr()?);
            moments.lead(0.1, &mean, &variance)?;
            Ok([Some(output), gradients.input, Some(gradients.weight), Some(gradients.bias), Some(mean), Some(variance)].into_iter().flatten().collect())
        });
    }
}

#[test]
fn a_mean_far_from_zero_keeps_its_digits() {
    let x = (uniform("x", (8, 1, 20, 20), -1.0, 1.0) + 1000.0).unwrap();
    let (one, zero) = (Tensor::ones(1, DType::F64, &Device::Cpu).unwrap(), Tensor::zeros(1, DType::F64, &Device::Cpu).unwrap());
    // The numbers are rounded first: what is looked at is the loss of the operation.
    let x = x.to_dtype(DType::F32).unwrap();
    let normalised = |x: &Tensor| {
        let [one, zero] = [&one, &zero].map(|row| row.to_dtype(x.dtype()).unwrap());
        batch_norm(x, &one, &zero, Moments::of(x).unwrap(), 1e-5).unwrap().to_dtype(DType::F64).unwrap()
    };
    assert_close(&normalised(&x), &normalised(&x.to_dtype(DType::F64).unwrap()), 2e-4);
}

#[test]
fn what_does_not_fit_is_an_error_in_words() {
    let [x, weight, bias, _] = batch(DType::F64);
    let message = |result: Result<Tensor>| result.unwrap_err().to_string().lines().next().unwrap_or_default().to_owned();
    let moments = Moments::of(&x).unwrap();
    let short = weight.narrow(0, 0, 5).unwrap();
    assert_eq!(message(batch_norm(&x, &short, &bias, moments.clone(), 1e-5)), "batch_norm: x has 6 channels, weight is [5], bias [6], moments are of 6");
    let error = Moments::of(&x.narrow(0, 0, 1).unwrap().narrow(2, 0, 1).unwrap().narrow(3, 0, 1).unwrap()).unwrap_err().to_string();
    assert!(error.contains("one number a channel, which has no variance; train with a batch of 2 or more"), "{error}");
    assert!(Moments::of(&weight).is_err() && Moments::given(&short, &bias).is_err());
    assert!(moments.lead(0.1, &short, &bias).is_err());
}
