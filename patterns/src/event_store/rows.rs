//! A row as both databases give it.

use anybroker_core::{Error, Kind, Result};
use sqlx::{FromRow, Row};

use super::event::{Metadata, Recorded, from_micros};
use super::store::{Scanned, StoredSnapshot};
use crate::database::typed;

/// The columns that [`Whole`] is read from, in order.
pub(crate) const COLUMNS: &str = "position, stream, version, event_id, type, schema_version, occurred_at, \
                                  correlation, causation, actor, headers, data";

/// Where the event is: its columns hardly ever fail to decode, and name the one that does.
pub(crate) type Place = (i64, String, i64);

/// A whole event.
pub(crate) type Whole = (
    i64,
    String,
    i64,
    String,
    String,
    i32,
    i64,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Vec<u8>,
);

/// A snapshot.
pub(crate) type Snapshot = (i64, i32, i64, Vec<u8>);

/// An event, or why the row is none; it fails as a whole only if not even its position can be read.
pub(crate) fn scanned<R: Row>(row: &R) -> Result<Scanned>
where
    Place: for<'r> FromRow<'r, R>,
    Whole: for<'r> FromRow<'r, R>,
{
    let (position, stream, version) = Place::from_row(row).map_err(|error| typed("read events", error))?;
    let place = || format!("event {version} of stream `{stream}` (position {position})");
    let event = match Whole::from_row(row) {
        Ok(whole) => recorded(whole).map_err(|text| undecodable(&text).on(place())),
        Err(error) => Err(undecodable("a column has a value of another type").on(place()).with_source(error)),
    };
    Ok(Scanned { position: position as u64, stream, version: version as u64, event })
}

fn undecodable(text: &str) -> Error {
    Error::new(Kind::Decode, "read events", text)
        .advice("the table was changed by hand: restore the row; nothing was skipped")
}

fn recorded(whole: Whole) -> Result<Recorded, String> {
    let (
        position,
        stream,
        version,
        id,
        event_type,
        schema,
        micros,
        correlation,
        causation,
        actor,
        headers,
        data,
    ) = whole;
    let headers = match headers {
        Some(text) => {
            serde_json::from_str(&text).map_err(|error| format!("its headers are no JSON object: {error}"))?
        }
        None => Default::default(),
    };
    let metadata = Metadata {
        id: id.parse().map_err(|error| format!("its id is no UUID: {error}"))?,
        time: from_micros(micros),
        correlation,
        causation,
        actor,
        headers,
    };
    let schema_version = u32::try_from(schema).map_err(|_| format!("its schema version is {schema}"))?;
    let (position, version) = (position as u64, version as u64);
    Ok(Recorded { position, stream, version, event_type, schema_version, data: data.into(), metadata })
}

pub(crate) fn snapshot((version, snapshot_version, taken_at, data): Snapshot) -> StoredSnapshot {
    let (version, snapshot_version) = (version as u64, snapshot_version as u32);
    StoredSnapshot { version, snapshot_version, taken_at, data: data.into() }
}
