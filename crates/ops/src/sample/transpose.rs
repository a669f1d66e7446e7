//! Between planes, a channel after the other, and lanes, the channels of a pixel side by side.

use stn_core::widest;

use super::arithmetic::{Lanes, WIDE};

widest! {
    /// Gathers a run of pixels: `lanes[i][c] = planes[c * stride + i]`, zero where the planes end before channel `c`.
    pub(super) fn to_lanes[T: Lanes; L](planes: &[T], stride: usize, lanes: &mut [[T; L]]) = to_lanes_body
}

widest! {
    /// The way back: `planes[c * stride + i] = lanes[i][c]`, but for channels beyond the planes' end.
    pub(super) fn from_lanes[T: Lanes; L](lanes: &[[T; L]], stride: usize, planes: &mut [T]) = from_lanes_body
}

/// The side of the squares that are turned at once.
const SIDE: usize = 4;

#[inline(always)]
pub(super) fn to_lanes_body<T: Lanes, const L: usize, const LEVEL: usize>(planes: &[T], stride: usize, lanes: &mut [[T; L]]) {
    if L == 1 {
        return copy(planes, lanes.as_flattened_mut());
    }
    let pixels = lanes.len();
    let (squares, rest) = lanes.as_chunks_mut::<SIDE>();
    // Where no lane is without a channel, all of them at once; below then only what is left of the pixels.
    let squared = if L == WIDE && planes.len() >= (L - 1) * stride + pixels { pixels / WIDE } else { 0 };
    for i in 0..squared {
        // SAFETY: sixteen pixels of every channel, and as many lanes.
        unsafe { T::put_square::<LEVEL>(planes.as_ptr().add(i * WIDE), stride, squares.as_mut_ptr().cast::<T>().add(i * WIDE * L)) };
    }
    let mut channels = planes.chunks(stride);
    for first in (0..L).step_by(SIDE) {
        // A row without a channel is empty.
        let rows: [_; SIDE] = std::array::from_fn(|_| channels.next().map_or(&[][..], |plane| &plane[..pixels]));
        // Runs of sixteen pixels, then of four, then what is left.
        let runs = rows.map(|row| row.as_chunks::<WIDE>().0);
        let none = [T::zero(); WIDE];
        let whole = pixels / WIDE;
        for i in squared..whole {
            let run = runs.map(|row| row.get(i).unwrap_or(&none));
            // SAFETY: lane `first` and three more of the sixteen pixels from `WIDE * i` on.
            unsafe { T::put_columns::<LEVEL>(run, squares.as_mut_ptr().cast::<T>().add(i * WIDE * L + first), L) };
        }
        let rows = rows.map(|row| row.as_chunks::<SIDE>());
        for (i, square) in squares.iter_mut().enumerate().skip(whole * WIDE / SIDE) {
            let turned = T::turned(rows.map(|(row, _)| row.get(i).copied().unwrap_or_default()));
            for (pixel, values) in square.iter_mut().zip(&turned) {
                pixel[first..first + SIDE].copy_from_slice(values);
            }
        }
        for (i, pixel) in rest.iter_mut().enumerate() {
            pixel[first..first + SIDE].copy_from_slice(&rows.map(|(_, row)| row.get(i).copied().unwrap_or_default()));
        }
    }
}

#[inline(always)]
pub(super) fn from_lanes_body<T: Lanes, const L: usize, const LEVEL: usize>(lanes: &[[T; L]], stride: usize, planes: &mut [T]) {
    if L == 1 {
        return copy(lanes.as_flattened(), planes);
    }
    let pixels = lanes.len();
    let (squares, rest) = lanes.as_chunks::<SIDE>();
    let mut channels = planes.chunks_mut(stride);
    for first in (0..L).step_by(SIDE) {
        let mut rows: [_; SIDE] = std::array::from_fn(|_| channels.next().map_or(&mut [][..], |plane| &mut plane[..pixels]));
        let whole = pixels / WIDE;
        for i in 0..whole {
            // SAFETY: lane `first` and three more of the sixteen pixels from `WIDE * i` on.
            let run = unsafe { T::take_columns::<LEVEL>(squares.as_ptr().cast::<T>().add(i * WIDE * L + first), L) };
            for (row, values) in rows.iter_mut().zip(&run) {
                if let Some(to) = row.as_chunks_mut().0.get_mut(i) {
                    *to = *values;
                }
            }
        }
        let mut rows = rows.map(|row| row.as_chunks_mut::<SIDE>());
        for (i, square) in squares.iter().enumerate().skip(whole * WIDE / SIDE) {
            let turned = T::turned(std::array::from_fn(|pixel| std::array::from_fn(|c| square[pixel][first + c])));
            for ((row, _), values) in rows.iter_mut().zip(turned) {
                if let Some(to) = row.get_mut(i) {
                    *to = values;
                }
            }
        }
        for (i, pixel) in rest.iter().enumerate() {
            for ((_, row), &value) in rows.iter_mut().zip(&pixel[first..]) {
                if let Some(to) = row.get_mut(i) {
                    *to = value;
                }
            }
        }
    }
}

/// Copies the first of as many numbers as both have: runs are short, and a call for each would cost more than the loop.
#[inline(always)]
fn copy<T: Lanes>(from: &[T], to: &mut [T]) {
    let length = from.len().min(to.len());
    let (from, to) = (&from[..length], &mut to[..length]);
    // The last vector begins early enough to be a whole one.
    let (Some(last), Some(last_to)) = (from.last_chunk::<WIDE>().copied(), to.last_chunk_mut::<WIDE>()) else {
        return to.copy_from_slice(from);
    };
    *last_to = last;
    for (from, to) in from.as_chunks::<WIDE>().0.iter().zip(to.as_chunks_mut().0) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Channels, pixels, and from one channel to the next.
    const SHAPES: [(usize, usize, usize); 6] = [(16, 16, 16), (16, 35, 35), (16, 50, 61), (13, 35, 40), (16, 3, 7), (1, 33, 33)];

    #[test]
    fn planes_become_lanes_and_lanes_planes() {
        for (channels, pixels, stride) in SHAPES {
            let planes: Vec<f32> = (0..(channels - 1) * stride + pixels).map(|i| i as f32 + 1.0).collect();
            let mut lanes = vec![[-1.0; WIDE]; pixels];
            to_lanes(&planes, stride, &mut lanes);
            for (i, pixel) in lanes.iter().enumerate() {
                let expected: [f32; WIDE] = std::array::from_fn(|c| if c < channels { planes[c * stride + i] } else { 0.0 });
                assert_eq!(*pixel, expected, "pixel {i} of {channels} x {pixels}, {stride} apart");
            }
            // What lies between the channels stays.
            let mut back = planes.clone();
            back.chunks_mut(stride).for_each(|plane| plane[..pixels].fill(0.0));
            from_lanes(&lanes, stride, &mut back);
            assert_eq!(back, planes);
        }
    }
}
