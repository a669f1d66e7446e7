//! RTS: rotated, translated and scaled.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::{Fault, PluginSpec};

use super::frame::{Frame, Placement};
use super::warp::DrawTheta;
use super::{Declared, canvas_faults, in_range, scale_faults};

/// RTS of the paper: rotation, scale and place, each uniform, on a canvas larger than the image.
///
/// The place is such that the scaled image, before it turns, lies wholly on the canvas; where it is larger than the canvas it stays in the middle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RotationTranslationScale {
    /// The angle is uniform between minus and plus this, in degrees.
    pub degrees: f64,
    /// The scale is uniform between these two.
    pub scale: [f64; 2],
    /// Height and width of the output.
    pub canvas: [usize; 2],
}

impl Default for RotationTranslationScale {
    fn default() -> Self {
        Self { degrees: 45.0, scale: [0.7, 1.2], canvas: [42, 42] }
    }
}

impl Declared for RotationTranslationScale {
    const NAME: &'static str = "RTS";
    const SUMMARY: &'static str = "Rotated, scaled and at a random place of a larger canvas.";

    fn faults(&self) -> Vec<Fault> {
        in_range("degrees", self.degrees, 0.0, 180.0).into_iter().chain(scale_faults(self.scale)).chain(canvas_faults(Some(self.canvas))).collect()
    }
}

impl RotationTranslationScale {
    fn place(&self, random: &mut ChaCha8Rng, frame: Frame) -> Placement {
        let angle = random.random_range(-self.degrees..=self.degrees).to_radians();
        let scale = random.random_range(self.scale[0]..=self.scale[1]);
        let (image, canvas) = (frame.image_half(), frame.canvas_half());
        let shift = [0, 1].map(|axis| {
            let room = (canvas[axis] - scale * image[axis]).max(0.0);
            random.random_range(-room..=room)
        });
        Placement { angle, scale, shift }
    }
}

impl DrawTheta for RotationTranslationScale {
    fn transformation(&self) -> PluginSpec {
        PluginSpec::named("affine")
    }

    fn draw(&self, random: &mut ChaCha8Rng, frame: Frame) -> Vec<f64> {
        frame.affine_theta(&self.place(random, frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stn_core::stream::stream;

    #[test]
    fn the_scaled_image_stays_on_the_canvas() {
        let frame = Frame { image: [28, 28], canvas: [42, 42] };
        let placements: Vec<_> = (0..2000).map(|i| RotationTranslationScale::default().place(&mut stream(0, "test", i), frame)).collect();
        let reach = |p: &Placement| p.shift.iter().map(|s| s.abs() + 14.0 * p.scale).fold(0.0, f64::max);
        assert!(placements.iter().all(|p| reach(p) <= 21.0 + 1e-9 && p.angle.abs() <= 45_f64.to_radians()));
        let mean = placements.iter().map(|p| p.scale).sum::<f64>() / 2000.0;
        assert!((mean - 0.95).abs() < 0.015, "{mean}");
        // The room is 21 - 14 s on average over s in 0.7 .. 1.2: 7.7, so the mean distance is half of that.
        let distance = placements.iter().map(|p| p.shift[0].abs()).sum::<f64>() / 2000.0;
        assert!((distance - 3.85).abs() < 0.25, "{distance}");
    }
}
