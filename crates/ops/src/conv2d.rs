//! Convolution of images with learnt filters: patches as a matrix, times the filters, tile by tile.

use std::array;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::cpu::{BLOCK, Number, by_number, elements, expect_images, expect_numbers, numbers, with_scratch};
use crate::matmul::{Matrix, Store, multiply};
use crate::patches::{Geometry, Tile, Tiling};
use crate::window::{Window2d, conv2d_axes};

/// Cross-correlates images with filters: `y[n, o] = b[o] + sum_i w[o, i] * x[n, i]`, as every network framework does.
///
/// `input` is N x I x H x W, `weight` O x I x kernel height x kernel width, `bias` O; the result is N x O x [`conv2d_output`](crate::conv2d_output).
///
/// # Errors
///
/// Where a shape or type does not fit, or no window does; the message says which size is at fault.
pub fn conv2d(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, window: Window2d) -> Result<Tensor> {
    expect_numbers("conv2d", &[("input", input), ("weight", weight)])?;
    let [samples, channels, height, width] = expect_images("conv2d", "input", input)?;
    let [filters, expected, kernel_height, kernel_width] = expect_images("conv2d", "weight", weight)?;
    if channels != expected {
        bail!("conv2d: input has {channels} channels, weight is for {expected}; expected the same number");
    }
    let (vertical, horizontal) = conv2d_axes((height, width), (kernel_height, kernel_width), &window)?;
    let op = Conv2d(Geometry { samples, channels, filters, vertical, horizontal });
    op.check_sizes()?;
    let (input, weight) = (input.contiguous()?, weight.contiguous()?);
    let Some(bias) = bias else { return input.apply_op2(&weight, op) };
    expect_numbers("conv2d", &[("input", &input), ("bias", bias)])?;
    if bias.dims() != [filters] {
        bail!("conv2d: bias has shape {:?}; expected [{filters}], one number a filter", bias.dims());
    }
    input.apply_op3(&weight, &bias.contiguous()?, op)
}

#[derive(Clone, Copy)]
struct Conv2d(Geometry);

/// From the weight and the output's gradient to the input's.
struct InputGradient(Geometry);

/// From the input and the output's gradient to the weight's and the bias's, one after the other in one vector.
struct FilterGradient(Geometry);

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, input: &CpuStorage, input_layout: &Layout, weight: &CpuStorage, weight_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(CustomOp2::name(self), input, T => self.forward::<T>(numbers(input, input_layout)?, numbers(weight, weight_layout)?, None))
    }

    fn bwd(&self, input: &Tensor, weight: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (to_weight, _) = self.filter_gradients(input, &gradient, weight.track_op(), false)?;
        Ok((self.input_gradient(input, weight, &gradient)?, to_weight))
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_number!(CustomOp3::name(self), input, T => {
            self.forward::<T>(numbers(input, input_layout)?, numbers(weight, weight_layout)?, Some(numbers(bias, bias_layout)?))
        })
    }

    fn bwd(&self, input: &Tensor, weight: &Tensor, bias: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (to_weight, to_bias) = self.filter_gradients(input, &gradient, weight.track_op(), bias.track_op())?;
        Ok((self.input_gradient(input, weight, &gradient)?, to_weight, to_bias))
    }
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "conv2d input gradient"
    }

    fn cpu_fwd(&self, weight: &CpuStorage, weight_layout: &Layout, gradient: &CpuStorage, gradient_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), weight, T => self.apply::<T>(numbers(weight, weight_layout)?, numbers(gradient, gradient_layout)?))
    }
}

impl CustomOp2 for FilterGradient {
    fn name(&self) -> &'static str {
        "conv2d filter gradient"
    }

    fn cpu_fwd(&self, input: &CpuStorage, input_layout: &Layout, gradient: &CpuStorage, gradient_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_number!(self.name(), input, T => self.apply::<T>(numbers(input, input_layout)?, numbers(gradient, gradient_layout)?))
    }
}

impl Conv2d {
    fn output_shape(&self) -> [usize; 4] {
        [self.0.samples, self.0.filters, self.0.vertical.output, self.0.horizontal.output]
    }

    /// Refuses what no memory can hold before anything is computed from it.
    fn check_sizes(&self) -> Result<()> {
        let Geometry { samples, channels, vertical, horizontal, .. } = self.0;
        elements("conv2d", &self.output_shape())?;
        elements("conv2d", &[samples, channels, vertical.input + 2 * vertical.padding, horizontal.input + 2 * horizontal.padding])?;
        Ok(())
    }

    fn forward<T: Number>(&self, input: &[T], weight: &[T], bias: Option<&[T]>) -> Result<(CpuStorage, Shape)> {
        let geometry = self.0;
        let shape = self.output_shape();
        let mut output = vec![T::zero(); elements("conv2d", &shape)?];
        if !output.is_empty() {
            let tiling = Tiling::new(geometry, columns(&geometry));
            let weight = Matrix::by_rows(weight, geometry.filters, geometry.patch(), geometry.patch());
            let image = geometry.filters * geometry.positions();
            output.par_chunks_mut(tiling.group * image).enumerate().for_each(|(group, output)| {
                let samples = output.len() / image;
                let images = &input[group * tiling.group * geometry.image()..][..samples * geometry.image()];
                with_scratch([tiling.padded(), tiling.block(), geometry.filters * tiling.pitch], |[padded, patches, product]| {
                    let padded = tiling.pad(images, padded);
                    for tile in &tiling.tiles {
                        product.fill(T::zero());
                        for (first, taps) in tiling.blocks() {
                            tile.gather(&geometry, samples, padded, taps, patches, tiling.pitch);
                            let weight = weight.columns_from(first, taps.len());
                            multiply(product, tiling.pitch, weight, Matrix::by_rows(patches, taps.len(), tiling.pitch, tiling.pitch), Store::Add);
                        }
                        store(&geometry, tile, samples, product, tiling.pitch, bias, output);
                    }
                });
            });
        }
        Ok((T::to_cpu_storage_owned(output), Shape::from(&shape)))
    }

    fn input_gradient(&self, input: &Tensor, weight: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        input.track_op().then(|| weight.apply_op2_no_bwd(gradient, &InputGradient(self.0))).transpose()
    }

    fn filter_gradients(&self, input: &Tensor, gradient: &Tensor, to_weight: bool, to_bias: bool) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !to_weight && !to_bias {
            return Ok((None, None));
        }
        let Geometry { channels, filters, vertical, horizontal, .. } = self.0;
        let both = input.apply_op2_no_bwd(gradient, &FilterGradient(self.0))?;
        let length = filters * self.0.patch();
        let weight = to_weight.then(|| both.narrow(0, 0, length)?.reshape((filters, channels, vertical.kernel, horizontal.kernel))).transpose()?;
        let bias = to_bias.then(|| both.narrow(0, length, filters)).transpose()?;
        Ok((weight, bias))
    }
}

/// Copies a tile of the product, filters x pitch, to its place in the output and adds the bias.
fn store<T: Number>(geometry: &Geometry, tile: &Tile, samples: usize, product: &[T], pitch: usize, bias: Option<&[T]>, output: &mut [T]) {
    for (filter, row) in product.chunks(pitch).enumerate() {
        let bias = bias.map_or_else(T::zero, |bias| bias[filter]);
        for (place, columns) in tile.pieces(geometry, samples, filter) {
            output[place].iter_mut().zip(&row[columns]).for_each(|(to, &from)| *to = from + bias);
        }
    }
}

/// Copies a tile of the output's gradient out, filters x pitch; columns beyond the tile are zero.
fn load<T: Number>(geometry: &Geometry, tile: &Tile, samples: usize, gradient: &[T], rows: &mut [T], pitch: usize) {
    for (filter, row) in rows.chunks_mut(pitch).enumerate() {
        for (place, columns) in tile.pieces(geometry, samples, filter) {
            row[columns].copy_from_slice(&gradient[place]);
        }
        row[tile.filled(samples)..].fill(T::zero());
    }
}

impl InputGradient {
    fn apply<T: Number>(&self, weight: &[T], gradient: &[T]) -> Result<(CpuStorage, Shape)> {
        let geometry = self.0;
        let shape = [geometry.samples, geometry.channels, geometry.vertical.input, geometry.horizontal.input];
        let mut result = vec![T::zero(); elements("conv2d", &shape)?];
        if !result.is_empty() && !gradient.is_empty() {
            let tiling = Tiling::new(geometry, columns(&geometry));
            let weight = Matrix::by_rows(weight, geometry.filters, geometry.patch(), geometry.patch()).transposed();
            let output = geometry.filters * geometry.positions();
            result.par_chunks_mut(tiling.group * geometry.image()).enumerate().for_each(|(group, result)| {
                let samples = result.len() / geometry.image();
                let gradient = &gradient[group * tiling.group * output..][..samples * output];
                with_scratch([tiling.padded(), tiling.block(), geometry.filters * tiling.pitch], |[padded, patches, rows]| {
                    tiling.accumulate(result, padded, |padded| {
                        for tile in &tiling.tiles {
                            load(&geometry, tile, samples, gradient, rows, tiling.pitch);
                            let rows = Matrix::by_rows(rows, geometry.filters, tiling.pitch, tiling.pitch);
                            for (first, taps) in tiling.blocks() {
                                multiply(patches, tiling.pitch, weight.rows_from(first, taps.len()), rows, Store::Replace);
                                tile.scatter(&geometry, samples, taps, patches, tiling.pitch, padded);
                            }
                        }
                    });
                });
            });
        }
        Ok((T::to_cpu_storage_owned(result), Shape::from(&shape)))
    }
}

impl FilterGradient {
    /// Groups of images are dealt to a number of parts that depends on the sizes only; each part sums its groups in order, and the parts are summed in order.
    fn apply<T: Number>(&self, input: &[T], gradient: &[T]) -> Result<(CpuStorage, Shape)> {
        let geometry = self.0;
        let (patch, filters) = (geometry.patch(), geometry.filters);
        let length = elements("conv2d", &[filters, patch + 1])?;
        let mut result = vec![T::zero(); length];
        if length > 0 && geometry.samples > 0 {
            let tiling = Tiling::new(geometry, filter_columns(&geometry));
            let groups = geometry.samples.div_ceil(tiling.group);
            let part_groups = groups.div_ceil(parts(length));
            let mut parts = vec![T::zero(); length * groups.div_ceil(part_groups)];
            parts.par_chunks_mut(length).enumerate().for_each(|(part, sums)| {
                for group in part * part_groups..groups.min((part + 1) * part_groups) {
                    self.add_group(&tiling, group, input, gradient, sums);
                }
            });
            sum_parts(&geometry, &mut parts, &mut result);
        }
        Ok((T::to_cpu_storage_owned(result), Shape::from(length)))
    }

    /// Adds what one group of images contributes. `sums` holds the weight's gradient transposed, patch x filters, then the bias's.
    fn add_group<T: Number>(&self, tiling: &Tiling, group: usize, input: &[T], gradient: &[T], sums: &mut [T]) {
        let geometry = self.0;
        let (patch, filters, pitch) = (geometry.patch(), geometry.filters, tiling.pitch);
        let output = filters * geometry.positions();
        let first = group * tiling.group;
        let samples = tiling.group.min(geometry.samples - first);
        let images = &input[first * geometry.image()..][..samples * geometry.image()];
        let gradient = &gradient[first * output..][..samples * output];
        let (weight_sums, bias_sums) = sums.split_at_mut(patch * filters);
        // Transposed, the gradient is a factor that needs no repacking for every block.
        with_scratch([tiling.padded(), tiling.block(), filters * pitch, filters * pitch], |[padded, patches, rows, columns]| {
            let padded = tiling.pad(images, padded);
            for tile in &tiling.tiles {
                let filled = tile.filled(samples);
                load(&geometry, tile, samples, gradient, rows, pitch);
                transpose(rows, pitch, columns, filters);
                let columns = Matrix::by_rows(columns, filled, filters, filters);
                for (first, taps) in tiling.blocks() {
                    tile.gather(&geometry, samples, padded, taps, patches, pitch);
                    let patches = Matrix::by_rows(patches, taps.len(), filled, pitch);
                    multiply(&mut weight_sums[first * filters..], filters, patches, columns, Store::Add);
                }
                for (sum, row) in bias_sums.iter_mut().zip(rows.chunks(pitch)) {
                    *sum += row[..filled].iter().copied().sum();
                }
            }
        });
    }
}

/// Copies a matrix stored by rows of `columns` numbers to its transpose, stored by rows of `rows` numbers.
fn transpose<T: Number>(from: &[T], columns: usize, to: &mut [T], rows: usize) {
    let squares = (rows - rows % SQUARE, columns - columns % SQUARE);
    // A square at a time, which the compiler keeps in registers; then the rows and columns that are left.
    for row in (0..squares.0).step_by(SQUARE) {
        for column in (0..squares.1).step_by(SQUARE) {
            let square: [[T; SQUARE]; SQUARE] = array::from_fn(|i| array::from_fn(|j| from[(row + i) * columns + column + j]));
            for j in 0..SQUARE {
                to[(column + j) * rows + row..][..SQUARE].copy_from_slice(&array::from_fn::<T, SQUARE, _>(|i| square[i][j]));
            }
        }
    }
    for row in 0..rows {
        for column in if row < squares.0 { squares.1..columns } else { 0..columns } {
            to[column * rows + row] = from[row * columns + column];
        }
    }
}

/// The side of a square that is transposed at once.
const SQUARE: usize = 4;

/// Adds the parts in order, into the first of them, and transposes the weight's gradient to filters x patch.
fn sum_parts<T: Number>(geometry: &Geometry, parts: &mut [T], result: &mut [T]) {
    let (total, others) = parts.split_at_mut(result.len());
    total.par_chunks_mut(BLOCK).enumerate().for_each(|(block, total)| {
        for part in others.chunks(result.len()) {
            total.iter_mut().zip(&part[block * BLOCK..]).for_each(|(total, &number)| *total += number);
        }
    });
    let length = geometry.filters * geometry.patch();
    transpose(&total[..length], geometry.filters, &mut result[..length], geometry.patch());
    result[length..].copy_from_slice(&total[length..]);
}

/// Windows a tile of the forward pass and of the input's gradient: one vector block of the product.
fn columns(geometry: &Geometry) -> usize {
    if geometry.patch() < 128 { 128 } else { 64 }
}

/// Windows a tile of the filters' gradient, where they are the depth of the product: more where the sums, read and written once a tile, leave the cache.
fn filter_columns(geometry: &Geometry) -> usize {
    if geometry.patch() * geometry.filters < 1 << 16 { 128 } else { 256 }
}

/// In how many parts a gradient of `length` numbers is summed: many for many threads, fewer where each part is large.
fn parts(length: usize) -> usize {
    ((1 << 22) / length).clamp(4, 32)
}
