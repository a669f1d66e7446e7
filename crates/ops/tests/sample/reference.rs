//! The sampler against equation 3 of the paper as it stands: a sum over every pixel of the source.

use candle_core::{Result, Tensor};
use proptest::prelude::*;
use stn_core::{BoundaryRule, Real};
use stn_ops::{Sampler, sample_grid};
use stn_testkit::{assert_close, uniform};

use crate::{numbers, samplers};

/// How far outside the source taps are looked for.
const MARGIN: i64 = 40;

/// `k(x - m)` for every pixel of an axis, with those that the boundary puts outside in its place.
fn axis_weights(sampler: &Sampler, x: f64, size: usize) -> Vec<f64> {
    let Sampler { kernel, boundary, align_corners } = sampler;
    let n = size as f64;
    let x = if *align_corners { (x + 1.0) / 2.0 * (n - 1.0) } else { ((x + 1.0) * n - 1.0) / 2.0 };
    let x = if kernel.boundary_rule() == BoundaryRule::Coordinate { boundary.coordinate(x, size, *align_corners).0 } else { x };
    let (mut first, mut taps) = ([0], vec![0.0; kernel.support()]);
    f64::weights(kernel.as_ref(), &[x], &mut first, &mut taps);
    let k = |m: i64| usize::try_from(m - i64::from(first[0])).ok().and_then(|t| taps.get(t)).copied().unwrap_or(0.0);
    let mut weights = vec![0.0; size];
    for m in -MARGIN..size as i64 + MARGIN {
        if let Some(pixel) = boundary.pixel(m, size, *align_corners) {
            weights[pixel] += k(m);
        }
    }
    weights
}

/// `V = sum over all pixels of U k k (k)`, for `N C source` and `N P dims`.
fn sum_over_every_pixel(input: &Tensor, points: &Tensor, sampler: &Sampler) -> Result<Vec<f64>> {
    let (channels, size) = (input.dim(1)?, &input.dims()[2..]);
    let mut output = Vec::new();
    for (n, points) in points.to_vec3::<f64>()?.iter().enumerate() {
        for c in 0..channels {
            let plane = numbers(&input.get(n)?.get(c)?);
            for point in points {
                let axes: Vec<_> = size.iter().rev().zip(point).map(|(&size, &x)| axis_weights(sampler, x, size)).collect();
                let weight = |mut q: usize| {
                    axes.iter().fold(1.0, |product, axis| {
                        let weight = axis[q % axis.len()];
                        q /= axis.len();
                        product * weight
                    })
                };
                output.push(plane.iter().enumerate().map(|(q, value)| value * weight(q)).sum());
            }
        }
    }
    Ok(output)
}

fn compare(source: &[usize], target: &[usize]) -> Result<()> {
    let (dims, points) = (target.len(), target.iter().product::<usize>());
    let input = uniform("input", [&[2, 2], source].concat(), -1.0, 1.0);
    let grid = uniform("grid", (2, points, dims), -3.0, 3.0);
    for sampler in samplers() {
        let expected = sum_over_every_pixel(&input, &grid, &sampler)?;
        let output = sample_grid(&input, &grid.reshape([&[2], target, &[dims]].concat())?, &sampler)?;
        assert_close(&output, &Tensor::from_vec(expected, output.shape(), output.device())?, 1e-12);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn images_follow_equation_3(h in 1..6_usize, w in 1..6_usize, rows in 1..4_usize, columns in 1..40_usize) {
        compare(&[h, w], &[rows, columns]).unwrap();
    }

    #[test]
    fn volumes_follow_equation_3(d in 1..4_usize, h in 1..4_usize, w in 1..4_usize, rows in 1..40_usize) {
        compare(&[d, h, w], &[2, rows, 1]).unwrap();
    }
}
