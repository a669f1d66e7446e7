//! What follows a convolution while its output is still in the cache: bias, rectification, max pooling.

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
        for y in 0..plane / width {
            match self.pool {
                None => {
                    let pixels = row[y * layout.product_pitch..].as_chunks::<I>().0;
                    if I == 1 {
                        let line = &mut outputs[y * width..][..width];
                        line.iter_mut().zip(pixels).for_each(|(to, from)| *to = self.rectify(from[0] + bias));
                    } else {
                        for (x, pixel) in pixels[..width].iter().enumerate() {
                            for (i, &number) in pixel.iter().enumerate().take(images) {
                                outputs[i * image + y * width + x] = self.rectify(number + bias);
                            }
                        }
                    }
                }
                Some((h, w)) => {
                    let lines = y * h..size.0.min((y + 1) * h);
                    let line = |y: usize| row[y * layout.product_pitch..].as_chunks::<I>().0;
                    let pair = (h, w) == (2, 2) && lines.len() == 2;
                    let (above, below) = (line(lines.start), line(if pair { lines.start + 1 } else { lines.start }));
                    let mut done = 0;
                    if I == 1 && pair {
                        done = size.1 / 2;
                        let part = y * width..y * width + done;
                        self.pool_pairs(above.as_flattened(), below.as_flattened(), bias, &mut outputs[part.clone()], &mut winners[part]);
                    }
                    for x in done..width {
                        let columns = x * w..size.1.min((x + 1) * w);
                        let mut best = [(f32::NEG_INFINITY, 0_u32); I];
                        if pair && columns.len() == 2 {
                            let [first, second] = [columns.start, columns.start + 1];
                            for (i, best) in best.iter_mut().enumerate() {
                                *best = (above[first][i], 0);
                                *best = higher(*best, (above[second][i], 1));
                                *best = higher(*best, (below[first][i], 2));
                                *best = higher(*best, (below[second][i], 3));
                            }
                        } else {
                            for (v, y) in lines.clone().enumerate() {
                                for (u, x) in columns.clone().enumerate() {
                                    for (i, best) in best.iter_mut().enumerate() {
                                        *best = higher(*best, (line(y)[x][i], (v * w + u) as u32));
                                    }
                                }
                            }
                        }
                        for (i, (number, winner)) in best.into_iter().enumerate().take(images) {
                            let place = i * image + y * width + x;
                            (outputs[place], winners[place]) = (self.rectify(number + bias), winner as u8);
                        }
                    }
                }
            }
        }
    }
}

impl Following {
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

/// The larger of two, the first where they are equal, NaN being larger than everything.
#[inline(always)]
fn higher(best: (f32, u32), other: (f32, u32)) -> (f32, u32) {
    if other.0 > best.0 || other.0.is_nan() { other } else { best }
}
