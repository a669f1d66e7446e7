//! What there is: kinds of data sets, distortions, and what can be fetched.

use std::path::PathBuf;

use stn_core::Fault;
use stn_core::parameters::ParameterDoc;

use crate::{Error, Result, distortion, kind, spec};

/// A kind of data set or a distortion, as documentation shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetDoc {
    /// The `kind` in TOML files.
    pub name: String,
    /// What it is, in a line.
    pub summary: String,
    /// Its keys.
    pub parameters: Vec<ParameterDoc>,
}

/// Every kind of data set.
pub fn catalogue() -> Vec<DatasetDoc> {
    spec::kinds()
}

/// Every distortion.
pub fn distortions() -> Vec<DatasetDoc> {
    distortion::catalogue()
}

/// Downloads a data set into the cache, checks it, and says where it is. What is there already is only checked.
///
/// # Errors
///
/// Where the name is not one that can be fetched, or no source serves it.
pub fn fetch(name: &str) -> Result<PathBuf> {
    match name {
        "mnist" => kind::mnist::fetch(),
        "svhn" => kind::svhn::fetch_numbers(),
        "svhn_digits" => kind::svhn::fetch_digits(),
        other => Err(Error::Unsupported(Fault::unknown([""; 0], "data set to fetch", other, &["mnist", "svhn", "svhn_digits"]).to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_described() {
        for doc in catalogue().into_iter().chain(distortions()) {
            assert!(!doc.summary.is_empty());
            assert!(doc.parameters.iter().all(|key| !key.description.is_empty() && !key.kind.is_empty()), "{doc:?}");
        }
    }

    #[test]
    fn only_what_can_be_fetched_is_fetched() {
        assert_eq!(fetch("minst").unwrap_err().to_string(), "unknown data set to fetch `minst`; did you mean `mnist`? (known: mnist, svhn, svhn_digits)");
    }
}
