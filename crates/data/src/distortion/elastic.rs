//! E: bent by a thin plate spline.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::{Fault, PluginSpec, TargetGrid};
use toml::Value;

use super::frame::Frame;
use super::warp::DrawTheta;
use super::{Declared, canvas_faults, in_range, scale_faults};

/// E of the paper: the image scaled about the centre, then bent by a thin plate spline whose `points` x `points` control points move by N(0, `sigma`) along x
/// and y.
///
/// The spline runs from the output to the image, as every theta does: the control points stand on a regular grid over the *output*, and each reads the image at
/// `(p + d) / scale`, with d its displacement in pixels of the output. Since d is symmetric about zero this is, to first order, the distribution of moving the
/// image's points by -d; an exact inverse of a thin plate spline has no closed form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Elastic {
    /// The scale is uniform between these two.
    pub scale: [f64; 2],
    /// Control points along each axis; the published 16 are 4 x 4.
    pub points: usize,
    /// The standard deviation of a control point's displacement along each axis, in pixels of the output.
    pub sigma: f64,
    /// Height and width of the output. The image's own unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canvas: Option<[usize; 2]>,
}

impl Default for Elastic {
    fn default() -> Self {
        Self { scale: [0.75, 1.0], points: 4, sigma: 1.5, canvas: None }
    }
}

impl Declared for Elastic {
    const NAME: &'static str = "E";
    const SUMMARY: &'static str = "Scaled, then bent by a thin plate spline with moved control points.";

    fn faults(&self) -> Vec<Fault> {
        let points = (!(2..=16).contains(&self.points)).then(|| Fault::at(["points"], format!("must be between 2 and 16; it is {}", self.points)));
        scale_faults(self.scale).into_iter().chain(points).chain(in_range("sigma", self.sigma, 0.0, 1000.0)).chain(canvas_faults(self.canvas)).collect()
    }
}

impl DrawTheta for Elastic {
    fn transformation(&self) -> PluginSpec {
        let mut spec = PluginSpec::named("tps");
        spec.parameters.insert("points".into(), Value::Integer(self.points as i64));
        spec
    }

    fn draw(&self, random: &mut ChaCha8Rng, frame: Frame) -> Vec<f64> {
        let scale = random.random_range(self.scale[0]..=self.scale[1]);
        let (image, canvas) = (frame.image_half(), frame.canvas_half());
        let mut theta = Vec::with_capacity(2 * self.points * self.points);
        for row in 0..self.points {
            for column in 0..self.points {
                for (axis, place) in [column, row].into_iter().enumerate() {
                    let point = TargetGrid::coordinate(place, self.points, true) * canvas[axis];
                    let moved = point + self.sigma * random.sample::<f64, _>(StandardNormal);
                    theta.push(moved / (scale * image[axis]));
                }
            }
        }
        theta
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stn_core::stream::stream;

    #[test]
    fn control_points_move_as_far_as_published() {
        let frame = Frame { image: [28, 28], canvas: [28, 28] };
        let spec = Elastic { scale: [1.0, 1.0], ..Elastic::default() };
        let still = Elastic { sigma: 0.0, ..spec.clone() }.draw(&mut stream(0, "test", 0), frame);
        assert_eq!((still.len(), still[0], still[1], still[30], still[31]), (32, -1.0, -1.0, 1.0, 1.0));
        let moved: Vec<f64> = (0..500)
            .flat_map(|i| spec.draw(&mut stream(0, "test", i), frame).into_iter().zip(&still).map(|(a, b)| 14.0 * (a - b)).collect::<Vec<_>>())
            .collect();
        let deviation = (moved.iter().map(|m| m * m).sum::<f64>() / moved.len() as f64).sqrt();
        assert!((deviation - 1.5).abs() < 0.05, "{deviation}");
    }
}
