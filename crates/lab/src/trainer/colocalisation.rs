//! Co-localisation: what is cut out of two images is to be more alike than it is to a random piece of the same image (section A.2 of the paper).

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use stn_core::{Boundary, Sampling, TargetGrid, stream::stream};
use stn_nn::{Network, Warp};
use stn_ops::Sampler;

use super::objective::{Seen, Verdict};
use crate::spec::objective::{Activations, ColocaliseSpec};
use crate::{Error, Result};

/// The least overlap at which a thing counts as found.
const FOUND: f64 = 0.5;

/// Judges pieces by a frozen encoder.
#[derive(Debug)]
pub(crate) struct Colocalisation {
    encoder: Network,
    activations: Activations,
    margin: f64,
    /// The pixels of a piece, and the rows x, y, 1 for them.
    target: TargetGrid,
    basis: Tensor,
    sampler: Sampler,
}

/// Left, top, right, bottom, in normalised coordinates.
type Place = [f64; 4];

impl Colocalisation {
    /// Compares pieces of a size, height and width, by what the trained `encoder` makes of them; random pieces are read by `kernel`.
    pub fn new(encoder: Network, spec: &ColocaliseSpec, size: &[usize], kernel: Arc<dyn Sampling>, dtype: DType, device: &Device) -> Result<Self> {
        let target = TargetGrid::new(size, false)?;
        let points = target.points(dtype, device)?;
        let basis = Tensor::cat(&[&points, &points.narrow(0, 0, 1)?.ones_like()?], 0)?.contiguous()?;
        Ok(Self {
            encoder,
            activations: spec.activations,
            margin: spec.margin,
            target,
            basis,
            sampler: Sampler { kernel, boundary: Boundary::Zeros, align_corners: false },
        })
    }

    /// `mean over n, m != n of max(0, |e_n - e_m|^2 - |e_n - r_n|^2 + margin)`, e the encoder's activations of what was cut out, r those of a random piece of the same image.
    pub fn loss(&self, cut: &Tensor, seen: &Seen<'_>) -> Result<Tensor> {
        let count = cut.dim(0)?;
        let cuts = self.encode(cut)?;
        let random = self.encode(&self.random_pieces(seen)?)?.detach();
        let to_random = (&cuts - random)?.sqr()?.sum_keepdim(1)?;
        let squares = cuts.sqr()?.sum_keepdim(1)?;
        let products = cuts.matmul(&cuts.t()?.contiguous()?)?;
        let between = squares.broadcast_add(&squares.t()?)?.sub(&(products * 2.0)?)?;
        let hinges = stn_ops::relu(&(between.broadcast_sub(&to_random)? + self.margin)?)?;
        // An image is not compared with itself.
        let others = (Tensor::ones((count, count), hinges.dtype(), hinges.device())? - Tensor::eye(count, hinges.dtype(), hinges.device())?)?;
        Ok(((hinges * others)?.sum_all()? / (count * count.saturating_sub(1)).max(1) as f64)?)
    }

    /// The encoder's activations, a row for each piece. Each layer's are divided by the root of their number, so that a layer counts by what its activations say and not by how
    /// many they are.
    fn encode(&self, pieces: &Tensor) -> Result<Tensor> {
        let row = |activation: &Tensor| {
            let row = activation.flatten_from(1)?;
            let number = row.dim(1)? as f64;
            row / number.sqrt()
        };
        let (relus, output) = self.encoder.activations(pieces)?;
        let compared = match self.activations {
            Activations::Relu => relus,
            Activations::Output => vec![output],
            Activations::Probabilities => return Ok(stn_ops::softmax(&output)?),
        };
        let rows = compared.iter().map(row).collect::<candle_core::Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Err(Error::Other(
                "train.objective.encoder: there is no \"relu\" in its layers, so it has no activations to compare by; write activations = \"output\"".into(),
            ));
        }
        Ok(Tensor::cat(&rows, 1)?)
    }

    /// A piece of each image, as it is, pixel by pixel, anywhere within the image.
    fn random_pieces(&self, seen: &Seen<'_>) -> Result<Tensor> {
        let (seed, purpose, number) = seen.key;
        let mut random = stream(seed, purpose, number);
        let mut matrices = Vec::with_capacity(6 * seen.batch.indices.len());
        let (_, _, height, width) = seen.images.dims4()?;
        let half = |axis: usize, whole: usize| (self.target.size()[axis] as f64 / whole as f64).min(1.0);
        let (half_height, half_width) = (half(0, height), half(1, width));
        for _ in &seen.batch.indices {
            let [x, y] = [half_width, half_height].map(|half| random.random_range(half - 1.0..=1.0 - half));
            matrices.extend([half_width, 0.0, x, 0.0, half_height, y]);
        }
        let matrix = Tensor::from_vec(matrices, (seen.batch.indices.len(), 2, 3), &Device::Cpu)?;
        let matrix = matrix.to_dtype(seen.images.dtype())?.to_device(seen.images.device())?;
        Ok(stn_ops::sample_structured(seen.images, &matrix, &self.basis, &self.target, &self.sampler)?)
    }

    /// A thing is found where the place that was cut out and its own overlap by half of their union.
    pub fn verdicts(&self, seen: &Seen<'_>) -> Result<Vec<Verdict>> {
        let labels = seen.batch.labels.flatten_all()?.to_vec1::<u32>()?;
        let verdict = |(overlap, label): (f64, u32)| {
            let found = overlap > FOUND;
            Verdict { named: vec![(label, if found { label.into() } else { -1 })], wrong: !found }
        };
        Ok(overlaps(seen)?.into_iter().zip(labels).map(verdict).collect())
    }

    /// How much of the union of the two places is not in both: 1 where they do not touch.
    pub fn misses(&self, seen: &Seen<'_>) -> Result<Vec<f64>> {
        Ok(overlaps(seen)?.into_iter().map(|overlap| 1.0 - if overlap.is_nan() { 0.0 } else { overlap }).collect())
    }
}

/// How far the place that was cut out of each image and that of its thing overlap.
fn overlaps(seen: &Seen<'_>) -> Result<Vec<f64>> {
    let truth = seen.batch.places.as_deref().unwrap_or_default();
    Ok(places(seen.warps)?.into_iter().zip(truth).map(|(cut, truth)| overlap(cut, *truth)).collect())
}

/// The place of each image that the last transformer read.
fn places(warps: &[Warp]) -> Result<Vec<Place>> {
    let last = warps.last().ok_or_else(|| Error::Other("train.objective: the network has no transformer, so nothing is cut out of images".into()))?;
    let grid = last.grid()?.to_dtype(DType::F64)?;
    let (_, height, width, _) = grid.dims4()?;
    let (least, most) = (grid.flatten(1, 2)?.min(1)?, grid.flatten(1, 2)?.max(1)?);
    // From the centres of the outer pixels to their outer edges.
    let edges = |size: usize| if size > 1 { 0.5 / (size - 1) as f64 } else { 0.0 };
    let widened = |low: f64, high: f64, size: usize| [low - (high - low) * edges(size), high + (high - low) * edges(size)];
    let place = |(least, most): (Vec<f64>, Vec<f64>)| {
        let ([left, right], [top, bottom]) = (widened(least[0], most[0], width), widened(least[1], most[1], height));
        [left, top, right, bottom]
    };
    Ok(least.to_vec2()?.into_iter().zip(most.to_vec2()?).map(place).collect())
}

/// The intersection of two places over their union.
fn overlap(a: Place, b: Place) -> f64 {
    let area = |[left, top, right, bottom]: Place| (right - left).max(0.0) * (bottom - top).max(0.0);
    let both = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    both / (area(a) + area(b) - both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_shares_of_the_union() {
        let unit = [0.0, 0.0, 1.0, 1.0];
        assert_eq!(overlap(unit, unit), 1.0);
        assert_eq!(overlap(unit, [0.5, 0.0, 1.5, 1.0]), 1.0 / 3.0);
        assert_eq!(overlap(unit, [2.0, 2.0, 3.0, 3.0]), 0.0);
        assert!(overlap([0.0; 4], [0.0; 4]).is_nan(), "which is no overlap");
    }
}
