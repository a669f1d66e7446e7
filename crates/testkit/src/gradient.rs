//! Gradients against central differences.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::mismatch::{Heading, Mismatch, Outcome};
use crate::values::{numbers, place, random};

/// The step of the central difference, relative to the larger of 1 and the value: about the cube root of f64's rounding, where both errors of it are least.
const STEP: f64 = 1e-5;

/// Checks the gradients of `f` with respect to every input against central differences, in f64.
///
/// The output is contracted with a fixed random cotangent, so one backward pass checks the whole Jacobian's transpose. Inputs are converted to f64; choose
/// values away from kinks and jumps of `f`, by more than 1e-4. Cost: two evaluations for each input element. A `tolerance` of 1e-6 fits a smooth function of
/// values near 1; it is relative to the larger of 1 and the difference quotient.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// let x = stn_testkit::uniform("x", (2, 3), 0.5, 2.0);
/// stn_testkit::gradient_check(|inputs| inputs[0].log()?.sqr(), &[x], 1e-6);
/// ```
///
/// # Panics
///
/// Where `f` fails, or a gradient is off: names the input and the element, with both values.
#[track_caller]
pub fn gradient_check(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], tolerance: f64) {
    if let Err(mismatch) = compare(f, inputs, tolerance) {
        panic!("{mismatch}");
    }
}

pub(crate) fn compare(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], tolerance: f64) -> Outcome {
    let vars = inputs.iter().map(|input| Var::from_tensor(&input.detach().to_dtype(DType::F64)?.contiguous()?)).collect::<Result<Vec<_>>>()?;
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let output = f(&tracked)?;
    let cotangent = random("cotangent of a gradient check", output.shape().clone(), -1.0, 1.0)?;
    let gradients = output.mul(&cotangent)?.sum_all()?.backward()?;
    let cotangent = numbers(&cotangent)?;
    let values = tracked.iter().map(numbers).collect::<Outcome<Vec<_>>>()?;
    for (i, var) in vars.iter().enumerate() {
        let backward = match gradients.get(var) {
            Some(gradient) => numbers(gradient)?,
            None => vec![0.0; values[i].len()],
        };
        for (j, &analytic) in backward.iter().enumerate() {
            let step = STEP * values[i][j].abs().max(1.0);
            let moved = |sign: f64| {
                let mut values = values.clone();
                values[i][j] += sign * step;
                let inputs = values.into_iter().zip(&tracked).map(|(values, like)| Tensor::from_vec(values, like.shape(), &Device::Cpu));
                numbers(&f(&inputs.collect::<Result<Vec<_>>>()?)?)
            };
            let (above, below) = (moved(1.0)?, moved(-1.0)?);
            let change: f64 = cotangent.iter().zip(above.iter().zip(&below)).map(|(c, (above, below))| c * (above - below)).sum();
            agree(analytic, change / (2.0 * step), tolerance).heading(format_args!(
                "gradient with respect to input {i} of shape {:?} at {:?}, value {}",
                var.dims(),
                place(j, var.dims()),
                values[i][j]
            ))?;
        }
    }
    Ok(())
}

fn agree(analytic: f64, numeric: f64, tolerance: f64) -> Outcome {
    // Written so that a NaN on either side disagrees.
    if (analytic - numeric).abs() <= tolerance * numeric.abs().max(1.0) {
        return Ok(());
    }
    Err(Mismatch::new(format!("the backward pass gives {analytic:e}, the central difference {numeric:e} (tolerance {tolerance:e})")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::uniform;
    use candle_core::{CpuStorage, CustomOp1, Layout, Shape};

    /// Doubles, and says that it does not.
    struct Wrong;

    impl CustomOp1 for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }

        fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
            let doubled = storage.as_slice::<f64>()?.iter().map(|x| 2.0 * x).collect();
            Ok((CpuStorage::F64(doubled), layout.shape().clone()))
        }

        fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
            Ok(Some(gradient.clone()))
        }
    }

    #[test]
    fn right_gradients_pass() {
        let inputs = [uniform("a", (2, 3), -1.0, 1.0), uniform("b", (3, 4), -1.0, 1.0)];
        gradient_check(|inputs| inputs[0].matmul(&inputs[1])?.exp(), &inputs, 1e-7);
    }

    #[test]
    fn a_wrong_gradient_is_found_and_named() {
        let input = Tensor::new(&[[0.5, 0.25]], &Device::Cpu).unwrap();
        let found = compare(|inputs| inputs[0].apply_op1(Wrong), &[input], 1e-6).unwrap_err().to_string();
        assert!(found.starts_with("gradient with respect to input 0 of shape [1, 2] at [0, 0], value 0.5: the backward pass gives"), "{found}");
    }

    #[test]
    fn a_gradient_that_is_missing_is_zero() {
        let inputs = [uniform("a", 3, -1.0, 1.0), uniform("b", 3, -1.0, 1.0)];
        assert!(compare(|inputs| inputs[0].sqr(), &inputs, 1e-6).is_ok());
        let found = compare(|inputs| inputs[0].sqr()?.add(&inputs[1].detach()), &inputs, 1e-6).unwrap_err().to_string();
        assert!(found.starts_with("gradient with respect to input 1"), "{found}");
    }

    #[test]
    fn nan_never_agrees() {
        let input = Tensor::new(&[-1.0], &Device::Cpu).unwrap();
        assert!(compare(|inputs| inputs[0].sqrt(), &[input], 1e-6).is_err());
    }
}
