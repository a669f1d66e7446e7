//! The files of the single digits: which they are, where they are found, and how they are fetched.

use std::path::{Path, PathBuf};

use super::{mat5, table};
use crate::checksum::Checksum;
use crate::hub::{Hub, HubFile};
use crate::images::Images;
use crate::{Error, Result};

const fn on_hub(path: &'static str, sha256: Option<&'static str>) -> HubFile {
    HubFile { repository: ["ufldl-stanford", "svhn"], revision: "main", path, sha256 }
}

/// The files of the hub's `cropped_digits`. Where no checksum is given, that of the published file is not known here; its images carry sums of their own (PNG).
const ON_HUB: [HubFile; 4] = [
    on_hub("cropped_digits/train-00000-of-00001.parquet", Some("3f65cd79069d9d25048d58171cd729db01dd4aa7e7f597ce7fdd65efffe81013")),
    on_hub("cropped_digits/test-00000-of-00001.parquet", None),
    on_hub("cropped_digits/extra-00000-of-00002.parquet", Some("44f85c26a0b6b484ca0fa61f2bf4166f7878ee27298ba92ebc4f7adf634baa76")),
    on_hub("cropped_digits/extra-00001-of-00002.parquet", None),
];

/// Reads the images of a part ("train", "test" or "extra") from a folder, and adds their files to the checksum.
pub(crate) fn read(folder: &Path, part: &str, sum: &mut Checksum) -> Result<Images> {
    let matlab = folder.join(format!("{part}_32x32.mat"));
    if matlab.is_file() {
        return mat5::read(&matlab, sum);
    }
    for folder in [folder.to_owned(), folder.join("cropped_digits")] {
        let tables = tables(&folder, part)?;
        if !tables.is_empty() {
            return table::cropped_digits(&tables, sum);
        }
    }
    let message = format!(
        "holds neither {part}_32x32.mat nor {part}-*.parquet; SVHN's digits are two files, for training and for testing, and a third with extra = true. \
         Put it there, from http://ufldl.stanford.edu/housenumbers (format 2) or the Hugging Face hub (ufldl-stanford/svhn, cropped_digits), \
         or leave out `dir` to have it fetched"
    );
    Err(Error::file(folder, message))
}

/// The tables of a part in a folder by their names, none of which may be missing: `part-00000-of-00002.parquet` says how many there are.
fn tables(folder: &Path, part: &str) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(place) = name.strip_prefix(part).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".parquet")) {
            let total: Option<usize> = place.rsplit_once("-of-").and_then(|(_, total)| total.parse().ok());
            found.push((path, total));
        }
    }
    found.sort();
    match found.first() {
        Some((first, Some(total))) if *total != found.len() => {
            Err(Error::file(first, format!("is one of {total} tables, but {} are in this folder; put all of them there", found.len())))
        }
        _ => Ok(found.into_iter().map(|(path, _)| path).collect()),
    }
}

/// Fetches what is not in the folder from the hub at `endpoint`, and checks what is there.
pub(crate) fn fetch(folder: &Path, extra: bool, endpoint: &str) -> Result<()> {
    let wanted = ON_HUB.iter().filter(|file| extra || !file.name().starts_with("extra"));
    let (there, missing): (Vec<&HubFile>, Vec<&HubFile>) = wanted.partition(|file| file.copy_in(folder).is_file());
    for file in there {
        file.check(&file.copy_in(folder))?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    tracing::info!("fetching SVHN's digits from the Hugging Face hub; they are for non-commercial use only");
    let fetched = Hub::connect(endpoint).and_then(|hub| missing.iter().try_for_each(|file| file.fetch(&hub, folder)));
    fetched.map_err(|reason| not_found(folder, &missing, reason))
}

fn not_found(folder: &Path, missing: &[&HubFile], reason: String) -> Error {
    let names: Vec<&str> = missing.iter().map(|file| file.name()).collect();
    let extra = names.iter().any(|name| name.starts_with("extra"));
    let command = if extra { "stn data preview svhn_digits extra=true" } else { "stn data fetch svhn_digits" };
    let third = if extra { ", extra_32x32.mat" } else { "" };
    let advice = format!(
        "Where the hub can be reached, type `{command}`; a copy of its folder serves other machines as {}. \
         Or put train_32x32.mat, test_32x32.mat{third} (from http://ufldl.stanford.edu/housenumbers) into a folder and say where: dataset.dir=FOLDER",
        folder.display()
    );
    let tried = vec![format!("the cache {}: no {} there", folder.display(), names.join(", ")), format!("the Hugging Face hub: {reason}")];
    Error::NotFound { name: "SVHN's digits".into(), tried, advice }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::served::Served;
    use crate::kind::svhn::samples;

    fn error(folder: &Path, part: &str) -> String {
        read(folder, part, &mut Checksum::default()).unwrap_err().to_string()
    }

    /// A hub with the test part, and something else as the training part.
    fn served() -> Served {
        Served::new("ufldl-stanford/svhn", "main", &[(ON_HUB[0].path, samples::CROPPED_DIGITS), (ON_HUB[1].path, samples::CROPPED_DIGITS)])
    }

    #[test]
    fn a_file_from_the_hub_is_read() {
        let (served, folder) = (served(), tempfile::tempdir().unwrap());
        ON_HUB[1].fetch(&served.hub(), folder.path()).unwrap();
        assert_eq!(read(folder.path(), "test", &mut Checksum::default()).unwrap().labels(), [1, 0, 9, 5]);
    }

    #[test]
    fn a_file_other_than_the_published_one_is_refused() {
        let (served, folder) = (served(), tempfile::tempdir().unwrap());
        let error = fetch(folder.path(), false, served.endpoint()).unwrap_err().to_string();
        assert!(error.contains("the published file has 3f65cd79069d9d25"), "{error}");
        assert!(!ON_HUB[0].copy_in(folder.path()).exists());
        // The same where it lies in the cache.
        std::fs::write(ON_HUB[0].copy_in(folder.path()), samples::CROPPED_DIGITS).unwrap();
        let error = fetch(folder.path(), false, served.endpoint()).unwrap_err().to_string();
        assert!(error.ends_with("delete it and fetch it again"), "{error}");
    }

    #[test]
    fn without_data_it_is_said_what_to_type() {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = fetch(folder.path(), true, &format!("http://127.0.0.1:{port}")).unwrap_err().to_string();
        for part in [
            "SVHN's digits could not be found",
            "no train-00000-of-00001.parquet, test-00000-of-00001.parquet, extra-00000-of-00002.parquet, extra-00001-of-00002.parquet there",
            "the Hugging Face hub: 127.0.0.1",
            "type `stn data preview svhn_digits extra=true`",
            "train_32x32.mat, test_32x32.mat, extra_32x32.mat (from",
            "dataset.dir=FOLDER",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = fetch(folder.path(), false, &format!("http://127.0.0.1:{port}")).unwrap_err().to_string();
        assert!(error.contains("type `stn data fetch svhn_digits`") && !error.contains("extra"), "{error}");
    }

    #[test]
    fn a_folder_without_a_part_says_what_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train_32x32.mat"), samples::DIGITS).unwrap();
        let found = error(folder.path(), "test");
        assert!(found.contains("holds neither test_32x32.mat nor test-*.parquet") && found.ends_with("leave out `dir` to have it fetched"), "{found}");
        assert!(error(&folder.path().join("nowhere"), "train").contains("nowhere: holds neither train_32x32.mat"));
    }

    #[test]
    fn a_missing_table_of_several_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("extra-00001-of-00002.parquet"), samples::CROPPED_DIGITS).unwrap();
        assert!(error(folder.path(), "extra").ends_with("extra-00001-of-00002.parquet: is one of 2 tables, but 1 are in this folder; put all of them there"));
    }
}
