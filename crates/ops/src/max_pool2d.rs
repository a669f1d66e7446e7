//! Max pooling.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::Pool2d;
use crate::cpu::{Number, by_number, elements, expect_images, expect_pixels, is_wider_here, numbers, with_scratch};
#[cfg(feature = "cuda")]
use crate::cuda::candle::OnCard;
use crate::window::Axis;

/// The largest value of each window: `N C H W` to `N C` and [`Pool2d::output`].
///
/// Padding never wins. A NaN in the window does, as in other frameworks. The gradient goes to the pixel that won: the first of equal ones, row by row, and of several
/// NaNs the last.
///
/// # Errors
///
/// Where `input` is not `N C H W` of f32, f64, bf16 or f16, or no window fits; the message says which size is at fault.
pub fn max_pool2d(input: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    if is_wider_here(input) {
        return max_pool2d(&input.to_dtype(DType::F32)?, pool)?.to_dtype(input.dtype());
    }
    input.contiguous()?.apply_op1(MaxPool2d::of(input, pool)?)
}

/// The gradient to the input of [`max_pool2d`], from input, output and the gradient to the output, without candle's tape.
///
/// # Errors
///
/// Where a shape or type does not fit.
pub fn max_pool2d_gradient(input: &Tensor, output: &Tensor, upstream: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    if is_wider_here(input) {
        let [wide, output, upstream] = [input, output, upstream].map(|tensor| tensor.to_dtype(DType::F32));
        return max_pool2d_gradient(&wide?, &output?, &upstream?, pool)?.to_dtype(input.dtype());
    }
    let op = MaxPool2d::of(input, pool)?;
    if output.dims() != op.shape() || upstream.dims() != op.shape() {
        bail!("max_pool2d gradient: the output is {:?} and the gradient to it {:?}; expected {:?}", output.dims(), upstream.dims(), op.shape());
    }
    input.contiguous()?.apply_op3_no_bwd(&output.contiguous()?, &upstream.contiguous()?, &MaxPool2dGradient(op))
}

#[derive(Clone, Copy)]
struct MaxPool2d {
    /// Samples, channels.
    planes: [usize; 2],
    vertical: Axis,
    horizontal: Axis,
}

struct MaxPool2dGradient(MaxPool2d);

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), storage, T => self.forward::<T>(numbers(storage, layout)?))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        elements(self.name(), &self.shape())?;
        let card = OnCard::of(storage);
        let input = card.place(storage, layout)?;
        card.make(card.dtype(), &Shape::from(&self.shape()), |output| cuda::forward(&card, card.dtype(), self, [input, output]))
    }

    fn bwd(&self, input: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !input.track_op() {
            return Ok(None);
        }
        Ok(Some(input.apply_op3_no_bwd(output, &gradient.contiguous()?, &MaxPool2dGradient(*self))?))
    }
}

impl CustomOp3 for MaxPool2dGradient {
    fn name(&self) -> &'static str {
        "max_pool2d gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        output: &CpuStorage,
        output_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), input, T => {
            let (output, gradient) = (numbers::<T>(output, output_layout)?, numbers(gradient, gradient_layout)?);
            self.0.backward::<T>(numbers(input, input_layout)?, output, gradient, input_layout.shape())
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
        gradient: &CudaStorage,
        gradient_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let card = OnCard::of(input);
        let (input, gradient) = (card.place(input, input_layout)?, card.place(gradient, gradient_layout)?);
        card.make(card.dtype(), input_layout.shape(), |to_input| cuda::backward(&card, card.dtype(), &self.0, [input, gradient, to_input]))
    }
}

impl MaxPool2d {
    fn of(input: &Tensor, pool: &Pool2d) -> Result<Self> {
        expect_pixels("max_pool2d", &[("input", input)])?;
        let [samples, channels, height, width] = expect_images("max_pool2d", "input", input)?;
        let (vertical, horizontal) = pool.axes((height, width))?;
        Ok(Self { planes: [samples, channels], vertical, horizontal })
    }

    /// That of the output.
    fn shape(&self) -> [usize; 4] {
        [self.planes[0], self.planes[1], self.vertical.output, self.horizontal.output]
    }

    fn forward<T: Number>(&self, input: &[T]) -> Result<(CpuStorage, Shape)> {
        let shape = self.shape();
        let mut output = vec![T::neg_infinity(); elements("max_pool2d", &shape)?];
        let plane = self.vertical.input * self.horizontal.input;
        output.par_chunks_mut(self.vertical.output * self.horizontal.output).zip(input.par_chunks(plane)).for_each(|(output, input)| {
            with_scratch([self.horizontal.input], |[highest]| {
                for (y, row) in output.chunks_mut(self.horizontal.output).enumerate() {
                    self.raise_line(highest, input, y);
                    self.raise_row(row, highest);
                }
            });
        });
        Ok((T::to_cpu_storage_owned(output), Shape::from(&shape)))
    }

    /// The largest value of every column of the lines that row `y` of windows covers.
    fn raise_line<T: Number>(&self, highest: &mut [T], input: &[T], y: usize) {
        highest.fill(T::neg_infinity());
        for line in self.vertical.covered(y) {
            for (highest, &value) in highest.iter_mut().zip(&input[line * self.horizontal.input..]) {
                *highest = higher(value, *highest);
            }
        }
    }

    /// The largest value of every window of a row, from those of its columns.
    fn raise_row<T: Number>(&self, row: &mut [T], highest: &[T]) {
        for tap in 0..self.horizontal.kernel {
            let (windows, first) = self.horizontal.windows(tap);
            for (largest, &value) in row[windows].iter_mut().zip(highest[first..].iter().step_by(self.horizontal.stride)) {
                *largest = higher(value, *largest);
            }
        }
    }

    fn backward<T: Number>(&self, input: &[T], output: &[T], gradient: &[T], shape: &Shape) -> Result<(CpuStorage, Shape)> {
        let mut result = vec![T::zero(); input.len()];
        let plane = self.vertical.input * self.horizontal.input;
        let windows = self.vertical.output * self.horizontal.output;
        (result.par_chunks_mut(plane), input.par_chunks(plane), output.par_chunks(windows), gradient.par_chunks(windows)).into_par_iter().for_each_init(
            || vec![0; self.horizontal.output],
            |winners, (result, input, output, gradient)| {
                let rows = output.chunks(self.horizontal.output).zip(gradient.chunks(self.horizontal.output));
                for (y, (row, gradient)) in rows.enumerate() {
                    self.find_winners(winners, input, row, y);
                    for (&winner, &gradient) in winners.iter().zip(gradient) {
                        result[winner] += gradient;
                    }
                }
            },
        );
        Ok((T::to_cpu_storage_owned(result), shape.clone()))
    }

    /// The pixel of the plane that gives each window of row `y` its value, `row`.
    fn find_winners<T: Number>(&self, winners: &mut [usize], input: &[T], row: &[T], y: usize) {
        // Backwards, so that the first of equal pixels is written last; without a branch, which nothing could predict.
        for line in self.vertical.covered(y).rev() {
            for tap in (0..self.horizontal.kernel).rev() {
                let (windows, first) = self.horizontal.windows(tap);
                let pixels = (line * self.horizontal.input + first..).step_by(self.horizontal.stride);
                for ((winner, &largest), pixel) in winners[windows.clone()].iter_mut().zip(&row[windows]).zip(pixels) {
                    let mask = usize::from(input[pixel] == largest).wrapping_neg();
                    *winner ^= (*winner ^ pixel) & mask;
                }
            }
        }
        for (x, winner) in winners.iter_mut().enumerate() {
            if row[x].is_nan() {
                *winner = self.last_nan(input, y, x).unwrap_or(*winner);
            }
        }
    }

    fn last_nan<T: Number>(&self, input: &[T], y: usize, x: usize) -> Option<usize> {
        let pixels = self.vertical.covered(y).flat_map(|line| self.horizontal.covered(x).map(move |column| line * self.horizontal.input + column));
        pixels.filter(|&pixel| input[pixel].is_nan()).last()
    }
}

/// The larger of two, NaN being larger than everything.
fn higher<T: Number>(value: T, largest: T) -> T {
    if value > largest || value.is_nan() { value } else { largest }
}

/// The same on a graphics card: `max_pool2d.cu`.
#[cfg(any(feature = "cuda", test))]
mod cuda {
    use candle_core::{DType, Result};

    use super::MaxPool2d;
    use crate::cuda::{Address, Card, Launch, Program, pooling};

    fn launch(card: &impl Card, dtype: DType, pool: &MaxPool2d, launch: Launch) -> Result<()> {
        let parts: &[&str] = &[include_str!("window.cuh"), include_str!("max_pool2d.cu")];
        let program = Program::of_pixels("max_pool2d", dtype, parts, &["max_pool2d", "max_pool2d_gradient"])?;
        pooling::launch(card, program, launch, pool.planes, [pool.vertical, pool.horizontal])
    }

    pub(super) fn forward(card: &impl Card, dtype: DType, pool: &MaxPool2d, [input, output]: [Address; 2]) -> Result<()> {
        launch(card, dtype, pool, Launch::each("max_pool2d", pool.shape().iter().product()).with(input).with(output))
    }

    pub(super) fn backward(card: &impl Card, dtype: DType, pool: &MaxPool2d, [input, gradient, to_input]: [Address; 3]) -> Result<()> {
        let count = pool.planes.iter().product::<usize>() * pool.vertical.input * pool.horizontal.input;
        launch(card, dtype, pool, Launch::each("max_pool2d_gradient", count).with(input).with(gradient).with(to_input))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::Rounding;
    use crate::cuda::emulated::Emulated;

    /// Images with equal numbers beside each other, and NaN.
    fn images(height: usize, width: usize) -> Tensor {
        let numbers = (0..6 * height * width).map(|i| if i % 41 == 17 { f32::NAN } else { (i * 29 % 7) as f32 - 3.0 });
        Tensor::from_vec(numbers.collect(), (2, 3, height, width), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_card_computes_the_same() {
        let overlapping = Pool2d { kernel: (3, 2), stride: (2, 1), padding: (1, 1), rounding: Rounding::Up };
        let apart = Pool2d { kernel: (1, 2), stride: (3, 4), padding: (0, 0), rounding: Rounding::Down };
        for (pool, (height, width)) in [(Pool2d::square(2), (6, 7)), (overlapping, (5, 6)), (apart, (8, 9)), (overlapping, (2, 1))] {
            let input = images(height, width);
            let (op, output) = (MaxPool2d::of(&input, &pool).unwrap(), max_pool2d(&input, &pool).unwrap());
            let count = output.elem_count();
            let upstream = Tensor::arange(0_f32, count as f32, &Device::Cpu).unwrap().reshape(output.shape()).unwrap();
            let to_input = max_pool2d_gradient(&input, &output, &upstream, &pool).unwrap();
            Emulated::both(|card| {
                let (of_input, on_card, to_input_on_card) = (card.tensor(&input), card.output::<f32>(count), card.output::<f32>(input.elem_count()));
                cuda::forward(card, DType::F32, &op, [of_input, on_card]).unwrap();
                cuda::backward(card, DType::F32, &op, [of_input, card.tensor(&upstream), to_input_on_card]).unwrap();
                card.assert_same(on_card, &output);
                card.assert_close(to_input_on_card, &to_input, 1e-6);
            });
        }
    }

    #[test]
    fn images_of_16_bits_are_computed_with_in_32_and_rounded_once() {
        let pool = Pool2d { kernel: (3, 2), stride: (2, 1), padding: (1, 1), rounding: Rounding::Up };
        for dtype in [DType::BF16, DType::F16] {
            // Numbers of few bits, as both types have them.
            let input = (images(5, 6) / 8.0).unwrap().to_dtype(dtype).unwrap();
            let (op, output) = (MaxPool2d::of(&input, &pool).unwrap(), max_pool2d(&input, &pool).unwrap());
            let wide = max_pool2d(&input.to_dtype(DType::F32).unwrap(), &pool).unwrap();
            assert_eq!((output.dtype(), output.dims()), (dtype, wide.dims()));
            let (count, upstream) = (output.elem_count(), output.clone());
            let to_input = max_pool2d_gradient(&input, &output, &upstream, &pool).unwrap();
            Emulated::both(|card| {
                let (of_input, of_upstream) = (card.tensor(&input), card.tensor(&upstream));
                let (on_card, to_input_on_card) = (card.output_of(dtype, count), card.output_of(dtype, input.elem_count()));
                cuda::forward(card, dtype, &op, [of_input, on_card]).unwrap();
                cuda::backward(card, dtype, &op, [of_input, of_upstream, to_input_on_card]).unwrap();
                card.assert_same(on_card, &wide.to_dtype(dtype).unwrap());
                card.assert_same(to_input_on_card, &to_input);
            });
        }
    }
}
