//! The thread that writes: it takes what is queued, does it in one transaction, and answers all after one fsync.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anybroker_core::{Fate, Result};
use rusqlite::Connection;

use crate::error::Failed;
use crate::file;
use crate::live::Live;
use crate::sweep::Sweep;
use crate::wake::Wakes;

/// A transaction under way.
pub(crate) struct Transaction<'a> {
    pub(crate) sql: &'a Connection,
    /// Topics at which somebody may wait for this.
    pub(crate) changed: Vec<i64>,
    /// There is more to sweep.
    pub(crate) more: bool,
}

/// What a committed transaction came to.
struct Committed {
    changed: Vec<i64>,
    more: bool,
}

/// Something to write. Several share a transaction.
pub(crate) trait Work: Send {
    /// Does its part. Called again after a rollback: what was done before is undone then. A failure rolls it back.
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<()>;

    /// The transaction was committed, or why not.
    fn end(self: Box<Self>, ended: Result<(), &Failed>);

    /// About how many rows it writes.
    fn weight(&self) -> usize {
        1
    }
}

/// Rows in one transaction, about: it bounds how long others wait for the lock.
const GROUP: usize = 10_000;

/// Bytes in the log after which it is waited for that nobody reads it.
const LONG_LOG: u64 = 64 << 20;
/// How long that is waited for.
const SHORT: Duration = Duration::from_secs(2);
/// How long it is left alone where that was not enough.
const SHORTEN: Duration = Duration::from_secs(60);

pub(crate) struct Writer {
    pub(crate) sql: Connection,
    pub(crate) path: PathBuf,
    pub(crate) queue: Receiver<Box<dyn Work>>,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) live: Arc<Live>,
    /// When to look for messages that may go.
    pub(crate) next_sweep: Instant,
    /// When a long log may be dealt with.
    pub(crate) next_shortening: Instant,
}

impl Writer {
    /// Writes until nobody can send any more, and everything that was sent is done.
    pub(crate) fn run(mut self) {
        loop {
            match self.queue.recv_timeout(self.next_sweep.saturating_duration_since(Instant::now())) {
                Ok(first) => self.turn(vec![first]),
                Err(RecvTimeoutError::Timeout) => self.turn(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn turn(&mut self, mut group: Vec<Box<dyn Work>>) {
        if Instant::now() >= self.next_sweep {
            self.next_sweep = Instant::now() + SWEEP;
            group.insert(0, Box::new(Sweep));
        }
        let ended = self.together(&mut group);
        self.shorten_the_log();
        match ended {
            // One that fails must not take the others with it.
            Err(failed) if group.len() > 1 && !failed.is_busy() && undone(&failed) => {
                for work in group {
                    let mut alone = vec![work];
                    let ended = self.together_with(&mut alone, false);
                    self.end(alone, &ended);
                }
            }
            ended => self.end(group, &ended),
        }
    }

    /// SQLite moves the log to the database by itself, but begins it anew only at a moment at which nobody reads. When
    /// that has not come for long, it is waited for, a little and now and then, as a reader may have been stopped.
    fn shorten_the_log(&mut self) {
        if file::log_length(&self.path) < LONG_LOG || Instant::now() < self.next_shortening {
            return;
        }
        let shorten = || {
            self.sql.busy_timeout(SHORT)?;
            self.sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        };
        let busy = match shorten() {
            Ok(busy) => busy,
            Err(error) => {
                tracing::warn!(%error, "the log could not be shortened");
                true
            }
        };
        if busy {
            tracing::warn!(
                "somebody reads for long, and keeps the log from being shortened; it is tried again"
            );
            self.next_shortening = Instant::now() + SHORTEN;
        }
        let _ = file::be_patient(&self.sql);
    }

    fn end(&mut self, group: Vec<Box<dyn Work>>, ended: &Result<Committed, Failed>) {
        if let Ok(Committed { changed, more }) = ended {
            changed.iter().for_each(|topic| self.wakes.wake(*topic));
            if !changed.is_empty() {
                self.live.touch();
            }
            if *more {
                self.next_sweep = Instant::now();
            }
        }
        for work in group {
            work.end(ended.as_ref().map(|_| ()));
        }
    }

    fn together(&mut self, group: &mut Vec<Box<dyn Work>>) -> Result<Committed, Failed> {
        self.together_with(group, true)
    }

    /// Does all works in one transaction, and with `gather` also those that are queued by then.
    fn together_with(&mut self, group: &mut Vec<Box<dyn Work>>, gather: bool) -> Result<Committed, Failed> {
        let not_applied = |error| Failed::Transaction { error, fate: Fate::NotApplied };
        self.sql.execute_batch("BEGIN IMMEDIATE").map_err(not_applied)?;
        let mut transaction = Transaction { sql: &self.sql, changed: Vec::new(), more: false };
        let (mut done, mut weight) = (0, 0);
        loop {
            while let Some(work) = group.get_mut(done) {
                if let Err(error) = work.apply(&mut transaction) {
                    roll_back(&self.sql);
                    return Err(Failed::Work(error.with_fate(Fate::NotApplied)));
                }
                (done, weight) = (done + 1, weight + work.weight());
            }
            if !gather || weight >= GROUP {
                break;
            }
            match self.queue.try_recv() {
                Ok(work) => group.push(work),
                Err(_) => break,
            }
        }
        let Transaction { mut changed, more, .. } = transaction;
        changed.sort_unstable();
        changed.dedup();
        self.sql.execute_batch("COMMIT").map_err(|error| {
            roll_back(&self.sql);
            let fate = commit_fate(&error);
            Failed::Transaction { error, fate }
        })?;
        Ok(Committed { changed, more })
    }
}

fn undone(failed: &Failed) -> bool {
    failed.error("").fate() == Fate::NotApplied
}

/// SQLite may have rolled back by itself.
fn roll_back(sql: &Connection) {
    if !sql.is_autocommit() {
        let _ = sql.execute_batch("ROLLBACK");
    }
}

/// A commit that found no room or no lock wrote no commit record; after any other failure one may be on the disk.
fn commit_fate(error: &rusqlite::Error) -> Fate {
    use rusqlite::ErrorCode::{DatabaseBusy, DiskFull};
    match error.sqlite_error_code() {
        Some(DatabaseBusy | DiskFull) => Fate::NotApplied,
        _ => Fate::Unknown,
    }
}

/// How long nothing is swept after nothing was found.
pub(crate) const SWEEP: Duration = Duration::from_secs(5);
