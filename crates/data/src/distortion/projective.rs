//! P: seen in perspective.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::{Fault, PluginSpec};

use super::frame::Frame;
use super::homography::{homography, is_well_formed};
use super::warp::DrawTheta;
use super::{Declared, canvas_faults, in_range, scale_faults};

/// How often a quadrilateral that is not well formed is drawn anew; at the published parameters three draws in a hundred are.
const ATTEMPTS: usize = 1000;

/// How often, with a scale drawn anew each time, before the image is only scaled. The published parameters never come near.
const REDRAWS: usize = 10;

/// P of the paper: the image scaled about the centre, then each of its four corners moved by N(0, `sigma`) along x and y.
///
/// The theta is the exact homography from the moved corners back to the image's own. Quadrilaterals that are not convex, or have a corner of less than a tenth
/// of the image's area, are drawn anew: three in a hundred, which leaves corners a standard deviation of 4.9 instead of 5. Where parameters are so extreme that
/// thousands of draws give nothing to see, the image is only scaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Projective {
    /// The scale is uniform between these two.
    pub scale: [f64; 2],
    /// The standard deviation of a corner's displacement along each axis, in pixels of the output.
    pub sigma: f64,
    /// Height and width of the output. The image's own unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canvas: Option<[usize; 2]>,
}

impl Default for Projective {
    fn default() -> Self {
        Self { scale: [0.75, 1.0], sigma: 5.0, canvas: None }
    }
}

impl Declared for Projective {
    const NAME: &'static str = "P";
    const SUMMARY: &'static str = "Scaled, then each corner moved: seen in perspective.";

    fn faults(&self) -> Vec<Fault> {
        scale_faults(self.scale).into_iter().chain(in_range("sigma", self.sigma, 0.0, 1000.0)).chain(canvas_faults(self.canvas)).collect()
    }
}

/// The corners of the image in normalised coordinates, clockwise as seen from the top left.
const CORNERS: [[f64; 2]; 4] = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];

impl Projective {
    fn draw_scale(&self, random: &mut ChaCha8Rng) -> f64 {
        random.random_range(self.scale[0]..=self.scale[1])
    }

    /// Where the image's corners go, in pixels from the centre of the canvas.
    fn corners(&self, random: &mut ChaCha8Rng, frame: Frame) -> [[f64; 2]; 4] {
        let scale = self.draw_scale(random);
        let half = frame.image_half();
        let square = CORNERS.map(|[x, y]| [scale * half[0] * x, scale * half[1] * y]);
        for _ in 0..ATTEMPTS {
            let moved = square.map(|point| point.map(|coordinate| coordinate + self.sigma * random.sample::<f64, _>(StandardNormal)));
            if is_well_formed(&moved, 4.0 * scale * scale * half[0] * half[1]) {
                return moved;
            }
        }
        square
    }
}

impl DrawTheta for Projective {
    fn transformation(&self) -> PluginSpec {
        PluginSpec::named("projective")
    }

    fn draw(&self, random: &mut ChaCha8Rng, frame: Frame) -> Vec<f64> {
        let half = frame.canvas_half();
        for _ in 0..REDRAWS {
            let corners = self.corners(random, frame).map(|[x, y]| [x / half[0], y / half[1]]);
            // A homography whose horizon passes through the centre of the canvas cannot be written with t33 = 1; drawn anew.
            if let Some(theta) = homography(&corners, &CORNERS) {
                return theta.to_vec();
            }
        }
        let (scale, image) = (self.draw_scale(random), frame.image_half());
        vec![half[0] / (scale * image[0]), 0.0, 0.0, 0.0, half[1] / (scale * image[1]), 0.0, 0.0, 0.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stn_core::stream::stream;

    const FRAME: Frame = Frame { image: [28, 28], canvas: [28, 28] };

    #[test]
    fn moved_corners_are_read_from_the_corners_of_the_image() {
        for index in 0..200 {
            let corners = Projective::default().corners(&mut stream(0, "test", index), FRAME);
            let t = Projective::default().draw(&mut stream(0, "test", index), FRAME);
            for (corner, want) in corners.iter().zip(CORNERS) {
                let [x, y] = corner.map(|c| c / 14.0);
                let w = t[6] * x + t[7] * y + 1.0;
                let got = [(t[0] * x + t[1] * y + t[2]) / w, (t[3] * x + t[4] * y + t[5]) / w];
                assert!((got[0] - want[0]).abs() < 1e-8 && (got[1] - want[1]).abs() < 1e-8, "{index} {got:?} {want:?}");
            }
        }
    }

    #[test]
    fn corners_move_as_far_as_published() {
        let spec = Projective { scale: [1.0, 1.0], ..Projective::default() };
        let moved: Vec<f64> = (0..2000).flat_map(|i| spec.corners(&mut stream(1, "test", i), FRAME).map(|c| c[0].abs() - 14.0)).collect();
        let mean = moved.iter().sum::<f64>() / moved.len() as f64;
        let deviation = (moved.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / moved.len() as f64).sqrt();
        // Rejecting folded quadrilaterals pulls both a little away from 0 and 5.
        assert!(mean.abs() < 0.4 && (deviation - 5.0).abs() < 0.3, "{mean} {deviation}");
    }

    #[test]
    fn extreme_parameters_give_a_theta_too() {
        let mut cases = vec![(Projective { scale: [1e-7, 1e-7], sigma: 0.0, canvas: None }, FRAME)];
        for sigma in [0.0, 1000.0] {
            for scale in [0.01, 100.0] {
                for frame in [FRAME, Frame { image: [1, 1], canvas: [4096, 1] }, Frame { image: [4096, 1], canvas: [1, 4096] }] {
                    cases.push((Projective { scale: [scale, scale], sigma, canvas: None }, frame));
                }
            }
        }
        for (spec, frame) in cases {
            for index in 0..20 {
                let theta = spec.draw(&mut stream(0, "test", index), frame);
                assert!(theta.len() == 8 && theta.iter().all(|t| t.is_finite()), "{spec:?} {frame:?} {theta:?}");
            }
        }
        let theta = Projective { scale: [1e-7, 1e-7], sigma: 0.0, canvas: None }.draw(&mut stream(0, "test", 0), FRAME);
        assert!((theta[0] * 1e-7 - 1.0).abs() < 1e-9 && theta[4] == theta[0], "a plain scale: {theta:?}");
    }

    #[test]
    fn no_displacement_is_a_plain_scale() {
        let spec = Projective { scale: [0.5, 0.5], sigma: 0.0, canvas: None };
        let theta = spec.draw(&mut stream(0, "test", 0), FRAME);
        for (got, want) in theta.iter().zip([2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]) {
            assert!((got - want).abs() < 1e-12, "{theta:?}");
        }
    }
}
