//! The checks find what is wrong: plugins that are right but for one defect each.

use std::sync::Arc;

use candle_core::Tensor;
use stn_core::transformation::{affine_basis, check_theta, column};
use stn_core::{Composition, Form, Real, Result, SamplingKernel, TargetGrid, Transformation};
use stn_testkit::{check_kernel, check_transformation};

/// What is wrong with [`Shift`].
#[derive(Debug, Clone, Copy, PartialEq)]
enum Defect {
    None,
    Free,
    NameMissing,
    TilesAlike,
    NotTheIdentity,
    AnyTheta,
    NoGradient,
    OtherMap,
    OtherGrid,
    BasisTooLong,
    ComposesByProduct,
}

/// A translation with a defect.
#[derive(Debug)]
struct Shift(Defect);

impl Transformation for Shift {
    fn dims(&self) -> usize {
        2
    }

    fn theta_names(&self) -> Vec<String> {
        let names = if self.0 == Defect::NameMissing { vec!["tx"] } else { vec!["tx", "ty"] };
        names.into_iter().map(String::from).collect()
    }

    fn identity(&self) -> Vec<f64> {
        if self.0 == Defect::NotTheIdentity { vec![0.1, 0.0] } else { vec![0.0, 0.0] }
    }

    fn tiles(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        let identity = self.identity();
        let apart = if self.0 == Defect::TilesAlike { 0.0 } else { 0.1 };
        Ok((0..n).map(|i| vec![identity[0] + apart * i as f64, identity[1]]).collect())
    }

    fn form(&self) -> Form {
        if self.0 == Defect::Free { Form::Free } else { Form::Linear }
    }

    fn basis(&self, points: &Tensor) -> Result<Tensor> {
        if self.0 == Defect::BasisTooLong { affine_basis(&affine_basis(points)?) } else { affine_basis(points) }
    }

    fn matrix(&self, theta: &Tensor) -> Result<Tensor> {
        match self.0 {
            Defect::AnyTheta => {}
            _ => check_theta("shift", theta, 2)?,
        }
        let theta = if self.0 == Defect::NoGradient { theta.detach() } else { theta.clone() };
        let (tx, ty) = (column(&theta, 0)?, column(&theta, 1)?);
        let (zero, one) = (tx.zeros_like()?, tx.ones_like()?);
        Ok(Tensor::cat(&[&one, &zero, &tx, &zero, &one, &ty], 1)?.reshape(((), 2, 3))?)
    }

    fn map(&self, theta: &Tensor, points: &Tensor) -> Result<Tensor> {
        let mapped = self.matrix(theta)?.broadcast_matmul(&affine_basis(points)?)?;
        Ok(if self.0 == Defect::OtherMap { mapped.broadcast_add(&theta.unsqueeze(2)?)? } else { mapped })
    }

    fn grid(&self, theta: &Tensor, target: &TargetGrid) -> Result<Tensor> {
        let points = target.points(theta.dtype(), theta.device())?.unsqueeze(0)?;
        let mut mapped = self.map(theta, &points)?;
        if self.0 == Defect::OtherGrid {
            mapped = mapped.broadcast_add(&theta.sqr()?.unsqueeze(2)?)?;
        }
        Ok(mapped.transpose(1, 2)?.contiguous()?.reshape((theta.dim(0)?, target.size()[0], target.size()[1], 2))?)
    }

    fn composition(&self) -> Option<&dyn Composition> {
        Some(self)
    }
}

impl Composition for Shift {
    fn compose(&self, outer: &Tensor, inner: &Tensor) -> Result<Tensor> {
        check_theta("shift", outer, 2)?;
        check_theta("shift", inner, 2)?;
        Ok(if self.0 == Defect::ComposesByProduct { outer.mul(inner)? } else { outer.add(inner)? })
    }
}

#[test]
fn a_right_transformation_passes_structured_and_free() {
    check_transformation(&Shift(Defect::None));
    check_transformation(&Shift(Defect::Free));
}

/// What [`check_transformation`] says.
fn complaint(defect: Defect) -> String {
    message(move || check_transformation(&Shift(defect)))
}

fn message(check: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(check).expect_err("the check passes");
    panic.downcast::<String>().map_or_else(|_| "not a message".into(), |message| *message)
}

#[test]
fn every_defect_of_a_transformation_is_named() {
    for (defect, expected) in [
        (Defect::NameMissing, "Shift(NameMissing): theta_names() has 1 names, theta_len() is 2"),
        (Defect::TilesAlike, "Shift(TilesAlike): tiles(2)[1] and tiles(2)[0] are the same: [0.0, 0.0]"),
        (Defect::NotTheIdentity, "Shift(NotTheIdentity): the identity's grid over"),
        (Defect::AnyTheta, "Shift(AnyTheta): matrix() accepts a theta of [2, 3]; it must be an error"),
        (Defect::NoGradient, "Shift(NoGradient): the grid's gradient, theta being input 0: gradient with respect to input 0 of shape [2, 2] at [0, 0]"),
        (Defect::OtherMap, "Shift(OtherMap): map() against matrix() times basis(): "),
        (Defect::OtherGrid, "Shift(OtherGrid): sampled over "),
        (Defect::BasisTooLong, "Shift(BasisTooLong): with N = 3, R = 2, P = 6, matrix() is [3, 2, 3], not N x R x K, or basis() [3, 4, 6], not N x K x P"),
        (Defect::ComposesByProduct, "Shift(ComposesByProduct): the map of compose(outer, inner) against outer after inner: "),
    ] {
        let found = complaint(defect);
        assert!(found.starts_with(expected), "{found}");
    }
}

/// What is wrong with [`Spline`].
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Sum,
    Derivative,
    Layout,
    Place,
    Unset,
    NotLinear,
}

/// The quadratic B-spline on three taps with a fault.
#[derive(Debug)]
struct Spline(Fault);

impl SamplingKernel for Spline {
    fn support(&self) -> usize {
        3
    }

    fn is_linear(&self) -> bool {
        self.0 == Fault::NotLinear
    }

    fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]) {
        let (n, half) = (x.len(), T::of(0.5));
        for (i, &x) in x.iter().enumerate() {
            let nearest = (x + half).floor();
            first[i] = nearest.to_i32().unwrap_or(0) - if self.0 == Fault::Place { 3 } else { 1 };
            let offset = x - nearest;
            let (left, right) = ((half - offset).powi(2) * half, (half + offset).powi(2) * half);
            let middle = if self.0 == Fault::Sum { T::one() } else { T::one() - left - right };
            let tap = |t: usize| if self.0 == Fault::Layout { 3 * i + t } else { t * n + i };
            (weights[tap(0)], weights[tap(1)]) = (left, middle);
            if self.0 != Fault::Unset {
                weights[tap(2)] = right;
            }
        }
    }

    fn derivatives<T: Real>(&self, x: &[T], derivatives: &mut [T]) {
        let (n, half) = (x.len(), T::of(0.5));
        let sign = if self.0 == Fault::Derivative { -T::one() } else { T::one() };
        for (i, &x) in x.iter().enumerate() {
            let offset = x - (x + half).floor();
            derivatives[i] = sign * (offset - half);
            derivatives[n + i] = -sign * (offset + offset);
            derivatives[2 * n + i] = sign * (offset + half);
        }
    }
}

#[test]
fn a_right_kernel_passes() {
    check_kernel(Arc::new(Spline(Fault::None)));
}

#[test]
fn every_fault_of_a_kernel_is_named() {
    for (fault, expected) in [
        (Fault::Sum, "Spline(Sum): weights at x = -5.9375 sum to "),
        (Fault::Derivative, "Spline(Derivative): derivatives against central differences at x = -5.9375: "),
        (Fault::Layout, "Spline(Layout): weights at x = "),
        (Fault::Place, "Spline(Place): taps at x = -5.9375: pixels -9 to -7 do not stand around it"),
        (Fault::Unset, "Spline(Unset): weights at x = -5.9375 sum to NaN"),
        (Fault::NotLinear, "Spline(NotLinear): weights at x = -5.9375: a kernel that says it is linear takes other taps"),
    ] {
        let found = message(move || check_kernel(Arc::new(Spline(fault))));
        assert!(found.starts_with(expected), "{found}");
    }
}
