//! Gradients to the parameters of a network.

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};

use crate::{Error, Gradient, Parameter, Result};

/// The gradient to every parameter, in the order of [`Network::parameters`](crate::Network::parameters); none where the loss does not depend on the parameter.
#[derive(Debug, Clone, Default)]
pub struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
    /// Those of a backward pass on candle's tape.
    pub fn from_tape(tape: &GradStore, parameters: &[Parameter]) -> Self {
        Self(parameters.iter().map(|parameter| tape.get(&parameter.var).cloned()).collect())
    }

    /// Sets the gradient to a parameter, multiplied out.
    ///
    /// # Errors
    ///
    /// Where the device cannot hold it.
    pub fn set(&mut self, parameter: usize, gradient: &Gradient) -> Result<()> {
        if self.0.len() <= parameter {
            self.0.resize(parameter + 1, None);
        }
        self.0[parameter] = Some(gradient.numbers()?);
        Ok(())
    }

    /// Every gradient there is, with the number of its parameter.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Tensor)> {
        self.0.iter().enumerate().filter_map(|(i, gradient)| Some((i, gradient.as_ref()?)))
    }

    /// The gradient to a parameter.
    pub fn get(&self, parameter: usize) -> Option<&Tensor> {
        self.0.get(parameter)?.as_ref()
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
        for (_, gradient) in self.iter() {
            squares += gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        }
        let norm = squares.sqrt();
        let factor = max_norm / (norm + 1e-6);
        if factor < 1.0 && norm.is_finite() {
            for gradient in self.0.iter_mut().flatten() {
                *gradient = (&*gradient * factor)?;
            }
        }
        Ok(norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use stn_ops::LinearBlock;

    fn gradients(values: &[&[f64]]) -> Gradients {
        let mut gradients = Gradients::default();
        values.iter().enumerate().for_each(|(i, values)| gradients.set(i, &Tensor::new(*values, &Device::Cpu).unwrap().into()).unwrap());
        gradients
    }

    fn values(gradients: &Gradients, i: usize) -> Vec<f64> {
        gradients.get(i).unwrap().to_vec1().unwrap()
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
    fn a_parameter_without_a_gradient_is_left_out_and_a_product_is_multiplied_out() {
        let row = |values: [f64; 2]| Tensor::new(&[values], &Device::Cpu).unwrap();
        let product = LinearBlock { rectified: false }.weight_gradient(&row([1.0, 2.0]), &row([10.0, 100.0])).unwrap();
        let mut grads = Gradients::default();
        grads.set(2, &Gradient::Product(product)).unwrap();
        assert_eq!(grads.get(2).unwrap().to_vec2::<f64>().unwrap(), [[10.0, 20.0], [100.0, 200.0]]);
        assert_eq!(grads.iter().map(|(i, _)| i).collect::<Vec<_>>(), [2]);
        assert!(grads.get(0).is_none() && grads.get(9).is_none());
    }
}
