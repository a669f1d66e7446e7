//! Tensors by name as safetensors.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use candle_core::{DType, Device, Tensor, WithDType};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::{Error, Result};

/// Tensors by name, and texts by name beside them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tensors {
    pub tensors: BTreeMap<String, Tensor>,
    pub texts: BTreeMap<String, String>,
}

impl Tensors {
    /// Adds a row of numbers.
    pub fn put<T: WithDType>(&mut self, name: &str, numbers: &[T]) -> Result<()> {
        self.tensors.insert(name.to_owned(), Tensor::from_slice(numbers, numbers.len(), &Device::Cpu)?);
        Ok(())
    }

    /// A row of numbers.
    pub fn row<T: WithDType>(&self, name: &str) -> Result<Vec<T>> {
        let tensor = self.tensors.get(name).ok_or_else(|| Error::Other(format!("`{name}` is missing from what was saved")))?;
        Ok(tensor.flatten_all()?.to_vec1()?)
    }

    /// As many numbers as are expected.
    pub fn numbers<T: WithDType, const N: usize>(&self, name: &str) -> Result<[T; N]> {
        self.row(name)?.try_into().map_err(|_| Error::Other(format!("`{name}` is not {N} numbers in what was saved")))
    }

    /// What is below `prefix/`, by the rest of its name.
    pub fn below(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let inside = |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.strip_prefix('/')?.to_owned(), tensor.clone()));
        self.tensors.iter().filter_map(inside).collect()
    }

    /// Adds tensors below `prefix/`.
    pub fn put_below(&mut self, prefix: &str, tensors: BTreeMap<String, Tensor>) {
        self.tensors.extend(tensors.into_iter().map(|(name, tensor)| (format!("{prefix}/{name}"), tensor)));
    }

    /// The bytes of a safetensors file: the same tensors and texts give the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let raw = self.tensors.iter().map(|(name, tensor)| Ok((name.as_str(), tensor.dims().to_vec(), raw(tensor)?))).collect::<Result<Vec<_>>>()?;
        let views = raw.iter().map(|(name, shape, (dtype, bytes))| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)));
        let views = views.collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>().map_err(unwritable)?;
        // The crate takes a hash map, whose order would come out: texts are one text, a JSON object with sorted keys.
        let texts = (!self.texts.is_empty()).then(|| HashMap::from([(TEXTS.to_owned(), serde_json::to_string(&self.texts).unwrap_or_default())]));
        serialize(views, texts).map_err(unwritable)
    }

    /// The tensors and texts of a safetensors file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let texts = metadata.metadata().as_ref().and_then(|texts| texts.get(TEXTS)).map_or(Ok(BTreeMap::new()), |texts| serde_json::from_str(texts));
        let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?.into_iter().collect();
        Ok(Self { tensors, texts: texts.map_err(unreadable)? })
    }
}

/// The name of the texts in the file's header.
const TEXTS: &str = "texts";

fn raw(tensor: &Tensor) -> Result<(Dtype, Vec<u8>)> {
    // Hundreds of megabytes in a large network: whole numbers are copied, not bytes pushed one by one.
    fn bytes<T: WithDType, const N: usize>(tensor: &Tensor, bytes_of: impl Fn(T) -> [u8; N]) -> Result<Vec<u8>> {
        let numbers = tensor.flatten_all()?.to_vec1::<T>()?;
        let mut bytes = vec![0; numbers.len() * N];
        bytes.as_chunks_mut().0.iter_mut().zip(numbers).for_each(|(bytes, number)| *bytes = bytes_of(number));
        Ok(bytes)
    }
    Ok(match tensor.dtype() {
        DType::F64 => (Dtype::F64, bytes(tensor, f64::to_le_bytes)?),
        DType::I64 => (Dtype::I64, bytes(tensor, i64::to_le_bytes)?),
        DType::U8 => (Dtype::U8, bytes(tensor, u8::to_le_bytes)?),
        _ => (Dtype::F32, bytes(&tensor.to_dtype(DType::F32)?, f32::to_le_bytes)?),
    })
}

fn unwritable(error: impl Display) -> Error {
    Error::Other(format!("tensors cannot be put together: {error}"))
}

fn unreadable(error: impl Display) -> Error {
    Error::Other(format!("saved tensors cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_come_back_to_the_bit() {
        let mut saved = Tensors::default();
        saved.put("a", &[0.1_f64, f64::NAN, -0.0]).unwrap();
        saved.put("b", &[1_i64 << 60]).unwrap();
        saved.put("c", &[0_u8, 255]).unwrap();
        saved.put("d/e", &[1e-45_f32]).unwrap();
        saved.texts.extend([("z".to_owned(), "a \"word\"".to_owned()), ("y".to_owned(), String::new())]);
        let bytes = saved.to_bytes().unwrap();
        let read = Tensors::from_bytes(&bytes).unwrap();
        assert_eq!(read.row::<f64>("a").unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>(), [0.1_f64, f64::NAN, -0.0].map(f64::to_bits));
        assert_eq!((read.numbers("b").unwrap(), read.row("c").unwrap()), ([1_i64 << 60], vec![0_u8, 255]));
        assert_eq!(read.below("d").keys().collect::<Vec<_>>(), ["e"]);
        assert_eq!(read.texts, saved.texts);
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn what_is_missing_or_torn_is_an_error() {
        let mut saved = Tensors::default();
        saved.put("a", &[1.0_f64, 2.0]).unwrap();
        assert!(saved.row::<f64>("b").is_err() && saved.numbers::<f64, 1>("a").is_err());
        let bytes = saved.to_bytes().unwrap();
        assert!(Tensors::from_bytes(&bytes[..bytes.len() - 1]).is_err() && Tensors::from_bytes(&[]).is_err());
    }
}
