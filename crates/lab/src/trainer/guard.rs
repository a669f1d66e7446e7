//! Stops a trial whose numbers have left the finite ones, with words that help to find the layer.

use candle_core::{DType, Tensor};
use stn_nn::{Network, Warp};

use crate::{Error, Result};

/// Remembers the last finite loss and theta.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    pub(super) last_loss: Option<f64>,
    /// The largest |theta| of the latest step whose thetas were all finite.
    pub(super) last_theta: Option<Largest>,
}

/// A theta of the largest magnitude, and where it was.
#[derive(Debug)]
pub(super) struct Largest {
    pub theta: f64,
    pub layer: String,
    pub step: u64,
}

impl Guard {
    /// Looks at the loss and every theta of a step (counted from 1).
    pub fn check(&mut self, step: u64, loss: f64, warps: &[Warp], network: &Network) -> Result<()> {
        self.check_thetas(step, loss, warps, network)?;
        if !loss.is_finite() {
            return Err(self.not_finite("the loss".into(), step, loss, network));
        }
        self.last_loss = Some(loss);
        Ok(())
    }

    /// Looks at every theta that a network gave after a step; a coordinate that is not finite reads as zero, so the loss alone does not tell.
    pub fn check_thetas(&mut self, step: u64, loss: f64, warps: &[Warp], network: &Network) -> Result<()> {
        let mut largest: Option<Largest> = None;
        for warp in warps {
            let theta = largest_magnitude(&warp.theta)?;
            if !theta.is_finite() {
                return Err(self.not_finite(format!("theta of {}", warp.layer), step, loss, network));
            }
            if largest.as_ref().is_none_or(|largest| theta > largest.theta) {
                largest = Some(Largest { theta, layer: warp.layer.clone(), step });
            }
        }
        self.last_theta = largest.or(self.last_theta.take());
        Ok(())
    }

    /// The error for something that is not finite.
    pub fn not_finite(&self, what: String, step: u64, loss: f64, network: &Network) -> Error {
        let theta = match &self.last_theta {
            Some(Largest { theta, layer, step }) => format!("the largest finite |theta| was {theta:.4} in layer {layer} at step {step}"),
            None => "no finite theta was seen".into(),
        };
        Error::NonFinite { what, step, loss, last_loss: self.last_loss, layer: broken_layer(network), theta }
    }
}

/// The largest |x|; NaN or infinite where some x is.
fn largest_magnitude(tensor: &Tensor) -> Result<f64> {
    let values = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    Ok(values.into_iter().fold(0.0, |largest: f64, x| if x.is_nan() || largest.is_nan() { f64::NAN } else { largest.max(x.abs()) }))
}

/// The first layer whose weights are not finite, in words.
fn broken_layer(network: &Network) -> String {
    let broken = network.parameters().iter().find(|parameter| largest_magnitude(parameter.var.as_tensor()).is_ok_and(|largest| !largest.is_finite()));
    match broken {
        Some(parameter) => format!(
            "the first layer with weights that are not finite is {}",
            parameter.name.rsplit_once('.').map_or(parameter.name.as_str(), |(layer, _)| layer)
        ),
        None => "the weights of every layer are finite".into(),
    }
}
