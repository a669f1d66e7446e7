//! The packed path against the plain one, on random shapes.

use std::sync::Arc;

use candle_core::Result;
use stn_core::{Boundary, BoundaryRule, Real, Sampling, SamplingKernel};
use stn_sampler_bicubic::Bicubic;
use stn_sampler_bilinear::Bilinear;
use stn_sampler_integer::{Integer, Ties};

use super::Sampler;
use super::fused::{Fused, Wanted};
use super::plain::{self, Call};
use super::structured::Structured;
use super::warp::Grid;
use crate::cpu::Number;

/// A kernel of any support, of no use but to compare one path with another.
#[derive(Debug)]
struct Ramp(usize, BoundaryRule);

impl SamplingKernel for Ramp {
    fn support(&self) -> usize {
        self.0
    }

    fn boundary_rule(&self) -> BoundaryRule {
        self.1
    }

    fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]) {
        for (i, &x) in x.iter().enumerate() {
            first[i] = x.floor().to_i32().unwrap_or_default() - (self.0 as i32 - 1) / 2;
            for t in 0..self.0 {
                weights[t * first.len() + i] = T::of(0.3) + (x - x.floor()) * T::of(t as f64 - 1.2);
            }
        }
    }

    fn derivatives<T: Real>(&self, x: &[T], derivatives: &mut [T]) {
        for (t, row) in derivatives.chunks_exact_mut(x.len()).enumerate() {
            row.fill(T::of(t as f64 - 1.2));
        }
    }

    fn cuda_source(&self) -> Option<String> {
        Some(include_str!("ramp.cu").into())
    }
}

/// Numbers that look random, the same each time.
pub(super) struct Draws(pub u64);

impl Draws {
    /// One of `0..n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// Numbers from -1 to 1.
    pub(super) fn numbers<T: Real>(&mut self, length: usize) -> Vec<T> {
        (0..length).map(|_| T::of(self.below(2001) as f64 / 1000.0 - 1.0)).collect()
    }

    pub(super) fn sampler(&mut self) -> Sampler {
        let kernel: Arc<dyn Sampling> = match self.below(7) {
            0 => Arc::new(Integer::new(Ties::Even)),
            1 | 2 => Arc::new(Bilinear),
            3 | 4 => Arc::new(Bicubic::new(-0.75).unwrap()),
            5 => Arc::new(Ramp(1 + self.below(7), BoundaryRule::Tap)),
            _ => Arc::new(Ramp(1 + self.below(7), BoundaryRule::Coordinate)),
        };
        Sampler { kernel, boundary: Boundary::ALL[self.below(3)], align_corners: self.below(2) == 1 }
    }

    pub(super) fn sizes(&mut self, axes: usize, most: usize) -> Vec<usize> {
        (0..axes).map(|_| 1 + self.below(most)).collect()
    }

    /// M, `samples x rows x terms`, and B, `terms x pixels`; a divisor is far from zero, where paths might differ by more than rounding.
    pub(super) fn warp<T: Real>(&mut self, samples: usize, axes: usize, (rows, terms): (usize, usize), pixels: usize) -> (Vec<T>, Vec<T>) {
        let (mut matrix, mut basis) = (self.numbers::<T>(samples * rows * terms), self.numbers::<T>(terms * pixels));
        basis[..pixels].fill(T::one());
        for divisor in matrix.chunks_exact_mut(terms).skip(axes).step_by(rows).filter(|_| rows > axes) {
            divisor.iter_mut().for_each(|value| *value *= T::of(0.1));
            divisor[0] = T::of(1.5);
        }
        (matrix, basis)
    }
}

pub(super) fn close<T: Real>(found: &[T], expected: &[T], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0, |scale: f64, x| scale.max(x.abs().to_f64().unwrap()));
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs().to_f64().unwrap();
        assert!(error <= tolerance * scale, "{what}, number {i}: {found:?}, not {expected:?}");
    }
}

/// Output and gradients of one random call, by both paths.
fn compare<T: Number>(draws: &mut Draws, tolerance: f64) -> Result<()> {
    let axes = 2 + draws.below(2);
    let most = if axes == 2 { 23 } else { 7 };
    let (source, target, sampler) = (draws.sizes(axes, most), draws.sizes(axes, most), draws.sampler());
    let (samples, most) = (draws.below(4), [4, 40][draws.below(2)]);
    let channels = 1 + draws.below(most);
    let call = Call::new(&sampler, &[&[samples, channels], source.as_slice()].concat(), &target)?;
    let what = format!("{sampler:?}: {samples} x {channels} x {source:?} to {target:?}");
    let Some(fused) = Fused::new(&call) else { return Ok(()) };

    let (rows, terms, pixels) = (axes + draws.below(2), 1 + draws.below(6), call.pixels);
    let (input, upstream) = (draws.numbers::<T>(samples * channels * source.iter().product::<usize>()), draws.numbers::<T>(samples * channels * pixels));
    let (matrix, basis) = draws.warp::<T>(samples, axes, (rows, terms), pixels);
    let warp = Structured::of_numbers(&matrix, (samples, rows, terms), &basis, &target);
    close(&fused.sample(&input, &warp), &plain::sample(&call, &input, &warp), tolerance, &what);

    let both = Wanted { input: true, coordinates: true };
    let (to_input, to_matrix) = fused.gradients(&input, &upstream, &warp, both);
    close(&to_input, &plain::input_gradient(&call, &upstream, &warp), tolerance, &what);
    let expected = warp
        .gradients(|| call.taps(), |taps, n, pixels, rows, gradient| plain::coordinate_gradient(&call, (&input, &upstream), taps, (n, pixels), rows, gradient));
    close(&to_matrix, &expected, 20.0 * tolerance, &what);
    for wanted in [Wanted { input: true, coordinates: false }, Wanted { input: false, coordinates: true }] {
        let (alone, sums) = fused.gradients(&input, &upstream, &warp, wanted);
        assert!(!wanted.input || alone == to_input, "{what}");
        assert!(!wanted.coordinates || sums == to_matrix, "{what}");
    }

    let values = plain::grid(&warp);
    let grid = Grid { values: &values, dims: axes, pixels };
    assert_eq!(fused.sample(&input, &grid), fused.sample(&input, &warp), "{what}");
    let (_, to_grid) = fused.gradients(&input, &upstream, &grid, both);
    close(&to_grid, &plain::grid_gradient(&call, &input, &upstream, &grid), tolerance, &what);
    Ok(())
}

#[test]
fn the_packed_path_gives_what_the_plain_one_gives_in_f32() -> Result<()> {
    let mut draws = Draws(1);
    (0..400).try_for_each(|_| compare::<f32>(&mut draws, 1e-4))
}

#[test]
fn the_packed_path_gives_what_the_plain_one_gives_in_f64() -> Result<()> {
    let mut draws = Draws(2);
    (0..400).try_for_each(|_| compare::<f64>(&mut draws, 1e-10))
}

#[test]
fn a_source_far_larger_than_the_target_is_not_packed() -> Result<()> {
    let sampler = Sampler { kernel: Arc::new(Bilinear), boundary: Boundary::Zeros, align_corners: false };
    assert!(Fused::new(&Call::new(&sampler, &[1, 1, 4000, 4000], &[8, 8])?).is_none());
    assert!(Fused::new(&Call::new(&sampler, &[1, 1, 100, 100], &[28, 28])?).is_some());
    Ok(())
}

#[test]
fn a_single_image_has_the_same_bits_however_many_threads_share_it() -> Result<()> {
    let mut draws = Draws(3);
    for channels in [1, 3, 18] {
        let sampler = Sampler { kernel: Arc::new(Bilinear), boundary: Boundary::Zeros, align_corners: false };
        let call = Call::new(&sampler, &[1, channels, 50, 60], &[93, 101])?;
        let (input, values) = (draws.numbers::<f32>(channels * 50 * 60), draws.numbers::<f32>(2 * call.pixels));
        let (fused, grid) = (Fused::new(&call).unwrap(), Grid { values: &values, dims: 2, pixels: call.pixels });
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fused.sample(&input, &grid))
        });
        assert_eq!(one, three);
        close(&one, &plain::sample(&call, &input, &grid), 1e-4, "a single image");
    }
    Ok(())
}

#[test]
fn samples_have_the_same_bits_alone_in_a_task_and_together() -> Result<()> {
    let mut draws = Draws(4);
    for round in 0..40 {
        let (sampler, source, target) = (draws.sampler(), draws.sizes(2, 23), draws.sizes(2, 23));
        let (samples, channels) = (17, [1, 3, 9, 20, 32][round % 5]);
        let call = Call::new(&sampler, &[&[samples, channels], source.as_slice()].concat(), &target)?;
        let Some(fused) = Fused::new(&call) else { continue };
        let (rows, terms) = (2 + draws.below(2), 1 + draws.below(20));
        let (input, upstream) = (draws.numbers::<f32>(samples * channels * call.plane_len()), draws.numbers::<f32>(samples * channels * call.pixels));
        let (matrix, basis) = (draws.numbers(samples * rows * terms), draws.numbers(terms * call.pixels));
        let mut warp = Structured::of_numbers(&matrix, (samples, rows, terms), &basis, &target);
        warp.basis_wanted = round % 2 == 1;
        // As many threads as make too few tasks of two samples, or of two groups of channels.
        let [together, alone] = [1, 8].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (fused.sample(&input, &warp), fused.gradients(&input, &upstream, &warp, Wanted { input: true, coordinates: true })))
        });
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        let bits_of = |(output, (to_input, to_coordinates)): &(Vec<f32>, (Vec<f32>, Vec<f32>))| [bits(output), bits(to_input), bits(to_coordinates)];
        assert!(bits_of(&together) == bits_of(&alone), "{sampler:?}: {samples} x {channels} x {source:?} to {target:?}");
    }
    Ok(())
}
