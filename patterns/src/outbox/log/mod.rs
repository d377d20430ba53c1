//! The outbox without a table: messages go into PostgreSQL's own log, and the relay reads them there by logical decoding.
//!
//! Staging writes no row and relaying deletes none, so there is nothing to vacuum. The log has transactions in the order of
//! their commits, and only those that were committed. What cannot be published goes to the quarantine of the table's outbox.
//!
//! It needs PostgreSQL 14 or later with `wal_level=logical`, a role that may replicate for the relay, and
//! [`PostgresLog::create`] before the first message. **The server keeps its log until the relay has read it**: with a relay that
//! is away its disk fills up, unless `max_slot_wal_keep_size` limits it; what is lost then, [`check`](super::Store::check) and every
//! `stage` say. The messages of one transaction are in the relay's memory at once.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use anybroker_core::{Message, Topic};
//! use anybroker_patterns::database::Postgres;
//! use anybroker_patterns::outbox::{Outbox, PostgresLog};
//!
//! let database = Postgres::connect("postgres://shop@db.example/shop").await?;
//! database.migrate().await?;
//! let log = PostgresLog::new(database.clone());
//! log.create().await?;
//! let outbox = Outbox::new(log, Topic::new("orders")?);
//!
//! let mut transaction = database.pool().begin().await?;
//! outbox.stage(&mut transaction, Message::new("3 apples").with_key("order-7")).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```

mod batch;
mod decode;
mod entry;
mod reading;
mod slot;
mod store;

use sqlx::AssertSqlSafe;

use super::component::OUTBOX;
use crate::database::Postgres;
use batch::Ahead;
pub use batch::LogBatch;

/// An outbox in PostgreSQL's log. Cheap to clone. For one database and names, either this or the table's outbox.
#[derive(Clone, Debug)]
pub struct PostgresLog {
    database: Postgres,
    ahead: Ahead,
}

impl PostgresLog {
    /// The outbox in the log of a database; its slot and its publication are named as the table of the outbox would be.
    pub fn new(database: Postgres) -> Self {
        PostgresLog { database, ahead: Ahead::default() }
    }

    /// The name of its replication slot, of its publication, and of its entries.
    pub fn slot(&self) -> String {
        format!("anybroker_{}", self.database.names().table("outbox").replace(['.', '"'], "_"))
    }

    fn sql(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(OUTBOX.fill(self.database.names(), sql))
    }
}
