//! The two forms in which the data set is published, single digits and whole numbers: their files, where they are found, and how they are fetched.

use std::path::{Path, PathBuf};

use crate::hub::{Hub, HubFile};
use crate::{Error, Result};

/// The files of one form. A part, "train", "test" or "extra", is one file from Stanford, or one or more tables from the Hugging Face hub.
#[derive(Debug)]
pub(crate) struct Form {
    /// What it is called in errors.
    name: &'static str,
    /// The data set's `kind`.
    kind: &'static str,
    /// How Stanford's file of a part is called, after the part.
    suffix: &'static str,
    /// What Stanford calls the form.
    format: &'static str,
    /// The folder of its tables on the hub.
    folder: &'static str,
    /// Its tables on the hub, those of the extra set last. Where no checksum is given, that of the published file is not known here; its images carry sums of their own (PNG).
    on_hub: &'static [HubFile],
    /// What else can be done where it is missing.
    otherwise: &'static str,
}

const fn on_hub(path: &'static str, sha256: Option<&'static str>) -> HubFile {
    HubFile { repository: ["ufldl-stanford", "svhn"], revision: "main", path, sha256 }
}

/// Single digits, 32 x 32.
pub(crate) const DIGITS: Form = Form {
    name: "SVHN's digits",
    kind: "svhn_digits",
    suffix: "_32x32.mat",
    format: "format 2",
    folder: "cropped_digits",
    on_hub: &[
        on_hub("cropped_digits/train-00000-of-00001.parquet", Some("3f65cd79069d9d25048d58171cd729db01dd4aa7e7f597ce7fdd65efffe81013")),
        on_hub("cropped_digits/test-00000-of-00001.parquet", None),
        on_hub("cropped_digits/extra-00000-of-00002.parquet", Some("44f85c26a0b6b484ca0fa61f2bf4166f7878ee27298ba92ebc4f7adf634baa76")),
        on_hub("cropped_digits/extra-00001-of-00002.parquet", None),
    ],
    otherwise: "",
};

/// Photographs with a box around each digit.
pub(crate) const NUMBERS: Form = Form {
    name: "SVHN's house numbers",
    kind: "svhn",
    suffix: ".tar.gz",
    format: "format 1",
    folder: "full_numbers",
    on_hub: &[
        on_hub("full_numbers/train-00000-of-00001.parquet", None),
        on_hub("full_numbers/test-00000-of-00001.parquet", None),
        on_hub("full_numbers/extra-00000-of-00004.parquet", None),
        on_hub("full_numbers/extra-00001-of-00004.parquet", None),
        on_hub("full_numbers/extra-00002-of-00004.parquet", None),
        on_hub("full_numbers/extra-00003-of-00004.parquet", None),
    ],
    otherwise: ". Without the data, the same can be trained on synthetic house numbers: dataset.kind=street_numbers",
};

impl Form {
    /// Stanford's file of a part in a folder, whether it is there or not.
    pub(crate) fn original(&self, folder: &Path, part: &str) -> PathBuf {
        folder.join(format!("{part}{}", self.suffix))
    }

    /// The hub's tables of a part in a folder, or below it as on the hub; none where there are none.
    pub(crate) fn tables(&self, folder: &Path, part: &str) -> Result<Vec<PathBuf>> {
        let here = tables(folder, part)?;
        if here.is_empty() { tables(&folder.join(self.folder), part) } else { Ok(here) }
    }

    /// The error where a folder holds neither.
    pub(crate) fn missing(&self, folder: &Path, part: &str) -> Error {
        let Self { name, suffix, format, folder: on_hub, otherwise, .. } = self;
        let message = format!(
            "holds neither {part}{suffix} nor {part}-*.parquet; {name} are two files, for training and for testing, and a third with extra = true. \
             Put it there, from http://ufldl.stanford.edu/housenumbers ({format}) or the Hugging Face hub (ufldl-stanford/svhn, {on_hub}), \
             or leave out `dir` to have it fetched{otherwise}"
        );
        Error::file(folder, message)
    }

    /// Fetches what is not in the folder from the hub at `endpoint`, and checks what is there.
    pub(crate) fn fetch(&self, folder: &Path, extra: bool, endpoint: &str) -> Result<()> {
        let wanted = self.on_hub.iter().filter(|file| extra || !file.name().starts_with("extra"));
        let (there, missing): (Vec<&HubFile>, Vec<&HubFile>) = wanted.partition(|file| file.copy_in(folder).is_file());
        for file in there {
            file.check(&file.copy_in(folder))?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        tracing::info!("fetching {} from the Hugging Face hub; they are for non-commercial use only", self.name);
        let fetched = Hub::connect(endpoint).and_then(|hub| missing.iter().try_for_each(|file| file.fetch(&hub, folder)));
        fetched.map_err(|reason| self.not_found(folder, &missing, reason))
    }

    fn not_found(&self, folder: &Path, missing: &[&HubFile], reason: String) -> Error {
        let Self { kind, suffix, otherwise, .. } = self;
        let names: Vec<&str> = missing.iter().map(|file| file.name()).collect();
        let extra = names.iter().any(|name| name.starts_with("extra"));
        let command = if extra { format!("stn data preview {kind} extra=true") } else { format!("stn data fetch {kind}") };
        let third = if extra { format!(", extra{suffix}") } else { String::new() };
        let advice = format!(
            "Where the hub can be reached, type `{command}`; a copy of its folder serves other machines as {}. \
             Or put train{suffix}, test{suffix}{third} (from http://ufldl.stanford.edu/housenumbers) into a folder and say where: dataset.dir=FOLDER{otherwise}",
            folder.display()
        );
        let tried = vec![format!("the cache {}: no {} there", folder.display(), names.join(", ")), format!("the Hugging Face hub: {reason}")];
        Error::NotFound { name: self.name.into(), tried, advice }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::served::Served;
    use crate::kind::svhn::samples;

    /// Of [`samples::FULL_NUMBERS`].
    const FULL_NUMBERS_SHA256: &str = "ff42a9f8cf7884e0c42a0f54791d7becdb2a8a63b74316e99404d295182abb4c";

    /// A hub with these contents as the first files of a form.
    fn served(form: &Form, contents: &[&[u8]]) -> Served {
        let files: Vec<(&str, &[u8])> = form.on_hub.iter().map(|file| file.path).zip(contents.iter().copied()).collect();
        Served::new("ufldl-stanford/svhn", "main", &files)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// An address at which nobody answers.
    fn nobody() -> String {
        format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
    }

    #[test]
    fn files_of_the_hub_come_into_the_folder_and_are_not_fetched_twice() {
        let (served, folder) = (served(&NUMBERS, &[samples::FULL_NUMBERS; 6]), tempfile::tempdir().unwrap());
        NUMBERS.fetch(folder.path(), false, served.endpoint()).unwrap();
        assert_eq!(names(folder.path()), ["test-00000-of-00001.parquet", "train-00000-of-00001.parquet"]);
        NUMBERS.fetch(folder.path(), true, served.endpoint()).unwrap();
        assert_eq!((NUMBERS.tables(folder.path(), "extra").unwrap().len(), served.ranges().len()), (4, 6));
        NUMBERS.fetch(folder.path(), true, &nobody()).unwrap();
    }

    #[test]
    fn a_download_that_broke_off_is_told_and_gone_on_with() {
        let (served, folder) = (served(&NUMBERS, &[samples::FULL_NUMBERS; 2]), tempfile::tempdir().unwrap());
        let unfinished = folder.path().join("train-00000-of-00001.parquet.part");
        std::fs::write(&unfinished, &samples::FULL_NUMBERS[..1000]).unwrap();
        served.cut_after(Some(2000));
        let error = NUMBERS.fetch(folder.path(), false, served.endpoint()).unwrap_err().to_string();
        assert!(error.contains(&format!("1000 of {} bytes are kept, and the next attempt goes on there", samples::FULL_NUMBERS.len())), "{error}");
        assert!(error.contains("type `stn data fetch svhn`"), "{error}");
        served.cut_after(None);
        NUMBERS.fetch(folder.path(), false, served.endpoint()).unwrap();
        assert_eq!(std::fs::read(NUMBERS.on_hub[0].copy_in(folder.path())).unwrap(), samples::FULL_NUMBERS);
        assert_eq!(names(folder.path()), ["test-00000-of-00001.parquet", "train-00000-of-00001.parquet"]);
    }

    #[test]
    fn a_file_other_than_the_published_one_is_refused() {
        let (served, folder) = (served(&DIGITS, &[samples::CROPPED_DIGITS; 2]), tempfile::tempdir().unwrap());
        let error = DIGITS.fetch(folder.path(), false, served.endpoint()).unwrap_err().to_string();
        assert!(error.contains("the published file has 3f65cd79069d9d25"), "{error}");
        let copy = DIGITS.on_hub[0].copy_in(folder.path());
        assert!(!copy.exists());
        // The same where it lies in the cache.
        std::fs::write(&copy, samples::CROPPED_DIGITS).unwrap();
        let error = DIGITS.fetch(folder.path(), false, served.endpoint()).unwrap_err().to_string();
        assert!(error.ends_with("delete it and fetch it again"), "{error}");
    }

    #[test]
    fn a_house_number_file_that_is_damaged_is_refused() {
        const KNOWN: Form = Form { on_hub: &[on_hub("full_numbers/train-00000-of-00001.parquet", Some(FULL_NUMBERS_SHA256))], ..NUMBERS };
        assert_eq!(crate::checksum::sha256(samples::FULL_NUMBERS), FULL_NUMBERS_SHA256);
        let mut damaged = samples::FULL_NUMBERS.to_vec();
        damaged[500] ^= 1;
        let folder = tempfile::tempdir().unwrap();
        let error = KNOWN.fetch(folder.path(), false, served(&KNOWN, &[&damaged]).endpoint()).unwrap_err().to_string();
        assert!(error.contains("train-00000-of-00001.parquet.part: SHA-256 is ") && error.contains(FULL_NUMBERS_SHA256), "{error}");
        assert!(KNOWN.tables(folder.path(), "train").unwrap().is_empty());
        KNOWN.fetch(folder.path(), false, served(&KNOWN, &[samples::FULL_NUMBERS]).endpoint()).unwrap();
    }

    #[test]
    fn without_data_it_is_said_what_to_type() {
        let folder = tempfile::tempdir().unwrap();
        let error = DIGITS.fetch(folder.path(), true, &nobody()).unwrap_err().to_string();
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
        let error = DIGITS.fetch(folder.path(), false, &nobody()).unwrap_err().to_string();
        assert!(error.contains("type `stn data fetch svhn_digits`") && !error.contains("extra"), "{error}");
    }

    #[test]
    fn without_house_numbers_their_stand_in_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let fetched = NUMBERS.fetch(folder.path(), false, &nobody()).unwrap_err().to_string();
        assert!(fetched.contains("type `stn data fetch svhn`") && fetched.contains("put train.tar.gz, test.tar.gz (from"), "{fetched}");
        let missing = NUMBERS.missing(folder.path(), "test").to_string();
        assert!(missing.contains("holds neither test.tar.gz nor test-*.parquet"), "{missing}");
        for error in [fetched, missing] {
            assert!(error.ends_with("on synthetic house numbers: dataset.kind=street_numbers"), "{error}");
        }
    }

    #[test]
    fn a_missing_table_of_several_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("extra-00001-of-00002.parquet"), samples::CROPPED_DIGITS).unwrap();
        let error = DIGITS.tables(folder.path(), "extra").unwrap_err().to_string();
        assert!(error.ends_with("extra-00001-of-00002.parquet: is one of 2 tables, but 1 are in this folder; put all of them there"), "{error}");
    }
}
