//! The sampler on a graphics card: `warp.cuh`, `grid.cu`, `sample.cu`.

#[cfg(feature = "cuda")]
use candle_core::Tensor;
use candle_core::{DType, Result, bail};
#[cfg(feature = "cuda")]
use stn_core::TargetGrid;
use stn_core::transformation::HOMOGENEOUS_GUARD;
use stn_core::{Boundary, BoundaryRule};

use super::Sampler;
use super::plain::Call;
#[cfg(feature = "cuda")]
use crate::cuda::candle::{unset_like, with_places};
use crate::cuda::{Address, BLOCK, Card, Launch, Program};

/// The threads that fill a card: below it, channels are shared out too.
const THREADS_OF_A_CARD: usize = 1 << 17;

/// The blocks that fill a card.
const BLOCKS_OF_A_CARD: usize = 1 << 9;

/// The most shared memory of a block that adds up gradients, in bytes: a multiprocessor of a card of compute capability 9.0 has room for two such blocks.
const SHARED: usize = 96 * 1024;

/// The bits of the whole numbers that gradients are added up in, but for the sign and one that is room for rounding.
const BITS: u32 = 62;

/// Where the coordinates of target pixels come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Coordinates {
    /// M, `N x rows x terms`, and B, `terms x P`.
    Structured { matrix: Address, basis: Address, rows: usize, terms: usize },
    /// An explicit grid, `N x P x dims`.
    Grid(Address),
}

impl Coordinates {
    fn constants(&self, dims: usize) -> [(&'static str, usize); 3] {
        let (rows, terms) = if let Self::Structured { rows, terms, .. } = *self { (rows, terms) } else { (0, 0) };
        [("DIMS", dims), ("ROWS", rows), ("TERMS", terms)]
    }
}

/// The least homogeneous divisor, as a constant of a kernel's text.
fn guard() -> String {
    format!("#define GUARD {HOMOGENEOUS_GUARD:e}\n")
}

/// Where gradients go that are wanted; nowhere those that are not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gradients {
    /// To the input.
    pub input: Address,
    /// To M, or to the grid.
    pub warp: Address,
    /// To B.
    pub basis: Address,
}

/// A warp on a card.
pub(super) struct Warp<'a, C> {
    card: &'a C,
    coordinates: Coordinates,
    dims: usize,
    samples: usize,
    pixels: usize,
    program: Program,
}

impl<'a, C: Card> Warp<'a, C> {
    /// A warp of some samples, for a target of so many axes and pixels.
    pub(super) fn new(card: &'a C, coordinates: Coordinates, dtype: DType, samples: usize, (dims, pixels): (usize, usize)) -> Result<Self> {
        let kernels: &[&str] = match coordinates {
            Coordinates::Grid(_) => &["sum_parts", "rows_to_grid"],
            Coordinates::Structured { .. } => &["sum_parts", "rows_to_grid", "matrix_gradient", "basis_gradient", "grid", "grid_gradient"],
        };
        let program = Program::new("grid", dtype, &[include_str!("warp.cuh"), include_str!("grid.cu")], kernels)?;
        let program = program.with_constants(coordinates.constants(dims)).with_plugin(guard());
        // All kernels go through the rows of every sample at most, or through B.
        let terms = if let Coordinates::Structured { terms, .. } = coordinates { terms } else { 0 };
        let program = program.for_count(pixels * (samples * (dims + 1)).max(terms));
        Ok(Self { card, coordinates, dims, samples, pixels, program })
    }

    /// The rows of gradients: as M has, or the axes.
    fn rows(&self) -> usize {
        if let Coordinates::Structured { rows, .. } = self.coordinates { rows } else { self.dims }
    }

    /// The numbers of a part of the gradients to rows.
    fn count(&self) -> usize {
        self.samples * self.rows() * self.pixels
    }

    /// Room for parts of gradients to rows.
    fn room(&self, parts: usize) -> Result<Address> {
        self.card.room(parts.max(1) * self.count() * self.program.dtype().size_in_bytes())
    }

    /// The coordinates of every target pixel, `N x P x dims`.
    pub(super) fn grid(&self, points: Address) -> Result<()> {
        self.launch(self.given(Launch::each("grid", self.samples * self.pixels)).with(points).with_length(self.samples).with_length(self.pixels))
    }

    /// The gradients to M and B from that to the coordinates, `N x P x dims`.
    pub(super) fn grid_gradients(&self, upstream: Address, to: Gradients) -> Result<()> {
        let to_rows = self.room(1)?;
        let launch = self.given(Launch::each("grid_gradient", self.samples * self.pixels)).with(upstream).with(to_rows);
        self.launch(launch.with_length(self.samples).with_length(self.pixels))?;
        self.back(to_rows, 1, to)
    }

    /// From some parts of the gradients to the rows of `M_theta B`, or to coordinates, to what they come from.
    fn back(&self, to_rows: Address, parts: usize, to: Gradients) -> Result<()> {
        if parts != 1 {
            self.launch(Launch::each("sum_parts", self.count()).with(to_rows).with_length(self.count()).with(parts as i32))?;
        }
        match self.coordinates {
            Coordinates::Grid(_) if to.warp == Address::NONE => Ok(()),
            Coordinates::Grid(_) => {
                self.launch(Launch::each("rows_to_grid", self.count()).with(to_rows).with(to.warp).with_length(self.samples).with_length(self.pixels))
            }
            Coordinates::Structured { matrix, basis, rows, terms } => {
                if to.warp != Address::NONE {
                    let launch = Launch::blocks("matrix_gradient", (self.samples * rows) as u32);
                    self.launch(launch.with(to_rows).with(basis).with(to.warp).with_length(self.pixels))?;
                }
                if to.basis != Address::NONE {
                    let launch = Launch::each("basis_gradient", terms * self.pixels).with(to_rows).with(matrix);
                    self.launch(launch.with(to.basis).with_length(self.samples).with_length(self.pixels))?;
                }
                Ok(())
            }
        }
    }

    /// A launch that is given the warp.
    fn given(&self, launch: Launch) -> Launch {
        match self.coordinates {
            Coordinates::Structured { matrix, basis, .. } => launch.with(matrix).with(basis),
            Coordinates::Grid(grid) => launch.with(grid).with(Address::NONE),
        }
    }

    fn launch(&self, launch: Launch) -> Result<()> {
        self.card.launch(&self.program, &launch)
    }
}

/// A call of the sampler on a card.
pub(super) struct OnCard<'a, C> {
    call: &'a Call<'a>,
    warp: Warp<'a, C>,
    program: Program,
}

impl<'a, C: Card> OnCard<'a, C> {
    /// A call with images, and their gradients, of a type: f32 or f64, which coordinates and sums are in as well, or bf16 or f16, for which these are in f32.
    ///
    /// # Errors
    ///
    /// Where the kernel has no text for a card, or a size is too large for one.
    pub(super) fn new(card: &'a C, call: &'a Call<'a>, coordinates: Coordinates, dtype: DType) -> Result<Self> {
        let Sampler { kernel, boundary, align_corners } = call.sampler;
        let Some(text) = kernel.cuda_source() else {
            bail!("the sampling kernel {kernel:?} has no code for graphics cards; use --device cpu, or give it a `cuda_source`, its two functions in CUDA C");
        };
        if call.plane_len() >= 1 << 30 || call.pixels >= 1 << 30 {
            bail!("a graphics card samples planes of less than 2^30 pixels; not {} pixels at {} places", call.plane_len(), call.pixels);
        }
        let boundary = match boundary {
            Boundary::Zeros => 0,
            Boundary::Border => 1,
            Boundary::Reflection => 2,
        };
        let constants = [
            ("SUPPORT", kernel.support()),
            ("BOUNDARY", boundary),
            ("TAP_RULE", usize::from(kernel.boundary_rule() == BoundaryRule::Tap)),
            ("ALIGN_CORNERS", usize::from(*align_corners)),
        ];
        let program = Program::of_pixels("sample", dtype, &[include_str!("warp.cuh"), include_str!("sample.cu")], &["sample", "sample_gradients"])?;
        let warp = Warp::new(card, coordinates, program.dtype(), call.samples, (call.source.len(), call.pixels))?;
        let program = program.with_constants(coordinates.constants(warp.dims)).with_constants(constants).with_plugin(guard() + &text);
        let program = program.for_count(call.samples * call.channels * call.pixels);
        Ok(Self { call, warp, program })
    }

    /// Equation 3: fills `output`, `N x C x P`.
    pub(super) fn sample(&self, input: Address, output: Address) -> Result<()> {
        let Call { samples, channels, pixels, .. } = *self.call;
        let points = samples * pixels;
        if points * channels == 0 {
            return Ok(());
        }
        // Few points: their channels side by side, else a thread does them all and finds the taps once.
        let group = channels.div_ceil(THREADS_OF_A_CARD.div_ceil(points).min(channels));
        let launch = self.warp.given(Launch::each("sample", points * channels.div_ceil(group)).with(input));
        self.launch(self.with_sizes(launch.with(output).with_length(samples), group))
    }

    /// Equations 6 and 7, from the gradient to the output.
    pub(super) fn gradients(&self, input: Address, upstream: Address, to: Gradients) -> Result<()> {
        let input_wanted = to.input != Address::NONE && self.call.plane_len() > 0;
        let rows_wanted = to.warp != Address::NONE || to.basis != Address::NONE;
        let together = Shares::new(self.call, input_wanted.then_some(self.warp.card.shared_memory()?));
        // A source in many bands would leave as many parts of the gradients to rows: these then come from a launch of their own.
        let apart = Shares::new(self.call, None);
        let at_once = together.bands <= 1;
        if input_wanted && (!rows_wanted || !at_once) {
            self.gradients_of(&together, [input, upstream], to.input, Address::NONE)?;
        }
        if !rows_wanted {
            return Ok(());
        }
        let (shares, to_input) = if at_once && input_wanted { (together, to.input) } else { (apart, Address::NONE) };
        let to_rows = self.warp.room(shares.parts())?;
        self.gradients_of(&shares, [input, upstream], to_input, to_rows)?;
        self.warp.back(to_rows, shares.parts(), to)
    }

    /// One launch, for the gradients to the input, to the rows, or to both.
    fn gradients_of(&self, shares: &Shares, [input, upstream]: [Address; 2], to_input: Address, to_rows: Address) -> Result<()> {
        let Call { samples, pixels, .. } = *self.call;
        let Shares { group, band, .. } = *shares;
        let terms = (pixels * self.call.sampler.kernel.support().pow(self.warp.dims as u32)).max(1);
        let launch = self.warp.given(Launch::blocks("sample_gradients", (samples * shares.parts()) as u32).with(input)).with(upstream);
        let launch = self.with_sizes(launch.with(to_input).with(to_rows).with_length(samples), group);
        let mut launch = launch.with(band as i32).with((BITS - terms.next_power_of_two().ilog2()) as i32);
        launch.threads = (pixels.next_multiple_of(32) as u32).clamp(32, 2 * BLOCK);
        launch.shared = if to_input == Address::NONE { 0 } else { (group * CELL * (band + 1)) as u32 };
        self.launch(launch)
    }

    /// Channels, the channels of a task, the source's width, height and depth, and the target's pixels.
    fn with_sizes(&self, launch: Launch, group: usize) -> Launch {
        let size = |axis: usize| self.call.source.get(axis).map_or(1, |axis| axis.size) as i32;
        launch.with(self.call.channels as i32).with(group as i32).with(size(0)).with(size(1)).with(size(2)).with_length(self.call.pixels)
    }

    fn launch(&self, launch: Launch) -> Result<()> {
        self.warp.card.launch(&self.program, &launch)
    }
}

/// The gradients to input, M and B that are wanted, of tensors on a card.
#[cfg(feature = "cuda")]
pub(super) fn structured_gradients(
    [input, matrix, basis, upstream]: [&Tensor; 4],
    target: &TargetGrid,
    sampler: &Sampler,
    wanted: super::Wanted,
) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
    let call = Call::new(sampler, input.dims(), target.size())?;
    let (_, rows, terms) = matrix.dims3()?;
    let results = [unset(input, wanted.input)?, unset(matrix, wanted.matrix)?, unset(basis, wanted.basis)?];
    let [input, matrix, basis, upstream] = [input, matrix, basis, upstream].map(Tensor::contiguous);
    let held = [&input?, &matrix?, &basis?, &upstream?];
    with_places("sample_structured gradient", held, |card, [input, matrix, basis, upstream]| {
        let sampler = OnCard::new(card, &call, Coordinates::Structured { matrix, basis, rows, terms }, card.dtype())?;
        let [input_to, warp, basis] = [place(card, &results[0])?, place(card, &results[1])?, place(card, &results[2])?];
        sampler.gradients(input, upstream, Gradients { input: input_to, warp, basis })
    })?;
    Ok(results.into())
}

/// The gradients to input and grid that are wanted, of tensors on a card.
#[cfg(feature = "cuda")]
pub(super) fn grid_gradients(
    [input, grid, upstream]: [&Tensor; 3],
    target: &[usize],
    sampler: &Sampler,
    wanted: super::GridWanted,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let call = Call::new(sampler, input.dims(), target)?;
    let results = [unset(input, wanted.input)?, unset(grid, wanted.grid)?];
    let [input, grid, upstream] = [input, grid, upstream].map(Tensor::contiguous);
    with_places("sample_grid gradient", [&input?, &grid?, &upstream?], |card, [input, grid, upstream]| {
        let sampler = OnCard::new(card, &call, Coordinates::Grid(grid), card.dtype())?;
        let (input_to, warp) = (place(card, &results[0])?, place(card, &results[1])?);
        sampler.gradients(input, upstream, Gradients { input: input_to, warp, basis: Address::NONE })
    })?;
    Ok(results.into())
}

/// The gradients to M and B, where they are tracked, from that to the coordinates, of tensors on a card.
#[cfg(feature = "cuda")]
pub(super) fn structured_grid_gradients(matrix: &Tensor, basis: &Tensor, target: &TargetGrid, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (samples, rows, terms) = matrix.dims3()?;
    let results = [unset(matrix, matrix.track_op())?, unset(basis, basis.track_op())?];
    with_places("structured_grid gradient", [matrix, basis, upstream], |card, [matrix, basis, upstream]| {
        let coordinates = Coordinates::Structured { matrix, basis, rows, terms };
        let on_card = Warp::new(card, coordinates, card.dtype(), samples, (target.dims(), target.pixels()))?;
        let (warp, basis) = (place(card, &results[0])?, place(card, &results[1])?);
        on_card.grid_gradients(upstream, Gradients { input: Address::NONE, warp, basis })
    })?;
    Ok(results.into())
}

/// A gradient to be written, of a tensor's shape, where it is wanted.
#[cfg(feature = "cuda")]
fn unset(of: &Tensor, wanted: bool) -> Result<Option<Tensor>> {
    wanted.then(|| unset_like(of, of.shape())).transpose()
}

/// Where a gradient goes; nowhere where it is not wanted.
#[cfg(feature = "cuda")]
fn place(card: &crate::cuda::candle::OnCard, gradient: &Option<Tensor>) -> Result<Address> {
    gradient.as_ref().map_or(Ok(Address::NONE), |tensor| card.place_of(tensor))
}

/// The bytes of a whole number.
const CELL: usize = 8;

/// How the gradients of a sample are shared out among blocks.
#[derive(Debug, Clone, Copy)]
struct Shares {
    /// The channels of a block.
    group: usize,
    /// The groups of channels.
    groups: usize,
    /// The pixels of the source of a block.
    band: usize,
    /// The bands of the source.
    bands: usize,
}

impl Shares {
    /// With the shared memory that a block may have, in bytes, where the gradient to the input is wanted.
    fn new(call: &Call<'_>, shared: Option<usize>) -> Self {
        let plane = call.plane_len();
        // As many blocks as fill a card, no more: each finds the taps of all target pixels.
        let group = call.channels.div_ceil(BLOCKS_OF_A_CARD.div_ceil(call.samples.max(1))).max(1);
        let Some(shared) = shared else { return Self { group, groups: call.channels.div_ceil(group), band: plane, bands: 1 } };
        // A band, and the largest number of it beside it.
        let cells = shared.min(SHARED) / CELL;
        let group = group.min((cells / (plane + 1)).max(1));
        let band = plane.min(cells - 1);
        Self { group, groups: call.channels.div_ceil(group), band, bands: plane.div_ceil(band) }
    }

    /// The blocks of a sample.
    fn parts(&self) -> usize {
        self.groups * self.bands
    }
}

#[cfg(test)]
mod tests;
