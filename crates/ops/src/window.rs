//! Where the windows of a convolution or a pooling lie, along one axis and two.

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
        Ok((
            axis("height", height, self.kernel.0, self.stride.0, self.padding.0)?,
            axis("width", width, self.kernel.1, self.stride.1, self.padding.1)?,
        ))
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            bail!("{what} {name}: a window of {kernel} does not fit an input of {input} with padding {padding} on each side; use a smaller window or a larger input");
        }
        let mut output = (padded + slack - kernel) / stride + 1;
        // A last window that starts in the far padding would hold nothing.
        if rounding == Rounding::Up && (output - 1) * stride >= input + padding {
            output -= 1;
        }
        Ok(Self { input, kernel, stride, padding, output })
    }

    /// The input pixels that window `i` covers.
    pub(crate) fn covered(&self, i: usize) -> std::ops::Range<usize> {
        let start = i * self.stride;
        start.saturating_sub(self.padding)..(start + self.kernel).saturating_sub(self.padding).min(self.input)
    }
}
