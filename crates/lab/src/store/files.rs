//! Files that appear whole under their name or not at all.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// How the names of unfinished files end.
const UNFINISHED: &str = ".unfinished";

/// Makes a folder and those above it.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(Error::file("create the folder", path))
}

/// An unfinished file beside `path`; it is deleted when dropped, and [`finish`] gives it its name.
pub(crate) fn begin(path: &Path) -> Result<NamedTempFile> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{name}.");
    builder.prefix(&prefix).suffix(UNFINISHED);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The usual ones: what the user's umask leaves of reading and writing for all.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder(path)).map_err(Error::file("write", path))
}

/// Brings an unfinished file to the disk and gives it its name.
pub(crate) fn finish(file: NamedTempFile, path: &Path) -> Result<()> {
    file.as_file().sync_all().map_err(Error::file("write", path))?;
    file.persist(path).map_err(|error| Error::file("write", path)(error.error))?;
    sync_folder(path);
    Ok(())
}

/// Deletes a file that may be there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => {
            sync_folder(path);
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("delete", path)(error)),
    }
}

/// A name itself, or that it is gone, must reach the disk as well; some file systems cannot sync a folder, and have nothing to sync then.
pub(crate) fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(folder(path)) {
        let _ = folder.sync_all();
    }
}

/// Writes a file of these bytes.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = begin(path)?;
    // Through the file itself: a named file's errors carry its own path, which means nothing to a reader.
    file.as_file_mut().write_all(bytes).map_err(Error::file("write", path))?;
    finish(file, path)
}

/// Writes a file of these bytes that need not outlive a crash of the machine.
pub(crate) fn write_bytes_unsynced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = begin(path)?;
    file.as_file_mut().write_all(bytes).map_err(Error::file("write", path))?;
    file.persist(path).map(drop).map_err(|error| Error::file("write", path)(error.error))
}

/// Deletes what a killed run left unfinished in a folder.
pub(crate) fn sweep_out(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::file("list", folder))?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(UNFINISHED) {
            std::fs::remove_file(entry.path()).map_err(Error::file("delete", &entry.path()))?;
        }
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.parquet");
        let mut file = begin(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_finished_file_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_bytes(&path, b"one").unwrap();
        write_bytes(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn what_a_killed_run_left_is_deleted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_bytes(&path, b"whole").unwrap();
        let (_, left) = begin(&path).unwrap().keep().unwrap();
        assert!(left.exists());
        sweep_out(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["a.txt"]);
    }
}
