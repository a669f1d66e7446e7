//! The gradient to a convolution's own output, from that to what follows it.

use super::super::patches::Geometry;
use super::{Following, Saved};

pub(super) struct Upstream<'a> {
    pub following: Following,
    pub saved: Saved<'a>,
    pub geometry: Geometry,
}

impl Upstream<'_> {
    /// Fills filters x windows with the gradient of image `n`: back through the pooling to the pixel that won, and through the rectification where it let it pass.
    #[inline(always)]
    pub fn spread(&self, n: usize, planes: &mut [f32]) {
        let size = (self.geometry.vertical.output, self.geometry.horizontal.output);
        let (height, width) = self.following.output(size);
        let length = self.geometry.filters * height * width;
        let part = n * length..(n + 1) * length;
        let gradient = &self.saved.upstream[part.clone()];
        let output = if self.following.rectified { &self.saved.output[part.clone()] } else { gradient };
        let passes = |gradient: f32, output: f32| if self.following.rectified && output <= 0.0 { 0.0 } else { gradient };
        let Some((h, w)) = self.following.pool else {
            planes.iter_mut().zip(gradient).zip(output).for_each(|((to, &gradient), &output)| *to = passes(gradient, output));
            return;
        };
        planes.fill(0.0);
        let winners = self.saved.winners[part].chunks_exact(width);
        for (line, ((gradient, output), winners)) in gradient.chunks_exact(width).zip(output.chunks_exact(width)).zip(winners).enumerate() {
            let (filter, y) = (line / height, line % height);
            let top = (filter * size.0 + y * h) * size.1;
            for (x, ((&gradient, &output), &winner)) in gradient.iter().zip(output).zip(winners).enumerate() {
                let (down, right) = if (h, w) == (2, 2) { (winner as usize >> 1, winner as usize & 1) } else { (winner as usize / w, winner as usize % w) };
                planes[top + down * size.1 + x * w + right] = passes(gradient, output);
            }
        }
    }
}

/// The sum of a plane, as sixteen sums beside each other: none waits for another, and the order is fixed.
#[inline(always)]
pub(super) fn sum(plane: &[f32]) -> f32 {
    let (whole, rest) = plane.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for numbers in whole {
        lanes.iter_mut().zip(numbers).for_each(|(lane, &number)| *lane += number);
    }
    lanes.into_iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// The sum of rows of `length` numbers, in order.
pub(super) fn sum_rows(rows: &[f32], length: usize) -> Vec<f32> {
    let mut sum = vec![0.0; length];
    for row in rows.chunks_exact(length) {
        sum.iter_mut().zip(row).for_each(|(sum, &number)| *sum += number);
    }
    sum
}
