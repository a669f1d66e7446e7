//! `conv2d` against PyTorch, central differences and itself.

use candle_core::{DType, Device, Result, Tensor, Var};
use proptest::prelude::*;
use stn_ops::{Window2d, conv2d, conv2d_output};
use stn_testkit::{assert_close, gradient_check, oracle, same_bits, uniform};

/// The first line: a backtrace follows it where one is asked for.
fn message(result: Result<Tensor>) -> String {
    result.unwrap_err().to_string().lines().next().unwrap_or_default().to_owned()
}

fn zeros(shape: [usize; 4]) -> Tensor {
    Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap()
}

/// The output and the three gradients of `sum(gradient * conv2d(..))`.
fn outcome(tensors: [&Tensor; 3], gradient: &Tensor, window: Window2d) -> Result<[Tensor; 4]> {
    let [input, weight, bias] = tensors.map(|tensor| Var::from_tensor(tensor).unwrap());
    let output = conv2d(&input, &weight, Some(&bias), window)?;
    let gradients = (&output * gradient)?.sum_all()?.backward()?;
    Ok([output, gradients.get(&input).unwrap().clone(), gradients.get(&weight).unwrap().clone(), gradients.get(&bias).unwrap().clone()])
}

#[test]
fn output_and_gradients_are_those_of_pytorch() {
    let oracle = oracle(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/conv2d/vectors.npz"));
    let cases: Vec<&str> = oracle.names().filter_map(|name| name.strip_suffix(".window")).collect();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let numbers = oracle.get(&format!("{case}.window")).to_vec1::<i64>().unwrap();
        let window = Window2d { stride: (numbers[0] as usize, numbers[1] as usize), padding: (numbers[2] as usize, numbers[3] as usize) };
        for dtype in [DType::F32, DType::F64] {
            let get = |part: &str| oracle.get(&format!("{case}.{part}")).to_dtype(dtype).unwrap();
            let found = outcome([&get("input"), &get("weight"), &get("bias")], &get("gradient"), window).unwrap();
            for (part, found) in ["output", "to_input", "to_weight", "to_bias"].iter().zip(&found) {
                println!("{case} {dtype:?} {part}");
                assert_close(found, &get(part), if dtype == DType::F32 { 1e-6 } else { 1e-14 });
            }
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    let window = Window2d { stride: (2, 1), padding: (1, 2) };
    let inputs = [uniform("input", (2, 2, 5, 4), -1.0, 1.0), uniform("weight", (3, 2, 3, 2), -1.0, 1.0), uniform("bias", 3, -1.0, 1.0)];
    gradient_check(|t| conv2d(&t[0], &t[1], Some(&t[2]), window), &inputs, 1e-7);
    gradient_check(|t| conv2d(&t[0], &t[1], None, window), &inputs[..2], 1e-7);
}

#[test]
fn long_patches_are_worked_on_in_blocks() {
    let window = Window2d { stride: (1, 1), padding: (1, 0) };
    let inputs = [uniform("input", (2, 20, 4, 5), -1.0, 1.0), uniform("weight", (6, 20, 3, 3), -1.0, 1.0), uniform("bias", 6, -1.0, 1.0)];
    gradient_check(|t| conv2d(&t[0], &t[1], Some(&t[2]), window), &inputs, 1e-7);
    assert_close(&conv2d(&inputs[0], &inputs[1], None, window).unwrap(), &plainly(&inputs[0], &inputs[1], window).unwrap(), 1e-12);
}

#[test]
fn tensors_need_not_be_contiguous() {
    let input = uniform("input", (5, 4, 2, 3), -1.0, 1.0);
    let weight = uniform("weight", (2, 3, 2, 3), -1.0, 1.0);
    gradient_check(
        |t| conv2d(&t[0].permute((3, 2, 0, 1))?, &t[1].permute((0, 3, 1, 2))?.narrow(1, 0, 2)?, None, Window2d::default())?.transpose(2, 3),
        &[input, weight],
        1e-7,
    );
}

#[test]
fn a_gradient_nobody_tracks_is_left_out() {
    let (input, weight) = (uniform("input", (2, 1, 4, 4), -1.0, 1.0), uniform("weight", (1, 1, 3, 3), -1.0, 1.0));
    let tracked = Var::from_tensor(&weight).unwrap();
    let gradients = conv2d(&input, &tracked, None, Window2d::default()).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&input).is_none());
    assert!(gradients.get(&tracked).is_some());
}

#[test]
fn bits_do_not_depend_on_the_threads() {
    for (samples, channels, size, filters, kernel) in [(37, 2, 12, 5, 5), (3, 1, 40, 4, 3), (130, 3, 5, 2, 5), (9, 30, 6, 7, 3)] {
        let input = uniform("input", (samples, channels, size, size), -1.0, 1.0).to_dtype(DType::F32).unwrap();
        let weight = uniform("weight", (filters, channels, kernel, kernel), -1.0, 1.0).to_dtype(DType::F32).unwrap();
        let bias = uniform("bias", filters, -1.0, 1.0).to_dtype(DType::F32).unwrap();
        let output = size - kernel + 1;
        let gradient = uniform("gradient", (samples, filters, output, output), -1.0, 1.0).to_dtype(DType::F32).unwrap();
        same_bits(|| Ok(outcome([&input, &weight, &bias], &gradient, Window2d::default())?.to_vec()));
    }
}

#[test]
fn an_empty_batch_and_no_filters_are_empty_images() {
    let output = conv2d(&zeros([0, 2, 5, 5]), &zeros([3, 2, 3, 3]), None, Window2d::default()).unwrap();
    assert_eq!(output.dims(), [0, 3, 3, 3]);
    let output = conv2d(&zeros([2, 2, 5, 5]), &zeros([0, 2, 3, 3]), None, Window2d::default()).unwrap();
    assert_eq!(output.dims(), [2, 0, 3, 3]);
}

#[test]
fn empty_tensors_have_gradients_too() {
    for (input, weight) in [([0, 2, 5, 5], [3, 2, 3, 3]), ([2, 2, 5, 5], [0, 2, 3, 3]), ([2, 0, 5, 5], [3, 0, 3, 3])] {
        let (input, weight) = (Var::from_tensor(&zeros(input)).unwrap(), Var::from_tensor(&zeros(weight)).unwrap());
        let bias = Var::zeros(weight.dims()[0], DType::F32, &Device::Cpu).unwrap();
        let output = conv2d(&input, &weight, Some(&bias), Window2d { stride: (1, 1), padding: (1, 1) }).unwrap();
        let gradients = output.sum_all().unwrap().backward().unwrap();
        assert_eq!(gradients.get(&input).unwrap().dims(), input.dims());
        assert_eq!(gradients.get(&weight).unwrap().dims(), weight.dims());
    }
}

#[test]
fn nan_stays_where_it_is_seen() {
    let mut values = vec![0.0_f32; 2 * 5 * 5];
    values[0] = f32::NAN;
    let input = Tensor::from_vec(values, (2, 1, 5, 5), &Device::Cpu).unwrap();
    let output = conv2d(&input, &zeros([1, 1, 3, 3]), None, Window2d::default()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(output[0].is_nan());
    assert_eq!(output[1..], [0.0; 17]);
}

#[test]
fn errors_say_what_does_not_fit() {
    let window = Window2d::default();
    let try_shapes = |input, weight, window| message(conv2d(&zeros(input), &zeros(weight), None, window));
    assert_eq!(
        try_shapes([1, 1, 6, 9], [1, 1, 7, 7], window),
        "convolution height: a window of 7 does not fit an input of 6 with padding 0 on each side; use a smaller window or a larger input"
    );
    assert_eq!(try_shapes([1, 3, 6, 9], [1, 1, 2, 2], window), "conv2d: input has 3 channels, weight is for 1; expected the same number");
    assert_eq!(try_shapes([1, 1, 6, 9], [1, 1, 2, 2], Window2d { stride: (1, 0), ..window }), "convolution width: window 2 and stride 0 must be at least 1");
    assert!(try_shapes([1, 1, 6, 9], [1, 1, 2, 2], Window2d { padding: (1 << 40, 0), ..window }).starts_with("convolution height: a size above 2147483648"));
    assert!(try_shapes([1, 1, 6, 9], [1, 1, 2, 2], Window2d { padding: (1 << 30, 1 << 31), ..window }).ends_with("is too large for any memory"));
    let flat = Tensor::zeros((3, 4), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(message(conv2d(&flat, &zeros([1, 1, 2, 2]), None, window)), "conv2d: input has shape [3, 4]; expected four axes");
    let bias = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let image = zeros([1, 1, 6, 9]);
    assert_eq!(message(conv2d(&image, &zeros([1, 1, 2, 2]), Some(&bias), window)), "conv2d: bias has shape [3]; expected [1], one number a filter");
    let double = zeros([1, 1, 2, 2]).to_dtype(DType::F64).unwrap();
    assert_eq!(message(conv2d(&image, &double, None, window)), "conv2d: input is F32 and weight is F64; convert one to the other's type");
    let integers = zeros([1, 1, 6, 9]).to_dtype(DType::U32).unwrap();
    assert_eq!(message(conv2d(&integers, &zeros([1, 1, 2, 2]), None, window)), "conv2d: input is U32; convert it to f32, f64, bf16 or f16");
}

/// The definition, written as plainly as it can be.
fn plainly(input: &Tensor, weight: &Tensor, window: Window2d) -> Result<Tensor> {
    let padded = input.pad_with_zeros(2, window.padding.0, window.padding.0)?.pad_with_zeros(3, window.padding.1, window.padding.1)?;
    let (_, _, kernel_height, kernel_width) = weight.dims4()?;
    let (_, _, height, width) = input.dims4()?;
    let (rows, columns) = conv2d_output((height, width), (kernel_height, kernel_width), &window).unwrap();
    let mut lines = Vec::new();
    for y in 0..rows {
        let mut line = Vec::new();
        for x in 0..columns {
            let patch = padded.narrow(2, y * window.stride.0, kernel_height)?.narrow(3, x * window.stride.1, kernel_width)?;
            line.push(patch.unsqueeze(1)?.broadcast_mul(&weight.unsqueeze(0)?)?.flatten_from(2)?.sum(2)?);
        }
        lines.push(Tensor::stack(&line, 2)?);
    }
    Tensor::stack(&lines, 2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sizes_agree_with_the_definition(
        samples in 1_usize..70,
        (channels, filters) in (1_usize..4, 1_usize..4),
        (height, width) in (1_usize..9, 1_usize..9),
        kernel in (1_usize..5, 1_usize..5),
        stride in (1_usize..4, 1_usize..4),
        padding in (0_usize..3, 0_usize..3),
    ) {
        let window = Window2d { stride, padding };
        let input = uniform("input", (samples, channels, height, width), -1.0, 1.0);
        let weight = uniform("weight", (filters, channels, kernel.0, kernel.1), -1.0, 1.0);
        match conv2d_output((height, width), kernel, &window) {
            None => prop_assert!(conv2d(&input, &weight, None, window).is_err()),
            Some(output) => {
                let found = conv2d(&input, &weight, None, window).unwrap();
                prop_assert_eq!(found.dims(), [samples, filters, output.0, output.1]);
                assert_close(&found, &plainly(&input, &weight, window).unwrap(), 1e-12);
            }
        }
    }
}
