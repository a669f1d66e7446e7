//! The affine transformation of volumes against PyTorch, and what every transformation must hold to.

use stn_core::{TargetGrid, Transformation};
use stn_testkit::{assert_close, build_transformation, check_transformation, oracle};
use stn_transform_affine3d::Affine3d;

#[test]
fn it_is_a_transformation() {
    check_transformation(&Affine3d);
}

#[test]
fn grids_are_those_of_affine_grid() -> stn_core::Result<()> {
    let vectors = oracle(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/affine_grid_3d.npz"));
    for size in [[2, 3, 4], [1, 3, 2], [3, 1, 1]] {
        for (align_corners, corners) in [(false, "edges"), (true, "centres")] {
            let grid = Affine3d.grid(vectors.get("theta"), &TargetGrid::new(size, align_corners)?)?;
            assert_close(&grid, vectors.get(&format!("grid_{}x{}x{}_{corners}", size[0], size[1], size[2])), 1e-14);
        }
    }
    Ok(())
}

#[test]
fn tiles_keep_the_whole_depth() -> stn_core::Result<()> {
    for tile in Affine3d.tiles(4)? {
        assert_eq!(tile[8..], [0.0, 0.0, 1.0, 0.0]);
    }
    Ok(())
}

#[test]
fn a_key_is_an_error() {
    assert!(build_transformation::<Affine3d>("points = 3").is_err());
}
