//! Who works at a trial, and whether they still live.

use serde::{Deserialize, Serialize};

/// A process, as another one on the same machine or elsewhere can tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process's number.
    pub pid: u32,
    /// The machine's start and the process's world on it: where these are equal, `pid` means the same process here.
    pub machine: String,
    /// When the process began, in the machine's ticks; a number that was given again belongs to another process.
    pub begun: Option<u64>,
}

impl Holder {
    /// This process.
    pub fn here() -> Self {
        let pid = std::process::id();
        Self { host: host(), pid, machine: machine(), begun: begun(pid) }
    }

    /// Whether the process lives, where that can be told from here; `None` where it is on another machine.
    pub fn lives(&self) -> Option<bool> {
        if self.machine.is_empty() || self.machine != machine() || self.host != host() {
            return None;
        }
        match (self.begun, begun(self.pid)) {
            (Some(then), now) => Some(now == Some(then)),
            (None, _) => exists(self.pid),
        }
    }
}

/// The machine's name.
fn host() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: gethostname writes at most so many bytes at the pointer, which is valid for them.
    let failed = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) } != 0;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    if failed { "unknown".into() } else { String::from_utf8_lossy(&name[..end]).into_owned() }
}

/// What sets this start of the machine apart, and this container's processes; empty where the system does not say.
fn machine() -> String {
    let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else { return String::new() };
    let processes = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), processes.display())
}

/// When a process began; `None` where there is none of the number, it has ended and waits to be reaped, or the system does not say.
fn begun(pid: u32) -> Option<u64> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in parentheses and may hold anything, so fields are counted behind it: state, then 18 more, then the start.
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

/// Whether there is a process of the number.
fn exists(pid: u32) -> Option<bool> {
    let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0)?;
    // SAFETY: signal 0 is not sent; the call only looks whether it could be.
    let found = unsafe { libc::kill(pid, 0) } == 0;
    Some(found || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_with_its_number_but_another_start_does_not() {
        let here = Holder::here();
        assert_eq!(here.lives(), Some(true));
        assert_eq!(Holder { begun: here.begun.map(|begun| begun + 1), ..here.clone() }.lives(), Some(false));
        assert_eq!(Holder { host: "elsewhere".into(), ..here }.lives(), None);
    }

    #[test]
    fn a_process_that_has_ended_does_not_live() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let holder = Holder { pid: child.id(), begun: begun(child.id()), ..Holder::here() };
        child.wait().unwrap();
        assert_eq!(holder.lives(), Some(false));
    }
}
