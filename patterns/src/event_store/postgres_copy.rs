//! Appending many events to PostgreSQL: `COPY` stores a row at about half the cost of `insert`, for three more round trips.

use std::collections::HashMap;

use anybroker_core::{Error, Kind, Result};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::event::{NewEvent, to_micros};
use super::postgres::fill;
use super::postgres_append::place;
use super::store::{Append, Placed};
use crate::database::{Names, typed};

/// From so many events on it is the faster way.
pub(super) const MANY: usize = 100;

/// How much is sent at once.
const CHUNK: usize = 256 << 10;

/// It draws the positions row by row, in the order of the rows: an identity column needs no right to its sequence.
const COPY: &str = "copy {events} (stream, version, event_id, type, schema_version, occurred_at, \
                    correlation, causation, actor, headers, data) from stdin (format binary)";

/// The positions that one `COPY` drew: between those of its first and its last row lie only rows of others besides. A lookup for
/// each row costs more than to read the range.
const POSITIONS: &str = "
with first as (select position, xmin as writer from {events} where stream = $1 and version = $2),
     last as (select position from {events} where stream = $3 and version = $4)
select coalesce(array_agg(position order by position), array[]::bigint[]) from {events}
where position between (select position from first) and (select position from last)
  and xmin = (select writer from first)";

/// An append that was taken.
struct Taken<'a> {
    append: &'a Append<'a>,
    base: i64,
}

pub(super) async fn append(
    names: &Names,
    connection: &mut PgConnection,
    appends: &[Append<'_>],
    notify: bool,
) -> Result<Vec<Option<Placed>>> {
    let bases = place(names, connection, appends, notify).await?;
    let taken: Vec<_> = appends
        .iter()
        .filter_map(|append| bases.get(append.stream).map(|&base| Taken { append, base }))
        .collect();
    if taken.is_empty() {
        return Ok(vec![None; appends.len()]);
    }
    copy(names, connection, &taken).await?;
    let mut placed = positions(names, connection, &taken).await?;
    Ok(appends.iter().map(|append| placed.remove(append.stream)).collect())
}

async fn copy(names: &Names, connection: &mut PgConnection, taken: &[Taken<'_>]) -> Result<()> {
    let failed = |error| typed("append", error);
    let mut copy = connection.copy_in_raw(&fill(names, COPY)).await.map_err(failed)?;
    let mut rows = Rows::default();
    for Taken { append, base } in taken {
        for (event, version) in append.events.iter().zip(base + 1..) {
            rows.push(append.stream, version, event)?;
            if rows.0.len() >= CHUNK {
                copy.send(&rows.0[..]).await.map_err(failed)?;
                rows.0.clear();
            }
        }
    }
    rows.end();
    copy.send(&rows.0[..]).await.map_err(failed)?;
    copy.finish().await.map(|_| ()).map_err(failed)
}

async fn positions<'a>(
    names: &Names,
    connection: &mut PgConnection,
    taken: &[Taken<'a>],
) -> Result<HashMap<&'a str, Placed>> {
    let mut query = sqlx::query_scalar(AssertSqlSafe(fill(names, POSITIONS)));
    if let (Some(first), Some(last)) = (taken.first(), taken.last()) {
        query = query.bind(first.append.stream).bind(first.base + 1);
        query = query.bind(last.append.stream).bind(last.base + last.append.events.len() as i64);
    }
    let found: Vec<i64> = query.fetch_one(connection).await.map_err(|error| typed("append", error))?;
    let count: usize = taken.iter().map(|taken| taken.append.events.len()).sum();
    if found.len() != count {
        let text = format!("{} does not show what was written to it", names.table("events"));
        return Err(Error::new(Kind::Unexpected, "append", text)
            .advice("roll the transaction back; look for triggers and policies on the table"));
    }
    let mut found = found.into_iter().map(|position| position as u64);
    let placed = taken.iter().map(|Taken { append, base }| {
        let positions = found.by_ref().take(append.events.len()).collect();
        (append.stream, Placed { base: *base as u64, positions })
    });
    Ok(placed.collect())
}

/// Rows in `COPY`'s binary format: each value after its length, and no value as the length -1.
struct Rows(Vec<u8>);

impl Default for Rows {
    fn default() -> Self {
        // The signature, no flags, no extension.
        Rows(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec())
    }
}

impl Rows {
    fn push(&mut self, stream: &str, version: i64, event: &NewEvent) -> Result<()> {
        const COLUMNS: i16 = 11;
        let metadata = &event.metadata;
        self.0.extend_from_slice(&COLUMNS.to_be_bytes());
        self.value(stream.as_bytes())?;
        self.value(&version.to_be_bytes())?;
        self.value(metadata.id.as_bytes())?;
        self.value(event.event_type.as_bytes())?;
        self.value(&(event.schema_version as i32).to_be_bytes())?;
        self.value(&to_micros(metadata.time).to_be_bytes())?;
        self.text(metadata.correlation.as_deref())?;
        self.text(metadata.causation.as_deref())?;
        self.text(metadata.actor.as_deref())?;
        self.text(event.headers().as_deref())?;
        self.value(&event.data)
    }

    fn text(&mut self, text: Option<&str>) -> Result<()> {
        match text {
            Some(text) => self.value(text.as_bytes()),
            None => {
                self.0.extend_from_slice(&(-1_i32).to_be_bytes());
                Ok(())
            }
        }
    }

    fn value(&mut self, value: &[u8]) -> Result<()> {
        let length = i32::try_from(value.len())
            .map_err(|_| Error::new(Kind::TooLarge, "append", "a value of an event has more than 2 GiB"))?;
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
        Ok(())
    }

    fn end(&mut self) {
        self.0.extend_from_slice(&(-1_i16).to_be_bytes());
    }
}
