//! The same results, to rounding, with every set of vector instructions. A program of its own: the choice is the whole program's.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};
use stn_core::wide::Vectors;
use stn_core::{Boundary, Sampling, TargetGrid};
use stn_ops::{Sampler, Wanted, sample_structured, sample_structured_gradients};
use stn_sampler_bicubic::Bicubic;
use stn_sampler_bilinear::Bilinear;
use stn_sampler_integer::{Integer, Ties};
use stn_testkit::{assert_close, uniform};

/// Output and gradients.
fn results(channels: usize, size: [usize; 2], sampler: &Sampler) -> Result<Vec<Tensor>> {
    let number = |name, shape: &[usize]| uniform(name, shape, -1.0, 1.0).to_dtype(DType::F32);
    let target = TargetGrid::new(size, sampler.align_corners)?;
    let input = number("input", &[2, channels, 13, 17])?;
    let (matrix, basis) = (number("matrix", &[2, 2, 5])?, number("basis", &[5, target.pixels()])?);
    let output = sample_structured(&input, &matrix, &basis, &target, sampler)?;
    let wanted = Wanted { input: true, matrix: true, basis: true };
    let upstream = number("upstream", output.dims())?;
    let (to_input, to_matrix, to_basis) = sample_structured_gradients(&input, &matrix, &basis, &target, sampler, &upstream, wanted)?;
    Ok([Some(output), to_input, to_matrix, to_basis].into_iter().flatten().collect())
}

#[test]
fn every_set_of_vector_instructions_gives_the_same_to_rounding() -> Result<()> {
    let kernels: [Arc<dyn Sampling>; 3] = [Arc::new(Integer::new(Ties::Floor)), Arc::new(Bilinear), Arc::new(Bicubic::new(-0.75).unwrap())];
    for kernel in kernels {
        for boundary in Boundary::ALL {
            for channels in [1, 3, 4, 5, 16, 37] {
                let sampler = Sampler { kernel: kernel.clone(), boundary, align_corners: false };
                let all = Vectors::ALL.map(|vectors| {
                    Vectors::limit(vectors);
                    results(channels, [11, 29], &sampler)
                });
                let [compiled, avx2, avx512] = all;
                let compiled = compiled?;
                assert_eq!(compiled.len(), 4);
                for others in [avx2?, avx512?] {
                    for (found, expected) in others.iter().zip(&compiled) {
                        let scale = expected.abs()?.flatten_all()?.max(0)?.to_dtype(DType::F64)?.to_scalar::<f64>()?.max(1.0);
                        assert_close(&found.affine(1.0 / scale, 0.0)?, &expected.affine(1.0 / scale, 0.0)?, 1e-4);
                    }
                }
            }
        }
    }
    Ok(())
}
