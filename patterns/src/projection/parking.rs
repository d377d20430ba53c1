//! Events that could not be applied, and those that follow them in their streams.

use std::collections::HashSet;

use anybroker_core::Result;

use super::checkpoint::{Place, now};
use super::store::{Store, Value};
use crate::event_store::Connection;
use crate::event_store::store::Scanned;

/// An event to park. It stays where it is, in the event store.
#[derive(Debug)]
pub(super) struct Parked<'a> {
    pub(super) position: u64,
    pub(super) stream: &'a str,
    pub(super) version: u64,
    /// None: it only follows an earlier one.
    pub(super) reason: Option<String>,
}

/// The streams of these rows of which something is parked.
pub(super) async fn held<D: Store>(
    database: &D,
    connection: &mut Connection<D>,
    place: Place<'_>,
    rows: &[Scanned],
) -> Result<HashSet<String>> {
    let streams: HashSet<_> = rows.iter().map(|row| row.stream.as_str()).collect();
    let streams = serde_json::to_string(&streams).unwrap_or_default();
    let sql = "select distinct stream from {projection_parked} where name = $1 and generation = $2 \
               and stream in (select value from {each $3})";
    let values = [place.name.into(), place.generation.into(), (&streams).into()];
    let held: Vec<(String,)> = database.rows(connection, "read parked events", sql, &values).await?;
    Ok(held.into_iter().map(|(stream,)| stream).collect())
}

pub(super) async fn park<D: Store>(
    database: &D,
    connection: &mut Connection<D>,
    place: Place<'_>,
    event: &Parked<'_>,
) -> Result<()> {
    let sql = "insert into {projection_parked} (name, generation, position, stream, version, reason, parked_at) \
               values ($1, $2, $3, $4, $5, $6, $7)";
    let values = [
        place.name.into(),
        place.generation.into(),
        event.position.into(),
        event.stream.into(),
        event.version.into(),
        Value::Maybe(event.reason.as_deref()),
        now(),
    ];
    database.execute(connection, "park an event", sql, &values).await.map(drop)
}
