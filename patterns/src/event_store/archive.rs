//! Streams that are over.

use std::time::SystemTime;

use anybroker_core::{Error, Kind, Result};

use super::event::to_micros;
use super::{Connection, EventStore, Store};

impl<D: Store> EventStore<D> {
    /// Archives a stream, in the caller's transaction: further appends are refused, and [`EventStore::read`] says so. The
    /// events stay, for readers and subscribers.
    ///
    /// # Errors
    /// `NotFound` if there is no such stream; `Disconnected`, `Throttled`.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn archive(&self, connection: &mut Connection<D>, stream: &str) -> Result<()> {
        self.mark(connection, stream, Some(to_micros(SystemTime::now()))).await
    }

    /// Takes a stream out of the archive: it may be appended to again.
    ///
    /// # Errors
    /// As [`EventStore::archive`].
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn restore(&self, connection: &mut Connection<D>, stream: &str) -> Result<()> {
        self.mark(connection, stream, None).await
    }

    async fn mark(&self, connection: &mut Connection<D>, stream: &str, at: Option<i64>) -> Result<()> {
        if self.database.archive(connection, stream, at).await? {
            return Ok(());
        }
        Err(Error::new(Kind::NotFound, "archive", format!("there is no stream `{stream}`")))
    }
}
