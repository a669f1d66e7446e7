//! The loops over the pixels of a tile for up to four channels: sixteen pixels at a time, four of them side by side, each with its four lanes.

use stn_core::widest;

use super::arithmetic::{Lanes, WIDE, Wide, fourths, padded};
use super::places::Places;
use super::single::{is_image, part, unrolled};
use super::warp::{Rows, TILE};

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;

/// The four lanes of a pixel.
pub(super) type Quad<T> = [T; 4];

/// Some pixels of channels, each channel's from the first of them on.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a, T> {
    /// From the first channel's first pixel to the last channel's last.
    pub numbers: &'a [T],
    /// From one channel to the next.
    pub stride: usize,
    /// How many of each channel.
    pub count: usize,
}

/// Equation 3 for the `count` pixels of a tile: to where they begin in the channels' planes, which lie `stride` apart.
pub(super) fn read<T: Lanes>(places: &Places<'_, T>, source: &[Quad<T>], values: &mut [T], stride: usize, count: usize) {
    unrolled!(places, read_taps(places, source, values, stride, count));
}

/// A packed source, and room for the gradient to the normalised coordinates at which it is read.
pub(super) type Slopes<'a, T> = (&'a [Quad<T>], &'a mut Rows<T>);

/// Equations 6 and 7: the gradient to the normalised coordinates, and the tile's part of that to the packed source, which is added to it; each where it is wanted.
pub(super) fn back<T: Lanes>(places: &Places<'_, T>, upstream: Pixels<'_, T>, coordinates: Option<Slopes<'_, T>>, source: Option<&mut [Quad<T>]>) {
    unrolled!(places, back_taps(places, upstream, coordinates, source));
}

widest! {
    fn read_taps[T: Lanes; S, Z](places: &Places<'_, T>, source: &[Quad<T>], values: &mut [T], stride: usize, count: usize) = read_body
}

widest! {
    fn back_taps[T: Lanes; S, Z](places: &Places<'_, T>, upstream: Pixels<'_, T>, coordinates: Option<Slopes<'_, T>>, source: Option<&mut [Quad<T>]>) = back_body
}

#[inline(always)]
fn read_body<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(
    places: &Places<'_, T>,
    source: &[Quad<T>],
    values: &mut [T],
    stride: usize,
    count: usize,
) {
    assert!(places.reach() <= source.len());
    if let (2, 1, Some(two_taps)) = (S, Z, T::two_taps::<LEVEL>()) {
        // SAFETY: so many taps, of an image; none lies beyond `reach`, which is within the source; and the loops are those of the level.
        return unsafe { (two_taps.read_quads)(places, source, values, stride, count) };
    }
    for i in 0..count.div_ceil(WIDE).min(TILE / WIDE) {
        // SAFETY: no tap lies beyond `reach`, which is within the source.
        let quads = unsafe {
            [
                read_four::<T, 0, S, Z, LEVEL>(places, source, i),
                read_four::<T, 1, S, Z, LEVEL>(places, source, i),
                read_four::<T, 2, S, Z, LEVEL>(places, source, i),
                read_four::<T, 3, S, Z, LEVEL>(places, source, i),
            ]
        };
        for (values, channel) in values.chunks_mut(stride).zip(&T::squares::<LEVEL>(&quads)) {
            let values = &mut values[WIDE * i..count];
            match values.first_chunk_mut() {
                Some(all) => *all = *channel,
                None => values.copy_from_slice(&channel[..values.len()]),
            }
        }
    }
}

/// Every fourth of the pixels from `WIDE * i` on, counted from `FIRST`.
///
/// # Safety
///
/// The taps lie within the source.
#[inline(always)]
unsafe fn read_four<T: Lanes, const FIRST: usize, const S: usize, const Z: usize, const LEVEL: usize>(
    places: &Places<'_, T>,
    source: &[Quad<T>],
    i: usize,
) -> Wide<T> {
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    let at = fourths::<FIRST>(part(&places.first, i));
    let mut sum = [T::zero(); WIDE];
    for (z, wz) in wz.iter().enumerate() {
        let mut plane = [T::zero(); WIDE];
        for (y, wy) in wy.iter().enumerate() {
            let mut line = [T::zero(); WIDE];
            for (x, wx) in wx.iter().enumerate() {
                // SAFETY: as the caller promises.
                let tap = unsafe { fetch::<T, LEVEL>(places, source, at, [x, y, z]) };
                gather::<T, LEVEL>(&mut line, &T::spread::<FIRST, LEVEL>(part(wx, i)), &tap, x);
            }
            gather::<T, LEVEL>(&mut plane, &T::spread::<FIRST, LEVEL>(part(wy, i)), &line, y);
        }
        if is_image(S, Z) {
            return plane;
        }
        gather::<T, LEVEL>(&mut sum, &T::spread::<FIRST, LEVEL>(part(wz, i)), &plane, z);
    }
    sum
}

#[inline(always)]
fn back_body<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(
    places: &Places<'_, T>,
    upstream: Pixels<'_, T>,
    coordinates: Option<Slopes<'_, T>>,
    source: Option<&mut [Quad<T>]>,
) {
    assert!(
        coordinates.as_ref().is_none_or(|(source, _)| places.reach() <= source.len()) && source.as_ref().is_none_or(|source| places.reach() <= source.len())
    );
    if let (2, 1, Some(two_taps)) = (S, Z, T::two_taps::<LEVEL>()) {
        // SAFETY: so many taps, of an image; none lies beyond `reach`, which is within the sources; and the loop is that of the level.
        return unsafe { (two_taps.back_of_quads)(places, upstream, coordinates, source) };
    }
    if let Some((source, gradient)) = coordinates {
        slopes::<T, S, Z, LEVEL>(places, source, upstream, gradient);
    }
    if let Some(source) = source {
        scatter::<T, S, Z, LEVEL>(places, upstream, source);
    }
}

/// Equation 7.
#[inline(always)]
fn slopes<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(
    places: &Places<'_, T>,
    source: &[Quad<T>],
    upstream: Pixels<'_, T>,
    gradient: &mut Rows<T>,
) {
    assert!(places.reach() <= source.len());
    // An image needs no gradient to z.
    let axes = if is_image(S, Z) { 2 } else { 3 };
    for i in 0..upstream.count.div_ceil(WIDE).min(TILE / WIDE) {
        let upstream = T::squares::<LEVEL>(&upstream.channels(i));
        // SAFETY: no tap lies beyond `reach`, which is within the source.
        let slopes = unsafe {
            [
                slopes_of_four::<T, 0, S, Z, LEVEL>(places, source, i),
                slopes_of_four::<T, 1, S, Z, LEVEL>(places, source, i),
                slopes_of_four::<T, 2, S, Z, LEVEL>(places, source, i),
                slopes_of_four::<T, 3, S, Z, LEVEL>(places, source, i),
            ]
        };
        for (axis, (row, jacobian)) in gradient.iter_mut().zip(&places.jacobian).enumerate().take(axes) {
            let mut products = upstream;
            for (product, slopes) in products.iter_mut().zip(&slopes) {
                *product = T::times::<LEVEL>(&slopes[axis], product);
            }
            let [a, b, c, d] = T::squares::<LEVEL>(&products);
            let sum = T::plus::<LEVEL>(&T::plus::<LEVEL>(&a, &c), &T::plus::<LEVEL>(&b, &d));
            row.as_chunks_mut().0[i] = T::times::<LEVEL>(&sum, part(jacobian, i));
        }
    }
}

/// The slopes on x, y (and z) of every fourth of the pixels from `WIDE * i` on, counted from `FIRST`.
///
/// # Safety
///
/// The taps lie within the source.
#[inline(always)]
unsafe fn slopes_of_four<T: Lanes, const FIRST: usize, const S: usize, const Z: usize, const LEVEL: usize>(
    places: &Places<'_, T>,
    source: &[Quad<T>],
    i: usize,
) -> [Wide<T>; 3] {
    let ([wx, wy, wz], [sx, sy, sz]) = (places.taps::<S, Z>(&places.weights), places.taps::<S, Z>(&places.slopes));
    let at = fourths::<FIRST>(part(&places.first, i));
    let [mut to_x, mut to_y, mut to_z] = [[T::zero(); WIDE]; 3];
    for (z, (wz, sz)) in wz.iter().zip(sz).enumerate() {
        let [mut plane, mut plane_x, mut plane_y] = [[T::zero(); WIDE]; 3];
        for (y, (wy, sy)) in wy.iter().zip(sy).enumerate() {
            let [mut line, mut line_x] = [[T::zero(); WIDE]; 2];
            for (x, (wx, sx)) in wx.iter().zip(sx).enumerate() {
                // SAFETY: as the caller promises.
                let tap = unsafe { fetch::<T, LEVEL>(places, source, at, [x, y, z]) };
                gather::<T, LEVEL>(&mut line, &T::spread::<FIRST, LEVEL>(part(wx, i)), &tap, x);
                gather::<T, LEVEL>(&mut line_x, &T::spread::<FIRST, LEVEL>(part(sx, i)), &tap, x);
            }
            let (wy, sy) = (T::spread::<FIRST, LEVEL>(part(wy, i)), T::spread::<FIRST, LEVEL>(part(sy, i)));
            gather::<T, LEVEL>(&mut plane, &wy, &line, y);
            gather::<T, LEVEL>(&mut plane_x, &wy, &line_x, y);
            gather::<T, LEVEL>(&mut plane_y, &sy, &line, y);
        }
        if is_image(S, Z) {
            return [plane_x, plane_y, to_z];
        }
        let (wz, sz) = (T::spread::<FIRST, LEVEL>(part(wz, i)), T::spread::<FIRST, LEVEL>(part(sz, i)));
        gather::<T, LEVEL>(&mut to_x, &wz, &plane_x, z);
        gather::<T, LEVEL>(&mut to_y, &wz, &plane_y, z);
        gather::<T, LEVEL>(&mut to_z, &sz, &plane, z);
    }
    [to_x, to_y, to_z]
}

/// Equation 6.
#[inline(always)]
fn scatter<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, upstream: Pixels<'_, T>, source: &mut [Quad<T>]) {
    assert!(places.reach() <= source.len());
    for i in 0..upstream.count.div_ceil(WIDE).min(TILE / WIDE) {
        let upstream = T::squares::<LEVEL>(&upstream.channels(i));
        // SAFETY: no tap lies beyond `reach`, which is within the source.
        unsafe {
            scatter_four::<T, 0, S, Z, LEVEL>(places, &upstream[0], i, source);
            scatter_four::<T, 1, S, Z, LEVEL>(places, &upstream[1], i, source);
            scatter_four::<T, 2, S, Z, LEVEL>(places, &upstream[2], i, source);
            scatter_four::<T, 3, S, Z, LEVEL>(places, &upstream[3], i, source);
        }
    }
}

/// The part of every fourth of the pixels from `WIDE * i` on, counted from `FIRST`.
///
/// # Safety
///
/// The taps lie within the source.
#[inline(always)]
unsafe fn scatter_four<T: Lanes, const FIRST: usize, const S: usize, const Z: usize, const LEVEL: usize>(
    places: &Places<'_, T>,
    upstream: &Wide<T>,
    i: usize,
    source: &mut [Quad<T>],
) {
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    let at = fourths::<FIRST>(part(&places.first, i));
    for (z, wz) in wz.iter().enumerate() {
        let plane = if is_image(S, Z) { *upstream } else { T::times::<LEVEL>(&T::spread::<FIRST, LEVEL>(part(wz, i)), upstream) };
        for (y, wy) in wy.iter().enumerate() {
            let line = T::times::<LEVEL>(&T::spread::<FIRST, LEVEL>(part(wy, i)), &plane);
            for (x, wx) in wx.iter().enumerate() {
                let values = T::times::<LEVEL>(&T::spread::<FIRST, LEVEL>(part(wx, i)), &line);
                // SAFETY: as the caller promises.
                unsafe { T::scatter_quads::<LEVEL>(source.as_mut_ptr().add(places.offset([x, y, z])), at, &values) };
            }
        }
    }
}

impl<T: Lanes> Pixels<'_, T> {
    /// Of every channel the pixels from `WIDE * i` on, zero beyond the last; without a channel all zero.
    #[inline(always)]
    fn channels(&self, i: usize) -> [Wide<T>; 4] {
        let mut channels = [[T::zero(); WIDE]; 4];
        for (channel, numbers) in channels.iter_mut().zip(self.numbers.chunks(self.stride)) {
            *channel = padded(&numbers[WIDE * i..self.count.min(WIDE * (i + 1))]);
        }
        channels
    }
}

/// A tap of four pixels, whose first taps are at these places.
///
/// # Safety
///
/// The tap lies within the source.
#[inline(always)]
unsafe fn fetch<T: Lanes, const LEVEL: usize>(places: &Places<'_, T>, source: &[Quad<T>], at: [u32; 4], tap: [usize; 3]) -> Wide<T> {
    // SAFETY: as the caller promises.
    unsafe { T::fetch_quads::<4, LEVEL>(source.as_ptr().add(places.offset(tap)).cast(), at) }
}

/// `sum + weight * values`; the first of a sum is not added to anything.
#[inline(always)]
fn gather<T: Lanes, const LEVEL: usize>(sum: &mut Wide<T>, weight: &Wide<T>, values: &Wide<T>, nth: usize) {
    if nth == 0 {
        *sum = T::times::<LEVEL>(weight, values);
    } else {
        T::add_times::<LEVEL>(sum, weight, values);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Result;
    use stn_core::Boundary;
    use stn_sampler_bilinear::Bilinear;

    use super::super::Sampler;
    use super::super::packed::Packing;
    use super::super::plain::Call;
    use super::super::tests::Draws;
    use super::super::warp::zeros;
    use super::*;

    type BackTaps = fn(&Places<'_, f32>, Pixels<'_, f32>, Option<Slopes<'_, f32>>, Option<&mut [Quad<f32>]>);

    #[test]
    fn the_loops_for_two_taps_give_the_bits_of_the_general_ones() -> Result<()> {
        let mut draws = Draws(5);
        let sampler = Sampler { kernel: Arc::new(Bilinear), boundary: Boundary::Zeros, align_corners: false };
        for (channels, count) in (2..=4).flat_map(|channels| [1, 15, 16, 17, 100, TILE].map(|count| (channels, count))) {
            let call = Call::new(&sampler, &[1, channels, 9, 11], &[1, count])?;
            let packing = Packing::new(&call).unwrap();
            let mut memory = vec![0.0; Places::<f32>::room(&sampler, 2)];
            let mut places = Places::new(&sampler, &packing, &[11, 9], &mut memory);
            let mut rows = zeros();
            rows[..2].iter_mut().flatten().zip(draws.numbers(2 * TILE)).for_each(|(row, x): (_, f32)| *row = 1.3 * x);
            places.place(&rows, count, true);
            let source: Vec<Quad<f32>> = draws.numbers(4 * packing.pixels).as_chunks().0.to_vec();
            // A few numbers between the channels: nothing may be written there.
            let stride = count + 3;
            let numbers: Vec<f32> = draws.numbers(channels * stride);
            let upstream = Pixels { numbers: &numbers, stride, count };

            let (mut read, mut read_generally) = (numbers.clone(), numbers.clone());
            read_taps::<f32, 2, 1>(&places, &source, &mut read, stride, count);
            read_taps::<f32, 0, 0>(&places, &source, &mut read_generally, stride, count);
            assert_eq!(read, read_generally, "{channels} channels, {count} pixels");

            // Both gradients, and each by itself.
            for (to_coordinates, to_source) in [(true, true), (true, false), (false, true)] {
                let back = |back: BackTaps| {
                    let (mut slopes, mut gathered) = (zeros(), source.clone());
                    back(&places, upstream, to_coordinates.then_some((&source, &mut slopes)), to_source.then_some(&mut gathered));
                    (slopes, gathered)
                };
                let (special, general) = (back(back_taps::<f32, 2, 1>), back(back_taps::<f32, 0, 0>));
                assert_eq!(special.0[..2], general.0[..2], "{channels} channels, {count} pixels, {to_coordinates} and {to_source}");
                assert_eq!(special.1, general.1, "{channels} channels, {count} pixels, {to_coordinates} and {to_source}");
            }
        }
        Ok(())
    }
}
