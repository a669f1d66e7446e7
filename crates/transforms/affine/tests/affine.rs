//! The affine transformation against PyTorch, and what every transformation must hold to.

use stn_core::{TargetGrid, Transformation};
use stn_testkit::{assert_close, build_transformation, check_transformation, oracle};
use stn_transform_affine::Affine;

#[test]
fn it_is_a_transformation() {
    check_transformation(&Affine);
}

#[test]
fn grids_are_those_of_affine_grid() -> stn_core::Result<()> {
    let vectors = oracle(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/affine_grid.npz"));
    for size in [[4, 5], [1, 3], [7, 1]] {
        for (align_corners, corners) in [(false, "edges"), (true, "centres")] {
            let grid = Affine.grid(vectors.get("theta"), &TargetGrid::new(size, align_corners)?)?;
            assert_close(&grid, vectors.get(&format!("grid_{}x{}_{corners}", size[0], size[1])), 1e-14);
        }
    }
    Ok(())
}

#[test]
fn four_tiles_are_the_quarters_of_the_source() -> stn_core::Result<()> {
    let tiles = Affine.tiles(4)?;
    assert_eq!(tiles[0], [0.5, 0.0, -0.5, 0.0, 0.5, -0.5]);
    assert_eq!(tiles[3], [0.5, 0.0, 0.5, 0.0, 0.5, 0.5]);
    Ok(())
}

#[test]
fn a_key_is_an_error() {
    let message = build_transformation::<Affine>("points = 3").unwrap_err().to_string();
    assert_eq!(message, "`affine`: `points`: unknown key `points`; no key is known here");
}

#[test]
fn a_theta_of_another_length_is_named() {
    let theta = stn_testkit::uniform("theta", (2, 5), -1.0, 1.0);
    assert_eq!(Affine.matrix(&theta).unwrap_err().to_string(), "affine takes a theta of N x 6, not [2, 5]");
}
