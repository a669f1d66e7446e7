//! Files that are either whole or not there.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder that files are written to.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl Output {
    /// Makes the folder where it is not there.
    pub fn to(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "make the folder", path: folder.clone(), source })?;
        Ok(Self { folder, files: Vec::new() })
    }

    /// Writes a file under a temporary name, then gives it its own.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let temporary = self.folder.join(format!(".{name}.{}.tmp", std::process::id()));
        let written = write_through(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, &path));
        if let Err(source) = written {
            let _ = std::fs::remove_file(&temporary);
            return Err(Error::Io { action: "write", path, source });
        }
        self.files.push(path);
        Ok(())
    }

    /// Every file written, in order of their names.
    pub fn files(mut self) -> Vec<PathBuf> {
        self.files.sort();
        self.files
    }
}

fn write_through(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name that may stand in a file's name: letters, digits, `-` and `_`; anything else becomes `_`.
pub fn file_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_a_file_that_cannot_take_its_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("taken/by a folder")).unwrap();
        let mut output = Output::to(folder.path().into()).unwrap();
        let error = output.put("taken", b"x").unwrap_err().to_string();
        assert!(error.starts_with("cannot write ") && error.contains("taken"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_part_holds_nothing_that_a_file_system_minds() {
        assert_eq!(file_part("R/±90° (a)"), "R__90___a_");
    }
}
