//! Gradients to the parameters of a network.

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};

use crate::{Error, Parameter, Result};

/// Some of the numbers of the gradient to a parameter. A large gradient comes in parts, each of which may be used up before the next is computed.
#[derive(Debug, Clone)]
pub struct GradientPart {
    /// The number in the parameter, row by row, of the first of them.
    pub first: usize,
    /// The numbers, in any shape.
    pub numbers: Tensor,
}

/// The gradient to every parameter, in the order of [`Network::parameters`](crate::Network::parameters); none where the loss does not depend on the parameter.
#[derive(Debug, Clone, Default)]
pub struct Gradients(Vec<Vec<GradientPart>>);

impl Gradients {
    /// Those of a backward pass on candle's tape.
    pub fn from_tape(tape: &GradStore, parameters: &[Parameter]) -> Self {
        let whole = |gradient: &Tensor| GradientPart { first: 0, numbers: gradient.clone() };
        Self(parameters.iter().map(|parameter| tape.get(&parameter.var).map(whole).into_iter().collect()).collect())
    }

    /// Adds a part of the gradient to a parameter, behind those that came before.
    pub fn push(&mut self, parameter: usize, part: GradientPart) {
        if self.0.len() <= parameter {
            self.0.resize(parameter + 1, Vec::new());
        }
        self.0[parameter].push(part);
    }

    /// Every part there is, with the number of its parameter.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &GradientPart)> {
        self.0.iter().enumerate().flat_map(|(i, parts)| parts.iter().map(move |part| (i, part)))
    }

    /// The gradient to a parameter, its numbers in a row.
    ///
    /// # Errors
    ///
    /// Where the parts cannot be put together.
    pub fn flat(&self, parameter: usize) -> Result<Option<Tensor>> {
        let parts = self.0.get(parameter).map(Vec::as_slice).unwrap_or_default();
        let numbers = parts.iter().map(|part| part.numbers.flatten_all()).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(if numbers.is_empty() { None } else { Some(Tensor::cat(&numbers, 0)?) })
    }

    /// Scales all gradients together so that their norm, taken over every parameter at once, is at most `max_norm`; gives the norm before.
    ///
    /// As `torch.nn.utils.clip_grad_norm_`: the factor is `max_norm / (norm + 1e-6)` where that is below 1. A norm that is not finite changes nothing and is returned:
    /// what then happens is the trainer's to say.
    ///
    /// # Errors
    ///
    /// Where `max_norm` is not above 0, or a tensor cannot be computed.
    pub fn clip(&mut self, max_norm: f64) -> Result<f64> {
        if max_norm.is_nan() || max_norm <= 0.0 {
            return Err(Error::Invalid(format!("gradients can be clipped to a norm above 0 only, not {max_norm}")));
        }
        let mut squares = 0.0;
        for (_, part) in self.iter() {
            squares += part.numbers.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        }
        let norm = squares.sqrt();
        let factor = max_norm / (norm + 1e-6);
        if factor < 1.0 && norm.is_finite() {
            for part in self.0.iter_mut().flatten() {
                part.numbers = (&part.numbers * factor)?;
            }
        }
        Ok(norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn gradients(values: &[&[f64]]) -> Gradients {
        let mut gradients = Gradients::default();
        values.iter().enumerate().for_each(|(i, values)| gradients.push(i, GradientPart { first: 0, numbers: Tensor::new(*values, &Device::Cpu).unwrap() }));
        gradients
    }

    fn values(gradients: &Gradients, i: usize) -> Vec<f64> {
        gradients.flat(i).unwrap().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_norm_is_over_all_parameters() {
        let mut grads = gradients(&[&[3.0], &[0.0, 4.0]]);
        assert!((grads.clip(1.0).unwrap() - 5.0).abs() < 1e-12);
        assert!((values(&grads, 0)[0] - 0.6).abs() < 1e-6);
        assert!((values(&grads, 1)[1] - 0.8).abs() < 1e-6);
    }

    #[test]
    fn gradients_within_the_norm_stay() {
        let mut grads = gradients(&[&[3.0, 4.0]]);
        grads.clip(6.0).unwrap();
        assert_eq!(values(&grads, 0), [3.0, 4.0]);
    }

    #[test]
    fn a_norm_that_is_not_finite_is_returned_and_changes_nothing() {
        let mut grads = gradients(&[&[f64::INFINITY, 4.0]]);
        assert!(!grads.clip(1.0).unwrap().is_finite());
        assert_eq!(values(&grads, 0)[1], 4.0);
    }

    #[test]
    fn a_norm_of_nothing_is_an_error() {
        for max_norm in [0.0, -1.0, f64::NAN] {
            assert!(gradients(&[&[3.0]]).clip(max_norm).is_err());
        }
    }

    #[test]
    fn a_parameter_without_a_gradient_is_left_out_and_parts_are_put_together() {
        let mut grads = gradients(&[&[], &[1.0, 2.0]]);
        grads.push(1, GradientPart { first: 2, numbers: Tensor::new(&[[3.0_f64]], &Device::Cpu).unwrap() });
        assert_eq!(values(&grads, 1), [1.0, 2.0, 3.0]);
        assert!(grads.flat(9).unwrap().is_none());
    }
}
