//! The loops over the pixels of a tile, on packed channels.

use stn_core::widest;

use super::arithmetic::{Lanes, WIDE};
use super::places::Places;
use super::warp::{Rows, TILE};

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;

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
    /// The packed source, and room for the gradient to the normalised coordinates: equation 7.
    pub coordinates: Option<(&'a [[T; L]], &'a mut Rows<T>)>,
    /// The gradient to the packed source, to which the tile's part is added: equation 6.
    pub source: Option<&'a mut [[T; L]]>,
}

/// Equation 3 for the pixels of a tile.
pub(super) fn read<T: Lanes, const L: usize>(places: &Places<'_, T>, source: &[[T; L]], values: &mut [[T; L]]) {
    unrolled!(places, L, read_taps(places, source, values));
}

/// Equations 6 and 7 for the pixels of a tile.
pub(super) fn back<T: Lanes, const L: usize>(places: &Places<'_, T>, back: &mut Back<'_, T, L>) {
    unrolled!(places, L, back_taps(places, back));
}

widest! {
    fn read_taps[T: Lanes; L, S, Z](places: &Places<'_, T>, source: &[[T; L]], values: &mut [[T; L]]) = read_body
}

widest! {
    fn back_taps[T: Lanes; L, S, Z](places: &Places<'_, T>, back: &mut Back<'_, T, L>) = back_body
}

#[inline(always)]
fn read_body<T: Lanes, const L: usize, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, source: &[[T; L]], values: &mut [[T; L]]) {
    if let (WIDE, 2, 1, Some(two_taps)) = (L, S, Z, T::two_taps::<LEVEL>()) {
        assert!(places.reach() <= source.len());
        let (source, values) = (source.as_flattened().as_chunks().0, values.as_flattened_mut().as_chunks_mut().0);
        // SAFETY: so many taps, of an image; none lies beyond `reach`, which is within the source; and the loop is that of the level.
        return unsafe { (two_taps.read_lanes)(places, source, values) };
    }
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    for (i, value) in values.iter_mut().enumerate().take(TILE) {
        let mut sum = [T::zero(); L];
        for (z, wz) in wz.iter().enumerate() {
            let mut plane = [T::zero(); L];
            for (y, wy) in wy.iter().enumerate() {
                let row = places.first[i] as usize + places.offset([0, y, z]);
                let mut line = [T::zero(); L];
                for (x, (wx, tap)) in wx.iter().zip(&source[row..row + wx.len()]).enumerate() {
                    gather::<T, L, LEVEL>(&mut line, wx[i], tap, x);
                }
                gather::<T, L, LEVEL>(&mut plane, wy[i], &line, y);
            }
            gather::<T, L, LEVEL>(&mut sum, wz[i], &plane, z);
        }
        *value = sum;
    }
}

#[inline(always)]
fn back_body<T: Lanes, const L: usize, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, back: &mut Back<'_, T, L>) {
    if let Some((source, gradient)) = &mut back.coordinates {
        slopes::<T, L, S, Z, LEVEL>(places, source, back.upstream, gradient);
    }
    if let Some(gradient) = &mut back.source {
        scatter::<T, L, S, Z, LEVEL>(places, back.upstream, gradient);
    }
}

#[inline(always)]
fn scatter<T: Lanes, const L: usize, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, upstream: &[[T; L]], gradient: &mut [[T; L]]) {
    if let (WIDE, 2, 1, Some(two_taps)) = (L, S, Z, T::two_taps::<LEVEL>()) {
        assert!(places.reach() <= gradient.len());
        let (upstream, gradient) = (upstream.as_flattened().as_chunks().0, gradient.as_flattened_mut().as_chunks_mut().0);
        // SAFETY: so many taps, of an image; none lies beyond `reach`, which is within the gradient; and the loop is that of the level.
        return unsafe { (two_taps.scatter_lanes)(places, upstream, gradient) };
    }
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    for (i, upstream) in upstream.iter().enumerate().take(TILE) {
        for (z, wz) in wz.iter().enumerate() {
            for (y, wy) in wy.iter().enumerate() {
                let row = places.first[i] as usize + places.offset([0, y, z]);
                let upstream = T::scaled::<L, LEVEL>(wz[i] * wy[i], upstream);
                for (wx, pixel) in wx.iter().zip(&mut gradient[row..row + wx.len()]) {
                    T::add_scaled::<L, LEVEL>(pixel, wx[i], &upstream);
                }
            }
        }
    }
}

#[inline(always)]
fn slopes<T: Lanes, const L: usize, const S: usize, const Z: usize, const LEVEL: usize>(
    places: &Places<'_, T>,
    source: &[[T; L]],
    upstream: &[[T; L]],
    gradient: &mut Rows<T>,
) {
    let ([wx, wy, wz], [sx, sy, sz]) = (places.taps::<S, Z>(&places.weights), places.taps::<S, Z>(&places.slopes));
    let mut done = 0;
    if let (WIDE, 2, 1, Some(two_taps)) = (L, S, Z, T::two_taps::<LEVEL>()) {
        assert!(places.reach() <= source.len());
        let (source, upstream) = (source.as_flattened().as_chunks().0, upstream.as_flattened().as_chunks().0);
        // SAFETY: so many taps, of an image; none lies beyond `reach`, which is within the source; and the loop is that of the level.
        done = unsafe { (two_taps.slopes_of_lanes)(places, source, upstream, gradient) };
    }
    for (i, upstream) in upstream.iter().enumerate().take(TILE).skip(done) {
        let [mut to_x, mut to_y, mut to_z] = [[T::zero(); L]; 3];
        for (z, (wz, sz)) in wz.iter().zip(sz).enumerate() {
            let [mut plane, mut plane_x, mut plane_y] = [[T::zero(); L]; 3];
            for (y, (wy, sy)) in wy.iter().zip(sy).enumerate() {
                let row = places.first[i] as usize + places.offset([0, y, z]);
                let [mut line, mut line_x] = [[T::zero(); L]; 2];
                for (x, ((wx, sx), tap)) in wx.iter().zip(sx).zip(&source[row..row + wx.len()]).enumerate() {
                    gather::<T, L, LEVEL>(&mut line, wx[i], tap, x);
                    gather::<T, L, LEVEL>(&mut line_x, sx[i], tap, x);
                }
                gather::<T, L, LEVEL>(&mut plane, wy[i], &line, y);
                gather::<T, L, LEVEL>(&mut plane_x, wy[i], &line_x, y);
                gather::<T, L, LEVEL>(&mut plane_y, sy[i], &line, y);
            }
            gather::<T, L, LEVEL>(&mut to_x, wz[i], &plane_x, z);
            gather::<T, L, LEVEL>(&mut to_y, wz[i], &plane_y, z);
            gather::<T, L, LEVEL>(&mut to_z, sz[i], &plane, z);
        }
        // An image needs no gradient to z.
        let axes = if S > 1 && Z == 1 { 2 } else { 3 };
        for ((row, jacobian), to) in gradient.iter_mut().zip(&places.jacobian).zip([to_x, to_y, to_z]).take(axes) {
            row[i] = T::dot::<L, LEVEL>(upstream, &to) * jacobian[i];
        }
    }
}

/// `sum + weight * values`; the first of a sum is not added to anything.
#[inline(always)]
fn gather<T: Lanes, const L: usize, const LEVEL: usize>(sum: &mut [T; L], weight: T, values: &[T; L], nth: usize) {
    if nth == 0 {
        *sum = T::scaled::<L, LEVEL>(weight, values);
    } else {
        T::add_scaled::<L, LEVEL>(sum, weight, values);
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

    type Sixteen = [f32; WIDE];

    #[test]
    fn the_loops_for_two_taps_give_the_bits_of_the_general_ones() -> Result<()> {
        let mut draws = Draws(6);
        // A border keeps the kernel from being taken for linear: its weights' own slopes are read then.
        for (boundary, count) in [Boundary::Zeros, Boundary::Border].into_iter().flat_map(|boundary| [1, 15, 16, 17, 100, TILE].map(|count| (boundary, count)))
        {
            let sampler = Sampler { kernel: Arc::new(Bilinear), boundary, align_corners: false };
            let call = Call::new(&sampler, &[1, WIDE, 9, 11], &[1, count])?;
            let packing = Packing::new(&call).unwrap();
            let mut memory = vec![0.0; Places::<f32>::room(&sampler, 2)];
            let mut places = Places::new(&sampler, &packing, &[11, 9], &mut memory);
            let mut rows = zeros();
            rows[..2].iter_mut().flatten().zip(draws.numbers(2 * TILE)).for_each(|(row, x): (_, f32)| *row = 1.3 * x);
            places.place(&rows, count, true);
            let source: Vec<Sixteen> = draws.numbers(WIDE * packing.pixels).as_chunks().0.to_vec();
            let upstream: Vec<Sixteen> = draws.numbers(WIDE * count).as_chunks().0.to_vec();
            let what = format!("{boundary:?}, {count} pixels");

            let (mut read, mut read_generally) = (upstream.clone(), upstream.clone());
            read_taps::<f32, WIDE, 2, 1>(&places, &source, &mut read);
            read_taps::<f32, WIDE, 0, 0>(&places, &source, &mut read_generally);
            assert_eq!(read, read_generally, "{what}");

            let (mut slopes, mut slopes_generally) = (zeros(), zeros());
            let (mut gathered, mut gathered_generally) = (source.clone(), source.clone());
            let mut back = Back { upstream: &upstream, coordinates: Some((&source, &mut slopes)), source: Some(&mut gathered) };
            back_taps::<f32, WIDE, 2, 1>(&places, &mut back);
            let mut back = Back { upstream: &upstream, coordinates: Some((&source, &mut slopes_generally)), source: Some(&mut gathered_generally) };
            back_taps::<f32, WIDE, 0, 0>(&places, &mut back);
            assert_eq!(slopes[..2], slopes_generally[..2], "{what}");
            assert_eq!(gathered, gathered_generally, "{what}");
        }
        Ok(())
    }
}
