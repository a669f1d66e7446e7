//! The thin plate spline against SciPy, and what every transformation must hold to.

use candle_core::{DType, Device, Tensor};
use stn_core::{Result, TargetGrid};
use stn_testkit::{assert_close, build_transformation, check_transformation, gradient_check, oracle, uniform};
use stn_transform_tps::ThinPlateSpline;

#[test]
fn it_is_a_transformation_with_any_number_of_points() -> Result<()> {
    for parameters in ["", "points = 2", "points = 5", "points = 3\nregularisation = 0.5"] {
        check_transformation(&*build_transformation::<ThinPlateSpline>(parameters)?);
    }
    Ok(())
}

#[test]
fn points_go_where_scipy_puts_them_at_any_smoothing() -> Result<()> {
    let vectors = oracle(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/thin_plate_spline.npz"));
    for n in [2, 3, 4, 8] {
        for smoothing in ["0.0", "0.01", "1.5"] {
            let spline = build_transformation::<ThinPlateSpline>(&format!("points = {n}\nregularisation = {smoothing}"))?;
            let mapped = spline.map(vectors.get(&format!("theta_{n}")), vectors.get("points"))?;
            assert_close(&mapped, vectors.get(&format!("mapped_{n}_{smoothing}")), 1e-10);
        }
    }
    Ok(())
}

#[test]
fn it_passes_through_its_control_points() -> Result<()> {
    for n in [2, 4, 9] {
        let spline = build_transformation::<ThinPlateSpline>(&format!("points = {n}"))?;
        let moved = uniform("moved", (3, 2 * n * n), -1.0, 1.0);
        let grid = spline.grid(&moved, &TargetGrid::new([n, n], true)?)?;
        assert_close(&grid.reshape((3, 2 * n * n))?, &moved, 1e-10);
    }
    Ok(())
}

#[test]
fn it_reproduces_affine_maps_with_and_without_regularisation() -> Result<()> {
    let points = uniform("points", (1, 2, 20), -2.0, 2.0);
    let (matrix, shift) = (uniform("matrix", (1, 2, 2), -1.0, 1.0), uniform("shift", (1, 2, 1), -1.0, 1.0));
    let affine = |points: &Tensor| matrix.matmul(points)?.broadcast_add(&shift);
    for parameters in ["", "regularisation = 0.3", "regularisation = 1e6", "points = 2", "points = 12"] {
        let spline = build_transformation::<ThinPlateSpline>(parameters)?;
        let control = Tensor::new(spline.identity(), &Device::Cpu)?.reshape((1, (), 2))?.transpose(1, 2)?.contiguous()?;
        let theta = affine(&control)?.transpose(1, 2)?.contiguous()?.reshape((1, ()))?;
        assert_close(&spline.map(&theta, &points)?, &affine(&points)?, 1e-9);
    }
    Ok(())
}

#[test]
fn the_largest_spline_is_solved_accurately() -> Result<()> {
    let spline = build_transformation::<ThinPlateSpline>("points = 32")?;
    let identity = Tensor::new(spline.identity(), &Device::Cpu)?.unsqueeze(0)?;
    let points = uniform("points", (1, 2, 50), -1.0, 1.0);
    assert_close(&spline.map(&identity, &points)?, &points, 1e-9);
    Ok(())
}

#[test]
fn the_gradient_at_a_control_point_is_right() -> Result<()> {
    let spline = build_transformation::<ThinPlateSpline>("points = 3")?;
    let control = Tensor::new(spline.identity(), &Device::Cpu)?.reshape((1, (), 2))?.transpose(1, 2)?.contiguous()?;
    let theta = uniform("theta", (1, 18), -1.0, 1.0);
    // phi bends at its point: the central difference itself is off by about its step times its logarithm.
    gradient_check(|inputs| Ok(spline.map(&theta, &inputs[0])?), &[control], 1e-3);
    Ok(())
}

#[test]
fn the_basis_in_f32_is_the_exact_one_rounded() -> Result<()> {
    let spline = build_transformation::<ThinPlateSpline>("points = 8")?;
    let points = TargetGrid::new([4, 8], false)?.points(DType::F32, &Device::Cpu)?.unsqueeze(0)?;
    let exact = spline.basis(&points.to_dtype(DType::F64)?)?;
    assert_close(&spline.basis(&points)?, &exact, 1e-7);
    Ok(())
}

#[test]
fn tiles_are_windows_over_the_control_points() -> Result<()> {
    let spline = build_transformation::<ThinPlateSpline>("points = 2")?;
    assert_eq!(spline.tiles(4)?[1], [0.0, -1.0, 1.0, -1.0, 0.0, 0.0, 1.0, 0.0]);
    Ok(())
}

#[test]
fn theta_is_named_by_row_and_column() -> Result<()> {
    let names = build_transformation::<ThinPlateSpline>("points = 2")?.theta_names();
    assert_eq!(names, ["x_0_0", "y_0_0", "x_0_1", "y_0_1", "x_1_0", "y_1_0", "x_1_1", "y_1_1"]);
    Ok(())
}

#[test]
fn too_few_and_too_many_points_are_errors() {
    for points in [0, 1, 33, 1_000_000] {
        let message = build_transformation::<ThinPlateSpline>(&format!("points = {points}")).unwrap_err().to_string();
        assert_eq!(message, format!("`tps`: `points`: a thin plate spline takes 2 to 32 control points along each axis, not {points}"));
    }
    assert!(build_transformation::<ThinPlateSpline>("points = -1").is_err());
}

#[test]
fn a_regularisation_out_of_range_is_an_error() {
    for regularisation in ["-0.1", "nan", "inf", "1e7"] {
        let message = build_transformation::<ThinPlateSpline>(&format!("regularisation = {regularisation}")).unwrap_err().to_string();
        assert!(message.starts_with("`tps`: `regularisation`: the regularisation must be a number from 0 to 1e6, not "), "{message}");
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let message = build_transformation::<ThinPlateSpline>("points = 1\nregularisation = nan").unwrap_err().to_string();
    assert!(message.contains("`points`: ") && message.contains("`regularisation`: "), "{message}");
    let message = build_transformation::<ThinPlateSpline>("pionts = 4").unwrap_err().to_string();
    assert_eq!(message, "`tps`: `pionts`: unknown key `pionts`; did you mean `points`? (known: points, regularisation)");
}
