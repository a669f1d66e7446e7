//! `sample.KERNEL.SHAPE`: grid generator and sampler alone, forward, then backward from an output gradient of ones.
//!
//! A source of N x C x H x W is sampled at as many pixels as it has, with `align_corners` false and zeros outside. Gradients go to the source and to theta, or in
//! `.to_theta` to theta alone. The transformation is affine, or in `.tps` a thin plate spline of 4 x 4 points, or in `.projective` a plane projective one.
//!
//! Every sample has a theta of its own, written as a formula so that another program times the same: with `u(i, p) = 2 frac((i + 1) sqrt(p)) - 1`, which is spread evenly
//! over [-1, 1),
//!
//! - affine, sample i: a rotation by `0.5 u(i, 2)` radians, a scale of `1 + 0.2 u(i, 3)`, a shift by `0.1 u(i, 5)` in x and `0.1 u(i, 7)` in y;
//! - projective: the same with `t31 = 0.1 u(i, 11)` and `t32 = 0.1 u(i, 13)`;
//! - thin plate spline: the j-th number of all thetas together is that of the identity plus `0.05 z(j)`,
//!   `z(j) = sqrt(-2 ln((1 + u(j, 2)) / 2)) cos(pi u(j, 3))`, which is spread as a normal distribution.

use std::f64::consts::PI;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use rand::RngExt;
use stn_core::{Boundary, PluginSpec, Registry, TargetGrid, Transformation, stream};
use stn_ops::{Sampler, Wanted};

use crate::{Amount, Error, Job, Result};

/// A family of warps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warp {
    Affine,
    Tps,
    Projective,
}

/// A sampler at work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SampleWork {
    pub(crate) kernel: &'static str,
    /// N x C x H x W.
    pub(crate) shape: [usize; 4],
    pub(crate) warp: Warp,
    /// Whether the source takes a gradient beside theta.
    pub(crate) to_input: bool,
}

impl SampleWork {
    pub(crate) fn name(&self) -> String {
        let [n, c, h, w] = self.shape;
        let warp = match self.warp {
            Warp::Affine => "",
            Warp::Tps => ".tps",
            Warp::Projective => ".projective",
        };
        let to_theta = if self.to_input { "" } else { ".to_theta" };
        format!("sample.{}.{n}x{c}x{h}x{w}{warp}{to_theta}", self.kernel)
    }

    /// Forward the source is read and the output written; backward the output's gradient and the source are read, and the source's gradient written.
    pub(crate) fn amount(&self) -> Amount {
        let passes = if self.to_input { 5 } else { 4 };
        Amount::Bytes((passes * self.shape.iter().product::<usize>() * size_of::<f32>()) as f64)
    }

    pub(crate) fn build(&self, work: &str, registry: &Registry, device: &Device) -> Result<Sampling> {
        let [samples, _, height, width] = self.shape;
        let kind = match self.warp {
            Warp::Affine => "affine",
            Warp::Tps => "tps",
            Warp::Projective => "projective",
        };
        let transformation = registry.transformation(&PluginSpec::named(kind))?;
        let target = TargetGrid::new([height, width], false)?;
        let points = target.points(DType::F32, device)?.unsqueeze(0)?;
        let theta: Vec<f32> = self.warp.thetas(samples, &transformation.identity()).into_iter().map(|value| value as f32).collect();
        let mut rng = stream::stream(0, "bench/source", 0);
        let input: Vec<f32> = (0..self.shape.iter().product()).map(|_| rng.random()).collect();
        let input = Tensor::from_vec(input, &self.shape, device)?;
        let theta = Tensor::from_vec(theta, (samples, transformation.theta_len()), device)?;
        Ok(Sampling {
            work: work.into(),
            upstream: input.ones_like()?,
            input,
            to_input: self.to_input,
            theta: Var::from_tensor(&theta)?,
            basis: transformation.basis(&points)?.squeeze(0)?,
            sampler: Sampler { kernel: registry.kernel(&PluginSpec::named(self.kernel))?, boundary: Boundary::Zeros, align_corners: false },
            transformation,
            target,
            last: None,
        })
    }
}

impl Warp {
    /// Every sample's theta, one after another.
    fn thetas(self, samples: usize, identity: &[f64]) -> Vec<f64> {
        let affine = |i: usize| {
            let (angle, scale) = (0.5 * spread(i, 2.0), 1.0 + 0.2 * spread(i, 3.0));
            let (cos, sin) = (scale * angle.cos(), scale * angle.sin());
            [cos, -sin, 0.1 * spread(i, 5.0), sin, cos, 0.1 * spread(i, 7.0)]
        };
        match self {
            Self::Affine => (0..samples).flat_map(affine).collect(),
            Self::Projective => (0..samples).flat_map(|i| affine(i).into_iter().chain([0.1 * spread(i, 11.0), 0.1 * spread(i, 13.0)])).collect(),
            Self::Tps => (0..samples * identity.len()).map(|j| identity[j % identity.len()] + 0.05 * normal(j)).collect(),
        }
    }
}

/// `2 frac((i + 1) sqrt(p)) - 1`: for a prime p spread evenly over [-1, 1).
fn spread(i: usize, p: f64) -> f64 {
    2.0 * ((i + 1) as f64 * p.sqrt()).fract() - 1.0
}

/// Numbers spread as a normal distribution, by Box's and Muller's formula.
fn normal(j: usize) -> f64 {
    (-2.0 * ((1.0 + spread(j, 2.0)) / 2.0).ln()).sqrt() * (PI * spread(j, 3.0)).cos()
}

/// A source, its thetas and how it is sampled.
pub(crate) struct Sampling {
    work: String,
    input: Tensor,
    /// Whether the gradient to it is wanted.
    to_input: bool,
    theta: Var,
    basis: Tensor,
    transformation: Arc<dyn Transformation>,
    target: TargetGrid,
    sampler: Sampler,
    /// The gradient to the output: ones.
    upstream: Tensor,
    /// The last gradient with respect to theta.
    last: Option<Tensor>,
}

impl Sampling {
    /// Forward and backward as in a training step, which does without candle's tape but for the few numbers of M; the gradient with respect to theta.
    fn pass(&self) -> Result<Option<Tensor>> {
        let matrix = self.transformation.matrix(self.theta.as_tensor())?;
        let numbers = matrix.detach();
        // The target is as large as the source, and so is the output.
        let _output = stn_ops::sample_structured(&self.input, &numbers, &self.basis, &self.target, &self.sampler)?;
        let wanted = Wanted { input: self.to_input, matrix: true, basis: false };
        let gradients = stn_ops::sample_structured_gradients(&self.input, &numbers, &self.basis, &self.target, &self.sampler, &self.upstream, wanted)?;
        let Some(to_matrix) = gradients.1 else { return Ok(None) };
        Ok(stn_ops::backward_from(&matrix, &to_matrix)?.remove(self.theta.as_tensor()))
    }
}

impl Job for Sampling {
    fn run(&mut self) -> Result<()> {
        self.last = self.pass()?;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let sum = self.last.as_ref().map(|gradient| gradient.sum_all()?.to_scalar::<f32>()).transpose()?;
        if sum.is_some_and(f32::is_finite) { Ok(()) } else { Err(Error::NotFinite(self.work.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thetas_are_those_of_the_formula() {
        // benches/peers/works.py, run alone, holds its own against the same numbers.
        let near = |values: &[f64], expected: &[f64]| values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        let affine = [1.0888015851906812, 0.09363421654662656, -0.052786404500042045, -0.09363421654662656, 1.0888015851906812, 0.029150262212918145];
        assert!(near(&Warp::Affine.thetas(1, &[]), &affine));
        assert!(near(&Warp::Projective.thetas(1, &[]), &affine));
        assert!(near(&Warp::Tps.thetas(1, &[0.0; 32]), &[0.0074708288034936385, 0.0299008005233696, -0.02793005649099789]));
        assert_eq!(Warp::Projective.thetas(3, &[]).len(), 24);
    }

    #[test]
    fn normal_numbers_have_mean_0_and_deviation_1() {
        let n = 8192;
        let (sum, squares) = (0..n).map(normal).fold((0.0, 0.0), |(sum, squares), z| (sum + z, squares + z * z));
        assert!((sum / n as f64).abs() < 0.01 && (squares / n as f64 - 1.0).abs() < 0.01, "{sum} {squares}");
    }

    #[test]
    fn every_kernel_and_warp_is_done() {
        let registry = stn_plugins::standard().unwrap();
        for (kernel, warp, to_input) in
            [("integer", Warp::Affine, true), ("bicubic", Warp::Affine, false), ("bilinear", Warp::Tps, true), ("bilinear", Warp::Projective, true)]
        {
            let work = SampleWork { kernel, shape: [2, 3, 8, 9], warp, to_input };
            let mut sampling = work.build(&work.name(), &registry, &Device::Cpu).unwrap();
            sampling.run().unwrap();
            sampling.check().unwrap();
        }
    }
}
