//! A store in a SQLite file: the processes of one host share it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anybroker_core::{Error, Group, Kind, MessageId, Result};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Admission, Begin, IdempotencyStore, Lot, ParkingStore};

/// Remembers in a file, committed and synced before a message is acknowledged. Done messages are forgotten when they are
/// older than the retention.
#[derive(Clone)]
pub struct SqliteStore {
    path: PathBuf,
    retention: Duration,
    connection: Arc<Mutex<Connection>>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS worker_messages (
        consumer_group TEXT NOT NULL, message TEXT NOT NULL, claimed_until INTEGER, done_at INTEGER,
        PRIMARY KEY (consumer_group, message)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS worker_messages_done ON worker_messages (done_at) WHERE done_at IS NOT NULL;
    CREATE TABLE IF NOT EXISTS worker_parked (
        place INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, consumer_group TEXT NOT NULL,
        key BLOB NOT NULL, message TEXT NOT NULL, UNIQUE (topic, consumer_group, key, message));";

/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(10);
/// How many forgotten messages go with each new one.
const SWEEP: u32 = 10;

impl SqliteStore {
    /// Opens the file, or makes it. `retention` is to be longer than a message can take to come again, its stay in the dead
    /// letter topic included.
    ///
    /// # Errors
    /// `Unexpected`, with SQLite's reason: the folder is not there, the file is no database.
    pub fn open(path: impl AsRef<Path>, retention: Duration) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let connection = Self::connect(&path).map_err(|error| failed(&path, "open the store", error))?;
        Ok(SqliteStore { path, retention, connection: Arc::new(Mutex::new(connection)) })
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(connection)
    }

    /// Runs a transaction beside the runtime's threads.
    async fn within<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.connection.clone();
        let run = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit().map(|()| value)
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result.map_err(|error| failed(&self.path, operation, error)),
            Err(panic) => {
                Err(Error::new(Kind::Unexpected, operation, "the store panicked").with_source(panic))
            }
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

fn failed(path: &Path, operation: &'static str, error: rusqlite::Error) -> Error {
    let error = Error::new(Kind::Unexpected, operation, "SQLite fails").with_source(error);
    error.on(path.display().to_string()).with_retryable(true)
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}

#[async_trait]
impl IdempotencyStore for SqliteStore {
    async fn begin(&self, group: &Group, id: &MessageId, lease: Duration) -> Result<Begin> {
        let (group, id) = (group.to_string(), id.to_string());
        let begin = move |transaction: &Transaction<'_>| {
            let now = now();
            const FIND: &str = "SELECT claimed_until, done_at FROM worker_messages WHERE consumer_group = ?1 AND message = ?2";
            let found = transaction.prepare_cached(FIND)?.query_row([&group, &id], |row| {
                Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
            });
            match found.optional()? {
                Some((_, Some(_))) => return Ok(Begin::Done),
                Some((Some(until), None)) if until > now => {
                    return Ok(Begin::InWork(Duration::from_millis((until - now) as u64)));
                }
                _ => {}
            }
            const CLAIM: &str = "INSERT OR REPLACE INTO worker_messages VALUES (?1, ?2, ?3, NULL)";
            let until = now.saturating_add(lease.as_millis() as i64);
            transaction.prepare_cached(CLAIM)?.execute(params![group, id, until])?;
            Ok(Begin::Claimed)
        };
        self.within("claim a message", begin).await
    }

    async fn complete(&self, group: &Group, id: &MessageId) -> Result<()> {
        let (group, id) = (group.to_string(), id.to_string());
        let oldest = now().saturating_sub(self.retention.as_millis() as i64);
        let complete = move |transaction: &Transaction<'_>| {
            const DONE: &str = "INSERT OR REPLACE INTO worker_messages VALUES (?1, ?2, NULL, ?3)";
            transaction.prepare_cached(DONE)?.execute(params![group, id, now()])?;
            const FORGET: &str = "DELETE FROM worker_messages WHERE (consumer_group, message) IN (
                SELECT consumer_group, message FROM worker_messages WHERE done_at < ?1 LIMIT ?2)";
            transaction.prepare_cached(FORGET)?.execute(params![oldest, SWEEP]).map(drop)
        };
        self.within("note a message as done", complete).await
    }

    async fn abandon(&self, group: &Group, id: &MessageId) -> Result<()> {
        let (group, id) = (group.to_string(), id.to_string());
        let abandon = move |transaction: &Transaction<'_>| {
            const FREE: &str =
                "DELETE FROM worker_messages WHERE consumer_group = ?1 AND message = ?2 AND done_at IS NULL";
            transaction.prepare_cached(FREE)?.execute([&group, &id]).map(drop)
        };
        self.within("give a claim up", abandon).await
    }
}

/// A lot and a message as the table has them.
struct Place {
    topic: String,
    group: String,
    key: Vec<u8>,
    message: String,
}

impl Place {
    fn of(lot: &Lot<'_>, id: &MessageId) -> Self {
        let (topic, group) = (lot.topic.to_string(), lot.group.to_string());
        Place { topic, group, key: lot.key.as_bytes().to_vec(), message: id.to_string() }
    }

    fn park(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        const PARK: &str = "INSERT OR IGNORE INTO worker_parked (topic, consumer_group, key, message) VALUES (?1, ?2, ?3, ?4)";
        let values = params![self.topic, self.group, self.key, self.message];
        transaction.prepare_cached(PARK)?.execute(values).map(drop)
    }

    fn first(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Option<String>> {
        const FIRST: &str = "SELECT message FROM worker_parked
            WHERE topic = ?1 AND consumer_group = ?2 AND key = ?3 ORDER BY place LIMIT 1";
        let values = params![self.topic, self.group, self.key];
        transaction.prepare_cached(FIRST)?.query_row(values, |row| row.get(0)).optional()
    }
}

#[async_trait]
impl ParkingStore for SqliteStore {
    async fn admit(&self, lot: &Lot<'_>, id: &MessageId) -> Result<Admission> {
        let place = Place::of(lot, id);
        let admit = move |transaction: &Transaction<'_>| match place.first(transaction)? {
            None => Ok(Admission::Free),
            Some(first) if first == place.message => Ok(Admission::First),
            Some(first) => place.park(transaction).map(|()| Admission::Behind(first.into())),
        };
        self.within("look for parked messages", admit).await
    }

    async fn park(&self, lot: &Lot<'_>, id: &MessageId) -> Result<()> {
        let place = Place::of(lot, id);
        self.within("park a key", move |transaction| place.park(transaction)).await
    }

    async fn leave(&self, lot: &Lot<'_>, id: &MessageId) -> Result<()> {
        let place = Place::of(lot, id);
        let leave = move |transaction: &Transaction<'_>| {
            const LEAVE: &str = "DELETE FROM worker_parked
                WHERE topic = ?1 AND consumer_group = ?2 AND key = ?3 AND message = ?4";
            let values = params![place.topic, place.group, place.key, place.message];
            transaction.prepare_cached(LEAVE)?.execute(values).map(drop)
        };
        self.within("let a parked message go", leave).await
    }
}
