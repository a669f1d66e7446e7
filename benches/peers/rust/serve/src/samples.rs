//! The sampler alone: sources and thetas, the same as those of the project's own benchmark.

/// A bilinear sampler with an affine grid, forward and backward.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The source, N x C x H x W; as many pixels are sampled as it has.
    pub shape: [usize; 4],
    /// Whether the source takes a gradient beside theta.
    pub to_input: bool,
}

/// The sampler of a work `sample.bilinear.NxCxHxW`, with or without `.to_theta`.
pub fn sample(work: &str) -> Option<Sample> {
    let rest = work.strip_prefix("sample.bilinear.")?;
    let (shape, to_input) = rest.strip_suffix(".to_theta").map_or((rest, true), |shape| (shape, false));
    let sides: Vec<usize> = shape.split('x').map(|side| side.parse().ok()).collect::<Option<_>>()?;
    Some(Sample { shape: sides.try_into().ok()?, to_input })
}

impl Sample {
    /// Every sample's theta, N x 6.
    pub fn thetas(&self) -> Vec<f32> {
        let spread = |i: usize, p: f64| 2.0 * ((i + 1) as f64 * p.sqrt()).fract() - 1.0;
        let theta = |i: usize| {
            let (angle, scale) = (0.5 * spread(i, 2.0), 1.0 + 0.2 * spread(i, 3.0));
            let (cos, sin) = (scale * angle.cos(), scale * angle.sin());
            [cos, -sin, 0.1 * spread(i, 5.0), sin, cos, 0.1 * spread(i, 7.0)].map(|value| value as f32)
        };
        (0..self.shape[0]).flat_map(theta).collect()
    }
}
