//! The event store: what happened to each aggregate, in streams, and in one order for all who follow.
//!
//! - [`EventStore::append`] works in the caller's own transaction, with an expected version; a conflict is a typed error.
//! - [`EventStore::subscribe`] gives every event once, in the order of positions, and then goes on live. No event is lost
//!   although transactions commit in another order than they draw positions.
//! - [`Appender`] puts the appends of many tasks into few transactions.
//! - [`Repository`] loads an [`Aggregate`], lets it decide, and appends, again if somebody was faster.
//!
//! ```
//! use anybroker_patterns::database::Sqlite;
//! use anybroker_patterns::event_store::{AppendError, EventStore, Expected, NewEvent};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("shop.db");
//! let database = Sqlite::open(path).await?;
//! database.migrate().await?;
//! let store = EventStore::open(database).await?;
//!
//! let mut transaction = store.begin().await?;
//! let placed = NewEvent::new("order.placed", 1, r#"{"cents":250}"#);
//! store.append(&mut transaction, "order-7", Expected::NoStream, &[placed.clone()]).await?;
//! // … the application's own statements, in the same transaction …
//! transaction.commit().await?;
//!
//! let mut transaction = store.begin().await?;
//! let refused = store.append(&mut transaction, "order-7", Expected::NoStream, &[placed]).await;
//! assert!(matches!(refused, Err(AppendError::Conflict { actual: 1, .. })));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod aggregate;
mod append;
mod appender;
mod appender_batch;
mod appender_write;
mod archive;
mod component;
pub(crate) mod event;
mod expected;
mod export;
mod filter;
mod horizon;
mod import;
mod line;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_append;
#[cfg(feature = "postgres")]
mod postgres_copy;
mod read;
mod reader;
mod repository;
mod rows;
mod snapshot;
#[cfg(feature = "sqlite")]
mod sqlite;
pub mod store;
mod subscription;
pub mod testing;

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::Result;

#[doc(hidden)]
pub use anybroker_core::Error as EventError;

pub use aggregate::{Aggregate, AggregateEvent};
pub use appender::{Appender, AppenderOptions};
pub(crate) use component::COMPONENT;
pub use event::{Metadata, NewEvent, Recorded};
pub use expected::{AppendError, Appended, Expected};
pub use filter::Filter;
pub use read::{At, Slice};
pub(crate) use reader::Reader;
pub use repository::{CommandError, Executed, Repository};
pub use snapshot::Snapshot;
pub use store::{Connection, Store, Transaction};
pub use subscription::Subscription;

use crate::schema::Upcasters;

/// How often a subscription looks for events that nobody announced to it.
const POLL: Duration = Duration::from_millis(50);

/// Streams of events in a database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventStore<D> {
    pub(crate) database: D,
    pub(crate) upcasters: Arc<Upcasters>,
    pub(crate) notify: bool,
    pub(crate) poll: Duration,
}

impl<D: Store> EventStore<D> {
    /// Uses the tables of a database, if they are there as this version needs them.
    ///
    /// # Errors
    /// `InvalidConfiguration` if they are missing, of another version, or changed by hand; `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(database: D) -> Result<Self> {
        database.check().await?;
        Ok(EventStore { database, upcasters: Arc::default(), notify: true, poll: POLL })
    }

    /// Everything that is read passes through these.
    pub fn with_upcasters(mut self, upcasters: Upcasters) -> Self {
        self.upcasters = Arc::new(upcasters);
        self
    }

    /// Whether appends wake subscribers by `NOTIFY`; on unless it is turned off. PostgreSQL commits transactions that
    /// notify one after the other; without, subscribers notice events when they poll. SQLite always polls.
    pub fn notifying(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// How often a subscription looks for events that nobody announced: every 50 ms unless set.
    pub fn polling(mut self, every: Duration) -> Self {
        self.poll = every;
        self
    }

    /// The database.
    pub fn database(&self) -> &D {
        &self.database
    }

    /// Begins a transaction to append in. On SQLite it waits for the one that is writing.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`, `Throttled`.
    ///
    /// # Cancel safety
    /// Cancel safe; a transaction that is dropped is rolled back.
    pub async fn begin(&self) -> Result<Transaction<D>> {
        self.database.begin().await
    }

    pub(crate) async fn connection(&self) -> Result<sqlx::pool::PoolConnection<D::Database>> {
        self.database.pool().acquire().await.map_err(|error| crate::database::typed("connect", error))
    }
}
