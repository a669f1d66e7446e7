//! Numbers that lie in turns, each kind by itself.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType, bail};

use crate::cpu::{by_number, expect_numbers, numbers};

/// `N x (K kinds)` to `N x kinds x K`: of numbers that lie in turns, such as the x and y of points, those of each kind behind each other.
///
/// The same as `x.reshape((n, k, kinds))?.transpose(1, 2)?.contiguous()?`, in one operation.
///
/// # Errors
///
/// Where `x` is no matrix of f32 or f64, or `kinds` does not divide its columns.
pub fn deinterleave(x: &Tensor, kinds: usize) -> Result<Tensor> {
    expect_numbers("deinterleave", &[("x", x)])?;
    match x.dims() {
        [_, columns] if kinds > 0 && columns % kinds == 0 => {}
        other => bail!("deinterleave: {other:?} does not hold {kinds} kinds of numbers in turns"),
    }
    if !x.device().is_cpu() {
        return x.reshape((x.dim(0)?, x.dim(1)? / kinds, kinds))?.transpose(1, 2)?.contiguous();
    }
    x.contiguous()?.apply_op1(Deinterleave { kinds })
}

struct Deinterleave {
    kinds: usize,
}

/// The way back: `N x kinds x K` to `N x (K kinds)`.
struct Interleave;

impl CustomOp1 for Deinterleave {
    fn name(&self) -> &'static str {
        "deinterleave"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (samples, columns) = layout.shape().dims2()?;
        let length = columns / self.kinds;
        by_number!(self.name(), storage, T => {
            let from = numbers::<T>(storage, layout)?;
            let mut to = Vec::with_capacity(from.len());
            for sample in from.chunks_exact(columns.max(1)) {
                match self.kinds {
                    // Most often so: pairs, which the compiler takes several at a time.
                    2 => (0..2).for_each(|kind| to.extend(sample.as_chunks::<2>().0.iter().map(|pair| pair[kind]))),
                    kinds => (0..kinds).for_each(|kind| to.extend(sample[kind..].iter().step_by(kinds))),
                }
            }
            Ok((T::to_cpu_storage_owned(to), (samples, self.kinds, length).into()))
        })
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(upstream.contiguous()?.apply_op1_no_bwd(&Interleave)?))
    }
}

impl CustomOp1 for Interleave {
    fn name(&self) -> &'static str {
        "interleave"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (samples, kinds, length) = layout.shape().dims3()?;
        by_number!(self.name(), storage, T => {
            let from = numbers::<T>(storage, layout)?;
            let mut to = from.to_vec();
            for (to, from) in to.chunks_exact_mut((kinds * length).max(1)).zip(from.chunks_exact((kinds * length).max(1))) {
                match kinds {
                    2 => {
                        let (xs, ys) = from.split_at(length);
                        to.as_chunks_mut().0.iter_mut().zip(xs.iter().zip(ys)).for_each(|(pair, (&x, &y))| *pair = [x, y]);
                    }
                    _ => to.iter_mut().enumerate().for_each(|(i, number)| *number = from[i % kinds * length + i / kinds]),
                }
            }
            Ok((T::to_cpu_storage_owned(to), (samples, kinds * length).into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    #[test]
    fn it_is_a_transposition_and_so_is_its_gradient() {
        let x = Var::from_tensor(&Tensor::arange(0f64, 24.0, &Device::Cpu).unwrap().reshape((2, 12)).unwrap()).unwrap();
        for kinds in [1, 2, 3, 12] {
            let plain = x.reshape((2, 12 / kinds, kinds)).unwrap().transpose(1, 2).unwrap().contiguous().unwrap();
            let ours = deinterleave(&x, kinds).unwrap();
            assert_eq!(ours.to_vec3::<f64>().unwrap(), plain.to_vec3::<f64>().unwrap());
            let gradient = |output: &Tensor| (output.sqr().unwrap().backward().unwrap().remove(&x).unwrap()).to_vec2::<f64>().unwrap();
            assert_eq!(gradient(&ours), gradient(&plain));
        }
    }

    #[test]
    fn none_is_none() {
        for shape in [(0, 4), (3, 0)] {
            let x = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            assert_eq!(deinterleave(&x, 2).unwrap().dims(), [shape.0, 2, shape.1 / 2]);
        }
    }

    #[test]
    fn columns_that_do_not_hold_whole_turns_are_an_error() {
        let x = Tensor::zeros((2, 5), DType::F32, &Device::Cpu).unwrap();
        assert!(deinterleave(&x, 2).unwrap_err().to_string().contains("2 kinds"));
        assert!(deinterleave(&x, 0).is_err());
    }
}
