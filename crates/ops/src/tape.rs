//! Candle's tape, entered with a gradient.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, WithDType, bail};

/// The gradients along candle's tape behind `output`, from the gradient to it, of the same shape.
///
/// They are those of `sum(output * upstream)`, without computing that.
///
/// # Errors
///
/// Where the shapes or types differ, or an operation of the tape has no backward pass.
pub fn backward_from(output: &Tensor, upstream: &Tensor) -> Result<GradStore> {
    if output.dims() != upstream.dims() || output.dtype() != upstream.dtype() {
        bail!("a gradient {:?} {:?} to an output {:?} {:?}; expected the same", upstream.dims(), upstream.dtype(), output.dims(), output.dtype());
    }
    output.apply_op1(Given { gradient: upstream.clone() })?.backward()
}

/// A number, whatever it is of, whose gradient to that is given.
struct Given {
    gradient: Tensor,
}

impl CustomOp1 for Given {
    fn name(&self) -> &'static str {
        "given gradient"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let zero = match self.gradient.dtype() {
            DType::F32 => f32::to_cpu_storage(&[0.0]),
            DType::F64 => f64::to_cpu_storage(&[0.0]),
            other => bail!("a gradient of {other:?}; expected f32 or f64"),
        };
        Ok((zero, ().into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, output: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        use candle_core::backend::BackendDevice;

        let zero = output.device.zeros_impl(&().into(), self.gradient.dtype())?;
        Ok((zero, ().into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.gradient.clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn the_gradients_are_those_of_the_weighted_sum() {
        let x = Var::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let upstream = Tensor::new(&[[0.5f32, -1.0], [2.0, 0.0]], &Device::Cpu).unwrap();
        let output = x.sqr().unwrap().t().unwrap();
        let given = backward_from(&output, &upstream).unwrap().remove(&x).unwrap();
        let summed = (&output * &upstream).unwrap().sum_all().unwrap().backward().unwrap().remove(&x).unwrap();
        assert_eq!(given.to_vec2::<f32>().unwrap(), summed.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn an_output_that_nothing_leads_to_has_no_gradients() {
        let output = Tensor::new(&[1f64, 2.0], &Device::Cpu).unwrap();
        assert!(backward_from(&output, &output).unwrap().get(&output).is_none());
    }

    #[test]
    fn a_gradient_of_another_shape_or_type_is_an_error() {
        let output = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
        for (shape, dtype) in [(2, DType::F32), (3, DType::F64)] {
            assert!(backward_from(&output, &Tensor::zeros(shape, dtype, &Device::Cpu).unwrap()).is_err());
        }
    }
}
