//! MNIST from the Hugging Face hub.

use std::path::PathBuf;
use std::time::Duration;

use hf_hub::HFClientSync;

use super::files::Files;
use crate::error::chain;
use crate::hub::{self, Hub};
use crate::idx;
use crate::kind::parquet::{self, Labels};

const OWNER: &str = "ylecun";
const NAME: &str = "mnist";
const REVISION: &str = "refs/convert/parquet";
/// The training and the test part.
const PARTS: [&str; 2] = ["mnist/train/0000.parquet", "mnist/test/0000.parquet"];

/// How long 18 MB may take.
const DOWNLOAD: Duration = Duration::from_secs(600);

/// Fetches MNIST's Parquet files and returns them as idx files, unchecked.
pub(crate) fn fetch() -> Result<Files, String> {
    files(&Hub::connect(&hub::endpoint())?.ask(DOWNLOAD, download)?)
}

fn download(client: &HFClientSync) -> Result<Vec<PathBuf>, String> {
    // Downloads whatever is not in the hub's cache yet, and opens every file as Parquet.
    candle_datasets::hub::from_hub(client, format!("{OWNER}/{NAME}")).map_err(|e| chain(&e))?;
    let repository = client.dataset(OWNER, NAME);
    let cached = |part: &&str| repository.download_file().filename(*part).revision(REVISION).local_files_only(true).send();
    PARTS.iter().map(|part| cached(part).map_err(|e| format!("{part}: {}", chain(&e)))).collect()
}

/// The Parquet files as idx files: the training part, then the test part.
fn files(paths: &[PathBuf]) -> Result<Files, String> {
    let mut contents = Vec::new();
    for path in paths {
        let table = parquet::read(std::slice::from_ref(path), "image", "label").map_err(|e| e.to_string())?;
        let ([1, height, width], Labels::Numbers(labels)) = (table.shape, &table.labels) else {
            return Err(format!("{}: expected grey images and numbers as labels", path.display()));
        };
        let labels: Vec<u8> = labels.iter().map(|&label| u8::try_from(label).unwrap_or(u8::MAX)).collect();
        contents.push(idx::encode_images([labels.len() as u32, height as u32, width as u32], &table.pixels));
        contents.push(idx::encode_labels(&labels));
    }
    let contents = contents.try_into().map_err(|_| "expected a training and a test file".to_owned())?;
    Ok(Files { contents })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parquet_files_become_idx_files() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..2)
            .map(|part| {
                let path = dir.path().join(format!("{part}.parquet"));
                parquet::tests::write(&path, &[(part * 9, 3), (7, 4)], true);
                path
            })
            .collect();
        let files = files(&paths).unwrap();
        assert_eq!(idx::labels(&paths[0], &files.contents[3]).unwrap(), [3, 4]);
        assert_eq!(idx::images(&paths[0], &files.contents[2]).unwrap(), ([2, 2, 2], vec![9, 9, 9, 9, 7, 7, 7, 7]));
    }
}
