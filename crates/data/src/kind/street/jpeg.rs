//! The traces of JPEG: blocks of 8 x 8 whose cosines are rounded, the colours more coarsely than the brightness.

use std::f32::consts::PI;
use std::sync::LazyLock;

use super::canvas::{Canvas, Colour};

/// The steps of the standard (ITU-T T.81, table K.1) in its rows, for quality 50; those for colour are close to a constant.
const STEPS: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109,
    103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const COLOUR_STEP: f32 = 60.0;

/// COSINES\[k\]\[n\] of the orthonormal transform.
static COSINES: LazyLock<[[f32; 8]; 8]> = LazyLock::new(|| {
    let scale = |k: usize| if k == 0 { 0.125_f32.sqrt() } else { 0.5 };
    std::array::from_fn(|k| std::array::from_fn(|n| scale(k) * (PI / 8.0 * (n as f32 + 0.5) * k as f32).cos()))
});

type Block = [[f32; 8]; 8];

/// Rounds as JPEG does whose steps are `coarseness` times those of quality 50. The last rows and columns go on beyond the edges.
pub(crate) fn compress(canvas: &mut Canvas, coarseness: f32) {
    let (width, height) = (canvas.width, canvas.height);
    for top in (0..height).step_by(8) {
        for left in (0..width).step_by(8) {
            let mut planes = [[[0.0; 8]; 8]; 3];
            for (row, column) in (0..64).map(|i| (i / 8, i % 8)) {
                let pixel = canvas.pixels[(top + row).min(height - 1) * width + (left + column).min(width - 1)];
                (0..3).zip(to_ycc(pixel)).for_each(|(plane, value)| planes[plane][row][column] = value);
            }
            for (plane, block) in planes.iter_mut().enumerate() {
                *block = rounded(block, |i| coarseness / 255.0 * if plane == 0 { f32::from(STEPS[i]) } else { COLOUR_STEP });
            }
            for row in 0..8.min(height - top) {
                for column in 0..8.min(width - left) {
                    canvas.pixels[(top + row) * width + left + column] = to_rgb(planes.map(|plane| plane[row][column]));
                }
            }
        }
    }
}

fn rounded(block: &Block, step: impl Fn(usize) -> f32) -> Block {
    let cosines = &*COSINES;
    // Twice transposed and transformed along the rows.
    let forward = |block: &Block| -> Block { std::array::from_fn(|k| std::array::from_fn(|row| (0..8).map(|n| cosines[k][n] * block[row][n]).sum())) };
    let back = |block: &Block| -> Block { std::array::from_fn(|n| std::array::from_fn(|row| (0..8).map(|k| cosines[k][n] * block[row][k]).sum())) };
    let mut values = forward(&forward(block));
    for (i, value) in values.iter_mut().flatten().enumerate() {
        let step = step(i);
        *value = (*value / step).round() * step;
    }
    back(&back(&values))
}

fn to_ycc([red, green, blue]: Colour) -> [f32; 3] {
    let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
    [grey - 0.5, 0.564 * (blue - grey), 0.713 * (red - grey)]
}

fn to_rgb([grey, of_blue, of_red]: [f32; 3]) -> Colour {
    let grey = grey + 0.5;
    let (red, blue) = (grey + of_red / 0.713, grey + of_blue / 0.564);
    [red, (grey - 0.299 * red - 0.114 * blue) / 0.587, blue]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Canvas {
        let mut canvas = Canvas::new(19, 13);
        for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
            let (x, y) = ((i % 19) as f32, (i / 19) as f32);
            *pixel = [0.5 + 0.3 * (0.7 * x).sin(), 0.5 + 0.3 * (0.5 * y).cos(), (x + y) / 32.0];
        }
        canvas
    }

    fn worst(a: &Canvas, b: &Canvas) -> f32 {
        a.pixels.iter().flatten().zip(b.pixels.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn fine_steps_change_nothing_and_coarse_ones_much() {
        for (coarseness, least, most) in [(1e-4, 0.0, 1e-3), (0.5, 0.01, 0.2), (4.0, 0.1, 1.0)] {
            let mut canvas = picture();
            compress(&mut canvas, coarseness);
            let worst = worst(&canvas, &picture());
            assert!((least..most).contains(&worst), "{coarseness}: {worst}");
        }
    }

    #[test]
    fn the_lowest_cosine_is_eight_times_the_mean() {
        let block = rounded(&[[0.25; 8]; 8], |i| if i == 0 { 2.0 } else { 1e-3 });
        assert!(block.iter().flatten().all(|value| (value - 0.25).abs() < 1e-4));
    }
}
