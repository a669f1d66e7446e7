//! Where the digits of a house number stand: drawn with the statistics of SVHN's annotations.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::Deserialize;

use crate::kind::svhn::{Bounds, Digit, MOST_DIGITS, Sequence};
use crate::{Error, Result};

/// Made by fit.py from SVHN's training annotations; it says what each line is.
pub(crate) const TABLE: &str = include_str!("statistics.toml");

/// Quantiles at standard scores.
type Quantiles = Vec<f32>;

/// The fitted statistics. Lengths but `height` are in heights of a digit's box.
#[derive(Debug, Deserialize)]
pub(crate) struct Statistics {
    /// Shares of numbers of 1 to 5 digits.
    length: [f32; MOST_DIGITS],
    /// For each length, at each place: shares of the digits 0 to 9.
    digits: Vec<Vec<[f32; 10]>>,
    /// The scores at which quantiles are written, ascending.
    scores: Vec<f32>,
    height: Quantiles,
    width: Quantiles,
    width_of_one: Quantiles,
    gap: Quantiles,
    rise: Quantiles,
    bend: Quantiles,
    left: Quantiles,
    right: Quantiles,
    top: Quantiles,
    bottom: Quantiles,
    width_correlation: f32,
    gap_correlation: f32,
    margin_correlation: f32,
}

/// A photograph's size and its house number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layout {
    /// Width and height in pixels.
    pub(crate) photograph: (u32, u32),
    pub(crate) number: Sequence,
    /// The height of its digits' boxes in pixels.
    pub(crate) height: f32,
    /// How much lower the next digit stands, over how far it is to the right.
    pub(crate) slope: f32,
}

impl Statistics {
    /// Those of the embedded table.
    pub(crate) fn fitted() -> Result<Self> {
        let broken = |e| Error::Unsupported(format!("the statistics of street numbers cannot be read: {e}"));
        toml::from_str(TABLE).map_err(broken)
    }

    /// A house number.
    pub(crate) fn draw(&self, random: &mut ChaCha8Rng) -> Layout {
        let count = 1 + pick(&self.length, random);
        self.number(count, random)
    }

    /// A house number in which a digit is to be looked at, and which digit: longer numbers come as much more often as they have more digits.
    pub(crate) fn draw_digit(&self, random: &mut ChaCha8Rng) -> (Layout, usize) {
        let mut shares = self.length;
        (1_u8..).zip(&mut shares).for_each(|(count, share)| *share *= f32::from(count));
        let count = 1 + pick(&shares, random);
        (self.number(count, random), random.random_range(0..count))
    }

    fn number(&self, count: usize, random: &mut ChaCha8Rng) -> Layout {
        let height = self.at(&self.height, random.sample(StandardNormal));
        let mut digits = [Digit { value: 0, bounds: Bounds::default() }; MOST_DIGITS];
        let digits = &mut digits[..count];
        for (digit, shares) in digits.iter_mut().zip(&self.digits[count - 1]) {
            digit.value = pick(shares, random) as u8;
        }
        self.place(digits, random);
        let around = Bounds::around(digits.iter().map(|digit| digit.bounds)).unwrap_or_default();
        let [left, right, top, bottom] = together::<4>(self.margin_correlation, random);
        let (left, top) = (self.at(&self.left, left), self.at(&self.top, top));
        let (right, bottom) = (self.at(&self.right, right), self.at(&self.bottom, bottom));
        for Digit { bounds, .. } in digits.iter_mut() {
            *bounds = Bounds {
                left: height * (bounds.left - around.left + left),
                top: height * (bounds.top - around.top + top),
                width: height * bounds.width,
                height: height * bounds.height,
            };
        }
        let side = |length: f32| (length * height).round().max(1.0) as u32;
        let photograph = (side(left + around.width + right), side(top + around.height + bottom));
        Layout { photograph, number: Sequence::new(digits).unwrap_or_default(), height, slope: slope(digits) }
    }

    /// Boxes from the first one's upper left corner, in their height.
    fn place(&self, digits: &mut [Digit], random: &mut ChaCha8Rng) {
        let widths = together::<MOST_DIGITS>(self.width_correlation, random);
        let gaps = together::<MOST_DIGITS>(self.gap_correlation, random);
        let rise = self.at(&self.rise, random.sample(StandardNormal));
        let (mut left, last) = (0.0, digits.len() - 1);
        for (place, digit) in digits.iter_mut().enumerate() {
            let bend = if place == 0 || place == last { 0.0 } else { self.at(&self.bend, random.sample(StandardNormal)) };
            let widths_of = if digit.value == 1 { &self.width_of_one } else { &self.width };
            let width = self.at(widths_of, widths[place]);
            digit.bounds = Bounds { left, top: rise * place as f32 + bend, width, height: 1.0 };
            left += width + self.at(&self.gap, gaps[place]);
        }
    }

    /// The quantile at a standard score, on the line between those in the table; the outermost ones beyond.
    fn at(&self, quantiles: &[f32], score: f32) -> f32 {
        let next = self.scores.partition_point(|&known| known < score).clamp(1, quantiles.len() - 1);
        let (from, to) = (self.scores[next - 1], self.scores[next]);
        let part = ((score - from) / (to - from)).clamp(0.0, 1.0);
        quantiles[next - 1] + part * (quantiles[next] - quantiles[next - 1])
    }
}

/// Of the line from the first digit to the last; 0 for a single one, and where they stand on one another.
fn slope(digits: &[Digit]) -> f32 {
    let centre = |digit: &Digit| (digit.bounds.left + 0.5 * digit.bounds.width, digit.bounds.top + 0.5 * digit.bounds.height);
    let (Some((from, above)), Some((to, below))) = (digits.first().map(centre), digits.last().map(centre)) else {
        return 0.0;
    };
    let apart = digits.iter().map(|digit| digit.bounds.height).fold(0.0, f32::max) * 0.2;
    if to - from > apart { (below - above) / (to - from) } else { 0.0 }
}

/// Standard normal scores of which any two have this correlation.
fn together<const N: usize>(correlation: f32, random: &mut ChaCha8Rng) -> [f32; N] {
    let shared: f32 = random.sample(StandardNormal);
    let (of_all, own) = (correlation.sqrt(), (1.0 - correlation).sqrt());
    std::array::from_fn(|_| of_all * shared + own * random.sample::<f32, _>(StandardNormal))
}

/// An index, as often as its share.
fn pick(shares: &[f32], random: &mut ChaCha8Rng) -> usize {
    let mut left = random.random::<f32>() * shares.iter().sum::<f32>();
    for (index, share) in shares.iter().enumerate() {
        left -= share;
        if left < 0.0 {
            return index;
        }
    }
    shares.len() - 1
}

#[cfg(test)]
mod tests;
