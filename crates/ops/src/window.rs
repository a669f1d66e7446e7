//! Where the windows of a convolution or a pooling lie, along one axis and two.

use std::ops::Range;

use candle_core::{Result, bail};

/// The step and the padding of a convolution's windows, as (height, width), in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window2d {
    /// From one window to the next; at least 1.
    pub stride: (usize, usize),
    /// Zeros around the image, on each side.
    pub padding: (usize, usize),
}

impl Default for Window2d {
    /// Stride 1, no padding.
    fn default() -> Self {
        Self { stride: (1, 1), padding: (0, 0) }
    }
}

/// Whether a last window that is only partly filled counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// It is left out.
    #[default]
    Down,
    /// It counts, as long as it starts inside the image or its first padding: other frameworks' `ceil_mode`.
    Up,
}

/// The windows of a pooling, sizes as (height, width) in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// The window; at least 1.
    pub kernel: (usize, usize),
    /// From one window to the next; at least 1.
    pub stride: (usize, usize),
    /// Padding on each side; at most half the window.
    pub padding: (usize, usize),
    /// Whether a last, partly filled window counts.
    pub rounding: Rounding,
}

impl Pool2d {
    /// Square windows of `kernel` pixels side by side: stride `kernel`, no padding, rounding down.
    pub fn square(kernel: usize) -> Self {
        Self { kernel: (kernel, kernel), stride: (kernel, kernel), padding: (0, 0), rounding: Rounding::Down }
    }

    /// The (height, width) that pooling an image of (height, width) gives; `None` where no window fits or a size is impossible.
    pub fn output(&self, input: (usize, usize)) -> Option<(usize, usize)> {
        let (vertical, horizontal) = self.axes(input).ok()?;
        Some((vertical.output, horizontal.output))
    }

    /// Both axes, or what is wrong.
    pub(crate) fn axes(&self, (height, width): (usize, usize)) -> Result<(Axis, Axis)> {
        let axis = |name, input, kernel, stride, padding| {
            if padding > kernel / 2 {
                bail!("pooling {name}: padding {padding} is more than half the window of {kernel}; lessen the padding or widen the window");
            }
            Axis::new("pooling", name, Extent { input, kernel, stride, padding }, self.rounding)
        };
        Ok((axis("height", height, self.kernel.0, self.stride.0, self.padding.0)?, axis("width", width, self.kernel.1, self.stride.1, self.padding.1)?))
    }
}

/// The (height, width) that a convolution gives for an image and a kernel of (height, width); `None` where no window fits.
pub fn conv2d_output(input: (usize, usize), kernel: (usize, usize), window: &Window2d) -> Option<(usize, usize)> {
    let (vertical, horizontal) = conv2d_axes(input, kernel, window).ok()?;
    Some((vertical.output, horizontal.output))
}

/// Both axes of a convolution, or what is wrong.
pub(crate) fn conv2d_axes(input: (usize, usize), kernel: (usize, usize), window: &Window2d) -> Result<(Axis, Axis)> {
    let vertical = Extent { input: input.0, kernel: kernel.0, stride: window.stride.0, padding: window.padding.0 };
    let horizontal = Extent { input: input.1, kernel: kernel.1, stride: window.stride.1, padding: window.padding.1 };
    Ok((Axis::new("convolution", "height", vertical, Rounding::Down)?, Axis::new("convolution", "width", horizontal, Rounding::Down)?))
}

/// The four sizes that decide where windows lie along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub input: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

/// The windows along one axis: window `i` starts at `i * stride - padding` and is `kernel` long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Axis {
    pub input: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    /// The number of windows; at least 1.
    pub output: usize,
}

/// Sizes above this are refused: no machine holds such an image, and sums of them cannot overflow.
const LARGEST: usize = 1 << 31;

impl Axis {
    fn new(what: &str, name: &str, extent: Extent, rounding: Rounding) -> Result<Self> {
        let Extent { input, kernel, stride, padding } = extent;
        if [input, kernel, stride, padding].into_iter().any(|size| size > LARGEST) {
            bail!("{what} {name}: a size above {LARGEST} in input {input}, window {kernel}, stride {stride}, padding {padding}");
        }
        if kernel == 0 || stride == 0 {
            bail!("{what} {name}: window {kernel} and stride {stride} must be at least 1");
        }
        let padded = input + 2 * padding;
        let slack = match rounding {
            Rounding::Down => 0,
            Rounding::Up => stride - 1,
        };
        if input == 0 || padded + slack < kernel {
            bail!(
                "{what} {name}: a window of {kernel} does not fit an input of {input} with padding {padding} on each side; use a smaller window or a larger input"
            );
        }
        let mut output = (padded + slack - kernel) / stride + 1;
        // A last window that starts in the far padding would hold nothing.
        if rounding == Rounding::Up && (output - 1) * stride >= input + padding {
            output -= 1;
        }
        Ok(Self { input, kernel, stride, padding, output })
    }

    /// Its sizes, as the kernels of a graphics card are given them.
    #[cfg(any(feature = "cuda", test))]
    pub(crate) fn sizes(&self) -> [i32; 5] {
        // At most 2^31: what is longer than a card's whole numbers has no image that fits it.
        [self.input, self.kernel, self.stride, self.padding, self.output].map(|size| i32::try_from(size).unwrap_or(i32::MAX))
    }

    /// The input pixels that window `i` covers; never none.
    pub(crate) fn covered(&self, i: usize) -> Range<usize> {
        let start = i * self.stride;
        start.saturating_sub(self.padding)..(start + self.kernel - self.padding).min(self.input)
    }

    /// The length of the part of window `i` that lies within image and padding.
    pub(crate) fn within_padding(&self, i: usize) -> usize {
        let start = i * self.stride;
        self.kernel.min(self.input + 2 * self.padding - start)
    }

    /// The windows whose pixel number `tap` lies inside the image, and which image pixel that is for the first of them. An empty range starts at 0 and has pixel 0.
    pub(crate) fn windows(&self, tap: usize) -> (Range<usize>, usize) {
        let first = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.input + self.padding).saturating_sub(tap).div_ceil(self.stride).min(self.output);
        if first >= end { (0..0, 0) } else { (first..end, first * self.stride + tap - self.padding) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: usize, kernel: usize, stride: usize, padding: usize, rounding: Rounding) -> Axis {
        Axis::new("test", "axis", Extent { input, kernel, stride, padding }, rounding).unwrap()
    }

    #[test]
    fn taps_and_windows_tell_the_same_story() {
        for (input, kernel, stride, padding, rounding) in [
            (7, 3, 2, 1, Rounding::Up),
            (5, 2, 3, 1, Rounding::Up),
            (1, 1, 1, 0, Rounding::Down),
            (9, 4, 1, 2, Rounding::Down),
            (1, 2, 2, 0, Rounding::Up),
            (4, 3, 5, 1, Rounding::Down),
        ] {
            let axis = axis(input, kernel, stride, padding, rounding);
            let mut by_window: Vec<(usize, usize)> = (0..axis.output).flat_map(|i| axis.covered(i).map(move |pixel| (i, pixel))).collect();
            let mut by_tap = Vec::new();
            for tap in 0..kernel {
                let (windows, first) = axis.windows(tap);
                by_tap.extend(windows.enumerate().map(|(step, i)| (i, first + step * stride)));
            }
            by_window.sort_unstable();
            by_tap.sort_unstable();
            assert_eq!(by_window, by_tap, "{axis:?}");
            assert!((0..axis.output).all(|i| !axis.covered(i).is_empty() && axis.within_padding(i) >= axis.covered(i).len()));
        }
    }

    #[test]
    fn rounding_up_counts_the_last_partial_window() {
        let mut pool = Pool2d::square(2);
        assert_eq!(pool.output((13, 6)), Some((6, 3)));
        pool.rounding = Rounding::Up;
        assert_eq!(pool.output((13, 6)), Some((7, 3)));
    }

    #[test]
    fn rounding_up_leaves_out_a_window_that_starts_in_the_far_padding() {
        // Windows at -1, 1, 3, 5: the last would start beyond pixel 4 and its padding at 5.
        assert_eq!(axis(5, 3, 2, 1, Rounding::Up).output, 3);
        assert_eq!(axis(3, 2, 3, 1, Rounding::Up).output, 2);
        assert_eq!(axis(2, 2, 3, 1, Rounding::Up).output, 1);
    }

    #[test]
    fn a_window_equal_to_the_input_gives_one_pixel() {
        assert_eq!(conv2d_output((7, 5), (7, 5), &Window2d::default()), Some((1, 1)));
    }

    #[test]
    fn what_does_not_fit_has_no_output() {
        assert_eq!(conv2d_output((6, 7), (7, 7), &Window2d::default()), None);
        assert_eq!(conv2d_output((6, 7), (0, 7), &Window2d::default()), None);
        assert_eq!(conv2d_output((6, 7), (3, 3), &Window2d { stride: (0, 1), padding: (0, 0) }), None);
        assert_eq!(Pool2d { padding: (2, 0), ..Pool2d::square(3) }.output((9, 9)), None);
        assert_eq!(Pool2d::square(3).output((0, 9)), None);
        assert_eq!(Pool2d { padding: (usize::MAX, 0), ..Pool2d::square(usize::MAX) }.output((9, 9)), None);
    }
}
