//! `weights.safetensors`: the trained parameters by name.

use std::path::Path;

use stn_nn::Network;

use super::files;
use super::tensors::Tensors;
use crate::Result;

/// Writes every parameter of a network, in the layout and under the names that `stn_nn` documents.
pub(crate) fn write(path: &Path, network: &Network) -> Result<()> {
    files::write_bytes(path, &Tensors { tensors: network.tensors(), ..Tensors::default() }.to_bytes()?)
}
