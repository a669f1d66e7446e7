//! What follows a convolution while its output is still in the cache: bias, rectification, max pooling.

use std::ops::Range;

use super::layout::Layout;

/// A rectification and a pooling behind a convolution, in either order: they give the same.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Following {
    pub rectified: bool,
    /// Height and width of max-pooling windows side by side, the last ones partly filled where `rounded_up`.
    pub pool: Option<(usize, usize)>,
    pub rounded_up: bool,
}

impl Following {
    /// The size behind the pooling.
    pub fn output(&self, (height, width): (usize, usize)) -> (usize, usize) {
        match self.pool {
            None => (height, width),
            Some((h, w)) if self.rounded_up => (height.div_ceil(h), width.div_ceil(w)),
            Some((h, w)) => (height / h, width / w),
        }
    }

    #[inline(always)]
    fn rectify(&self, x: f32) -> f32 {
        // Not `x > 0`, which would turn NaN into 0.
        if self.rectified && x <= 0.0 { 0.0 } else { x }
    }

    /// Stores one filter's plane of every image of a group, and which pixel won each window. `outputs` and `winners` start at the first image's plane; `image` numbers on is the
    /// next image's, and a plane has `plane` numbers.
    #[inline(always)]
    pub(super) fn store(&self, row: &[f32], layout: &Layout, bias: f32, outputs: &mut [f32], winners: &mut [u8], (image, plane): (usize, usize)) {
        match layout.images {
            1 => self.store_group::<1>(row, layout, bias, outputs, winners, (image, plane)),
            2 => self.store_group::<2>(row, layout, bias, outputs, winners, (image, plane)),
            4 => self.store_group::<4>(row, layout, bias, outputs, winners, (image, plane)),
            8 => self.store_group::<8>(row, layout, bias, outputs, winners, (image, plane)),
            _ => self.store_group::<16>(row, layout, bias, outputs, winners, (image, plane)),
        }
    }

    #[inline(always)]
    fn store_group<const I: usize>(&self, row: &[f32], layout: &Layout, bias: f32, outputs: &mut [f32], winners: &mut [u8], (image, plane): (usize, usize)) {
        let size = layout.output;
        let width = self.output(size).1;
        // The last group may have fewer images.
        let images = (outputs.len() - plane) / image + 1;
        let line = |y: usize| row[y * layout.product_pitch..].as_chunks::<I>().0;
        for y in 0..plane / width {
            let first = y * width;
            match self.pool {
                None if I == 1 => outputs[first..first + width].iter_mut().zip(line(y)).for_each(|(to, from)| *to = self.rectify(from[0] + bias)),
                None => {
                    for (x, pixel) in line(y)[..width].iter().enumerate() {
                        for (i, &number) in pixel.iter().enumerate().take(images) {
                            outputs[i * image + first + x] = self.rectify(number + bias);
                        }
                    }
                }
                Some((h, w)) => {
                    let lines = y * h..size.0.min((y + 1) * h);
                    let mut done = 0;
                    if I == 1 && (h, w) == (2, 2) && lines.len() == 2 {
                        done = size.1 / 2;
                        let part = first..first + done;
                        let (above, below) = (line(lines.start).as_flattened(), line(lines.start + 1).as_flattened());
                        self.pool_pairs(above, below, bias, &mut outputs[part.clone()], &mut winners[part]);
                    }
                    for x in done..width {
                        let best = pool(line, lines.clone(), x * w..size.1.min((x + 1) * w), w);
                        for (i, (number, winner)) in best.into_iter().enumerate().take(images) {
                            let place = i * image + first + x;
                            (outputs[place], winners[place]) = (self.rectify(number + bias), winner as u8);
                        }
                    }
                }
            }
        }
    }

    /// A line of 2 x 2 windows of one image, which the compiler does a vector at a time.
    #[inline(always)]
    fn pool_pairs(&self, above: &[f32], below: &[f32], bias: f32, outputs: &mut [f32], winners: &mut [u8]) {
        let (above, below) = (above.as_chunks::<2>().0, below.as_chunks::<2>().0);
        for (((output, winner), above), below) in outputs.iter_mut().zip(winners).zip(above).zip(below) {
            let mut best = (above[0], 0);
            best = higher(best, (above[1], 1));
            best = higher(best, (below[0], 2));
            best = higher(best, (below[1], 3));
            (*output, *winner) = (self.rectify(best.0 + bias), best.1 as u8);
        }
    }
}

/// The largest number of one window, `width` wide, of every image of a group, and its place in the window, line by line.
#[inline(always)]
fn pool<'a, const I: usize>(line: impl Fn(usize) -> &'a [[f32; I]], lines: Range<usize>, columns: Range<usize>, width: usize) -> [(f32, u32); I] {
    let mut best = [(f32::NEG_INFINITY, 0); I];
    for (v, y) in lines.enumerate() {
        for (u, pixel) in line(y)[columns.clone()].iter().enumerate() {
            for (best, &number) in best.iter_mut().zip(pixel) {
                *best = higher(*best, (number, (v * width + u) as u32));
            }
        }
    }
    best
}

/// The larger of two, the first where they are equal, NaN being larger than everything.
#[inline(always)]
fn higher(best: (f32, u32), other: (f32, u32)) -> (f32, u32) {
    if other.0 > best.0 || other.0.is_nan() { other } else { best }
}
