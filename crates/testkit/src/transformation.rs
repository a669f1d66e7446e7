//! What every transformation must hold to.

use std::collections::BTreeSet;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use stn_core::{Boundary, Error, Form, Real, SamplingKernel, TargetGrid, Transformation};
use stn_ops::{Sampler, sample_grid, sample_structured};

use crate::mismatch::{Heading, Mismatch, Outcome, expect};
use crate::values::{close, random};
use crate::{determinism, gradient};

/// How near two ways to the same coordinate must come in f64.
const TOLERANCE: f64 = 1e-9;

/// The numbers of parallel transformers for which tiles are asked.
const MOST_TILES: usize = 9;

/// Checks everything a [`Transformation`] promises: [`check_parameters`], [`check_identity`], [`check_map`], [`check_composition`] and [`check_sampling`].
///
/// # Panics
///
/// At the first promise that does not hold, saying which.
#[track_caller]
pub fn check_transformation(transformation: &dyn Transformation) {
    report(transformation, &[parameters, identity, map, composition, sampling]);
}

/// Checks theta: as many names as parameters, each different; `n` distinct tiles for n parallel transformers, the identity for one; a theta of a wrong shape is
/// an error.
///
/// A transformation that cannot look at a part of the source may refuse tiles with [`Error::Unsupported`].
///
/// # Panics
///
/// Where one does not hold.
#[track_caller]
pub fn check_parameters(transformation: &dyn Transformation) {
    report(transformation, &[parameters]);
}

/// Checks that the identity maps every target pixel onto itself, for both values of `align_corners`.
///
/// # Panics
///
/// Where it does not.
#[track_caller]
pub fn check_identity(transformation: &dyn Transformation) {
    report(transformation, &[identity]);
}

/// Checks the map near the identity, in f64: `map` is `M_theta B` of the shapes that the form asks for; one set of points serves every theta; the grid is the
/// map at the target pixels, in f32 too; gradients with respect to theta and the points agree with central differences.
///
/// # Panics
///
/// Where one does not hold.
#[track_caller]
pub fn check_map(transformation: &dyn Transformation) {
    report(transformation, &[map]);
}

/// Checks the composition of a transformation that has one, in f64: composing is the same as applying one map after the other, on points; the identity changes nothing on
/// either side; three compose to the same, whichever two come first; a theta of a wrong shape is an error; gradients agree with central differences.
///
/// # Panics
///
/// Where one does not hold.
#[track_caller]
pub fn check_composition(transformation: &dyn Transformation) {
    report(transformation, &[composition]);
}

/// Checks that the fused sampler and the explicit grid read the same values and pass the same gradients to theta, at every boundary and both values of
/// `align_corners`, with the same bits at any number of threads. A [free](Form::Free) transformation has the grid only.
///
/// # Panics
///
/// Where one does not hold.
#[track_caller]
pub fn check_sampling(transformation: &dyn Transformation) {
    report(transformation, &[sampling]);
}

/// One promise of a transformation, checked.
type Check = fn(&dyn Transformation) -> Outcome;

#[track_caller]
fn report(transformation: &dyn Transformation, checks: &[Check]) {
    for check in checks {
        if let Err(mismatch) = check(transformation) {
            panic!("{transformation:?}: {mismatch}");
        }
    }
}

fn parameters(transformation: &dyn Transformation) -> Outcome {
    let (names, identity) = (transformation.theta_names(), transformation.identity());
    let length = transformation.theta_len();
    expect(names.len() == length, || format!("theta_names() has {} names, theta_len() is {length}", names.len()))?;
    expect(identity.len() == length, || format!("identity() has {} numbers, theta_len() is {length}", identity.len()))?;
    expect(names.iter().collect::<BTreeSet<_>>().len() == length, || format!("theta_names() holds a name twice: {names:?}"))?;
    for n in 0..=MOST_TILES {
        match transformation.tiles(n) {
            Ok(tiles) => check_tiles(&tiles, n, &identity)?,
            Err(Error::Unsupported(_)) if n != 1 => {}
            Err(error) => return Err(Mismatch::from(error).below(format_args!("tiles({n})"))),
        }
    }
    let dims = transformation.dims();
    let points = random("points", (1, dims, 2).into(), -1.0, 1.0)?;
    for shape in [vec![2, length + 1], vec![2, length.saturating_sub(1)], vec![length], vec![1, length, 1]] {
        let theta = Tensor::zeros(shape.as_slice(), DType::F64, &Device::Cpu)?;
        let accepted = [("matrix", transformation.matrix(&theta).is_ok()), ("map", transformation.map(&theta, &points).is_ok())];
        for (function, accepted) in accepted {
            expect(!accepted, || format!("{function}() accepts a theta of {shape:?}; it must be an error, as theta is N x {length} (see check_theta)"))?;
        }
    }
    Ok(())
}

fn check_tiles(tiles: &[Vec<f64>], n: usize, identity: &[f64]) -> Outcome {
    expect(tiles.len() == n, || format!("tiles({n}) gives {} thetas", tiles.len()))?;
    for (i, tile) in tiles.iter().enumerate() {
        expect(tile.len() == identity.len(), || format!("tiles({n})[{i}] has {} numbers, theta has {}", tile.len(), identity.len()))?;
        expect(tile.iter().all(|value| value.is_finite()), || format!("tiles({n})[{i}] is not finite: {tile:?}"))?;
        let same = tiles[..i].iter().position(|other| other == tile);
        expect(same.is_none(), || format!("tiles({n})[{i}] and tiles({n})[{}] are the same: {tile:?}", same.unwrap_or_default()))?;
    }
    expect(n != 1 || tiles[0] == identity, || format!("tiles(1) is {tiles:?}; one transformer starts from the identity, {identity:?}"))
}

fn identity(transformation: &dyn Transformation) -> Outcome {
    let theta = Tensor::new(transformation.identity(), &Device::Cpu)?.unsqueeze(0)?;
    for target in targets(transformation.dims())? {
        let grid = transformation.grid(&theta, &target)?;
        close(&grid, &pixels(&target, DType::F64)?, TOLERANCE).heading(format_args!("the identity's grid over {target:?}"))?;
    }
    Ok(())
}

fn map(transformation: &dyn Transformation) -> Outcome {
    let dims = transformation.dims();
    let theta = near_identity(transformation)?;
    if transformation.form() != Form::Free {
        structure(transformation, &theta)?;
    }
    for target in targets(dims)? {
        let grid = transformation.grid(&theta, &target)?;
        let mut shape = vec![theta.dim(0)?];
        shape.extend_from_slice(target.size());
        shape.push(dims);
        expect(grid.dims() == shape, || format!("the grid over {target:?} is {:?}, not {shape:?}", grid.dims()))?;
        let single = transformation.grid(&theta.to_dtype(DType::F32)?, &target)?;
        expect(single.dtype() == DType::F32, || format!("the grid of an f32 theta is {:?}", single.dtype()))?;
        close(&single, &grid, 1e-5).heading("the grid in f32 against f64")?;
        let strided = theta.t()?.contiguous()?.t()?;
        close(&transformation.grid(&strided, &target)?, &grid, 0.0).heading("the grid of a theta that is not contiguous")?;
        gradient::compare(|inputs| Ok(transformation.grid(&inputs[0], &target)?), &[theta.narrow(0, 0, 2)?], 1e-6)
            .heading("the grid's gradient, theta being input 0")?;
    }
    points(transformation, &theta)
}

/// The map at points of one's own, where there is one: a free transformation may provide the grid alone.
fn points(transformation: &dyn Transformation, theta: &Tensor) -> Outcome {
    let (samples, dims) = (theta.dim(0)?, transformation.dims());
    let points = random("points to map", (samples, dims, 5).into(), -1.0, 1.0)?;
    let mapped = match transformation.map(theta, &points) {
        Err(Error::Unsupported(_)) if transformation.form() == Form::Free => return Ok(()),
        mapped => mapped?,
    };
    expect(mapped.dims() == [samples, dims, 5], || format!("map() of points {:?} is {:?}", points.dims(), mapped.dims()))?;
    let shared = points.narrow(0, 0, 1)?;
    let repeated = shared.broadcast_as(points.shape())?.contiguous()?;
    let served = transformation.map(theta, &shared)?;
    close(&served, &transformation.map(theta, &repeated)?, TOLERANCE).heading("map() of one set of points for every theta")?;
    let inputs = [theta.narrow(0, 0, 2)?, points.narrow(0, 0, 2)?];
    gradient::compare(|inputs| Ok(transformation.map(&inputs[0], &inputs[1])?), &inputs, 1e-6)
        .heading("map()'s gradient, theta being input 0 and the points input 1")
}

/// `map` against M, B and the division, written out.
fn structure(transformation: &dyn Transformation, theta: &Tensor) -> Outcome {
    let (samples, dims) = (theta.dim(0)?, transformation.dims());
    let rows = if transformation.form() == Form::Homogeneous { dims + 1 } else { dims };
    let points = random("points of a structure", (samples, dims, 6).into(), -1.0, 1.0)?;
    let (matrix, basis) = (transformation.matrix(theta)?, transformation.basis(&points)?);
    let (found_m, found_b) = (matrix.dims().to_vec(), basis.dims().to_vec());
    let fits = matches!((found_m.as_slice(), found_b.as_slice()), ([n, r, k], [m, l, p]) if (*n, *r, *m, *p) == (samples, rows, samples, 6) && k == l);
    expect(fits, || format!("with N = {samples}, R = {rows}, P = 6, matrix() is {found_m:?}, not N x R x K, or basis() {found_b:?}, not N x K x P"))?;
    let product = matrix.contiguous()?.matmul(&basis.contiguous()?)?;
    let coordinates = product.narrow(1, 0, dims)?;
    let coordinates = if rows > dims { coordinates.broadcast_div(&product.narrow(1, dims, 1)?)? } else { coordinates };
    close(&transformation.map(theta, &points)?, &coordinates, TOLERANCE).heading("map() against matrix() times basis()")
}

fn composition(transformation: &dyn Transformation) -> Outcome {
    let Some(composition) = transformation.composition() else { return Ok(()) };
    let thetas = near_identity(transformation)?;
    let (samples, length) = thetas.dims2()?;
    let [a, b, c] = [0, 1, 2].map(|first| Tensor::cat(&[&thetas.narrow(0, first, samples - first)?, &thetas.narrow(0, 0, first)?], 0));
    let (a, b, c) = (a?, b?, c?);
    let points = random("points to map twice", (samples, transformation.dims(), 6).into(), -1.0, 1.0)?;
    let mapped = |theta: &Tensor| transformation.map(theta, &points);
    let both = composition.compose(&a, &b)?;
    expect(both.dims() == a.dims(), || format!("compose() of thetas {:?} is {:?}", a.dims(), both.dims()))?;
    let in_turn = transformation.map(&a, &mapped(&b)?)?;
    close(&mapped(&both)?, &in_turn, TOLERANCE).heading("the map of compose(outer, inner) against outer after inner")?;
    let single = composition.compose(&a.to_dtype(DType::F32)?, &b.to_dtype(DType::F32)?)?;
    expect(single.dtype() == DType::F32, || format!("compose() of f32 thetas is {:?}", single.dtype()))?;
    let identity = Tensor::new(transformation.identity(), &Device::Cpu)?.unsqueeze(0)?.broadcast_as(a.shape())?.contiguous()?;
    for (side, composed) in [("outer", composition.compose(&identity, &a)?), ("inner", composition.compose(&a, &identity)?)] {
        close(&mapped(&composed)?, &mapped(&a)?, TOLERANCE).heading(format_args!("compose() with the identity as {side}"))?;
    }
    let (left, right) = (composition.compose(&both, &c)?, composition.compose(&a, &composition.compose(&b, &c)?)?);
    close(&mapped(&left)?, &mapped(&right)?, TOLERANCE).heading("compose(compose(a, b), c) against compose(a, compose(b, c))")?;
    let wrong = Tensor::zeros((samples, length + 1), DType::F64, &Device::Cpu)?;
    for (outer, inner) in [(&wrong, &a), (&a, &wrong)] {
        let accepted = composition.compose(outer, inner).is_ok();
        expect(!accepted, || format!("compose() accepts thetas of {:?} and {:?}; theta is N x {length}", outer.dims(), inner.dims()))?;
    }
    gradient::compare(|inputs| Ok(composition.compose(&inputs[0], &inputs[1])?), &[a, b], 1e-6)
        .heading("compose()'s gradient, outer being input 0 and inner input 1")
}

fn sampling(transformation: &dyn Transformation) -> Outcome {
    if transformation.form() == Form::Free {
        return Ok(());
    }
    let dims = transformation.dims();
    let theta = near_identity(transformation)?;
    let size = &[4, 5, 6][3 - dims..];
    let input = random("source", [&[theta.dim(0)?, 2], size].concat().into(), -1.0, 1.0)?;
    for target in targets(dims)? {
        let points = target.points(DType::F64, &Device::Cpu)?.unsqueeze(0)?;
        let basis = transformation.basis(&points)?.squeeze(0)?;
        let sampled = |theta: &Tensor, sampler: &Sampler, fused: bool| -> candle_core::Result<Tensor> {
            if fused {
                return sample_structured(&input, &transformation.matrix(theta)?, &basis, &target, sampler);
            }
            sample_grid(&input, &transformation.grid(theta, &target)?, sampler)
        };
        for boundary in Boundary::ALL {
            let sampler = Sampler { kernel: Arc::new(Tent), boundary, align_corners: target.align_corners() };
            let place = format!("sampled over {target:?} with boundary {}", boundary.name());
            let values_and_gradient = |fused: bool| {
                let theta = Var::from_tensor(&theta)?;
                let values = sampled(theta.as_tensor(), &sampler, fused)?;
                let gradients = values.sqr()?.sum_all()?.backward()?;
                Ok(vec![values, gradients.get(&theta).map_or_else(|| theta.zeros_like(), |gradient| Ok(gradient.clone()))?])
            };
            let (fused, explicit): (Vec<Tensor>, Vec<Tensor>) = (values_and_gradient(true)?, values_and_gradient(false)?);
            close(&fused[0], &explicit[0], TOLERANCE).heading(format_args!("{place}: M B against the explicit grid"))?;
            close(&fused[1], &explicit[1], 1e-7).heading(format_args!("{place}: the gradient of theta through M B against the explicit grid"))?;
            determinism::compare(|| values_and_gradient(true)).heading(place)?;
        }
    }
    Ok(())
}

/// Target grids of odd shape, with both values of `align_corners`.
fn targets(dims: usize) -> Outcome<Vec<TargetGrid>> {
    let sizes = if dims == 2 { vec![vec![3, 4], vec![1, 5]] } else { vec![vec![2, 3, 4], vec![1, 2, 1]] };
    let both = |size: Vec<usize>| [TargetGrid::new(size.clone(), false), TargetGrid::new(size, true)];
    Ok(sizes.into_iter().flat_map(both).collect::<stn_core::Result<_>>()?)
}

/// The target's own pixels as a grid of one sample.
fn pixels(target: &TargetGrid, dtype: DType) -> Outcome<Tensor> {
    let shape = [&[1], target.size(), &[target.dims()]].concat();
    Ok(target.points(dtype, &Device::Cpu)?.t()?.contiguous()?.reshape(shape)?)
}

/// Three thetas near the identity.
fn near_identity(transformation: &dyn Transformation) -> Outcome<Tensor> {
    let identity = Tensor::new(transformation.identity(), &Device::Cpu)?.unsqueeze(0)?;
    let noise = random("theta near the identity", (3, transformation.theta_len()).into(), -0.1, 0.1)?;
    Ok(noise.broadcast_add(&identity)?)
}

/// The linear kernel, so that a transformation is sampled without any plugin.
#[derive(Debug)]
struct Tent;

impl SamplingKernel for Tent {
    fn support(&self) -> usize {
        2
    }

    fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]) {
        let (near, far) = weights.split_at_mut(x.len());
        for (i, &x) in x.iter().enumerate() {
            let floor = x.floor();
            first[i] = floor.to_i32().unwrap_or(0);
            (near[i], far[i]) = (T::one() - (x - floor), x - floor);
        }
    }

    fn derivatives<T: Real>(&self, x: &[T], derivatives: &mut [T]) {
        derivatives[..x.len()].fill(-T::one());
        derivatives[x.len()..].fill(T::one());
    }
}
