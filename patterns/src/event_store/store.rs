//! What a database must do for the event store.

use std::fmt::Debug;
use std::sync::Arc;

use anybroker_core::{Bytes, Result, async_trait};
use tokio::sync::Notify;

use super::Filter;
use super::event::{NewEvent, Recorded};

/// The connection of a database; a transaction dereferences to it: `&mut *transaction`.
pub type Connection<D> = <<D as Store>::Database as sqlx::Database>::Connection;

/// A transaction of a database.
pub type Transaction<D> = sqlx::Transaction<'static, <D as Store>::Database>;

/// A database with the event store's tables: [`Postgres`](crate::database::Postgres) or
/// [`Sqlite`](crate::database::Sqlite).
///
/// # For implementors
/// The rule that everything rests on: whatever has drawn a position and has not finished its transaction is among the
/// writers of a later [`look`](Store::look), and is not a moment longer than until its events are visible or gone.
#[async_trait]
pub trait Store: Debug + Clone + Send + Sync + 'static {
    /// sqlx's name of it.
    type Database: sqlx::Database;

    /// The pool that the event store takes connections from.
    fn pool(&self) -> &sqlx::Pool<Self::Database>;

    /// Looks whether the tables are there, in this program's version.
    async fn check(&self) -> Result<()>;

    /// Begins a transaction that writes.
    async fn begin(&self) -> Result<Transaction<Self>>;

    /// Appends to each stream if it has the expected version; `None` for those that were refused. Streams are distinct.
    async fn append(
        &self,
        connection: &mut Connection<Self>,
        appends: &[Append<'_>],
        notify: bool,
    ) -> Result<Vec<Option<Placed>>>;

    /// How many transactions of one appender may be under way at once; their streams are distinct.
    fn writers(&self) -> usize {
        1
    }

    /// What is known of a stream.
    async fn head(&self, connection: &mut Connection<Self>, stream: &str) -> Result<Option<Head>>;

    /// Marks a stream as archived at a time, or as not archived; false if there is no such stream.
    async fn archive(&self, connection: &mut Connection<Self>, stream: &str, at: Option<i64>)
    -> Result<bool>;

    /// The archived streams after a name, in the order of their names.
    async fn archived(
        &self,
        connection: &mut Connection<Self>,
        after: &str,
        max: usize,
    ) -> Result<Vec<(String, i64)>>;

    /// A stream's events from a version on; what does not decode is an error in its place.
    async fn read(
        &self,
        connection: &mut Connection<Self>,
        stream: &str,
        from: u64,
        max: usize,
    ) -> Result<Vec<Result<Recorded>>>;

    /// The visible events after a position. Up to `settled` only those that pass the filter; beyond it all of them.
    async fn scan(&self, connection: &mut Connection<Self>, scan: Scan<'_>) -> Result<Vec<Scanned>>;

    /// The last visible position and then, later, who is writing.
    async fn look(&self, connection: &mut Connection<Self>) -> Result<Look>;

    /// The snapshot of a stream.
    async fn snapshot(
        &self,
        connection: &mut Connection<Self>,
        stream: &str,
    ) -> Result<Option<StoredSnapshot>>;

    /// Keeps a snapshot, unless a newer one of the same code is there.
    async fn put_snapshot(
        &self,
        connection: &mut Connection<Self>,
        stream: &str,
        snapshot: &StoredSnapshot,
    ) -> Result<()>;

    /// Wakes `wake` whenever events were appended, for as long as the task runs; `None` if the database cannot.
    fn listen(&self, wake: Arc<Notify>) -> Option<tokio::task::JoinHandle<()>>;
}

/// Events for one stream.
#[derive(Clone, Debug)]
pub struct Append<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The version that it must have; `None` for any.
    pub expected: Option<u64>,
    /// At least one.
    pub events: Vec<&'a NewEvent>,
}

/// Where an append's events went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The stream's version before.
    pub base: u64,
    /// The events' positions, in their order.
    pub positions: Vec<u64>,
}

/// A stream's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The version of the last event.
    pub version: u64,
    /// When the stream was archived, in microseconds.
    pub archived_at: Option<i64>,
}

/// Which events to read.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The position after which to begin.
    pub after: u64,
    /// Up to here nothing will change any more.
    pub settled: u64,
    /// What the reader wants.
    pub filter: &'a Filter,
    /// How many rows at most.
    pub max: usize,
}

/// A row of the order of all events.
#[derive(Debug)]
pub struct Scanned {
    /// Its position.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Where it is in its stream.
    pub version: u64,
    /// The event, if it decodes.
    pub event: Result<Recorded>,
}

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The last position that was visible before the writers were looked for.
    pub newest: u64,
    /// The transactions that may have drawn a position up to `newest` and not finished.
    pub writers: Vec<String>,
}

/// A snapshot's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The version of the last event in it.
    pub version: u64,
    /// The version of the code that made it.
    pub snapshot_version: u32,
    /// When it was made, in microseconds.
    pub taken_at: i64,
    /// The state.
    pub data: Bytes,
}
