//! Digits in volumes: MNIST extruded, turned and placed.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::interpolation::bilinear;
use super::mnist::MnistSpec;
use super::{Loaded, Opened, Source};
use crate::images::Images;
use crate::pictures::Pictures;
use crate::spec::Declared;
use crate::{Error, Provenance, Result};

/// `kind = "mnist_3d"`: an MNIST digit, extruded to a slab, turned about all three axes and put somewhere in a volume of 1 x size x size x size (section A.3 of the paper).
///
/// Angles, scale and place are uniform, anew at every visit in training, once and for all in the test part. The place is such that the scaled slab, before it turns, lies
/// wholly in the volume; where it is larger it stays in the middle. Voxels are interpolated linearly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Mnist3dSpec {
    /// Where the digits are read from.
    #[serde(flatten)]
    pub digits: MnistSpec,
    /// The side of the volume in voxels.
    pub size: usize,
    /// How deep the digit is extruded, in pixels of the digit, which is 28 x 28 of them.
    pub depth: f64,
    /// The angle about each axis is uniform between minus and plus this, in degrees.
    pub degrees: f64,
    /// How large the digit is, uniform between these two: its 28 pixels as a part of the volume's side.
    pub scale: [f64; 2],
}

impl Default for Mnist3dSpec {
    fn default() -> Self {
        Self { digits: MnistSpec::default(), size: 60, depth: 8.0, degrees: 45.0, scale: [0.45, 0.7] }
    }
}

impl Declared for Mnist3dSpec {
    const NAME: &'static str = "mnist_3d";
    const SUMMARY: &'static str = "Handwritten digits extruded, turned and placed in volumes, 10 classes.";
}

/// The longest side of a volume: a batch of 128 is 8 GiB of values then.
const LARGEST: usize = 256;

impl Source for Mnist3dSpec {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = self.digits.faults();
        let [least, most] = self.scale;
        if self.size == 0 || self.size > LARGEST {
            faults.push(Fault::at(["size"], format!("must be between 1 and {LARGEST}; it is {}", self.size)));
        }
        for (name, value, low, high) in [("depth", self.depth, 0.1, 1000.0), ("degrees", self.degrees, 0.0, 180.0)] {
            if !(low..=high).contains(&value) {
                faults.push(Fault::at([name], format!("must be between {low} and {high}; it is {value}")));
            }
        }
        if !(least >= 0.05 && least <= most && most <= 10.0) {
            faults.push(Fault::at(["scale"], format!("must be [least, most] with 0.05 <= least <= most <= 10; it is [{least}, {most}]")));
        }
        faults
    }

    fn changes(&self) -> bool {
        false
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        Some((vec![1, self.size, self.size, self.size], 10))
    }

    fn open(&self) -> Result<Opened> {
        let Loaded { train, test, class_names, provenance } = self.digits.load()?;
        let provenance = Provenance { source: format!("{}, extruded in volumes", provenance.source), ..provenance };
        let part = |digits: Images| Box::new(Volumes { digits, shape: [1, self.size, self.size, self.size], spec: self.clone() });
        Ok(Loaded { train: part(train), test: part(test), class_names, provenance })
    }
}

#[derive(Debug)]
struct Volumes {
    digits: Images,
    shape: [usize; 4],
    spec: Mnist3dSpec,
}

impl Pictures for Volumes {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn len(&self) -> usize {
        self.digits.len()
    }

    fn draw(&self, index: usize, random: &mut ChaCha8Rng, values: &mut [f32], labels: &mut [u32]) -> Result<()> {
        let mut digit = vec![0.0; self.digits.size()];
        self.digits.draw(index, random, &mut digit, labels)?;
        let [_, height, width] = self.digits.shape();
        let slab = Slab { digit: &digit, height, width, depth: self.spec.depth };
        if digit.len() != height * width {
            return Err(Error::Unsupported(format!("digits of {} values cannot be extruded; they must be grey", digit.len())));
        }
        slab.fill(&Pose::draw(&self.spec, &slab, random), self.spec.size, values);
        Ok(())
    }

    fn limited(self: Box<Self>, count: usize) -> Box<dyn Pictures> {
        Box::new(Self { digits: crate::split::limited(self.digits, count), ..*self })
    }
}

type Vector = [f64; 3];
/// Row by row.
type Matrix = [Vector; 3];

/// Where a slab stands: a point p of it, in pixels from its middle, comes to `scale * rotation p + shift`, in voxels from the volume's middle; x, y, z.
struct Pose {
    rotation: Matrix,
    scale: f64,
    shift: Vector,
}

impl Pose {
    fn draw(spec: &Mnist3dSpec, slab: &Slab<'_>, random: &mut ChaCha8Rng) -> Self {
        let angles = [(); 3].map(|()| random.random_range(-spec.degrees..=spec.degrees).to_radians());
        let scale = random.random_range(spec.scale[0]..=spec.scale[1]) * spec.size as f64 / slab.width as f64;
        let shift = slab.sides().map(|side| {
            let room = ((spec.size as f64 - scale * side) / 2.0).max(0.0);
            random.random_range(-room..=room)
        });
        Self { rotation: rotation(angles), scale, shift }
    }
}

/// Rz Ry Rx: about the x axis first, then about y, then about z.
fn rotation(angles: Vector) -> Matrix {
    let [(sx, cx), (sy, cy), (sz, cz)] = angles.map(f64::sin_cos);
    [[cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx], [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx], [-sy, cy * sx, cy * cx]]
}

/// A digit and how deep it is extruded.
struct Slab<'a> {
    digit: &'a [f32],
    height: usize,
    width: usize,
    depth: f64,
}

impl Slab<'_> {
    /// x, y, z, in pixels of the digit.
    fn sides(&self) -> Vector {
        [self.width as f64, self.height as f64, self.depth]
    }

    /// Writes a volume of size x size x size voxels, z slowest and x fastest.
    fn fill(&self, pose: &Pose, size: usize, values: &mut [f32]) {
        let place = |i: usize| i as f64 + 0.5 - size as f64 / 2.0;
        // Back from the volume to the slab: the transposed rotation over the scale.
        let back = |v: Vector| [0, 1, 2].map(|axis| (0..3).map(|row| pose.rotation[row][axis] * (v[row] - pose.shift[row])).sum::<f64>() / pose.scale);
        let step = [0, 1, 2].map(|axis| (pose.rotation[0][axis] / pose.scale) as f32);
        for (row, values) in values.chunks_exact_mut(size).enumerate() {
            let start = back([place(0), place(row % size), place(row / size)]).map(|coordinate| coordinate as f32);
            for (x, value) in values.iter_mut().enumerate() {
                let [px, py, pz] = [0, 1, 2].map(|axis| start[axis] + x as f32 * step[axis]);
                // The faces of the slab fade over a pixel, as the digit's own edges do.
                let inside = (self.depth as f32 / 2.0 + 0.5 - pz.abs()).clamp(0.0, 1.0);
                *value = if inside > 0.0 { inside * self.pixel(px, py) } else { 0.0 };
            }
        }
    }

    /// The digit at a point, in pixels from its middle, interpolated linearly, nothing outside.
    fn pixel(&self, x: f32, y: f32) -> f32 {
        bilinear(self.digit, [self.height, self.width], x + self.width as f32 / 2.0 - 0.5, y + self.height as f32 / 2.0 - 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MnistSource;
    use stn_core::stream::stream;

    const STRAIGHT: Pose = Pose { rotation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], scale: 1.0, shift: [0.0; 3] };

    /// 1 2 / 3 4, two pixels deep.
    fn filled(pose: &Pose) -> Vec<f32> {
        let mut values = vec![9.0; 64];
        Slab { digit: &[1.0, 2.0, 3.0, 4.0], height: 2, width: 2, depth: 2.0 }.fill(pose, 4, &mut values);
        values
    }

    #[test]
    fn a_slab_that_stands_straight_is_the_digit_in_its_middle_planes() {
        let values = filled(&STRAIGHT);
        let plane = |z: usize| &values[16 * z..16 * (z + 1)];
        assert_eq!(plane(0), [0.0; 16]);
        assert_eq!(plane(1), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!((plane(1), plane(3)), (plane(2), plane(0)));
    }

    #[test]
    fn a_quarter_turn_about_each_axis_takes_every_voxel_to_its_place() {
        let straight = filled(&STRAIGHT);
        let quarter = std::f64::consts::FRAC_PI_2;
        for (angles, to) in [
            ([0.0, 0.0, quarter], (|[x, y, z]: [usize; 3]| [3 - y, x, z]) as fn([usize; 3]) -> [usize; 3]),
            ([0.0, quarter, 0.0], |[x, y, z]| [z, y, 3 - x]),
            ([quarter, 0.0, 0.0], |[x, y, z]| [x, 3 - z, y]),
        ] {
            let turned = filled(&Pose { rotation: rotation(angles), ..STRAIGHT });
            for (voxel, value) in straight.iter().enumerate() {
                let [x, y, z] = to([voxel % 4, voxel / 4 % 4, voxel / 16]);
                assert!((turned[16 * z + 4 * y + x] - value).abs() < 1e-5, "{angles:?} {voxel}");
            }
        }
    }

    #[test]
    fn a_shift_moves_whole_voxels() {
        let (straight, moved) = (filled(&STRAIGHT), filled(&Pose { shift: [1.0, -1.0, 0.0], ..STRAIGHT }));
        assert_eq!((moved[16 + 2], moved[16 + 3], moved[16 + 6]), (straight[16 + 5], straight[16 + 6], straight[16 + 9]));
    }

    #[test]
    fn a_volume_holds_its_digit_whole() {
        let digits = MnistSpec { source: MnistSource::Embedded, dir: None };
        let opened = Mnist3dSpec { digits, size: 32, ..Mnist3dSpec::default() }.open().unwrap();
        assert_eq!((opened.train.shape(), opened.train.len()), (&[1, 32, 32, 32][..], 8000));
        for index in 0..20 {
            let (mut values, mut labels) = (vec![0.0; 32 * 32 * 32], [99]);
            opened.train.draw(index, &mut stream(0, "test", index as u64), &mut values, &mut labels).unwrap();
            assert!(labels[0] < 10 && values.iter().all(|value| (0.0..=1.0).contains(value)));
            assert!(values.iter().sum::<f32>() > 50.0);
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let faults = Mnist3dSpec { size: 0, depth: 0.0, degrees: f64::NAN, scale: [2.0, 1.0], ..Mnist3dSpec::default() }.faults();
        assert_eq!(faults.iter().map(|fault| fault.path[0].to_string()).collect::<Vec<_>>(), ["size", "depth", "degrees", "scale"]);
    }
}
