//! The warps against SciPy's and OpenCV's; `tests/vectors/generate.py` made the vectors.

use std::path::Path;

use candle_core::{Device, Tensor};
use npyz::npz::NpzArchive;
use stn_core::PluginSpec;
use stn_core::stream::stream;

use super::frame::{Frame, Placement};
use super::homography::homography;
use super::warp::{DrawTheta, Warper};
use super::{Draw, Elastic};

fn array(name: &str) -> Vec<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/warps.npz");
    let mut archive = NpzArchive::open(path).unwrap();
    match archive.by_name(name).unwrap().unwrap().try_data::<f32>() {
        Ok(values) => values.map(|v| f64::from(v.unwrap())).collect(),
        Err(array) => array.into_vec::<f64>().unwrap(),
    }
}

/// A warp whose theta is given.
#[derive(Debug)]
struct Given(PluginSpec, Vec<f64>);

impl DrawTheta for Given {
    fn transformation(&self) -> PluginSpec {
        self.0.clone()
    }

    fn draw(&self, _: &mut rand_chacha::ChaCha8Rng, _: Frame) -> Vec<f64> {
        self.1.clone()
    }
}

/// The largest difference between our warp of the image and the vector `name`.
fn difference(name: &str, transformation: PluginSpec, theta: Vec<f64>, frame: Frame) -> f64 {
    let warper = Warper::new(Box::new(Given(transformation, theta)), frame, &stn_plugins::standard().unwrap()).unwrap();
    let image: Vec<f32> = array("image").into_iter().map(|v| v as f32).collect();
    let input = Tensor::from_vec(image, (1, 1, 28, 28), &Device::Cpu).unwrap();
    let output = warper.apply(&input, vec![Draw { index: 0, random: stream(0, "test", 0) }]).unwrap();
    assert_eq!(output.dims(), [1, 1, frame.canvas[0], frame.canvas[1]]);
    let ours = output.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    ours.iter().zip(array(name)).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

const SAME: Frame = Frame { image: [28, 28], canvas: [28, 28] };

#[test]
fn a_rotation_is_scipys() {
    let theta = SAME.affine_theta(&Placement { angle: 37_f64.to_radians(), scale: 1.0, shift: [0.0; 2] });
    let worst = difference("rotation", PluginSpec::named("affine"), theta, SAME);
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn a_rotation_with_scale_and_place_is_scipys() {
    let frame = Frame { canvas: [42, 42], ..SAME };
    let theta = frame.affine_theta(&Placement { angle: -20_f64.to_radians(), scale: 0.8, shift: [5.0, -3.5] });
    let worst = difference("rotation_translation_scale", PluginSpec::named("affine"), theta, frame);
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn a_perspective_is_opencvs() {
    let corners = array("corners");
    let corner = |i: usize| [corners[2 * i] / 14.0, corners[2 * i + 1] / 14.0];
    let square = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
    let theta = homography(&[corner(0), corner(1), corner(2), corner(3)], &square).unwrap();
    let worst = difference("projective", PluginSpec::named("projective"), theta.to_vec(), SAME);
    // OpenCV takes the corners in single precision.
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn a_thin_plate_spline_is_scipys() {
    let still = Elastic { sigma: 0.0, scale: [0.9, 0.9], ..Elastic::default() }.draw(&mut stream(0, "test", 0), SAME);
    let theta = still.iter().zip(array("displacements")).map(|(point, d)| point + d / (0.9 * 14.0)).collect();
    let worst = difference("elastic", Elastic::default().transformation(), theta, SAME);
    assert!(worst < 1e-4, "{worst}");
}
