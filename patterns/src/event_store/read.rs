//! Reading one stream.

use std::time::SystemTime;

use anybroker_core::{Error, Kind, Result};

use super::event::from_micros;
use super::{Connection, EventStore, Recorded, Store};

/// Rows of one reading.
const PAGE: usize = 500;

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The events, in order.
    pub events: Vec<Recorded>,
    /// The version of the stream's last event, whether it is among these or not; 0 if there is no such stream.
    pub version: u64,
    /// When the stream was archived, if it is.
    pub archived: Option<SystemTime>,
}

/// As of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Now.
    Latest,
    /// After the event of this version.
    Version(u64),
    /// After the last event before the first that happened later than this.
    Time(SystemTime),
}

impl At {
    fn includes(self, event: &Recorded) -> bool {
        match self {
            At::Latest => true,
            At::Version(version) => event.version <= version,
            At::Time(time) => event.metadata.time <= time,
        }
    }
}

impl<D: Store> EventStore<D> {
    /// At most `max` events of a stream from a version on; versions begin with 1. A stream that does not exist has none.
    ///
    /// # Errors
    /// `Decode` names the event that is damaged or that the upcasters cannot read; `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read(&self, stream: &str, from: u64, max: usize) -> Result<Slice> {
        let mut connection = self.connection().await?;
        self.read_in(&mut connection, stream, from, max).await
    }

    /// As [`EventStore::read`], in the caller's transaction: it sees what that has appended.
    ///
    /// # Errors
    /// As [`EventStore::read`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read_in(
        &self,
        connection: &mut Connection<D>,
        stream: &str,
        from: u64,
        max: usize,
    ) -> Result<Slice> {
        // The head first: what is appended meanwhile may be among the events, but is not missed.
        let head = self.database.head(&mut *connection, stream).await?;
        let found = self.database.read(connection, stream, from, max).await?;
        let events = found
            .into_iter()
            .map(|event| event.and_then(|event| self.upcast(event)))
            .collect::<Result<Vec<_>>>()?;
        let version = head.map_or(0, |head| head.version).max(events.last().map_or(0, |event| event.version));
        let archived = head.and_then(|head| head.archived_at).map(from_micros);
        Ok(Slice { events, version, archived })
    }

    /// Applies the events of a stream, from a version on and as of some time, to a state; gives the version that the state has
    /// then. Reads page by page.
    ///
    /// # Errors
    /// As [`EventStore::read`], and what `apply` says; `Decode` if an event is missing.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn fold<S: Send>(
        &self,
        stream: &str,
        from: u64,
        at: At,
        state: S,
        apply: impl FnMut(&mut S, &Recorded) -> Result<()> + Send,
    ) -> Result<(S, u64)> {
        let mut connection = self.connection().await?;
        self.fold_in(&mut connection, stream, from, at, state, apply).await
    }

    /// As [`EventStore::fold`], in the caller's transaction.
    ///
    /// # Errors
    /// As [`EventStore::fold`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn fold_in<S: Send>(
        &self,
        connection: &mut Connection<D>,
        stream: &str,
        from: u64,
        at: At,
        mut state: S,
        mut apply: impl FnMut(&mut S, &Recorded) -> Result<()> + Send,
    ) -> Result<(S, u64)> {
        let mut next = from.max(1);
        loop {
            let events = self.read_in(connection, stream, next, PAGE).await?.events;
            for event in &events {
                if !at.includes(event) {
                    return Ok((state, next - 1));
                }
                if event.version != next {
                    return Err(missing(stream, next));
                }
                apply(&mut state, event)?;
                next += 1;
            }
            if events.len() < PAGE {
                return Ok((state, next - 1));
            }
        }
    }

    /// The event as the newest version of its schema.
    pub(crate) fn upcast(&self, mut event: Recorded) -> Result<Recorded> {
        match self.upcasters.upcast(&event.event_type, event.schema_version, &event.data) {
            Ok((version, data)) => {
                (event.schema_version, event.data) = (version, data);
                Ok(event)
            }
            Err(error) => Err(Error::from(error).on(event.place())),
        }
    }
}

fn missing(stream: &str, version: u64) -> Error {
    Error::new(Kind::Decode, "read events", format!("event {version} of stream `{stream}` is missing"))
        .advice("the table was changed by hand: restore the row")
}
