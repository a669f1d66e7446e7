//! What a trial ran on: versions, device, time of day, memory.

use chrono::{SecondsFormat, Utc};

/// The version of this project.
pub(crate) const STN_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of the tensor library; a test holds it against `Cargo.lock`.
pub(crate) const CANDLE_VERSION: &str = "0.11.1";
/// The revision of the source code this program was built from, with `-dirty` where files were changed; "unknown" outside a git checkout.
pub(crate) const REVISION: &str = git_version::git_version!(args = ["--always", "--dirty=-dirty", "--abbrev=12"], fallback = "unknown");

/// The processor's features that choose how matrices are multiplied, and so how sums are rounded; the architecture where there are none of them.
pub(crate) fn cpu_features() -> String {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let found = [
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
    ];
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    let found: [(&str, bool); 0] = [];
    let names: Vec<&str> = found.into_iter().filter_map(|(name, there)| there.then_some(name)).collect();
    if names.is_empty() { std::env::consts::ARCH.to_owned() } else { names.join(" ") }
}

/// Milliseconds since 1970.
pub(crate) fn milliseconds() -> u64 {
    Utc::now().timestamp_millis().unsigned_abs()
}

/// The time of day as RFC 3339, in UTC.
pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The job that a scheduler runs this process as: Slurm's number, with the task's behind it in an array.
pub(crate) fn job() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let array = variable("SLURM_ARRAY_JOB_ID").zip(variable("SLURM_ARRAY_TASK_ID"));
    array.map(|(job, task)| format!("{job}_{task}")).or_else(|| variable("SLURM_JOB_ID"))
}

/// How often the scheduler has started this job again.
pub(crate) fn restarts() -> u64 {
    std::env::var("SLURM_RESTART_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(0)
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
    fn processors_have_a_name() {
        assert!(!cpu_features().is_empty());
    }

    #[test]
    fn a_process_holds_some_memory() {
        assert!(peak_memory().unwrap() > 1 << 20);
    }
}
