//! The loops over the pixels of a tile, on packed channels.

use stn_core::wide::mul_add;
use stn_core::{Real, widest};

use super::places::Places;
use super::warp::{Rows, TILE};

/// Runs a loop with the taps on x and y and those on z known to the compiler, where they are usual ones.
macro_rules! unrolled {
    ($places:expr, $lanes:ident, $loop:ident($($argument:expr),*)) => {
        match ($places.weights[0].len(), $places.weights[2].len()) {
            (1, 1) => $loop::<_, $lanes, 1, 1>($($argument),*),
            (2, 1) => $loop::<_, $lanes, 2, 1>($($argument),*),
            (2, 2) => $loop::<_, $lanes, 2, 2>($($argument),*),
            (4, 1) => $loop::<_, $lanes, 4, 1>($($argument),*),
            _ => $loop::<_, $lanes, 0, 0>($($argument),*),
        }
    };
}

/// What the way back of a tile gives.
pub(super) struct Back<'a, T, const L: usize> {
    /// The gradients to the channels of the tile's pixels.
    pub upstream: &'a [[T; L]],
    /// The packed source, and room for the gradient to the coordinates in pixels: equation 7.
    pub coordinates: Option<(&'a [[T; L]], &'a mut Rows<T>)>,
    /// The gradient to the packed source, to which the tile's part is added: equation 6.
    pub source: Option<&'a mut [[T; L]]>,
}

/// Equation 3 for the pixels of a tile.
pub(super) fn read<T: Real, const L: usize>(places: &Places<'_, T>, strides: [usize; 2], source: &[[T; L]], values: &mut [[T; L]]) {
    unrolled!(places, L, read_taps(places, strides, source, values));
}

/// Equations 6 and 7 for the pixels of a tile.
pub(super) fn back<T: Real, const L: usize>(places: &Places<'_, T>, strides: [usize; 2], back: &mut Back<'_, T, L>) {
    unrolled!(places, L, back_taps(places, strides, back));
}

widest! {
    fn read_taps[T: Real; L, S, Z](places: &Places<'_, T>, strides: [usize; 2], source: &[[T; L]], values: &mut [[T; L]]) = read_body
}

widest! {
    fn back_taps[T: Real; L, S, Z](places: &Places<'_, T>, strides: [usize; 2], back: &mut Back<'_, T, L>) = back_body
}

/// The taps and their weights as the loops want them.
struct Taps<'a, T> {
    first: &'a [u32; TILE],
    weights: [&'a [[T; TILE]]; 3],
    slopes: [&'a [[T; TILE]]; 3],
    /// How far apart rows and planes lie in the packed source.
    strides: [usize; 2],
}

impl<'a, T: Real> Taps<'a, T> {
    #[inline(always)]
    fn new<const S: usize, const Z: usize>(places: &'a Places<'_, T>, strides: [usize; 2]) -> Self {
        let Places { first, weights, slopes, .. } = places;
        let (support, depth) = if S == 0 { (weights[0].len(), weights[2].len()) } else { (S, Z) };
        let cut = |taps: &'a [Vec<[T; TILE]>; 3]| [&taps[0][..support], &taps[1][..support], &taps[2][..depth]];
        Self { first, weights: cut(weights), slopes: cut(slopes), strides }
    }

    /// The packed pixel of the first tap of a row of taps.
    #[inline(always)]
    fn row(&self, i: usize, z: usize, y: usize) -> usize {
        self.first[i] as usize + z * self.strides[1] + y * self.strides[0]
    }
}

#[inline(always)]
fn read_body<T: Real, const L: usize, const S: usize, const Z: usize, const FUSED: bool>(
    places: &Places<'_, T>,
    strides: [usize; 2],
    source: &[[T; L]],
    values: &mut [[T; L]],
) {
    let taps = Taps::new::<S, Z>(places, strides);
    let [wx, wy, wz] = taps.weights;
    for (i, value) in values.iter_mut().enumerate().take(TILE) {
        let mut sum = [T::zero(); L];
        for (z, wz) in wz.iter().enumerate() {
            let mut plane = [T::zero(); L];
            for (y, wy) in wy.iter().enumerate() {
                let row = taps.row(i, z, y);
                let mut line = [T::zero(); L];
                for (x, (wx, tap)) in wx.iter().zip(&source[row..row + wx.len()]).enumerate() {
                    gather::<T, L, FUSED>(&mut line, wx[i], tap, x);
                }
                gather::<T, L, FUSED>(&mut plane, wy[i], &line, y);
            }
            gather::<T, L, FUSED>(&mut sum, wz[i], &plane, z);
        }
        *value = sum;
    }
}

#[inline(always)]
fn back_body<T: Real, const L: usize, const S: usize, const Z: usize, const FUSED: bool>(
    places: &Places<'_, T>,
    strides: [usize; 2],
    back: &mut Back<'_, T, L>,
) {
    let taps = Taps::new::<S, Z>(places, strides);
    if let Some((source, gradient)) = &mut back.coordinates {
        slopes::<T, L, FUSED>(&taps, source, back.upstream, gradient);
    }
    if let Some(gradient) = &mut back.source {
        scatter::<T, L, FUSED>(&taps, back.upstream, gradient);
    }
}

#[inline(always)]
fn scatter<T: Real, const L: usize, const FUSED: bool>(taps: &Taps<'_, T>, upstream: &[[T; L]], gradient: &mut [[T; L]]) {
    let [wx, wy, wz] = taps.weights;
    for (i, upstream) in upstream.iter().enumerate().take(TILE) {
        for (z, wz) in wz.iter().enumerate() {
            for (y, wy) in wy.iter().enumerate() {
                let row = taps.row(i, z, y);
                let upstream = upstream.map(|upstream| upstream * (wz[i] * wy[i]));
                for (wx, pixel) in wx.iter().zip(&mut gradient[row..row + wx.len()]) {
                    gather::<T, L, FUSED>(pixel, wx[i], &upstream, 1);
                }
            }
        }
    }
}

#[inline(always)]
fn slopes<T: Real, const L: usize, const FUSED: bool>(taps: &Taps<'_, T>, source: &[[T; L]], upstream: &[[T; L]], gradient: &mut Rows<T>) {
    let ([wx, wy, wz], [sx, sy, sz]) = (taps.weights, taps.slopes);
    for (i, upstream) in upstream.iter().enumerate().take(TILE) {
        let [mut to_x, mut to_y, mut to_z] = [[T::zero(); L]; 3];
        for (z, (wz, sz)) in wz.iter().zip(sz).enumerate() {
            let [mut plane, mut plane_x, mut plane_y] = [[T::zero(); L]; 3];
            for (y, (wy, sy)) in wy.iter().zip(sy).enumerate() {
                let row = taps.row(i, z, y);
                let [mut line, mut line_x] = [[T::zero(); L]; 2];
                for (x, ((wx, sx), tap)) in wx.iter().zip(sx).zip(&source[row..row + wx.len()]).enumerate() {
                    gather::<T, L, FUSED>(&mut line, wx[i], tap, x);
                    gather::<T, L, FUSED>(&mut line_x, sx[i], tap, x);
                }
                gather::<T, L, FUSED>(&mut plane, wy[i], &line, y);
                gather::<T, L, FUSED>(&mut plane_x, wy[i], &line_x, y);
                gather::<T, L, FUSED>(&mut plane_y, sy[i], &line, y);
            }
            gather::<T, L, FUSED>(&mut to_x, wz[i], &plane_x, z);
            gather::<T, L, FUSED>(&mut to_y, wz[i], &plane_y, z);
            gather::<T, L, FUSED>(&mut to_z, sz[i], &plane, z);
        }
        for (row, to) in gradient.iter_mut().zip([to_x, to_y, to_z]) {
            row[i] = dot(upstream, &to);
        }
    }
}

/// `sum + weight * values`; the first of a sum is not added to anything.
#[inline(always)]
fn gather<T: Real, const L: usize, const FUSED: bool>(sum: &mut [T; L], weight: T, values: &[T; L], nth: usize) {
    for (sum, &value) in sum.iter_mut().zip(values) {
        *sum = if nth == 0 { weight * value } else { mul_add::<T, FUSED>(weight, value, *sum) };
    }
}

/// The sum of products, in halves: lanes beside each other are added as wide as they are.
#[inline(always)]
fn dot<T: Real, const L: usize>(a: &[T; L], b: &[T; L]) -> T {
    let mut products = *a;
    products.iter_mut().zip(b).for_each(|(product, &b)| *product *= b);
    let mut width = L;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            products[i] = products[i] + products[i + width];
        }
    }
    products[0]
}
