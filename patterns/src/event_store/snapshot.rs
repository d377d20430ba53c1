//! States that were kept to save reading.

use std::time::SystemTime;

use anybroker_core::{Bytes, Result};

use super::event::{from_micros, to_micros};
use super::store::StoredSnapshot;
use super::{Connection, EventStore, Store};

/// The state of a stream after an event of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the last event in it.
    pub version: u64,
    /// When it was made.
    pub taken: SystemTime,
    /// The state.
    pub data: Bytes,
}

impl<D: Store> EventStore<D> {
    /// The snapshot of a stream that code of this version made, if there is one. Another version's counts as none, and so
    /// does one that is ahead of its stream.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`; `Decode` if the row was changed by hand.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn snapshot(&self, stream: &str, snapshot_version: u32) -> Result<Option<Snapshot>> {
        let mut connection = self.connection().await?;
        self.snapshot_in(&mut connection, stream, snapshot_version).await
    }

    pub(crate) async fn snapshot_in(
        &self,
        connection: &mut Connection<D>,
        stream: &str,
        snapshot_version: u32,
    ) -> Result<Option<Snapshot>> {
        let Some(stored) = self.database.snapshot(connection, stream).await? else { return Ok(None) };
        let head = self.database.head(connection, stream).await?.map_or(0, |head| head.version);
        if stored.snapshot_version != snapshot_version || stored.version > head {
            return Ok(None);
        }
        Ok(Some(Snapshot { version: stored.version, taken: from_micros(stored.taken_at), data: stored.data }))
    }

    /// Keeps a state in the place of the stream's snapshot, if it is newer or another version of the code made that.
    ///
    /// # Errors
    /// `Disconnected`, `Throttled`.
    ///
    /// # Cancel safety
    /// In a transaction: roll it back. By itself: cancel safe, kept or not.
    pub async fn keep_snapshot(
        &self,
        connection: &mut Connection<D>,
        stream: &str,
        version: u64,
        snapshot_version: u32,
        data: impl Into<Bytes> + Send,
    ) -> Result<()> {
        let taken_at = to_micros(SystemTime::now());
        let snapshot = StoredSnapshot { version, snapshot_version, taken_at, data: data.into() };
        self.database.put_snapshot(connection, stream, &snapshot).await
    }
}
