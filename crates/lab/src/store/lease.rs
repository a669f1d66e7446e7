//! A trial's folder while somebody works at it: `OUT/work/ID.N`.
//!
//! The folder itself is the lease. It appears by a rename, with `lease.json` in it; it is taken over from a holder that is dead by a rename to the next N; and the trial ends by
//! a rename to `OUT/trials/ID`. A file system lets one rename of a folder succeed and no second one, so there is one holder at a time, and a holder that was taken over from has
//! no folder any more under the name it knows: whatever it still writes fails, and changes nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::holder::Holder;
use super::{LOG, files};
use crate::{Error, Result, machine};

/// How often a holder says that it lives, and how far it is.
const BEAT: Duration = Duration::from_secs(2);
/// A holder on another machine that was not heard of for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// How long one is waited for who lives on this machine and yet says nothing, as it is stopped or its disk is full.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// How often a trial is looked at that is held by one who may be dead.
const LOOK: Duration = Duration::from_millis(500);
/// The file in the folder.
pub(crate) const LEASE: &str = "lease.json";
/// How often a race for a trial is run again before it counts as lost.
const TRIES: usize = 8;

/// What a holder says of itself and of its trial.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    /// Who it is.
    pub holder: Holder,
    /// When it took the trial: RFC 3339, UTC.
    pub since: String,
    /// When it said this.
    pub at: String,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// The latest training loss.
    pub loss: Option<f64>,
    /// Steps a second, lately.
    pub rate: Option<f64>,
    /// The job's number where a scheduler runs it.
    pub job: Option<String>,
    /// How often the scheduler had started the job again by then.
    pub restarts: u64,
}

/// A trial that is this process's to work at. Dropped without [`commit`](Self::commit), the folder stays for whoever goes on.
#[derive(Debug)]
pub(crate) struct Lease {
    dir: PathBuf,
    ended: PathBuf,
    progress: Arc<Progress>,
    lost: Arc<AtomicBool>,
    heart: Option<(Sender<()>, JoinHandle<()>)>,
}

/// What came of reaching for a trial.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is this process's.
    Mine(Lease),
    /// Somebody else works at it.
    Held(Box<Said>),
    /// It has ended meanwhile.
    Ended,
}

/// How far a trial is; written by the one who trains, read by the heartbeat.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    step: AtomicU64,
    steps: AtomicU64,
    /// The bits of an `f64`; those of NaN before the first.
    loss: AtomicU64,
    job: Mutex<Option<String>>,
    restarts: AtomicU64,
}

impl Progress {
    /// A step is done.
    pub fn step(&self, step: u64, steps: u64, loss: Option<f64>) {
        self.steps.store(steps, Ordering::Relaxed);
        self.loss.store(loss.unwrap_or(f64::NAN).to_bits(), Ordering::Relaxed);
        self.step.store(step, Ordering::Relaxed);
    }

    fn loss(&self) -> Option<f64> {
        Some(f64::from_bits(self.loss.load(Ordering::Relaxed))).filter(|loss| loss.is_finite())
    }
}

impl Lease {
    /// Reaches for a trial: `work` is `OUT/work`, `ended` the trial's folder when it has ended.
    pub fn take(work: &Path, id: &str, ended: &Path) -> Result<Taken> {
        files::create_folder(work)?;
        for _ in 0..TRIES {
            if ended.is_dir() {
                return Ok(Taken::Ended);
            }
            let dir = match unfinished(work, id)? {
                None => match begin(work, id)? {
                    // What was there may have changed its name while the list was read.
                    Some(dir) if ended.is_dir() || all_unfinished(work)?.iter().filter(|(of, ..)| of == id).count() > 1 => {
                        std::fs::remove_dir_all(&dir).map_err(Error::file("delete", &dir))?;
                        continue;
                    }
                    Some(dir) => dir,
                    None => continue,
                },
                Some((number, dir)) => {
                    if let Some(said) = living(&dir) {
                        return Ok(Taken::Held(Box::new(said)));
                    }
                    let next = work.join(format!("{id}.{}", number + 1));
                    match std::fs::rename(&dir, &next) {
                        Ok(()) => next,
                        Err(error) if lost_race(&error) => continue,
                        Err(error) => return Err(Error::file("take over", &dir)(error)),
                    }
                }
            };
            match Self::hold(&dir, ended) {
                Err(_) if !dir.is_dir() => {}
                held => return held.map(Taken::Mine),
            }
        }
        Ok(Taken::Held(Box::default()))
    }

    /// Says that the folder is this process's, and clears away what a late writer could still reach.
    fn hold(dir: &Path, ended: &Path) -> Result<Self> {
        let progress = Arc::new(Progress::default());
        progress.loss.store(f64::NAN.to_bits(), Ordering::Relaxed);
        *progress.job.lock().unwrap_or_else(PoisonError::into_inner) = machine::job();
        progress.restarts.store(machine::restarts(), Ordering::Relaxed);
        let since = machine::now();
        say(dir, &progress, &since, None)?;
        files::sweep_out(dir)?;
        renew(&dir.join(LOG))?;
        let lost = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = channel();
        let beating = (dir.to_owned(), Arc::clone(&progress), Arc::clone(&lost));
        let heart = std::thread::Builder::new().name("stn-lease".into()).spawn(move || {
            let (dir, progress, lost) = beating;
            let mut before = progress.step.load(Ordering::Relaxed);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(BEAT) {
                let now = progress.step.load(Ordering::Relaxed);
                let rate = now.saturating_sub(before) as f64 / BEAT.as_secs_f64();
                before = now;
                if say(&dir, &progress, &since, Some(rate)).is_err() && !dir.is_dir() {
                    lost.store(true, Ordering::Relaxed);
                    return;
                }
            }
        });
        let heart = heart.map_err(Error::file("watch over", dir))?;
        Ok(Self { dir: dir.to_owned(), ended: ended.to_owned(), progress, lost, heart: Some((stop, heart)) })
    }

    /// The folder to work in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where to tell how far the trial is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Set once the trial is no longer this process's.
    pub fn lost(&self) -> &AtomicBool {
        &self.lost
    }

    /// Whether the trial is no longer this process's.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) || !self.dir.is_dir()
    }

    /// Whether somebody else has the trial now, rather than its folder being gone altogether.
    pub fn is_elsewhere(&self) -> bool {
        let (work, name) = (self.dir.parent(), self.dir.file_name().and_then(|name| name.to_str()));
        let id = name.and_then(|name| name.rsplit_once('.')).map(|(id, _)| id);
        self.ended.is_dir() || work.zip(id).is_some_and(|(work, id)| unfinished(work, id).is_ok_and(|found| found.is_some()))
    }

    /// Ends the trial: all that is in the folder appears under its final name at once. Whether it was still this process's.
    pub fn commit(mut self) -> Result<bool> {
        self.stop();
        let committed = self.give_name();
        if committed.is_err() {
            // Free for the next attempt, which may be this process's own.
            let _ = files::remove(&self.dir.join(LEASE));
        }
        committed
    }

    fn give_name(&self) -> Result<bool> {
        files::create_folder(self.ended.parent().unwrap_or(Path::new(".")))?;
        match std::fs::rename(&self.dir, &self.ended) {
            Ok(()) => {
                files::sync_folder(&self.ended);
                files::sync_folder(&self.dir);
                // From here on it says nothing any more; whoever finds it must not take it for a trial at work.
                let _ = files::remove(&self.ended.join(LEASE));
                Ok(true)
            }
            Err(error) if lost_race(&error) => Ok(false),
            Err(error) => Err(Error::file("give its name to", &self.ended)(error)),
        }
    }

    fn stop(&mut self) {
        if let Some((stop, heart)) = self.heart.take() {
            drop(stop);
            drop(heart.join());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let held = self.heart.is_some();
        self.stop();
        // Free for the next, at once. After a commit there is no such folder.
        if held && !self.lost.load(Ordering::Relaxed) {
            let _ = files::remove(&self.dir.join(LEASE));
        }
    }
}

/// What the holder of a folder last said, where it lives.
pub(crate) fn living(dir: &Path) -> Option<Said> {
    let path = dir.join(LEASE);
    let said: Said = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    if earlier_life(&said, machine::job().as_deref(), machine::restarts()) {
        return None;
    }
    let lives = said.holder.lives().unwrap_or_else(|| age(&path).is_none_or(|age| age < SILENCE));
    lives.then_some(said)
}

/// Reaches for a trial again and again while it is held by one that says nothing new, until it speaks, and so lives, or counts as dead; for so long at most.
pub(crate) fn outwait(most: Duration, cancel: &AtomicBool, mut take: impl FnMut() -> Result<Taken>) -> Result<Taken> {
    let mut heard: Option<String> = None;
    let begun = Instant::now();
    loop {
        match take()? {
            taken @ Taken::Held(_) if begun.elapsed() > most => return Ok(taken),
            Taken::Held(said) if heard.as_ref().is_none_or(|at| *at == said.at) && !cancel.load(Ordering::Relaxed) => heard = Some(said.at),
            taken => return Ok(taken),
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether a holder is this very job before the scheduler started it again. It is dead, or on a machine that the scheduler has given up.
fn earlier_life(said: &Said, job: Option<&str>, restarts: u64) -> bool {
    job.is_some() && said.job.as_deref() == job && said.restarts < restarts
}

/// The unfinished folder of a trial with its number, the highest where a race has left two.
pub(crate) fn unfinished(work: &Path, id: &str) -> Result<Option<(u64, PathBuf)>> {
    Ok(all_unfinished(work)?.into_iter().filter(|(of, ..)| of == id).map(|(_, number, dir)| (number, dir)).max())
}

/// Every unfinished folder: the trial's id, the number, the path.
pub(crate) fn all_unfinished(work: &Path) -> Result<Vec<(String, u64, PathBuf)>> {
    let entries = match std::fs::read_dir(work) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", work)(error)),
    };
    let parts = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        let (id, number) = name.to_str()?.rsplit_once('.')?;
        (!id.is_empty() && !id.starts_with('.')).then_some((id.to_owned(), number.parse().ok()?, entry.path()))
    };
    let mut found: Vec<_> = entries.flatten().filter_map(parts).collect();
    found.sort();
    Ok(found)
}

/// Makes a trial's first folder, with its lease in it; `None` where somebody was faster.
fn begin(work: &Path, id: &str) -> Result<Option<PathBuf>> {
    let new = tempfile::Builder::new().prefix(&format!(".{id}.")).tempdir_in(work).map_err(Error::file("make a folder in", work))?;
    say(new.path(), &Progress::default(), &machine::now(), None)?;
    let dir = work.join(format!("{id}.1"));
    match std::fs::rename(new.path(), &dir) {
        Ok(()) => {
            // It is a folder of another name now, not one to be deleted.
            let _ = new.keep();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                // A temporary folder is its maker's alone; results are for whoever may read the folder around them.
                if let Ok(around) = std::fs::metadata(work) {
                    let _ = std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(around.permissions().mode() & 0o7777));
                }
            }
            Ok(Some(dir))
        }
        Err(error) if lost_race(&error) => Ok(None),
        Err(error) => Err(Error::file("make the folder", &dir)(error)),
    }
}

/// Writes the lease; no sync, as after a crash of the machine its holder is dead anyway.
fn say(dir: &Path, progress: &Progress, since: &str, rate: Option<f64>) -> Result<()> {
    let job = progress.job.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let said = Said {
        holder: Holder::here(),
        since: since.to_owned(),
        at: machine::now(),
        step: progress.step.load(Ordering::Relaxed),
        steps: progress.steps.load(Ordering::Relaxed),
        loss: progress.loss(),
        rate,
        job,
        restarts: progress.restarts.load(Ordering::Relaxed),
    };
    let text = serde_json::to_vec(&said).map_err(|error| Error::Other(error.to_string()))?;
    files::write_bytes_unsynced(&dir.join(LEASE), &text)
}

/// Puts a copy in the place of a file, so that one who still has it open writes where nobody reads.
fn renew(path: &Path) -> Result<()> {
    match std::fs::read(path) {
        Ok(bytes) => files::write_bytes(path, &bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// How long ago a file was written, by the clock of its file system.
fn age(path: &Path) -> Option<Duration> {
    let written = std::fs::metadata(path).ok()?.modified().ok()?;
    let now = tempfile::tempfile_in(path.parent()?).ok()?.metadata().ok()?.modified().ok()?;
    Some(now.duration_since(written).unwrap_or_default())
}

/// Whether a rename failed for somebody else's being faster.
pub(crate) fn lost_race(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::DirectoryNotEmpty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(out: &Path) -> Taken {
        Lease::take(&out.join("work"), "abc", &out.join("trials/abc")).unwrap()
    }

    fn mine(out: &Path) -> Lease {
        match take(out) {
            Taken::Mine(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    /// Makes the holder of a trial one that is dead.
    fn kill(lease: &Lease) {
        let path = lease.dir().join(LEASE);
        let mut said: Said = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        said.holder.begun = said.holder.begun.map(|begun| begun + 1);
        std::fs::write(&path, serde_json::to_vec(&said).unwrap()).unwrap();
    }

    #[test]
    fn one_of_many_gets_a_trial() {
        let out = tempfile::tempdir().unwrap();
        let taken: Vec<Taken> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| take(out.path()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|taken| matches!(taken, Taken::Mine(_))).count(), 1);
        assert_eq!(taken.iter().filter(|taken| matches!(taken, Taken::Held(_))).count(), 7);
        assert_eq!(all_unfinished(&out.path().join("work")).unwrap().len(), 1);
    }

    #[test]
    fn what_is_committed_has_ended_and_is_whole() {
        let out = tempfile::tempdir().unwrap();
        let lease = mine(out.path());
        std::fs::write(lease.dir().join("facts"), "all").unwrap();
        assert!(lease.commit().unwrap());
        assert!(matches!(take(out.path()), Taken::Ended));
        assert_eq!(std::fs::read_dir(out.path().join("trials/abc")).unwrap().count(), 1);
        assert!(all_unfinished(&out.path().join("work")).unwrap().is_empty());
    }

    #[test]
    fn what_was_given_back_is_gone_on_with() {
        let out = tempfile::tempdir().unwrap();
        let lease = mine(out.path());
        std::fs::write(lease.dir().join("checkpoint"), "half").unwrap();
        drop(lease);
        let again = mine(out.path());
        assert_eq!(std::fs::read_to_string(again.dir().join("checkpoint")).unwrap(), "half");
    }

    #[test]
    fn one_of_many_takes_over_from_the_dead_and_the_late_writer_changes_nothing() {
        let out = tempfile::tempdir().unwrap();
        let late = mine(out.path());
        std::fs::write(late.dir().join(LOG), "before\n").unwrap();
        let mut open = std::fs::OpenOptions::new().append(true).open(late.dir().join(LOG)).unwrap();
        kill(&late);
        let taken: Vec<Taken> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| take(out.path()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut holders: Vec<Lease> = taken.into_iter().filter_map(|taken| if let Taken::Mine(lease) = taken { Some(lease) } else { None }).collect();
        assert_eq!(holders.len(), 1);
        let holder = holders.remove(0);
        assert!(late.is_lost() && !holder.is_lost());
        std::io::Write::write_all(&mut open, b"late\n").unwrap();
        assert!(files::write_bytes(&late.dir().join("checkpoint.1"), b"late").is_err());
        assert!(!late.commit().unwrap());
        assert_eq!(std::fs::read_to_string(holder.dir().join(LOG)).unwrap(), "before\n");
        assert!(holder.commit().unwrap());
    }

    #[test]
    fn one_who_waits_gets_the_trial_of_a_silent_holder_and_not_of_one_who_speaks() {
        let out = tempfile::tempdir().unwrap();
        let lease = mine(out.path());
        let wait = || outwait(PATIENCE, &AtomicBool::new(false), || Ok(take(out.path()))).unwrap();
        assert!(matches!(wait(), Taken::Held(_)), "this process speaks");
        drop(lease);
        let path = mine(out.path()).dir().join(LEASE);
        let elsewhere = Said { holder: Holder { host: "elsewhere".into(), ..Holder::default() }, ..Said::default() };
        std::fs::write(&path, serde_json::to_vec(&elsewhere).unwrap()).unwrap();
        let nearly = std::time::SystemTime::now() - SILENCE + Duration::from_secs(1);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(nearly).unwrap();
        assert!(matches!(take(out.path()), Taken::Held(_)));
        assert!(matches!(wait(), Taken::Mine(_)));
    }

    #[test]
    fn one_who_waits_for_a_holder_that_says_nothing_gives_up_in_time() {
        let mut looks = 0;
        let silent = || {
            looks += 1;
            assert!(looks < 3, "the time is over");
            Ok(Taken::Held(Box::default()))
        };
        assert!(matches!(outwait(Duration::ZERO, &AtomicBool::new(false), silent), Ok(Taken::Held(_))));
    }

    #[test]
    fn a_job_that_was_started_again_knows_its_earlier_life_and_no_other() {
        let said = Said { job: Some("7_3".into()), restarts: 1, ..Said::default() };
        assert!(earlier_life(&said, Some("7_3"), 2));
        assert!(!earlier_life(&said, Some("7_3"), 1));
        assert!(!earlier_life(&said, Some("7_4"), 2));
        assert!(!earlier_life(&Said::default(), None, 2));
    }

    #[test]
    fn one_elsewhere_that_speaks_is_left_alone_and_one_long_silent_is_not() {
        let out = tempfile::tempdir().unwrap();
        let lease = mine(out.path());
        let path = lease.dir().join(LEASE);
        let mut said: Said = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        said.holder.host = "elsewhere".into();
        std::fs::write(&path, serde_json::to_vec(&said).unwrap()).unwrap();
        assert!(matches!(take(out.path()), Taken::Held(by) if by.holder.host == "elsewhere"));
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::SystemTime::now() - 2 * SILENCE).unwrap();
        assert!(matches!(take(out.path()), Taken::Mine(_)));
    }
}
