//! `linear`, `relu` and `dropout` against central differences, their definitions and themselves.

use candle_core::{DType, Device, Result, Tensor, Var};
use proptest::prelude::*;
use stn_core::stream::stream;
use stn_ops::{dropout, linear, relu};
use stn_testkit::{assert_close, gradient_check, same_bits, uniform};

/// The first line: a backtrace follows it where one is asked for.
fn message(result: Result<Tensor>) -> String {
    result.unwrap_err().to_string().lines().next().unwrap_or_default().to_owned()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The gradient of `sum(y)` with respect to `x`.
fn gradient(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Tensor {
    let x = Var::from_tensor(x).unwrap();
    let gradients = f(&x).unwrap().sum_all().unwrap().backward().unwrap();
    gradients.get(&x).unwrap().clone()
}

#[test]
fn the_gradients_of_linear_are_those_of_central_differences() {
    let inputs = [uniform("x", (5, 3), -1.0, 1.0), uniform("weight", (4, 3), -1.0, 1.0), uniform("bias", 4, -1.0, 1.0)];
    gradient_check(|t| linear(&t[0], &t[1], Some(&t[2])), &inputs, 1e-8);
    gradient_check(|t| linear(&t[0], &t[1], None), &inputs[..2], 1e-8);
    // Not contiguous: 3 x 5 times (5 x 4) transposed.
    let inputs = [uniform("x", (5, 3), -1.0, 1.0), uniform("weight", (5, 4), -1.0, 1.0)];
    gradient_check(|t| linear(&t[0].t()?, &t[1].t()?, None), &inputs, 1e-8);
}

#[test]
fn linear_skips_gradients_nobody_tracks() {
    let (x, weight) = (uniform("x", (5, 3), -1.0, 1.0), Var::from_tensor(&uniform("weight", (4, 3), -1.0, 1.0)).unwrap());
    let gradients = linear(&x, &weight, None).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&x).is_none() && gradients.get(&weight).is_some());
}

#[test]
fn empty_linear_layers_give_empty_or_bias() {
    let zeros = |rows, columns| Tensor::zeros((rows, columns), DType::F32, &Device::Cpu).unwrap();
    let bias = Tensor::new(&[1.0_f32, 2.0], &Device::Cpu).unwrap();
    assert_eq!(linear(&zeros(0, 3), &zeros(2, 3), Some(&bias)).unwrap().dims(), [0, 2]);
    assert_eq!(linear(&zeros(3, 3), &zeros(0, 3), None).unwrap().dims(), [3, 0]);
    assert_eq!(numbers(&linear(&zeros(2, 0), &zeros(2, 0), Some(&bias)).unwrap()), [1.0, 2.0, 1.0, 2.0]);
    for (rows, columns) in [(0, 3), (3, 0)] {
        assert_eq!(gradient(&zeros(rows, columns), |x| linear(x, &zeros(2, columns), Some(&bias))).dims(), [rows, columns]);
    }
}

#[test]
fn the_bits_of_linear_do_not_depend_on_the_threads() {
    for (rows, inputs, outputs) in [(256, 100, 33), (7, 700, 130), (100, 5, 10)] {
        let tensors = [uniform("x", (rows, inputs), -1.0, 1.0), uniform("weight", (outputs, inputs), -1.0, 1.0), uniform("bias", outputs, -1.0, 1.0)];
        let tensors = tensors.map(|tensor| tensor.to_dtype(DType::F32).unwrap());
        same_bits(|| {
            let [x, weight, bias] = tensors.each_ref().map(|tensor| Var::from_tensor(tensor).unwrap());
            let y = linear(&x, &weight, Some(&bias))?;
            let gradients = y.sqr()?.sum_all()?.backward()?;
            Ok(vec![y, gradients.get(&x).unwrap().clone(), gradients.get(&weight).unwrap().clone(), gradients.get(&bias).unwrap().clone()])
        });
    }
}

#[test]
fn the_errors_of_linear_say_what_does_not_fit() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    assert_eq!(message(linear(&zeros(&[2, 3]), &zeros(&[4, 5]), None)), "linear: x has 3 columns, weight 5; expected the same number");
    assert_eq!(message(linear(&zeros(&[2, 3, 1]), &zeros(&[4, 5]), None)), "linear: x has shape [2, 3, 1]; expected two axes");
    let bias = zeros(&[5]);
    assert_eq!(message(linear(&zeros(&[2, 3]), &zeros(&[4, 3]), Some(&bias))), "linear: bias has shape [5]; expected [4], one number an output");
}

#[test]
fn relu_keeps_what_is_positive_and_nan() {
    let x = Tensor::new(&[-1.0, -0.0, 0.0, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY], &Device::Cpu).unwrap();
    let y = numbers(&relu(&x).unwrap());
    assert_eq!(y[..4], [0.0, 0.0, 0.0, 2.0]);
    assert!(y[4].is_nan());
    assert_eq!(y[5..], [f64::INFINITY, 0.0]);
}

#[test]
fn the_derivative_of_relu_at_zero_is_zero() {
    let x = Tensor::new(&[-1.0, 0.0, 2.0], &Device::Cpu).unwrap();
    assert_eq!(numbers(&gradient(&x, relu)), [0.0, 0.0, 1.0]);
}

#[test]
fn the_gradient_of_relu_is_that_of_central_differences() {
    let apart = uniform("x", (3, 4, 5), -1.0, 1.0);
    let apart = (apart.sign().unwrap() * 0.01).unwrap().add(&apart).unwrap();
    gradient_check(|t| relu(&t[0].transpose(0, 2)?), &[apart], 1e-9);
}

#[test]
fn rate_zero_is_the_identity() {
    let x = uniform("x", (3, 4), -1.0, 1.0);
    assert_eq!(numbers(&dropout(&x, 0.0, false, stream(1, "dropout", 0)).unwrap()), numbers(&x));
}

#[test]
fn dropped_is_zero_and_kept_is_scaled() {
    let y = numbers(&dropout(&Tensor::ones(10_000, DType::F32, &Device::Cpu).unwrap(), 0.2, false, stream(1, "dropout", 0)).unwrap());
    let dropped = y.iter().filter(|&&y| y == 0.0).count();
    assert!(y.iter().all(|&y| y == 0.0 || (y - 1.25).abs() < 1e-6));
    // Four standard deviations around 2000.
    assert!((1840..2160).contains(&dropped), "{dropped}");
}

#[test]
fn whole_channels_are_dropped() {
    let y = dropout(&Tensor::ones((20, 30, 3, 2), DType::F32, &Device::Cpu).unwrap(), 0.5, true, stream(1, "dropout", 0)).unwrap();
    let y = numbers(&y);
    assert!(y.chunks(6).all(|channel| channel.iter().all(|&value| value == channel[0])));
    assert!((200..400).contains(&y.chunks(6).filter(|channel| channel[0] == 0.0).count()));
}

#[test]
fn the_same_generator_drops_the_same_in_both_number_types() {
    let x = uniform("x", (7, 9), 1.0, 2.0);
    let dropped = |x: &Tensor| numbers(&dropout(x, 0.5, false, stream(3, "dropout", 1)).unwrap()).iter().map(|&y| y == 0.0).collect::<Vec<_>>();
    assert_eq!(dropped(&x), dropped(&x.to_dtype(DType::F32).unwrap()));
}

#[test]
fn the_gradient_of_dropout_is_that_of_central_differences() {
    for channels in [false, true] {
        gradient_check(|t| dropout(&t[0].transpose(0, 1)?, 0.4, channels, stream(5, "dropout", 2)), &[uniform("x", (3, 4, 2, 2), -1.0, 1.0)], 1e-9);
    }
}

#[test]
fn the_bits_of_elementwise_operations_do_not_depend_on_the_threads() {
    let x = uniform("x", (40, 10, 10, 11), -1.0, 1.0);
    same_bits(|| {
        let layer = |x: &Tensor| dropout(&dropout(&relu(x)?, 0.3, false, stream(1, "a", 0))?, 0.3, true, stream(1, "b", 0));
        Ok(vec![layer(&x)?, gradient(&x, layer)])
    });
}

#[test]
fn empty_tensors_pass() {
    let empty = Tensor::zeros((0, 3, 2), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(gradient(&empty, relu).dims(), [0, 3, 2]);
    for channels in [false, true] {
        assert_eq!(gradient(&empty, |x| dropout(x, 0.5, channels, stream(0, "dropout", 0))).dims(), [0, 3, 2]);
    }
    let no_pixels = Tensor::zeros((2, 3, 0), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(dropout(&no_pixels, 0.5, true, stream(0, "dropout", 0)).unwrap().dims(), [2, 3, 0]);
}

#[test]
fn impossible_rates_are_refused() {
    let x = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    for rate in [-0.1, 1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(message(dropout(&x, rate, false, stream(0, "dropout", 0))), format!("dropout: a rate of {rate} is not a probability in [0, 1)"));
    }
    assert_eq!(message(dropout(&x, 0.5, true, stream(0, "dropout", 0))), "dropout: x has shape [3]; whole channels can only be dropped of N x C x ...");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn linear_is_a_product_of_matrices((rows, inputs, outputs) in (1_usize..80, 1_usize..40, 1_usize..80)) {
        let (x, weight) = (uniform("x", (rows, inputs), -1.0, 1.0), uniform("weight", (outputs, inputs), -1.0, 1.0));
        let bias = uniform("bias", outputs, -1.0, 1.0);
        let expected = x.matmul(&weight.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        assert_close(&linear(&x, &weight, Some(&bias)).unwrap(), &expected, 1e-12);
    }
}

mod linear_block {
    //! The layer in one pass against the plain one, on whole numbers, where every order of summation gives the same bits.

    use candle_core::{DType, Tensor, Var};
    use proptest::prelude::*;
    use stn_ops::{LinearBlock, linear, relu};
    use stn_testkit::{same_bits, uniform};

    fn whole(name: &str, shape: &[usize], dtype: DType) -> Tensor {
        uniform(name, shape, -3.49, 3.49).round().unwrap().to_dtype(dtype).unwrap()
    }

    /// To the input, the same added to itself, to the weight in two parts, to the bias.
    fn gradients(block: &LinearBlock, x: &Tensor, weight: &Tensor, output: &Tensor, upstream: &Tensor) -> candle_core::Result<[Tensor; 4]> {
        let gradient = block.gradient(output, upstream)?;
        let (outputs, middle) = (weight.dim(0)?, weight.dim(0)? / 3);
        let to_weight = block.weight_gradient(x, &gradient)?;
        let parts = [to_weight.rows(0..middle)?, to_weight.rows(middle..outputs)?];
        let to_input = block.input_gradient(weight, &gradient)?;
        let twice = to_input.copy()?;
        block.add_input_gradient(weight, &gradient, &twice)?;
        Ok([to_input, twice, Tensor::cat(&parts, 0)?, block.bias_gradient(&gradient)?])
    }

    fn assert_same([samples, inputs, outputs]: [usize; 3], rectified: bool) {
        let block = LinearBlock { rectified };
        let tensors = |dtype| [whole("x", &[samples, inputs], dtype), whole("weight", &[outputs, inputs], dtype), whole("bias", &[outputs], dtype)];
        let upstream = whole("upstream", &[samples, outputs], DType::F32);
        let [x, weight, bias] = tensors(DType::F32);
        let output = block.forward(&x, &weight, &bias).unwrap();
        let [to_input, twice, to_weight, to_bias] = gradients(&block, &x, &weight, &output, &upstream).unwrap();
        let [x, weight, bias] = tensors(DType::F64).map(|tensor| Var::from_tensor(&tensor).unwrap());
        let mut expected = linear(&x, &weight, Some(&bias)).unwrap();
        if rectified {
            expected = relu(&expected).unwrap();
        }
        let tape = (&expected * upstream.to_dtype(DType::F64).unwrap()).unwrap().sum_all().unwrap().backward().unwrap();
        let pairs = [
            (output, expected.detach()),
            (to_input, tape.get(&x).unwrap().clone()),
            (twice, (tape.get(&x).unwrap() * 2.0).unwrap()),
            (to_weight, tape.get(&weight).unwrap().clone()),
            (to_bias, tape.get(&bias).unwrap().clone()),
        ];
        for (i, (found, expected)) in pairs.iter().enumerate() {
            let numbers = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            assert_eq!(found.dims(), expected.dims());
            assert_eq!(numbers(found), numbers(expected), "part {i} of {samples} x {inputs} -> {outputs}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn any_size_is_exact(samples in 1_usize..40, inputs in 1_usize..200, outputs in 1_usize..120, rectified in any::<bool>()) {
            assert_same([samples, inputs, outputs], rectified);
        }
    }

    #[test]
    fn long_sums_many_columns_and_many_rows_are_exact() {
        for sizes in [[5, 9000, 7], [3, 2001, 30], [4, 33, 1601], [70, 300, 900]] {
            assert_same(sizes, true);
        }
    }

    #[test]
    fn nothing_in_is_nothing_out() {
        for sizes in [[0, 3, 2], [3, 0, 2], [3, 2, 0]] {
            assert_same(sizes, true);
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_threads() {
        let [x, weight, bias, upstream] = [("x", [37, 8300]), ("weight", [29, 8300]), ("bias", [1, 29]), ("upstream", [37, 29])]
            .map(|(name, shape)| uniform(name, shape.as_slice(), -1.0, 1.0).to_dtype(DType::F32).unwrap());
        let (block, bias) = (LinearBlock { rectified: true }, bias.squeeze(0).unwrap());
        same_bits(|| {
            let output = block.forward(&x, &weight, &bias)?;
            let gradients = gradients(&block, &x, &weight, &output, &upstream)?;
            Ok([output].into_iter().chain(gradients).collect())
        });
    }

    #[test]
    fn a_sum_of_another_size_is_an_error() {
        let zeros = |shape: (usize, usize)| Tensor::zeros(shape, DType::F32, &candle_core::Device::Cpu).unwrap();
        let (block, weight, gradient) = (LinearBlock { rectified: false }, zeros((2, 3)), zeros((4, 2)));
        assert!(block.add_input_gradient(&weight, &gradient, &zeros((4, 3))).is_ok());
        assert!(block.add_input_gradient(&weight, &gradient, &zeros((4, 2))).is_err());
        assert!(block.add_input_gradient(&weight, &zeros((4, 3)), &zeros((4, 3))).is_err());
    }
}
