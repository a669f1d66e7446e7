//! How much memory this process holds and has held at most.

/// Resident memory now, in bytes; `None` where the system does not say.
pub(crate) fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// The most resident memory so far, in bytes; `None` where the system does not say.
pub(crate) fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// A line of `/proc/self/status`, which only Linux has and which counts in KiB.
fn status(key: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_at_least_what_is_resident() {
        let resident = resident().unwrap();
        // Linux counts in batches: the two may disagree by a few pages a core.
        assert!(resident > 1 << 18 && peak().unwrap() + (4 << 20) >= resident);
    }
}
