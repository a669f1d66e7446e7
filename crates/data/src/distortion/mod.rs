//! The distortions of the published experiments, made on the fly.
//!
//! Each image's distortion is drawn from its own random stream and turned into a theta that maps the output canvas to the source image; a whole batch is then
//! warped by one call of the project's own sampler, bilinear, zeros outside, `align_corners = false`. Lengths are pixels, angles degrees.

mod clutter;
mod elastic;
mod frame;
mod homography;
mod projective;
mod rotation;
mod rotation_translation_scale;
#[cfg(test)]
mod vectors;
mod warp;

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stn_core::{Fault, PluginSpec, Registry, parameters};

pub use clutter::Clutter;
pub use elastic::Elastic;
pub use projective::Projective;
pub use rotation::Rotation;
pub use rotation_translation_scale::RotationTranslationScale;

use crate::pictures::Pictures;
use crate::{DatasetDoc, Error, Result};
pub(crate) use frame::Frame;
use warp::{DrawTheta, Warper};

/// A distortion and its parameters; in TOML `"R"` or `{ kind = "R", degrees = 60 }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(tag = "kind")]
pub enum DistortionSpec {
    /// The images as they are.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Rotated.
    R(Rotation),
    /// Rotated, translated and scaled, on a larger canvas.
    #[serde(rename = "RTS")]
    Rts(RotationTranslationScale),
    /// Seen in perspective.
    P(Projective),
    /// Bent by a thin plate spline.
    E(Elastic),
    /// Translated among clutter, on a larger canvas.
    #[serde(rename = "TC")]
    Tc(Clutter),
}

/// What every distortion declares.
trait Declared: DeserializeOwned + Serialize + JsonSchema + Default + 'static {
    const NAME: &'static str;
    const SUMMARY: &'static str;
    /// Parameters out of range.
    fn faults(&self) -> Vec<Fault>;
}

#[derive(Debug, Default, Serialize, serde::Deserialize, JsonSchema)]
struct Nothing {}

impl Declared for Nothing {
    const NAME: &'static str = "none";
    const SUMMARY: &'static str = "The images as they are.";

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }
}

impl DistortionSpec {
    /// From a name or a table with a `kind`.
    ///
    /// # Errors
    ///
    /// Every mistake, with its path below the value.
    pub fn from_plugin_spec(spec: &PluginSpec) -> std::result::Result<Self, Vec<Fault>> {
        match spec.kind.as_str() {
            Nothing::NAME => read(spec, |_: Nothing| Self::None),
            Rotation::NAME => read(spec, Self::R),
            RotationTranslationScale::NAME => read(spec, Self::Rts),
            Projective::NAME => read(spec, Self::P),
            Elastic::NAME => read(spec, Self::E),
            Clutter::NAME => read(spec, Self::Tc),
            other => {
                let known = catalogue();
                let names: Vec<&str> = known.iter().map(|doc| doc.name.as_str()).collect();
                let path: &[&str] = if spec.parameters.is_empty() { &[] } else { &["kind"] };
                Err(vec![Fault::unknown(path.iter().copied(), "distortion", other, &names)])
            }
        }
    }

    /// The size of the output, height and width, for images of a size.
    pub fn canvas(&self, image: [usize; 2]) -> [usize; 2] {
        match self {
            Self::None => image,
            Self::R(Rotation { canvas, .. }) | Self::P(Projective { canvas, .. }) | Self::E(Elastic { canvas, .. }) => canvas.unwrap_or(image),
            Self::Rts(RotationTranslationScale { canvas, .. }) | Self::Tc(Clutter { canvas, .. }) => *canvas,
        }
    }

    /// The shape of the output for pictures of a shape: C H W on the [`canvas`](Self::canvas); volumes are not distorted.
    pub(crate) fn shape(&self, picture: &[usize]) -> Vec<usize> {
        match *picture {
            [channels, height, width] => {
                let [height, width] = self.canvas([height, width]);
                vec![channels, height, width]
            }
            _ => picture.to_vec(),
        }
    }

    /// Makes it ready for pictures of a shape.
    pub(crate) fn prepare(&self, picture: &[usize], registry: &Registry) -> Result<Distortion> {
        let image = match (self, picture) {
            (Self::None, _) => return Ok(Distortion::None),
            (_, &[_, height, width]) => [height, width],
            _ => {
                return Err(Error::Unsupported(format!("volumes of {picture:?} (channels, depth, height, width) cannot be distorted; leave out `distortion`")));
            }
        };
        let frame = Frame { image, canvas: self.canvas(image) };
        let warp = |draw: Box<dyn DrawTheta>| Ok(Distortion::Warp(Warper::new(draw, frame, registry)?));
        match self {
            Self::None => Ok(Distortion::None),
            Self::R(rotation) => warp(Box::new(rotation.clone())),
            Self::Rts(spec) => {
                frame.check_room("RTS")?;
                warp(Box::new(spec.clone()))
            }
            Self::P(projective) => warp(Box::new(projective.clone())),
            Self::E(elastic) => warp(Box::new(elastic.clone())),
            Self::Tc(clutter) => {
                frame.check_room("TC")?;
                clutter.check_patch(image)?;
                Ok(Distortion::Clutter(clutter.clone(), frame))
            }
        }
    }
}

fn read<D: Declared>(spec: &PluginSpec, make: impl Fn(D) -> DistortionSpec) -> std::result::Result<DistortionSpec, Vec<Fault>> {
    let parameters: D = parameters::decode(&spec.parameters)?;
    let faults = parameters.faults();
    if faults.is_empty() { Ok(make(parameters)) } else { Err(faults) }
}

/// Every distortion with its parameters.
pub(crate) fn catalogue() -> Vec<DatasetDoc> {
    vec![
        document::<Nothing>(),
        document::<Rotation>(),
        document::<RotationTranslationScale>(),
        document::<Projective>(),
        document::<Elastic>(),
        document::<Clutter>(),
    ]
}

fn document<D: Declared>() -> DatasetDoc {
    DatasetDoc { name: D::NAME.into(), summary: D::SUMMARY.into(), parameters: parameters::describe::<D>() }
}

/// A distortion made ready for images of a size.
#[derive(Debug)]
pub(crate) enum Distortion {
    None,
    Warp(Warper),
    Clutter(Clutter, Frame),
}

/// One image of a batch: which one, and the stream that its distortion is drawn from.
pub(crate) struct Draw {
    pub(crate) index: usize,
    pub(crate) random: ChaCha8Rng,
}

impl Distortion {
    /// One whose every draw panics.
    #[cfg(test)]
    pub(crate) fn panicking(image: [usize; 2], registry: &Registry) -> Self {
        #[derive(Debug)]
        struct Panicking;
        impl DrawTheta for Panicking {
            fn transformation(&self) -> PluginSpec {
                PluginSpec::named("affine")
            }

            fn draw(&self, _: &mut ChaCha8Rng, _: Frame) -> Vec<f64> {
                panic!("deliberately")
            }
        }
        Self::Warp(Warper::new(Box::new(Panicking), Frame { image, canvas: image }, registry).unwrap())
    }

    /// Whether images stay as they are.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// N pictures of `shown`, distorted, a draw for each.
    pub(crate) fn apply(&self, shown: &dyn Pictures, input: Tensor, draws: Vec<Draw>) -> Result<Tensor> {
        match self {
            Self::None => Ok(input),
            Self::Warp(warper) => warper.apply(&input, draws),
            Self::Clutter(clutter, frame) => clutter.apply(shown, &input, draws, *frame),
        }
    }
}

/// A number that must be finite and in a range.
fn in_range(name: &str, value: f64, low: f64, high: f64) -> Option<Fault> {
    let inside = value >= low && value <= high;
    (!inside).then(|| Fault::at([name], format!("must be between {low} and {high}; it is {value}")))
}

/// The least scale: an image of a hundred pixels across becomes one pixel.
const LEAST_SCALE: f64 = 0.01;

/// The range of a scale: least and most.
fn scale_faults(scale: [f64; 2]) -> Option<Fault> {
    let [least, most] = scale;
    let good = least >= LEAST_SCALE && least <= most && most <= 100.0;
    (!good).then(|| Fault::at(["scale"], format!("must be [least, most] with {LEAST_SCALE} <= least <= most <= 100; it is [{least}, {most}]")))
}

/// The size of a canvas: height and width.
fn canvas_faults(canvas: Option<[usize; 2]>) -> Option<Fault> {
    let bad = canvas.filter(|size| size.iter().any(|&n| n == 0 || n > 4096))?;
    Some(Fault::at(["canvas"], format!("height and width must be between 1 and 4096; they are {bad:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_that_shrinks_the_image_to_nothing_is_a_mistake() {
        for kind in ["RTS", "P", "E"] {
            for (least, most, good) in [(1e-7, 1e-7, false), (0.0, 1.0, false), (f64::NAN, 1.0, false), (0.5, f64::INFINITY, false), (0.01, 100.0, true)] {
                let mut spec = PluginSpec::named(kind);
                spec.parameters.insert("scale".into(), vec![least, most].into());
                let read = DistortionSpec::from_plugin_spec(&spec);
                assert_eq!(read.is_ok(), good, "{kind} {least} {most}: {read:?}");
                assert!(
                    read.err().into_iter().flatten().all(|fault| fault.to_string().starts_with("`scale`: must be [least, most] with 0.01 <= least")),
                    "{kind}"
                );
            }
        }
    }
}
