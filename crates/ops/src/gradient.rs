//! What the gradient to a parameter is held as.

use candle_core::{Result, Tensor};

use crate::LinearGradient;

/// The gradient to a parameter.
#[derive(Debug, Clone)]
pub enum Gradient {
    /// Its numbers, in the parameter's shape.
    Numbers(Tensor),
    /// That of a fully connected layer's weight, as the product it is: an optimiser's step along it need not write it down.
    Product(LinearGradient),
}

impl Gradient {
    /// Its numbers, in the parameter's shape.
    ///
    /// # Errors
    ///
    /// Where the device cannot hold them.
    pub fn numbers(&self) -> Result<Tensor> {
        match self {
            Self::Numbers(numbers) => Ok(numbers.clone()),
            Self::Product(product) => product.rows(0..product.size()[0]),
        }
    }

    /// How many numbers it has.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.elem_count(),
            Self::Product(product) => product.size().into_iter().product(),
        }
    }

    /// Gives `work(first, numbers)` all its numbers, from number `first` of the parameter on: a product in parts, so that a large one never stands in memory whole.
    pub(crate) fn in_parts(&self, mut work: impl FnMut(usize, &Tensor) -> Result<()>) -> Result<()> {
        /// Numbers of a part.
        const PART: usize = 1 << 21;
        match self {
            Self::Numbers(numbers) => work(0, numbers),
            Self::Product(product) => {
                let [outputs, inputs] = product.size();
                let rows = (PART / inputs.max(1)).clamp(1, outputs.max(1));
                (0..outputs).step_by(rows).try_for_each(|first| work(first * inputs, &product.rows(first..outputs.min(first + rows))?))
            }
        }
    }
}

impl From<Tensor> for Gradient {
    fn from(numbers: Tensor) -> Self {
        Self::Numbers(numbers)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::LinearBlock;

    /// Larger than one part.
    fn product(dtype: DType) -> Gradient {
        let numbers = |rows: usize, columns: usize| {
            Tensor::arange(0_u32, (rows * columns) as u32, &Device::Cpu).unwrap().reshape((rows, columns)).unwrap().to_dtype(dtype).unwrap()
        };
        Gradient::Product(LinearBlock { rectified: false }.weight_gradient(&numbers(1, 1 << 20), &numbers(1, 5)).unwrap())
    }

    #[test]
    fn the_parts_of_a_product_are_its_numbers() {
        for dtype in [DType::F32, DType::F64] {
            let gradient = product(dtype);
            let whole = gradient.numbers().unwrap();
            assert_eq!((whole.dims(), gradient.count()), ([5, 1 << 20].as_slice(), 5 << 20));
            let (mut parts, mut next) = (Vec::new(), 0);
            let mut keep = |first: usize, part: &Tensor| {
                assert_eq!(std::mem::replace(&mut next, first + part.elem_count()), first);
                parts.push(part.clone());
                Ok(())
            };
            gradient.in_parts(&mut keep).unwrap();
            assert!(parts.len() > 1);
            let difference = (Tensor::cat(&parts, 0).unwrap() - &whole).unwrap().abs().unwrap().sum_all().unwrap();
            assert_eq!(difference.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap(), 0.0);
        }
    }
}
