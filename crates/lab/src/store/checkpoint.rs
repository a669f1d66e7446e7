//! `checkpoint.STEP`: everything a trial needs to go on, as a safetensors file with its BLAKE3 hash behind it.
//!
//! The two latest are kept, so that a torn one leaves the one before.

use std::path::{Path, PathBuf};

use super::files;
use super::tensors::Tensors;
use crate::{Error, Result};

/// What the names of checkpoints begin with, before the step.
const PREFIX: &str = "checkpoint.";

/// The length of the hash.
const HASH: usize = blake3::OUT_LEN;

/// Writes a checkpoint after `step` steps, and deletes those before the latest two, and those of later steps, which a trial that began anew has left behind. One file a step: written
/// anew, the second replaces the first.
pub(crate) fn write(folder: &Path, step: u64, state: &Tensors) -> Result<()> {
    let mut bytes = state.to_bytes()?;
    bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
    // With leading zeros, names are in the order of steps.
    files::write_bytes(&folder.join(format!("{PREFIX}{step:012}")), &bytes)?;
    let all = all(folder)?;
    let here = all.iter().position(|path| step_of(path) == Some(step)).unwrap_or_default();
    all[..here.saturating_sub(1)].iter().chain(&all[here + 1..]).try_for_each(|old| files::remove(old))
}

/// The latest checkpoint that is whole, or `None`. Why others are not goes into the log.
pub(crate) fn read(folder: &Path) -> Result<Option<Tensors>> {
    for path in all(folder)?.iter().rev() {
        match read_one(path) {
            Ok(state) => return Ok(Some(state)),
            Err(error) => tracing::warn!("{} is not whole, so the one before it is taken: {error}", path.display()),
        }
    }
    Ok(None)
}

/// The step of the latest checkpoint, by its name; `None` where there is none.
pub(crate) fn latest_step(folder: &Path) -> Option<u64> {
    all(folder).ok()?.last().and_then(|path| step_of(path))
}

/// The step of a checkpoint, by its name.
fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

/// Deletes every checkpoint.
pub(crate) fn clear(folder: &Path) -> Result<()> {
    all(folder)?.iter().try_for_each(|path| files::remove(path))
}

fn read_one(path: &Path) -> Result<Tensors> {
    let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
    match bytes.split_last_chunk::<HASH>() {
        Some((state, hash)) if blake3::hash(state) == blake3::Hash::from_bytes(*hash) => Tensors::from_bytes(state),
        _ => Err(Error::Other("its hash does not fit it".into())),
    }
}

/// Every checkpoint, the earliest first.
fn all(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("list", folder))?.flatten();
    let mut found: Vec<_> = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)).map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(number: f64) -> Tensors {
        let mut state = Tensors::default();
        state.put("a", &[number]).unwrap();
        state
    }

    fn found(folder: &Path) -> Option<f64> {
        read(folder).unwrap().map(|state| state.numbers::<f64, 1>("a").unwrap()[0])
    }

    #[test]
    fn the_latest_counts_and_two_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!((found(folder.path()), latest_step(folder.path())), (None, None));
        for step in [9, 10, 100] {
            write(folder.path(), step, &state(step as f64)).unwrap();
            assert_eq!((found(folder.path()), latest_step(folder.path())), (Some(step as f64), Some(step)));
        }
        assert_eq!(all(folder.path()).unwrap().len(), 2);
        clear(folder.path()).unwrap();
        assert_eq!(found(folder.path()), None);
    }

    #[test]
    fn those_of_later_steps_go_when_a_trial_has_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        [4900, 5000, 100].into_iter().for_each(|step| write(folder.path(), step, &state(step as f64)).unwrap());
        assert_eq!((found(folder.path()), latest_step(folder.path())), (Some(100.0), Some(100)));
    }

    #[test]
    fn a_torn_one_falls_back_to_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        (1..3).for_each(|step| write(folder.path(), step, &state(step as f64)).unwrap());
        let last = all(folder.path()).unwrap().pop().unwrap();
        let whole = std::fs::read(&last).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for torn in [&whole[..whole.len() / 2], &whole[..10], &[], &flipped] {
            std::fs::write(&last, torn).unwrap();
            assert_eq!(found(folder.path()), Some(1.0));
        }
    }
}
