//! Gradient clipping.

use candle_core::DType;
use candle_core::backprop::GradStore;

use crate::{Error, Parameter, Result};

/// Scales all gradients together so that their norm, taken over every parameter at once, is at most `max_norm`; gives the norm before.
///
/// As `torch.nn.utils.clip_grad_norm_`: the factor is `max_norm / (norm + 1e-6)` where that is below 1. A norm that is not finite changes nothing and is returned:
/// what then happens is the trainer's to say.
///
/// # Errors
///
/// Where `max_norm` is not above 0, or a tensor cannot be computed.
pub fn clip_gradients(gradients: &mut GradStore, parameters: &[Parameter], max_norm: f64) -> Result<f64> {
    if max_norm.is_nan() || max_norm <= 0.0 {
        return Err(Error::Invalid(format!("gradients can be clipped to a norm above 0 only, not {max_norm}")));
    }
    let mut squares = 0.0;
    for gradient in parameters.iter().filter_map(|parameter| gradients.get(&parameter.var)) {
        squares += gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
    }
    let norm = squares.sqrt();
    let factor = max_norm / (norm + 1e-6);
    if factor < 1.0 && norm.is_finite() {
        for parameter in parameters {
            if let Some(gradient) = gradients.remove(&parameter.var) {
                gradients.insert(&parameter.var, (gradient * factor)?);
            }
        }
    }
    Ok(norm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor, Var};

    fn parameter(values: &[f64]) -> Parameter {
        let var = Var::from_tensor(&Tensor::new(values, &Device::Cpu).unwrap()).unwrap();
        Parameter { name: "fc1.weight".into(), var, lr_factor: 1.0, decay: true }
    }

    /// The gradients of half the squared norm: the parameters themselves.
    fn gradients(parameters: &[Parameter]) -> GradStore {
        let halves: Vec<Tensor> = parameters.iter().map(|p| (p.var.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap()).collect();
        Tensor::stack(&halves, 0).unwrap().sum_all().unwrap().backward().unwrap()
    }

    fn values(gradients: &GradStore, parameter: &Parameter) -> Vec<f64> {
        gradients.get(&parameter.var).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_norm_is_over_all_parameters() {
        let parameters = [parameter(&[3.0]), parameter(&[0.0, 4.0])];
        let mut grads = gradients(&parameters);
        assert!((clip_gradients(&mut grads, &parameters, 1.0).unwrap() - 5.0).abs() < 1e-12);
        assert!((values(&grads, &parameters[0])[0] - 0.6).abs() < 1e-6);
        assert!((values(&grads, &parameters[1])[1] - 0.8).abs() < 1e-6);
    }

    #[test]
    fn gradients_within_the_norm_stay() {
        let parameters = [parameter(&[3.0, 4.0])];
        let mut grads = gradients(&parameters);
        clip_gradients(&mut grads, &parameters, 6.0).unwrap();
        assert_eq!(values(&grads, &parameters[0]), [3.0, 4.0]);
    }

    #[test]
    fn a_norm_that_is_not_finite_is_returned_and_changes_nothing() {
        let parameters = [parameter(&[f64::INFINITY, 4.0])];
        let mut grads = gradients(&parameters);
        assert!(!clip_gradients(&mut grads, &parameters, 1.0).unwrap().is_finite());
        assert_eq!(values(&grads, &parameters[0])[1], 4.0);
    }

    #[test]
    fn a_norm_of_nothing_is_an_error() {
        let parameters = [parameter(&[1.0])];
        for max_norm in [0.0, -1.0, f64::NAN] {
            assert!(clip_gradients(&mut gradients(&parameters), &parameters, max_norm).is_err());
        }
    }
}
