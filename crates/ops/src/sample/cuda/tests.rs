//! The sampler's kernels, run on the processor, against the plain loops.

use candle_core::{Device, Tensor, Var, WithDType};
use half::{bf16, f16};
use stn_core::TargetGrid;

use super::super::structured::Structured;
use super::super::tests::{Draws, close};
use super::super::{plain, warp};
use super::*;
use crate::cpu::Number;
use crate::cuda::emulated::Emulated;

/// One random call: its sampler, the sizes of source and target, samples and channels.
struct Drawn {
    sampler: Sampler,
    source: Vec<usize>,
    target: Vec<usize>,
    samples: usize,
    channels: usize,
}

impl Drawn {
    fn new(draws: &mut Draws) -> Self {
        let axes = 2 + draws.below(2);
        let most = if axes == 2 { 23 } else { 7 };
        let (source, target, sampler) = (draws.sizes(axes, most), draws.sizes(axes, most), draws.sampler());
        Self { sampler, source, target, samples: 1 + draws.below(3), channels: draws.below(5) }
    }

    fn call(&self) -> Call<'_> {
        Call::new(&self.sampler, &[&[self.samples, self.channels], self.source.as_slice()].concat(), &self.target).unwrap()
    }
}

/// Output and gradients of a random call with the structured form, on the card and by the plain loops.
fn structured<T: Number>(card: &Emulated, draws: &mut Draws, tolerance: f64) -> [Vec<T>; 4] {
    let drawn = Drawn::new(draws);
    let (call, axes) = (drawn.call(), drawn.target.len());
    let (samples, channels, pixels, plane) = (call.samples, call.channels, call.pixels, call.plane_len());
    let (rows, terms) = (axes + draws.below(2), 1 + draws.below(6));
    let (input, upstream) = (draws.numbers::<T>(samples * channels * plane), draws.numbers::<T>(samples * channels * pixels));
    let (matrix, basis) = draws.warp::<T>(samples, axes, (rows, terms), pixels);
    let what = format!("{:?}: {samples} x {channels} x {:?} to {:?}, {rows} x {terms}", drawn.sampler, drawn.source, drawn.target);

    let coordinates = Coordinates::Structured { matrix: card.given(&matrix), basis: card.given(&basis), rows, terms };
    let on_card = OnCard::new(card, &call, coordinates, T::DTYPE).unwrap();
    let (of_input, of_upstream, output) = (card.given(&input), card.given(&upstream), card.output::<T>(samples * channels * pixels));
    on_card.sample(of_input, output).unwrap();
    let to = Gradients { input: card.output::<T>(input.len()), warp: card.output::<T>(matrix.len()), basis: card.output::<T>(basis.len()) };
    on_card.gradients(of_input, of_upstream, to).unwrap();

    let mut warp = Structured::of_numbers(&matrix, (samples, rows, terms), &basis, &drawn.target);
    warp.basis_wanted = true;
    let mut expected = warp
        .gradients(|| call.taps(), |taps, n, pixels, rows, gradient| plain::coordinate_gradient(&call, (&input, &upstream), taps, (n, pixels), rows, gradient));
    let to_basis = expected.split_off(matrix.len());
    let found = [
        card.numbers::<T>(output, upstream.len()),
        card.numbers(to.input, input.len()),
        card.numbers(to.warp, matrix.len()),
        card.numbers(to.basis, basis.len()),
    ];
    close(&found[0], &plain::sample(&call, &input, &warp), tolerance, &what);
    close(&found[1], &plain::input_gradient(&call, &upstream, &warp), tolerance, &what);
    close(&found[2], &expected, 20.0 * tolerance, &what);
    close(&found[3], &to_basis, 20.0 * tolerance, &what);
    found
}

#[test]
fn a_card_samples_as_the_plain_loops_do() {
    Emulated::both(|card| {
        let mut draws = Draws(7);
        let single: Vec<_> = (0..12).map(|_| structured::<f32>(card, &mut draws, 2e-6)).collect();
        let double: Vec<_> = (0..4).map(|_| structured::<f64>(card, &mut draws, 1e-12)).collect();
        (single, double)
    });
}

/// Output and gradients of a random call with images in 16 bits, on the card, and by the plain loops from the same numbers in f32; `rounding` is what storing leaves out.
fn in_16_bits<S: WithDType + PartialEq>(card: &Emulated, draws: &mut Draws, rounding: f64) -> [Vec<S>; 2] {
    let drawn = Drawn::new(draws);
    let (call, axes) = (drawn.call(), drawn.target.len());
    let shorter = |numbers: Vec<f32>| -> (Vec<S>, Vec<f32>) {
        let numbers: Vec<S> = numbers.into_iter().map(|number| S::from_f64(number.into())).collect();
        let wide = numbers.iter().map(|number| number.to_f64() as f32).collect();
        (numbers, wide)
    };
    let (input, wide_input) = shorter(draws.numbers(call.samples * call.channels * call.plane_len()));
    let (upstream, wide_upstream) = shorter(draws.numbers(call.samples * call.channels * call.pixels));
    let (rows, terms) = (axes + draws.below(2), 1 + draws.below(6));
    let (matrix, basis) = draws.warp::<f32>(call.samples, axes, (rows, terms), call.pixels);

    let coordinates = Coordinates::Structured { matrix: card.given(&matrix), basis: card.given(&basis), rows, terms };
    let on_card = OnCard::new(card, &call, coordinates, S::DTYPE).unwrap();
    let (of_input, of_upstream, output) = (card.given(&input), card.given(&upstream), card.output::<S>(upstream.len()));
    on_card.sample(of_input, output).unwrap();
    let to = Gradients { input: card.output::<S>(input.len()), warp: card.output::<f32>(matrix.len()), basis: Address::NONE };
    on_card.gradients(of_input, of_upstream, to).unwrap();

    let warp = Structured::of_numbers(&matrix, (call.samples, rows, terms), &basis, &drawn.target);
    let to_matrix = warp.gradients(
        || call.taps(),
        |taps, n, pixels, rows, gradient| plain::coordinate_gradient(&call, (&wide_input, &wide_upstream), taps, (n, pixels), rows, gradient),
    );
    let found = [card.numbers::<S>(output, upstream.len()), card.numbers::<S>(to.input, input.len())];
    let [output, to_input] = found.each_ref().map(|numbers| numbers.iter().map(|number| number.to_f64() as f32).collect::<Vec<_>>());
    close(&output, &plain::sample(&call, &wide_input, &warp), rounding, "output");
    close(&to_input, &plain::input_gradient(&call, &wide_upstream, &warp), rounding, "to the input");
    // Nothing of these is rounded to 16 bits.
    close(&card.numbers::<f32>(to.warp, matrix.len()), &to_matrix, 4e-5, "to the matrix");
    found
}

#[test]
fn a_card_samples_images_of_16_bits_with_sums_of_32() {
    Emulated::both(|card| {
        let mut draws = Draws(13);
        let brain: Vec<_> = (0..4).map(|_| in_16_bits::<bf16>(card, &mut draws, 1.0 / 256.0)).collect();
        (brain, (0..4).map(|_| in_16_bits::<f16>(card, &mut draws, 1.0 / 2048.0)).collect::<Vec<_>>())
    });
}

#[test]
fn every_number_of_16_bits_is_read_and_stored_as_it_is() {
    let sampler = Sampler {
        kernel: std::sync::Arc::new(stn_sampler_integer::Integer::new(stn_sampler_integer::Ties::Even)),
        boundary: Boundary::Border,
        align_corners: false,
    };
    let drawn = Drawn { sampler, source: vec![256, 256], target: vec![256, 256], samples: 1, channels: 1 };
    let centre = |i: usize| (2 * i + 1) as f32 / 256.0 - 1.0;
    let grid: Vec<f32> = (0..1 << 16).flat_map(|i| [centre(i % 256), centre(i / 256)]).collect();
    let input: Vec<u16> = (0..=u16::MAX).collect();
    Emulated::both(|card| {
        for (dtype, is_nan) in [(DType::BF16, (|bits| bf16::from_bits(bits).is_nan()) as fn(u16) -> bool), (DType::F16, |bits| f16::from_bits(bits).is_nan())] {
            let call = drawn.call();
            let output = card.given(&vec![0_u16; input.len()]);
            OnCard::new(card, &call, Coordinates::Grid(card.given(&grid)), dtype).unwrap().sample(card.given(&input), output).unwrap();
            // SAFETY: as many numbers as were given above.
            let found = unsafe { std::slice::from_raw_parts(output.0 as *const u16, input.len()) };
            for (&found, &bits) in found.iter().zip(&input) {
                // Zero is zero with either sign, and one NaN as good as another.
                assert!(found == bits || is_nan(found) && is_nan(bits) || (found | bits) & 0x7FFF == 0, "{bits:04x} became {found:04x} in {dtype:?}");
            }
        }
    });
}

#[test]
fn numbers_are_stored_in_16_bits_to_the_nearest() {
    const ALL: &str = "KERNEL store_all(const float* from, PIXEL* to, i64 count) { EACH(i, count) to[i] = pixel_of(from[i]); }";
    // Around the middle between neighbours, of either type, with every exponent.
    let low = [0, 1, 0x0FFF, 0x1000, 0x1001, 0x1FFF, 0x2FFF, 0x3000, 0x3001, 0x7FFF, 0x8000, 0x8001, 0xFFFF];
    let numbers: Vec<f32> = (0..1_u32 << 16).flat_map(|high| low.map(|low| f32::from_bits(high << 16 | low))).collect();
    type Rounded = (DType, fn(f32) -> u16, fn(u16) -> bool);
    let types: [Rounded; 2] = [
        (DType::BF16, |number| bf16::from_f32(number).to_bits(), |bits| bf16::from_bits(bits).is_nan()),
        (DType::F16, |number| f16::from_f32(number).to_bits(), |bits| f16::from_bits(bits).is_nan()),
    ];
    Emulated::both(|card| {
        for (stored, nearest, is_nan) in types {
            let program = Program::of_pixels("rounding", stored, &[ALL], &["store_all"]).unwrap();
            let to = card.given(&vec![0_u16; numbers.len()]);
            card.launch(&program, &Launch::each("store_all", numbers.len()).with(card.given(&numbers)).with(to).with_length(numbers.len())).unwrap();
            // SAFETY: as many numbers as were given above.
            let found = unsafe { std::slice::from_raw_parts(to.0 as *const u16, numbers.len()) };
            for (&found, &number) in found.iter().zip(&numbers) {
                assert!(found == nearest(number) || number.is_nan() && is_nan(found), "{number:e} became {found:04x}, not {:04x}", nearest(number));
            }
        }
    });
}

#[test]
fn gradients_of_16_bits_that_are_not_finite_reach_the_same_pixels() {
    let sampler = Sampler { kernel: std::sync::Arc::new(stn_sampler_bilinear::Bilinear), boundary: Boundary::Border, align_corners: false };
    let drawn = Drawn { sampler, source: vec![3, 4], target: vec![2, 3], samples: 1, channels: 2 };
    let mut draws = Draws(5);
    let grid = draws.numbers::<f32>(12);
    let mut upstream: Vec<_> = draws.numbers::<f32>(12).into_iter().map(bf16::from_f32).collect();
    upstream[2] = bf16::INFINITY;
    let wide: Vec<_> = upstream.iter().map(|number| number.to_f32()).collect();
    let expected = plain::input_gradient(&drawn.call(), &wide, &warp::Grid::<f32>::new(&grid, &drawn.target));
    Emulated::both(|card| {
        let to_input = card.output::<bf16>(24);
        let call = drawn.call();
        let on_card = OnCard::new(card, &call, Coordinates::Grid(card.given(&grid)), DType::BF16).unwrap();
        on_card
            .gradients(card.given(&[bf16::ONE; 24]), card.given(&upstream), Gradients { input: to_input, warp: Address::NONE, basis: Address::NONE })
            .unwrap();
        let found: Vec<_> = card.numbers::<bf16>(to_input, 24).into_iter().map(bf16::to_f32).collect();
        assert!(expected.iter().any(|number| number.is_infinite()));
        for (found, expected) in found.into_iter().zip(&expected) {
            assert!(found == *expected || found.is_nan() && expected.is_nan() || (found - expected).abs() <= expected.abs() / 256.0, "{found}, not {expected}");
        }
    });
}

#[test]
fn a_card_computes_the_same_grid_and_its_gradients() {
    Emulated::both(|card| {
        let mut draws = Draws(11);
        for (axes, rows) in [(2, 2), (2, 3), (3, 4)] {
            let (target, samples, terms) = (draws.sizes(axes, 6), 2, 4);
            let pixels = target.iter().product();
            let (matrix, basis) = draws.warp::<f32>(samples, axes, (rows, terms), pixels);
            let upstream = draws.numbers::<f32>(samples * pixels * axes);
            let var = |numbers: &[f32], shape: &[usize]| Var::from_slice(numbers, shape, &Device::Cpu).unwrap();
            let (m, b) = (var(&matrix, &[samples, rows, terms]), var(&basis, &[terms, pixels]));
            let grid = crate::structured_grid(&m, &b, &TargetGrid::new(target, false).unwrap()).unwrap();
            let weighted = (&grid * Tensor::from_slice(&upstream, grid.shape(), &Device::Cpu).unwrap()).unwrap();
            let expected = weighted.sum_all().unwrap().backward().unwrap();

            let coordinates = Coordinates::Structured { matrix: card.given(&matrix), basis: card.given(&basis), rows, terms };
            let warp = Warp::new(card, coordinates, DType::F32, samples, (axes, pixels)).unwrap();
            let (points, to_matrix, to_basis) = (card.output::<f32>(upstream.len()), card.output::<f32>(matrix.len()), card.output::<f32>(basis.len()));
            warp.grid(points).unwrap();
            warp.grid_gradients(card.given(&upstream), Gradients { input: Address::NONE, warp: to_matrix, basis: to_basis }).unwrap();
            card.assert_close(points, &grid, 1e-6);
            card.assert_close(to_matrix, expected.get(&m).unwrap(), 2e-5);
            card.assert_close(to_basis, expected.get(&b).unwrap(), 2e-5);
        }
    });
}

#[test]
fn gradients_that_are_not_finite_reach_the_same_pixels() {
    let sampler = Sampler { kernel: std::sync::Arc::new(stn_sampler_bilinear::Bilinear), boundary: Boundary::Border, align_corners: false };
    let drawn = Drawn { sampler, source: vec![3, 4], target: vec![2, 3], samples: 1, channels: 3 };
    let mut draws = Draws(5);
    let (input, grid) = (draws.numbers::<f32>(36), draws.numbers::<f32>(12));
    let mut upstream = draws.numbers::<f32>(18);
    (upstream[2], upstream[9]) = (f32::NAN, f32::INFINITY);
    let expected = plain::input_gradient(&drawn.call(), &upstream, &warp::Grid::<f32>::new(&grid, &drawn.target));
    let kind = |numbers: &[f32]| numbers.iter().map(|number| number.classify()).collect::<Vec<_>>();
    assert!(expected[..24].chunks(12).all(|channel| channel.iter().any(|number| !number.is_finite())));
    Emulated::both(|card| {
        let [to_input, _] = gridded(card, &drawn, [&input, &upstream, &grid], [true, true]);
        assert_eq!(kind(&to_input), kind(&expected));
        close(&to_input[24..], &expected[24..], 2e-6, "the channel that is finite");
    });
}

#[test]
fn a_source_larger_than_shared_memory_is_done_in_bands() {
    let sampler = Sampler { kernel: std::sync::Arc::new(stn_sampler_bilinear::Bilinear), boundary: Boundary::Zeros, align_corners: false };
    let drawn = Drawn { sampler, source: vec![170, 151], target: vec![9, 40], samples: 1, channels: 2 };
    assert_eq!(Shares::new(&drawn.call(), Some(SHARED)).parts(), 2 * 3);
    let mut draws = Draws(9);
    let [input, upstream, grid] = [2 * 170 * 151, 2 * 360, 2 * 360].map(|length| draws.numbers::<f32>(length));
    let warp = warp::Grid::<f32>::new(&grid, &drawn.target);
    let expected = [plain::input_gradient(&drawn.call(), &upstream, &warp), plain::grid_gradient(&drawn.call(), &input, &upstream, &warp)];
    Emulated::both(|card| {
        let found = gridded(card, &drawn, [&input, &upstream, &grid], [true, true]);
        close(&found[0], &expected[0], 2e-6, "to the input");
        close(&found[1], &expected[1], 2e-5, "to the grid");
        found
    });
}

#[test]
fn a_kernel_without_code_for_a_card_is_an_error_that_says_what_to_do() {
    /// A kernel for the CPU alone.
    #[derive(Debug)]
    struct Plain;

    impl stn_core::SamplingKernel for Plain {
        fn support(&self) -> usize {
            1
        }

        fn weights<T: stn_core::Real>(&self, _: &[T], _: &mut [i32], _: &mut [T]) {}

        fn derivatives<T: stn_core::Real>(&self, _: &[T], _: &mut [T]) {}
    }

    Emulated::both(|card| {
        let sampler = Sampler { kernel: std::sync::Arc::new(Plain), boundary: Boundary::Zeros, align_corners: false };
        let drawn = Drawn { sampler, source: vec![2, 2], target: vec![2, 2], samples: 1, channels: 1 };
        let call = drawn.call();
        let error = OnCard::new(card, &call, Coordinates::Grid(card.given(&[0.0_f32; 8])), DType::F32).err().unwrap();
        assert!(error.to_string().contains("Plain") && error.to_string().contains("cuda_source"), "{error}");
    });
}

/// The gradients of a call with an explicit grid.
fn gridded<T: Number>(card: &Emulated, drawn: &Drawn, [input, upstream, grid]: [&[T]; 3], wanted: [bool; 2]) -> [Vec<T>; 2] {
    let call = drawn.call();
    let on_card = OnCard::new(card, &call, Coordinates::Grid(card.given(grid)), T::DTYPE).unwrap();
    let [to_input, to_grid] = [input, grid].map(|numbers| card.output::<T>(numbers.len()));
    let unless = |wanted: bool, address| if wanted { address } else { Address::NONE };
    let to = Gradients { input: unless(wanted[0], to_input), warp: unless(wanted[1], to_grid), basis: Address::NONE };
    on_card.gradients(card.given(input), card.given(upstream), to).unwrap();
    [card.numbers(to_input, input.len()), card.numbers(to_grid, grid.len())]
}

#[test]
fn each_gradient_to_input_and_grid_is_the_same_alone() {
    Emulated::both(|card| {
        let mut draws = Draws(3);
        for _ in 0..3 {
            let drawn = Drawn::new(&mut draws);
            let call = drawn.call();
            let input = draws.numbers::<f32>(call.samples * call.channels * call.plane_len());
            let upstream = draws.numbers::<f32>(call.samples * call.channels * call.pixels);
            let grid = draws.numbers::<f32>(call.samples * call.pixels * drawn.target.len());
            let given = [input.as_slice(), &upstream, &grid];
            let both = gridded(card, &drawn, given, [true, true]);
            let warp = warp::Grid::<f32>::new(&grid, &drawn.target);
            close(&both[0], &plain::input_gradient(&call, &upstream, &warp), 2e-6, "to the input");
            close(&both[1], &plain::grid_gradient(&call, &input, &upstream, &warp), 2e-5, "to the grid");
            assert_eq!(gridded(card, &drawn, given, [true, false])[0], both[0]);
            close(&gridded(card, &drawn, given, [false, true])[1], &both[1], 1e-6, "to the grid alone");
        }
    });
}
