//! The loops over the pixels of a tile for up to four channels: four pixels side by side, each with its four lanes.

use stn_core::widest;

use super::arithmetic::{Lanes, WIDE, Wide};
use super::places::Places;
use super::single::unrolled;
use super::warp::{Rows, TILE};

/// The four lanes of a pixel.
type Quad<T> = [T; 4];

/// Equation 3 for the pixels of a tile.
pub(super) fn read<T: Lanes>(places: &Places<'_, T>, source: &[Quad<T>], values: &mut [Quad<T>]) {
    unrolled!(places, read_taps(places, source, values));
}

/// Equation 7: the gradient to the normalised coordinates.
pub(super) fn slopes<T: Lanes>(places: &Places<'_, T>, source: &[Quad<T>], upstream: &[Quad<T>], gradient: &mut Rows<T>) {
    unrolled!(places, slopes_of_taps(places, source, upstream, gradient));
}

/// Equation 6: adds the tile's part to the gradient to the packed source.
pub(super) fn scatter<T: Lanes>(places: &Places<'_, T>, upstream: &[Quad<T>], source: &mut [Quad<T>]) {
    unrolled!(places, scatter_taps(places, upstream, source));
}

widest! {
    fn read_taps[T: Lanes; S, Z](places: &Places<'_, T>, source: &[Quad<T>], values: &mut [Quad<T>]) = read_body
}

widest! {
    fn slopes_of_taps[T: Lanes; S, Z](places: &Places<'_, T>, source: &[Quad<T>], upstream: &[Quad<T>], gradient: &mut Rows<T>) = slopes_body
}

widest! {
    fn scatter_taps[T: Lanes; S, Z](places: &Places<'_, T>, upstream: &[Quad<T>], source: &mut [Quad<T>]) = scatter_body
}

#[inline(always)]
fn read_body<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, source: &[Quad<T>], values: &mut [Quad<T>]) {
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    assert!(places.reach() <= source.len());
    for (i, values) in values.chunks_mut(4).enumerate().take(TILE / 4) {
        let mut sum = [T::zero(); WIDE];
        for (z, wz) in wz.iter().enumerate() {
            let mut plane = [T::zero(); WIDE];
            for (y, wy) in wy.iter().enumerate() {
                let mut line = [T::zero(); WIDE];
                for (x, wx) in wx.iter().enumerate() {
                    // SAFETY: no tap lies beyond `reach`, which is within the source.
                    let tap = unsafe { T::fetch_quads::<LEVEL>(source.as_ptr().add(places.offset([x, y, z])), part(&places.first, i)) };
                    gather::<T, LEVEL>(&mut line, &spread::<T, LEVEL>(wx, i), &tap, x);
                }
                gather::<T, LEVEL>(&mut plane, &spread::<T, LEVEL>(wy, i), &line, y);
            }
            gather::<T, LEVEL>(&mut sum, &spread::<T, LEVEL>(wz, i), &plane, z);
        }
        match <&mut Wide<T>>::try_from(values.as_flattened_mut()) {
            Ok(all) => *all = sum,
            Err(_) => values.iter_mut().zip(sum.as_chunks().0).for_each(|(value, sum)| *value = *sum),
        }
    }
}

#[inline(always)]
fn slopes_body<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(
    places: &Places<'_, T>,
    source: &[Quad<T>],
    upstream: &[Quad<T>],
    gradient: &mut Rows<T>,
) {
    let ([wx, wy, wz], [sx, sy, sz]) = (places.taps::<S, Z>(&places.weights), places.taps::<S, Z>(&places.slopes));
    assert!(places.reach() <= source.len());
    for (i, upstream) in upstream.chunks(4).enumerate().take(TILE / 4) {
        let [mut to_x, mut to_y, mut to_z] = [[T::zero(); WIDE]; 3];
        for (z, (wz, sz)) in wz.iter().zip(sz).enumerate() {
            let [mut plane, mut plane_x, mut plane_y] = [[T::zero(); WIDE]; 3];
            for (y, (wy, sy)) in wy.iter().zip(sy).enumerate() {
                let [mut line, mut line_x] = [[T::zero(); WIDE]; 2];
                for (x, (wx, sx)) in wx.iter().zip(sx).enumerate() {
                    // SAFETY: no tap lies beyond `reach`, which is within the source.
                    let tap = unsafe { T::fetch_quads::<LEVEL>(source.as_ptr().add(places.offset([x, y, z])), part(&places.first, i)) };
                    gather::<T, LEVEL>(&mut line, &spread::<T, LEVEL>(wx, i), &tap, x);
                    gather::<T, LEVEL>(&mut line_x, &spread::<T, LEVEL>(sx, i), &tap, x);
                }
                let (wy, sy) = (spread::<T, LEVEL>(wy, i), spread::<T, LEVEL>(sy, i));
                gather::<T, LEVEL>(&mut plane, &wy, &line, y);
                gather::<T, LEVEL>(&mut plane_x, &wy, &line_x, y);
                gather::<T, LEVEL>(&mut plane_y, &sy, &line, y);
            }
            let (wz, sz) = (spread::<T, LEVEL>(wz, i), spread::<T, LEVEL>(sz, i));
            gather::<T, LEVEL>(&mut to_x, &wz, &plane_x, z);
            gather::<T, LEVEL>(&mut to_y, &wz, &plane_y, z);
            gather::<T, LEVEL>(&mut to_z, &sz, &plane, z);
        }
        let upstream = padded(upstream);
        // An image needs no gradient to z.
        let axes = if S > 1 && Z == 1 { 2 } else { 3 };
        for ((row, jacobian), to) in gradient.iter_mut().zip(&places.jacobian).zip([to_x, to_y, to_z]).take(axes) {
            let mut sums = T::sums_of_quads::<LEVEL>(&T::times::<LEVEL>(&to, &upstream));
            sums.iter_mut().zip(part(jacobian, i)).for_each(|(sum, &jacobian)| *sum *= jacobian);
            row.as_chunks_mut().0[i] = sums;
        }
    }
}

#[inline(always)]
fn scatter_body<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, upstream: &[Quad<T>], source: &mut [Quad<T>]) {
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    assert!(places.reach() <= source.len());
    for (i, upstream) in upstream.chunks(4).enumerate().take(TILE / 4) {
        let upstream = padded(upstream);
        for (z, wz) in wz.iter().enumerate() {
            let plane = T::times::<LEVEL>(&spread::<T, LEVEL>(wz, i), &upstream);
            for (y, wy) in wy.iter().enumerate() {
                let line = T::times::<LEVEL>(&spread::<T, LEVEL>(wy, i), &plane);
                for (x, wx) in wx.iter().enumerate() {
                    let values = T::times::<LEVEL>(&spread::<T, LEVEL>(wx, i), &line);
                    // SAFETY: no tap lies beyond `reach`, which is within the source.
                    unsafe { T::scatter_quads::<LEVEL>(source.as_mut_ptr().add(places.offset([x, y, z])), part(&places.first, i), &values) };
                }
            }
        }
    }
}

/// The numbers of the pixels from `4 * i` on.
#[inline(always)]
fn part<T>(row: &[T; TILE], i: usize) -> &[T; 4] {
    &row.as_chunks().0[i]
}

/// The numbers of the pixels from `4 * i` on, each for all lanes of its pixel.
#[inline(always)]
fn spread<T: Lanes, const LEVEL: usize>(row: &[T; TILE], i: usize) -> Wide<T> {
    T::spread::<LEVEL>(part(row, i))
}

/// Four pixels, zero beyond the last.
#[inline(always)]
fn padded<T: Lanes>(values: &[Quad<T>]) -> Wide<T> {
    super::arithmetic::padded(values.as_flattened())
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
