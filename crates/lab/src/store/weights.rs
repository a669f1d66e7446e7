//! `weights.safetensors`: the trained parameters by name.

use std::path::Path;

use candle_core::DType;
use safetensors::tensor::{Dtype, TensorView, serialize};
use stn_nn::Network;

use super::files;
use crate::{Error, Result};

/// Writes every parameter of a network, in the layout and under the names that `stn_nn` documents.
pub(crate) fn write(path: &Path, network: &Network) -> Result<()> {
    let mut raw = Vec::new();
    for (name, tensor) in network.tensors() {
        let flat = tensor.flatten_all()?;
        let (dtype, bytes) = match tensor.dtype() {
            DType::F64 => (Dtype::F64, flat.to_vec1::<f64>()?.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()),
            _ => (Dtype::F32, flat.to_dtype(DType::F32)?.to_vec1::<f32>()?.iter().flat_map(|x| x.to_le_bytes()).collect()),
        };
        raw.push((name, dtype, tensor.dims().to_vec(), bytes));
    }
    let unwritable = |error: safetensors::SafeTensorError| Error::Other(format!("cannot write {}: {error}", path.display()));
    let views = raw.iter().map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(unwritable)?;
    files::write_bytes(path, &serialize(views, None).map_err(unwritable)?)
}
