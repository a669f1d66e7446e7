//! Networks for the tests, from TOML text.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use stn_core::{Fault, stream};
use stn_nn::{Network, NetworkSpec, Plan};
use toml::Value;

/// The text of a model's table as a spec.
pub fn spec(text: &str) -> Result<NetworkSpec, Vec<Fault>> {
    NetworkSpec::from_value(&Value::Table(text.parse().expect("the test's TOML is valid")))
}

pub fn plan(text: &str, input: &[usize], classes: usize) -> Result<Plan, Vec<Fault>> {
    Plan::new(&spec(text)?, input, classes, &stn_plugins::standard().expect("the standard registry stands"))
}

pub fn network(text: &str, input: &[usize], classes: usize, seed: u64, dtype: DType) -> Network {
    let plan = plan(text, input, classes).unwrap_or_else(|faults| panic!("{}", listed(&faults).join("\n")));
    Network::new(&plan, seed, dtype, &Device::Cpu).unwrap()
}

/// Every fault as a line.
pub fn listed(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// Uniform numbers from 0 to 1.
pub fn images(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    let mut rng = stream::stream(seed, "test images", 0);
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|_| rng.random::<f64>()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// A file beside generate.py.
pub fn vectors(name: &str) -> BTreeMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    Tensor::read_npz(path).unwrap().into_iter().collect()
}

/// Those whose name begins with `prefix`, without it.
pub fn below(tensors: &BTreeMap<String, Tensor>, prefix: &str) -> BTreeMap<String, Tensor> {
    tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))).collect()
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The greatest difference of two tensors of one shape.
pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}
