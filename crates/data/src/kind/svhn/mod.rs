//! House numbers from street views: SVHN, from its files to memory.
//!
//! Netzer, Wang, Coates, Bissacco, Wu, Ng, *Reading Digits in Natural Images with Unsupervised Feature Learning*, NIPS Workshop on Deep Learning and
//! Unsupervised Feature Learning, 2011. It comes as photographs with a box around each digit ([`archive`], or [`table::full_numbers`] from the Hugging Face hub)
//! and as single digits of 32 x 32 pixels ([`mat5`], or [`table::cropped_digits`]).

mod archive;
mod crop;
mod crop_file;
mod digit_struct;
mod digits;
mod element;
mod form;
mod house_numbers;
mod mat5;
mod number;
mod numbers;
mod table;

pub use digits::SvhnDigitsSpec;
pub use house_numbers::SvhnSpec;

pub(crate) use crop::{Crop, Window, resize};
pub(crate) use digits::fetch as fetch_digits;
pub(crate) use house_numbers::{class_names, fetch as fetch_numbers};
pub(crate) use mat5::read as read_digits;
pub(crate) use number::{Bounds, Digit, MOST_DIGITS, Sequence};
use numbers::Numbers;

/// What is said of the data set's licence wherever its source is named.
pub(crate) const LICENCE: &str = "non-commercial use only (Stanford, http://ufldl.stanford.edu/housenumbers)";

#[cfg(test)]
mod samples;
