//! Where fetched data is kept.

use std::path::PathBuf;

use crate::{Error, Result};

/// The folder of a data set in the cache: under `STN_CACHE` where that is set, else under the user's cache folder.
pub(crate) fn folder(name: &str) -> Result<PathBuf> {
    let root = std::env::var_os("STN_CACHE").filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = root.or_else(|| dirs::cache_dir().map(|dir| dir.join("stn")));
    let advice = "this system names no cache folder for downloads; set the environment variable STN_CACHE to one";
    Ok(root.ok_or_else(|| Error::Unsupported(advice.into()))?.join(name))
}
