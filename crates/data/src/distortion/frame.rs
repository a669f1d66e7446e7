//! The image and the canvas it is drawn on, and how their coordinates meet.

use crate::{Error, Result};

/// The sizes of the source image and of the output canvas: height, width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) image: [usize; 2],
    pub(crate) canvas: [usize; 2],
}

/// A placement of the image: `u = A v + shift`, where v is a point of the image and u its place on the canvas, both in pixels from the centre, x to the right,
/// y down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placement {
    /// Clockwise as seen, in radians.
    pub(crate) angle: f64,
    /// Greater is larger.
    pub(crate) scale: f64,
    /// x, y.
    pub(crate) shift: [f64; 2],
}

impl Frame {
    /// Half of the image's width and height.
    pub(crate) fn image_half(&self) -> [f64; 2] {
        [self.image[1] as f64 / 2.0, self.image[0] as f64 / 2.0]
    }

    /// Half of the canvas's width and height.
    pub(crate) fn canvas_half(&self) -> [f64; 2] {
        [self.canvas[1] as f64 / 2.0, self.canvas[0] as f64 / 2.0]
    }

    /// The affine theta (t11 t12 t13 t21 t22 t23) that reads the canvas from a placed image: the inverse of the placement, in normalised coordinates.
    pub(crate) fn affine_theta(&self, placement: &Placement) -> Vec<f64> {
        let (sin, cos) = placement.angle.sin_cos();
        // The inverse of scale * rotation is the transposed rotation over the scale.
        let inverse = [[cos / placement.scale, sin / placement.scale], [-sin / placement.scale, cos / placement.scale]];
        let (image, canvas, shift) = (self.image_half(), self.canvas_half(), placement.shift);
        let mut theta = Vec::with_capacity(6);
        for (row, half) in inverse.iter().zip(image) {
            let constant = -(row[0] * shift[0] + row[1] * shift[1]);
            theta.extend([row[0] * canvas[0] / half, row[1] * canvas[1] / half, constant / half]);
        }
        theta
    }

    /// The place of an image whose top left pixel is at `corner` of the canvas, row and column: left, top, right and bottom in normalised coordinates.
    pub(crate) fn place(&self, corner: [usize; 2]) -> [f64; 4] {
        let edge = |pixel: usize, axis: usize| 2.0 * pixel as f64 / self.canvas[axis] as f64 - 1.0;
        let ([top, left], [height, width]) = (corner, self.image);
        [edge(left, 1), edge(top, 0), edge(left + width, 1), edge(top + height, 0)]
    }

    /// An error where the images are larger than the canvas.
    pub(crate) fn check_room(&self, distortion: &str) -> Result<()> {
        if self.image.iter().zip(self.canvas).all(|(&image, canvas)| image <= canvas) {
            return Ok(());
        }
        let ([h, w], [ch, cw]) = (self.image, self.canvas);
        Err(Error::Unsupported(format!(
            "images of {h} x {w} do not fit the {ch} x {cw} canvas of distortion {distortion}; give a larger one: distortion = {{ kind = \"{distortion}\", canvas = [{}, {}] }}",
            3 * h / 2,
            3 * w / 2
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(theta: &[f64], x: f64, y: f64) -> (f64, f64) {
        (theta[0] * x + theta[1] * y + theta[2], theta[3] * x + theta[4] * y + theta[5])
    }

    #[test]
    fn theta_takes_every_placed_point_back() {
        let frame = Frame { image: [20, 28], canvas: [42, 60] };
        let placement = Placement { angle: 0.7, scale: 1.1, shift: [3.0, -5.0] };
        let theta = frame.affine_theta(&placement);
        for v in [[0.0, 0.0], [14.0, 0.0], [0.0, 10.0], [-14.0, 10.0]] {
            let (sin, cos) = placement.angle.sin_cos();
            let u = [1.1 * (cos * v[0] - sin * v[1]) + 3.0, 1.1 * (sin * v[0] + cos * v[1]) - 5.0];
            let (x, y) = map(&theta, u[0] / 30.0, u[1] / 21.0);
            assert!((x - v[0] / 14.0).abs() < 1e-12 && (y - v[1] / 10.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_canvas_that_is_too_small_is_an_error() {
        let error = Frame { image: [64, 64], canvas: [42, 42] }.check_room("RTS").unwrap_err().to_string();
        assert!(error.contains("64 x 64 do not fit the 42 x 42 canvas") && error.contains("canvas = [96, 96]"), "{error}");
    }
}
