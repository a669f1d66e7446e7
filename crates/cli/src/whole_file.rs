//! Files that appear whole under their name or not at all.

use std::fs::File;
use std::path::Path;

use crate::Failure;

/// Writes a file under a temporary name beside its own, and renames it once it is safely there.
pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Failure> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    // As any file that is made: the umask takes away what it takes away.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let written = builder.tempfile_in(folder).and_then(|mut file| {
        fill(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)
    });
    written.map(drop).map_err(|e| Failure::Message(format!("{}: {e}", path.display())))
}
