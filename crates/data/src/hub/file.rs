//! A file of a data set on the hub, fetched in pieces, so that a download that broke off is gone on with.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::repository::RepoTreeEntry;

use super::Hub;
use crate::checksum::Checksum;
use crate::error::chain;
use crate::{Error, Result, whole_file};

/// The bytes of a piece: what a cut connection costs at most.
const PIECE: u64 = 16 << 20;
/// How long a piece may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a piece is asked for.
const ATTEMPTS: usize = 3;

/// A file of a data set's repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HubFile {
    /// Owner and name of the repository.
    pub(crate) repository: [&'static str; 2],
    pub(crate) revision: &'static str,
    /// Within the repository.
    pub(crate) path: &'static str,
    /// Its published SHA-256, where that is known.
    pub(crate) sha256: Option<&'static str>,
}

impl HubFile {
    /// Its name, without folders.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// Its copy in a folder.
    pub(crate) fn copy_in(&self, folder: &Path) -> PathBuf {
        folder.join(self.name())
    }

    /// Compares a copy's checksum with the published one, where that is known.
    pub(crate) fn check(&self, copy: &Path) -> Result<()> {
        let Some(expected) = self.sha256 else {
            return Ok(());
        };
        let mut sum = Checksum::default();
        sum.add_file(copy)?;
        let found = sum.finish();
        if found == expected { Ok(()) } else { Err(Error::Checksum { path: copy.into(), expected: expected.into(), found }) }
    }

    /// Fetches the file into a folder, where it has its name when it is whole and checked. What an earlier attempt has left there, `NAME.part`, is gone on with.
    pub(crate) fn fetch(&self, hub: &Hub, folder: &Path) -> std::result::Result<(), String> {
        self.fetch_in_pieces(hub, folder, PIECE)
    }

    fn fetch_in_pieces(&self, hub: &Hub, folder: &Path, piece: u64) -> std::result::Result<(), String> {
        let (whole, unfinished) = (self.copy_in(folder), folder.join(format!("{}.part", self.name())));
        let broken = |e: std::io::Error| format!("{} cannot be written: {e}", unfinished.display());
        std::fs::create_dir_all(folder).map_err(broken)?;
        let mut file = File::options().create(true).append(true).open(&unfinished).map_err(broken)?;
        // Waits for another program that fetches the same; a file system without locks leaves that to the checksum.
        let _ = file.lock();
        if whole.is_file() {
            return Ok(());
        }
        let size = self.size(hub)?;
        let mut there = file.metadata().map_err(broken)?.len();
        if there > size {
            file.set_len(0).map_err(broken)?;
            there = 0;
        }
        while there < size {
            let end = size.min(there + piece);
            let bytes =
                self.piece(hub, there..end).map_err(|e| format!("{}: {e}; {there} of {size} bytes are kept, and the next attempt goes on there", self.path))?;
            file.write_all(&bytes).map_err(broken)?;
            there = end;
            tracing::info!("{}: {there} of {size} bytes", self.name());
        }
        file.sync_all().map_err(broken)?;
        if let Err(error) = self.check(&unfinished) {
            // Emptied and not deleted: another program may wait for its lock.
            file.set_len(0).map_err(broken)?;
            return Err(format!("{error} (it was emptied)"));
        }
        // Not by `whole_file::write`, whose unfinished files are gone after a failure.
        std::fs::rename(&unfinished, &whole).map_err(broken)?;
        whole_file::sync_folder(&whole);
        Ok(())
    }

    fn size(&self, hub: &Hub) -> std::result::Result<u64, String> {
        let Self { repository: [owner, name], revision, path, .. } = *self;
        let entries = hub.ask(PATIENCE, move |client| {
            client.dataset(owner, name).get_paths_info().paths(vec![path.to_owned()]).revision(revision).send().map_err(|e| chain(&e))
        })?;
        let size = entries.into_iter().find_map(|entry| match entry {
            RepoTreeEntry::File { path: found, size, .. } if found == path => Some(size),
            _ => None,
        });
        size.ok_or_else(|| format!("{owner}/{name} holds no {path} any more"))
    }

    fn piece(&self, hub: &Hub, range: Range<u64>) -> std::result::Result<Vec<u8>, String> {
        let Self { repository: [owner, name], revision, path, .. } = *self;
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let wanted = range.clone();
            let answer = hub.ask(PATIENCE, move |client| {
                client.dataset(owner, name).download_file_to_bytes().filename(path).revision(revision).range(wanted).send().map_err(|e| chain(&e))
            });
            match answer {
                Ok(bytes) if bytes.len() as u64 == range.end - range.start => return Ok(bytes.into()),
                Ok(bytes) => reason = format!("{} bytes came, not {}", bytes.len(), range.end - range.start),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::super::served::Served;
    use super::*;
    use crate::checksum::sha256;

    const CONTENT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    /// Of [`CONTENT`].
    const SHA256: &str = "74e7e5bb9d22d6db26bf76946d40fff3ea9f0346b884fd0694920fccfad15e33";
    const FILE: HubFile = HubFile { repository: ["somebody", "letters"], revision: "main", path: "all/letters.bin", sha256: Some(SHA256) };

    fn served(content: &[u8]) -> Served {
        Served::new("somebody/letters", "main", &[(FILE.path, content)])
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_comes_in_pieces() {
        assert_eq!(sha256(CONTENT), SHA256);
        let (served, folder) = (served(CONTENT), tempfile::tempdir().unwrap());
        let folder = folder.path().join("deep/letters");
        FILE.fetch_in_pieces(&served.hub(), &folder, 15).unwrap();
        assert_eq!((names(&folder), std::fs::read(folder.join("letters.bin")).unwrap().as_slice()), (vec!["letters.bin".to_owned()], CONTENT));
        assert_eq!(served.ranges(), [0..15, 15..30, 30..36]);
    }

    #[test]
    fn a_download_that_broke_off_is_gone_on_with() {
        let (served, folder) = (served(CONTENT), tempfile::tempdir().unwrap());
        served.cut_after(Some(20));
        let error = FILE.fetch_in_pieces(&served.hub(), folder.path(), 15).unwrap_err();
        assert!(error.starts_with("all/letters.bin: ") && error.ends_with("; 15 of 36 bytes are kept, and the next attempt goes on there"), "{error}");
        assert_eq!(names(folder.path()), ["letters.bin.part"]);
        let before = served.ranges().len();
        served.cut_after(None);
        FILE.fetch_in_pieces(&served.hub(), folder.path(), 15).unwrap();
        assert_eq!((names(folder.path()), std::fs::read(folder.path().join("letters.bin")).unwrap().as_slice()), (vec!["letters.bin".to_owned()], CONTENT));
        assert_eq!(served.ranges()[before..], [15..30, 30..36]);
    }

    #[test]
    fn a_wrong_checksum_is_told_and_the_file_never_has_its_name() {
        let (first, folder) = (served(&CONTENT.to_ascii_uppercase()), tempfile::tempdir().unwrap());
        let error = FILE.fetch_in_pieces(&first.hub(), folder.path(), 100).unwrap_err();
        assert!(error.contains("letters.bin.part: SHA-256 is ") && error.contains(SHA256), "{error}");
        assert!(!folder.path().join("letters.bin").exists());
        // Nothing of the wrong bytes is kept.
        let second = served(CONTENT);
        FILE.fetch_in_pieces(&second.hub(), folder.path(), 100).unwrap();
        assert_eq!(second.ranges().first(), Some(&(0..36)));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let (served, folder) = (served(CONTENT), tempfile::tempdir().unwrap());
        let missing = HubFile { path: "all/digits.bin", ..FILE };
        assert_eq!(missing.fetch(&served.hub(), folder.path()).unwrap_err(), "somebody/letters holds no all/digits.bin any more");
    }
}
