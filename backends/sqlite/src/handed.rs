//! What a member has handed out, in a file of its own: written before the application sees a message, without waiting for
//! the disk. So it survives the member's sudden end, whatever it dies of, and whoever finds it dead counts the attempts.
//! A power cut may lose it; then those attempts are not counted.
//!
//! Entries of 32 bytes, little endian: partition's id (8), epoch of the ownership (8), offset (8), attempt (4), check (4).

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::lock;

/// A message in somebody's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) partition: i64,
    pub(crate) epoch: i64,
    pub(crate) offset: u64,
    /// 1 for its first delivery.
    pub(crate) attempt: u32,
}

const ENTRY: usize = 32;
/// Bytes after which what is acknowledged by now is left out.
const COMPACT: u64 = 1 << 20;

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.partition.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.attempt.to_le_bytes());
        let check = check(&bytes[..28]);
        bytes[28..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// None for what was written in part.
    fn from_bytes(bytes: &[u8; ENTRY]) -> Option<Self> {
        let eight = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        let four = |at: usize| bytes[at..at + 4].try_into().map(u32::from_le_bytes).ok();
        let (partition, epoch, offset) = (eight(0)? as i64, eight(8)? as i64, eight(16)?);
        let whole = four(28)? == check(&bytes[..28]);
        whole.then_some(Entry { partition, epoch, offset, attempt: four(24)? })
    }
}

/// FNV-1a: tells what was torn by a power cut.
fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The file that a living member writes.
#[derive(Debug)]
pub(crate) struct Handed {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    bytes: u64,
}

impl Handed {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create(&path)?;
        Ok(Handed { path, state: Mutex::new(State { file, bytes: 0 }) })
    }

    /// Notes what is about to be handed out. Touches files: not for tasks.
    pub(crate) fn note(&self, connection: &Connection, group: i64, entries: &[Entry]) -> io::Result<()> {
        let mut state = lock(&self.state);
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_bytes()).collect();
        state.file.write_all(&bytes)?;
        state.bytes += bytes.len() as u64;
        if state.bytes > COMPACT {
            *state = self.compact(connection, group).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Writes the file anew with what is still in hand, and puts it in the old one's place.
    fn compact(
        &self,
        connection: &Connection,
        group: i64,
    ) -> Result<State, Box<dyn std::error::Error + Send + Sync>> {
        let open = open_ones(connection, group, read(&self.path)?)?;
        let bytes: Vec<u8> = open.iter().flat_map(|entry| entry.to_bytes()).collect();
        let new = self.path.with_extension("new");
        std::fs::write(&new, &bytes)?;
        std::fs::rename(&new, &self.path)?;
        let file = OpenOptions::new().append(true).open(&self.path)?;
        // What is in hand for long stays in it; the next time comes when as much again has been written.
        Ok(State { file, bytes: 0 })
    }

    /// Takes the file away: the member has ended in good order.
    pub(crate) fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What a member has handed out; an entry that was not written whole was not handed out either.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes.as_chunks::<ENTRY>().0.iter().filter_map(Entry::from_bytes).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Those that are not acknowledged and were received under the present ownership, each once with its highest attempt.
pub(crate) fn open_ones(
    connection: &Connection,
    group: i64,
    entries: Vec<Entry>,
) -> rusqlite::Result<Vec<Entry>> {
    let mut highest: HashMap<(i64, u64), Entry> = HashMap::new();
    for entry in entries {
        let known = highest.entry((entry.partition, entry.offset)).or_insert(entry);
        if (entry.epoch, entry.attempt) > (known.epoch, known.attempt) {
            *known = entry;
        }
    }
    let mut cursor = connection
        .prepare_cached("SELECT done_below, epoch FROM cursors WHERE partition = ?1 AND grp = ?2")?;
    let mut done = connection
        .prepare_cached("SELECT 1 FROM done WHERE partition = ?1 AND grp = ?2 AND position = ?3")?;
    let mut open = Vec::new();
    for entry in highest.into_values() {
        let at: Option<(i64, i64)> = cursor
            .query_row(params![entry.partition, group], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let waits = at.is_some_and(|(below, epoch)| entry.offset >= below as u64 && entry.epoch == epoch);
        if waits && !done.exists(params![entry.partition, group, entry.offset as i64])? {
            open.push(entry);
        }
    }
    open.sort_unstable_by_key(|entry| (entry.partition, entry.offset));
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_torn_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("member");
        let entry = |offset| Entry { partition: 3, epoch: 7, offset, attempt: 2 };
        let mut bytes: Vec<u8> = [entry(1), entry(2)].iter().flat_map(|e| e.to_bytes()).collect();
        bytes.extend_from_slice(&[0; ENTRY]);
        bytes.extend_from_slice(&entry(3).to_bytes()[..20]);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path).unwrap(), [entry(1), entry(2)]);
        assert_eq!(read(&directory.path().join("missing")).unwrap(), []);
    }
}
