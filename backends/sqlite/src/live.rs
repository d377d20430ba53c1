//! Who lives: small files beside the database that are kept locked by the operating system for as long as their owner
//! lives, and not a moment longer, whatever it dies of.
//!
//! In the directory `FILE-live`: `wake-…` of every process that has the database open, written to after every commit that
//! others may wait for; `member-…` of every member of a group; `handed/…`, what that member has handed out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anybroker_core::MessageId;

pub(crate) const WAKE: &str = "wake-";
pub(crate) const MEMBER: &str = "member-";
const HANDED: &str = "handed";
/// Files younger than this may not be locked yet by whom they belong to.
const YOUNG: Duration = Duration::from_secs(60);

/// This process's presence at the database.
#[derive(Debug)]
pub(crate) struct Live {
    directory: PathBuf,
    wake: Presence,
}

/// A file that is locked for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) name: String,
    path: PathBuf,
    file: File,
}

impl Presence {
    fn new(directory: &Path, prefix: &str) -> io::Result<Self> {
        let name = format!("{prefix}{}", MessageId::new());
        let path = directory.join(&name);
        // Open for writing: closing it, also by dying, is then an event that others are told of.
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        // Somebody who looks whether it is locked may hold it for a moment.
        file.lock()?;
        write!(file, "{}", std::process::id())?;
        Ok(Presence { name, path, file })
    }

    fn touch(&self) -> io::Result<()> {
        (&self.file).rewind()?;
        write!(&self.file, "{}", std::process::id())
    }

    /// Takes the file away: its owner has ended in good order.
    pub(crate) fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Live {
    /// Makes this process known at the database at `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut directory = path.as_os_str().to_owned();
        directory.push("-live");
        let directory = PathBuf::from(directory);
        std::fs::create_dir_all(directory.join(HANDED))?;
        let wake = Presence::new(&directory, WAKE)?;
        Ok(Live { directory, wake })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The name of the file that this process writes to.
    pub(crate) fn own(&self) -> &str {
        &self.wake.name
    }

    /// Wakes the other processes.
    pub(crate) fn touch(&self) {
        // Whoever misses it looks by itself within a second.
        let _ = self.wake.touch();
    }

    /// A new member of a group.
    pub(crate) fn member(&self) -> io::Result<Presence> {
        Presence::new(&self.directory, MEMBER)
    }

    /// Where a member writes what it hands out.
    pub(crate) fn handed(&self, member: &str) -> PathBuf {
        self.directory.join(HANDED).join(member)
    }

    /// The member's file, locked by us, if nobody else holds it: it is dead. Keep it until that is dealt with.
    pub(crate) fn dead(&self, member: &str) -> io::Result<Option<Corpse>> {
        let path = self.directory.join(member);
        let file = match File::open(&path) {
            Ok(file) => match file.try_lock() {
                Ok(()) => Some(file),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            },
            // Somebody took it away: without it nobody can tell that the member lives.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Some(Corpse { member: path, handed: self.handed(member), _file: file }))
    }

    /// The processes that have the database open, by their numbers; without this one.
    pub(crate) fn others(&self) -> io::Result<Vec<String>> {
        let mut others = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let wake = name.to_str().is_some_and(|name| name.starts_with(WAKE) && name != self.own());
            if wake && is_locked(&entry.path()) {
                others.push(std::fs::read_to_string(entry.path()).unwrap_or_default());
            }
        }
        Ok(others)
    }

    /// Whether a lock that one holds is refused to another, as everything here rests on.
    pub(crate) fn locks_work(&self) -> io::Result<bool> {
        let other = File::open(self.directory.join(self.own()))?;
        match other.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// How long the disk takes to sync a page.
    pub(crate) fn time_of_a_sync(&self) -> io::Result<Duration> {
        let path = self.directory.join(format!("sync-{}", MessageId::new()));
        let mut file = File::create(&path)?;
        let began = Instant::now();
        let synced = file.write_all(&[0; 4096]).and_then(|()| file.sync_all());
        let took = began.elapsed();
        let _ = std::fs::remove_file(&path);
        synced.map(|()| took)
    }

    /// Takes away what dead processes and members left behind; `known` are members that somebody has yet to deal with.
    pub(crate) fn tidy(&self, known: &[String]) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|n| n.starts_with(WAKE) || n.starts_with(MEMBER)) else {
                continue;
            };
            let old = entry.metadata()?.modified()?.elapsed_at_least(YOUNG);
            if old && !known.iter().any(|known| known == name) && !is_locked(&entry.path()) {
                let _ = std::fs::remove_file(entry.path());
                let _ = std::fs::remove_file(self.handed(name));
            }
        }
        Ok(())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.wake.remove();
    }
}

trait Age {
    fn elapsed_at_least(self, age: Duration) -> bool;
}

impl Age for SystemTime {
    fn elapsed_at_least(self, age: Duration) -> bool {
        self.elapsed().is_ok_and(|elapsed| elapsed >= age)
    }
}

fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// What a dead member left behind. While we hold it, nobody else deals with it.
#[derive(Debug)]
pub(crate) struct Corpse {
    member: PathBuf,
    pub(crate) handed: PathBuf,
    _file: Option<File>,
}

impl Corpse {
    /// It is dealt with.
    pub(crate) fn bury(self) {
        let _ = std::fs::remove_file(&self.handed);
        let _ = std::fs::remove_file(&self.member);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_dead_when_its_lock_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let live = Live::open(&directory.path().join("a.db")).unwrap();
        let member = live.member().unwrap();
        let name = member.name.clone();
        assert!(live.dead(&name).unwrap().is_none());
        drop(member);
        let corpse = live.dead(&name).unwrap().unwrap();
        assert!(live.dead(&name).unwrap().is_none(), "one at a time deals with it");
        corpse.bury();
        assert!(live.dead(&name).unwrap().is_some(), "without its file it counts as dead");
    }

    #[test]
    fn the_other_processes_are_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let live = Live::open(&path).unwrap();
        assert!(live.others().unwrap().is_empty());
        let other = Live::open(&path).unwrap();
        assert_eq!(live.others().unwrap(), [std::process::id().to_string()]);
        drop(other);
        assert!(live.others().unwrap().is_empty());
    }
}
