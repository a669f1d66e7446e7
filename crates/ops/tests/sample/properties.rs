//! What holds for every source, warp and sampler.

use candle_core::{Device, Result, Tensor, Var};
use proptest::prelude::*;
use stn_core::{Boundary, TargetGrid};
use stn_ops::{Sampler, sample_grid, sample_structured, structured_grid};
use stn_testkit::{assert_close, same_bits, uniform};

use crate::{basis, gradients, kernels, numbers, samplers};

/// A matrix `1 x dims x (dims + 1)` that moves coordinates by `shift`.
fn translation(shift: &[f64]) -> Result<Tensor> {
    let dims = shift.len();
    let row = |r: usize| (0..dims).map(move |k| f64::from(u8::from(r == k)));
    let values: Vec<f64> = (0..dims).flat_map(|r| row(r).chain([shift[r]])).collect();
    Tensor::from_vec(values, (1, dims, dims + 1), &Device::Cpu)
}

fn warp(input: &Tensor, matrix: &Tensor, sampler: &Sampler) -> Result<Tensor> {
    let target = TargetGrid::new(&input.dims()[2..], sampler.align_corners)?;
    sample_structured(input, matrix, &basis(&target)?, &target, sampler)
}

/// Samplers whose kernel reads a pixel alone at its centre: all but the spline.
fn interpolating() -> Vec<Sampler> {
    samplers().into_iter().take(18).collect()
}

fn identity_returns(size: &[usize]) -> Result<()> {
    let input = uniform("input", [&[1, 2], size].concat(), -1.0, 1.0);
    for sampler in interpolating() {
        assert_close(&warp(&input, &translation(&vec![0.0; size.len()])?, &sampler)?, &input, 1e-12);
    }
    Ok(())
}

/// The source moved by whole pixels, `shift` in the order of its axes, with the boundary's pixels coming in.
fn moved(plane: &[f64], size: &[usize], shift: &[i64], boundary: Boundary, align_corners: bool) -> Vec<f64> {
    let read = |q: usize| {
        let mut stride = plane.len();
        let places = size.iter().zip(shift).map(|(&n, &shift)| {
            stride /= n;
            boundary.pixel((q / stride % n) as i64 + shift, n, align_corners).map(|pixel| pixel * stride)
        });
        places.sum::<Option<usize>>().map_or(0.0, |q| plane[q])
    };
    (0..plane.len()).map(read).collect()
}

fn shifts_move_pixels(size: &[usize], shift: &[i64]) -> Result<()> {
    let input = uniform("input", [&[1, 1], size].concat(), -1.0, 1.0);
    for sampler in interpolating() {
        let step = |n: usize| 2.0 / if sampler.align_corners { n as f64 - 1.0 } else { n as f64 };
        let normalised: Vec<f64> = size.iter().zip(shift).rev().map(|(&n, &s)| s as f64 * step(n)).collect();
        let expected = moved(&numbers(&input), size, shift, sampler.boundary, sampler.align_corners);
        let output = warp(&input, &translation(&normalised)?, &sampler)?;
        assert_close(&output, &Tensor::from_vec(expected, input.shape(), &Device::Cpu)?, 1e-11);
    }
    Ok(())
}

/// Outputs and gradients to the input to the bit, gradients to M to rounding.
fn fused_is_explicit(source: &[usize], target: &[usize], rows: usize) -> Result<()> {
    let input = Var::from_tensor(&uniform("input", [&[2, 3], source].concat(), -1.0, 1.0))?;
    let matrix = Var::from_tensor(&uniform("matrix", (2, rows, target.len() + 1), -1.5, 1.5))?;
    for sampler in samplers() {
        let target = TargetGrid::new(target, sampler.align_corners)?;
        let basis = basis(&target)?;
        let fused = sample_structured(&input, &matrix, &basis, &target, &sampler)?;
        let explicit = sample_grid(&input, &structured_grid(&matrix, &basis, &target)?, &sampler)?;
        assert_eq!(numbers(&fused), numbers(&explicit));
        let [[to_input, to_matrix], [explicit_to_input, explicit_to_matrix]] =
            [gradients(&fused, [&input, &matrix])?, gradients(&explicit, [&input, &matrix])?];
        assert_eq!(numbers(&to_input), numbers(&explicit_to_input));
        assert_close(&to_matrix, &explicit_to_matrix, 1e-10);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_identity_returns_the_image(h in 1..20_usize, w in 1..20_usize) {
        identity_returns(&[h, w]).unwrap();
    }

    #[test]
    fn the_identity_returns_the_volume(d in 1..6_usize, h in 1..6_usize, w in 1..6_usize) {
        identity_returns(&[d, h, w]).unwrap();
    }

    #[test]
    fn whole_shifts_move_images(h in 2..9_usize, w in 2..9_usize, y in -12..12_i64, x in -12..12_i64) {
        shifts_move_pixels(&[h, w], &[y, x]).unwrap();
    }

    #[test]
    fn whole_shifts_move_volumes(d in 2..5_usize, h in 2..5_usize, w in 2..5_usize, z in -5..5_i64, y in -5..5_i64, x in -5..5_i64) {
        shifts_move_pixels(&[d, h, w], &[z, y, x]).unwrap();
    }

    #[test]
    fn a_constant_stays_constant_inside_and_out(h in 1..9_usize, w in 1..9_usize, m in proptest::array::uniform6(-4.0..4.0_f64)) {
        let input = Tensor::full(0.7, (1, 1, h, w), &Device::Cpu).unwrap();
        let matrix = Tensor::from_slice(&m, (1, 2, 3), &Device::Cpu).unwrap();
        for sampler in samplers().into_iter().filter(|sampler| sampler.boundary != Boundary::Zeros) {
            assert_close(&warp(&input, &matrix, &sampler).unwrap(), &input, 1e-12);
        }
    }

    #[test]
    fn the_fused_path_and_the_explicit_grid_agree_on_images(h in 1..9_usize, w in 1..9_usize, rows in 1..9_usize, columns in 1..60_usize) {
        fused_is_explicit(&[h, w], &[rows, columns], 2).unwrap();
    }

    #[test]
    fn the_fused_path_and_the_explicit_grid_agree_on_volumes(d in 1..4_usize, h in 1..5_usize, w in 1..5_usize, columns in 1..60_usize) {
        fused_is_explicit(&[d, h, w], &[2, 2, columns], 3).unwrap();
    }
}

fn gradients_have_the_same_bits(source: &[usize], target: &[usize]) {
    let input = uniform("input", [&[3, 5], source].concat(), -1.0, 1.0);
    let (matrix, terms) = (uniform("matrix", (3, target.len() + 1, 4), -1.0, 1.0), uniform("basis", (4, target.iter().product::<usize>()), -1.0, 1.0));
    for kernel in kernels() {
        let sampler = Sampler { kernel, boundary: Boundary::Reflection, align_corners: false };
        let target = TargetGrid::new(target, false).unwrap();
        same_bits(|| {
            let [input, matrix, terms] = [&input, &matrix, &terms].map(|tensor| Var::from_tensor(tensor).unwrap());
            let output = sample_structured(&input, &matrix, &terms, &target, &sampler)?;
            let fused = gradients(&output, [&input, &matrix, &terms])?;
            let grid = Var::from_tensor(&structured_grid(&matrix, &terms, &target)?)?;
            let explicit = gradients(&sample_grid(&input, &grid, &sampler)?, [&input, &grid])?;
            // The matrix alone takes another road: its samples are shared out among the tasks.
            let [alone] = gradients(&sample_structured(&input.detach(), &matrix, &terms.detach(), &target, &sampler)?, [&matrix])?;
            assert_eq!(numbers(&alone), numbers(&fused[1]));
            let results = [output.detach()].into_iter().chain(fused).chain(explicit).collect();
            Ok(results)
        });
    }
}

#[test]
fn images_have_the_same_bits_at_any_number_of_threads() {
    gradients_have_the_same_bits(&[9, 11], &[23, 29]);
}

#[test]
fn volumes_have_the_same_bits_at_any_number_of_threads() {
    gradients_have_the_same_bits(&[3, 4, 5], &[5, 7, 9]);
}
