//! Gradients against central differences, away from kinks and jumps.

use candle_core::{Device, Result, Tensor};
use stn_core::TargetGrid;
use stn_core::transformation::HOMOGENEOUS_GUARD;
use stn_ops::{Sampler, sample_grid, sample_structured, structured_grid};
use stn_testkit::{gradient_check, uniform};

use crate::{numbers, samplers};

const TOLERANCE: f64 = 1e-6;

/// Half pixels are where kernels bend or jump and where boundaries clamp and mirror.
fn away_from_kinks(x: f64, size: usize) -> bool {
    let n = size as f64;
    [(x + 1.0) / 2.0 * (n - 1.0), ((x + 1.0) * n - 1.0) / 2.0].iter().all(|x| (2.0 * x - (2.0 * x).round()).abs() > 0.02)
}

/// The source sizes on x, y (, z).
fn axes(input: &Tensor) -> Vec<usize> {
    input.dims()[2..].iter().rev().copied().collect()
}

/// A grid, `2 x target x dims`, of coordinates in and around the source.
fn smooth_grid(input: &Tensor, target: &[usize]) -> Result<Tensor> {
    let (axes, points) = (axes(input), 2 * target.iter().product::<usize>());
    let candidates = uniform("grid", (100 * points, axes.len()), -1.9, 1.9).to_vec2::<f64>()?;
    let smooth = |point: &Vec<f64>| point.iter().zip(&axes).all(|(&x, &size)| away_from_kinks(x, size));
    let chosen: Vec<f64> = candidates.into_iter().filter(smooth).take(points).flatten().collect();
    Tensor::from_vec(chosen, [&[2], target, &[axes.len()]].concat(), &Device::Cpu)
}

/// A matrix, `2 x rows x 4`, and a basis, `4 x P`, that point in and around the source.
fn smooth_structure(input: &Tensor, rows: usize, pixels: usize) -> Result<(Tensor, Tensor)> {
    let axes = axes(input);
    let ones = Tensor::new(&[[[0.0, 0.0, 0.0, 1.2]]], &Device::Cpu)?.broadcast_as((2, 1, 4))?;
    let divisor = (uniform("divisor", (2, 1, 4), -0.15, 0.15) + ones)?;
    let matrix = Tensor::cat(&[&uniform("matrix", (2, axes.len(), 4), -0.9, 0.9), &divisor], 1)?.narrow(1, 0, rows)?.contiguous()?;
    let terms = uniform("terms", (200 * pixels, 3), -1.5, 1.5).to_vec2::<f64>()?;
    let values = matrix.to_vec3::<f64>()?;
    let smooth = |column: &Vec<f64>| {
        values.iter().all(|matrix| {
            let row = |r: usize| matrix[r].iter().zip(column).map(|(m, b)| m * b).sum::<f64>();
            let w = if rows > axes.len() { row(axes.len()) } else { 1.0 };
            axes.iter().enumerate().all(|(axis, &size)| away_from_kinks(row(axis) / w, size))
        })
    };
    let columns = terms.into_iter().map(|mut column| {
        column.push(1.0);
        column
    });
    let chosen: Vec<f64> = columns.filter(smooth).take(pixels).flatten().collect();
    Ok((matrix, Tensor::from_vec(chosen, (pixels, 4), &Device::Cpu)?.t()?.contiguous()?))
}

fn image() -> Tensor {
    uniform("image", (2, 2, 4, 5), -1.0, 1.0)
}

fn volume() -> Tensor {
    uniform("volume", (2, 2, 2, 3, 4), -1.0, 1.0)
}

fn check_grid(input: &Tensor, target: &[usize]) -> Result<()> {
    let grid = smooth_grid(input, target)?;
    for sampler in samplers() {
        gradient_check(|of| sample_grid(&of[0], &of[1], &sampler), &[input.clone(), grid.clone()], TOLERANCE);
    }
    Ok(())
}

fn check_structured(input: &Tensor, target: &[usize], homogeneous: bool) -> Result<()> {
    let rows = target.len() + usize::from(homogeneous);
    let (matrix, basis) = smooth_structure(input, rows, target.iter().product())?;
    for sampler in samplers() {
        let target = TargetGrid::new(target, sampler.align_corners)?;
        let sample = |of: &[Tensor]| sample_structured(&of[0], &of[1], &of[2], &target, &sampler);
        gradient_check(sample, &[input.clone(), matrix.clone(), basis.clone()], TOLERANCE);
    }
    Ok(())
}

#[test]
fn an_image_and_its_grid() -> Result<()> {
    check_grid(&image(), &[3, 2])
}

#[test]
fn a_volume_and_its_grid() -> Result<()> {
    check_grid(&volume(), &[2, 2, 2])
}

#[test]
fn an_image_its_matrix_and_its_basis() -> Result<()> {
    check_structured(&image(), &[3, 3], false)
}

#[test]
fn an_image_its_homogeneous_matrix_and_its_basis() -> Result<()> {
    check_structured(&image(), &[3, 3], true)
}

#[test]
fn a_volume_its_matrix_and_its_basis() -> Result<()> {
    check_structured(&volume(), &[1, 3, 2], false)
}

#[test]
fn a_volume_its_homogeneous_matrix_and_its_basis() -> Result<()> {
    check_structured(&volume(), &[1, 3, 2], true)
}

#[test]
fn the_grid_of_a_homogeneous_matrix_and_a_basis() -> Result<()> {
    let (matrix, basis) = smooth_structure(&image(), 3, 6)?;
    let target = TargetGrid::new([2, 3], false)?;
    gradient_check(|of| structured_grid(&of[0], &of[1], &target), &[matrix, basis], TOLERANCE);
    Ok(())
}

#[test]
fn a_basis_of_many_blocks() -> Result<()> {
    let target = TargetGrid::new([3, 111], false)?;
    let inputs = [uniform("matrix", (3, 2, 2), -1.0, 1.0), uniform("basis", (2, 333), -1.0, 1.0)];
    gradient_check(|of| structured_grid(&of[0], &of[1], &target), &inputs, TOLERANCE);
    Ok(())
}

#[test]
fn a_guarded_divisor_passes_no_gradient() -> Result<()> {
    let sampler: Sampler = samplers().swap_remove(6);
    let target = TargetGrid::new([1, 2], sampler.align_corners)?;
    let small = 0.4 * HOMOGENEOUS_GUARD;
    let basis = Tensor::new(&[[0.3 * small, 0.1 * small], [1.0, 1.0]], &Device::Cpu)?;
    let matrix = candle_core::Var::new(&[[[1.0, 0.0], [2.0, 0.0], [0.0, -small]]], &Device::Cpu)?;
    let output = sample_structured(&uniform("image", (1, 1, 5, 5), -1.0, 1.0), &matrix, &basis, &target, &sampler)?;
    let grid = structured_grid(&matrix, &basis, &target)?;
    assert_eq!(numbers(&grid), [0.3, 0.6, 0.1, 0.2].map(|x| x * small / -HOMOGENEOUS_GUARD));
    let gradient = output.sum_all()?.backward()?.remove(&matrix).map(|gradient| numbers(&gradient)).unwrap_or_default();
    assert!(gradient[..4].iter().all(|g| g.is_finite() && *g != 0.0), "{gradient:?}");
    assert_eq!(gradient[4..], [0.0, 0.0]);
    Ok(())
}
