//! The loops over the pixels of a tile for a single channel: tap by tap, all pixels of the tile side by side.

use stn_core::wide::mul_add;
use stn_core::{Real, widest};

use super::places::Places;
use super::warp::{Rows, TILE};

/// A number for each pixel of a tile.
type Row<T> = [T; TILE];

/// Runs a loop with the taps on x and y and those on z known to the compiler, where they are usual ones.
macro_rules! unrolled {
    ($places:expr, $loop:ident($($argument:expr),*)) => {
        match ($places.weights[0].len(), $places.weights[2].len()) {
            (1, 1) => $loop::<_, 1, 1>($($argument),*),
            (2, 1) => $loop::<_, 2, 1>($($argument),*),
            (4, 1) => $loop::<_, 4, 1>($($argument),*),
            _ => $loop::<_, 0, 0>($($argument),*),
        }
    };
}

/// Equation 3 for the pixels of a tile.
pub(super) fn read<T: Real>(places: &Places<'_, T>, source: &[T], values: &mut [T]) {
    let mut row = [T::zero(); TILE];
    unrolled!(places, read_taps(places, source, &mut row));
    values.copy_from_slice(&row[..values.len()]);
}

/// Equation 7: the gradient to the coordinates in pixels.
pub(super) fn slopes<T: Real>(places: &Places<'_, T>, source: &[T], upstream: &[T], gradient: &mut Rows<T>) {
    unrolled!(places, slopes_of_taps(places, source, &filled(upstream), gradient));
}

/// Equation 6: adds the tile's part to the gradient to the packed source.
pub(super) fn scatter<T: Real>(places: &Places<'_, T>, upstream: &[T], source: &mut [T]) {
    unrolled!(places, scatter_taps(places, &filled(upstream), upstream.len(), source));
}

/// The gradients to a tile's pixels, zero beyond the last.
fn filled<T: Real>(upstream: &[T]) -> Row<T> {
    let mut row = [T::zero(); TILE];
    row[..upstream.len()].copy_from_slice(upstream);
    row
}

widest! {
    fn read_taps[T: Real; S, Z](places: &Places<'_, T>, source: &[T], values: &mut Row<T>) = read_body
}

widest! {
    fn slopes_of_taps[T: Real; S, Z](places: &Places<'_, T>, source: &[T], upstream: &Row<T>, gradient: &mut Rows<T>) = slopes_body
}

widest! {
    fn scatter_taps[T: Real; S, Z](places: &Places<'_, T>, upstream: &Row<T>, len: usize, source: &mut [T]) = scatter_body
}

#[inline(always)]
fn read_body<T: Real, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, source: &[T], values: &mut Row<T>) {
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    let window = places.window(source);
    for (z, wz) in wz.iter().enumerate() {
        let mut plane = [T::zero(); TILE];
        for (y, wy) in wy.iter().enumerate() {
            let mut line = [T::zero(); TILE];
            for (x, wx) in wx.iter().enumerate() {
                let value = fetch(places, window, [x, y, z]);
                gather::<T, LEVEL>(&mut line, wx, &value, x);
            }
            gather::<T, LEVEL>(&mut plane, wy, &line, y);
        }
        gather::<T, LEVEL>(values, wz, &plane, z);
    }
}

#[inline(always)]
fn slopes_body<T: Real, const S: usize, const Z: usize, const LEVEL: usize>(
    places: &Places<'_, T>,
    source: &[T],
    upstream: &Row<T>,
    gradient: &mut Rows<T>,
) {
    let ([wx, wy, wz], [sx, sy, sz]) = (places.taps::<S, Z>(&places.weights), places.taps::<S, Z>(&places.slopes));
    let window = places.window(source);
    let [to_x, to_y, to_z, _] = gradient;
    for (z, (wz, sz)) in wz.iter().zip(sz).enumerate() {
        let [mut plane, mut plane_x, mut plane_y] = [[T::zero(); TILE]; 3];
        for (y, (wy, sy)) in wy.iter().zip(sy).enumerate() {
            let [mut line, mut line_x] = [[T::zero(); TILE]; 2];
            for (x, (wx, sx)) in wx.iter().zip(sx).enumerate() {
                let value = fetch(places, window, [x, y, z]);
                gather::<T, LEVEL>(&mut line, wx, &value, x);
                gather::<T, LEVEL>(&mut line_x, sx, &value, x);
            }
            gather::<T, LEVEL>(&mut plane, wy, &line, y);
            gather::<T, LEVEL>(&mut plane_x, wy, &line_x, y);
            gather::<T, LEVEL>(&mut plane_y, sy, &line, y);
        }
        gather::<T, LEVEL>(to_x, wz, &plane_x, z);
        gather::<T, LEVEL>(to_y, wz, &plane_y, z);
        gather::<T, LEVEL>(to_z, sz, &plane, z);
    }
    for row in [to_x, to_y, to_z] {
        row.iter_mut().zip(upstream).for_each(|(value, &upstream)| *value *= upstream);
    }
}

#[inline(always)]
fn scatter_body<T: Real, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, upstream: &Row<T>, len: usize, source: &mut [T]) {
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    let len = len.min(TILE);
    assert!(places.reach() <= source.len());
    for (z, wz) in wz.iter().enumerate() {
        for (y, wy) in wy.iter().enumerate() {
            let mut line = *upstream;
            line.iter_mut().zip(wy).zip(wz).for_each(|((line, &wy), &wz)| *line = *line * (wy * wz));
            for (x, wx) in wx.iter().enumerate() {
                let mut part = line;
                part.iter_mut().zip(wx).for_each(|(part, &wx)| *part *= wx);
                let offset = places.offset([x, y, z]);
                for (&part, &first) in part[..len].iter().zip(&places.first) {
                    // SAFETY: no tap lies beyond `reach`, which is within the source.
                    *unsafe { source.get_unchecked_mut(first as usize + offset) } += part;
                }
            }
        }
    }
}

/// What one tap of every pixel reads.
#[inline(always)]
fn fetch<T: Real>(places: &Places<'_, T>, window: Window<'_, T>, tap: [usize; 3]) -> Row<T> {
    let offset = places.offset(tap);
    // SAFETY: no tap lies beyond `reach`, which is within the window.
    std::array::from_fn(|i| unsafe { *window.0.get_unchecked(places.first[i] as usize + offset) })
}

/// A packed source that holds every tap of a tile.
#[derive(Clone, Copy)]
struct Window<'a, T>(&'a [T]);

impl<T: Real> Places<'_, T> {
    #[inline(always)]
    fn window<'a>(&self, source: &'a [T]) -> Window<'a, T> {
        assert!(self.reach() <= source.len());
        Window(source)
    }
}

/// `sum + weight * values`; the first of a sum is not added to anything.
#[inline(always)]
fn gather<T: Real, const LEVEL: usize>(sum: &mut Row<T>, weight: &Row<T>, values: &Row<T>, nth: usize) {
    for ((sum, &weight), &value) in sum.iter_mut().zip(weight).zip(values) {
        *sum = if nth == 0 { weight * value } else { mul_add::<T, LEVEL>(weight, value, *sum) };
    }
}
