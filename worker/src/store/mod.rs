//! What a worker remembers beside the broker: which messages took effect, and which keys are parked.

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::time::Duration;

use anybroker_core::{Group, Key, MessageId, Result, Topic};
use async_trait::async_trait;

pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// Remembers which messages a group has handled.
///
/// # For implementors
/// Every method is one atomic step, also between processes. An error makes the message come again.
#[async_trait]
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Claims a message for `lease`, unless it is done or claimed.
    ///
    /// # Errors
    /// Whatever the store fails with.
    ///
    /// # Cancel safety
    /// A cancelled call may have claimed it; the claim ends with the lease.
    async fn begin(&self, group: &Group, id: &MessageId, lease: Duration) -> Result<Begin>;

    /// The message has taken effect: it is done.
    ///
    /// # Errors
    /// Whatever the store fails with.
    ///
    /// # Cancel safety
    /// A cancelled call may have noted it.
    async fn complete(&self, group: &Group, id: &MessageId) -> Result<()>;

    /// The message has failed: the claim ends.
    ///
    /// # Errors
    /// Whatever the store fails with; the claim then ends with its lease.
    ///
    /// # Cancel safety
    /// A cancelled call may have ended it.
    async fn abandon(&self, group: &Group, id: &MessageId) -> Result<()>;
}

/// What a store says of a message that is to be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is claimed: handle it.
    Claimed,
    /// It took effect before.
    Done,
    /// Somebody handles it at this moment; the claim ends by itself after this time.
    InWork(Duration),
}

/// Remembers the keys of which a message is in the dead letter topic, and what is parked behind it.
///
/// # For implementors
/// Every method is one atomic step, also between processes. An error makes the message wait and come again.
#[async_trait]
pub trait ParkingStore: Send + Sync + 'static {
    /// Says whether a message may be handled. If an earlier one of its key is parked, this one is noted behind it.
    ///
    /// # Errors
    /// Whatever the store fails with.
    ///
    /// # Cancel safety
    /// A cancelled call may have noted it; the next one says the same.
    async fn admit(&self, lot: &Lot<'_>, id: &MessageId) -> Result<Admission>;

    /// Parks a key: this message of it is about to become a dead letter. Parking it again changes nothing.
    ///
    /// # Errors
    /// Whatever the store fails with.
    ///
    /// # Cancel safety
    /// A cancelled call may have parked it.
    async fn park(&self, lot: &Lot<'_>, id: &MessageId) -> Result<()>;

    /// A parked message was handled after its replay, or discarded: the next one behind it is the first. A message that is
    /// not parked changes nothing.
    ///
    /// # Errors
    /// Whatever the store fails with.
    ///
    /// # Cancel safety
    /// A cancelled call may have let it go.
    async fn leave(&self, lot: &Lot<'_>, id: &MessageId) -> Result<()>;
}

/// Whose messages are parked together: a key, for a group of a topic.
#[derive(Clone, Copy, Debug)]
pub struct Lot<'a> {
    /// The topic that they were consumed from.
    pub topic: &'a Topic,
    /// The consumer group.
    pub group: &'a Group,
    /// Their key.
    pub key: &'a Key,
}

/// Whether a message may be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Nothing of its key is parked.
    Free,
    /// It is the first of its key's parked messages: it was replayed, or its process died.
    First,
    /// It is to be parked; this is the first of its key.
    Behind(MessageId),
}
