//! Appending to one stream, in the caller's transaction.

use anybroker_core::{Error, Kind, Result};

use super::event::check_name;
use super::store::{Append, Placed};
use super::{AppendError, Appended, Connection, EventStore, Expected, NewEvent, Store};

/// How often an append that lost to the creation of its stream is done again.
const ATTEMPTS: usize = 4;

impl<D: Store> EventStore<D> {
    /// Appends events to a stream, in the caller's transaction; several streams may be appended to in one.
    ///
    /// Until it ends, other appends to the stream wait, and subscribers wait at its place in the order: keep it short.
    ///
    /// # Errors
    /// [`AppendError`]; a conflict or an archived stream leaves the transaction usable. After `Failed` roll it back.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn append(
        &self,
        connection: &mut Connection<D>,
        stream: &str,
        expected: Expected,
        events: &[NewEvent],
    ) -> Result<Appended, AppendError> {
        check_name("stream name", stream)?;
        events.iter().try_for_each(NewEvent::validate)?;
        if events.is_empty() {
            return self.nothing(connection, stream, expected).await;
        }
        let events = events.iter().collect();
        let append = [Append { stream, expected: expected.version(), events }];
        for _ in 0..ATTEMPTS {
            let placed = self.database.append(connection, &append, self.notify).await?;
            if let Some(placed) = placed.into_iter().next().flatten() {
                return Ok(placed.last());
            }
            if let Some(refused) = self.refused(connection, stream, expected).await? {
                return Err(refused);
            }
        }
        let text = format!("the stream `{stream}` is being created by others");
        Err(Error::new(Kind::Throttled, "append", text).advice("do the transaction again").into())
    }

    /// An append of nothing only compares versions.
    async fn nothing(
        &self,
        connection: &mut Connection<D>,
        stream: &str,
        expected: Expected,
    ) -> Result<Appended, AppendError> {
        if let Some(refused) = self.refused(connection, stream, expected).await? {
            return Err(refused);
        }
        let version = self.database.head(connection, stream).await?.map_or(0, |head| head.version);
        Ok(Appended { version, position: 0 })
    }

    /// Why an append was refused, by what is committed now; `None` if it would not be any more.
    pub(crate) async fn refused(
        &self,
        connection: &mut Connection<D>,
        stream: &str,
        expected: Expected,
    ) -> Result<Option<AppendError>> {
        let head = self.database.head(connection, stream).await?;
        let actual = head.map_or(0, |head| head.version);
        let stream = stream.to_owned();
        Ok(if head.is_some_and(|head| head.archived_at.is_some()) {
            Some(AppendError::Archived { stream, version: actual })
        } else if expected.version().is_some_and(|version| version != actual) {
            Some(AppendError::Conflict { stream, expected, actual })
        } else {
            None
        })
    }
}

impl Placed {
    fn last(&self) -> Appended {
        self.upto(self.positions.len())
    }

    /// Where the first `count` events went.
    pub(crate) fn upto(&self, count: usize) -> Appended {
        let position = count.checked_sub(1).and_then(|last| self.positions.get(last)).copied();
        Appended { version: self.base + count as u64, position: position.unwrap_or(0) }
    }
}
