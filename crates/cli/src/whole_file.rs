//! Files that a user names, which may be links or pipes.

use std::fs::File;
use std::path::Path;

use crate::Failure;

/// Writes a file that appears whole or not at all. What is no regular file, such as a pipe, is written straight through;
/// a link stays, and the file it leads to is written.
pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Failure> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let written = if target.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        File::create(&target).and_then(|mut file| fill(&mut file))
    } else {
        stn_data::whole_file::write_with(&target, fill)
    };
    written.map_err(|e| Failure::Message(format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let failed = write(&folder.path().join("f"), |file| file.write_all(b"half").and_then(|()| Err(std::io::Error::other("no space"))));
        assert!(failed.unwrap_err().to_string().ends_with("f: no space"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, |file| file.write_all(b"new")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_through() {
        write(Path::new("/dev/null"), |file| file.write_all(b"gone")).unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }
}
