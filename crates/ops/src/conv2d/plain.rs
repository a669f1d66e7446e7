//! The plain convolution: patches as a matrix, times the filters, tile by tile. It knows every stride and both number types, and is the reference of the direct kernels.

use candle_core::Result;
use rayon::prelude::*;

use super::Geometry;
use super::patches::{Tile, Tiling};
use crate::cpu::{BLOCK, Number, elements, with_scratch};
use crate::matmul::{Matrix, Store, multiply};
use crate::transpose::transpose;

/// The output, samples x filters x windows.
pub(super) fn forward<T: Number>(geometry: Geometry, input: &[T], weight: &[T], bias: Option<&[T]>) -> Result<Vec<T>> {
    let shape = [geometry.samples, geometry.filters, geometry.positions()];
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
    Ok(output)
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

/// The gradient to the input, in the input's shape.
pub(super) fn input_gradient<T: Number>(geometry: Geometry, weight: &[T], gradient: &[T]) -> Result<Vec<T>> {
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
    Ok(result)
}

/// The gradients to the weight and to the bias, one after the other.
///
/// Groups of images are dealt to a number of parts that depends on the sizes only; each part sums its groups in order, and the parts are summed in order.
pub(super) fn filter_gradient<T: Number>(geometry: Geometry, input: &[T], gradient: &[T]) -> Result<Vec<T>> {
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
                add_group(geometry, &tiling, group, input, gradient, sums);
            }
        });
        sum_parts(&geometry, &mut parts, &mut result);
    }
    Ok(result)
}

/// Adds what one group of images contributes. `sums` holds the weight's gradient transposed, patch x filters, then the bias's.
fn add_group<T: Number>(geometry: Geometry, tiling: &Tiling, group: usize, input: &[T], gradient: &[T], sums: &mut [T]) {
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
            transpose(rows, pitch, columns, filters, pitch);
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

/// Adds the parts in order, into the first of them, and transposes the weight's gradient to filters x patch.
fn sum_parts<T: Number>(geometry: &Geometry, parts: &mut [T], result: &mut [T]) {
    let (total, others) = parts.split_at_mut(result.len());
    total.par_chunks_mut(BLOCK).enumerate().for_each(|(block, total)| {
        for part in others.chunks(result.len()) {
            total.iter_mut().zip(&part[block * BLOCK..]).for_each(|(total, &number)| *total += number);
        }
    });
    let length = geometry.filters * geometry.patch();
    transpose(&total[..length], geometry.filters, &mut result[..length], geometry.patch(), geometry.filters);
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
