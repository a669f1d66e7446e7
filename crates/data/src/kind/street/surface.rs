//! What house numbers are put on: walls, boards, bricks, plates.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::canvas::{Colour, mix};

/// A colour of about this brightness, 0 to 1, of the kind that is seen at houses: mostly greys, blues and browns.
pub(crate) fn colour(brightness: f32, random: &mut ChaCha8Rng) -> Colour {
    const KINDS: [(f32, [f32; 3], f32); 6] = [
        (0.48, [0.0, 0.0, 1.0], 0.1),
        (0.18, [1.0, 0.6, -0.6], 0.13),
        (0.20, [-0.8, -0.2, 1.6], 0.42),
        (0.09, [1.0, 0.2, -0.9], 0.35),
        (0.03, [1.2, -0.6, -0.5], 0.4),
        (0.02, [-0.6, 0.7, -0.4], 0.3),
    ];
    let mut left = random.random::<f32>();
    let kind = KINDS.iter().find(|(share, ..)| {
        left -= share;
        left < 0.0
    });
    let (_, direction, most) = kind.unwrap_or(&KINDS[0]);
    let strength = most * random.random::<f32>() * (brightness * (1.0 - brightness) + 0.05);
    let grey = 0.299 * direction[0] + 0.587 * direction[1] + 0.114 * direction[2];
    direction.map(|channel| (brightness + 2.0 * strength * (channel - grey)).clamp(0.0, 1.0))
}

/// Smooth noise: random values on a grid, and what lies between.
#[derive(Debug)]
struct Noise {
    /// Cells in a unit.
    scale: [f32; 2],
    strength: f32,
    values: [f32; Self::SIDE * Self::SIDE],
}

impl Noise {
    /// It repeats after so many cells, a power of two.
    const SIDE: usize = 16;

    fn new(scale: [f32; 2], strength: f32, random: &mut ChaCha8Rng) -> Self {
        Self { scale, strength, values: std::array::from_fn(|_| random.random_range(-1.0..1.0)) }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x * self.scale[0] + 512.0, y * self.scale[1] + 512.0);
        let (column, row) = (x as usize, y as usize);
        let (across, down) = (x - column as f32, y - row as f32);
        let value = |row: usize, column: usize| self.values[row % Self::SIDE * Self::SIDE + column % Self::SIDE];
        let between = |row: usize| value(row, column) + across * (value(row, column + 1) - value(row, column));
        let (above, below) = (between(row), between(row + 1));
        self.strength * (above + down * (below - above))
    }
}

/// Seams between boards or bricks, darker or brighter than the wall.
#[derive(Debug)]
struct Seams {
    /// Between one and the next, along the seams' normal.
    period: f32,
    phase: f32,
    width: f32,
    strength: f32,
    upright: bool,
    /// Whether there are seams across as well, each row's in the middle of its neighbour's.
    bricks: bool,
}

impl Seams {
    fn new(random: &mut ChaCha8Rng) -> Self {
        Self {
            period: random.random_range(0.35..1.8),
            phase: random.random(),
            width: random.random_range(0.02..0.1),
            strength: random.random_range(0.05..0.3) * if random.random_bool(0.75) { -1.0 } else { 1.0 },
            upright: random.random_bool(0.4),
            bricks: random.random_bool(0.3),
        }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = if self.upright && !self.bricks { (y, x) } else { (x, y) };
        let row = y / self.period + self.phase;
        let seam = |place: f32, period: f32| {
            let from = (place - place.floor() - 0.5).abs() - 0.5;
            (1.0 + from * period / self.width).max(0.0)
        };
        let across = if self.bricks { seam(0.4 * x / self.period + 0.5 * row.floor(), 2.5 * self.period) } else { 0.0 };
        self.strength * seam(row, self.period).max(across)
    }
}

/// A half-plane of another colour: a door frame, the end of a wall, a cable where it is `thin`.
#[derive(Debug)]
struct Edge {
    normal: [f32; 2],
    offset: f32,
    thin: Option<f32>,
    colour: Colour,
}

/// A plate with a border.
#[derive(Debug)]
struct Plate {
    middle: [f32; 2],
    half: [f32; 2],
    radius: f32,
    colour: Colour,
    /// Distance from the edge, width and colour of a line.
    line: Option<(f32, f32, Colour)>,
}

impl Plate {
    /// How far a point is within.
    fn depth(&self, x: f32, y: f32) -> f32 {
        let over = |value: f32, middle: f32, half: f32| (value - middle).abs() - half + self.radius;
        let (x, y) = (over(x, self.middle[0], self.half[0]), over(y, self.middle[1], self.half[1]));
        self.radius - x.max(0.0).hypot(y.max(0.0)) - x.max(y).min(0.0)
    }
}

/// A wall with what is on it, but for the number. Lengths are in heights of a digit, from the middle of the number.
#[derive(Debug)]
pub(crate) struct Surface {
    wall: Colour,
    /// Change of brightness a unit, across and down.
    slope: [f32; 2],
    noises: [Noise; 2],
    seams: Option<Seams>,
    edges: Vec<Edge>,
    plate: Option<Plate>,
}

impl Surface {
    /// A surface whose colour behind a number, `half` its width and height from the middle, is `paper`.
    pub(crate) fn draw(paper: Colour, half: [f32; 2], random: &mut ChaCha8Rng) -> Self {
        let plate = random.random_bool(0.4).then(|| Self::plate(paper, half, random));
        let brightness = random.random_range(0.05..0.95);
        let wall = if plate.is_some() { colour(brightness, random) } else { paper };
        let along = random.random_range(0.3..1.0);
        let scale = random.random_range(0.5..3.0);
        let coarse = random.random_range(0.0..0.09);
        let fine = random.random_range(0.0_f32..1.0).powi(2) * 0.09;
        Self {
            wall,
            slope: [0.04, 0.06].map(|most| most * random.sample::<f32, _>(StandardNormal)),
            noises: [Noise::new([scale * along, scale], coarse, random), Noise::new([9.0 * along, 9.0], fine, random)],
            seams: random.random_bool(if plate.is_some() { 0.35 } else { 0.2 }).then(|| Seams::new(random)),
            edges: Self::edges(wall, half, random),
            plate,
        }
    }

    fn plate(paper: Colour, half: [f32; 2], random: &mut ChaCha8Rng) -> Plate {
        let (beside, above) = (random.random_range(0.08..0.7), random.random_range(0.06..0.4));
        let other = random.random();
        let line = random.random_bool(0.4).then(|| (random.random_range(0.02..0.1), random.random_range(0.02..0.08), colour(other, random)));
        Plate {
            middle: [0.1, 0.04].map(|most| most * random.sample::<f32, _>(StandardNormal)),
            half: [half[0] + beside, half[1] + above],
            radius: random.random_range(0.01..0.3),
            colour: paper,
            line,
        }
    }

    fn edges(wall: Colour, half: [f32; 2], random: &mut ChaCha8Rng) -> Vec<Edge> {
        let mut edges = Vec::new();
        for _ in 0..random.random_range(0..3) {
            if random.random_bool(0.55) {
                edges.push(Self::edge(wall, half, random));
            }
        }
        edges
    }

    /// Rarely through the number itself.
    fn edge(wall: Colour, half: [f32; 2], random: &mut ChaCha8Rng) -> Edge {
        let thin = random.random_bool(0.3).then(|| random.random_range(0.02..0.08));
        let tilt = 0.05 * random.sample::<f32, _>(StandardNormal);
        let normal = match random.random_range(0..4) {
            0 => [1.0, tilt],
            1 => [-1.0, tilt],
            2 => [tilt, 1.0],
            _ => [tilt, -1.0],
        };
        let reach = normal[0].abs() * half[0] + normal[1].abs() * half[1];
        let brightness = random.random();
        let colour = mix(wall, colour(brightness, random), random.random_range(0.3..1.0));
        Edge { normal, offset: reach + random.random_range(-0.02..0.7), thin, colour }
    }

    /// The colour at a point; what is sharp is spread over `pixel`.
    pub(crate) fn at(&self, x: f32, y: f32, pixel: f32) -> Colour {
        let within = |depth: f32| (0.5 + depth / pixel).clamp(0.0, 1.0);
        let seams = self.seams.as_ref().map_or(0.0, |seams| seams.at(x, y));
        let mut found = self.wall.map(|value| value * (1.0 + seams));
        for edge in &self.edges {
            let depth = edge.normal[0] * x + edge.normal[1] * y - edge.offset;
            found = mix(found, edge.colour, within(edge.thin.map_or(depth, |thin| thin - depth.abs())));
        }
        if let Some(plate) = &self.plate {
            let depth = plate.depth(x, y);
            found = mix(found, plate.colour, within(depth));
            if let Some((from, width, colour)) = plate.line {
                found = mix(found, colour, within(0.5 * width - (depth - from - 0.5 * width).abs()));
            }
        }
        let light = 1.0 + self.slope[0] * x + self.slope[1] * y + self.noises.iter().map(|noise| noise.at(x, y)).sum::<f32>();
        found.map(|value| value * light)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stn_core::stream::stream;

    #[test]
    fn colours_are_about_as_bright_as_asked_for() {
        let mut random = stream(0, "test", 0);
        for _ in 0..500 {
            let brightness = random.random();
            let [red, green, blue] = colour(brightness, &mut random);
            assert!((0.299 * red + 0.587 * green + 0.114 * blue - brightness).abs() < 0.12);
        }
    }

    #[test]
    fn a_plate_ends_at_its_edge() {
        let plate = Plate { middle: [1.0, 0.0], half: [2.0, 1.0], radius: 0.2, colour: [1.0; 3], line: None };
        for (x, y, depth) in [(1.0, 0.9, 0.1), (3.1, 0.0, -0.1), (1.0, -1.5, -0.5)] {
            assert!((plate.depth(x, y) - depth).abs() < 1e-5, "{x} {y}: {}", plate.depth(x, y));
        }
        assert!(plate.depth(2.99, 0.99) < 0.0, "the corner is round");
    }

    #[test]
    fn behind_the_number_is_its_paper() {
        let mut random = stream(0, "test", 1);
        for _ in 0..100 {
            let paper = [0.5, 0.4, 0.6];
            let found = Surface::draw(paper, [1.0, 0.5], &mut random).at(0.0, 0.0, 0.02);
            assert!(found.iter().zip(paper).all(|(found, paper)| (found / paper - 1.0).abs() < 0.55), "{found:?}");
        }
    }
}
