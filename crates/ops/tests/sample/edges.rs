//! What a user can hand over by mistake, or by luck.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use stn_core::{Boundary, Real, SamplingKernel, TargetGrid};
use stn_ops::{Sampler, sample_grid, sample_structured, structured_grid};
use stn_sampler_bilinear::Bilinear;
use stn_testkit::uniform;

use crate::{basis, gradients, numbers, samplers};

const STRANGE: [f64; 7] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 1e9, -1e9];

fn bilinear() -> Sampler {
    Sampler { kernel: Arc::new(Bilinear), boundary: Boundary::Zeros, align_corners: false }
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap()
}

/// `1 x 7 x 1 x 2`: strange x beside an ordinary y.
fn strange_grid(dtype: DType) -> Result<Tensor> {
    let points: Vec<f64> = STRANGE.iter().flat_map(|&x| [x, 0.1]).collect();
    Tensor::from_vec(points, (1, 7, 1, 2), &Device::Cpu)?.to_dtype(dtype)
}

#[test]
fn strange_coordinates_read_zero_under_zeros_and_a_pixel_elsewhere() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        let input = Tensor::full(0.5, (1, 1, 4, 4), &Device::Cpu)?.to_dtype(dtype)?;
        for sampler in samplers() {
            let output = numbers(&sample_grid(&input, &strange_grid(dtype)?, &sampler)?);
            let expected = if sampler.boundary == Boundary::Zeros { 0.0 } else { 0.5 };
            assert!(output.iter().all(|v| (v - expected).abs() < 1e-6), "{sampler:?} {dtype:?} {output:?}");
        }
    }
    Ok(())
}

#[test]
fn nan_reads_at_the_first_pixel_under_border_and_reflection() -> Result<()> {
    let input = Tensor::arange(0.0, 4.0, &Device::Cpu)?.reshape((1, 1, 1, 4))?;
    let grid = Tensor::new(&[[[[f64::NAN, 0.0]]]], &Device::Cpu)?;
    for sampler in samplers().into_iter().take(18).filter(|sampler| sampler.boundary != Boundary::Zeros) {
        assert_eq!(numbers(&sample_grid(&input, &grid, &sampler)?), [0.0], "{sampler:?}");
    }
    Ok(())
}

#[test]
fn strange_coordinates_pass_no_gradient() -> Result<()> {
    let input = Var::from_tensor(&uniform("input", (1, 2, 4, 4), -1.0, 1.0))?;
    let grid = Var::from_tensor(&strange_grid(DType::F64)?)?;
    for sampler in samplers() {
        let [to_input, to_grid] = gradients(&sample_grid(&input, &grid, &sampler)?, [&input, &grid])?;
        let (x, all) = (numbers(&to_grid.narrow(3, 0, 1)?), numbers(&to_grid));
        assert!(x[..5].iter().all(|&g| g == 0.0) && all.iter().all(|g| g.is_finite()), "{sampler:?} {all:?}");
        assert!(numbers(&to_input).iter().all(|g| g.is_finite()));
    }
    Ok(())
}

#[test]
fn strange_matrices_pass_no_gradient() -> Result<()> {
    let input = uniform("input", (1, 1, 4, 4), -1.0, 1.0);
    for sampler in samplers().into_iter().filter(|sampler| sampler.boundary == Boundary::Zeros) {
        let target = TargetGrid::new([2, 3], sampler.align_corners)?;
        for (strange, rows) in STRANGE.iter().flat_map(|&x| [(x, 2), (x, 3)]) {
            let matrix = Var::from_tensor(&Tensor::full(strange, (1, rows, 3), &Device::Cpu)?)?;
            let terms = Var::from_tensor(&basis(&target)?)?;
            let output = sample_structured(&input, &matrix, &terms, &target, &sampler)?;
            for gradient in gradients(&output, [&matrix, &terms])? {
                assert!(numbers(&gradient).iter().all(|g| g.is_finite()), "{strange} {rows} {sampler:?}: {gradient}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_pixel_that_is_nan_shows_only_where_it_is_read() -> Result<()> {
    let input = Tensor::new(&[[[[f64::NAN, 1.0, 2.0, 3.0]]]], &Device::Cpu)?;
    let grid = Tensor::new(&[[[[-9.0, 0.0], [0.9, 0.0]]]], &Device::Cpu)?;
    let output = numbers(&sample_grid(&input, &grid, &bilinear())?);
    assert!(output[0] == 0.0 && output[1].is_finite(), "{output:?}");
    Ok(())
}

#[test]
fn a_batch_or_a_source_of_nothing_is_served() -> Result<()> {
    for (input, samples) in [([0, 1, 4, 4], 0), ([2, 0, 4, 4], 2), ([2, 1, 0, 4], 2)] {
        let target = TargetGrid::new([3, 2], false)?;
        let (input, matrix, terms) = (Var::from_tensor(&zeros(&input))?, Var::from_tensor(&zeros(&[samples, 2, 3]))?, Var::from_tensor(&basis(&target)?)?);
        let output = sample_structured(&input, &matrix, &terms, &target, &bilinear())?;
        assert_eq!(output.dims(), [samples, input.dim(1)?, 3, 2]);
        assert!(numbers(&output).iter().all(|&v| v == 0.0));
        for (gradient, var) in gradients(&output, [&input, &matrix, &terms])?.iter().zip([&input, &matrix, &terms]) {
            assert_eq!(gradient.dims(), var.dims());
        }
    }
    assert_eq!(sample_grid(&zeros(&[2, 1, 4, 4]), &zeros(&[2, 0, 3, 2]), &bilinear())?.dims(), [2, 1, 0, 3]);
    Ok(())
}

#[test]
fn memory_order_does_not_matter() -> Result<()> {
    let wide = uniform("input", (4, 5, 2, 6), -1.0, 1.0);
    let (input, grid) = (wide.permute((2, 3, 0, 1))?.narrow(1, 2, 3)?, uniform("grid", (2, 3, 7, 2), -1.0, 1.0).transpose(1, 2)?);
    for sampler in samplers() {
        let plain = sample_grid(&input.contiguous()?, &grid.contiguous()?, &sampler)?;
        assert_eq!(numbers(&sample_grid(&input, &grid, &sampler)?), numbers(&plain));
    }
    let input = Var::from_tensor(&wide)?;
    let output = sample_grid(&input.permute((2, 3, 0, 1))?, &grid, &bilinear())?.transpose(2, 3)?;
    let gradient = output.sum_all()?.backward()?.remove(&input);
    assert_eq!(gradient.map(|gradient| gradient.dims().to_vec()), Some(vec![4, 5, 2, 6]));
    Ok(())
}

/// A kernel that reads nothing.
#[derive(Debug)]
struct Empty;

impl SamplingKernel for Empty {
    fn support(&self) -> usize {
        0
    }

    fn weights<T: Real>(&self, _: &[T], _: &mut [i32], _: &mut [T]) {}

    fn derivatives<T: Real>(&self, _: &[T], _: &mut [T]) {}
}

#[test]
fn a_kernel_without_taps_is_an_error() {
    let sampler = Sampler { kernel: Arc::new(Empty), ..bilinear() };
    let message = sample_grid(&zeros(&[1, 1, 2, 2]), &zeros(&[1, 2, 2, 2]), &sampler).unwrap_err().to_string();
    assert!(message.contains("the sampling kernel Empty has no taps"), "{message}");
}

#[test]
fn only_what_is_tracked_gets_a_gradient() -> Result<()> {
    let (input, grid) = (uniform("input", (1, 1, 4, 4), -1.0, 1.0), uniform("grid", (1, 2, 2, 2), -1.0, 1.0));
    let tracked = Var::from_tensor(&grid)?;
    let gradients = sample_grid(&input, &tracked, &bilinear())?.sum_all()?.backward()?;
    assert!(gradients.get(&tracked).is_some() && gradients.get(&input).is_none());
    Ok(())
}

#[test]
fn every_misfit_says_what_was_expected() -> Result<()> {
    let target = TargetGrid::new([3, 2], false)?;
    let (input, matrix, terms) = (zeros(&[2, 1, 4, 4]), zeros(&[2, 2, 3]), basis(&target)?);
    let structured = |input: &Tensor, matrix: &Tensor, terms: &Tensor| sample_structured(input, matrix, terms, &target, &bilinear());
    let aligned = Sampler { align_corners: true, ..bilinear() };
    let cases = [
        (structured(&zeros(&[2, 4, 4]), &matrix, &terms), "expected an input of N x C x H x W, not [2, 4, 4]"),
        (structured(&input, &zeros(&[2, 4, 3]), &terms), "expected a matrix of N x 2 x K or N x 3 x K for 2 axes, not [2, 4, 3]"),
        (structured(&input, &zeros(&[2, 2, 0]), &terms), "expected a matrix of N x 2 x K or N x 3 x K for 2 axes, not [2, 2, 0]"),
        (structured(&input, &zeros(&[3, 2, 3]), &terms), "input has 2 samples and matrix 3"),
        (structured(&input, &matrix, &zeros(&[3, 5])), "expected a basis of 3 x 6"),
        (structured(&input, &matrix, &terms.to_dtype(DType::F32)?), "input is F64 and basis is F32; convert one to the other's type"),
        (sample_structured(&input, &matrix, &terms, &target, &aligned), "align_corners = false and the sampler true"),
        (sample_grid(&input, &zeros(&[2, 3, 2, 3]), &bilinear()), "expected a grid of N x H x W x 2"),
        (sample_grid(&input, &zeros(&[2, 1, 3, 2, 3]), &bilinear()), "expected an input of N x C x D x H x W, not [2, 1, 4, 4]"),
        (sample_grid(&input, &zeros(&[1, 3, 2, 2]), &bilinear()), "input has 2 samples and grid 1"),
        (structured_grid(&matrix, &zeros(&[2, 6]), &target), "expected a basis of 3 x 6"),
    ];
    for (result, expected) in cases {
        let message = result.map(|_| String::new()).unwrap_or_else(|error| error.to_string());
        assert!(message.contains(expected), "`{message}` should say `{expected}`");
    }
    Ok(())
}

#[test]
fn an_output_that_no_memory_holds_is_an_error() -> Result<()> {
    let target = TargetGrid::new([1 << 14, 1 << 14], false)?;
    // One number each, however many they look like.
    let nothing = |shape: &[usize]| zeros(&vec![1; shape.len()]).expand(shape);
    let (matrix, terms, grid) = (nothing(&[300, 2, 3])?, nothing(&[3, 1 << 28])?, nothing(&[300, 1 << 14, 1 << 14, 2])?);
    for channels in [0, 1] {
        let input = nothing(&[300, channels, 4, 4])?;
        for result in [sample_structured(&input, &matrix, &terms, &target, &bilinear()), sample_grid(&input, &grid, &bilinear())] {
            let message = result.map(|_| String::new()).unwrap_or_else(|error| error.to_string());
            assert!(message.contains("a tensor of shape [300, 1, 16384, 16384] has more than 2^36 = 68719476736 numbers"), "{message}");
        }
    }
    let message = structured_grid(&matrix, &terms, &target).unwrap_err().to_string();
    assert!(message.contains("a tensor of shape [300, 16384, 16384, 2] has more than 2^36 = 68719476736 numbers"), "{message}");
    Ok(())
}

#[test]
fn images_of_16_bits_are_sampled_in_32_and_rounded_once() -> Result<()> {
    let target = TargetGrid::new([3, 5], false)?;
    let wide = uniform("input", (2, 3, 4, 4), -1.0, 1.0).to_dtype(DType::F32)?;
    let (matrix, basis) = (uniform("matrix", (2, 2, 3), -1.0, 1.0).to_dtype(DType::F32)?, basis(&target)?.to_dtype(DType::F32)?);
    for dtype in [DType::BF16, DType::F16] {
        let (image, m) = (Var::from_tensor(&wide.to_dtype(dtype)?)?, Var::from_tensor(&matrix)?);
        let output = sample_structured(&image, &m, &basis, &target, &bilinear())?;
        // The same numbers in f32 from the start.
        let (image_32, m_32) = (Var::from_tensor(&wide.to_dtype(dtype)?.to_dtype(DType::F32)?)?, Var::from_tensor(&matrix)?);
        let output_32 = sample_structured(&image_32, &m_32, &basis, &target, &bilinear())?;
        // Of a plain sum, whose gradient is one in every type.
        let gradients = |output: &Tensor, image: &Var, m: &Var| -> Result<[Tensor; 2]> {
            let mut store = output.sum_all()?.backward()?;
            Ok([image, m].map(|var| store.remove(var).unwrap()))
        };
        let [to_image, to_matrix] = gradients(&output, &image, &m)?;
        let [to_image_32, to_matrix_32] = gradients(&output_32, &image_32, &m_32)?;
        assert_eq!([output.dtype(), to_image.dtype(), to_matrix.dtype()], [dtype, dtype, DType::F32]);
        assert_eq!(numbers(&output), numbers(&output_32.to_dtype(dtype)?));
        assert_eq!(numbers(&to_image), numbers(&to_image_32.to_dtype(dtype)?));
        assert_eq!(numbers(&to_matrix), numbers(&to_matrix_32));
        let grid = structured_grid(&m, &basis, &target)?;
        assert_eq!(numbers(&sample_grid(&image, &grid, &bilinear())?), numbers(&output));
    }
    Ok(())
}

#[test]
fn beside_images_of_16_bits_coordinates_are_in_32() -> Result<()> {
    let target = TargetGrid::new([2, 2], false)?;
    let (image, matrix) = (zeros(&[1, 1, 4, 4]).to_dtype(DType::F16)?, zeros(&[1, 2, 3]));
    let basis = basis(&target)?.to_dtype(DType::F32)?;
    let error = sample_structured(&image, &matrix, &basis, &target, &bilinear()).unwrap_err().to_string();
    assert!(error.contains("input is F16 and matrix is F64; with images in 16 bits convert matrix to f32"), "{error}");
    let error = sample_grid(&image, &zeros(&[1, 2, 2, 2]).to_dtype(DType::F16)?, &bilinear()).unwrap_err().to_string();
    assert!(error.contains("grid is F16; with images in 16 bits convert grid to f32"), "{error}");
    Ok(())
}
