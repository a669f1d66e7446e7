//! The loops for two taps on an axis of an image, where they are written for some vectors: bilinear interpolation, most of all.

use stn_core::Real;

use super::arithmetic::Wide;
use super::places::Places;
use super::quads::{Pixels, Quad, Slopes};
use super::warp::Rows;

/// [`quads::read`](super::quads::read).
type ReadQuads<T> = unsafe fn(&Places<'_, T>, &[Quad<T>], &mut [T], usize, usize);

/// [`quads::back`](super::quads::back).
type BackOfQuads<T> = unsafe fn(&Places<'_, T>, Pixels<'_, T>, Option<Slopes<'_, T>>, Option<&mut [Quad<T>]>);

/// [`lanes::read`](super::lanes::read).
type ReadLanes<T> = unsafe fn(&Places<'_, T>, &[Wide<T>], &mut [Wide<T>]);

/// The slopes of [`lanes::back`](super::lanes::back), of the first pixels of a tile and of how many.
type SlopesOfLanes<T> = unsafe fn(&Places<'_, T>, &[Wide<T>], &[Wide<T>], &mut Rows<T>) -> usize;

/// The gradient to the source of [`lanes::back`](super::lanes::back).
type ScatterLanes<T> = unsafe fn(&Places<'_, T>, &[Wide<T>], &mut [Wide<T>]);

/// [`Places::place`] for a linear kernel.
type PlaceLinear<T> = unsafe fn(&mut Places<'_, T>, &Rows<T>, usize);

/// The loops of a level. Each must only run on a CPU that has its vectors, and with taps within the source.
#[derive(Clone, Copy)]
pub(crate) struct TwoTaps<T: Real> {
    pub(super) read_quads: ReadQuads<T>,
    pub(super) back_of_quads: BackOfQuads<T>,
    pub(super) read_lanes: ReadLanes<T>,
    pub(super) slopes_of_lanes: SlopesOfLanes<T>,
    pub(super) scatter_lanes: ScatterLanes<T>,
    pub(super) place_linear: PlaceLinear<T>,
}

#[cfg(target_arch = "x86_64")]
impl TwoTaps<f32> {
    /// Those of AVX-512.
    #[inline(always)]
    pub(super) fn of_avx512() -> Self {
        use super::{lanes, places, quads};

        Self {
            read_quads: quads::avx512::read,
            back_of_quads: quads::avx512::back,
            read_lanes: lanes::avx512::read,
            slopes_of_lanes: lanes::avx512::slopes,
            scatter_lanes: lanes::avx512::scatter,
            place_linear: places::avx512::place_linear,
        }
    }
}
