//! `stn op` on `.npy` files, from outside.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use npyz::WriterBuilder;
use predicates::str::contains;

fn stn() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("stn"))
}

fn write(path: &Path, shape: &[u64], values: &[f64]) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut file).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

fn read(path: &Path) -> (Vec<u64>, Vec<f64>) {
    let npy = npyz::NpyFile::new(std::fs::File::open(path).unwrap()).unwrap();
    (npy.shape().to_vec(), npy.into_vec().unwrap())
}

/// A folder with a 1 x 1 x 2 x 3 image, the identity of affine and a cotangent of ones.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        write(&bench.at("u.npy"), &[1, 1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        write(&bench.at("theta.npy"), &[1, 2, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        write(&bench.at("dv.npy"), &[1, 1, 2, 3], &[1.0; 6]);
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn stn(&self, line: &str) -> assert_cmd::assert::Assert {
        stn().current_dir(self.folder.path()).args(line.split_whitespace()).assert()
    }
}

const SAMPLE: &str = "op sample --input u.npy --transform affine --theta theta.npy --size 2,3 --kernel bilinear --boundary zeros --out v.npy";

#[test]
fn the_identity_returns_the_input() {
    let bench = Bench::new();
    for corners in ["", " --align-corners"] {
        bench.stn(&format!("{SAMPLE}{corners}")).success();
        let (shape, values) = read(&bench.at("v.npy"));
        assert_eq!(shape, [1, 1, 2, 3]);
        for (value, expected) in values.iter().zip([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) {
            assert!((value - expected).abs() < 1e-12, "{values:?}");
        }
    }
}

#[test]
fn the_grid_and_the_transformation_sample_alike() {
    let bench = Bench::new();
    write(&bench.at("theta.npy"), &[1, 6], &[0.9, 0.2, 0.1, -0.3, 0.8, -0.1]);
    bench.stn("op grid --transform affine --theta theta.npy --size 4,5 --out g.npy").success();
    bench.stn("op sample --input u.npy --grid g.npy --kernel bicubic --param a=-0.5 --boundary border --out by_grid.npy").success();
    bench
        .stn("op sample --input u.npy --transform affine --theta theta.npy --size 4,5 --kernel bicubic --param a=-0.5 --boundary border --out by_theta.npy")
        .success();
    let (by_grid, by_theta) = (read(&bench.at("by_grid.npy")), read(&bench.at("by_theta.npy")));
    assert_eq!(by_grid.0, [1, 1, 4, 5]);
    for (a, b) in by_grid.1.iter().zip(&by_theta.1) {
        assert!((a - b).abs() < 1e-12);
    }
}

#[test]
fn gradients_take_the_shape_of_their_files() {
    let bench = Bench::new();
    bench.stn(&format!("{SAMPLE} --grad-out dv.npy --grad-input du.npy --grad-theta dt.npy")).success();
    let (shape, values) = read(&bench.at("du.npy"));
    assert_eq!(shape, [1, 1, 2, 3]);
    assert!(values.iter().all(|value| (value - 1.0).abs() < 1e-12), "{values:?}");
    assert_eq!(read(&bench.at("dt.npy")).0, [1, 2, 3]);
}

#[test]
fn parameters_find_the_plugin_that_has_them() {
    let bench = Bench::new();
    let identity = [-1.0, -1.0, 0.0, -1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 1.0, 0.0, 1.0, 1.0, 1.0];
    write(&bench.at("theta.npy"), &[1, 18], &identity);
    let line =
        "op sample --input u.npy --transform tps --param points=3 --theta theta.npy --size 2,3 --kernel integer --param ties=even --boundary zeros --out v.npy";
    bench.stn(line).success();
    assert_eq!(read(&bench.at("v.npy")).1, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn mistakes_say_what_to_type() {
    let bench = Bench::new();
    bench.stn(&SAMPLE.replace("bilinear", "bilinaer")).failure().stderr(contains("Did you mean `bilinear`?"));
    bench.stn(&SAMPLE.replace("zeros", "zero")).failure().stderr(contains("did you mean `zeros`?"));
    bench.stn(&SAMPLE.replace("2,3", "2,3,4")).failure().stderr(contains("give --size H,W"));
    bench.stn(&SAMPLE.replace("affine", "projective")).failure().stderr(contains("projective takes N x 8"));
    bench.stn(&SAMPLE.replace("u.npy", "missing.npy")).failure().stderr(contains("missing.npy"));
    bench.stn(&format!("{SAMPLE} --param pionts=3")).failure().stderr(contains("pionts"));
    bench.stn(&format!("{SAMPLE} --grad-out theta.npy --grad-input du.npy")).failure().stderr(contains("so its gradient must be too"));
    assert!(!bench.at("du.npy").exists() && !bench.at("v.npy").exists());
    write(&bench.at("theta.npy"), &[2, 6], &[1.0; 12]);
    bench.stn(SAMPLE).failure().stderr(contains("u.npy holds [1, 1, 2, 3] F64, but theta.npy holds [2, 6] F64"));
}
