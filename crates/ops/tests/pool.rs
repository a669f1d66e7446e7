//! `max_pool2d` and `avg_pool2d` against PyTorch, central differences and themselves.

use candle_core::{DType, Device, Result, Tensor, Var};
use proptest::prelude::*;
use stn_ops::{Pool2d, Rounding, avg_pool2d, max_pool2d};
use stn_testkit::{gradient_check, oracle, same_bits, uniform};

type Op = fn(&Tensor, &Pool2d) -> Result<Tensor>;

const BOTH: [Op; 2] = [max_pool2d, avg_pool2d];

/// The output and the gradient of `sum(gradient * op(input))`.
fn outcome(op: Op, input: &Tensor, gradient: &Tensor, pool: &Pool2d) -> Result<[Tensor; 2]> {
    let input = Var::from_tensor(input)?;
    let output = op(&input, pool)?;
    let gradients = (&output * gradient)?.sum_all()?.backward()?;
    Ok([output, gradients.get(&input).unwrap().clone()])
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn agree_with_pytorch(op: Op, file: &str, cases: usize) {
    let oracle = oracle(format!("{}/tests/vectors/pool/{file}", env!("CARGO_MANIFEST_DIR")));
    let names: Vec<&str> = oracle.names().filter_map(|name| name.strip_suffix(".pool")).collect();
    assert_eq!(names.len(), cases);
    for case in names {
        let size = oracle.get(&format!("{case}.pool")).to_vec1::<i64>().unwrap();
        let pair = |i: usize| (size[i] as usize, size[i + 1] as usize);
        let rounding = if size[6] == 1 { Rounding::Up } else { Rounding::Down };
        let pool = Pool2d { kernel: pair(0), stride: pair(2), padding: pair(4), rounding };
        for dtype in [DType::F32, DType::F64] {
            let get = |part: &str| oracle.get(&format!("{case}.{part}")).to_dtype(dtype).unwrap();
            let found = outcome(op, &get("input"), &get("gradient"), &pool).unwrap();
            for (part, found) in ["output", "to_input"].iter().zip(&found) {
                let expected = get(part);
                println!("{case} {dtype:?} {part}");
                assert_eq!(found.dims(), expected.dims());
                let tolerance = if dtype == DType::F32 { 1e-6 } else { 1e-14 };
                for (found, expected) in numbers(found).into_iter().zip(numbers(&expected)) {
                    let same = found == expected || (found.is_nan() && expected.is_nan()) || (found - expected).abs() <= tolerance;
                    assert!(same, "expected {expected}, found {found}");
                }
            }
        }
    }
}

#[test]
fn maxima_are_those_of_pytorch() {
    agree_with_pytorch(max_pool2d, "max_pool2d.npz", 18);
}

#[test]
fn means_are_those_of_pytorch() {
    agree_with_pytorch(avg_pool2d, "avg_pool2d.npz", 15);
}

/// The first line: a backtrace follows it where one is asked for.
fn message(result: Result<Tensor>) -> String {
    result.unwrap_err().to_string().lines().next().unwrap_or_default().to_owned()
}

/// Distinct numbers, far enough apart that a small step changes no maximum.
fn shuffled(shape: [usize; 4]) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|i| ((i * 7919) % count) as f64 / 16.0).collect();
    Tensor::from_vec(values, &shape, &Device::Cpu).unwrap()
}

#[test]
fn gradients_are_those_of_central_differences() {
    for rounding in [Rounding::Down, Rounding::Up] {
        for (kernel, stride, padding) in [((2, 2), (2, 2), (0, 0)), ((3, 2), (1, 2), (1, 1)), ((2, 3), (3, 1), (0, 1))] {
            let pool = Pool2d { kernel, stride, padding, rounding };
            gradient_check(|t| max_pool2d(&t[0], &pool), &[shuffled([2, 2, 5, 7])], 1e-7);
            gradient_check(|t| avg_pool2d(&t[0], &pool), &[uniform("input", (2, 2, 5, 7), -1.0, 1.0)], 1e-7);
        }
    }
}

#[test]
fn the_first_of_equal_pixels_takes_the_whole_gradient() {
    let input = Tensor::ones((1, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
    let gradient = Tensor::ones((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let [_, to_input] = outcome(max_pool2d, &input, &gradient, &Pool2d::square(2)).unwrap();
    assert_eq!(numbers(&to_input), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn tensors_need_not_be_contiguous() {
    for op in BOTH {
        gradient_check(|t| op(&t[0].permute((3, 2, 1, 0))?.narrow(2, 1, 3)?, &Pool2d::square(2)), &[shuffled([4, 5, 2, 3])], 1e-7);
    }
}

#[test]
fn a_gradient_nobody_tracks_is_left_out() {
    let tracked = Var::from_tensor(&uniform("other", (2, 1, 2, 2), -1.0, 1.0)).unwrap();
    let input = uniform("input", (2, 1, 4, 4), -1.0, 1.0);
    for op in BOTH {
        let gradients = (op(&input, &Pool2d::square(2)).unwrap() * tracked.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(&input).is_none());
    }
}

#[test]
fn bits_do_not_depend_on_the_threads() {
    let pool = Pool2d { kernel: (3, 3), stride: (2, 2), padding: (1, 1), rounding: Rounding::Up };
    let input = uniform("input", (9, 4, 17, 18), -1.0, 1.0);
    let (height, width) = pool.output((17, 18)).unwrap();
    let gradient = uniform("gradient", (9, 4, height, width), -1.0, 1.0);
    same_bits(|| Ok(BOTH.map(|op| outcome(op, &input, &gradient, &pool).unwrap()).concat()));
}

#[test]
fn an_empty_batch_stays_empty() {
    for shape in [[0, 3, 4, 4], [3, 0, 4, 4]] {
        let input = Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap();
        let output = Tensor::zeros(&[shape[0], shape[1], 2, 2], DType::F32, &Device::Cpu).unwrap();
        for op in BOTH {
            assert_eq!(outcome(op, &input, &output, &Pool2d::square(2)).unwrap()[1].dims(), shape);
        }
    }
}

#[test]
fn errors_say_what_does_not_fit() {
    let input = Tensor::zeros((1, 1, 3, 5), DType::F32, &Device::Cpu).unwrap();
    for op in BOTH {
        let refusal = |pool| message(op(&input, &pool));
        let square = Pool2d::square;
        assert_eq!(
            refusal(square(4)),
            "pooling height: a window of 4 does not fit an input of 3 with padding 0 on each side; use a smaller window or a larger input"
        );
        assert_eq!(refusal(Pool2d { stride: (1, 0), ..square(2) }), "pooling width: window 2 and stride 0 must be at least 1");
        assert_eq!(refusal(Pool2d { kernel: (0, 1), ..square(2) }), "pooling height: window 0 and stride 2 must be at least 1");
        assert_eq!(
            refusal(Pool2d { padding: (0, 2), ..square(3) }),
            "pooling width: padding 2 is more than half the window of 3; lessen the padding or widen the window"
        );
        assert!(message(op(&input.squeeze(0).unwrap(), &square(2))).ends_with("has shape [1, 3, 5]; expected four axes"));
        assert!(message(op(&input.to_dtype(DType::U8).unwrap(), &square(2))).ends_with("input is U8; convert it to f32, f64, bf16 or f16"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn constant_images_stay_constant_without_padding(
        (height, width) in (1_usize..12, 1_usize..12), kernel in (1_usize..5, 1_usize..5), stride in (1_usize..6, 1_usize..6), up in any::<bool>(),
    ) {
        let pool = Pool2d { kernel, stride, padding: (0, 0), rounding: if up { Rounding::Up } else { Rounding::Down } };
        let input = Tensor::full(2.5, (2, 1, height, width), &Device::Cpu).unwrap();
        for op in BOTH {
            match (op(&input, &pool), pool.output((height, width))) {
                (Ok(output), Some(size)) => {
                    prop_assert_eq!(output.dims(), [2, 1, size.0, size.1]);
                    prop_assert!(numbers(&output).into_iter().all(|value| (value - 2.5).abs() < 1e-12));
                }
                (found, expected) => prop_assert!(found.is_err() && expected.is_none()),
            }
        }
    }

    #[test]
    fn the_whole_gradient_arrives(
        (height, width) in (1_usize..12, 1_usize..12), kernel in (1_usize..6, 1_usize..6), stride in (1_usize..6, 1_usize..6), up in any::<bool>(), pad in any::<bool>(),
    ) {
        let padding = if pad { (kernel.0 / 2, kernel.1 / 2) } else { (0, 0) };
        let pool = Pool2d { kernel, stride, padding, rounding: if up { Rounding::Up } else { Rounding::Down } };
        if let Some((rows, columns)) = pool.output((height, width)) {
            let input = uniform("input", (1, 2, height, width), -1.0, 1.0);
            let gradient = Tensor::ones((1, 2, rows, columns), DType::F64, &Device::Cpu).unwrap();
            let [output, to_input] = outcome(max_pool2d, &input, &gradient, &pool).unwrap();
            prop_assert!(numbers(&output).into_iter().all(f64::is_finite));
            prop_assert_eq!(numbers(&to_input).into_iter().sum::<f64>(), (2 * rows * columns) as f64);
        }
    }
}
