//! The idempotent consumer: a message takes effect once, however often it is delivered.
//!
//! [`Inbox::once`] notes the message in the transaction of its effect: both are committed, or neither is. Where the effect
//! is elsewhere, the same table serves the worker's [`Idempotency`](anybroker_worker::Idempotency) layer, whose note is a
//! step of its own.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # type BoxError = Box<dyn std::error::Error + Send + Sync>;
//! # async fn example(delivery: anybroker_core::Delivery) -> Result<(), BoxError> {
//! use anybroker_core::Group;
//! use anybroker_patterns::database::Sqlite;
//! use anybroker_patterns::inbox::Inbox;
//!
//! let database = Sqlite::open("shop.db").await?;
//! let inbox = Inbox::new(database.clone(), Group::new("billing")?);
//!
//! let mut transaction = database.pool().begin_with("begin immediate").await?;
//! let billed = inbox
//!     .once(&mut transaction, &delivery, async |connection| {
//!         sqlx::query("update accounts set due = due + 3").execute(connection).await?;
//!         Ok::<_, BoxError>(())
//!     })
//!     .await?;
//! transaction.commit().await?;
//! delivery.ack().await?;
//! if billed.is_none() {
//!     println!("it was delivered before");
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;

use std::fmt;
use std::time::Duration;

use anybroker_core::{Delivery, Error, Group, Kind, MessageId, Result};

use crate::database::{Component, Table};
pub use store::Store;

/// How many notes are deleted in one transaction.
const PORTION: u32 = 10_000;

pub(crate) const INBOX: Component = Component {
    name: "inbox",
    tables: &[Table { name: "inbox", columns: &["consumer", "message_id", "at", "claimed_until"] }],
    sqlite_tables: &[],
    postgres: &[include_str!("postgres.sql")],
    sqlite: &[include_str!("sqlite.sql")],
};

/// Notes which messages took effect for a consumer group.
#[derive(Clone)]
pub struct Inbox<S> {
    store: S,
    consumer: Group,
}

impl<S: Store> Inbox<S> {
    /// The inbox of a group in a database.
    pub fn new(store: S, consumer: Group) -> Self {
        Inbox { store, consumer }
    }

    /// Looks whether the table is there, unchanged.
    ///
    /// # Errors
    /// `InvalidConfiguration`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn check(&self) -> Result<()> {
        self.store.check().await
    }

    /// Runs the effect in the caller's transaction, unless the message took effect before; then it gives none. Commit the
    /// transaction, and acknowledge the delivery after that.
    ///
    /// A delivery of the same message that is being handled elsewhere is waited for: if that transaction commits, this one
    /// has nothing to do.
    ///
    /// # Errors
    /// Those of the effect; `InvalidConfiguration` (the message has neither id nor position), `Throttled` (the transaction
    /// must be done again), `NotFound` (no table), `Disconnected`. The transaction can only be rolled back then.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn once<T, E: From<Error>>(
        &self,
        connection: &mut S::Connection,
        delivery: &Delivery,
        effect: impl AsyncFnOnce(&mut S::Connection) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let id = delivery.identity().ok_or_else(nameless)?;
        if !self.first(connection, &id).await? {
            tracing::debug!(%id, consumer = %self.consumer, "the message took effect before");
            return Ok(None);
        }
        effect(connection).await.map(Some)
    }

    /// Notes a message in the caller's transaction; false if it took effect before.
    ///
    /// # Errors
    /// As [`once`](Self::once).
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn first(&self, connection: &mut S::Connection, id: &MessageId) -> Result<bool> {
        self.store.note(connection, self.consumer.as_str(), &id.to_string()).await
    }

    /// Forgets messages of every group that were noted longer ago than `age`; gives how many. A message that is delivered
    /// later than that takes effect again, so `age` is longer than the broker keeps messages and dead letters.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`; what was forgotten until then is.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn forget(&self, age: Duration) -> Result<u64> {
        let mut forgotten = 0;
        loop {
            let portion = self.store.forget(age, PORTION).await?;
            forgotten += portion;
            if portion < u64::from(PORTION) {
                return Ok(forgotten);
            }
        }
    }
}

impl<S> fmt::Debug for Inbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

fn nameless() -> Error {
    Error::new(Kind::InvalidConfiguration, "note a message", "it has neither id nor position to be known by")
        .advice("let the publisher set an id")
}
