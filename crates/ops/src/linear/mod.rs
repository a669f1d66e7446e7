//! Fully connected layers.

mod fast;

use std::ops::Range;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::cpu::{Held, Number, by_number, elements, expect_numbers, numbers};
#[cfg(feature = "cuda")]
use crate::cuda::candle::OnCard;
#[cfg(feature = "cuda")]
use crate::cuda::dense::{Planes, add_bias, bias_gradient};
#[cfg(feature = "cuda")]
use crate::cuda::device::no_room;
use crate::matmul::{Matrix, Store, multiply};
use crate::update::{accumulate, mutate};

/// `x W^T + b`: every row of `x`, N x I, times `weight`, O x I, plus `bias`, O; the result is N x O.
///
/// # Errors
///
/// Where a shape or type does not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    sizes(x, weight, bias)?;
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, Linear),
        None => x.apply_op2(&weight, Linear),
    }
}

/// A fully connected layer and the rectified linear unit that may follow it, without candle's tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearBlock {
    /// Whether a rectified linear unit follows.
    pub rectified: bool,
}

impl LinearBlock {
    /// The output, N x O, for `x`, N x I, with `weight`, O x I, and `bias`, O.
    ///
    /// # Errors
    ///
    /// Where a shape or type does not fit.
    pub fn forward(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        if !is_fast(x) {
            let output = linear(&x.detach(), &weight.detach(), Some(&bias.detach()))?;
            return if self.rectified { crate::relu(&output) } else { Ok(output) };
        }
        let sizes = sizes(x, weight, Some(bias))?;
        let (x, weight, bias) = (x.contiguous()?, weight.contiguous()?, bias.contiguous()?);
        let held = (Held::new("linear", &x)?, Held::new("linear", &weight)?, Held::new("linear", &bias)?);
        let bias = held.2.numbers::<f32>()?;
        let finish = |outputs: Range<usize>, sums: &mut [f32]| {
            for (sum, &bias) in sums.iter_mut().zip(&bias[outputs]) {
                // Not `y > 0`, which would turn NaN into 0.
                *sum = if self.rectified && *sum + bias <= 0.0 { 0.0 } else { *sum + bias };
            }
        };
        Tensor::from_vec(fast::forward(held.0.numbers()?, held.1.numbers()?, sizes, finish), (sizes[0], sizes[2]), x.device())
    }

    /// From the gradient to the output, `upstream`, to that in front of the rectification, from which the others follow.
    ///
    /// # Errors
    ///
    /// Where `upstream` has another shape than `output`.
    pub fn gradient(&self, output: &Tensor, upstream: &Tensor) -> Result<Tensor> {
        if output.dims() != upstream.dims() {
            bail!("linear: the gradient is {:?} and the output {:?}; expected the same", upstream.dims(), output.dims());
        }
        let upstream = upstream.contiguous()?;
        if self.rectified { crate::relu::relu_gradient(output, &upstream) } else { Ok(upstream) }
    }

    /// The gradient to the input, N x I, from [`gradient`](Self::gradient).
    ///
    /// # Errors
    ///
    /// Where a shape or type does not fit.
    pub fn input_gradient(&self, weight: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let sizes = gradient_sizes(weight, gradient)?;
        let weight = weight.detach().contiguous()?;
        if !is_fast(&weight) || !is_fast(gradient) {
            return gradient.apply_op2_no_bwd(&weight, &Product { left_transposed: false, right_transposed: false });
        }
        let held = (Held::new("linear", &weight)?, Held::new("linear", gradient)?);
        Tensor::from_vec(fast::input_gradient(held.0.numbers()?, held.1.numbers()?, sizes), (sizes[0], sizes[1]), gradient.device())
    }

    /// Adds [`input_gradient`](Self::input_gradient) to `sum`, in place: N samples of I numbers in any shape.
    ///
    /// # Errors
    ///
    /// Where a shape or type does not fit.
    pub fn add_input_gradient(&self, weight: &Tensor, gradient: &Tensor, sum: &Tensor) -> Result<()> {
        let sizes = gradient_sizes(weight, gradient)?;
        let weight = weight.detach().contiguous()?;
        if !is_fast(&weight) || !is_fast(gradient) {
            return accumulate(sum, &self.input_gradient(&weight, gradient)?.reshape(sum.shape())?);
        }
        if sum.elem_count() != sizes[0] * sizes[1] {
            bail!("linear: a gradient to {} x {} numbers of the input, and {:?} to add it to", sizes[0], sizes[1], sum.dims());
        }
        let held = (Held::new("linear", &weight)?, Held::new("linear", gradient)?);
        let (weight, gradient) = (held.0.numbers()?, held.1.numbers()?);
        mutate(sum, 0..sum.elem_count(), |sum: &mut [f32]| {
            fast::add_input_gradient(weight, gradient, sizes, sum);
            Ok(())
        })
    }

    /// The gradient to the weight, O x I, from the input and [`gradient`](Self::gradient); not multiplied out.
    ///
    /// # Errors
    ///
    /// Where a shape or type does not fit.
    pub fn weight_gradient(&self, x: &Tensor, gradient: &Tensor) -> Result<LinearGradient> {
        let ([samples, inputs], [expected, outputs]) = (matrix("x", x)?, matrix("gradient", gradient)?);
        if samples != expected || x.dtype() != gradient.dtype() {
            let what = |tensor: &Tensor| format!("{:?} {:?}", tensor.dims(), tensor.dtype());
            bail!("linear: x is {} and the gradient {}; expected as many rows of one type", what(x), what(gradient));
        }
        Ok(LinearGradient { x: x.detach().contiguous()?, gradient: gradient.detach().contiguous()?, sizes: [samples, inputs, outputs] })
    }

    /// The gradient to the bias, O, from [`gradient`](Self::gradient).
    ///
    /// # Errors
    ///
    /// Where its type does not fit.
    pub fn bias_gradient(&self, gradient: &Tensor) -> Result<Tensor> {
        gradient.apply_op1_no_bwd(&SumRows)
    }
}

/// The gradient to the weight of a fully connected layer, O x I, as the product that it is: of the gradient to the output, N x O, turned round, and the input, N x I.
///
/// A step along it reads both, which are mostly far smaller, and never writes it down.
#[derive(Debug, Clone)]
pub struct LinearGradient {
    x: Tensor,
    gradient: Tensor,
    /// Samples, inputs and outputs.
    sizes: [usize; 3],
}

impl LinearGradient {
    /// Some of its rows, multiplied out.
    ///
    /// # Errors
    ///
    /// Where there are no such rows, or the device cannot hold them.
    pub fn rows(&self, rows: Range<usize>) -> Result<Tensor> {
        let Self { x, gradient, sizes } = self;
        let [_, inputs, outputs] = *sizes;
        if rows.start > rows.end || rows.end > outputs {
            bail!("linear: no rows {rows:?} of a gradient to a weight of {outputs} x {inputs}");
        }
        if !is_fast(x) {
            let part = gradient.narrow(1, rows.start, rows.len())?.contiguous()?;
            return part.apply_op2_no_bwd(x, &Product { left_transposed: true, right_transposed: false });
        }
        let held = (Held::new("linear", x)?, Held::new("linear", gradient)?);
        let shape = (rows.len(), inputs);
        Tensor::from_vec(fast::weight_gradient(held.0.numbers()?, held.1.numbers()?, *sizes, rows), shape, x.device())
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.sizes[2], self.sizes[1]]
    }

    /// Whether [`use_up`](Self::use_up) takes it, and gains by that.
    pub(crate) fn is_soon_made(&self) -> bool {
        is_fast(&self.x) && self.sizes[0] < fast::MANY
    }

    /// Gives `use_row` every number: some of a row at a time, and those of `targets`, of the weight's shape, at the same places.
    pub(crate) fn use_up<const N: usize>(&self, targets: [&mut [f32]; N], use_row: impl Fn([&mut [f32]; N], &[f32]) + Sync) -> Result<()> {
        let held = (Held::new("linear", &self.x)?, Held::new("linear", &self.gradient)?);
        fast::with_weight_gradient(held.0.numbers()?, held.1.numbers()?, self.sizes, targets, use_row);
        Ok(())
    }
}

/// Samples, inputs and outputs of a layer, from its weight and the gradient to its output.
fn gradient_sizes(weight: &Tensor, gradient: &Tensor) -> Result<[usize; 3]> {
    let ([samples, outputs], [expected, inputs]) = (matrix("gradient", gradient)?, matrix("weight", weight)?);
    if outputs != expected {
        bail!("linear: the gradient has {outputs} columns, weight {expected} rows; expected the same number");
    }
    Ok([samples, inputs, outputs])
}

/// Whether the kernels of [`fast`] take a tensor.
fn is_fast(tensor: &Tensor) -> bool {
    tensor.dtype() == DType::F32 && tensor.device().is_cpu()
}

/// Samples, inputs and outputs of a layer, or what does not fit.
fn sizes(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<[usize; 3]> {
    expect_numbers("linear", &[("x", x), ("weight", weight)])?;
    let ([samples, inputs], [outputs, expected]) = (matrix("x", x)?, matrix("weight", weight)?);
    if inputs != expected {
        bail!("linear: x has {inputs} columns, weight {expected}; expected the same number");
    }
    if let Some(bias) = bias {
        expect_numbers("linear", &[("x", x), ("bias", bias)])?;
        if bias.dims() != [outputs] {
            bail!("linear: bias has shape {:?}; expected [{outputs}], one number an output", bias.dims());
        }
    }
    elements("linear", &[samples, outputs])?;
    Ok([samples, inputs, outputs])
}

fn matrix(name: &str, tensor: &Tensor) -> Result<[usize; 2]> {
    match *tensor.dims() {
        [rows, columns] => Ok([rows, columns]),
        ref other => bail!("linear: {name} has shape {other:?}; expected two axes"),
    }
}

struct Linear;

/// `left right^T`, which is the layer itself; or with the flags, products with a factor transposed, which are its gradients.
struct Product {
    left_transposed: bool,
    right_transposed: bool,
}

/// The sum of a matrix over its rows.
struct SumRows;

impl Linear {
    fn gradients(x: &Tensor, weight: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let product = |left: &Tensor, right: &Tensor, left_transposed| left.apply_op2_no_bwd(right, &Product { left_transposed, right_transposed: false });
        let to_x = x.track_op().then(|| product(gradient, weight, false)).transpose()?;
        let to_weight = weight.track_op().then(|| product(gradient, x, true)).transpose()?;
        Ok((to_x, to_weight))
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, weight: &CpuStorage, weight_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let op = Product { left_transposed: false, right_transposed: true };
        by_number!(CustomOp2::name(self), x, T => op.apply::<T>(numbers(x, x_layout)?, x_layout, numbers(weight, weight_layout)?, weight_layout, None))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, x_layout: &Layout, weight: &CudaStorage, weight_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Product { left_transposed: false, right_transposed: true }.on_card((x, x_layout), (weight, weight_layout))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Self::gradients(x, weight, &gradient.contiguous()?)
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let op = Product { left_transposed: false, right_transposed: true };
        by_number!(CustomOp3::name(self), x, T => {
            let bias = numbers::<T>(bias, bias_layout)?;
            op.apply::<T>(numbers(x, x_layout)?, x_layout, numbers(weight, weight_layout)?, weight_layout, Some(bias))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (product, shape) = Product { left_transposed: false, right_transposed: true }.on_card((x, x_layout), (weight, weight_layout))?;
        let (samples, channels) = shape.dims2()?;
        let card = OnCard::of(x);
        let y = card.place(&product, &Layout::contiguous(shape.clone()))?;
        add_bias(&card, card.dtype(), y, card.place(bias, bias_layout)?, Planes { samples, channels, plane: 1 })?;
        Ok((product, shape))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (to_x, to_weight) = Self::gradients(x, weight, &gradient)?;
        let to_bias = bias.track_op().then(|| gradient.apply_op1_no_bwd(&SumRows)).transpose()?;
        Ok((to_x, to_weight, to_bias))
    }
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "linear gradient"
    }

    fn cpu_fwd(&self, left: &CpuStorage, left_layout: &Layout, right: &CpuStorage, right_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), left, T => self.apply::<T>(numbers(left, left_layout)?, left_layout, numbers(right, right_layout)?, right_layout, None))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, left: &CudaStorage, left_layout: &Layout, right: &CudaStorage, right_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        self.on_card((left, left_layout), (right, right_layout))
    }
}

/// Rows of a product that one task makes: enough to make good use of a factor read once, and the same at any thread count.
const ROWS: usize = 32;

impl Product {
    /// By cuBLAS, as candle calls it.
    #[cfg(feature = "cuda")]
    fn on_card(&self, (left, left_layout): (&CudaStorage, &Layout), (right, right_layout): (&CudaStorage, &Layout)) -> Result<(CudaStorage, Shape)> {
        use candle_core::backend::{BackendDevice, BackendStorage};

        let oriented = |layout: &Layout, transposed| if transposed { layout.transpose(0, 1) } else { Ok(layout.clone()) };
        let (left_layout, right_layout) = (oriented(left_layout, self.left_transposed)?, oriented(right_layout, self.right_transposed)?);
        let ((rows, depth), (_, columns)) = (left_layout.shape().dims2()?, right_layout.shape().dims2()?);
        let shape = Shape::from((rows, columns));
        if rows * depth * columns == 0 {
            return Ok((left.device.zeros_impl(&shape, left.dtype())?, shape));
        }
        let product = left.matmul(right, (1, rows, columns, depth), &left_layout, &right_layout);
        Ok((product.map_err(|error| no_room(rows * columns * left.dtype().size_in_bytes(), &left.device, error))?, shape))
    }

    fn apply<T: Number>(&self, left: &[T], left_layout: &Layout, right: &[T], right_layout: &Layout, bias: Option<&[T]>) -> Result<(CpuStorage, Shape)> {
        let oriented = |numbers, layout: &Layout, transposed| -> Result<Matrix<T>> {
            let (rows, columns) = layout.shape().dims2()?;
            let matrix = Matrix::by_rows(numbers, rows, columns, columns);
            Ok(if transposed { matrix.transposed() } else { matrix })
        };
        let left = oriented(left, left_layout, self.left_transposed)?;
        let right = oriented(right, right_layout, self.right_transposed)?;
        let (rows, columns) = (left.rows, right.columns);
        let mut out = vec![T::zero(); elements("linear", &[rows, columns])?];
        if let Some(bias) = bias.filter(|_| columns > 0) {
            out.par_chunks_mut(columns).for_each(|row| row.copy_from_slice(bias));
        }
        if rows < columns && self.right_transposed {
            // Few rows: made transposed, the large factor is read as it lies and is shared out among the tasks.
            let mut flipped = vec![T::zero(); out.len()];
            add_product(&mut flipped, right.transposed(), left.transposed());
            out.par_chunks_mut(columns).enumerate().for_each(|(row, out)| {
                out.iter_mut().zip(flipped[row..].iter().step_by(rows)).for_each(|(out, &product)| *out += product);
            });
        } else {
            add_product(&mut out, left, right);
        }
        Ok((T::to_cpu_storage_owned(out), Shape::from((rows, columns))))
    }
}

/// Adds `left right` to `out`, blocks of rows shared out among the threads.
fn add_product<T: Number>(out: &mut [T], left: Matrix<T>, right: Matrix<T>) {
    let columns = right.columns;
    if out.is_empty() {
        return;
    }
    out.par_chunks_mut(ROWS * columns).enumerate().for_each(|(block, out)| {
        multiply(out, columns, left.rows_from(block * ROWS, out.len() / columns), right, Store::Add);
    });
}

impl CustomOp1 for SumRows {
    fn name(&self) -> &'static str {
        "linear bias gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, columns) = layout.shape().dims2()?;
        by_number!(self.name(), storage, T => {
            let mut sum = vec![<T as num_traits::Zero>::zero(); columns];
            for row in numbers::<T>(storage, layout)?.chunks(columns.max(1)) {
                sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value);
            }
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(sum), Shape::from(columns)))
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (samples, channels) = layout.shape().dims2()?;
        let card = OnCard::of(storage);
        let upstream = card.place(storage, layout)?;
        let planes = Planes { samples, channels, plane: 1 };
        card.make(card.dtype(), &Shape::from(channels), |sum| bias_gradient(&card, card.dtype(), upstream, sum, planes))
    }
}
