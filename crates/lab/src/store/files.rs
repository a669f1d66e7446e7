//! Files and folders of the results, with errors that say which.

use std::path::Path;

use stn_data::whole_file::{self, name_of_unfinished};

pub(crate) use stn_data::whole_file::sync_folder;

use crate::{Error, Result};

/// Makes a folder and those above it.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(Error::file("create the folder", path))
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

/// Writes a file of these bytes.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    whole_file::write(path, bytes).map_err(Error::file("write", path))
}

/// Writes a file of these bytes that need not outlive a crash of the machine.
pub(crate) fn write_bytes_unsynced(path: &Path, bytes: &[u8]) -> Result<()> {
    whole_file::write_unsynced(path, bytes).map_err(Error::file("write", path))
}

/// Deletes what a killed run left unfinished in a folder.
pub(crate) fn sweep_out(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::file("list", folder))?.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name_of_unfinished(name).is_some()) {
            std::fs::remove_file(entry.path()).map_err(Error::file("delete", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_deleted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("a.txt");
        write_bytes(&whole, b"whole").unwrap();
        std::fs::write(folder.path().join(".a.txt.x1y2z3.unfinished"), b"half").unwrap();
        sweep_out(folder.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [whole]);
    }
}
