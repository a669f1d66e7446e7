//! A convolution with bias, rectification and max pooling in one pass, and its gradients in one more.

use candle_core::{DType, Device, Error, Result, Tensor, bail};

use super::direct::{Direct, Following, Gradients, Saved};
use super::geometry;
use super::patches::Geometry;
use crate::cpu::Held;
use crate::{Pool2d, Rounding, Window2d};

/// A convolution and what follows it, done while the output is still in the cache: `max_pool(relu(conv(x) + b))`, or with the last two the other way round, which is
/// the same. On a graphics card cuDNN's convolution and a pass over its output.
///
/// Nothing is kept of what lies between, and on the processor neither the convolution's own output nor its gradient ever stands in memory whole. There is no tape:
/// [`forward`](Self::forward) gives what [`backward`](Self::backward) needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvBlock {
    /// Step and padding of the convolution.
    pub window: Window2d,
    /// Whether a rectified linear unit follows.
    pub rectified: bool,
    /// The max pooling that follows.
    pub pool: Option<Pool2d>,
}

/// What a block gives.
#[derive(Debug, Clone)]
pub struct ConvBlockOutput {
    /// The output, N x O x its size.
    pub output: Tensor,
    /// The pixel that won each window of the pooling, where there is one.
    pub(super) winners: Option<Tensor>,
}

/// The gradients of a block; `None` where they were not asked for.
#[derive(Debug, Clone, Default)]
pub struct ConvBlockGradients {
    /// To the input.
    pub input: Option<Tensor>,
    /// To the filters.
    pub weight: Option<Tensor>,
    /// To the bias.
    pub bias: Option<Tensor>,
}

impl ConvBlock {
    /// Whether a block can be done in one pass: pooling windows side by side, and on the CPU f32, steps of one pixel and less padding than the kernel reaches. Elsewhere
    /// [`conv2d`](crate::conv2d), [`relu`](crate::relu) and [`max_pool2d`](crate::max_pool2d) do the same one after the other.
    pub fn fits(&self, kernel: (usize, usize), dtype: DType, device: &Device) -> bool {
        let Window2d { stride, padding } = self.window;
        let convolution = match device {
            Device::Cpu => dtype == DType::F32 && stride == (1, 1) && padding.0 < kernel.0 && padding.1 < kernel.1,
            Device::Cuda(_) => matches!(dtype, DType::F32 | DType::F64),
            Device::Metal(_) => false,
        };
        convolution && self.pool.is_none_or(|pool| side_by_side(&pool))
    }

    /// The output for `input`, N x I x H x W, with `weight` O x I x kernel and `bias` O.
    ///
    /// # Errors
    ///
    /// Where a shape or type does not fit, or the block cannot be done in one pass.
    pub fn forward(&self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<ConvBlockOutput> {
        let (input, weight) = (input.contiguous()?, weight.contiguous()?);
        #[cfg(feature = "cuda")]
        if input.device().is_cuda() {
            return super::cuda::block(self, self.geometry(&input, &weight, Some(bias))?, [&input, &weight, &bias.contiguous()?]);
        }
        let direct = self.direct(&input, &weight, Some(bias))?;
        let held = [&input, &weight, bias].map(|tensor| Held::new("convolution block", tensor));
        let [input, weight, bias] = held;
        let (input, weight, bias) = (input?, weight?, bias?);
        let (output, winners) = direct.forward(input.numbers()?, weight.numbers()?, Some(bias.numbers()?))?;
        let shape = direct.output_shape();
        let winners = self.pool.map(|_| Tensor::from_vec(winners, &shape, &Device::Cpu)).transpose()?;
        Ok(ConvBlockOutput { output: Tensor::from_vec(output, &shape, &Device::Cpu)?, winners })
    }

    /// The gradients to input, where it is wanted, and to filters and bias, from `upstream`, that to the output.
    ///
    /// # Errors
    ///
    /// Where a shape or type does not fit what [`forward`](Self::forward) was given.
    pub fn backward(&self, input: &Tensor, weight: &Tensor, outcome: &ConvBlockOutput, upstream: &Tensor, input_wanted: bool) -> Result<ConvBlockGradients> {
        let (input, weight, upstream) = (input.contiguous()?, weight.contiguous()?, upstream.contiguous()?);
        if upstream.dims() != outcome.output.dims() {
            bail!("convolution block: the gradient is {:?} and the output {:?}; expected the same", upstream.dims(), outcome.output.dims());
        }
        #[cfg(feature = "cuda")]
        if input.device().is_cuda() {
            return super::cuda::block_gradients(self, self.geometry(&input, &weight, None)?, [&input, &weight, &upstream], outcome, input_wanted);
        }
        let direct = self.direct(&input, &weight, None)?;
        if upstream.dims() != direct.output_shape() {
            bail!("convolution block: the gradient is {:?}; expected {:?}", upstream.dims(), direct.output_shape());
        }
        let name = "convolution block";
        let winners = outcome.winners.as_ref().map(|winners| Held::new(name, winners)).transpose()?;
        let held = (Held::new(name, &input)?, Held::new(name, &weight)?, Held::new(name, &outcome.output)?, Held::new(name, &upstream)?);
        let saved = Saved {
            input: held.0.numbers()?,
            weight: held.1.numbers()?,
            output: held.2.numbers()?,
            winners: winners.as_ref().map_or(Ok(&[][..]), |winners| winners.numbers())?,
            upstream: held.3.numbers()?,
        };
        ConvBlockGradients::new(direct.backward(saved, input_wanted, true)?, &input, &weight, input_wanted, true)
    }

    /// The sizes of the convolution, where the block can be done in one pass.
    fn geometry(&self, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Geometry> {
        let geometry = geometry(input, weight, bias, self.window)?;
        if let Some(pool) = &self.pool {
            pool.axes((geometry.vertical.output, geometry.horizontal.output))?;
        }
        if !self.fits((geometry.vertical.kernel, geometry.horizontal.kernel), input.dtype(), input.device()) {
            bail!(
                "convolution block: {self:?} on {:?} {:?} cannot be done in one pass; apply conv2d, relu and max_pool2d one after the other",
                input.dtype(),
                input.dims()
            );
        }
        Ok(geometry)
    }

    fn direct(&self, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Direct> {
        let geometry = self.geometry(input, weight, bias)?;
        let following = Following {
            rectified: self.rectified,
            pool: self.pool.map(|pool| pool.kernel),
            rounded_up: self.pool.is_some_and(|pool| pool.rounding == Rounding::Up),
        };
        Direct::new(geometry, following).ok_or_else(|| Error::Msg(format!("convolution block: {self:?} on {:?} cannot be done in one pass", input.dims())))
    }
}

fn side_by_side(pool: &Pool2d) -> bool {
    pool.stride == pool.kernel && pool.padding == (0, 0) && pool.kernel.0.saturating_mul(pool.kernel.1) <= 256
}

impl ConvBlockGradients {
    pub(super) fn new(gradients: Gradients, input: &Tensor, weight: &Tensor, input_wanted: bool, filters_wanted: bool) -> Result<Self> {
        let device = input.device();
        let filters = weight.dim(0)?;
        Ok(Self {
            input: input_wanted.then(|| Tensor::from_vec(gradients.input, input.shape(), device)).transpose()?,
            weight: filters_wanted.then(|| Tensor::from_vec(gradients.weight, weight.shape(), device)).transpose()?,
            bias: filters_wanted.then(|| Tensor::from_vec(gradients.bias, filters, device)).transpose()?,
        })
    }
}
