//! A house number on its wall, painted and photographed.

use image::RgbImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::canvas::{Canvas, Colour, mix};
use super::face::{self, Face, Glyph};
use super::jpeg;
use super::statistics::Layout;
use super::surface::{Surface, colour};
use crate::Result;
use crate::decode::channels_first;
use crate::kind::svhn::{Bounds, Window, resize};

/// How often each font is taken, as they come in [`face`]: plates have bold ones more often.
const FACES: [u32; 14] = [6, 12, 2, 3, 4, 7, 2, 3, 1, 2, 4, 6, 2, 4];

/// Writes what a photograph shows within `window`, as `size` x `size` pixels, channel after channel, from 0 to 1.
///
/// It is painted in the photograph's own pixels and then resized, so that small numbers are as blurred as real ones; a window of more pixels than asked for is
/// painted in these at once.
pub(crate) fn photograph(layout: &Layout, window: Window, size: usize, random: &mut ChaCha8Rng, values: &mut [f32]) -> Result<()> {
    let (width, height) = ((window.width as usize).min(size), (window.height as usize).min(size));
    let view = View::new(layout, window, width, height);
    let mut canvas = Canvas::new(width, height);
    let scene = Scene::draw(layout, &view, random)?;
    scene.paint(&view, &mut canvas);
    develop(&view, &mut canvas, random);
    let bytes = if (width, height) == (size, size) {
        channels_first(&canvas.bytes(), 3)
    } else {
        let whole = Window { left: 0, top: 0, width: width as u32, height: height as u32 };
        resize(&RgbImage::from_raw(width as u32, height as u32, canvas.bytes()).unwrap_or_default(), whole, size)
    };
    values.iter_mut().zip(bytes).for_each(|(value, byte)| *value = f32::from(byte) / 255.0);
    Ok(())
}

/// Where the pixels of a canvas are on the wall: in heights of a digit, from the middle of the number.
struct View {
    left: f32,
    top: f32,
    /// From a pixel to the next.
    step: [f32; 2],
    /// Half the width and height of the number.
    half: [f32; 2],
    /// The canvas's pixels over the photograph's, across and down: at most 1.
    shrunk: [f32; 2],
    middle: [f32; 2],
    height: f32,
}

impl View {
    fn new(layout: &Layout, window: Window, width: usize, height: usize) -> Self {
        let around = Bounds::around(layout.number.digits().map(|digit| digit.bounds)).unwrap_or_default();
        let unit = layout.height;
        let middle = [around.left + 0.5 * around.width, around.top + 0.5 * around.height];
        Self {
            left: (window.left as f32 - middle[0]) / unit,
            top: (window.top as f32 - middle[1]) / unit,
            step: [window.width as f32 / width as f32 / unit, window.height as f32 / height as f32 / unit],
            half: [0.5 * around.width / unit, 0.5 * around.height / unit],
            shrunk: [width as f32 / window.width as f32, height as f32 / window.height as f32],
            middle,
            height: unit,
        }
    }

    /// About the side of a pixel.
    fn pixel(&self) -> f32 {
        (self.step[0] * self.step[1]).sqrt()
    }

    fn point(&self, column: usize, row: usize) -> (f32, f32) {
        (self.left + (column as f32 + 0.5) * self.step[0], self.top + (row as f32 + 0.5) * self.step[1])
    }

    /// The pixels from `from` to `to` in one direction, of `count`.
    fn range(&self, axis: usize, from: f32, to: f32, count: usize) -> std::ops::Range<usize> {
        let start = [self.left, self.top][axis];
        let index = |place: f32| ((place - start) / self.step[axis]).clamp(0.0, count as f32) as usize;
        index(from)..(index(to) + 1).min(count)
    }
}

/// A sign on the wall.
struct Sign<'a> {
    glyph: &'a Glyph,
    middle: [f32; 2],
    /// Of its ink, in heights of a box, and in units of the glyph.
    height: f32,
    /// Across, over the font's own.
    stretch: f32,
    /// From the wall to the upright glyph.
    matrix: [[f32; 2]; 2],
}

/// What all digits of a number have in common.
struct Style {
    ink: Colour,
    /// Change of the ink's brightness a unit downwards.
    fade: f32,
    /// By how much strokes are bolder, in heights.
    bolder: f32,
    /// Width and colour of a line around the digits.
    rim: Option<(f32, Colour)>,
    /// Where a shadow falls, how soft and how dark it is.
    shadow: Option<([f32; 2], f32, f32)>,
    /// How much brighter the side is from which light comes, of digits that stand out.
    relief: Option<([f32; 2], f32)>,
    /// Strength, waves a height and phase of bent strokes.
    wobble: Option<(f32, f32, f32)>,
}

struct Scene<'a> {
    surface: Surface,
    style: Style,
    signs: Vec<Sign<'a>>,
    /// Normal, offset and remaining light of a shadow over the wall.
    shade: Option<([f32; 2], f32, f32, f32)>,
}

impl Scene<'_> {
    fn draw(layout: &Layout, view: &View, random: &mut ChaCha8Rng) -> Result<Self> {
        // Real contrasts are often small.
        let contrast = 0.18 + 0.55 * random.random::<f32>().powf(1.2);
        let darker = random.random_range(0.02..0.98 - contrast);
        let (paper, ink) = if random.random_bool(0.5) { (darker, darker + contrast) } else { (darker + contrast, darker) };
        let (paper, ink) = (colour(paper, random), colour(ink, random));
        let surface = Surface::draw(paper, view.half, random);
        let style = Style::draw(ink, paper, random);
        let signs = signs(layout, view, pick(face::faces()?, random), random);
        let shade = random.random_bool(0.15).then(|| {
            let angle = random.random_range(0.0..std::f32::consts::TAU);
            ([angle.cos(), angle.sin()], random.random_range(-0.8..0.8), random.random_range(0.35..0.8), random.random_range(0.02..0.3))
        });
        Ok(Scene { surface, style, signs, shade })
    }

    fn paint(&self, view: &View, canvas: &mut Canvas) {
        let pixel = view.pixel();
        for index in 0..canvas.pixels.len() {
            let (x, y) = view.point(index % canvas.width, index / canvas.width);
            canvas.pixels[index] = self.surface.at(x, y, pixel);
        }
        if let Some((towards, soft, dark)) = self.style.shadow {
            for sign in &self.signs {
                sign.cover(view, canvas, &self.style, towards, |found, depth, _| {
                    let part = dark * (0.5 + (depth + self.style.bolder) / (soft + pixel)).clamp(0.0, 1.0);
                    found.map(|value| value * (1.0 - part))
                });
            }
        }
        for sign in &self.signs {
            sign.cover(view, canvas, &self.style, [0.0; 2], |found, depth, (x, y)| self.style.ink(sign, found, depth, (x, y), pixel));
        }
        if let Some((normal, offset, light, soft)) = self.shade {
            for index in 0..canvas.pixels.len() {
                let (x, y) = view.point(index % canvas.width, index / canvas.width);
                let part = (0.5 + (normal[0] * x + normal[1] * y - offset) / soft).clamp(0.0, 1.0);
                canvas.pixels[index] = canvas.pixels[index].map(|value| value * (1.0 + part * (light - 1.0)));
            }
        }
    }
}

impl Style {
    fn draw(ink: Colour, paper: Colour, random: &mut ChaCha8Rng) -> Self {
        let light = random.random_range(0.0..std::f32::consts::TAU);
        let towards = |length: f32| [length * light.cos(), length * light.sin().abs()];
        let other = random.random();
        Self {
            ink,
            fade: 0.12 * random.sample::<f32, _>(StandardNormal),
            bolder: (0.005 + 0.02 * random.sample::<f32, _>(StandardNormal)).clamp(-0.02, 0.06),
            rim: random.random_bool(0.1).then(|| (random.random_range(0.02..0.06), mix(paper, colour(other, random), 0.8))),
            shadow: random.random_bool(0.3).then(|| (towards(random.random_range(0.02..0.1)), random.random_range(0.02..0.12), random.random_range(0.15..0.6))),
            relief: random.random_bool(0.25).then(|| (towards(-0.03), random.random_range(1.0..6.0))),
            wobble: random.random_bool(0.5).then(|| (random.random_range(0.005..0.05), random.random_range(3.0..9.0), random.random_range(0.0..6.0))),
        }
    }

    /// The colour `found` with the sign's ink over it.
    fn ink(&self, sign: &Sign, found: Colour, depth: f32, (x, y): (f32, f32), pixel: f32) -> Colour {
        let within = |depth: f32| (0.5 + (depth + self.bolder) / pixel).clamp(0.0, 1.0);
        let rimmed = self.rim.map_or(found, |(width, colour)| mix(found, colour, within(depth + width)));
        let lit = self.relief.map_or(0.0, |(towards, strength)| {
            let beside = sign.depth(x + towards[0], y + towards[1], self.wobble).unwrap_or(-0.1);
            strength * (depth.min(0.06) - beside.min(0.06))
        });
        let light = 1.0 + self.fade * (y - sign.middle[1]) + lit.clamp(-0.4, 0.6);
        mix(rimmed, self.ink.map(|value| value * light), within(depth))
    }
}

impl Sign<'_> {
    /// How far a point of the wall is within the ink, in heights of a digit's box.
    fn depth(&self, x: f32, y: f32, wobble: Option<(f32, f32, f32)>) -> Option<f32> {
        let (x, y) = (x - self.middle[0], y - self.middle[1]);
        let [[a, b], [c, d]] = self.matrix;
        let (mut x, mut y) = ((a * x + b * y) / (self.height * self.stretch), (c * x + d * y) / self.height);
        if let Some((strength, waves, phase)) = wobble {
            (x, y) = (x + strength * (waves * y + phase).sin(), y + strength * (waves * x + 2.0 * phase).sin());
        }
        Some(self.height * self.stretch.min(1.0) * self.glyph.depth(x, y)?)
    }

    /// Passes every pixel near the sign through `paint`, which is given its colour, its depth within the sign moved by `by`, and where it is.
    fn cover(&self, view: &View, canvas: &mut Canvas, style: &Style, by: [f32; 2], paint: impl Fn(Colour, f32, (f32, f32)) -> Colour) {
        let [[a, b], [c, d]] = self.matrix;
        let (across, down) = (self.height * self.stretch * (0.5 * self.glyph.width + 0.2), self.height * (0.5 * self.glyph.height + 0.2));
        // The matrix is nearly the identity: its inverse has nearly the same corners.
        let (across, down) = (a.abs() * across + b.abs() * down, c.abs() * across + d.abs() * down);
        let middle = [self.middle[0] + by[0], self.middle[1] + by[1]];
        for row in view.range(1, middle[1] - down, middle[1] + down, canvas.height) {
            for column in view.range(0, middle[0] - across, middle[0] + across, canvas.width) {
                let (x, y) = view.point(column, row);
                if let Some(depth) = self.depth(x - by[0], y - by[1], style.wobble) {
                    let pixel = &mut canvas.pixels[row * canvas.width + column];
                    *pixel = paint(*pixel, depth, (x, y));
                }
            }
        }
    }
}

fn pick<'a>(faces: &'a [Face], random: &mut ChaCha8Rng) -> &'a Face {
    let mut left = random.random_range(0..FACES.iter().sum::<u32>());
    let chosen = FACES.iter().position(|&share| {
        let found = left < share;
        left = left.saturating_sub(share);
        found
    });
    &faces[chosen.unwrap_or(0)]
}

/// The digits in their boxes, and sometimes a letter beside them.
fn signs<'a>(layout: &Layout, view: &View, face: &'a Face, random: &mut ChaCha8Rng) -> Vec<Sign<'a>> {
    let fill = random.random_range(0.74..1.0);
    let slope = layout.slope.clamp(-0.6, 0.6);
    // Seen from the side a row of digits slopes while they stay upright; on a slope they are turned with it, or not at all.
    let slant = 0.07 * random.sample::<f32, _>(StandardNormal);
    let turned = slope.atan() + 0.03 * random.sample::<f32, _>(StandardNormal);
    let common = match random.random_range(0..3) {
        0 => [[1.0, slant], [-slope, 1.0]],
        1 => [[turned.cos(), turned.sin()], [-turned.sin(), turned.cos()]],
        _ => [[1.0, slant], [0.0, 1.0]],
    };
    let fit: Vec<f32> =
        layout.number.digits().map(|digit| 0.92 * digit.bounds.width / (layout.height * fill * face.glyphs[usize::from(digit.value)].width)).collect();
    let stretch = (fit.iter().sum::<f32>() / fit.len() as f32).clamp(0.6, 1.35);
    let shakiness = if random.random_bool(0.2) { 0.07 } else { 0.025 };
    let sign = |glyph: &'a Glyph, middle: [f32; 2], stretch: f32, random: &mut ChaCha8Rng| {
        let shake = shakiness * random.sample::<f32, _>(StandardNormal);
        let [[a, b], [c, d]] = common;
        Sign { glyph, middle, height: fill, stretch, matrix: [[a - shake * c, b - shake * d], [c + shake * a, d + shake * b]] }
    };
    let mut signs: Vec<Sign> = layout
        .number
        .digits()
        .zip(&fit)
        .map(|(digit, fit)| {
            // Annotators do not hit the middle.
            let missed = [0.03, 0.02].map(|most| most * random.sample::<f32, _>(StandardNormal));
            let middle = [
                (digit.bounds.left + 0.5 * digit.bounds.width - view.middle[0]) / view.height + missed[0],
                (digit.bounds.top + 0.5 * digit.bounds.height - view.middle[1]) / view.height + missed[1],
            ];
            sign(&face.glyphs[usize::from(digit.value)], middle, (0.5 * (stretch + fit)).clamp(0.55, 1.4), random)
        })
        .collect();
    if random.random_bool(0.15) {
        let side = if random.random_bool(0.5) { 1.0 } else { -1.0 };
        let glyph = &face.glyphs[random.random_range(10..face::SIGNS.len())];
        let beside = view.half[0] + stretch * glyph.width * 0.5 + random.random_range(0.1..1.2);
        signs.push(sign(glyph, [side * beside, side * slope * beside], stretch, random));
    }
    signs
}

/// Exposure, lens, sensor and file.
fn develop(view: &View, canvas: &mut Canvas, random: &mut ChaCha8Rng) {
    // Photographs are somewhat blue.
    let cast: Colour = [0.97, 1.0, 1.04].map(|mean| mean + 0.04 * random.sample::<f32, _>(StandardNormal));
    let haze = 0.25 * random.random::<f32>().powi(3);
    let gain = (0.17 * random.sample::<f32, _>(StandardNormal) - 0.05).exp() * (1.0 - haze);
    for pixel in &mut canvas.pixels {
        *pixel = std::array::from_fn(|channel| haze * 0.7 + gain * cast[channel] * pixel[channel]);
    }
    let own = (-0.3 + 0.4 * random.sample::<f32, _>(StandardNormal)).exp();
    let beyond = if random.random_bool(0.25) { view.height * random.random_range(0.0..0.06) } else { 0.0 };
    let blur = own + beyond;
    let across = if random.random_bool(0.15) { random.random_range(1.0..2.5) } else { 1.0 };
    canvas.blur(blur * across * view.shrunk[0], blur * view.shrunk[1]);
    let shrunk = (view.shrunk[0] * view.shrunk[1]).sqrt();
    if random.random_bool(0.4) {
        canvas.sharpen(1.3 * blur * shrunk, random.random_range(0.2..1.2));
    }
    let grain = 0.015 * random.random::<f32>().powi(2) * shrunk;
    canvas.grain(grain + 0.002, 0.4 * grain, random);
    for value in canvas.pixels.iter_mut().flatten() {
        *value = value.clamp(0.0, 1.0);
    }
    if shrunk > 0.7 && random.random_bool(0.7) {
        jpeg::compress(canvas, random.random_range(0.1_f32..1.1).powi(2));
    }
}

#[cfg(test)]
mod tests;
