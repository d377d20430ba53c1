//! What an outbox needs of a database.

use std::time::{Duration, SystemTime};

use anybroker_core::Result;
use async_trait::async_trait;
use futures::stream::BoxStream;

use super::Row;

/// The database that an outbox is in.
///
/// # For implementors
/// A lane's rows are read in the order of their ids, by one relay at a time. Of two messages of one key, the one whose
/// transaction commits first has the lower id, and is visible to whoever sees the other.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What a caller's transaction dereferences to.
    type Connection: Send;
    /// Rows in a relay's hands.
    type Batch: Batch;

    /// Looks whether the tables are there, unchanged, in this program's version.
    ///
    /// # Errors
    /// `InvalidConfiguration`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn check(&self) -> Result<()>;

    /// Adds rows in the caller's transaction.
    ///
    /// # Errors
    /// `Throttled` (the transaction must be done again), `NotFound` (no tables), `Disconnected`.
    ///
    /// # Cancel safety
    /// Not cancel safe: the transaction must be rolled back.
    async fn stage(&self, connection: &mut Self::Connection, rows: Vec<Row>) -> Result<()>;

    /// The lanes in which there is something to do.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn waiting(&self) -> Result<Vec<u16>>;

    /// Takes the next rows of lanes, but of those that another relay has; none if there are no rows.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`, `Decode`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn take(&self, relay: &str, lanes: &[u16], limit: Limit) -> Result<Option<Self::Batch>>;

    /// Lanes to look at, as soon as something was committed to them. It may end or miss some.
    ///
    /// # Errors
    /// `Disconnected`; `Unsupported` if the database tells nobody.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn wakes(&self) -> Result<BoxStream<'static, u16>>;

    /// How often to look if nothing wakes the relay.
    fn poll(&self) -> Duration;

    /// How much there is, without counting more than a bound.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn status(&self) -> Result<Status>;

    /// Rows that were set aside, by id, after one.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn quarantined(&self, after: i64, most: u32) -> Result<Vec<Quarantined>>;

    /// Lets a row that was set aside, and those of its key behind it, be published again. False if there is none.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// A cancelled call may have done it.
    async fn retry(&self, id: i64) -> Result<bool>;

    /// Throws away a row that was set aside, and lets those of its key behind it be published. False if there is none.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// A cancelled call may have done it.
    async fn discard(&self, id: i64) -> Result<bool>;
}

/// Rows in a relay's hands, each lane's in order. Dropped, they are as they were.
#[async_trait]
pub trait Batch: Send + 'static {
    /// Takes the rows out. Of those that are `behind` a quarantined one, nothing is to be published.
    fn rows(&mut self) -> Vec<Taken>;

    /// Tells other relays that this one is alive.
    ///
    /// # Errors
    /// `Fenced`: another relay has taken over; what is under way must be given up.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn keep(&mut self) -> Result<()>;

    /// Ends: what is done goes, what is refused is set aside, and the rest is as it was.
    ///
    /// # Errors
    /// `Disconnected`, `Fenced`: all is as it was, and rows that were published are published again.
    ///
    /// # Cancel safety
    /// A cancelled call may have ended it.
    async fn finish(self, done: Finished) -> Result<()>;
}

/// A row that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The row.
    pub row: Row,
    /// An earlier row of its key and topic is set aside.
    pub behind: bool,
}

/// What became of the rows of a batch.
#[derive(Debug, Default)]
pub struct Finished {
    /// Rows that the broker has confirmed.
    pub done: Vec<i64>,
    /// Rows to set aside.
    pub refused: Vec<Refused>,
    /// Rows that were not published, to be tried again.
    pub back: Vec<Row>,
}

/// A row that is set aside.
#[derive(Debug)]
pub struct Refused {
    /// The row.
    pub row: Row,
    /// Why.
    pub reason: String,
    /// It is not to blame: it follows an earlier one of its key.
    pub behind: bool,
}

/// How much is taken of a lane at once: at least one row.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The most rows.
    pub rows: u32,
    /// The most bytes, about.
    pub bytes: u64,
}

/// How an outbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Rows that wait; if there are more than [`COUNTED`], that many and one.
    pub backlog: u64,
    /// When the oldest of them was staged.
    pub oldest: Option<SystemTime>,
    /// Rows that were set aside; bounded likewise.
    pub quarantined: u64,
}

/// How far rows are counted.
pub const COUNTED: u64 = 100_000;

/// A row that was set aside.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// The row.
    pub row: Row,
    /// Why, in the words of whoever refused it.
    pub reason: String,
    /// It only follows an earlier one of its key.
    pub behind: bool,
    /// When.
    pub at: SystemTime,
}
