//! MNIST from the Hugging Face hub.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use hf_hub::HFClient;

use super::files::Files;
use crate::error::chain;
use crate::idx;
use crate::kind::parquet::{self, Labels};

const OWNER: &str = "ylecun";
const NAME: &str = "mnist";
const REVISION: &str = "refs/convert/parquet";
/// The training and the test part.
const PARTS: [&str; 2] = ["mnist/train/0000.parquet", "mnist/test/0000.parquet"];

/// How long the hub may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long 18 MB may take.
const DOWNLOAD: Duration = Duration::from_secs(600);

/// Fetches MNIST's Parquet files (from `HF_ENDPOINT` where that is set) and returns them as idx files, unchecked.
pub(crate) fn fetch() -> Result<Files, String> {
    let endpoint = std::env::var("HF_ENDPOINT").ok().filter(|value| !value.is_empty()).unwrap_or_else(|| "https://huggingface.co".into());
    reachable(&endpoint)?;
    let (sender, receiver) = channel();
    // On a thread of its own, so that a connection that stalls can be left behind.
    let thread = std::thread::Builder::new().name("stn-hub".into()).spawn(move || sender.send(download(&endpoint)));
    thread.map_err(|e| format!("no thread can be started: {e}"))?;
    let paths = receiver.recv_timeout(DOWNLOAD).map_err(|_| format!("no answer within {} s", DOWNLOAD.as_secs()))??;
    files(&paths)
}

/// An early word where the host cannot be connected to: the client itself would wait as long as the system lets it.
fn reachable(endpoint: &str) -> Result<(), String> {
    let through_proxy = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    if through_proxy.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        return Ok(());
    }
    let (scheme, rest) = endpoint.split_once("://").ok_or_else(|| format!("HF_ENDPOINT is no URL: {endpoint}"))?;
    let host = rest.split('/').next().unwrap_or(rest);
    let port = if scheme == "http" { 80 } else { 443 };
    let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) { host.to_owned() } else { format!("{host}:{port}") };
    let failed = |e: std::io::Error| format!("{host} cannot be reached: {e}");
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in with_port.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn download(endpoint: &str) -> Result<Vec<PathBuf>, String> {
    let client = HFClient::builder().endpoint(endpoint).retry_max_attempts(2).build_sync().map_err(|e| chain(&e))?;
    // Downloads whatever is not in the hub's cache yet, and opens every file as Parquet.
    candle_datasets::hub::from_hub(&client, format!("{OWNER}/{NAME}")).map_err(|e| chain(&e))?;
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
    fn a_closed_port_is_told_at_once() {
        // Bound and dropped: nobody listens there now.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = reachable(&format!("http://127.0.0.1:{port}")).unwrap_err();
        assert!(error.starts_with(&format!("127.0.0.1:{port} cannot be reached")), "{error}");
        assert!(reachable("huggingface.co").unwrap_err().contains("no URL"));
    }

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
