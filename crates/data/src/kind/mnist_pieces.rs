//! Pieces of images with a digit somewhere, named by how well they show it.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stn_core::Fault;

use super::interpolation::bilinear;
use super::mnist::MnistSpec;
use super::mnist_colocalise::{MOST_PIECES, PIECE, side_faults};
use super::{Loaded, Opened, Source};
use crate::distortion::{Clutter, Draw, Frame};
use crate::images::Images;
use crate::pictures::Pictures;
use crate::spec::Declared;
use crate::{Provenance, Result};

/// `kind = "mnist_pieces"`: square pieces of images like those of `mnist_colocalise`, each digit on a canvas of its own, to train an encoder on that knows a digit where it fills a piece.
///
/// An image is drawn anew at every visit: place of the digit, clutter, and the piece, of a fifth to six fifths of the canvas, two in three of them about the digit, the others anywhere.
/// Its label is the digit with a probability that is the product of two powers, else the eleventh class, "nothing": recall is the part of the digit's 28 x 28 pixels that the piece holds,
/// precision the part of the piece that they are. So a classifier that is right has scores that rise as a piece comes to the digit, and as it closes in on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MnistPiecesSpec {
    /// Where the digits are read from.
    #[serde(flatten)]
    pub digits: MnistSpec,
    /// Height and width of the images that pieces are cut from.
    pub canvas: [usize; 2],
    /// How many 6 x 6 pieces of other digits lie about; 0 for none.
    pub clutter: usize,
    /// Height and width of a piece, in pixels that are read of it.
    pub piece: [usize; 2],
    /// Power of the recall: the larger, the less a piece that cuts something off the digit is called it.
    pub recall: f64,
    /// Power of the precision: the larger, the less a piece that shows much else is called the digit.
    pub precision: f64,
}

impl Default for MnistPiecesSpec {
    fn default() -> Self {
        Self { digits: MnistSpec::default(), canvas: [84, 84], clutter: 0, piece: [28, 28], recall: 2.0, precision: 0.5 }
    }
}

impl Declared for MnistPiecesSpec {
    const NAME: &'static str = "mnist_pieces";
    const SUMMARY: &'static str = "Pieces of images with a handwritten digit somewhere: 10 classes, and an eleventh for pieces that show nothing.";
}

/// The label of a piece that does not show a digit.
const NOTHING: u32 = 10;
/// The least and the most side of a piece, as a part of the canvas's.
const SIDES: [f64; 2] = [0.2, 1.2];
/// The most that `recall` and `precision` are.
const MOST_POWER: f64 = 100.0;
/// The part of the pieces that lie about the digit.
const ABOUT: f64 = 0.7;

impl Source for MnistPiecesSpec {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = self.digits.faults();
        faults.extend(side_faults("canvas", self.canvas, 28));
        faults.extend(side_faults("piece", self.piece, 1));
        if self.clutter > MOST_PIECES {
            faults.push(Fault::at(["clutter"], format!("must be at most {MOST_PIECES}; it is {}", self.clutter)));
        }
        for (key, power) in [("recall", self.recall), ("precision", self.precision)] {
            if !(0.0..=MOST_POWER).contains(&power) {
                faults.push(Fault::at([key], format!("must be from 0 to {MOST_POWER}; it is {power}")));
            }
        }
        faults
    }

    fn changes(&self) -> bool {
        false
    }

    fn hint(&self) -> Option<(Vec<usize>, usize)> {
        Some((vec![1, self.piece[0], self.piece[1]], 11))
    }

    fn open(&self) -> Result<Opened> {
        let Loaded { train, test, mut class_names, provenance } = self.digits.load()?;
        class_names.push("nothing".into());
        let provenance = Provenance { source: format!("{}, in pieces", provenance.source), ..provenance };
        let part = |digits: Images| Box::new(Pieces { digits, shape: [1, self.piece[0], self.piece[1]], spec: self.clone() });
        Ok(Loaded { train: part(train), test: part(test), class_names, provenance })
    }
}

#[derive(Debug)]
struct Pieces {
    digits: Images,
    shape: [usize; 3],
    spec: MnistPiecesSpec,
}

impl Pictures for Pieces {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn len(&self) -> usize {
        self.digits.len()
    }

    fn draw(&self, index: usize, random: &mut ChaCha8Rng, values: &mut [f32], labels: &mut [u32]) -> Result<()> {
        let mut digit = vec![0.0; self.digits.size()];
        self.digits.draw(index, random, &mut digit, labels)?;
        let ([_, height, width], canvas) = (self.digits.shape(), self.spec.canvas);
        let mut image = vec![0.0; canvas.iter().product()];
        let frame = Frame { image: [height, width], canvas };
        let clutter = Clutter { patches: self.spec.clutter, patch: PIECE, canvas };
        let corner = clutter.scatter(&self.digits, Draw { index, random: ChaCha8Rng::from_rng(random) }, frame, &digit, &mut image)?;
        let place = frame.place(corner);
        let window = Window::draw(place, random);
        window.read(&image, canvas, self.spec.piece, values);
        let (recall, precision) = window.shows(place);
        if random.random::<f64>() >= recall.powf(self.spec.recall) * precision.powf(self.spec.precision) {
            labels[0] = NOTHING;
        }
        Ok(())
    }

    fn limited(self: Box<Self>, count: usize) -> Box<dyn Pictures> {
        Box::new(Self { digits: crate::split::limited(self.digits, count), ..*self })
    }
}

/// A square in normalised coordinates: x and y of its middle, and half of its side.
#[derive(Debug, Clone, Copy)]
struct Window {
    middle: [f64; 2],
    half: f64,
}

impl Window {
    fn draw([left, top, right, bottom]: [f64; 4], random: &mut ChaCha8Rng) -> Self {
        let [least, most] = SIDES.map(f64::ln);
        let half = random.random_range(least..=most).exp();
        if !random.random_bool(ABOUT) {
            return Self { middle: [(); 2].map(|()| random.random_range(-1.0..=1.0)), half };
        }
        let reach = random.random_range(0.0..=1.0) * (0.7 * half + 0.2);
        let middle = [left + right, top + bottom].map(|sum| sum / 2.0 + random.random_range(-1.0..=1.0) * reach);
        Self { middle, half }
    }

    /// How well the window shows what stands in a place: the part of it that it holds, and the part of itself that this is.
    fn shows(&self, [left, top, right, bottom]: [f64; 4]) -> (f64, f64) {
        let overlap = |low: f64, high: f64, middle: f64| (high.min(middle + self.half) - low.max(middle - self.half)).max(0.0);
        let both = overlap(left, right, self.middle[0]) * overlap(top, bottom, self.middle[1]);
        (both / ((right - left) * (bottom - top)), both / (4.0 * self.half * self.half))
    }

    /// Reads an image of height x width at as many pixels of the window as a piece has.
    fn read(&self, image: &[f32], [height, width]: [usize; 2], piece: [usize; 2], values: &mut [f32]) {
        // Normalised coordinates of the pixel's middle, then pixels of the image.
        let at = |i: usize, axis: usize, size: usize| {
            let inside = (2 * i + 1) as f64 / piece[1 - axis] as f64 - 1.0;
            ((self.middle[axis] + self.half * inside + 1.0) * size as f64 - 1.0) / 2.0
        };
        for (row, values) in values.chunks_exact_mut(piece[1]).enumerate() {
            for (column, value) in values.iter_mut().enumerate() {
                *value = bilinear(image, [height, width], at(column, 0, width) as f32, at(row, 1, height) as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MnistSource;

    /// The middle third of the canvas.
    const THIRD: [f64; 4] = [-1.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0];

    fn window(x: f64, y: f64, half: f64) -> Window {
        Window { middle: [x, y], half }
    }

    #[test]
    fn a_piece_holds_a_part_of_a_digit_which_is_a_part_of_the_piece() {
        let shows = |x: f64, y: f64, half: f64| {
            let (recall, precision) = window(x, y, half).shows(THIRD);
            [recall, precision].map(|part| (part * 1e9).round() / 1e9)
        };
        assert_eq!(shows(0.0, 0.0, 1.0 / 3.0), [1.0, 1.0], "exact");
        assert_eq!(shows(0.9, 0.9, 0.3), [0.0, 0.0], "far off");
        assert_eq!(shows(0.0, 0.0, 1.0), [1.0, 0.111111111], "all of the digit, which is a ninth of the piece");
        assert_eq!(shows(1.0 / 3.0, 0.0, 1.0 / 3.0), [0.5, 0.5], "half of the digit, which is half of the piece");
    }

    #[test]
    fn a_window_of_the_whole_canvas_reads_it_as_it_is() {
        let image: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let mut values = vec![0.0; 12];
        window(0.0, 0.0, 1.0).read(&image, [3, 4], [3, 4], &mut values);
        assert_eq!(values, image);
        window(0.5, 0.0, 1.0).read(&image, [3, 4], [3, 4], &mut values);
        assert_eq!(values, [1.0, 2.0, 3.0, 0.0, 5.0, 6.0, 7.0, 0.0, 9.0, 10.0, 11.0, 0.0]);
    }

    #[test]
    fn a_third_of_the_pieces_or_more_show_digits_and_many_show_none() {
        let spec = MnistPiecesSpec { digits: MnistSpec { source: MnistSource::Embedded, ..MnistSpec::default() }, clutter: 16, ..MnistPiecesSpec::default() };
        let part = spec.open().unwrap().train;
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let (mut values, mut labels, mut nothing) = (vec![0.0; 784], [0], 0);
        for index in 0..1000 {
            part.draw(index, &mut random, &mut values, &mut labels).unwrap();
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)) && labels[0] <= NOTHING);
            nothing += usize::from(labels[0] == NOTHING);
        }
        assert!((500..900).contains(&nothing), "{nothing}");
    }

    #[test]
    fn sides_and_clutter_that_no_image_has_are_mistakes() {
        let spec = MnistPiecesSpec { canvas: [27, 84], piece: [0, 28], clutter: 20_000, recall: -1.0, precision: f64::NAN, ..MnistPiecesSpec::default() };
        let faults: Vec<String> = spec.faults().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "`canvas`: height and width must be from 28 to 4096; they are [27, 84]",
                "`piece`: height and width must be from 1 to 4096; they are [0, 28]",
                "`clutter`: must be at most 10000; it is 20000",
                "`recall`: must be from 0 to 100; it is -1",
                "`precision`: must be from 0 to 100; it is NaN"
            ]
        );
    }
}
