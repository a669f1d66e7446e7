//! What a camera makes of a scene: blur, noise, bytes.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Red, green and blue, 0 to 1.
pub(crate) type Colour = [f32; 3];

/// From `a` to `b`, by a part of the way.
pub(crate) fn mix(a: Colour, b: Colour, part: f32) -> Colour {
    std::array::from_fn(|channel| a[channel] + part * (b[channel] - a[channel]))
}

/// A colour picture, row after row.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<Colour>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![[0.0; 3]; width * height] }
    }

    /// Gaussian blur with the standard deviations across and down, in pixels; the border goes on beyond the edges.
    pub(crate) fn blur(&mut self, across: f32, down: f32) {
        let (weights, reach) = gaussian(across);
        if reach > 0 {
            let mut line = Vec::new();
            for row in self.pixels.chunks_exact_mut(self.width) {
                line.clear();
                line.extend(std::iter::repeat_n(row[0], reach).chain(row.iter().copied()).chain(std::iter::repeat_n(row[row.len() - 1], reach)));
                for (pixel, around) in row.iter_mut().zip(line.windows(weights.len())) {
                    *pixel = weighted(&weights, around.iter());
                }
            }
        }
        let (weights, reach) = gaussian(down);
        if reach > 0 {
            let before = self.pixels.clone();
            let row_of = |row: usize| &before[row.clamp(reach, self.height + reach - 1).saturating_sub(reach) * self.width..][..self.width];
            for (row, pixels) in self.pixels.chunks_exact_mut(self.width).enumerate() {
                pixels.fill([0.0; 3]);
                for (step, weight) in weights.iter().enumerate() {
                    for (pixel, other) in pixels.iter_mut().zip(row_of(row + step)) {
                        (0..3).for_each(|channel| pixel[channel] += weight * other[channel]);
                    }
                }
            }
        }
    }

    /// Adds `amount` times what a blur of `deviation` pixels takes away: edges get the bright and dark seams of sharpened photographs.
    pub(crate) fn sharpen(&mut self, deviation: f32, amount: f32) {
        let mut smooth = self.clone();
        smooth.blur(deviation, deviation);
        for (pixel, smooth) in self.pixels.iter_mut().zip(&smooth.pixels) {
            *pixel = mix(*smooth, *pixel, 1.0 + amount);
        }
    }

    /// Adds noise of these standard deviations to all channels alike, and to each on its own.
    pub(crate) fn grain(&mut self, grey: f32, colour: f32, random: &mut ChaCha8Rng) {
        for pixel in &mut self.pixels {
            let shared = grey * random.sample::<f32, _>(StandardNormal);
            pixel.iter_mut().for_each(|value| *value += shared + colour * random.sample::<f32, _>(StandardNormal));
        }
    }

    /// Pixel after pixel, 0 to 255.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.pixels.iter().flatten().map(|value| (value * 255.0).round() as u8).collect()
    }
}

/// Weights that sum to one, of 2 `reach` + 1 pixels.
fn gaussian(deviation: f32) -> (Vec<f32>, usize) {
    let reach = (2.5 * deviation).round() as usize;
    let mut weights: Vec<f32> = (0..=2 * reach).map(|step| (-0.5 * ((step as f32 - reach as f32) / deviation.max(1e-3)).powi(2)).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    (weights, reach)
}

fn weighted<'a>(weights: &[f32], pixels: impl Iterator<Item = &'a Colour>) -> Colour {
    let mut sum = [0.0; 3];
    for (weight, pixel) in weights.iter().zip(pixels) {
        (0..3).for_each(|channel| sum[channel] += weight * pixel[channel]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use stn_core::stream::stream;

    /// A bright pixel in the middle of 21 x 15.
    fn dot() -> Canvas {
        let mut canvas = Canvas::new(21, 15);
        canvas.pixels[7 * 21 + 10] = [1.0; 3];
        canvas
    }

    #[test]
    fn blur_spreads_as_far_as_it_says_in_each_direction() {
        let mut canvas = dot();
        canvas.blur(2.0, 1.0);
        let moment = |of: fn(usize) -> f32| (0..21 * 15).map(|i| of(i) * canvas.pixels[i][1]).sum::<f32>();
        assert!((moment(|_| 1.0) - 1.0).abs() < 1e-4);
        let (across, down) = (moment(|i| (i as f32 % 21.0 - 10.0).floor().powi(2)), moment(|i| ((i / 21) as f32 - 7.0).powi(2)));
        assert!((across.sqrt() - 2.0).abs() < 0.15 && (down.sqrt() - 1.0).abs() < 0.15, "{across} {down}");
    }

    #[test]
    fn blur_leaves_a_plain_picture_as_it_is() {
        let mut canvas = Canvas::new(5, 4);
        canvas.pixels.fill([0.3, 0.5, 0.9]);
        canvas.blur(3.0, 4.0);
        assert!(canvas.pixels.iter().flatten().zip([0.3, 0.5, 0.9].iter().cycle()).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn sharpening_gives_an_edge_a_seam() {
        let mut canvas = Canvas::new(20, 1);
        canvas.pixels[10..].fill([0.5; 3]);
        canvas.sharpen(1.5, 1.0);
        assert!(canvas.pixels[9][0] < -0.05 && canvas.pixels[10][0] > 0.55 && canvas.pixels[1][0].abs() < 1e-4);
    }

    #[test]
    fn grain_has_the_deviation_it_says() {
        let mut canvas = Canvas::new(100, 100);
        canvas.grain(0.03, 0.04, &mut stream(0, "test", 0));
        let deviation = (canvas.pixels.iter().map(|pixel| pixel[2].powi(2)).sum::<f32>() / 1e4).sqrt();
        assert!((deviation - 0.05).abs() < 0.002, "{deviation}");
    }
}
