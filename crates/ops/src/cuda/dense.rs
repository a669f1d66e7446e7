//! The bias of fully connected layers and convolutions on a card: `dense.cu`.

use candle_core::{DType, Result};

use super::{Address, Card, Launch, Program};

/// The sizes of N x channels x plane numbers; the plane of a fully connected layer is 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planes {
    pub samples: usize,
    pub channels: usize,
    pub plane: usize,
}

fn program(dtype: DType) -> Result<Program> {
    Program::of_pixels("dense", dtype, &[include_str!("../dense.cu")], &["add_bias", "bias_gradient"])
}

/// Adds a number a channel to `y`, in place.
pub(crate) fn add_bias(card: &impl Card, dtype: DType, y: Address, bias: Address, planes: Planes) -> Result<()> {
    let count = planes.samples * planes.channels * planes.plane;
    let launch = Launch::each("add_bias", count).with(y).with(bias).with_length(count);
    card.launch(&program(dtype)?.for_count(planes.samples * planes.channels * planes.plane), &launch.with(planes.channels as i32).with_length(planes.plane))
}

/// The sum of every channel's gradients.
pub(crate) fn bias_gradient(card: &impl Card, dtype: DType, upstream: Address, to_bias: Address, planes: Planes) -> Result<()> {
    let launch = Launch::blocks("bias_gradient", planes.channels as u32).with(upstream).with(to_bias).with_length(planes.samples);
    card.launch(&program(dtype)?.for_count(planes.samples * planes.channels * planes.plane), &launch.with(planes.channels as i32).with_length(planes.plane))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::cuda::emulated::Emulated;

    #[test]
    fn a_bias_is_a_number_a_channel() {
        let planes = Planes { samples: 3, channels: 5, plane: 7 };
        let y = Tensor::arange(0_f32, 105.0, &Device::Cpu).unwrap().reshape((3, 5, 7)).unwrap();
        let bias = Tensor::new(&[[[0.5_f32], [-1.0], [2.0], [0.0], [7.0]]], &Device::Cpu).unwrap();
        let (sum, total) = (y.broadcast_add(&bias).unwrap(), y.sum((0, 2)).unwrap());
        Emulated::both(|card| {
            let (of_y, to_bias) = (card.tensor(&y), card.output::<f32>(5));
            bias_gradient(card, DType::F32, of_y, to_bias, planes).unwrap();
            add_bias(card, DType::F32, of_y, card.tensor(&bias), planes).unwrap();
            card.assert_same(of_y, &sum);
            card.assert_same(to_bias, &total);
        });
    }
}
