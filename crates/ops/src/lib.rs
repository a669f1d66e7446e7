//! Differentiable tensor operations on candle: the fused spatial sampler, convolution, pooling, projection, dropout, cross-entropy.

mod avg_pool2d;
mod batch_norm;
mod conv2d;
mod cpu;
mod cross_entropy;
#[cfg(any(feature = "cuda", test))]
mod cuda;
mod deal;
mod deinterleave;
mod dropout;
mod fresh;
mod gradient;
mod graphics_card;
mod linear;
mod matmul;
mod max_pool2d;
mod project;
mod relu;
mod sample;
mod softmax;
mod tape;
mod transpose;
mod update;
mod window;

pub use avg_pool2d::{avg_pool2d, avg_pool2d_gradient};
pub use batch_norm::{BatchNorm, BatchNormGradients, Moments, batch_norm};
pub use conv2d::{ConvBlock, ConvBlockGradients, ConvBlockOutput, conv2d};
pub use cross_entropy::cross_entropy;
pub use deinterleave::deinterleave;
pub use dropout::dropout;
pub use gradient::Gradient;
pub use graphics_card::{free_memory, full_card, graphics_card, with_tensor_float};
pub use linear::{LinearBlock, LinearGradient, linear};
pub use max_pool2d::{max_pool2d, max_pool2d_gradient};
pub use project::{Projection, VolumeAxis, project, project_gradient};
pub use relu::relu;
pub use sample::{GridWanted, Sampler, Wanted, sample_grid, sample_grid_gradients, sample_structured, sample_structured_gradients, structured_grid};
pub use softmax::softmax;
pub use tape::backward_from;
pub use update::{AdamUpdate, SgdUpdate, accumulate};
pub use window::{Pool2d, Rounding, Window2d, conv2d_output};
