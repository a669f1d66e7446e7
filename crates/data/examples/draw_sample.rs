//! Draws the embedded sample from the published files: `cargo run --release -p stn-data --example draw_sample -- FOLDER_OF_MNIST OUT`.
//!
//! 8,000 training and 2,000 test images: the first so many of a keyed permutation of each official split, kept in the split's own order. Class shares follow the
//! official ones by chance. Same input, same output.

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        return Err("usage: draw_sample FOLDER_OF_MNIST OUT".into());
    };
    for (part, count) in [("train", 8000), ("t10k", 2000)] {
        let labels = read(Path::new(from), &format!("{part}-labels-idx1-ubyte"))?;
        let images = read(Path::new(from), &format!("{part}-images-idx3-ubyte"))?;
        let mut chosen: Vec<usize> = stn_data::permutation(labels.len() - 8, 0, part, 0).into_iter().take(count).map(|i| i as usize).collect();
        chosen.sort_unstable();
        write(Path::new(to), &format!("{part}-labels-idx1-ubyte"), &select(&labels, 8, 1, &chosen))?;
        write(Path::new(to), &format!("{part}-images-idx3-ubyte"), &select(&images, 16, 784, &chosen))?;
    }
    Ok(())
}

/// The header with the new count, then the chosen records.
fn select(bytes: &[u8], header: usize, record: usize, chosen: &[usize]) -> Vec<u8> {
    let mut out = bytes[..header].to_vec();
    out[4..8].copy_from_slice(&(chosen.len() as u32).to_be_bytes());
    for i in chosen {
        out.extend(&bytes[header + i * record..header + (i + 1) * record]);
    }
    out
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    match std::fs::File::open(folder.join(format!("{name}.gz"))) {
        Ok(file) => GzDecoder::new(file).read_to_end(&mut bytes)?,
        Err(_) => std::fs::File::open(folder.join(name))?.read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let file = std::fs::File::create(folder.join(format!("{name}.gz")))?;
    // No time stamp: the same bytes every time.
    let mut encoder = GzBuilder::new().mtime(0).write(file, Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()?.sync_all()?;
    Ok(())
}
