//! Between planes, a channel after the other, and lanes, the channels of a pixel side by side.

use stn_core::{Real, widest};

widest! {
    /// Gathers a run of pixels: `lanes[i][c] = planes[c * stride + i]`, zero where the planes end before channel `c`.
    pub(super) fn to_lanes[T: Real; L](planes: &[T], stride: usize, lanes: &mut [[T; L]]) = to_lanes_body
}

widest! {
    /// The way back: `planes[c * stride + i] = lanes[i][c]`, but for channels beyond the planes' end.
    pub(super) fn from_lanes[T: Real; L](lanes: &[[T; L]], stride: usize, planes: &mut [T]) = from_lanes_body
}

#[inline(always)]
fn to_lanes_body<T: Real, const L: usize, const FUSED: bool>(planes: &[T], stride: usize, lanes: &mut [[T; L]]) {
    if L == 1 {
        let lanes = lanes.as_flattened_mut();
        lanes.copy_from_slice(&planes[..lanes.len()]);
        return;
    }
    let channels = planes.chunks(stride).take(L);
    if channels.len() < L {
        lanes.fill([T::zero(); L]);
    }
    for (c, plane) in channels.enumerate() {
        for (lane, &value) in lanes.iter_mut().zip(plane) {
            lane[c] = value;
        }
    }
}

#[inline(always)]
fn from_lanes_body<T: Real, const L: usize, const FUSED: bool>(lanes: &[[T; L]], stride: usize, planes: &mut [T]) {
    if L == 1 {
        planes[..lanes.len()].copy_from_slice(lanes.as_flattened());
        return;
    }
    for (c, plane) in planes.chunks_mut(stride).take(L).enumerate() {
        for (lane, value) in lanes.iter().zip(plane) {
            *value = lane[c];
        }
    }
}
