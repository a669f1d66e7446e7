//! Convolution on a graphics card, and the block of one and what follows it.

mod cudnn;

use candle_core::backend::BackendDevice;
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, DType, Layout, Result, Shape, Storage, Tensor, bail};

use super::following::Following;
use super::patches::Geometry;
use super::{Conv2d, ConvBlock, ConvBlockGradients, ConvBlockOutput};
use crate::cuda::Address;
use crate::cuda::candle::{OnCard, unset, unset_like, with_places};
use crate::cuda::dense::{Planes, add_bias, bias_gradient};
use cudnn::{Convolution, Gradient, Held};
use half::{bf16, f16};

/// Some work with the type of a tensor's numbers as `$T`.
macro_rules! by_number {
    ($dtype:expr, $T:ident => $work:expr) => {
        by_number!($dtype, $T => $work, [F32 f32, F64 f64, BF16 bf16, F16 f16])
    };
    ($dtype:expr, $T:ident => $work:expr, [$($name:ident $type:ty),*]) => {
        match $dtype {
            $(DType::$name => {
                type $T = $type;
                $work
            })*
            other => bail!("conv2d takes f32, f64, bf16 or f16 on a graphics card, not {other:?}"),
        }
    };
}

/// The output, with its shape.
pub(super) fn forward(geometry: Geometry, input: Held, weight: Held, bias: Option<Held>, shape: Shape) -> Result<(CudaStorage, Shape)> {
    let card = OnCard::of(input.0);
    // cuDNN takes no empty filters; the sum over no channel is zero.
    let output = if shape.elem_count() == 0 || geometry.channels == 0 {
        input.0.device.zeros_impl(&shape, card.dtype())?
    } else {
        by_number!(card.dtype(), T => Convolution::<T>::of(geometry, &input.0.device)?.forward(input, weight)?)
    };
    if let Some((bias, layout)) = bias {
        let y = card.place(&output, &Layout::contiguous(shape.clone()))?;
        add_bias(&card, card.dtype(), y, card.place(bias, layout)?, planes(geometry))?;
    }
    Ok((output, shape))
}

/// The gradients to input and filters that are wanted, from that to the output.
pub(super) fn gradients(geometry: Geometry, [input, weight, upstream]: [&Tensor; 3], wanted: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
    let gradient = |like: &Tensor, which: Gradient, from: [&Tensor; 2]| -> Result<Tensor> {
        if upstream.elem_count() == 0 || weight.elem_count() == 0 {
            return Tensor::zeros(like.shape(), like.dtype(), like.device());
        }
        let held = from.map(Tensor::storage_and_layout);
        let [(Storage::Cuda(first), of_first), (Storage::Cuda(second), of_second)] = [(&*held[0].0, held[0].1), (&*held[1].0, held[1].1)] else {
            bail!("conv2d gradient: some tensors are on a graphics card and others are not; move them to one device");
        };
        let pair = [(first, of_first), (second, of_second)];
        let storage = by_number!(like.dtype(), T => Convolution::<T>::of(geometry, &first.device)?.gradient(which, pair)?);
        Ok(Tensor::from_storage(Storage::Cuda(storage), like.shape().clone(), BackpropOp::none(), false))
    };
    Ok([
        wanted[0].then(|| gradient(input, Gradient::Input, [weight, upstream])).transpose()?,
        wanted[1].then(|| gradient(weight, Gradient::Filters, [input, upstream])).transpose()?,
    ])
}

/// The gradient to the bias, from that to the output.
pub(super) fn to_bias(geometry: Geometry, upstream: &Tensor) -> Result<Tensor> {
    let sum = unset_like(upstream, geometry.filters)?;
    with_places("conv2d gradient", [upstream, &sum], |card, [upstream, sum]: [Address; 2]| bias_gradient(card, card.dtype(), upstream, sum, planes(geometry)))?;
    Ok(sum)
}

fn planes(geometry: Geometry) -> Planes {
    Planes { samples: geometry.samples, channels: geometry.filters, plane: geometry.positions() }
}

/// A block's output.
pub(super) fn block(block: &ConvBlock, geometry: Geometry, [input, weight, bias]: [&Tensor; 3]) -> Result<ConvBlockOutput> {
    let following = Following::new(block, geometry)?;
    let sums = input.apply_op2_no_bwd(weight, &Conv2d(geometry))?;
    let (output, winners) = match block.pool {
        Some(_) => (unset_like(&sums, &following.shape())?, Some(unset(&sums, DType::U8, &following.shape())?)),
        None => (sums.clone(), None),
    };
    let card = OnCard::with(&sums)?;
    let to = [card.place_of(&output)?, card.place_if(winners.as_ref())?];
    following.forward(&card, card.dtype(), [card.place_of(&sums)?, card.place_of(bias)?], to)?;
    Ok(ConvBlockOutput { output, winners })
}

/// A block's gradients, from that to its output.
pub(super) fn block_gradients(
    block: &ConvBlock,
    geometry: Geometry,
    [input, weight, upstream]: [&Tensor; 3],
    outcome: &ConvBlockOutput,
    input_wanted: bool,
) -> Result<ConvBlockGradients> {
    let following = Following::new(block, geometry)?;
    let card = OnCard::with(upstream)?;
    let [output, from] = [card.place_of(&outcome.output)?, card.place_of(upstream)?];
    let bias = unset_like(upstream, geometry.filters)?;
    following.bias_gradient(&card, card.dtype(), [output, from], card.place_of(&bias)?)?;
    let to_sums = if following.passes_gradients() {
        upstream.clone()
    } else {
        let to_sums = unset_like(upstream, &[geometry.samples, geometry.filters, geometry.vertical.output, geometry.horizontal.output])?;
        following.backward(&card, card.dtype(), [output, card.place_if(outcome.winners.as_ref())?, from], card.place_of(&to_sums)?)?;
        to_sums
    };
    let [input, weight] = gradients(geometry, [input, weight, &to_sums], [input_wanted, true])?;
    Ok(ConvBlockGradients { input, weight, bias: Some(bias) })
}
