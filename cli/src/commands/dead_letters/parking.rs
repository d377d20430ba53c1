//! What is discarded is taken out of the store in which a worker parks later messages of a key.

use std::path::Path;
use std::time::Duration;

use anybroker::dead_letter::{Letter, ORIGINAL_ID};
use anybroker::worker::{Lot, ParkingStore, SqliteStore};
use anybroker::{MessageId, Result};

use crate::failure::Failure;

/// Nothing is forgotten by this.
const RETENTION: Duration = Duration::from_secs(u32::MAX as u64);

/// A worker's store.
pub(super) struct Parking(SqliteStore);

impl Parking {
    pub(super) fn open(path: &Path) -> std::result::Result<Self, Failure> {
        // The store would make a file that is not there.
        std::fs::metadata(path).map_err(|error| Failure::file(path, &error))?;
        Ok(Parking(SqliteStore::open(path, RETENTION)?))
    }

    /// The message is about to be discarded: what is parked behind it waits for it no longer.
    pub(super) async fn leave(&self, letter: &Letter) -> Result<()> {
        let Some((said, key)) = letter.envelope().zip(letter.delivery().to_key()) else { return Ok(()) };
        let (Some(topic), Some(group), Some(id)) = (&said.topic, &said.group, identity(letter)) else {
            return Ok(());
        };
        self.0.leave(&Lot { topic, group, key: &key }, &id).await
    }
}

/// As workers know the message.
fn identity(letter: &Letter) -> Option<MessageId> {
    let original = letter.delivery().header(ORIGINAL_ID).and_then(|id| std::str::from_utf8(id).ok());
    original.map(MessageId::from).or_else(|| letter.id())
}
