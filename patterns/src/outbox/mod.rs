//! The transactional outbox: a message is published if, and only if, its transaction commits.
//!
//! The application stages messages in its own transaction. A [`Relay`], in the same process or another, publishes them in
//! order per key, as committed, and removes each when the broker has confirmed it. A crash in between publishes some again
//! with the same id: where the broker deduplicates, they are stored once; elsewhere the consumer's inbox knows them.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use anybroker_core::{Message, Topic};
//! use anybroker_patterns::database::Sqlite;
//! use anybroker_patterns::outbox::Outbox;
//!
//! let database = Sqlite::open("shop.db").await?;
//! database.migrate().await?;
//! let outbox = Outbox::new(database.clone(), Topic::new("orders")?);
//!
//! let mut transaction = database.pool().begin().await?;
//! // … the application's own statements …
//! outbox.stage(&mut transaction, Message::new("3 apples").with_key("order-7")).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```

mod component;
#[cfg(feature = "postgres-log")]
pub mod log;
#[cfg(feature = "postgres")]
mod postgres;
pub mod relay;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;

use std::fmt;

use anybroker_core::{Message, Result, Topic};

pub(crate) use component::OUTBOX;
#[cfg(feature = "postgres-log")]
pub use log::PostgresLog;
pub use relay::{Relay, RelayOptions};
pub use row::Row;
pub use store::{Batch, COUNTED, Finished, Limit, Quarantined, Refused, Status, Store, Taken};

/// Stages messages for a topic.
#[derive(Clone)]
pub struct Outbox<S> {
    store: S,
    topic: Topic,
}

impl<S: Store> Outbox<S> {
    /// The outbox of a database, for a topic.
    pub fn new(store: S, topic: Topic) -> Self {
        Outbox { store, topic }
    }

    /// Stages a message in the caller's transaction.
    ///
    /// On PostgreSQL a second transaction that stages for the same key waits here until the first has ended, so that the
    /// order of the key is the order of the commits. Stage last, and keep the transaction short.
    ///
    /// # Errors
    /// `InvalidConfiguration` (the message breaks a rule), `NotFound` (the tables are missing), `Throttled` (the
    /// transaction must be done again), `Disconnected`. The transaction can only be rolled back then.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn stage(&self, connection: &mut S::Connection, message: Message) -> Result<()> {
        self.store.stage(connection, vec![Row::new(&self.topic, message)?]).await
    }

    /// Stages many messages, in order.
    ///
    /// # Errors
    /// As [`stage`](Self::stage).
    ///
    /// # Cancel safety
    /// As [`stage`](Self::stage).
    pub async fn stage_all(
        &self,
        connection: &mut S::Connection,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<()> {
        let rows: Vec<_> =
            messages.into_iter().map(|message| Row::new(&self.topic, message)).collect::<Result<_>>()?;
        self.store.stage(connection, rows).await
    }
}

impl<S> fmt::Debug for Outbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("topic", &self.topic).finish_non_exhaustive()
    }
}
