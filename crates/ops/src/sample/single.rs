//! The loops over the pixels of a tile for a single channel: tap by tap, all pixels of the tile side by side.

use stn_core::widest;

use super::arithmetic::{Lanes, WIDE, Wide, padded};
use super::places::Places;
use super::warp::{Rows, TILE};

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
pub(super) use unrolled;

/// Equation 3 for the pixels of a tile.
pub(super) fn read<T: Lanes>(places: &Places<'_, T>, source: &[T], values: &mut [T]) {
    unrolled!(places, read_taps(places, source, values));
}

/// Equation 7: the gradient to the normalised coordinates.
pub(super) fn slopes<T: Lanes>(places: &Places<'_, T>, source: &[T], upstream: &[T], gradient: &mut Rows<T>) {
    unrolled!(places, slopes_of_taps(places, source, upstream, gradient));
}

/// Equation 6: adds the tile's part to the gradient to the packed source, kept in cells until they are [folded](fold): the numbers of cell `p` belong to the pixels
/// `p`, `p + 1`, `p + below` and `p + below + 1`, where [`below`](Places::below) is a row for two taps on an axis.
///
/// The taps of a pixel go to a cell at once, and pixels beside each other go to different cells or to the same, never to half of one: no addition waits for the one
/// before to arrive in memory.
pub(super) fn scatter<T: Lanes>(places: &Places<'_, T>, upstream: &[T], cells: &mut [[T; 4]]) {
    unrolled!(places, scatter_taps(places, upstream, cells));
}

widest! {
    fn read_taps[T: Lanes; S, Z](places: &Places<'_, T>, source: &[T], values: &mut [T]) = read_body
}

widest! {
    fn slopes_of_taps[T: Lanes; S, Z](places: &Places<'_, T>, source: &[T], upstream: &[T], gradient: &mut Rows<T>) = slopes_body
}

widest! {
    fn scatter_taps[T: Lanes; S, Z](places: &Places<'_, T>, upstream: &[T], cells: &mut [[T; 4]]) = scatter_body
}

#[inline(always)]
fn read_body<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, source: &[T], values: &mut [T]) {
    let window = places.window(source);
    let (whole, rest) = values.as_chunks_mut();
    // A vector is stored as one: a loop that serves the last few, too, would become a call of `memcpy` for each.
    for (i, values) in whole.iter_mut().enumerate().take(TILE / WIDE) {
        *values = read_wide::<T, S, Z, LEVEL>(places, window, i);
    }
    if !rest.is_empty() && whole.len() < TILE / WIDE {
        let sum = read_wide::<T, S, Z, LEVEL>(places, window, whole.len());
        rest.copy_from_slice(&sum[..rest.len()]);
    }
}

/// The pixels from `WIDE * i` on.
#[inline(always)]
fn read_wide<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, window: Window<'_, T>, i: usize) -> Wide<T> {
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    let mut sum = [T::zero(); WIDE];
    for (z, wz) in wz.iter().enumerate() {
        let mut plane = [T::zero(); WIDE];
        for (y, wy) in wy.iter().enumerate() {
            let mut line = [T::zero(); WIDE];
            for (x, wx) in wx.chunks(4).enumerate() {
                let taps = fetch::<T, LEVEL>(places, window, i, [4 * x, y, z]);
                for (t, (wx, tap)) in wx.iter().zip(&taps).enumerate() {
                    gather::<T, LEVEL>(&mut line, part(wx, i), tap, x + t);
                }
            }
            gather::<T, LEVEL>(&mut plane, part(wy, i), &line, y);
        }
        if is_image(S, Z) {
            return plane;
        }
        gather::<T, LEVEL>(&mut sum, part(wz, i), &plane, z);
    }
    sum
}

#[inline(always)]
fn slopes_body<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, source: &[T], upstream: &[T], gradient: &mut Rows<T>) {
    let ([wx, wy, wz], [sx, sy, sz]) = (places.taps::<S, Z>(&places.weights), places.taps::<S, Z>(&places.slopes));
    let window = places.window(source);
    for (i, upstream) in upstream.chunks(WIDE).enumerate().take(TILE / WIDE) {
        let [mut to_x, mut to_y, mut to_z] = [[T::zero(); WIDE]; 3];
        for (z, (wz, sz)) in wz.iter().zip(sz).enumerate() {
            let [mut plane, mut plane_x, mut plane_y] = [[T::zero(); WIDE]; 3];
            for (y, (wy, sy)) in wy.iter().zip(sy).enumerate() {
                let [mut line, mut line_x] = [[T::zero(); WIDE]; 2];
                for (x, (wx, sx)) in wx.chunks(4).zip(sx.chunks(4)).enumerate() {
                    let taps = fetch::<T, LEVEL>(places, window, i, [4 * x, y, z]);
                    for (t, ((wx, sx), tap)) in wx.iter().zip(sx).zip(&taps).enumerate() {
                        gather::<T, LEVEL>(&mut line, part(wx, i), tap, x + t);
                        gather::<T, LEVEL>(&mut line_x, part(sx, i), tap, x + t);
                    }
                }
                gather::<T, LEVEL>(&mut plane, part(wy, i), &line, y);
                gather::<T, LEVEL>(&mut plane_x, part(wy, i), &line_x, y);
                gather::<T, LEVEL>(&mut plane_y, part(sy, i), &line, y);
            }
            if is_image(S, Z) {
                (to_x, to_y) = (plane_x, plane_y);
                continue;
            }
            gather::<T, LEVEL>(&mut to_x, part(wz, i), &plane_x, z);
            gather::<T, LEVEL>(&mut to_y, part(wz, i), &plane_y, z);
            gather::<T, LEVEL>(&mut to_z, part(sz, i), &plane, z);
        }
        let upstream = padded(upstream);
        let axes = if is_image(S, Z) { 2 } else { 3 };
        for ((row, jacobian), to) in gradient.iter_mut().zip(&places.jacobian).zip([to_x, to_y, to_z]).take(axes) {
            row.as_chunks_mut().0[i] = T::times::<LEVEL>(&T::times::<LEVEL>(&to, &upstream), part(jacobian, i));
        }
    }
}

#[inline(always)]
fn scatter_body<T: Lanes, const S: usize, const Z: usize, const LEVEL: usize>(places: &Places<'_, T>, upstream: &[T], cells: &mut [[T; 4]]) {
    let [wx, wy, wz] = places.taps::<S, Z>(&places.weights);
    assert!(places.reach() <= cells.len());
    for (i, upstream) in upstream.chunks(WIDE).enumerate().take(TILE / WIDE) {
        let upstream = padded(upstream);
        for (z, wz) in wz.iter().enumerate() {
            if let (true, [wx, wx_right], [wy, wy_below]) = (S == 2, wx, wy) {
                let plane = if is_image(S, Z) { upstream } else { T::times::<LEVEL>(part(wz, i), &upstream) };
                let (line, below) = (T::times::<LEVEL>(part(wy, i), &plane), T::times::<LEVEL>(part(wy_below, i), &plane));
                let (wx, wx_right) = (part(wx, i), part(wx_right, i));
                let parts =
                    [T::times::<LEVEL>(wx, &line), T::times::<LEVEL>(wx_right, &line), T::times::<LEVEL>(wx, &below), T::times::<LEVEL>(wx_right, &below)];
                // SAFETY: no tap lies beyond `reach`, which is within the cells.
                unsafe { T::scatter::<LEVEL>(cells.as_mut_ptr().add(places.offset([0, 0, z])), part(&places.first, i), &parts) };
                continue;
            }
            for (y, wy) in wy.iter().enumerate() {
                let line = T::times::<LEVEL>(&T::times::<LEVEL>(part(wy, i), part(wz, i)), &upstream);
                for (x, wx) in wx.chunks(4).enumerate() {
                    let mut parts = [[T::zero(); WIDE]; 4];
                    for (part_of, wx) in parts.iter_mut().zip(wx) {
                        *part_of = T::times::<LEVEL>(part(wx, i), &line);
                    }
                    // SAFETY: no tap lies beyond `reach`, which is within the cells.
                    unsafe { T::scatter::<LEVEL>(cells.as_mut_ptr().add(places.offset([4 * x, y, z])), part(&places.first, i), &parts) };
                }
            }
        }
    }
}

/// Whether so many taps known to the compiler say that the source is an image: its one plane has weight one, and no gradient goes to z.
#[inline(always)]
pub(super) const fn is_image(taps: usize, taps_on_z: usize) -> bool {
    taps > 1 && taps_on_z == 1
}

/// From cells to packed pixels, those from `first` on. `below` is how far behind a cell's own pixel its third number belongs; the second and the fourth belong to the
/// pixels after these.
#[inline(always)]
pub(super) fn fold<T: Lanes, const LEVEL: usize>(cells: &[[T; 4]], below: usize, first: usize, pixels: &mut [T]) {
    assert!(first > below && first + pixels.len().next_multiple_of(WIDE) <= cells.len());
    // The last vector begins early enough to be a whole one, where there are enough pixels for one.
    let last = pixels.len().saturating_sub(WIDE);
    for start in (0..pixels.len()).step_by(WIDE) {
        let start = start.min(last);
        // SAFETY: the cells from `first + start` on, those `below` before them, and the ones before both, are among the cells.
        let sums = unsafe {
            let at = cells.as_ptr().add(first + start);
            T::fold::<LEVEL>(at, at.sub(below))
        };
        match pixels[start..].first_chunk_mut() {
            Some(all) => *all = sums,
            None => pixels.iter_mut().zip(&sums).for_each(|(pixel, &sum)| *pixel = sum),
        }
    }
}

/// [`fold`] for the first pixels: before them there is nothing.
#[inline(always)]
pub(super) fn fold_first<T: Lanes>(cells: &[[T; 4]], below: usize, pixels: &mut [T]) {
    let number = |pixel: usize, behind: usize, t: usize| if pixel < behind { T::zero() } else { cells[pixel - behind][t] };
    for (p, pixel) in pixels.iter_mut().enumerate() {
        *pixel = (cells[p][0] + number(p, below, 2)) + (number(p, 1, 1) + number(p, below + 1, 3));
    }
}

/// The numbers of the pixels from `WIDE * i` on.
#[inline(always)]
pub(super) fn part<T>(row: &[T; TILE], i: usize) -> &[T; WIDE] {
    &row.as_chunks().0[i]
}

/// What a tap and the three after it on x read, for the pixels from `WIDE * i` on.
#[inline(always)]
fn fetch<T: Lanes, const LEVEL: usize>(places: &Places<'_, T>, window: Window<'_, T>, i: usize, tap: [usize; 3]) -> [Wide<T>; 4] {
    // SAFETY: no tap lies beyond `reach`, and that and three more are within the window.
    unsafe { T::fetch::<LEVEL>(window.0.as_ptr().add(places.offset(tap)), part(&places.first, i)) }
}

/// A packed source that holds every tap of a tile and three pixels more.
#[derive(Clone, Copy)]
struct Window<'a, T>(&'a [T]);

impl<T: Lanes> Places<'_, T> {
    #[inline(always)]
    fn window<'a>(&self, source: &'a [T]) -> Window<'a, T> {
        assert!(self.reach() + 3 <= source.len());
        Window(source)
    }
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
