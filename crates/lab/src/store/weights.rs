//! `weights.safetensors`: the trained parameters by name, and files of the same kind that a network starts from.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use stn_nn::{Network, WeightsSpec};

use super::files;
use super::tensors::Tensors;
use crate::{Error, Result};

/// Writes every parameter and running moment of a network, in the layout and under the names that `stn_nn` documents.
pub(crate) fn write(path: &Path, network: &Network) -> Result<()> {
    files::write_bytes(path, &Tensors { tensors: network.tensors(), ..Tensors::default() }.to_bytes()?)
}

/// The hash of a file's content, and the shape of every tensor in it.
pub(crate) type Found = (String, BTreeMap<String, Vec<usize>>);

/// Looks at a file of weights, or says in words why it cannot be read.
pub(crate) fn look(path: &Path) -> std::result::Result<Found, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| format!("{} is no file of safetensors: {error}", path.display()))?;
    let shapes = tensors.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    Ok((hash(&bytes), shapes))
}

/// Has a network take the weights that it starts from.
pub(crate) fn start(network: &Network, spec: &WeightsSpec) -> Result<()> {
    let bytes = std::fs::read(&spec.file).map_err(Error::file("read", &spec.file))?;
    if spec.hash().is_some_and(|expected| expected != hash(&bytes)) {
        return Err(Error::Other(format!("{} has changed since this run was planned: start the command again", spec.file.display())));
    }
    Ok(network.start_from(spec, &Tensors::from_bytes(&bytes)?.tensors)?)
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
