//! Average pooling.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::Pool2d;
use crate::cpu::{Number, by_number, elements, expect_images, expect_pixels, is_wider_here, numbers};
#[cfg(feature = "cuda")]
use crate::cuda::candle::OnCard;
use crate::window::Axis;

/// The mean of each window: `N C H W` to `N C` and [`Pool2d::output`].
///
/// Padding counts as zeros. A last window that [`Rounding::Up`](crate::Rounding::Up) lets reach beyond the far padding is divided by the part of it that lies within
/// image and padding. Both are the defaults of other frameworks (`count_include_pad` with `ceil_mode`).
///
/// # Errors
///
/// Where `input` is not `N C H W` of f32, f64, bf16 or f16, or no window fits; the message says which size is at fault.
pub fn avg_pool2d(input: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    if is_wider_here(input) {
        return avg_pool2d(&input.to_dtype(DType::F32)?, pool)?.to_dtype(input.dtype());
    }
    input.contiguous()?.apply_op1(AvgPool2d::of(input, pool)?)
}

/// The gradient to the input of [`avg_pool2d`], from the input, of which the shape alone counts, and the gradient to the output, without candle's tape.
///
/// # Errors
///
/// Where a shape or type does not fit.
pub fn avg_pool2d_gradient(input: &Tensor, upstream: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    if is_wider_here(input) {
        return avg_pool2d_gradient(&input.to_dtype(DType::F32)?, &upstream.to_dtype(DType::F32)?, pool)?.to_dtype(input.dtype());
    }
    let op = AvgPool2d::of(input, pool)?;
    if upstream.dims() != op.shape() {
        bail!("avg_pool2d gradient: the gradient to the output is {:?}; expected {:?}", upstream.dims(), op.shape());
    }
    upstream.contiguous()?.apply_op1_no_bwd(&AvgPool2dGradient(op))
}

#[derive(Clone, Copy)]
struct AvgPool2d {
    /// Samples, channels.
    planes: [usize; 2],
    vertical: Axis,
    horizontal: Axis,
}

struct AvgPool2dGradient(AvgPool2d);

impl CustomOp1 for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg_pool2d"
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

    fn bwd(&self, input: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !input.track_op() {
            return Ok(None);
        }
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(&AvgPool2dGradient(*self))?))
    }
}

impl CustomOp1 for AvgPool2dGradient {
    fn name(&self) -> &'static str {
        "avg_pool2d gradient"
    }

    fn cpu_fwd(&self, gradient: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), gradient, T => self.0.backward::<T>(numbers(gradient, layout)?))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, gradient: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let AvgPool2d { planes: [samples, channels], vertical, horizontal } = self.0;
        let shape = [samples, channels, vertical.input, horizontal.input];
        elements(self.name(), &shape)?;
        let card = OnCard::of(gradient);
        let gradient = card.place(gradient, layout)?;
        card.make(card.dtype(), &Shape::from(&shape), |to_input| cuda::backward(&card, card.dtype(), &self.0, [gradient, to_input]))
    }
}

impl AvgPool2d {
    fn of(input: &Tensor, pool: &Pool2d) -> Result<Self> {
        expect_pixels("avg_pool2d", &[("input", input)])?;
        let [samples, channels, height, width] = expect_images("avg_pool2d", "input", input)?;
        let (vertical, horizontal) = pool.axes((height, width))?;
        Ok(Self { planes: [samples, channels], vertical, horizontal })
    }

    /// That of the output.
    fn shape(&self) -> [usize; 4] {
        [self.planes[0], self.planes[1], self.vertical.output, self.horizontal.output]
    }

    fn forward<T: Number>(&self, input: &[T]) -> Result<(CpuStorage, Shape)> {
        let shape = self.shape();
        let mut output = vec![T::zero(); elements("avg_pool2d", &shape)?];
        let plane = self.vertical.input * self.horizontal.input;
        output.par_chunks_mut(self.vertical.output * self.horizontal.output).zip(input.par_chunks(plane)).for_each(|(output, input)| {
            for (y, row) in output.chunks_mut(self.horizontal.output).enumerate() {
                for line in self.vertical.covered(y) {
                    self.gather(row, &input[line * self.horizontal.input..][..self.horizontal.input]);
                }
                self.divide(y, row);
            }
        });
        Ok((T::to_cpu_storage_owned(output), Shape::from(&shape)))
    }

    fn backward<T: Number>(&self, gradient: &[T]) -> Result<(CpuStorage, Shape)> {
        let [samples, channels] = self.planes;
        let shape = [samples, channels, self.vertical.input, self.horizontal.input];
        let mut result = vec![T::zero(); elements("avg_pool2d", &shape)?];
        let plane = self.vertical.input * self.horizontal.input;
        let windows = self.vertical.output * self.horizontal.output;
        result.par_chunks_mut(plane).zip(gradient.par_chunks(windows)).for_each_init(
            || vec![T::zero(); self.horizontal.output],
            |share, (result, gradient)| {
                for (y, row) in gradient.chunks(self.horizontal.output).enumerate() {
                    share.copy_from_slice(row);
                    self.divide(y, share);
                    for line in self.vertical.covered(y) {
                        self.scatter(share, &mut result[line * self.horizontal.input..][..self.horizontal.input]);
                    }
                }
            },
        );
        Ok((T::to_cpu_storage_owned(result), Shape::from(&shape)))
    }

    /// Adds to every window of `row` what it covers of an input `line`.
    fn gather<T: Number>(&self, row: &mut [T], line: &[T]) {
        for tap in 0..self.horizontal.kernel {
            let (windows, first) = self.horizontal.windows(tap);
            let Some(row) = row.get_mut(windows) else { continue };
            for (sum, &value) in row.iter_mut().zip(line[first..].iter().step_by(self.horizontal.stride)) {
                *sum += value;
            }
        }
    }

    /// The transpose of [`gather`](Self::gather): adds every window's value to the pixels of `line` that it covers.
    fn scatter<T: Number>(&self, row: &[T], line: &mut [T]) {
        for tap in 0..self.horizontal.kernel {
            let (windows, first) = self.horizontal.windows(tap);
            let Some(row) = row.get(windows) else { continue };
            for (&value, sum) in row.iter().zip(line[first..].iter_mut().step_by(self.horizontal.stride)) {
                *sum += value;
            }
        }
    }

    /// Divides row `y` of windows by the number of pixels of each, padding included.
    fn divide<T: Number>(&self, y: usize, row: &mut [T]) {
        let lines = self.vertical.within_padding(y);
        for (x, value) in row.iter_mut().enumerate() {
            *value /= T::of((lines * self.horizontal.within_padding(x)) as f64);
        }
    }
}

/// The same on a graphics card: `avg_pool2d.cu`.
#[cfg(any(feature = "cuda", test))]
mod cuda {
    use candle_core::{DType, Result};

    use super::AvgPool2d;
    use crate::cuda::{Address, Card, Launch, Program, pooling};

    fn launch(card: &impl Card, dtype: DType, pool: &AvgPool2d, launch: Launch) -> Result<()> {
        let parts: &[&str] = &[include_str!("window.cuh"), include_str!("avg_pool2d.cu")];
        let program = Program::of_pixels("avg_pool2d", dtype, parts, &["avg_pool2d", "avg_pool2d_gradient"])?;
        pooling::launch(card, program, launch, pool.planes, [pool.vertical, pool.horizontal])
    }

    pub(super) fn forward(card: &impl Card, dtype: DType, pool: &AvgPool2d, [input, output]: [Address; 2]) -> Result<()> {
        launch(card, dtype, pool, Launch::each("avg_pool2d", pool.shape().iter().product()).with(input).with(output))
    }

    pub(super) fn backward(card: &impl Card, dtype: DType, pool: &AvgPool2d, [gradient, to_input]: [Address; 2]) -> Result<()> {
        let count = pool.planes.iter().product::<usize>() * pool.vertical.input * pool.horizontal.input;
        launch(card, dtype, pool, Launch::each("avg_pool2d_gradient", count).with(gradient).with(to_input))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::Rounding;
    use crate::cuda::emulated::Emulated;

    /// Images with equal numbers beside each other.
    fn images(height: usize, width: usize) -> Tensor {
        let numbers = (0..6 * height * width).map(|i| (i * 29 % 7) as f32 - 3.0);
        Tensor::from_vec(numbers.collect(), (2, 3, height, width), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_card_computes_the_same() {
        let overlapping = Pool2d { kernel: (3, 2), stride: (2, 1), padding: (1, 1), rounding: Rounding::Up };
        let apart = Pool2d { kernel: (1, 2), stride: (3, 4), padding: (0, 0), rounding: Rounding::Down };
        for (pool, (height, width)) in [(Pool2d::square(2), (6, 7)), (overlapping, (5, 6)), (apart, (8, 9)), (overlapping, (2, 1))] {
            let input = images(height, width);
            let (op, output) = (AvgPool2d::of(&input, &pool).unwrap(), avg_pool2d(&input, &pool).unwrap());
            let count = output.elem_count();
            let upstream = Tensor::arange(0_f32, count as f32, &Device::Cpu).unwrap().reshape(output.shape()).unwrap();
            let to_input = avg_pool2d_gradient(&input, &upstream, &pool).unwrap();
            Emulated::both(|card| {
                let (of_input, on_card, to_input_on_card) = (card.tensor(&input), card.output::<f32>(count), card.output::<f32>(input.elem_count()));
                cuda::forward(card, DType::F32, &op, [of_input, on_card]).unwrap();
                cuda::backward(card, DType::F32, &op, [card.tensor(&upstream), to_input_on_card]).unwrap();
                card.assert_close(on_card, &output, 1e-6);
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
            let (op, output) = (AvgPool2d::of(&input, &pool).unwrap(), avg_pool2d(&input, &pool).unwrap());
            let wide = avg_pool2d(&input.to_dtype(DType::F32).unwrap(), &pool).unwrap();
            assert_eq!((output.dtype(), output.dims()), (dtype, wide.dims()));
            let (count, upstream) = (output.elem_count(), output.clone());
            let to_input = avg_pool2d_gradient(&input, &upstream, &pool).unwrap();
            Emulated::both(|card| {
                let (of_input, of_upstream) = (card.tensor(&input), card.tensor(&upstream));
                let (on_card, to_input_on_card) = (card.output_of(dtype, count), card.output_of(dtype, input.elem_count()));
                cuda::forward(card, dtype, &op, [of_input, on_card]).unwrap();
                cuda::backward(card, dtype, &op, [of_upstream, to_input_on_card]).unwrap();
                card.assert_same(on_card, &wide.to_dtype(dtype).unwrap());
                card.assert_same(to_input_on_card, &to_input);
            });
        }
    }
}
