//! `ConvBlock` and the direct convolution against the plain ones, on whole numbers, where every order of summation gives the same bits.

use candle_core::{DType, Device, Result, Tensor, Var};
use proptest::prelude::*;
use stn_ops::{ConvBlock, Pool2d, Rounding, Window2d, conv2d, max_pool2d, relu};
use stn_testkit::{same_bits, uniform};

/// Whole numbers from -3 to 3.
fn whole(name: &str, shape: &[usize], dtype: DType) -> Tensor {
    uniform(name, shape, -3.49, 3.49).round().unwrap().to_dtype(dtype).unwrap()
}

/// The output and the gradients to input, weight and bias, by a block or by one operation after the other.
fn outcome(block: &ConvBlock, shapes: &[Vec<usize>; 3], dtype: DType, in_one_pass: bool) -> Result<[Tensor; 4]> {
    let [input, weight, bias] = [0, 1, 2].map(|i| Var::from_tensor(&whole(["input", "weight", "bias"][i], &shapes[i], dtype)).unwrap());
    let one_by_one = || -> Result<Tensor> {
        let mut output = conv2d(&input, &weight, Some(&bias), block.window)?;
        if let Some(pool) = &block.pool {
            output = max_pool2d(&output, pool)?;
        }
        if block.rectified { relu(&output) } else { Ok(output) }
    };
    if in_one_pass {
        let outcome = block.forward(&input, &weight, &bias)?;
        let upstream = whole("upstream", outcome.output.dims(), dtype);
        let gradients = block.backward(&input, &weight, &outcome, &upstream, true)?;
        return Ok([outcome.output, gradients.input.unwrap(), gradients.weight.unwrap(), gradients.bias.unwrap()]);
    }
    let output = one_by_one()?;
    let upstream = whole("upstream", output.dims(), dtype);
    let gradients = (&output * upstream)?.sum_all()?.backward()?;
    Ok([output, gradients.get(&input).unwrap().clone(), gradients.get(&weight).unwrap().clone(), gradients.get(&bias).unwrap().clone()])
}

fn assert_same(block: &ConvBlock, shapes: &[Vec<usize>; 3]) -> std::result::Result<(), TestCaseError> {
    let plain = outcome(block, shapes, DType::F64, false).unwrap();
    for in_one_pass in [true, false] {
        let found = outcome(block, shapes, DType::F32, in_one_pass).unwrap();
        for (part, (found, expected)) in ["output", "to input", "to weight", "to bias"].iter().zip(found.iter().zip(&plain)) {
            let found = found.to_dtype(DType::F64).unwrap();
            prop_assert_eq!(found.dims(), expected.dims());
            let difference = (&found - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap();
            prop_assert!(difference == 0.0, "{} of {:?} on {:?}, in one pass {}: off by {}", part, block, shapes, in_one_pass, difference);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_block_is_its_operations_one_after_the_other(
        (samples, channels, filters) in (1_usize..20, 1_usize..5, 1_usize..40),
        (height, width) in (1_usize..20, 1_usize..20),
        kernel in (1_usize..7, 1_usize..12),
        padding in (0_usize..3, 0_usize..3),
        rectified in any::<bool>(),
        pool in proptest::option::of((1_usize..4, 1_usize..4, any::<bool>())),
    ) {
        let kernel = (kernel.0.min(height + 2 * padding.0), kernel.1.min(width + 2 * padding.1));
        let padding = (padding.0.min(kernel.0 - 1), padding.1.min(kernel.1 - 1));
        let kernel = (kernel.0.min(height + 2 * padding.0), kernel.1.min(width + 2 * padding.1));
        let output = (height + 2 * padding.0 + 1 - kernel.0, width + 2 * padding.1 + 1 - kernel.1);
        let pool = pool.map(|(h, w, up)| {
            let size = (h.min(output.0), w.min(output.1));
            Pool2d { kernel: size, stride: size, padding: (0, 0), rounding: if up { Rounding::Up } else { Rounding::Down } }
        });
        let block = ConvBlock { window: Window2d { stride: (1, 1), padding }, rectified, pool };
        assert_same(&block, &[vec![samples, channels, height, width], vec![filters, channels, kernel.0, kernel.1], vec![filters]])?;
    }
}

#[test]
fn sizes_of_the_paper_are_exact_too() {
    let halved = Some(Pool2d::square(2));
    for (shapes, padding, pool) in [
        ([vec![9, 1, 42, 42], vec![32, 1, 9, 9], vec![32]], 0, halved),
        ([vec![130, 8, 17, 17], vec![20, 8, 7, 7], vec![20]], 0, halved),
        ([vec![17, 24, 8, 8], vec![48, 24, 5, 5], vec![48]], 2, None),
        ([vec![33, 40, 4, 4], vec![192, 40, 5, 5], vec![192]], 2, halved),
    ] {
        let block = ConvBlock { window: Window2d { stride: (1, 1), padding: (padding, padding) }, rectified: true, pool };
        assert_same(&block, &shapes).unwrap();
    }
}

#[test]
fn bits_do_not_depend_on_the_threads() {
    let block = ConvBlock { window: Window2d { stride: (1, 1), padding: (1, 2) }, rectified: true, pool: Some(Pool2d::square(2)) };
    let tensors = [uniform("input", (37, 3, 11, 13), -1.0, 1.0), uniform("weight", (9, 3, 3, 5), -1.0, 1.0), uniform("bias", 9, -1.0, 1.0)];
    let [input, weight, bias] = tensors.map(|tensor| tensor.to_dtype(DType::F32).unwrap());
    same_bits(|| {
        let outcome = block.forward(&input, &weight, &bias)?;
        let gradients = block.backward(&input, &weight, &outcome, &outcome.output, true)?;
        Ok([Some(outcome.output), gradients.input, gradients.weight, gradients.bias].into_iter().flatten().collect())
    });
}

#[test]
fn nan_wins_its_window_and_passes_the_rectification() {
    let mut numbers = vec![1.0_f32; 36];
    numbers[7] = f32::NAN;
    let input = Tensor::from_vec(numbers, (1, 1, 6, 6), &Device::Cpu).unwrap();
    let weight = Tensor::ones((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let block = ConvBlock { window: Window2d::default(), rectified: true, pool: Some(Pool2d::square(2)) };
    let output = block.forward(&input, &weight, &Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap()).unwrap().output;
    let output = output.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(output[0].is_nan() && output[1..].iter().all(|&x| x == 1.0), "{output:?}");
}

#[test]
fn what_cannot_be_done_in_one_pass_says_so() {
    let ones = |shape: [usize; 4]| Tensor::ones(&shape, DType::F32, &Device::Cpu).unwrap();
    let block = ConvBlock { window: Window2d { stride: (2, 2), padding: (0, 0) }, rectified: false, pool: None };
    assert!(!block.fits((3, 3), DType::F32, &Device::Cpu));
    let error = block.forward(&ones([1, 1, 5, 5]), &ones([1, 1, 3, 3]), &Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap()).unwrap_err().to_string();
    assert!(error.contains("cannot be done in one pass; apply conv2d, relu and max_pool2d one after the other"), "{error}");
}
