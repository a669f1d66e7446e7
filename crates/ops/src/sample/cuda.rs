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
    /// A call in f32 or f64.
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
        let warp = Warp::new(card, coordinates, dtype, call.samples, (call.source.len(), call.pixels))?;
        let program = Program::new("sample", dtype, &[include_str!("warp.cuh"), include_str!("sample.cu")], &["sample", "sample_gradients"])?;
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
mod tests {
    use candle_core::{Device, Tensor, Var};
    use stn_core::TargetGrid;

    use super::super::structured::Structured;
    use super::super::tests::{Draws, close};
    use super::super::{plain, warp};
    use super::*;
    use crate::cpu::Number;
    use crate::cuda::emulated::Emulated;

    /// One random call: its sampler, the sizes of source and target, samples and channels.
    struct Drawn {
        sampler: Sampler,
        source: Vec<usize>,
        target: Vec<usize>,
        samples: usize,
        channels: usize,
    }

    impl Drawn {
        fn new(draws: &mut Draws) -> Self {
            let axes = 2 + draws.below(2);
            let most = if axes == 2 { 23 } else { 7 };
            let (source, target, sampler) = (draws.sizes(axes, most), draws.sizes(axes, most), draws.sampler());
            Self { sampler, source, target, samples: 1 + draws.below(3), channels: draws.below(5) }
        }

        fn call(&self) -> Call<'_> {
            Call::new(&self.sampler, &[&[self.samples, self.channels], self.source.as_slice()].concat(), &self.target).unwrap()
        }
    }

    /// Output and gradients of a random call with the structured form, on the card and by the plain loops.
    fn structured<T: Number>(card: &Emulated, draws: &mut Draws, tolerance: f64) -> [Vec<T>; 4] {
        let drawn = Drawn::new(draws);
        let (call, axes) = (drawn.call(), drawn.target.len());
        let (samples, channels, pixels, plane) = (call.samples, call.channels, call.pixels, call.plane_len());
        let (rows, terms) = (axes + draws.below(2), 1 + draws.below(6));
        let (input, upstream) = (draws.numbers::<T>(samples * channels * plane), draws.numbers::<T>(samples * channels * pixels));
        let (matrix, basis) = draws.warp::<T>(samples, axes, (rows, terms), pixels);
        let what = format!("{:?}: {samples} x {channels} x {:?} to {:?}, {rows} x {terms}", drawn.sampler, drawn.source, drawn.target);

        let coordinates = Coordinates::Structured { matrix: card.given(&matrix), basis: card.given(&basis), rows, terms };
        let on_card = OnCard::new(card, &call, coordinates, T::DTYPE).unwrap();
        let (of_input, of_upstream, output) = (card.given(&input), card.given(&upstream), card.output::<T>(samples * channels * pixels));
        on_card.sample(of_input, output).unwrap();
        let to = Gradients { input: card.output::<T>(input.len()), warp: card.output::<T>(matrix.len()), basis: card.output::<T>(basis.len()) };
        on_card.gradients(of_input, of_upstream, to).unwrap();

        let mut warp = Structured::of_numbers(&matrix, (samples, rows, terms), &basis, &drawn.target);
        warp.basis_wanted = true;
        let mut expected = warp.gradients(
            || call.taps(),
            |taps, n, pixels, rows, gradient| plain::coordinate_gradient(&call, (&input, &upstream), taps, (n, pixels), rows, gradient),
        );
        let to_basis = expected.split_off(matrix.len());
        let found = [
            card.numbers::<T>(output, upstream.len()),
            card.numbers(to.input, input.len()),
            card.numbers(to.warp, matrix.len()),
            card.numbers(to.basis, basis.len()),
        ];
        close(&found[0], &plain::sample(&call, &input, &warp), tolerance, &what);
        close(&found[1], &plain::input_gradient(&call, &upstream, &warp), tolerance, &what);
        close(&found[2], &expected, 20.0 * tolerance, &what);
        close(&found[3], &to_basis, 20.0 * tolerance, &what);
        found
    }

    #[test]
    fn a_card_samples_as_the_plain_loops_do() {
        Emulated::both(|card| {
            let mut draws = Draws(7);
            let single: Vec<_> = (0..12).map(|_| structured::<f32>(card, &mut draws, 2e-6)).collect();
            let double: Vec<_> = (0..4).map(|_| structured::<f64>(card, &mut draws, 1e-12)).collect();
            (single, double)
        });
    }

    #[test]
    fn a_card_computes_the_same_grid_and_its_gradients() {
        Emulated::both(|card| {
            let mut draws = Draws(11);
            for (axes, rows) in [(2, 2), (2, 3), (3, 4)] {
                let (target, samples, terms) = (draws.sizes(axes, 6), 2, 4);
                let pixels = target.iter().product();
                let (matrix, basis) = draws.warp::<f32>(samples, axes, (rows, terms), pixels);
                let upstream = draws.numbers::<f32>(samples * pixels * axes);
                let var = |numbers: &[f32], shape: &[usize]| Var::from_slice(numbers, shape, &Device::Cpu).unwrap();
                let (m, b) = (var(&matrix, &[samples, rows, terms]), var(&basis, &[terms, pixels]));
                let grid = crate::structured_grid(&m, &b, &TargetGrid::new(target, false).unwrap()).unwrap();
                let weighted = (&grid * Tensor::from_slice(&upstream, grid.shape(), &Device::Cpu).unwrap()).unwrap();
                let expected = weighted.sum_all().unwrap().backward().unwrap();

                let coordinates = Coordinates::Structured { matrix: card.given(&matrix), basis: card.given(&basis), rows, terms };
                let warp = Warp::new(card, coordinates, DType::F32, samples, (axes, pixels)).unwrap();
                let (points, to_matrix, to_basis) = (card.output::<f32>(upstream.len()), card.output::<f32>(matrix.len()), card.output::<f32>(basis.len()));
                warp.grid(points).unwrap();
                warp.grid_gradients(card.given(&upstream), Gradients { input: Address::NONE, warp: to_matrix, basis: to_basis }).unwrap();
                card.assert_close(points, &grid, 1e-6);
                card.assert_close(to_matrix, expected.get(&m).unwrap(), 2e-5);
                card.assert_close(to_basis, expected.get(&b).unwrap(), 2e-5);
            }
        });
    }

    #[test]
    fn gradients_that_are_not_finite_reach_the_same_pixels() {
        let sampler = Sampler { kernel: std::sync::Arc::new(stn_sampler_bilinear::Bilinear), boundary: Boundary::Border, align_corners: false };
        let drawn = Drawn { sampler, source: vec![3, 4], target: vec![2, 3], samples: 1, channels: 3 };
        let mut draws = Draws(5);
        let (input, grid) = (draws.numbers::<f32>(36), draws.numbers::<f32>(12));
        let mut upstream = draws.numbers::<f32>(18);
        (upstream[2], upstream[9]) = (f32::NAN, f32::INFINITY);
        let expected = plain::input_gradient(&drawn.call(), &upstream, &warp::Grid::<f32>::new(&grid, &drawn.target));
        let kind = |numbers: &[f32]| numbers.iter().map(|number| number.classify()).collect::<Vec<_>>();
        assert!(expected[..24].chunks(12).all(|channel| channel.iter().any(|number| !number.is_finite())));
        Emulated::both(|card| {
            let [to_input, _] = gridded(card, &drawn, [&input, &upstream, &grid], [true, true]);
            assert_eq!(kind(&to_input), kind(&expected));
            close(&to_input[24..], &expected[24..], 2e-6, "the channel that is finite");
        });
    }

    #[test]
    fn a_source_larger_than_shared_memory_is_done_in_bands() {
        let sampler = Sampler { kernel: std::sync::Arc::new(stn_sampler_bilinear::Bilinear), boundary: Boundary::Zeros, align_corners: false };
        let drawn = Drawn { sampler, source: vec![170, 151], target: vec![9, 40], samples: 1, channels: 2 };
        assert_eq!(Shares::new(&drawn.call(), Some(SHARED)).parts(), 2 * 3);
        let mut draws = Draws(9);
        let [input, upstream, grid] = [2 * 170 * 151, 2 * 360, 2 * 360].map(|length| draws.numbers::<f32>(length));
        let warp = warp::Grid::<f32>::new(&grid, &drawn.target);
        let expected = [plain::input_gradient(&drawn.call(), &upstream, &warp), plain::grid_gradient(&drawn.call(), &input, &upstream, &warp)];
        Emulated::both(|card| {
            let found = gridded(card, &drawn, [&input, &upstream, &grid], [true, true]);
            close(&found[0], &expected[0], 2e-6, "to the input");
            close(&found[1], &expected[1], 2e-5, "to the grid");
            found
        });
    }

    #[test]
    fn a_kernel_without_code_for_a_card_is_an_error_that_says_what_to_do() {
        /// A kernel for the CPU alone.
        #[derive(Debug)]
        struct Plain;

        impl stn_core::SamplingKernel for Plain {
            fn support(&self) -> usize {
                1
            }

            fn weights<T: stn_core::Real>(&self, _: &[T], _: &mut [i32], _: &mut [T]) {}

            fn derivatives<T: stn_core::Real>(&self, _: &[T], _: &mut [T]) {}
        }

        Emulated::both(|card| {
            let sampler = Sampler { kernel: std::sync::Arc::new(Plain), boundary: Boundary::Zeros, align_corners: false };
            let drawn = Drawn { sampler, source: vec![2, 2], target: vec![2, 2], samples: 1, channels: 1 };
            let call = drawn.call();
            let error = OnCard::new(card, &call, Coordinates::Grid(card.given(&[0.0_f32; 8])), DType::F32).err().unwrap();
            assert!(error.to_string().contains("Plain") && error.to_string().contains("cuda_source"), "{error}");
        });
    }

    /// The gradients of a call with an explicit grid.
    fn gridded<T: Number>(card: &Emulated, drawn: &Drawn, [input, upstream, grid]: [&[T]; 3], wanted: [bool; 2]) -> [Vec<T>; 2] {
        let call = drawn.call();
        let on_card = OnCard::new(card, &call, Coordinates::Grid(card.given(grid)), T::DTYPE).unwrap();
        let [to_input, to_grid] = [input, grid].map(|numbers| card.output::<T>(numbers.len()));
        let unless = |wanted: bool, address| if wanted { address } else { Address::NONE };
        let to = Gradients { input: unless(wanted[0], to_input), warp: unless(wanted[1], to_grid), basis: Address::NONE };
        on_card.gradients(card.given(input), card.given(upstream), to).unwrap();
        [card.numbers(to_input, input.len()), card.numbers(to_grid, grid.len())]
    }

    #[test]
    fn each_gradient_to_input_and_grid_is_the_same_alone() {
        Emulated::both(|card| {
            let mut draws = Draws(3);
            for _ in 0..3 {
                let drawn = Drawn::new(&mut draws);
                let call = drawn.call();
                let input = draws.numbers::<f32>(call.samples * call.channels * call.plane_len());
                let upstream = draws.numbers::<f32>(call.samples * call.channels * call.pixels);
                let grid = draws.numbers::<f32>(call.samples * call.pixels * drawn.target.len());
                let given = [input.as_slice(), &upstream, &grid];
                let both = gridded(card, &drawn, given, [true, true]);
                let warp = warp::Grid::<f32>::new(&grid, &drawn.target);
                close(&both[0], &plain::input_gradient(&call, &upstream, &warp), 2e-6, "to the input");
                close(&both[1], &plain::grid_gradient(&call, &input, &upstream, &warp), 2e-5, "to the grid");
                assert_eq!(gridded(card, &drawn, given, [true, false])[0], both[0]);
                close(&gridded(card, &drawn, given, [false, true])[1], &both[1], 1e-6, "to the grid alone");
            }
        });
    }
}
