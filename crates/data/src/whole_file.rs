//! Files that appear whole under their name or not at all, whatever becomes of the program or the machine.
//!
//! A file is written under the name `.NAME.XXXXXX.unfinished` beside its own, forced to the disk, and renamed; a name that was taken leads to the new content at once. A program that
//! is killed in between leaves the unfinished file, which [`name_of_unfinished`] tells from others.

use std::fs::File;
use std::io::{Result, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// How the names of unfinished files end.
const UNFINISHED: &str = ".unfinished";

/// Writes a file of these bytes.
///
/// # Errors
///
/// What the operating system says where the file cannot be written or renamed, for example as the disk is full. Nothing is left of it then, and an earlier file of the name stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Writes a file that `fill` fills.
///
/// # Errors
///
/// As [`write()`], and those of `fill`.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let file = filled(path, fill)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(path);
    Ok(())
}

/// Writes a file of these bytes that need not outlive a crash of the machine: it is not forced to the disk.
///
/// # Errors
///
/// As [`write()`].
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<()> {
    filled(path, |file| file.write_all(bytes))?.persist(path).map(drop).map_err(|error| error.error)
}

/// Forces to the disk that a file has its name, or is gone; some file systems cannot do that for a folder, and have nothing to do then.
pub fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(folder(path)) {
        let _ = folder.sync_all();
    }
}

/// The name that a file was to get, of the name of an unfinished one; `None` of any other name.
pub fn name_of_unfinished(name: &str) -> Option<&str> {
    Some(name.strip_prefix('.')?.strip_suffix(UNFINISHED)?.rsplit_once('.')?.0)
}

/// An unfinished file, which is deleted when dropped.
fn filled(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<NamedTempFile> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    // Made here and not by the crate, whose files are for their maker alone, and whose errors speak of the unfinished name.
    let made = |path: &Path| File::options().write(true).create_new(true).open(path);
    let mut file = tempfile::Builder::new().prefix(&prefix).suffix(UNFINISHED).make_in(folder(path), made)?;
    fill(file.as_file_mut())?;
    Ok(file)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_no_name_before_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.md");
        write_with(&path, |file| {
            file.write_all(b"half")?;
            assert!(!path.exists());
            let [unfinished] = &names(folder.path())[..] else { panic!("one file is there") };
            assert_eq!(name_of_unfinished(unfinished), Some("table.md"));
            file.write_all(b" and half")
        })
        .unwrap();
        assert_eq!((names(folder.path()), std::fs::read(&path).unwrap().as_slice()), (vec!["table.md".to_owned()], b"half and half".as_slice()));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"old").unwrap();
        let error = write_with(&path, |file| file.write_all(b"half").and_then(|()| Err(Error::other("no space")))).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), names(folder.path()), std::fs::read(&path).unwrap().as_slice()),
            ("no space", vec!["a.txt".to_owned()], b"old".as_slice())
        );
    }

    #[test]
    fn a_new_file_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        for (bytes, write) in [(b"one", write as fn(&Path, &[u8]) -> Result<()>), (b"two", write_unsynced)] {
            write(&path, bytes).unwrap();
            assert_eq!((names(folder.path()), std::fs::read(&path).unwrap().as_slice()), (vec!["a.txt".to_owned()], bytes.as_slice()));
        }
    }

    #[test]
    fn an_error_does_not_speak_of_the_unfinished_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("missing/a.txt"), b"x").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(!error.to_string().contains("unfinished"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_may_be_read_by_whom_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (whole, usual) = (folder.path().join("whole"), folder.path().join("usual"));
        write(&whole, b"x").unwrap();
        std::fs::write(&usual, b"x").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&whole), mode(&usual));
    }

    #[test]
    fn other_names_are_of_no_unfinished_file() {
        for name in ["table.md", ".table.md", "table.md.abc.unfinished", ".mine.unfinished", ".unfinished", ""] {
            assert_eq!(name_of_unfinished(name), None, "{name}");
        }
    }
}
