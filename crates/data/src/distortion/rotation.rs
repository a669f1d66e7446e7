//! R: rotated.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::{Fault, PluginSpec};

use super::frame::{Frame, Placement};
use super::warp::DrawTheta;
use super::{Declared, canvas_faults, in_range};

/// R of the paper: a rotation about the centre by an angle uniform in +-`degrees`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rotation {
    /// The angle is uniform between minus and plus this, in degrees.
    pub degrees: f64,
    /// Height and width of the output. The image's own unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canvas: Option<[usize; 2]>,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { degrees: 90.0, canvas: None }
    }
}

impl Declared for Rotation {
    const NAME: &'static str = "R";
    const SUMMARY: &'static str = "Rotated about the centre.";

    fn faults(&self) -> Vec<Fault> {
        in_range("degrees", self.degrees, 0.0, 180.0).into_iter().chain(canvas_faults(self.canvas)).collect()
    }
}

impl DrawTheta for Rotation {
    fn transformation(&self) -> PluginSpec {
        PluginSpec::named("affine")
    }

    fn draw(&self, random: &mut ChaCha8Rng, frame: Frame) -> Vec<f64> {
        let angle = random.random_range(-self.degrees..=self.degrees).to_radians();
        frame.affine_theta(&Placement { angle, scale: 1.0, shift: [0.0; 2] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stn_core::stream::stream;

    #[test]
    fn angles_are_uniform_in_the_range() {
        let frame = Frame { image: [28, 28], canvas: [28, 28] };
        let angles: Vec<f64> = (0..4000)
            .map(|i| {
                let theta = Rotation::default().draw(&mut stream(0, "test", i), frame);
                theta[1].atan2(theta[0]).to_degrees()
            })
            .collect();
        assert!(angles.iter().all(|angle| angle.abs() <= 90.0));
        let mean = angles.iter().sum::<f64>() / 4000.0;
        let deviation = (angles.iter().map(|a| a * a).sum::<f64>() / 4000.0).sqrt();
        // Uniform in +-90: mean 0 +- 0.8, deviation 90 / sqrt 3 = 51.96.
        assert!(mean.abs() < 3.0 && (deviation - 51.96).abs() < 1.5, "{mean} {deviation}");
    }
}
