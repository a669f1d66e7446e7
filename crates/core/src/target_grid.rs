//! The regular grid G of target pixels.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// The regular grid of target pixels whose places in the source a transformation computes: G in the paper.
///
/// The size is `[H, W]` for images and `[D, H, W]` for volumes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetGrid {
    size: Vec<usize>,
    align_corners: bool,
}

impl TargetGrid {
    /// The most pixels of a grid, 2^28: an image of 16384 x 16384. Beyond it lies a slip of the pen, and memory would not hold the output.
    pub const MOST_PIXELS: usize = 1 << 28;

    /// A grid of `size` pixels, `[H, W]` or `[D, H, W]`.
    ///
    /// # Errors
    ///
    /// Where there are not two or three axes, one of them is empty, or there are more than [`MOST_PIXELS`](Self::MOST_PIXELS).
    pub fn new(size: impl Into<Vec<usize>>, align_corners: bool) -> Result<Self> {
        let size = size.into();
        if !(2..=3).contains(&size.len()) {
            return Err(Error::Unsupported(format!("a target grid has 2 axes (H, W) or 3 (D, H, W), not {}: {size:?}", size.len())));
        }
        if size.contains(&0) {
            return Err(Error::Unsupported(format!("a target grid needs at least one pixel on every axis: {size:?}")));
        }
        let pixels = size.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
        if pixels.is_none_or(|pixels| pixels > Self::MOST_PIXELS) {
            return Err(Error::Unsupported(format!("a target grid has at most 2^28 = {} pixels; {size:?} has more", Self::MOST_PIXELS)));
        }
        Ok(Self { size, align_corners })
    }

    /// `[H, W]` or `[D, H, W]`.
    pub fn size(&self) -> &[usize] {
        &self.size
    }

    /// The number of axes, 2 or 3.
    pub fn dims(&self) -> usize {
        self.size.len()
    }

    /// The number of pixels P, at most [`MOST_PIXELS`](Self::MOST_PIXELS).
    pub fn pixels(&self) -> usize {
        self.size.iter().product()
    }

    /// Whether -1 and 1 are the centres of the outer pixels (true) or their outer edges (false).
    pub fn align_corners(&self) -> bool {
        self.align_corners
    }

    /// The normalised coordinate of pixel `i` of `n`: `(2 i + 1) / n - 1`, or with `align_corners` `2 i / (n - 1) - 1`, and 0 where n = 1.
    pub fn coordinate(i: usize, n: usize, align_corners: bool) -> f64 {
        match (align_corners, n) {
            (true, 0 | 1) => 0.0,
            (true, _) => 2.0 * i as f64 / (n - 1) as f64 - 1.0,
            (false, _) => (2.0 * i as f64 + 1.0) / n as f64 - 1.0,
        }
    }

    /// The normalised coordinates of every target pixel: `dims x P`, rows x, y (, z), pixels with x fastest.
    ///
    /// # Errors
    ///
    /// Where the device cannot hold the tensor.
    pub fn points(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        let (dims, pixels) = (self.dims(), self.pixels());
        let mut values = Vec::with_capacity(dims * pixels);
        let mut stride = 1;
        for &n in self.size.iter().rev() {
            values.extend((0..pixels).map(|p| Self::coordinate(p / stride % n, n, self.align_corners)));
            stride *= n;
        }
        Ok(Tensor::from_vec(values, (dims, pixels), device)?.to_dtype(dtype)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_pixel_centres_between_the_edges() {
        let x: Vec<f64> = (0..4).map(|i| TargetGrid::coordinate(i, 4, false)).collect();
        assert_eq!(x, [-0.75, -0.25, 0.25, 0.75]);
    }

    #[test]
    fn aligned_corners_reach_both_ends() {
        let x: Vec<f64> = (0..3).map(|i| TargetGrid::coordinate(i, 3, true)).collect();
        assert_eq!(x, [-1.0, 0.0, 1.0]);
        assert_eq!(TargetGrid::coordinate(0, 1, true), 0.0);
    }

    #[test]
    fn points_have_x_first_and_fastest() -> Result<()> {
        let points = TargetGrid::new([2, 3], true)?.points(DType::F64, &Device::Cpu)?.to_vec2::<f64>()?;
        assert_eq!(points, [[-1.0, 0.0, 1.0, -1.0, 0.0, 1.0], [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]]);
        Ok(())
    }

    #[test]
    fn volumes_have_z_last() -> Result<()> {
        let points = TargetGrid::new([2, 1, 1], true)?.points(DType::F64, &Device::Cpu)?.to_vec2::<f64>()?;
        assert_eq!(points, [[0.0, 0.0], [0.0, 0.0], [-1.0, 1.0]]);
        Ok(())
    }

    #[test]
    fn an_empty_axis_is_an_error() {
        assert!(TargetGrid::new([0, 3], false).is_err());
        assert!(TargetGrid::new([3], false).is_err());
    }
    #[test]
    fn more_pixels_than_any_image_has_are_an_error() {
        assert!(TargetGrid::new([1 << 14, 1 << 14], false).is_ok());
        for size in [vec![200_000, 200_000], vec![(1 << 28) + 1, 1], vec![usize::MAX, 2], vec![1 << 32, 1 << 31, 2]] {
            let message = TargetGrid::new(size.clone(), false).unwrap_err().to_string();
            assert_eq!(message, format!("a target grid has at most 2^28 = 268435456 pixels; {size:?} has more"));
        }
    }
}
