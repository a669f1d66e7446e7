//! Every operation on a graphics card against the same on the processor: values and gradients, to 1e-5 of the largest; and twice on the card, to the bit.
//!
//! Needs the feature `cuda`. Leaves everything out on a machine without a card, unless `STN_NEEDS_CARD` is set. The program that holds these tests can be carried to a machine without Rust.
#![cfg(feature = "cuda")]

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Result, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use stn_core::{Boundary, Sampling, TargetGrid};
use stn_ops::{
    AdamUpdate, ConvBlock, Gradient, LinearBlock, Moments, Pool2d, Projection, Rounding, Sampler, SgdUpdate, VolumeAxis, Window2d, avg_pool2d, batch_norm,
    conv2d, cross_entropy, deinterleave, dropout, graphics_card, linear, max_pool2d, project, relu, sample_grid, sample_structured, softmax, structured_grid,
};
use stn_sampler_bicubic::Bicubic;
use stn_sampler_bilinear::Bilinear;
use stn_sampler_integer::{Integer, Ties};

/// The card, or a word that there is none; where `STN_NEEDS_CARD` is set, that is a failure. One for all tests, with a stream of its own: they run in threads of their own.
fn card() -> Option<Device> {
    static CARD: OnceLock<Option<Device>> = OnceLock::new();
    let open = || match graphics_card(0) {
        Ok(card) => Some(card),
        Err(error) => {
            assert!(std::env::var_os("STN_NEEDS_CARD").is_none(), "there is no graphics card: {error}");
            eprintln!("there is no graphics card here ({error}): its tests are left out");
            None
        }
    };
    CARD.get_or_init(open).clone()
}

/// Numbers that look random, the same each time, from -1 to 1.
fn numbers(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % 2001) as f32 / 1000.0 - 1.0
    };
    Tensor::from_vec((0..shape.iter().product()).map(|_| draw()).collect::<Vec<f32>>(), shape, &Device::Cpu).unwrap()
}

/// The value of an operation, and its gradients to all that it is given.
fn run(device: &Device, given: &[Tensor], operation: &dyn Fn(&[Tensor]) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let vars = given.iter().map(|tensor| Var::from_tensor(&tensor.to_device(device)?)).collect::<Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let value = operation(&tensors)?;
    let upstream = numbers(value.dims(), 99).to_dtype(value.dtype())?.to_device(device)?;
    let mut gradients = (&value * &upstream)?.sum_all()?.backward()?;
    let mut results = vec![value.to_device(&Device::Cpu)?];
    for var in &vars {
        if let Some(gradient) = gradients.remove(var) {
            results.push(gradient.to_device(&Device::Cpu)?);
        }
    }
    Ok(results)
}

/// The numbers of a tensor, in 64 bits: exact for f32 as for f64.
fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).and_then(|tensor| tensor.flatten_all()?.to_vec1()).unwrap()
}

fn compare(what: &str, found: &[Tensor], expected: &[Tensor]) {
    assert_eq!(found.len(), expected.len(), "{what}: as many gradients");
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.dims(), expected.dims(), "{what}, result {number}");
        let (found, expected) = (flat(found), flat(expected));
        let largest = expected.iter().fold(1e-30_f64, |largest, number| largest.max(number.abs()));
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() <= 1e-5 * largest, "{what}, result {number}, number {i} is {found} on the card and {expected} on the processor");
        }
    }
}

/// An operation on both devices, and twice on the card.
fn check(what: &str, given: &[Tensor], operation: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let Some(card) = card() else { return };
    let expected = run(&Device::Cpu, given, &operation).unwrap();
    let found = run(&card, given, &operation).unwrap();
    compare(what, &found, &expected);
    for (first, second) in found.iter().zip(run(&card, given, &operation).unwrap()) {
        let bits = |tensor: &Tensor| flat(tensor).into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(first), bits(&second), "{what} twice");
    }
}

#[test]
fn elementwise_operations_are_the_same() {
    let x = numbers(&[7, 6, 5], 1);
    check("relu", std::slice::from_ref(&x), |x| relu(&x[0]));
    check("softmax", &[numbers(&[300, 10], 2)], |x| softmax(&x[0]));
    check("deinterleave", &[numbers(&[5, 12], 3)], |x| deinterleave(&x[0], 2));
    for channels in [false, true] {
        check("dropout", std::slice::from_ref(&x), |x| dropout(&x[0], 0.4, channels, ChaCha8Rng::seed_from_u64(7)));
    }
}

#[test]
fn the_loss_is_the_same() {
    let labels = Tensor::from_vec((0..300_u32).map(|i| i * 7 % 10).collect(), 300, &Device::Cpu).unwrap();
    check("cross_entropy", &[numbers(&[300, 10], 4)], |x| cross_entropy(&x[0], &labels.to_device(x[0].device())?)?.reshape(1));
}

#[test]
fn poolings_and_projections_are_the_same() {
    let overlapping = Pool2d { kernel: (3, 2), stride: (2, 1), padding: (1, 1), rounding: Rounding::Up };
    for pool in [Pool2d::square(2), overlapping] {
        check("max_pool2d", &[numbers(&[3, 4, 13, 11], 5)], |x| max_pool2d(&x[0], &pool));
        check("avg_pool2d", &[numbers(&[3, 4, 13, 11], 6)], |x| avg_pool2d(&x[0], &pool));
    }
    for projection in [Projection::Max, Projection::Mean, Projection::Sum] {
        check("project", &[numbers(&[2, 3, 5, 6, 7], 7)], |x| project(&x[0], VolumeAxis::Height, projection));
    }
}

#[test]
fn layers_are_the_same() {
    check("linear", &[numbers(&[50, 33], 8), numbers(&[21, 33], 9), numbers(&[21], 10)], |x| linear(&x[0], &x[1], Some(&x[2])));
    for (stride, padding) in [((1, 1), (0, 0)), ((2, 1), (1, 2))] {
        let given = [numbers(&[6, 3, 17, 15], 11), numbers(&[8, 3, 5, 4], 12), numbers(&[8], 13)];
        check("conv2d", &given, |x| conv2d(&x[0], &x[1], Some(&x[2]), Window2d { stride, padding }));
    }
    let given = [numbers(&[6, 4, 9], 14), numbers(&[4], 15), numbers(&[4], 16)];
    check("batch_norm", &given, |x| batch_norm(&x[0], &x[1], &x[2], Moments::of(&x[0].detach())?, 1e-5));
}

#[test]
fn blocks_of_convolutions_are_the_same() {
    let Some(card) = card() else { return };
    let run = |device: &Device, block: ConvBlock| -> Result<Vec<Tensor>> {
        let on = |shape: &[usize], seed| numbers(shape, seed).to_device(device);
        let (input, weight, bias) = (on(&[6, 3, 18, 15], 11)?, on(&[8, 3, 5, 4], 12)?, on(&[8], 13)?);
        let outcome = block.forward(&input, &weight, &bias)?;
        let gradients = block.backward(&input, &weight, &outcome, &on(outcome.output.dims(), 99)?, true)?;
        let results = [Some(outcome.output), gradients.input, gradients.weight, gradients.bias];
        results.iter().flatten().map(|tensor| tensor.to_device(&Device::Cpu)).collect()
    };
    let rounded_up = Pool2d { kernel: (3, 2), stride: (3, 2), padding: (0, 0), rounding: Rounding::Up };
    for (rectified, pool) in [(false, None), (true, None), (true, Some(Pool2d::square(2))), (false, Some(rounded_up))] {
        let block = ConvBlock { window: Window2d { stride: (1, 1), padding: (2, 1) }, rectified, pool };
        compare(&format!("{block:?}"), &run(&card, block).unwrap(), &run(&Device::Cpu, block).unwrap());
    }
}

#[test]
fn moments_and_their_running_means_are_the_same() {
    let Some(card) = card() else { return };
    let led = |device: &Device| -> Result<Vec<Tensor>> {
        let x = numbers(&[6, 4, 9], 14).to_device(device)?;
        let rows = [numbers(&[4], 15).to_device(device)?, numbers(&[4], 16).to_device(device)?];
        Moments::of(&x)?.lead(0.1, &rows[0], &rows[1])?;
        rows.iter().map(|row| row.to_device(&Device::Cpu)).collect()
    };
    compare("running moments", &led(&card).unwrap(), &led(&Device::Cpu).unwrap());
}

#[test]
fn numbers_of_64_bits_are_the_same() {
    let wide = |tensor: Tensor| tensor.to_dtype(DType::F64).unwrap();
    let given = [wide(numbers(&[6, 3, 17, 15], 11)), wide(numbers(&[8, 3, 5, 4], 12)), wide(numbers(&[8], 13))];
    check("conv2d of f64", &given, |x| conv2d(&x[0], &x[1], Some(&x[2]), Window2d::default()));
    let sampler = Sampler { kernel: Arc::new(Bicubic::new(-0.5).unwrap()), boundary: Boundary::Reflection, align_corners: true };
    let target = TargetGrid::new([9, 11], true).unwrap();
    let [matrix, basis] = warp(3, 2, 3, &target).map(wide);
    check("sample_structured of f64", &[wide(numbers(&[3, 4, 13, 17], 18)), matrix, basis], |x| sample_structured(&x[0], &x[1], &x[2], &target, &sampler));
}

/// A warp near the identity, with a divisor far from zero where it has one.
fn warp(samples: usize, dims: usize, rows: usize, target: &TargetGrid) -> [Tensor; 2] {
    let mut matrix: Vec<f32> = (numbers(&[samples, rows, dims + 1], 17) * 0.2).and_then(|numbers| numbers.flatten_all()?.to_vec1()).unwrap();
    for row in matrix.chunks_exact_mut((dims + 1) * rows) {
        (0..rows).for_each(|axis| row[axis * (dims + 1) + axis] += 1.0);
    }
    let points = target.points(DType::F32, &Device::Cpu).unwrap();
    let ones = Tensor::ones((1, target.pixels()), DType::F32, &Device::Cpu).unwrap();
    [Tensor::from_vec(matrix, (samples, rows, dims + 1), &Device::Cpu).unwrap(), Tensor::cat(&[points, ones], 0).unwrap()]
}

#[test]
fn the_sampler_is_the_same() {
    let kernels: [Arc<dyn Sampling>; 3] = [Arc::new(Bilinear), Arc::new(Bicubic::new(-0.75).unwrap()), Arc::new(Integer::new(Ties::Floor))];
    for (source, size) in [(vec![13, 17], vec![9, 11]), (vec![170, 151], vec![40, 33]), (vec![6, 7, 8], vec![5, 6, 4])] {
        for (kernel, boundary) in kernels.iter().flat_map(|kernel| Boundary::ALL.map(|boundary| (kernel.clone(), boundary))) {
            let (dims, target) = (size.len(), TargetGrid::new(size.clone(), false).unwrap());
            let sampler = Sampler { kernel, boundary, align_corners: false };
            let input = numbers(&[&[3, 4], source.as_slice()].concat(), 18);
            for rows in [dims, dims + 1] {
                let [matrix, basis] = warp(3, dims, rows, &target);
                check(&format!("{sampler:?}"), &[input.clone(), matrix.clone(), basis.clone()], |x| sample_structured(&x[0], &x[1], &x[2], &target, &sampler));
                check("structured_grid", &[matrix, basis], |x| structured_grid(&x[0], &x[1], &target));
            }
            let grid = numbers(&[&[3], size.as_slice(), &[dims]].concat(), 19);
            check(&format!("{sampler:?} at a grid"), &[input, grid], |x| sample_grid(&x[0], &x[1], &sampler));
        }
    }
}

/// An operation on images of 16 bits: results of 16 bits are the same but for their last place, and for `share` of the last place of the largest;
/// those of 32 bits as they are otherwise.
fn check_short(what: &str, given: &[Tensor], share: f64, operation: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let Some(card) = card() else { return };
    let [on_card, here] = [&card, &Device::Cpu].map(|device| run(device, given, &operation).unwrap());
    assert_eq!(on_card.len(), here.len(), "{what}: as many gradients");
    for (number, (found, expected)) in on_card.iter().zip(&here).enumerate() {
        assert_eq!(found.dtype(), expected.dtype(), "{what}, result {number}");
        let last_place = match found.dtype() {
            DType::BF16 => 1.0 / 128.0,
            DType::F16 => 1.0 / 1024.0,
            _ => {
                compare(what, std::slice::from_ref(found), std::slice::from_ref(expected));
                continue;
            }
        };
        let (found, expected) = (flat(found), flat(expected));
        let largest = expected.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            let allowed = last_place * (expected.abs() + share * largest) + 1e-6 * largest;
            assert!((found - expected).abs() <= allowed, "{what}, result {number}: {found} on the card and {expected} on the processor");
        }
    }
}

#[test]
fn images_of_16_bits_are_the_same_but_for_their_last_places() {
    let sampler = Sampler { kernel: Arc::new(Bilinear), boundary: Boundary::Zeros, align_corners: false };
    let target = TargetGrid::new([9, 11], false).unwrap();
    for dtype in [DType::BF16, DType::F16] {
        let short = |shape: &[usize], seed| numbers(shape, seed).to_dtype(dtype).unwrap();
        let images = short(&[3, 4, 13, 17], 18);
        let [matrix, basis] = warp(3, 2, 3, &target);
        // A number next to the middle between two neighbours may go to either.
        check_short("sample_structured", &[images.clone(), matrix, basis], 0.0, |x| sample_structured(&x[0], &x[1], &x[2], &target, &sampler));
        check_short("max_pool2d", std::slice::from_ref(&images), 0.0, |x| max_pool2d(&x[0], &Pool2d::square(2)));
        check_short("avg_pool2d", std::slice::from_ref(&images), 0.0, |x| avg_pool2d(&x[0], &Pool2d::square(3)));
        check_short("conv2d", &[images.clone(), short(&[8, 4, 5, 4], 12)], 0.0, |x| conv2d(&x[0], &x[1], None, Window2d::default()));
        // The bias is added to what was already rounded.
        let given = [images, short(&[8, 4, 5, 4], 12), short(&[8], 13)];
        check_short("conv2d with a bias", &given, 1.0, |x| conv2d(&x[0], &x[1], Some(&x[2]), Window2d::default()));
    }
}

#[test]
fn steps_of_the_optimisers_are_the_same() {
    let Some(card) = card() else { return };
    let adam = AdamUpdate { lr: 0.1, betas: (0.9, 0.999), epsilon: 1e-8, l2: 0.01, decay: 0.02, step: 3 };
    let sgd = SgdUpdate { lr: 0.1, momentum: 0.9, nesterov: true, decay: 0.01 };
    let steps = |device: &Device| -> Result<Vec<Tensor>> {
        let on = |shape: &[usize], seed| numbers(shape, seed).to_device(device);
        // A weight whose gradient does not come in one part; second moments away from zero, next to which a quotient magnifies how a gradient was rounded.
        let shape = [3, 1 << 20];
        let tensors = [on(&shape, 20)?, on(&shape, 21)?, (on(&shape, 22)?.abs()? + 0.1)?];
        sgd.apply(&tensors[0], &on(&shape, 23)?.into(), Some(&tensors[1]))?;
        let product = LinearBlock { rectified: false }.weight_gradient(&on(&[4, 1 << 20], 24)?, &on(&[4, 3], 25)?)?;
        adam.apply(&tensors[0], &Gradient::Product(product), [&tensors[1], &tensors[2]])?;
        tensors.iter().map(|tensor| tensor.to_device(&Device::Cpu)).collect()
    };
    compare("two steps", &steps(&card).unwrap(), &steps(&Device::Cpu).unwrap());
}
