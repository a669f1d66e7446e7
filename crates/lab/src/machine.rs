//! What a trial ran on: versions, time of day, memory.

use chrono::{SecondsFormat, Utc};

/// The version of this project.
pub(crate) const STN_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of the tensor library; a test holds it against `Cargo.lock`.
pub(crate) const CANDLE_VERSION: &str = "0.11.1";
/// The revision of the source code this program was built from, with `-dirty` where files were changed; "unknown" outside a git checkout.
pub(crate) const REVISION: &str = git_version::git_version!(args = ["--always", "--dirty=-dirty", "--abbrev=12"], fallback = "unknown");

/// The time of day as RFC 3339, in UTC.
pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The most memory this process has held so far, in bytes; `None` where the system does not say. It covers the whole process: earlier trials count as well.
pub(crate) fn peak_memory() -> Option<i64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage writes one rusage at the pointer, which is valid for it, and an all-zero rusage is a value of the type.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Some(usage.ru_maxrss * unit)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn candle_is_of_the_version_that_rows_say() {
        let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock")).unwrap();
        assert!(lock.contains(&format!("name = \"candle-core\"\nversion = \"{CANDLE_VERSION}\"")));
    }

    #[test]
    fn a_process_holds_some_memory() {
        assert!(peak_memory().unwrap() > 1 << 20);
    }
}
