//! Data sets, distortions, seeded loaders, download, checksum and cache.
//!
//! A [`DatasetSpec`] is read from the `[dataset]` table of an experiment file. [`Dataset::open`] loads it whole, checks it and says where it came from
//! ([`Provenance`]). Batches are pure functions of (seed, epoch, index): [`Dataset::batch`] makes one where it is called, [`Loader`] makes them ahead of the
//! trainer on threads of its own. The published [`distortion`]s are made on the fly, through the project's own sampler.

pub mod distortion;
pub mod whole_file;

mod cache;
mod catalogue;
mod checksum;
mod dataset;
mod decode;
mod error;
mod hub;
mod idx;
mod images;
mod kind;
mod loader;
mod permutation;
mod pictures;
mod sheet;
mod spec;
mod split;

pub use catalogue::{DatasetDoc, catalogue, distortions, fetch};
pub use dataset::{Batch, Dataset, Part, Provenance, TestBatches};
pub use distortion::DistortionSpec;
pub use error::{Error, Result};
pub use kind::cub::CubSpec;
pub use kind::folder::FolderSpec;
pub use kind::mnist::{MnistSource, MnistSpec};
pub use kind::mnist_3d::Mnist3dSpec;
pub use kind::mnist_addition::MnistAdditionSpec;
pub use kind::mnist_colocalise::MnistColocaliseSpec;
pub use kind::mnist_pieces::MnistPiecesSpec;
pub use kind::npz::NpzSpec;
pub use kind::parquet::ParquetSpec;
pub use kind::street::{StreetDigitsSpec, StreetNumbersSpec};
pub use kind::svhn::{SvhnDigitsSpec, SvhnSpec};
pub use loader::Loader;
pub use permutation::permutation;
pub use sheet::contact_sheet;
pub use spec::{DatasetSpec, Kind};
