//! How fast batches are made: `cargo run --release -p stn-data --example throughput`.
//!
//! Images a second on one thread, and through the loader, for each distortion of the embedded sample, and for what is drawn.

use std::time::Instant;

use stn_data::{Dataset, DatasetSpec, Loader, Part};
use toml::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const BATCHES: usize = 20;
    const BATCH: usize = 256;
    let mnist = |distortion: &str| format!("kind = \"mnist\"\nsource = \"embedded\"\ndistortion = \"{distortion}\"");
    let mut sets: Vec<(&str, String)> = ["none", "R", "RTS", "P", "E", "TC"].map(|name| (name, mnist(name))).into();
    sets.push(("street digits", "kind = \"street_digits\"".into()));
    sets.extend(["64", "128"].map(|size| ("street numbers", format!("kind = \"street_numbers\"\nsize = {size}"))));
    let registry = stn_plugins::standard()?;
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    println!("distortion      image          one thread    loader with 1 / 2 threads, images a second");
    for (name, text) in sets {
        let spec = DatasetSpec::from_value(&Value::Table(text.parse()?)).map_err(|faults| format!("{faults:?}"))?;
        let dataset = Dataset::open(&spec, &registry)?;
        let indices: Vec<usize> = (0..BATCH).collect();
        let start = Instant::now();
        one.install(|| (0..BATCHES as u64).try_for_each(|epoch| dataset.batch(Part::Train, &indices, 0, epoch).map(drop)))?;
        let mut rates = vec![(BATCHES * BATCH) as f64 / start.elapsed().as_secs_f64()];
        for workers in [1, 2] {
            let start = Instant::now();
            let mut loader = Loader::new(dataset.clone(), BATCH, 0, 0, workers);
            (0..BATCHES).try_for_each(|_| loader.next().map(drop))?;
            rates.push((BATCHES * BATCH) as f64 / start.elapsed().as_secs_f64());
        }
        println!("{name:14}  {:13}  {:10.0}    {:10.0} {:10.0}", format!("{:?}", dataset.shape()), rates[0], rates[1], rates[2]);
    }
    Ok(())
}
