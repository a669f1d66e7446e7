//! What trials record over the training, made up beside a [`Fixture`]'s folder: moments of the warps, parameters, confusion; volumes.

use super::fixture::{Fixture, save, trial};
use super::misread::worst;
use polars::prelude::*;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The moments at which the images are kept.
pub const MOMENTS: [i64; 4] = [0, 75, 300, 1200];

/// Every trial's folder with the number of its model.
fn folders(dir: &Path, fixture: &Fixture) -> Vec<(PathBuf, usize)> {
    let all = |d| (0..fixture.models.len()).flat_map(move |m| (0..fixture.seeds).map(move |seed| (d, m, seed)));
    (0..fixture.distortions.len()).flat_map(all).map(|(d, m, seed)| (trial(dir, d, m, seed), m)).collect()
}

/// Adds all recordings to the trials of a fixture.
pub fn add(dir: &Path, fixture: &Fixture) {
    for (folder, m) in folders(dir, fixture) {
        confusion(&folder, 10, m as i64);
        if m >= fixture.plain {
            worst(&folder);
            moments(&folder);
            thetas(&folder, m);
        }
    }
}

/// `classes` classes of a hundred images, of which some are taken for the next class, and one in a thousand for none.
pub fn confusion(folder: &Path, classes: i64, m: i64) {
    let rows = (0..classes).flat_map(|class| [(class, class, 90 + m % 8), (class, (class + 1) % classes, 10 - m % 8), (class, -1, i64::from(class == 3))]);
    let rows: Vec<(i64, i64, i64)> = rows.filter(|row| row.2 > 0).collect();
    let column = |of: fn(&(i64, i64, i64)) -> i64| rows.iter().map(of).collect::<Vec<_>>();
    let mut frame = df!("head" => vec![0i64; rows.len()], "class" => column(|r| r.0), "predicted" => column(|r| r.1), "images" => column(|r| r.2)).unwrap();
    save(&folder.join("confusion.parquet"), &mut frame);
}

/// The end's images at every moment; what came out before the end is what went in.
pub fn moments(folder: &Path) {
    let path = folder.join("warps.parquet");
    let end = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
    let mut whole: Option<DataFrame> = None;
    for trained in MOMENTS {
        let mut at = end.clone();
        if trained < 1200 {
            let mut input = at.column("input").unwrap().clone();
            input.rename("output".into());
            at.with_column(input).unwrap();
        }
        at.with_column(Column::new("trained".into(), vec![trained; end.height()])).unwrap();
        whole = Some(whole.map_or_else(|| at.clone(), |whole| whole.vstack(&at).unwrap()));
    }
    save(&path, &mut whole.unwrap());
}

/// Six parameters of an affine transformation, or 32 of control points for every third model.
fn thetas(folder: &Path, m: usize) {
    let points = m.is_multiple_of(3);
    let names: Vec<String> = if points {
        (0..16).flat_map(|i| ["x", "y"].map(|axis| format!("{axis}_{}_{}", i / 4, i % 4))).collect()
    } else {
        ["t11", "t12", "t13", "t21", "t22", "t23"].map(str::to_string).to_vec()
    };
    let (mut trained, mut sample, mut theta) = (Vec::new(), Vec::new(), Vec::new());
    for step in (0..=1200i64).step_by(60) {
        for image in 0..10i64 {
            let drift = step as f64 / 1200.0 * (image as f64 / 10.0 - 0.3);
            let start = |i: usize| match (points, i) {
                (true, i) if i.is_multiple_of(2) => (i / 2 % 4) as f64 / 1.5 - 1.0,
                (true, i) => (i / 8) as f64 / 1.5 - 1.0,
                (false, 0 | 4) => 1.0,
                _ => 0.0,
            };
            trained.push(step);
            sample.push(image);
            theta.push(Series::new("".into(), (0..names.len()).map(|i| start(i) + drift * (i as f64 + 1.0).sin()).collect::<Vec<_>>()));
        }
    }
    let rows = trained.len();
    let mut frame = df!(
        "trained" => trained, "sample" => &sample, "layer" => vec!["layers.0.st"; rows], "step" => vec![1i64; rows], "class" => &sample, "predicted" => &sample,
        "theta" => theta, "theta_names" => vec![Series::new("".into(), names); rows]
    )
    .unwrap();
    save(&folder.join("thetas.parquet"), &mut frame);
}

/// Volumes of 6 x 5 x 4 voxels instead of images, with a grid that reaches a little beyond them.
pub fn volumes(folder: &Path) {
    let (depth, height, width) = (6, 5, 4);
    let ink = |i: usize| ((i * 7919) % 97) as f32 / 97.0;
    let volume: Vec<f32> = (0..depth * height * width).map(ink).collect();
    let along = |i: usize, n: usize| 1.2 * ((2 * i + 1) as f32 / n as f32 - 1.0);
    let grid = |i: usize| [along(i % width, width), along(i / width % height, height), along(i / (width * height), depth)];
    let grid: Vec<f32> = (0..depth * height * width).flat_map(grid).collect();
    let list = |values: &[f32]| vec![Series::new("".into(), values); 10];
    let shape = |dims: [usize; 4]| vec![Series::new("".into(), dims.map(|n| n as i64)); 10];
    let classes: Vec<i64> = (0..10).collect();
    let mut frame = df!(
        "trained" => [1200i64; 10], "sample" => &classes, "layer" => ["st1"; 10], "step" => [1i64; 10], "class" => &classes, "predicted" => [3i64; 10],
        "theta" => list(&[1.0; 12]), "input" => list(&volume), "input_shape" => shape([1, depth, height, width]),
        "grid" => list(&grid), "grid_shape" => shape([depth, height, width, 3]), "output" => list(&volume), "output_shape" => shape([1, depth, height, width])
    )
    .unwrap();
    save(&folder.join("warps.parquet"), &mut frame);
}
