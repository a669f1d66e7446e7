//! What belongs together in a layer list.

use candle_core::{DType, Var};
use stn_ops::{BatchNorm, ConvBlock, LinearBlock};

use super::super::{Action, Layer, Normalisation};

/// One or several layers that are done in one pass.
pub(super) enum Step<'a> {
    ConvBlock {
        weight: &'a Var,
        bias: &'a Var,
        block: ConvBlock,
        /// A dropout of whole channels that stood between them: behind the pooling it does the same, on fewer numbers.
        dropout: Option<&'a Layer>,
    },
    LinearBlock {
        weight: &'a Var,
        bias: &'a Var,
        takes_theta: bool,
        block: LinearBlock,
    },
    BatchNorm {
        norm: &'a Normalisation,
        block: BatchNorm,
    },
    /// A layer by itself.
    Layer(&'a Layer),
}

impl<'a> Step<'a> {
    /// The first step of a list that is not empty, and how many layers it takes.
    pub fn first(layers: &'a [Layer]) -> Option<(Self, usize)> {
        let (layer, rest) = layers.split_first()?;
        Some(match &layer.action {
            Action::Conv { weight, bias, window } => {
                let mut block = ConvBlock { window: *window, rectified: false, pool: None };
                let kernel = match weight.dims() {
                    [_, _, height, width] => (*height, *width),
                    _ => (0, 0),
                };
                let fits = |block: &ConvBlock| block.fits(kernel, weight.dtype(), weight.device());
                if !fits(&block) {
                    return Some((Self::Layer(layer), 1));
                }
                let (mut taken, mut dropout) = (1, None);
                for next in rest {
                    match &next.action {
                        Action::Relu if !block.rectified => block.rectified = true,
                        Action::MaxPool(pool) if block.pool.is_none() && fits(&ConvBlock { pool: Some(*pool), ..block }) => block.pool = Some(*pool),
                        Action::Dropout { channels: true, .. } if dropout.is_none() => dropout = Some(next),
                        _ => break,
                    }
                    taken += 1;
                }
                (Self::ConvBlock { weight, bias, block, dropout }, taken)
            }
            Action::Linear { weight, bias, takes_theta } if matches!(weight.dtype(), DType::F32 | DType::F64) => {
                let rectified = matches!(rest.first().map(|next| &next.action), Some(Action::Relu));
                (Self::LinearBlock { weight, bias, takes_theta: *takes_theta, block: LinearBlock { rectified } }, 1 + usize::from(rectified))
            }
            Action::BatchNorm(norm) => {
                let rectified = matches!(rest.first().map(|next| &next.action), Some(Action::Relu));
                (Self::BatchNorm { norm, block: BatchNorm { epsilon: norm.epsilon, rectified } }, 1 + usize::from(rectified))
            }
            _ => (Self::Layer(layer), 1),
        })
    }
}
