//! The folder that a report is written to.

use crate::error::{Error, Result};
use crate::figures::Kind;
use std::fs::File;
use std::path::{Path, PathBuf};

use stn_data::whole_file;

/// A folder that files are written to.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    files: Vec<PathBuf>,
    /// The folder, locked: one report at a time is written to it. `None` where the file system has no locks.
    lock: Option<File>,
}

impl Output {
    /// Makes the folder where it is not there; waits while another report is written to it.
    pub fn to(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "make the folder", path: folder.clone(), source })?;
        let lock = File::open(&folder).ok().filter(|folder| folder.lock().is_ok());
        Ok(Self { folder, files: Vec::new(), lock })
    }

    /// Writes a file.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        whole_file::write(&path, bytes).map_err(|source| Error::Io { action: "write", path: path.clone(), source })?;
        self.files.push(path);
        Ok(())
    }

    /// Removes the files that an earlier report left and this one has not written: they show trials that are no longer part of the experiment, or were never finished.
    pub fn remove_stale(&self) -> Result<()> {
        let failed = |action: &'static str, path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { action, path, source }
        };
        for entry in std::fs::read_dir(&self.folder).map_err(failed("list", &self.folder))? {
            let entry = entry.map_err(failed("list", &self.folder))?;
            let path = entry.path();
            let stale = entry.file_name().to_str().is_some_and(|name| match whole_file::name_of_unfinished(name) {
                Some(unfinished) => self.lock.is_some() && is_of_a_report(unfinished),
                None => !self.files.contains(&path) && is_of_a_report(name),
            });
            if stale && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                std::fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }

    /// The names of the files written so far.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())).collect()
    }

    /// Every file written, in order of their names.
    pub fn files(mut self) -> Vec<PathBuf> {
        self.files.sort();
        self.files
    }
}

/// Figures of which there is one.
const SINGLE: [Kind; 3] = [Kind::Comparison, Kind::LearningCurves, Kind::Seeds];
/// What may stand in a file's name as it is: the paper's distortions, costs, and keys that are often swept.
const PLAIN: [&str; 20] = [
    "none",
    "R",
    "RTS",
    "P",
    "E",
    "TC",
    "parameters",
    "step_time",
    "lr",
    "batch",
    "size",
    "steps",
    "momentum",
    "weight_decay",
    "dropout",
    "points",
    "clutter",
    "degrees",
    "width",
    "beta1",
];
/// The most letters of a name in a file's name; file systems take some 250 in all.
const LONGEST: usize = 80;

/// The file name, without its ending, of the figure of a kind that is of one distortion, key or model.
///
/// Names other than the paper's and those of usual keys become letters, digits, `-` and `_`, and end in a hash of the whole, so that no two of them meet, on no file system.
pub fn name_of(kind: Kind, of: &str) -> String {
    let kind = kind.name();
    if PLAIN.contains(&of) {
        return format!("{kind}_{of}");
    }
    let plain: String = of.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(LONGEST).collect();
    // FNV-1a, 32 bits.
    let hash = of.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{kind}_{plain}_{hash:08x}")
}

/// Whether a report may have written a file of this name.
fn is_of_a_report(name: &str) -> bool {
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    if name == "index.html" {
        return true;
    }
    if stem == "table" {
        return ["csv", "md", "tex"].contains(&ending);
    }
    let hashed =
        |of: &str| of.rsplit_once('_').is_some_and(|(_, hash)| hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    let figure = Kind::ALL.iter().any(|kind| match stem.strip_prefix(kind.name()) {
        Some("") => SINGLE.contains(kind),
        Some(of) => of.strip_prefix('_').is_some_and(|of| !SINGLE.contains(kind) && (PLAIN.contains(&of) || hashed(of))),
        None => false,
    });
    figure && ["csv", "gif", "pdf", "png", "svg"].contains(&ending)
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
    fn a_figures_name_holds_nothing_that_a_file_system_minds() {
        assert_eq!(name_of(Kind::Montage, "RTS"), "montage_RTS");
        let name = name_of(Kind::Montage, "R/±90° (a)");
        assert!(name.starts_with("montage_R__90___a__") && name.len() == "montage_R__90___a__".len() + 8, "{name}");
        assert!(name_of(Kind::Montage, &"x".repeat(1000)).len() < 120);
    }

    #[test]
    fn distortions_that_differ_in_punctuation_alone_have_montages_of_their_own() {
        let names = ["R, degrees = 4.5", "R, degrees = 4-5", "R, degrees = 4 5", "r, degrees = 4.5", "r", "R"];
        let distinct: std::collections::BTreeSet<String> = names.iter().map(|name| name_of(Kind::Montage, name).to_lowercase()).collect();
        assert_eq!(distinct.len(), names.len(), "{distinct:?}");
    }

    #[test]
    fn what_an_earlier_report_left_goes_and_what_no_report_writes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let old = name_of(Kind::Montage, "kind = R, degrees = 45");
        let stale = [
            "montage_P.svg".to_string(),
            "montage_P.csv".into(),
            "comparison.png".into(),
            "comparison.pdf".into(),
            "table.tex".into(),
            "error_against_lr.pdf".into(),
            "straightening_R.gif".into(),
            format!("{old}.svg"),
        ];
        let stale = [stale.as_slice(), &[".montage_R.csv.a1B2c3.unfinished".into(), ".table.md.x.unfinished".into()]].concat();
        let others = [
            ".mine.unfinished",
            ".mine.md.a1B2c3.unfinished",
            "montage_R_edited.svg",
            "montage_mine.png",
            "table.xlsx",
            "comparison.eps",
            "comparison_R.svg",
            "error_against.svg",
            "cost_mine.csv",
            "notes.md",
            "montage_P",
        ];
        for name in stale.iter().map(String::as_str).chain(others) {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("montage_E.svg")).unwrap();
        let mut output = Output::to(folder.path().into()).unwrap();
        output.put("table.md", b"x").unwrap();
        output.remove_stale().unwrap();
        let mut left: Vec<String> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut wanted: Vec<&str> = others.into_iter().chain(["montage_E.svg", "table.md"]).collect();
        wanted.sort_unstable();
        assert_eq!(left, wanted);
    }
}
