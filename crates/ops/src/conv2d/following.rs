//! What follows a convolution on a graphics card, in one pass: bias, rectification, max pooling; `following.cu`.

use candle_core::{DType, Result};

use super::ConvBlock;
use super::patches::Geometry;
use crate::cuda::{Address, Card, Launch, Program};
use crate::window::Axis;

/// What a block does behind its convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Following {
    samples: usize,
    filters: usize,
    rectified: bool,
    /// The windows of the pooling, side by side; of a pixel each where there is none.
    windows: [Axis; 2],
}

impl Following {
    /// # Errors
    ///
    /// Where no window of the pooling fits.
    pub(super) fn new(block: &ConvBlock, geometry: Geometry) -> Result<Self> {
        let size = (geometry.vertical.output, geometry.horizontal.output);
        let pixels = |length| Axis { input: length, kernel: 1, stride: 1, padding: 0, output: length };
        let (vertical, horizontal) = block.pool.map_or(Ok((pixels(size.0), pixels(size.1))), |pool| pool.axes(size))?;
        Ok(Self { samples: geometry.samples, filters: geometry.filters, rectified: block.rectified, windows: [vertical, horizontal] })
    }

    /// The shape of the output.
    pub(super) fn shape(&self) -> [usize; 4] {
        [self.samples, self.filters, self.windows[0].output, self.windows[1].output]
    }

    /// Fills the output from the convolution's, and where they are wanted the winners of the windows, as they are counted within one. Without pooling the output may lie where
    /// the convolution's does.
    pub(super) fn forward(&self, card: &impl Card, dtype: DType, [sums, bias]: [Address; 2], [output, winners]: [Address; 2]) -> Result<()> {
        let launch = Launch::each("following", self.shape().iter().product()).with(sums).with(bias).with(output).with(winners);
        self.launch(card, dtype, self.with_windows(launch.with_length(self.planes()).with(self.filters as i32).with(i32::from(self.rectified))))
    }

    /// Fills the gradient to the convolution's output from the block's output, the winners of its windows where it pools, and the gradient to it.
    pub(super) fn backward(&self, card: &impl Card, dtype: DType, [output, winners, upstream]: [Address; 3], to_sums: Address) -> Result<()> {
        let launch = Launch::each("following_gradient", self.planes() * self.pixels()).with(output).with(winners).with(upstream).with(to_sums);
        self.launch(card, dtype, self.with_windows(launch.with_length(self.planes()).with(i32::from(self.rectified))))
    }

    /// Fills the gradient to the bias.
    pub(super) fn bias_gradient(&self, card: &impl Card, dtype: DType, [output, upstream]: [Address; 2], to_bias: Address) -> Result<()> {
        let launch = Launch::blocks("following_bias_gradient", self.filters as u32).with(output).with(upstream).with(to_bias);
        let launch = launch.with_length(self.samples).with(self.filters as i32).with(i32::from(self.rectified));
        self.launch(card, dtype, launch.with_length(self.windows[0].output * self.windows[1].output))
    }

    /// Whether the gradient to the output is that to the convolution's, too.
    pub(super) fn passes_gradients(&self) -> bool {
        !self.rectified && self.windows.iter().all(|axis| axis.kernel == 1)
    }

    fn planes(&self) -> usize {
        self.samples * self.filters
    }

    fn pixels(&self) -> usize {
        self.windows[0].input * self.windows[1].input
    }

    fn with_windows(&self, launch: Launch) -> Launch {
        self.windows.iter().flat_map(|axis| axis.sizes()).fold(launch, Launch::with)
    }

    fn launch(&self, card: &impl Card, dtype: DType, launch: Launch) -> Result<()> {
        let parts: &[&str] = &[include_str!("../window.cuh"), include_str!("following.cu")];
        let program = Program::new("following", dtype, parts, &["following", "following_gradient", "following_bias_gradient"])?;
        card.launch(&program.for_count(self.planes() * self.pixels()), &launch)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::cuda::emulated::Emulated;
    use crate::{Pool2d, Rounding, Window2d};

    /// Blocks on the card and on the processor, whose convolution has a filter of one pixel and weight one.
    fn check(rectified: bool, pool: Option<Pool2d>) {
        let block = ConvBlock { window: Window2d::default(), rectified, pool };
        // Numbers with equal ones in a window, and a NaN.
        let mut numbers: Vec<f32> = (0..2 * 3 * 7 * 9).map(|i| ((i * 5 % 11) as f32 - 5.0) / 4.0).collect();
        numbers[200] = f32::NAN;
        let input = Tensor::from_vec(numbers, (2, 3, 7, 9), &Device::Cpu).unwrap();
        let weight = Tensor::eye(3, DType::F32, &Device::Cpu).unwrap().reshape((3, 3, 1, 1)).unwrap();
        let bias = Tensor::new(&[0.25_f32, -0.5, 1.0], &Device::Cpu).unwrap();
        let geometry = super::super::geometry(&input, &weight, Some(&bias), block.window).unwrap();
        let following = Following::new(&block, geometry).unwrap();
        // The convolution's own output: NaN is in every channel of its pixel.
        let sums = ConvBlock { rectified: false, pool: None, ..block }.forward(&input, &weight, &bias.zeros_like().unwrap()).unwrap().output;
        let expected = block.forward(&input, &weight, &bias).unwrap();
        let upstream = Tensor::arange(0_f32, expected.output.elem_count() as f32, &Device::Cpu).unwrap().reshape(expected.output.dims()).unwrap();
        // The filters' gradient would be NaN; that to the input is the one to the sums.
        let gradients = block.backward(&input, &weight, &expected, &upstream, true).unwrap();
        Emulated::both(|card| {
            let (count, pixels) = (expected.output.elem_count(), sums.elem_count());
            let winners = if pool.is_some() { card.output::<u8>(count) } else { Address::NONE };
            let (sums, bias) = (card.tensor(&sums), card.tensor(&bias));
            let output = if pool.is_some() { card.output::<f32>(count) } else { sums };
            following.forward(card, DType::F32, [sums, bias], [output, winners]).unwrap();
            card.assert_same(output, &expected.output);
            assert_eq!(following.passes_gradients(), !rectified && pool.is_none());
            let (upstream, to_sums, to_bias) = (card.tensor(&upstream), card.output::<f32>(pixels), card.output::<f32>(3));
            following.backward(card, DType::F32, [output, winners, upstream], to_sums).unwrap();
            card.assert_same(to_sums, gradients.input.as_ref().unwrap());
            following.bias_gradient(card, DType::F32, [output, upstream], to_bias).unwrap();
            card.assert_close(to_bias, gradients.bias.as_ref().unwrap(), 1e-6);
        });
    }

    #[test]
    fn pooled_windows_are_those_of_the_block_on_the_processor() {
        for rounding in [Rounding::Down, Rounding::Up] {
            for rectified in [false, true] {
                check(rectified, Some(Pool2d { kernel: (2, 4), stride: (2, 4), padding: (0, 0), rounding }));
            }
        }
    }

    #[test]
    fn without_pooling_the_output_lies_where_the_convolution_wrote() {
        check(true, None);
        check(false, None);
    }
}
