//! `project` against candle's reductions, central differences and itself.

use candle_core::{DType, Device, Result, Tensor, Var};
use stn_ops::{Projection, VolumeAxis, project, project_gradient};
use stn_testkit::{assert_close, gradient_check, same_bits, uniform};

const AXES: [(VolumeAxis, usize); 3] = [(VolumeAxis::Depth, 2), (VolumeAxis::Height, 3), (VolumeAxis::Width, 4)];
const PROJECTIONS: [Projection; 3] = [Projection::Max, Projection::Mean, Projection::Sum];

#[test]
fn values_are_those_of_candle_along_every_axis() {
    let volumes = uniform("volumes", (2, 3, 5, 4, 6), -1.0, 1.0);
    for dtype in [DType::F32, DType::F64] {
        let volumes = volumes.to_dtype(dtype).unwrap();
        for (axis, place) in AXES {
            let expected = [volumes.max(place), volumes.mean(place), volumes.sum(place)];
            for (projection, expected) in PROJECTIONS.into_iter().zip(expected) {
                assert_close(&project(&volumes, axis, projection).unwrap(), &expected.unwrap(), if dtype == DType::F32 { 1e-6 } else { 1e-14 });
            }
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    // Distinct numbers, far enough apart that a small step changes no maximum.
    let values: Vec<f64> = (0..2 * 2 * 3 * 4 * 5).map(|i| f64::from((i * 7919) % 240) / 16.0).collect();
    let volumes = Tensor::from_vec(values, (2, 2, 3, 4, 5), &Device::Cpu).unwrap();
    for (axis, _) in AXES {
        for projection in PROJECTIONS {
            gradient_check(|inputs| project(&inputs[0], axis, projection), std::slice::from_ref(&volumes), 1e-7);
        }
    }
}

/// The gradient to volumes `1 1 D 1 1` of the sum of their maximum.
fn to_maximum(column: &[f64]) -> Vec<f64> {
    let volumes = Var::from_tensor(&Tensor::from_slice(column, (1, 1, column.len(), 1, 1), &Device::Cpu).unwrap()).unwrap();
    let image = project(&volumes, VolumeAxis::Depth, Projection::Max).unwrap();
    image.sum_all().unwrap().backward().unwrap().get(&volumes).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn the_first_of_equal_maxima_gets_the_gradient_and_of_nans_the_last() {
    assert_eq!(to_maximum(&[1.0, 3.0, 3.0, 2.0]), [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(to_maximum(&[0.0; 3]), [1.0, 0.0, 0.0]);
    assert_eq!(to_maximum(&[1.0, f64::NAN, f64::NAN, 2.0]), [0.0, 0.0, 1.0, 0.0]);
    assert_eq!(to_maximum(&[f64::NEG_INFINITY; 2]), [1.0, 0.0]);
}

#[test]
fn a_volume_that_is_not_contiguous_is_projected_as_it_reads() -> Result<()> {
    let volumes = uniform("volumes", (2, 3, 5, 4, 6), -1.0, 1.0);
    let turned = volumes.transpose(2, 4)?;
    assert_close(&project(&turned, VolumeAxis::Width, Projection::Sum)?, &project(&volumes, VolumeAxis::Depth, Projection::Sum)?.transpose(2, 3)?, 1e-14);
    Ok(())
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    let volumes = uniform("volumes", (3, 2, 30, 21, 19), -1.0, 1.0).to_dtype(DType::F32).unwrap();
    same_bits(|| {
        let mut results = Vec::new();
        for (axis, _) in AXES {
            for projection in PROJECTIONS {
                let image = project(&volumes, axis, projection)?;
                results.push(project_gradient(&volumes, &image, &image, axis, projection)?);
                results.push(image);
            }
        }
        Ok(results)
    });
}

#[test]
fn what_is_no_volume_is_refused() {
    let message = |shape: &[usize]| {
        let tensor = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        project(&tensor, VolumeAxis::Depth, Projection::Max).unwrap_err().to_string().lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(message(&[1, 2, 3, 4]), "project takes volumes N C D H W with at least one voxel along the axis, not [1, 2, 3, 4]");
    assert_eq!(message(&[1, 1, 0, 4, 4]), "project takes volumes N C D H W with at least one voxel along the axis, not [1, 1, 0, 4, 4]");
    let volumes = Tensor::zeros((1, 1, 2, 3, 4), DType::F32, &Device::Cpu).unwrap();
    let image = project(&volumes, VolumeAxis::Height, Projection::Sum).unwrap();
    assert_eq!(image.dims(), [1, 1, 2, 4]);
    assert!(project_gradient(&volumes, &image, &volumes, VolumeAxis::Height, Projection::Sum).is_err());
}
